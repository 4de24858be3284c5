"""Pictures of sessions: what is on them, and that nothing is made up."""

import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import FillBetweenPolyCollection, PolyCollection
from matplotlib.figure import Figure

from physio.core.block import Array, Block, Channel, Origin, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.missing import MissingReason
from physio.core.recording import Recording
from physio.core.stitch import stitched
from physio.view.labels import LABELS, MEANING
from physio.view.plots.envelope import code_runs, envelope
from physio.view.plots.session import plot, session_figure
from physio.view.plots.time_axes import ConditionInterval, condition_spans

EEG = StreamInfo(
    "headset.eeg",
    Fraction(250),
    (Channel("F3", "eeg", "uV"), Channel("Cz", "eeg", "uV")),
    Origin.SIMULATED,
)
EDA = StreamInfo(
    "band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),), Origin.SIMULATED
)
NAMES = ("valence", "arousal", "dominance")


def block(name: str, rate: int, origin: Origin, **columns: Array) -> Block:
    units = {"eda.tonic": "uS", "eda.scr_rate": "1/min", "heart.rate": "1/min"}
    named = {n.replace("__", "."): values for n, values in columns.items()}
    channels = tuple(Channel(n, unit=units.get(n, "1")) for n in named)
    data = np.ascontiguousarray(np.stack(list(named.values()), axis=1))
    return Block(StreamInfo(name, Fraction(rate), channels, origin), 0, 100.0, data)


def session(seconds: int = 60) -> Recording:
    """Return a simulated session in which a tenth of the EEG was lost."""
    rng = np.random.default_rng(5)
    n = seconds * 250
    a, b = int(0.5 * n), int(0.6 * n)
    eeg = rng.normal(size=(n, 2)) * 10
    parts = (
        Block(EEG, 0, 100.0, eeg[:a].copy()),
        Block(EEG, b, 100.0, eeg[b:].copy()),
    )
    eda = (Block(EDA, 0, 100.0, 2 + rng.normal(size=(seconds * 4, 1)) * 0.01),)
    markers = Events(
        event_stream("session.markers"),
        160.0,
        np.array([110.0]),
        np.empty((1, 0)),
        ("tone",),
    )
    rated = Events(
        event_stream("study.ratings", Channel("valence")),
        160.0,
        np.array([130.0]),
        np.array([[0.75]]),
        ("calm",),
    )
    return Recording(
        {"headset.eeg": parts, "band.eda": eda},
        {e.info.name: e for e in (markers, rated)},
        (),
        {"begin": "100.0", "citation": "Somebody (2020): Something."},
    )


def estimates(seconds: int = 60) -> Block:
    """Return estimates that warm up for 6 s; no dominance at all."""
    n = seconds * 4
    wave = 0.5 * np.sin(np.arange(n) / 20)
    wave[:24] = MissingReason.WARMING_UP.nan
    sd = np.where(np.isnan(wave), MissingReason.WARMING_UP.nan, 0.3)
    none = np.full(n, MissingReason.UNTRAINED.nan)
    parts = [wave, sd, -wave, sd, none, none]
    named = [f"{name}{end}" for name in NAMES for end in ("", "__sd")]
    columns = dict(zip(named, parts, strict=True))
    return block("estimates", 4, Origin.DEMO, **columns)


def features(seconds: int = 60) -> Block:
    n = seconds * 4
    return block(
        "features",
        4,
        Origin.SIMULATED,
        eda__tonic=np.full(n, 1.9),
        eda__scr_rate=np.full(n, 3.0),
        heart__rate=np.full(n, 71.0),
    )


def texts(figure: Figure) -> list[str]:
    found = [t.get_text() for t in figure.texts]
    for ax in figure.axes:
        found += [t.get_text() for t in ax.texts]
    return [t for t in found if t]


# Laying out


def test_lost_samples_are_laid_out_as_missing_between_their_neighbours() -> None:
    info = StreamInfo("a", Fraction(10), (Channel("x"),))
    early = Block(info, 0, 0.0, np.array([[1.0], [2.0]]))
    late = Block(info, 4, 0.03, np.array([[5.0]]))  # the clock was slewed by 30 ms
    times, data = stitched([early, late])
    np.testing.assert_array_equal(data[:, 0], [1.0, 2.0, np.nan, np.nan, 5.0])
    # Samples 1 and 4 are at 0.1 and 0.43 s; those between are spread evenly.
    np.testing.assert_allclose(times, [0.0, 0.1, 0.21, 0.32, 0.43], rtol=1e-12)


