"""Reports on sessions, evaluations and audits: one file, nothing from elsewhere."""

import dataclasses
import importlib
import json
import pkgutil
import re
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import physio.dsp
import physio.features
import physio.quality
from physio.cli import app
from physio.core.block import Block, Channel, Origin, StreamInfo
from physio.core.events import event_stream, single_event
from physio.core.missing import MissingReason
from physio.core.recording import MARKERS, Recording
from physio.core.stage import Stage
from physio.view.plots.coverage import feature_figure, quality_figure, valid_fraction
from physio.view.plots.time_axes import ConditionInterval
from physio.view.reports.evaluation import audit_report, evaluation_report, forest_plot
from physio.view.reports.methods import (
    _CLAUSES,
    SessionFacts,
    methods_paragraph,
    session_facts,
)
from physio.view.reports.session import session_report

EDA = StreamInfo(
    "band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),), Origin.SIMULATED
)
BVP = StreamInfo(
    "band.bvp", Fraction(64), (Channel("bvp", "bio", "1"),), Origin.SIMULATED
)
EVIL = "<script>alert(1)</script>"


class Reader(HTMLParser):
    """Collects tags, and the words of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        links = [v for n, v in attrs if n in ("src", "href") and v]
        assert all(v.startswith("data:") for v in links)

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def block(info: StreamInfo, start: int, data: Any) -> Block:
    rows = np.array(data, np.float64).reshape(-1, len(info.channels))
    return Block(info, start, 0.0, rows)


def estimates(seconds: int) -> Block:
    names = ("valence", "valence.sd", "arousal", "arousal.sd")
    info = StreamInfo("estimates", Fraction(4), tuple(map(Channel, names)), Origin.DEMO)
    data = np.tile([0.2, 0.3, np.nan, np.nan], (4 * seconds, 1))
    data[: 4 * seconds // 2, :2] = MissingReason.WARMING_UP.nan
    return Block(info, 0, 0.0, data)


def session() -> Recording:
    rng = np.random.default_rng(0)
    eda = block(EDA, 0, 2 + 0.1 * rng.normal(size=40)), block(EDA, 80, np.full(40, 2.0))
    bvp = block(BVP, 0, rng.normal(size=64 * 30))
    events = {
        MARKERS: single_event(event_stream(MARKERS), 5.0, EVIL),
        "session.status": single_event(
            event_stream("session.status"), 20.0, "stalled: no data"
        ),
    }
    about = {
        "participant": "p07",
        "consent": EVIL,
        "begin": "0.0",
        "ended": "completed",
    }
    return Recording({"band.eda": eda, "band.bvp": (bvp,)}, events, (), about)


def parts() -> list[ConditionInterval]:
    return [ConditionInterval("rest", 0.0, 15.0), ConditionInterval(EVIL, 15.0, 30.0)]


def test_shares_of_time_tell_gaps_slow_streams_and_what_stands_still() -> None:
    edges = np.linspace(0, 30, 121)  # pieces of 0.25 s, one sample of EDA each
    eda = valid_fraction(session().streams["band.eda"], edges)
    np.testing.assert_array_equal(eda[:40], 1)
    np.testing.assert_array_equal(eda[40:80], 0)  # lost
    np.testing.assert_array_equal(eda[80:120], 1)  # the skin may stand still
    fine = valid_fraction(session().streams["band.eda"], np.linspace(0, 9.75, 391))
    np.testing.assert_array_equal(fine[:380], 1)  # no sample in most: none was due
    still = valid_fraction((block(BVP, 0, np.ones(64 * 4)),), np.linspace(0, 4, 5))
    np.testing.assert_array_equal(still, 0)  # a pulse that stands still is none


def test_a_report_on_a_session_says_what_was_there_and_stands_by_itself() -> None:
    page = session_report(session(), None, estimates(30), parts())
    read = Reader(str(page))
    assert not {"script", "link", "iframe"} & set(read.tags)
    assert read.tags.count("img") == 2  # no value in the baseline, no distribution
    words = re.sub(r"\s+", " ", read.text)
    assert "SIMULATED" in words
    assert "DEMO WEIGHTS" in words
    assert EVIL in words
    assert "p07" in words
    # 40 of 120 samples of EDA were lost, in one gap of 10 s.
    assert "40 33.33% 10.00" in words
    assert "+0.20 ± 0.30" in words
    assert "stalled: no data" in words


def test_the_true_affect_of_a_simulated_participant_is_drawn() -> None:
    info = StreamInfo("band.truth", Fraction(4), (Channel("valence"),))
    truth = block(info, 0, np.full(120, 0.25))
    recording = session()
    recording = replace(
        recording, streams={**recording.streams, "band.truth": (truth,)}
    )
    page = session_report(recording, None, estimates(30))
    lines = {
        line.get_label() for ax in page.figures["overview"].axes for line in ax.lines
    }
    assert "true value" in lines


def test_a_report_on_estimates_of_arousal_alone() -> None:
    names = ("arousal", "arousal.sd")
    info = StreamInfo("estimates", Fraction(4), tuple(map(Channel, names)))
    only = Block(info, 0, 0.0, np.tile([0.25, 0.3], (120, 1)))
    text = Reader(str(session_report(session(), None, only, parts()))).text
    text = re.sub(r"\s+", " ", text)
    assert "Signals (above) and arousal (below)" in text
    assert "+0.25 ± 0.30" in text
    assert "100%" in text
    before_methods = text.split("Methods")[0].lower()
    assert "valence" not in before_methods
    assert "dominance" not in before_methods


def test_a_report_on_a_session_that_computed_nothing() -> None:
    page = session_report(session(), None, None)
    assert "Valence" not in Reader(str(page)).text.split("Methods")[0]


def test_pictures_are_kept_in_three_formats(tmp_path: Path) -> None:
    page = session_report(session(), None, None)
    made = page.save_figures(tmp_path / "figures")
    names = sorted(p.name for p in made)
    kinds = ("pdf", "png", "svg")
    assert names == [f"{n}.{k}" for n in ("overview", "quality") for k in kinds]
    assert (tmp_path / "figures" / "quality.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "figures" / "quality.pdf").read_bytes()[:4] == b"%PDF"


def test_methods_are_those_of_the_session_with_whom_to_cite() -> None:
    stage = {"use": "physio.features.cardiac.heart_rate:HeartRate", "window": 10.0,
             "accepted": 0.8}  # fmt: skip
    later = {"use": "physio.features.cardiac.beat_to_beat:BeatToBeatVariability",
             "window": 60.0, "min_pairs": 30}  # fmt: skip
    stages = [{"use": "physio.core.stage:Fork", "stages": [stage, later]}]
    config = {
        "chains": {"heart": {"stream": "band.bvp", "stages": stages}},
        "estimator": {"experts": [{"weights": "wrist"}]},
    }
    facts = SessionFacts("1.2.3", ("heart",), ("arousal",), "a baseline")
    text, references = methods_paragraph(config, "1.2.4", facts)
    assert "recorded with physio-affect 1.2.3" in text
    assert "processed with physio-affect 1.2.4" in text
    assert "scaled to [-1, 1], relative to a baseline;" in text
    assert "Arousal (Russell, 1980) were estimated" in text
    assert "he heart rate over 10.0 s" in text
    assert "RMSSD over 60.0 s (Task Force, 1996)" in text
    assert "where at least 80% of the intervals" in text
    assert "at least 30 pairs of successive accepted intervals" in text
    assert "not measurements of emotion" in text
    assert any("Task Force of the European Society" in r for r in references)
    assert any("WESAD" in r for r in references)
    assert not any("Differential entropy" in r for r in references)


@pytest.mark.parametrize(
    ("facts", "absent"),
    [
        (SessionFacts(), ("recorded", "processed", "heart", "estimated", "WESAD")),
        (SessionFacts("1"), ("processed", "heart", "estimated", "WESAD")),
        (SessionFacts("", ("heart",)), ("recorded", "estimated", "WESAD", "relative")),
        (SessionFacts("1", (), ("arousal",)), ("eart rate", "WESAD", "relative to")),
    ],
)
def test_methods_state_only_what_happened(
    facts: SessionFacts, absent: tuple[str, ...]
) -> None:
    stage = {"use": "physio.features.cardiac.heart_rate:HeartRate", "window": 10.0,
             "accepted": 0.8}  # fmt: skip
    config = {
        "chains": {"heart": {"stream": "band.bvp", "stages": [stage]}},
        "estimator": {"experts": [{"weights": "wrist"}]},
    }
    text, references = methods_paragraph(config, "1", facts)
    for word in absent:
        assert word not in text
        assert not any(word in r for r in references)
    if facts == SessionFacts():
        assert (text, references) == ("", [])


def test_facts_are_those_of_the_recording() -> None:
    rows = [
        {"computed": [{"chain": "eda", "share": 0.4}, {"chain": "heart", "share": 0.0}]}
    ]
    whole = session()
    events = {k: v for k, v in whole.events.items() if not k.startswith("session.")}
    bare = replace(whole, events=events, metadata={"physio-affect": "1"})
    facts = session_facts(bare, estimates(30), rows)
    assert facts.version == "1"
    assert facts.chains == ["eda"]
    assert set(facts.dimensions) <= {"valence", "arousal", "dominance"}
    assert facts.baseline.startswith("the beginning of the session, as no resting")
    markers = single_event(event_stream("session.markers"), 1.0, "baseline start")
    replayed = {"physio-affect": "1", "replayed": "a.xdf"}
    rested = replace(bare, events={"session.markers": markers}, metadata=replayed)
    facts = session_facts(rested, None, ())
    assert facts == SessionFacts("", [], [], "the participant's resting baseline")


def test_every_clause_of_the_methods_belongs_to_a_stage_and_its_settings() -> None:
    stages = {
        value.__name__: value
        for package in (physio.dsp, physio.features, physio.quality)
        for _, name, _ in pkgutil.walk_packages(
            package.__path__, package.__name__ + "."
        )
        for value in vars(importlib.import_module(name)).values()
        if isinstance(value, type) and issubclass(value, Stage)
    }
    for name, clause in _CLAUSES.items():
        fields = {field.name for field in dataclasses.fields(stages[name])}
        used = {part[1] for part in Formatter().parse(clause) if part[1]}
        assert used <= fields, name


def result(**more: Any) -> dict[str, Any]:
    each = {"S1": 0.5, "S2": 0.9, "S3": None}
    row = {"model": "wrist", "metric": "macro-F1", "mean": 0.7, "low": 0.5, "high": 0.9,
           "per_participant": each}  # fmt: skip
    clock = {**row, "model": EVIL, "mean": 0.2, "low": None, "high": None}
    return {"dataset": "WESAD", "protocol": "loso", "participants": list(each),
            "rows": [row, clock], **more}  # fmt: skip


def test_a_report_on_an_evaluation_has_the_audit_on_top() -> None:
    finding = {
        "kind": "time only",
        "fold": "",
        "leak": True,
        "text": "the label goes on",
    }
    audit = {"ok": False, "protocol": "loso", "findings": [finding]}
    read = Reader(str(evaluation_report(result(audit=audit))))
    assert "script" not in read.tags
    text = re.sub(r"\s+", " ", read.text)
    assert text.index("this split has leakage") < text.index("Performance in held-out")
    assert "0.7 (0.5 to 0.9)" in text
    without = Reader(str(evaluation_report(result()))).text
    assert "The split was not audited for leakage." in without
    leaky = Reader(str(evaluation_report({**result(), "protocol": "paper-row"}))).text
    assert "This protocol has leakage" in leaky
    assert "held-out" not in leaky
    blocked = Reader(
        str(evaluation_report({**result(), "protocol": "time-blocked"}))
    ).text
    assert "Performance in held-out participants" not in blocked
    assert "the label goes on" in Reader(str(audit_report(audit))).text


def test_a_picture_of_a_measure_has_every_participant() -> None:
    ax = forest_plot(result()["rows"], "macro-F1").axes[0]
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [0.5, 0.9])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["wrist", EVIL]


def test_quality_is_drawn_for_each_stream() -> None:
    figure = quality_figure(session().streams, 0.0, 30.0)
    ticks = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert ticks[:2] == ["band.eda", "band.bvp"]


@pytest.mark.parametrize(("text", "message"), [
    ("{}", "is neither an evaluation (dataset, protocol, rows) nor an audit"),
    ("no json", "is neither an evaluation (dataset, protocol, rows) nor an audit"),
    ('{"rows": [{"a": 1}]}', "is neither an evaluation (dataset, protocol, rows) nor"),
])  # fmt: skip
def test_json_that_is_no_result_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "x.json"
    path.write_text(text, "utf-8")
    done = CliRunner().invoke(app, ["report", str(path)])
    assert isinstance(done.exception, ValueError)
    assert message in str(done.exception)


def test_the_command_reports_on_a_result_and_keeps_its_pictures(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(result()), "utf-8")
    line = ["report", str(path), "--figures", str(tmp_path / "fig")]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0
    assert (tmp_path / "evaluation.html").is_file()
    assert (tmp_path / "fig" / "macro-F1.svg").is_file()


def test_markers_against_a_photodiode_are_a_row_of_the_data_sheet() -> None:
    made = session_report(session(), None, None, (), {"photodiode": "+19.8 ms"})
    told = Reader(str(made)).text
    assert re.search(r"delay of photodiode behind its marker\s+\+19\.8 ms", told)


def test_responses_and_the_heart_are_drawn_where_there_are_any() -> None:
    columns = tuple(map(Channel, ("eda.scr_rate", "heart.rate", "eeg.de.alpha.F3")))
    info = StreamInfo("features", Fraction(4), columns)
    data = np.tile([3.0, 62.0, 1.0], (40, 1))
    figure = feature_figure(
        Block(info, 0, 0.0, data), [ConditionInterval("rest", 0.0, 5.0)]
    )
    assert figure is not None
    labels = [text.get_text().partition("\n")[0] for text in figure.texts]
    assert [t for t in labels if "." in t] == ["eda.scr_rate", "heart.rate"]
    nothing = Block(info, 0, 0.0, np.full((40, 3), np.nan))
    assert feature_figure(nothing, []) is None
