"""The page of correction without a browser: pictures, order, entries, attacks."""

import http.client
import json
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from physio.cli import app
from physio.core.block import Block, Channel, StreamInfo
from physio.core.edits import EditHistory
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan
from physio.io import xdf
from physio.offline.analysis import analyze
from physio.offline.conditions import recorded_conditions
from physio.offline.edit_marks import EditMarks
from physio.offline.edits_file import EditedRecording, read_history, write_history
from physio.view.editor.edit_session import COLUMNS, EditorSource, EditSession
from physio.view.editor.editor_site import editor_site
from physio.view.editor.pyramid import Pyramid
from physio.view.editor.shown_order import ShownOrder
from physio.view.web.page_server import PageServer
from synthetic_signals import ECG, EDA, beat_times, block, session

AT = "2026-04-12T10:00:00+00:00"


@dataclass
class Opened:
    """A page's session, and the file of its edits."""

    state: EditSession
    file: Path
    marks: EditMarks

    def apply(self, kind: str, **content: Any) -> dict[str, Any]:
        return self.state.apply({"kind": kind, **content})

    def shown(self, recorded: float) -> float:
        """Return a time of the recording as shown."""
        return float(self.state.order.shown_times(np.array([recorded]))[0])


@pytest.fixture(scope="module")
def marks() -> EditMarks:
    return EditMarks(session())


@pytest.fixture
def opened(tmp_path: Path, marks: EditMarks) -> Opened:
    path = tmp_path / "p07.xdf"
    path.write_bytes(b"any")
    place = EditedRecording.of(path)
    file = place.path("r1")
    whole = session()
    source = EditorSource(
        whole, recorded_conditions(whole), marks, partial(write_history, file),
        lambda: AT,
    )  # fmt: skip
    history = EditHistory("p07.xdf", place.sha256(), "r1", 3)
    return Opened(EditSession(source, history), file, marks)


# Signals at any zoom.


def envelope(pyramid: Pyramid, begin: float, end: float, columns: int) -> np.ndarray:
    return pyramid.envelope(np.linspace(begin, end, columns + 1))


