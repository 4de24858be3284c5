"""Figures of reports: names that fit, distributions, spectra, marks, chance levels."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from physio.core.block import Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.view.plots.coverage import feature_figure
from physio.view.plots.distributions import (
    baseline_of,
    distribution_figure,
    measures,
)
from physio.view.plots.eeg_spectra import (
    eeg_spectra,
    spectrum_figure,
    topography_figure,
)
from physio.view.plots.session import recording_title, session_figure
from physio.view.plots.time_axes import ConditionInterval, short_names
from physio.view.plots.whole_record_plot import whole_record_figure
from physio.view.reports.condition_tables import add_features
from physio.view.reports.evaluation import (
    chance_level,
    config_text,
    evaluation_report,
)
from physio.view.reports.html_report import HtmlReport

PARTS = [
    ConditionInterval("baseline", 0.0, 60.0),
    ConditionInterval("a stressful interview", 60.0, 62.0),
    ConditionInterval("rest", 62.0, 63.0),
    ConditionInterval("arithmetic", 63.0, 120.0),
]
RATE = 128


def features(rows: int = 480) -> Block:
    channels = (
        Channel("eda.tonic", unit="uS", memory=4.0),
        Channel("eda.scr_rate", unit="1/min", memory=60.0),
    )
    info = StreamInfo("features", Fraction(4), channels)
    time = np.arange(rows) / 4
    return Block(info, 0, 0.0, np.column_stack([2 + time / 60, time % 7]))


def eeg(names: Sequence[str], seconds: int = 40) -> Recording:
    """Return noise with a rhythm of 10 Hz, larger in the second half."""
    rng = np.random.default_rng(0)
    time = np.arange(seconds * RATE) / RATE
    size = np.where(time < seconds / 2, 5.0, 20.0)
    rhythm = size * np.sin(2 * np.pi * 10 * time)
    data = rng.normal(0, 2, (len(time), len(names))) + rhythm[:, None]
    data[: 2 * RATE] += 1000 * (time[: 2 * RATE, None] > 1)  # an artifact
    channels = tuple(Channel(n, "eeg", "uV") for n in names)
    info = StreamInfo("headset.eeg", Fraction(RATE), channels)
    return Recording({"headset.eeg": (Block(info, 0, 0.0, data),)}, {}, (), {})


def _renderer(figure: Any) -> Any:
    canvas: Any = FigureCanvasAgg(figure)
    return canvas.get_renderer()


def test_a_name_that_does_not_fit_is_its_number_or_nothing() -> None:
    assert short_names(PARTS, 0.0, 120.0, 100) == ["baseline", "2", "", "arithmetic"]
    assert short_names([], 0.0, 1.0, 100) == []
    over = [ConditionInterval("task", 0.0, 100.0), ConditionInterval("x", 1.0, 100.0)]
    assert short_names(over, 0.0, 100.0, 100) == ["1", "x"]


@pytest.mark.parametrize("draw", ["overview", "body"])
def test_names_of_conditions_do_not_overprint(draw: str) -> None:
    recording = eeg(["Fz"], 120)
    figure: Any = (
        session_figure(recording, features(), None, conditions=PARTS)
        if draw == "overview"
        else feature_figure(features(), PARTS, "p07")
    )
    renderer = _renderer(figure)
    strip = figure.axes[-1]
    boxes = [t.get_window_extent(renderer) for t in strip.texts if t.get_text()]
    assert len(boxes) == 4  # one is the number
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_markers_at_the_end_stay_inside_the_figure() -> None:
    from physio.core.events import event_stream, single_event

    recording = eeg(["Fz"], 120)
    marker = single_event(event_stream("headset.markers"), 119.5, "a late marker")
    late = Recording(recording.streams, {"headset.markers": marker}, (), {})
    figure: Any = session_figure(late, None, None)
    renderer = _renderer(figure)
    (text,) = [t for t in figure.axes[0].texts if "late" in t.get_text()]
    assert text.get_window_extent(renderer).x1 <= figure.bbox.x1


def test_distributions_are_relative_to_the_baseline_and_short_ones_hollow() -> None:
    chosen = measures(features(), None)
    assert [m.name for m in chosen] == ["eda.tonic", "eda.scr_rate"]
    assert PARTS[baseline_of(PARTS)].name == "baseline"
    assert baseline_of([ConditionInterval("a", 0, 1), PARTS[2]]) == 1
    figure: Any = distribution_figure(chosen, PARTS)
    tonic, rate = figure.axes[:2]
    medians = [
        line.get_ydata()[0] for line in tonic.lines if len(line.get_xdata()) == 2
    ]
    assert any(abs(m) < 0.01 for m in medians)  # of the baseline itself
    assert any(m == pytest.approx(61.5 / 60, abs=0.03) for m in medians)
    hollow = [patch.get_facecolor()[3] == 0 for patch in rate.patches]
    assert hollow == [False, True, True, True]  # 57 s are less than a minute
    assert distribution_figure(chosen, PARTS[:1]) is None
    names = ("neutral", "forest walk", "interest", "resting 2")
    parts = [ConditionInterval(n, 10.0 * k, 10.0 * k + 9) for k, n in enumerate(names)]
    assert baseline_of(parts) == 3
    late = [ConditionInterval("baseline", 500.0, 600.0), PARTS[0]]
    assert distribution_figure(chosen, late) is None  # no value in the baseline


def test_conditions_shorter_than_a_window_are_named() -> None:
    page = HtmlReport("x")
    add_features(page, features(), PARTS)
    text = str(page)
    assert "2. a stressful interview (2 s), 3. rest (1 s)" in text
    assert "eda.tonic 4 s, eda.scr_rate 60 s" in text
    assert "4. arithmetic (57 s); windows: eda.scr_rate 60 s" in text


def test_spectra_have_the_rhythm_of_each_condition_without_artifacts() -> None:
    halves = [
        ConditionInterval("low", 0.0, 20.0),
        ConditionInterval("high", 20.0, 40.0),
    ]
    spectra = eeg_spectra(eeg(["Fz", "Cz", "Pz"]), halves)
    assert spectra is not None
    at = int(np.argmax(spectra.power["high"][0]))
    assert spectra.freqs[at] == 10.0
    ratio = spectra.power["high"][:, at] / spectra.power["low"][:, at]
    np.testing.assert_allclose(10 * np.log10(ratio), 20 * np.log10(4), atol=1.0)
    assert spectra.used == {"low": 0.9, "high": 1.0}  # 1 of 10 frames
    spectrum: Any = spectrum_figure(spectra)
    labels = [t.get_text() for t in spectrum.axes[1].get_legend().get_texts()]
    assert labels == ["low (90% of frames)", "high (100% of frames)"]


def test_maps_are_interpolated_from_sixteen_electrodes_on() -> None:
    ten_twenty = (
        "Fp1 Fp2 F3 F4 F7 F8 Fz C3 C4 Cz T7 T8 P3 P4 P7 P8 Pz O1 O2".split()  # noqa: SIM905
    )
    whole = [ConditionInterval("all", 0.0, 40.0)]
    many = eeg_spectra(eeg(ten_twenty), whole)
    few = eeg_spectra(eeg(ten_twenty[:4]), whole)
    none = eeg_spectra(eeg(["EEG 1", "EEG 2", "EEG 3"]), whole)
    assert many is not None
    assert few is not None
    assert none is not None
    maps, dots = topography_figure(many), topography_figure(few)
    assert maps is not None
    assert dots is not None
    assert maps.axes[0].images
    assert not dots.axes[0].images
    assert topography_figure(none) is None


def test_beats_responses_and_artifacts_are_marked() -> None:
    time = np.arange(0, 300, 0.25)
    info = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
    level = 2 + np.sin(time / 30)
    recording = Recording(
        {"band.eda": (Block(info, 0, 0.0, level[:, None]),)}, {}, (), {}
    )
    frame = pd.DataFrame(
        {"conductance": np.where(time < 40, np.nan, level), "scl": level - 0.1,
         "artifact": time < 40},
        index=time,
    )  # fmt: skip
    frame.attrs = {"kind": "skin", "stream": "band.eda", "channel": "eda", "units": {}}
    scrs = pd.DataFrame(
        {"stream": "band.eda", "channel": "eda", "onset": [100.0], "peak": [102.0]}
    )
    figure: Any = whole_record_figure(
        recording, {"band.eda/eda": frame}, {"scrs": scrs}, PARTS, "p07"
    )
    whole, *sections = figure.axes
    assert len(sections) == 3
    assert "p07" in figure.get_suptitle()
    marked = [c.get_offsets() for c in whole.collections if len(c.get_offsets())]
    assert {float(offsets[0][0]) for offsets in marked} >= {100.0, 102.0}
    lanes = [c.get_paths()[0].get_extents() for c in whole.collections if c.get_paths()]
    assert any(abs(lane.x0) < 1 and abs(lane.x1 - 40) < 1 for lane in lanes)
    assert sections[1].get_xlim()[0] <= 100 <= sections[1].get_xlim()[1]


def test_titles_name_the_file_and_its_date() -> None:
    about = {"source": "Empatica E4", "begin_unix": "1644227522"}
    dated = Recording({}, {}, (), about)
    assert (
        recording_title(dated, "S02.zip") == "S02.zip · Empatica E4 · 2022-02-07 09:52"
    )


def test_chance_is_the_measured_majority_class_and_the_settings_are_toml() -> None:
    row = {"model": "wrist", "metric": "macro-F1", "mean": 0.7, "low": 0.5,
           "high": 0.9, "per_participant": {"S1": 0.6}}  # fmt: skip
    majority = {**row, "model": "majority class", "mean": 0.39}
    auc = {**row, "metric": "AUC"}
    result = {
        "dataset": "WESAD", "protocol": "loso", "participants": ["S1"],
        "rows": [row, majority, auc], "classes": ["a", "b"], "balance": {"a": 3},
        "config": {"model": {"c": 1.0, "empty": [], "none": None}},
        "notes": ["order is confounded"], "versions": {"numpy": "2.4"},
    }  # fmt: skip
    assert chance_level(result, "macro-F1") == (0.39, "majority class")
    assert chance_level(result, "AUC") == (0.5, "chance")
    assert chance_level(result, "balanced accuracy") == (0.5, "chance")
    assert chance_level(result, "RMSE")[1] == ""
    assert config_text(result["config"]) == "[model]\nc = 1.0\n"
    page = evaluation_report(result)
    dashed: Any = [
        x for x in page.figures["macro-F1"].axes[0].lines if x.get_linestyle() == "--"
    ]
    assert dashed[0].get_xdata()[0] == 0.39
    text = str(page)
    assert "Dashed: majority class, 0.39." in text
    assert "order is confounded" in text
    assert "[model]\nc = 1.0" in text