def test_a_stream_without_samples_lays_out_as_nothing() -> None:
    info = StreamInfo("a", Fraction(10), (Channel("x"), Channel("y")))
    times, data = stitched([Block(info, 0, 0.0, np.empty((0, 2)))])
    assert times.shape == (0,)
    assert data.shape == (0, 2)


def test_an_envelope_keeps_every_spike_and_every_long_gap() -> None:
    values = np.zeros(100_000)
    values[12_345], values[77_777] = 9.0, -9.0
    values[50_000:60_000] = np.nan
    times, line = envelope(np.arange(100_000) / 250, values)
    assert len(line) == 3000
    assert np.nanmax(line) == 9.0
    assert np.nanmin(line) == -9.0
    # A tenth is missing: 150 of 1500 pieces, of which the two at its ends may not be.
    assert 2 * 148 <= np.isnan(line).sum() <= 2 * 150
    assert np.all(np.diff(times) >= 0)


def test_a_short_signal_is_drawn_as_it_is() -> None:
    values = np.random.default_rng(0).normal(size=6000)
    times, line = envelope(np.arange(6000.0), values)
    assert line is values
    assert len(times) == 6000


def test_runs_of_a_code_are_found_without_the_zeros() -> None:
    assert code_runs(np.array([0, 2, 2, 3, 0, 2.0])) == [
        (1, 3, 2),
        (3, 4, 3),
        (5, 6, 2),
    ]
    assert code_runs(np.array([])) == []


@pytest.mark.parametrize(
    ("channels", "data", "wanted"),
    [
        ((Channel("end"),), [[104.0], [109.0]], [(100.0, 104.0), (105.0, 109.0)]),
        ((Channel("seconds"),), [[4.0], [3.0]], [(100.0, 104.0), (105.0, 108.0)]),
        ((), [[], []], [(100.0, 105.0), (105.0, 120.0)]),
    ],
)
def test_conditions_last_as_they_say_or_until_the_next(
    channels: tuple[Channel, ...],
    data: list[list[float]],
    wanted: list[tuple[float, float]],
) -> None:
    info, times = event_stream("c", *channels), np.array([100.0, 105.0])
    events = Events(info, 120.0, times, np.array(data), ("calm", "stress"))
    (a, b), (c, d) = wanted
    assert condition_spans(events, 120.0) == [
        ConditionInterval("calm", a, b),
        ConditionInterval("stress", c, d),
    ]


# A session


def test_the_picture_says_what_is_simulated_what_is_a_demo_and_what_it_means() -> None:
    figure = session_figure(session(), features(), estimates(), title="a session")
    found = texts(figure)
    assert "a session" in found
    assert f"{MEANING} No estimate of dominance (untrained)." in found
    assert "Somebody (2020): Something." in found
    for label in LABELS.values():
        assert label.badge in found
        assert f"{label.badge}: {label.meaning}" in found


def test_a_measured_session_carries_no_label() -> None:
    info = StreamInfo(EDA.name, EDA.rate, EDA.channels)
    recording = Recording({"band.eda": (Block(info, 0, 0.0, np.ones((40, 1))),)})
    found = texts(session_figure(recording, None, None))
    assert not any(label.badge in text for label in LABELS.values() for text in found)


def test_panels_are_those_that_there_are_signals_for_then_the_estimates() -> None:
    figure = session_figure(session(), features(), estimates())
    wanted = ["EEG Cz\n\xb5V", "Skin\nconductance\n\xb5S", "Heart rate\n1/min"]
    wanted += ["Valence", "Arousal"]  # nothing is drawn of dominance, see above
    found = texts(figure)
    assert [text for text in found if text in wanted] == wanted
    assert "Dominance" not in found
    heart = figure.axes[2].lines[0].get_ydata()
    assert set(np.asarray(heart)) == {71.0}  # not the rate of skin responses


def test_a_gap_is_a_gap() -> None:
    figure = session_figure(session(), features(), estimates())
    x, y = figure.axes[0].lines[0].get_data()
    hole = (np.asarray(x) > 130.5) & (np.asarray(x) < 135.5)
    assert hole.any()
    assert np.isnan(np.asarray(y)[hole]).all()
    assert np.isfinite(np.asarray(y)[~hole]).mean() > 0.95