@pytest.mark.parametrize("per_column", [2, 7, 64, 500, 3000])
def test_columns_hold_the_least_and_greatest_sample(per_column: int) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(100_000, 3))
    values[5000:9000, 1] = np.nan
    pyramid = Pyramid.of([block("a.x", "misc", "1", 100, values, "x", "y", "z")])
    columns = 100_000 // per_column
    found = envelope(pyramid, 0.0, columns * per_column / 100, columns)
    parts = values[: columns * per_column].reshape(columns, per_column, 3)
    with warnings.catch_warnings(action="ignore"):  # of columns without a sample
        least, greatest = np.nanmin(parts, 1), np.nanmax(parts, 1)
    slack = 1 if per_column < 64 else 3  # a coarser level reaches into neighbours
    if slack == 1:
        np.testing.assert_allclose(found[0], least, rtol=1e-6)
        np.testing.assert_allclose(found[1], greatest, rtol=1e-6)
    else:
        assert np.nanmax(found[1]) == np.float32(np.nanmax(values))
        assert np.nanmin(found[0]) == np.float32(np.nanmin(values))
        inside = np.isfinite(found[0]) & np.isfinite(least)
        assert np.median(np.abs(found[0] - least)[inside]) < 0.05
    if per_column < 1000:
        assert np.isnan(found[0][5000 // per_column + 2, 1])


def test_between_samples_are_lines_and_outside_is_nothing() -> None:
    pyramid = Pyramid.of([block("a.x", "misc", "1", 2, np.array([0.0, 1.0, 3.0]))])
    found = envelope(pyramid, 0.0, 1.0, 10)[..., 0]
    np.testing.assert_allclose(found[0], np.r_[0:1:0.2, 1:3:0.4], atol=1e-6)
    assert np.isnan(envelope(pyramid, -2.0, -1.0, 5)).all()
    assert np.isnan(envelope(pyramid, 5.0, 50.0, 5)).all()


def test_drift_is_removed_and_the_range_is_that_of_the_signal() -> None:
    seconds, rate = 240, 128
    t = np.arange(seconds * rate) / rate
    drift = 1e4 + 50 * t[:, None] + np.sin(2 * np.pi * 10 * t)[:, None]
    info = StreamInfo("a.eeg", Fraction(rate), (Channel("Cz", "eeg", "uV"),))
    pyramid = Pyramid.of([Block(info, 0, 0.0, drift)])
    ((middle, spread),) = pyramid.ranges()
    assert abs(middle) < 0.3
    assert spread == pytest.approx(2.0, abs=0.2)


# Order of the segments.


def test_each_condition_is_a_segment_and_the_order_is_that_of_the_seed() -> None:
    conditions = (ConditionSpan("a", 10.0, 70.0), ConditionSpan("b", 70.0, 400.0))
    order = ShownOrder.of(600.0, conditions, 5)
    assert order.seconds == pytest.approx(600.0)
    spans = sorted((s.begin, s.end) for s in order.segments)
    assert spans == [(0, 10), (10, 70), (70, 400), (400, 500), (500, 600)]
    assert order == ShownOrder.of(600.0, conditions, 5)
    others = {ShownOrder.of(600.0, conditions, k).segments for k in range(8)}
    assert len(others) > 4
    in_time = ShownOrder.of(600.0, conditions, None).segments
    assert [s.begin for s in in_time] == sorted(s.begin for s in in_time)


def test_times_go_to_and_fro_and_a_span_ends_with_its_segment() -> None:
    order = ShownOrder.of(100.0, (ConditionSpan("a", 20.0, 50.0),), 2)
    times = np.linspace(0.0, 99.9, 500)
    shown = order.shown_times(times)
    assert not np.isnan(shown).any()
    back = [order.recorded(t) for t in shown]
    np.testing.assert_allclose(back, times, atol=1e-9)
    inside = float(order.shown_times(np.array([45.0]))[0])
    assert order.span(inside, inside + 60.0) == pytest.approx((45.0, 50.0))
    assert order.condition(inside) == (20.0, 50.0)
    parts = order.shown_spans(10.0, 60.0)
    assert sum(b - a for a, b in parts) == pytest.approx(50.0)
    with pytest.raises(ValueError, match="outside of the recording, which lasts 100"):
        order.recorded(101.0)


def test_conditions_that_overlap_or_exceed_the_recording_lose_nothing() -> None:
    conditions = (
        ConditionSpan("a", -5.0, 30.0), ConditionSpan("b", 20.0, 60.0),
        ConditionSpan("c", 90.0, 500.0), ConditionSpan("d", 300.0, 400.0),
    )  # fmt: skip
    order = ShownOrder.of(100.0, conditions, 1)
    assert order.seconds == pytest.approx(100.0)
    at = float(order.shown_times(np.array([10.0]))[0])
    assert order.condition(at) == (0.0, 30.0)
    assert [c.name for c in order.conditions] == ["a", "b", "c"]


@pytest.mark.parametrize("gap", [0.0, 0.3])
def test_a_condition_within_another_is_excluded_alone(gap: float) -> None:
    """Bounds of a condition near those of the one around it do not join the two."""
    whole, part = ConditionSpan("whole", 10.0, 70.0), (50.0, 70.0 - gap)
    first = ConditionSpan("first", 10.0 + gap, 30.0)
    order = ShownOrder.of(100.0, (whole, first, ConditionSpan("last", *part)), 2)
    for at, span in ((20.0, (10.0 + gap, 30.0)), (40.0, (10.0, 70.0)), (60.0, part)):
        shown = float(order.shown_times(np.array([at]))[0])
        assert order.condition(shown) == span
    names = {s.begin: [c.name for c in order.around(s)] for s in order.segments}
    assert [names[k] for k in sorted(names)] == [
        [], ["whole", "first"], ["whole"], ["whole", "last"], [],
    ]  # fmt: skip


# Entries.


def test_the_page_holds_no_condition_no_marker_and_no_time(opened: Opened) -> None:
    text = json.dumps(opened.state.description())
    for word in ("rest", "task", "begin task", "seed"):
        assert f'"{word}' not in text
    described = opened.state.description()
    assert described["blind"]
    assert described["events"] == []
    assert [s["label"] for s in described["segments"]] == ["", ""]
    assert not opened.file.exists()


def test_triggers_and_stimulus_sensors_are_hidden_while_blind() -> None:
    wave = np.arange(1280.0)
    eeg = block("cap.eeg", "eeg", "uV", 128, np.c_[wave, wave, wave], "Cz", "S", "P")
    kinds = (Channel("Cz", "eeg", "uV"), Channel("Status", "stim", "1"),
             Channel("Photodiode 1", "eeg", "uV"))  # fmt: skip
    eeg = replace(eeg, info=replace(eeg.info, channels=kinds))
    whole = Recording({b.info.name: (b,) for b in (
        block("pc.audio", "misc", "1", 128, wave), eeg,
        block("cap.stim", "stim", "1", 128, wave),
        block("armband.ppg", "bio", "1", 128, wave, "light"),
    )})  # fmt: skip
    source = EditorSource(
        whole, (), EditMarks(whole), lambda *_: None, lambda: AT
    )  # fmt: skip
    state = EditSession(source, EditHistory("p07.xdf", "0", "r1", 3))
    shown = {s["name"]: [c["name"] for c in s["channels"]]
             for s in state.description()["streams"]}  # fmt: skip
    assert shown == {"cap.eeg": ["Cz"], "armband.ppg": ["light"]}
    assert len(state.tile(0, 12, 0)) == 2 * COLUMNS * 4
    with pytest.raises(ValueError, match="no stream 2"):
        state.tile(2, 12, 0)
    with pytest.raises(ValueError, match=r"no channel 'Status': Cz$"):
        state.apply({"kind": "bad", "stream": "cap.eeg", "channels": ["Status"],
                     "begin": 1, "end": 2})  # fmt: skip
    state.apply({"kind": "unblind", "why": "look at the triggers"})
    shown = [s["name"] for s in state.description()["streams"]]
    assert shown == ["pc.audio", "cap.eeg", "cap.stim", "armband.ppg"]
    assert len(state.tile(1, 12, 0)) == 3 * 2 * COLUMNS * 4


def test_unblinding_shows_them_and_is_stored(opened: Opened) -> None:
    with pytest.raises(ValueError, match="state why"):
        opened.apply("unblind")
    assert not opened.file.exists()
    state = opened.apply("unblind", why="look at the markers")
    assert [s["label"] for s in state["segments"]] == ["rest", "task"]
    assert {e["label"] for e in state["events"]} >= {"begin rest", "begin task"}
    assert read_history(opened.file).unblinded[0].why == "look at the markers"


def test_entries_are_stored_in_times_of_the_recording(opened: Opened) -> None:
    place = {"stream": ECG[0], "channels": [ECG[1]]}
    beats = opened.state.state()["beats"][0]
    opened.apply("bad", **place, begin=opened.shown(12.0), end=opened.shown(14.5))
    near = opened.shown(float(beat_times(120.0)[20]))
    state = opened.apply("delete beat", **place, begin=near, why="an artifact")
    assert len(state["beats"][0]["times"]) == len(beats["times"]) - 1 - 3
    state = opened.apply(
        "add scr", stream=EDA[0], channels=[EDA[1]], begin=opened.shown(95.0)
    )
    assert len(state["scrs"]) == 5
    state = opened.apply("undo")
    assert len(state["scrs"]) == 4
    state = opened.apply("exclude", begin=opened.shown(70.0))
    assert sorted(s["excluded"] for s in state["segments"]) == [False, True]
    assert [e["undone"] for e in state["entries"]] == [False, False, True, False, False]
    edits = read_history(opened.file).active
    assert [e.kind for e in edits] == ["bad", "delete beat", "exclude"]
    assert (edits[0].begin, edits[0].end) == pytest.approx((12.0, 14.5), abs=1e-3)
    assert edits[1].why == "an artifact"
    assert (edits[2].begin, edits[2].end) == pytest.approx((60.0, 120.0), abs=0.1)


def test_the_page_shows_what_an_analysis_finds(opened: Opened) -> None:
    """Beats of the page and of `physio.analyze` agree, also with edits."""
    opened.apply(
        "add beat", stream=ECG[0], channels=[ECG[1]],
        begin=opened.shown(float(beat_times(120.0)[40]) + 0.3),
    )  # fmt: skip
    state = opened.apply(
        "bad", stream=ECG[0], begin=opened.shown(20.0), end=opened.shown(30.0)
    )
    edits = opened.state.history.on_clock(0.0)
    found = analyze(session(), edits=edits).beats["time"].to_numpy(float)
    shown = np.sort(opened.state.order.shown_times(found))
    assert state["beats"][0]["times"] == pytest.approx(shown.tolist(), abs=2e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "no edit None"),
        ({"kind": "erase"}, "no edit 'erase'"),
        ({"kind": ["bad"]}, "no edit"),
        ({"kind": "bad", "stream": "x", "begin": 1, "end": 2}, "no stream 'x'"),
        ({"kind": "bad", "stream": ["x"], "begin": 1, "end": 2}, "no stream"),
        ({"kind": "bad", "stream": ECG[0], "begin": "1", "end": 2}, "state where"),
        ({"kind": "bad", "stream": ECG[0], "begin": True, "end": 2}, "state where"),
        ({"kind": "bad", "stream": ECG[0], "begin": 1}, "needs an end"),
        (
            {"kind": "bad", "stream": ECG[0], "begin": 1, "end": 1},
            r"bad has one time, 1\.000 s, where two differ",
        ),
        (
            {"kind": "move beat", "stream": ECG[0], "channels": ["ecg"], "begin": 1,
             "end": 1},
            "move beat has one time",
        ),
        ({"kind": "bad", "stream": ECG[0], "begin": -5, "end": 1}, "lies outside"),
        ({"kind": "bad", "stream": ECG[0], "begin": 1e9, "end": 2e9}, "lies outside"),
        (
            {"kind": "bad", "stream": ECG[0], "channels": ["eda"], "begin": 1,
             "end": 2},
            "has no channel 'eda'",
        ),
        (
            {"kind": "bad", "stream": ECG[0], "channels": "ecg", "begin": 1, "end": 2},
            "no list of channels",
        ),
        (
            {"kind": "add beat", "stream": EDA[0], "channels": ["gsr"], "begin": 1},
            "a beat is edited on an ECG",
        ),
        (
            {"kind": "add scr", "stream": ECG[0], "channels": ["ecg"], "begin": 1},
            "an SCR is edited on skin conductance",
        ),
        ({"kind": "add beat", "stream": ECG[0], "begin": 1}, "channel, not of 0"),
        (
            {"kind": "move beat", "stream": ECG[0], "channels": ["ecg"], "begin": 1,
             "end": 100},
            "within its segment only",
        ),
        ({"kind": "undo"}, "nothing to undo"),
        ({"kind": "undo", "of": 3}, "edit 3 cannot be undone"),
        ({"kind": "redo", "of": "1"}, "no number"),
        ({"kind": "undo", "why": 3}, "no edit"),
        (
            {"kind": "exclude", "begin": 1, "why": "x" * 600},
            "reason has 600 characters",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_a_sentence_and_nothing_is_stored(
    opened: Opened, content: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        opened.state.apply(content)
    assert not opened.file.exists()
    assert opened.state.history.entries == ()


def test_two_pages_on_one_file_lose_nothing(opened: Opened) -> None:
    other = EditSession(opened.state.source, opened.state.history)
    opened.apply("exclude", begin=1.0)
    with pytest.raises(ValueError, match="changed by another program"):
        other.apply({"kind": "exclude", "begin": 100.0})
    assert len(read_history(opened.file).entries) == 1


def test_a_tile_holds_the_segments_in_their_order(opened: Opened) -> None:
    level = 12  # 1/16 s a column
    parts = []
    for index in range(4):
        tile = np.frombuffer(opened.state.tile(0, level, index), np.float32)
        parts.append(tile.reshape(2, COLUMNS, 1)[1, :, 0])
    greatest = np.concatenate(parts)
    filled = np.isfinite(greatest)
    assert filled.sum() == pytest.approx(120 * 16, abs=2)
    at = np.flatnonzero(greatest > 0.6) / 16
    shown = opened.state.order.shown_times(beat_times(120.0))
    assert all(np.min(np.abs(at - t)) < 0.13 for t in shown if t < 119.5)
    for stream, bad_level, index in ((9, 0, 0), (0, 99, 0), (0, 0, 10**9)):
        with pytest.raises(ValueError, match="there is no"):
            opened.state.tile(stream, bad_level, index)


# The site under attack.


@pytest.fixture
def served(opened: Opened) -> Iterator[tuple[PageServer, Opened]]:
    with PageServer(editor_site(opened.state)) as server:
        yield server, opened


def ask(
    server: PageServer, path: str, body: bytes = b"", **headers: str
) -> tuple[int, bytes]:
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        link.request("POST" if body else "GET", path, body or None, named)
        answer = link.getresponse()
        return answer.status, answer.read()
    finally:
        link.close()


def test_every_route_needs_the_cookie_and_the_origin(
    served: tuple[PageServer, Opened],
) -> None:
    server, opened = served
    own = f"http://127.0.0.1:{server.port}"
    cookie = f"physio-{server.port}-edit={server.tokens['edit']}"
    entry = json.dumps({"kind": "exclude", "begin": 1.0}).encode()
    kind = "application/json"
    paths = {
        "/edit": b"", "/edit/data": b"", "/edit/tile?stream=0&level=0&index=0": b"",
        "/edit/entry": entry, "/static/editor/editor.js": b"",
    }  # fmt: skip
    for path, body in paths.items():
        for headers in (
            {"Origin": own}, {"Origin": own, "Cookie": f"{cookie}x"},
            {"Origin": "http://evil.example", "Cookie": cookie},
            {"Origin": own, "Cookie": cookie, "Host": "evil.example"},
        ):  # fmt: skip
            assert ask(server, path, body, Content_Type=kind, **headers)[0] == 403
    assert ask(server, "/edit/entry", entry, Content_Type=kind, Cookie=cookie)[0] == 403
    assert not opened.file.exists()
    for path in paths:
        if path != "/edit/entry":
            assert ask(server, path, Cookie=cookie)[0] == 200
    sent = {"Cookie": cookie, "Origin": own, "Content_Type": kind}
    status, reply = ask(server, "/edit/entry", entry, **sent)
    assert status == 200
    assert json.loads(reply)["entries"][0]["kind"] == "exclude"
    status, reply = ask(server, "/edit/entry", b'{"kind": "bad"}', **sent)
    assert status == 400
    assert "state where it is" in json.loads(reply)["error"]
    for query in (
        "", "?stream=0&level=0", "?stream=-1&level=0&index=0",
        "?stream=0&level=0&index=1e3", "?stream=0&level=0&index=99999",
    ):  # fmt: skip
        status, reply = ask(server, f"/edit/tile{query}", Cookie=cookie)
        assert status == 400, query
        assert json.loads(reply)["error"]
    page = ask(server, "/edit", Cookie=cookie)[1]
    assert b'<script type="module" src' in page
    assert b" style=" not in page


def test_a_recording_without_samples_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p07.xdf"
    xdf.write(path, Recording({"a.x": (block("a.x", "misc", "1", 4, np.empty(0)),)}))
    result = CliRunner().invoke(app, ["edit", str(path), "--no-open"])
    assert "p07.xdf has no samples: there is nothing to correct" in str(
        result.exception
    )


def test_commands_refuse_several_recordings_and_compare_two_raters(
    tmp_path: Path,
) -> None:
    path = tmp_path / "p07.xdf"
    xdf.write(path, session())
    run = partial(CliRunner().invoke, app)
    result = run(["edit", str(path), str(path)])
    assert "--compare takes several" in str(result.exception)
    assert "code of a rater" in str(
        run(["edit", str(path), "--rater", "a b", "--no-open"]).exception
    )
    place = EditedRecording.of(path)
    for rater, end in (("a", 30.0), ("b", 25.0)):
        longer = place.begin(rater).with_entry(
            "bad", AT, stream=ECG[0], begin=10.0, end=end, why="loose"
        )
        write_history(place.path(rater), longer)
    table = tmp_path / "agreement.csv"
    result = run(["edit", str(path), "--compare", "a", "b", "-o", str(table)])
    assert result.exit_code == 0, result.output
    kappa = next(t for t in result.output.splitlines() if "bad spans of chest" in t)
    agreed, chance = 115 / 120, (20 * 15 + 100 * 105) / 120**2
    assert f"kappa {(agreed - chance) / (1 - chance):.3f} (n = 120)" in kappa
    assert "scl of band.eda: ICC(2,1) 1.000 (n = 2)" in result.output
    assert table.read_text("utf-8").startswith("quantity,statistic,value,n,")
    result = run(["edit", str(path), "--compare", "a", "b", "-o", str(table)])
    assert "is not overwritten" in str(result.exception)
    assert math.isfinite(agreed)