def test_where_there_is_no_estimate_it_is_hatched_and_the_reason_told() -> None:
    figure = session_figure(session(), None, estimates())
    valence = figure.axes[-2]
    hatched = [
        c for c in valence.collections
        if isinstance(c, PolyCollection) and c.get_hatch()
    ]  # fmt: skip
    box = hatched[0].get_paths()[0].get_extents()
    # 24 rows at 4 Hz: 6 s from 100 s on.
    assert (box.x0, box.x1) == (pytest.approx(100.0), pytest.approx(106.0))
    assert "Hatched: no estimate (warming up)" in texts(figure)


def test_bands_are_one_standard_deviation_and_95_percent() -> None:
    figure = session_figure(session(), None, estimates())
    valence = figure.axes[-2]
    fills = [c for c in valence.collections if isinstance(c, FillBetweenPolyCollection)]
    assert [c.get_label() for c in fills] == ["95 %", "±1 SD"]
    line = np.asarray(valence.lines[0].get_ydata())
    for fill, width in zip(fills, (1.96, 1.0), strict=True):
        points = np.vstack([path.vertices for path in fill.get_paths()])
        # sd is 0.3 everywhere; vertices are copies of what was computed.
        top = np.nanmax(line) + width * 0.3
        assert points[:, 1].max() == pytest.approx(top, rel=1e-12)


def test_truth_ratings_markers_and_conditions_are_on_it() -> None:
    conditions = [
        ConditionInterval("calm", 100.0, 130.0),
        ConditionInterval("stress", 130.0, 160.0),
    ]
    truth = block("truth", 4, Origin.SIMULATED, valence=np.full(240, 0.25))
    figure = session_figure(
        session(), None, estimates(), truth=truth, conditions=conditions
    )
    found = texts(figure)
    assert {"calm", "stress", "▾ tone"} <= set(found)
    lines = {str(line.get_label()): line for line in figure.axes[-3].lines}
    assert set(np.asarray(lines["true value"].get_ydata())) == {0.25}
    assert lines["true value"].get_linestyle() == "--"
    assert lines["self-report"].get_xydata().tolist() == [[130.0, 0.75]]


def test_a_condition_that_the_session_did_not_last_for_ends_with_it() -> None:
    conditions = [
        ConditionInterval("stress", 140.0, 500.0),
        ConditionInterval("never", 500.0, 600.0),
    ]
    figure = session_figure(session(), None, estimates(), conditions=conditions)
    strip = figure.axes[-1]
    assert [(t.get_text(), t.get_position()[0]) for t in strip.texts] == [
        # From 140 s to the last sample, which is 1/250 s before 160 s.
        ("stress", pytest.approx((140.0 + 159.996) / 2, rel=1e-9))
    ]


def test_ninety_two_minutes_are_drawn_in_seconds(tmp_path: Path) -> None:
    seconds = 92 * 60
    recording, made = session(seconds), (features(seconds), estimates(seconds))
    begin = time.process_time()
    session_figure(recording, *made).savefig(tmp_path / "session.png")
    # The promise; on two slow cores it takes a tenth of it.
    assert time.process_time() - begin < 5.0
    assert (tmp_path / "session.png").stat().st_size > 10_000


# A recording


def test_every_stream_of_a_recording_has_a_row() -> None:
    figure = plot(session())
    found = texts(figure)
    assert {"headset.eeg\n\xb5V", "band.eda\n\xb5S"} <= set(found)
    assert LABELS[Origin.SIMULATED].badge in found


def test_many_channels_are_drawn_one_above_the_other_and_the_rest_told() -> None:
    info = StreamInfo(
        "a.eeg", Fraction(50), tuple(Channel(f"E{i}", "eeg", "uV") for i in range(20))
    )
    data = np.random.default_rng(2).normal(size=(100, 20))
    figure = plot(Recording({"a.eeg": (Block(info, 0, 0.0, data),)}))
    ax = figure.axes[0]
    assert len(ax.lines) == 16
    assert ax.get_xlabel() == "time (s)"
    assert "a.eeg\n16 of 20 shown" in texts(figure)


def test_an_empty_recording_cannot_be_plotted() -> None:
    empty = Recording({"band.eda": (Block(EDA, 0, 0.0, np.empty((0, 1))),)})
    with pytest.raises(
        ValueError, match=r"^cannot plot the recording: no stream has a sample$"
    ):
        plot(empty)


def test_a_real_participant_is_plotted_with_conditions_and_ratings(
    data: Path, tmp_path: Path
) -> None:
    from physio.datasets.open_recording import read

    recording = read(data / "wesad" / "S10")
    figure = plot(recording)
    figure.savefig(tmp_path / "participant.png")
    assert {"baseline", "stress", "amusement"} <= set(texts(figure))
