"""Edits by eye: their history and file, their effect on every output, agreement."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from physio.cli import app
from physio.core.block import Channel
from physio.core.edits import Edit, EditHistory, union_seconds
from physio.core.events import Events, event_stream
from physio.datasets.base import ConditionSpan
from physio.datasets.open_recording import read
from physio.io import xdf
from physio.io.anonymize import anonymize, anonymize_edits
from physio.io.bids.bids_export import export
from physio.offline.analysis import Analysis, analyze
from physio.offline.condition_measures import MeasureSettings
from physio.offline.condition_table import RecordingJob, TableSettings, measure_file
from physio.offline.conditions import ConditionSheet
from physio.offline.edits_file import (
    EditedRecording,
    EditsChoice,
    edits_of,
    read_history,
    write_history,
)
from physio.offline.edits_summary import edits_summary, spans_beside
from physio.offline.rater_agreement import (
    RatedRecording,
    agreement_table,
    cohen_kappa,
    icc_2_1,
    rated,
)
from synthetic_signals import ECG, EDA, TRUE, block, recording, session

AT = "2026-04-12T10:00:00+00:00"
SPANS = (ConditionSpan("rest", 0.0, 60.0), ConditionSpan("task", 60.0, 120.0))


def history(*entries: tuple[str, dict[str, Any]], rater: str = "r1") -> EditHistory:
    edits = EditHistory("p07.xdf", "0", rater, 7)
    for kind, settings in entries:
        edits = edits.with_entry(kind, AT, **settings)
    return edits


def point(
    kind: str, place: tuple[str, str], begin: float, end: float = math.nan
) -> Any:
    return kind, {
        "stream": place[0], "channels": (place[1],), "begin": begin, "end": end,
    }  # fmt: skip


def bad(stream: str, begin: float, end: float, *channels: str) -> Any:
    return "bad", {
        "stream": stream, "channels": channels, "begin": begin, "end": end,
        "why": "movement",
    }  # fmt: skip


@pytest.fixture(scope="module")
def plain() -> Analysis:
    return analyze(session())


def edited(*entries: Any) -> Analysis:
    whole = session()
    return analyze(whole, edits=history(*entries).on_clock(whole.begin, "f"))


# History.


def test_undo_and_redo_are_recorded_and_nothing_is_removed() -> None:
    first = history(bad("a", 0, 1), bad("a", 2, 3), bad("a", 4, 5))
    undone = first.with_entry("undo", AT).with_entry("undo", AT, of=1)
    assert [e.number for e in undone.active] == [2]
    assert len(undone.entries) == 5
    again = undone.with_entry("redo", AT)
    assert [e.number for e in again.active] == [1, 2]
    assert [e.number for e in again.with_entry("redo", AT).active] == [1, 2, 3]
    with pytest.raises(ValueError, match="nothing to redo"):
        first.with_entry("redo", AT)
    with pytest.raises(ValueError, match="nothing to undo"):
        history().with_entry("undo", AT)
    with pytest.raises(ValueError, match="edit 9 cannot be undone: it is not in eff"):
        first.with_entry("undo", AT, of=9)
    with pytest.raises(ValueError, match="edit 1 cannot be redone"):
        first.with_entry("redo", AT, of=1)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("erase", {}, "no edit 'erase'"),
        ("bad", {"stream": "a", "begin": 3.0, "end": 2.0}, "must end after its begin"),
        ("bad", {"begin": 1.0, "end": 2.0}, "names no stream"),
        ("bad", {"stream": "a", "begin": math.inf, "end": 2.0}, "no valid time"),
        ("bad", {"stream": "a", "begin": 1.0}, "no valid time"),
        ("add beat", {"stream": "a", "begin": 1.0}, "names 0 channels, not 1"),
        ("move scr", {"stream": "a", "channels": ("b",), "begin": 1.0}, "no valid"),
        ("bad", {"why": "x" * 501, "begin": 1.0, "end": 2.0}, "501 characters"),
        ("unblind", {"why": " "}, "state why"),
    ],
)
def test_bad_entries_are_refused(
    kind: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        history().with_entry(kind, AT, **settings)


def test_the_sentence_states_blinding_and_unblinding() -> None:
    blind = history(bad("a", 0, 1.5), point("add beat", ECG, 3.0))
    assert blind.sentence("f") == (
        "edited by eye (f, rater r1): 1 bad span (1.5 s), 1 beat; the rater was blind "
        "to conditions"
    )
    shown = blind.with_entry("unblind", AT, why="markers are needed")
    shown = shown.with_entry("exclude", AT, begin=0.0, end=60.0)
    assert shown.sentence().endswith(
        "1 excluded condition; UNBLINDED on 2026-04-12 at 10:00 (markers are needed), "
        "1 of 3 edits made after"
    )


def test_seconds_under_several_spans_count_once() -> None:
    assert union_seconds([(0, 2), (1, 3), (5, 6)]) == 4.0
    assert union_seconds([]) == 0.0


# File.


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "p07.xdf"
    xdf.write(path, session())
    return path


def store(path: Path, *entries: Any, rater: str = "r1") -> Path:
    """Write edits beside a recording; return their file."""
    place = EditedRecording.of(path)
    edits = history(*entries, rater=rater)
    whole = replace(place.begin(rater), entries=edits.entries)
    write_history(place.path(rater), whole)
    return place.path(rater)


def test_a_file_comes_back_and_only_grows(file: Path) -> None:
    before = file.read_bytes()
    path = store(file, bad(ECG[0], 0.0, 2.5, "ecg"), point("add beat", ECG, 3.0))
    assert path.name == "p07.xdf.edits.r1.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    known = read_history(path)
    assert known.entries[0].begin == 0.0
    assert known.entries[0].channels == ("ecg",)
    assert math.isnan(known.entries[1].end)
    longer = known.with_entry("undo", AT)
    write_history(path, longer, known)
    first, second = known.entries
    assert read_history(path).entries[:2] == (first, replace(second, end=second.end))
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) == 4
    assert json.loads(lines[1]) == {
        "number": 1, "kind": "bad", "at": AT, "rater": "r1", "why": "movement",
        "stream": "chest.ecg", "channels": ["ecg"], "begin": 0.0, "end": 2.5,
    }  # fmt: skip
    with pytest.raises(ValueError, match="changed by another program"):
        write_history(path, longer, known)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda _: "", "line 1 is no JSON object"),
        (lambda t: t.replace('"format": 1', '"format": 2'), "no version 1"),
        (lambda t: t.replace('"seed"', '"sead"'), "line 1 is damaged"),
        (lambda t: t + "{\n", "line 4 is no JSON object"),
        (lambda t: t + "[1]\n", "line 4 is no JSON object"),
        (lambda t: t.replace('"kind": "bad"', '"kind": "good"'), "no edit 'good'"),
        (lambda t: t.replace('"begin": 5.0', '"begin": "x"'), "line 2 is damaged"),
        (lambda t: t.replace('"why"', '"whom"'), "there is no whom"),
        (lambda t: t.replace('"number": 2', '"number": 3'), "entries are missing"),
    ],
)
def test_a_damaged_file_is_refused_by_its_line(
    file: Path, damage: Callable[[str], str], message: str
) -> None:
    path = store(file, bad(ECG[0], 5.0, 6.0), point("add beat", ECG, 3.0))
    path.write_text(damage(path.read_text("utf-8")), "utf-8")
    with pytest.raises(ValueError, match=message) as error:
        edits_of(file, 0.0, EditsChoice())
    assert path.name in str(error.value)


def test_edits_of_another_recording_are_refused_by_name(file: Path) -> None:
    store(file, bad(ECG[0], 5.0, 6.0))
    other = session()
    xdf.write(file, replace(other, metadata={"participant": "p08"}))
    with pytest.raises(ValueError, match=r"edits of another recording or content than"):
        edits_of(file, 0.0, EditsChoice())
    result = CliRunner().invoke(app, ["table", str(file), "-o", "t.csv"])
    assert result.exit_code
    assert "sha256" in str(result.exception)
    nothing, words = edits_of(file, 0.0, EditsChoice(used=False))
    assert nothing is None
    assert words == "the edits by eye of r1 are not used"


def test_one_of_several_raters_is_named(file: Path) -> None:
    store(file, bad(ECG[0], 5.0, 6.0), rater="anna")
    store(file, bad(ECG[0], 5.0, 7.0), rater="ben")
    with pytest.raises(ValueError, match="edits of anna, ben: name one of them"):
        edits_of(file, 0.0, EditsChoice())
    with pytest.raises(ValueError, match="name one of them"):
        edits_of(file, 0.0, EditsChoice(rater="carl"))
    edits, words = edits_of(file, 1.0, EditsChoice(rater="ben"))
    assert edits is not None
    assert (edits.active[0].begin, edits.active[0].end) == (6.0, 8.0)
    assert "rater ben" in words
    for code in ("", "../x", "a b", "x" * 33):
        with pytest.raises(ValueError, match="the code of a rater"):
            EditedRecording.of(file).path(code)


def test_a_folder_is_hashed_by_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "a.csv").write_text("1", "utf-8")
    (folder / "b.csv").write_text("2", "utf-8")
    place = EditedRecording.of(folder)
    first = place.sha256()
    path = place.path("r1")
    assert path == tmp_path / "export.edits.r1.jsonl"
    write_history(path, place.begin())
    assert EditedRecording.of(folder).sha256() == first
    (folder / "b.csv").rename(folder / "c.csv")
    assert EditedRecording.of(folder).sha256() != first
    session_folder = tmp_path / "p07-1"
    session_folder.mkdir()
    xdf.write(session_folder / "recording.xdf", session())
    assert EditedRecording.of(session_folder).base.name == "recording.xdf"


def test_what_lies_beside_the_files_of_a_folder_does_not_matter(tmp_path: Path) -> None:
    band = tmp_path / "e4"
    band.mkdir()
    for name, unit in (("EDA", 4), ("TEMP", 4)):
        (band / f"{name}.csv").write_text(f"1544000000.0\n{unit}.0\n1\n2\n", "utf-8")
    tables = tmp_path / "tables"
    run = CliRunner().invoke
    assert (
        run(app, ["export", str(band), str(tables), "--format", "csv"]).exit_code == 0
    )
    other = tmp_path / "other"
    (other / "sub").mkdir(parents=True)
    (other / "sub" / "a.dat").write_text("1", "utf-8")
    for folder in (band, tables, other):
        first = EditedRecording.of(folder).sha256()
        (folder / "figures").mkdir()
        (folder / "results").mkdir()
        for name in (
            ".DS_Store", "report.html", "figures/1.png", "results/analysis.json",
            "results/spans.csv", "results/EDA.csv",
        ):  # fmt: skip
            (folder / name).write_text("1544000000.0\n4.0\n1\n", "utf-8")
        assert EditedRecording.of(folder).sha256() == first
        moved = folder.rename(tmp_path / f"{folder.name} of Monday")
        assert EditedRecording.of(moved).sha256() == first
    (moved / "sub" / "a.dat").write_text("2", "utf-8")
    assert EditedRecording.of(moved).sha256() != first


def test_a_bids_recording_has_one_hash_however_its_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(session(), tmp_path / "films", participant="01", task="rest")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "films")
    paths = ("films", "../" + tmp_path.name + "/films", "link", tmp_path / "films")
    places = [EditedRecording.of(Path(p), "sub-01_task-rest") for p in paths]
    assert len(places[0].files) > 1
    assert len({place.sha256() for place in places}) == 1


def test_one_program_at_a_time_writes(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("physio.offline.edits_file._WAIT", 0.05)
    path = store(file, bad(ECG[0], 0.0, 2.5))
    known = read_history(path)
    longer = known.with_entry("undo", AT)
    lock = path.with_name(f"{path.name}.lock")
    lock.touch()
    with pytest.raises(ValueError, match="is being written by another program"):
        write_history(path, longer, known)
    assert lock.exists()
    assert read_history(path).entries == known.entries
    os.utime(lock, (1.0, 1.0))  # of a program that was killed
    write_history(path, longer, known)
    assert not lock.exists()
    with pytest.raises(ValueError, match="was changed by another program"):
        write_history(path, longer, known)
    assert not lock.exists()
    assert len(read_history(path).entries) == 2


def test_edits_of_bids_are_of_one_recording(tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text("{}", "utf-8")
    folder = tmp_path / "sub-01" / "beh"
    folder.mkdir(parents=True)
    for run in (1, 2):
        name = f"sub-01_task-rest_run-{run}_recording-eda_physio.tsv.gz"
        (folder / name).write_bytes(bytes(run))
    both = "sub-01_ses-_task-rest"
    assert edits_of(tmp_path, 0.0, EditsChoice(), both) == (None, "")
    with pytest.raises(ValueError, match="names 2"):
        EditedRecording.of(tmp_path, both)
    place = EditedRecording.of(tmp_path / "sub-01_task-rest_run-1")
    assert place.name == "sub-01_task-rest_run-1"
    assert EditedRecording.of(tmp_path, f"{both}_run-2").name.endswith("run-2")
    edits = history(bad("a", 0.0, 1.0))
    write_history(place.path("r1"), replace(place.begin(), entries=edits.entries))
    edits_of_one, words = edits_of(tmp_path, 0.0, EditsChoice(), f"{both}_run-1")
    assert edits_of_one is not None
    nothing, words = edits_of(tmp_path, 0.0, EditsChoice(), both)
    assert nothing is None
    assert "the edits by eye are not used: " in words
    nothing, words = edits_of(tmp_path, 0.0, EditsChoice(used=False), both)
    assert (nothing, words) == (None, "the edits by eye are not used")


# Effect.


def near(analysis: Analysis, time: float) -> pd.Series:
    beats = analysis.beats
    return beats.iloc[(beats["time"] - time).abs().argmin()]


def test_a_deleted_beat_joins_two_intervals(plain: Analysis) -> None:
    result = edited(point("delete beat", ECG, TRUE[10]))
    assert len(result.beats) == len(plain.beats) - 1
    after = near(result, TRUE[11])
    assert after["interval"] == pytest.approx(TRUE[11] - TRUE[9], abs=0.01)
    assert after["accepted"]
    assert after["edited"]
    assert not after["corrected"]
    assert result.beats["edited"].sum() == 1


def test_an_added_beat_splits_an_interval_and_a_moved_one_shifts_two() -> None:
    result = edited(
        point("add beat", ECG, TRUE[20] + 0.4),
        point("move beat", ECG, TRUE[40] + 0.02, TRUE[40] + 0.1),
    )
    added = near(result, TRUE[20] + 0.4)
    assert added["interval"] == pytest.approx(0.4, abs=0.01)
    assert near(result, TRUE[21])["interval"] == pytest.approx(
        TRUE[21] - TRUE[20] - 0.4, abs=0.01
    )
    assert near(result, TRUE[40] + 0.1)["interval"] == pytest.approx(
        TRUE[40] + 0.1 - TRUE[39], abs=0.01
    )
    assert result.beats["edited"].sum() == 4
    assert result.beats["time"].is_monotonic_increasing


def test_a_bad_span_is_missing_and_no_interval_reaches_over_it(plain: Analysis) -> None:
    result = edited(bad(ECG[0], 30.0, 40.0), point("delete beat", ECG, 35.0))
    times = result.beats["time"]
    assert not ((times >= 30) & (times < 40)).any()
    after = result.beats[times >= 40].iloc[0]
    assert math.isnan(after["interval"])
    assert not after["accepted"]
    assert any("1 edit without effect: no beat" in note for note in result.notes)
    table = result.spans(SPANS).set_index(["condition", "measure"])
    rest = table.loc[("rest", "mean_heart_rate")]
    assert rest["marked_share"] == pytest.approx(10 / 60)
    assert rest["coverage"] < 0.86
    assert table.loc[("task", "mean_heart_rate"), "marked_share"] == 0.0
    assert table.loc[("rest", "scl"), "marked_share"] == 0.0  # of another stream
    whole = plain.spans(SPANS).set_index(["condition", "measure"])
    same = table.loc["task", "value"], whole.loc["task", "value"]
    pd.testing.assert_series_equal(*same)


def test_beats_of_intervals_alone_are_edited() -> None:
    rr = np.diff(TRUE)[:, None]
    info = event_stream("belt.rr", Channel("interval", "misc", "s"))
    events = Events(info, 120.0, TRUE[1:], rr, ("",) * len(rr))
    whole = replace(session(), streams={}, events={"belt.rr": events})
    place = "belt.rr", "interval"
    edits = history(
        point("delete beat", place, TRUE[10]), bad("belt.rr", 30.0, 40.0)
    ).on_clock(0.0)
    beats = analyze(whole, edits=edits).beats
    joined = beats[beats["edited"]]
    assert joined["interval"].tolist() == pytest.approx([TRUE[11] - TRUE[9]])
    assert not beats["time"].between(30, 39.999).any()
    assert beats["interval"].isna().sum() == 2  # the first one, and after the span


def test_responses_are_added_deleted_and_moved(plain: Analysis) -> None:
    assert plain.scrs["onset"].round().tolist() == [20, 50, 80, 105]
    result = edited(
        point("delete scr", EDA, 50.3),
        point("add scr", EDA, 30.0),
        point("move scr", EDA, 80.0, 79.0),
    )
    assert result.scrs["onset"].round().tolist() == [20, 30, 79, 105]
    assert result.scrs["edited"].tolist() == [False, True, True, False]
    moved = result.scrs.iloc[2]
    assert moved["amplitude"] == pytest.approx(0.30, abs=0.03)
    assert moved["peak"] == pytest.approx(81.2, abs=0.5)
    table = result.spans(SPANS).set_index(["condition", "measure"])
    assert table.loc[("rest", "scr_per_minute"), "value"] == pytest.approx(2.0)
    assert table.loc[("rest", "scr_per_minute"), "edited_share"] == pytest.approx(2 / 3)
    assert table.loc[("rest", "scl"), "edited_share"] == 0.0
    gone = edited(bad(EDA[0], 45.0, 60.0), point("add scr", EDA, 50.0))
    assert 50 not in gone.scrs["onset"].round().tolist()


def test_an_excluded_condition_says_so() -> None:
    exclude = ("exclude", {"begin": 0.5, "end": 60.0, "why": "talked"})
    table = edited(exclude).spans(SPANS)
    words = dict(zip(table["condition"], table["exclusion"], strict=True))
    assert words == {"rest": "excluded by eye (r1): talked", "task": ""}


def test_live_features_are_not_edited(file: Path, tmp_path: Path) -> None:
    store(file, bad(EDA[0], 5.0, 55.0), point("delete beat", ECG, TRUE[10]))
    table = written(file, tmp_path, "--live-features")
    live = table[table["analysis"].str.startswith("live")]
    plain_table = written(file, tmp_path / "b", "--live-features", "--no-edits")
    other = plain_table[plain_table["analysis"].str.startswith("live")]
    assert len(live) > 20
    pd.testing.assert_series_equal(
        live["value"].reset_index(drop=True), other["value"].reset_index(drop=True)
    )
    assert live["value_without_edits"].isna().all()


def intervals() -> Events:
    """RR intervals of `session`, as those of a wristband."""
    info = event_stream("band.rr", Channel("interval", "misc", "s"))
    rr = np.diff(TRUE)[:, None]
    return Events(info, 120.0, TRUE[1:], rr, ("",) * len(rr))


@pytest.mark.parametrize("spans", [SPANS, ()])
def test_values_stand_beside_their_own_if_edits_remove_a_stream(
    spans: tuple[ConditionSpan, ...],
) -> None:
    whole = session()
    events = {"band.rr": intervals(), **whole.events}
    whole = replace(whole, events=events)
    edits = history(bad("band.rr", -1.0, 500.0)).on_clock(0.0)
    unedited, kept = analyze(whole), analyze(whole, edits=edits)
    assert any("band.rr: the edits by eye leave no beat" in n for n in kept.notes)
    table = spans_beside(kept, unedited, spans)
    assert len(table) == len(unedited.spans(spans))
    lost = table["stream"] == "band.rr"
    same = table[~lost]
    np.testing.assert_array_equal(same["value"], same["value_without_edits"])
    assert table.loc[lost, "value"].isna().all()
    assert table.loc[lost, "marked_share"].to_numpy() == pytest.approx(1.0)
    rates = table[lost & (table["measure"] == "mean_heart_rate")]
    assert rates["value_without_edits"].to_numpy() == pytest.approx(66.6, abs=1.0)
    shown = edits_summary(whole, edits, spans)
    assert shown["measure"].str.startswith("mean_heart_rate").sum() == len(rates)
    rating = RatedRecording(whole, spans, (edits, history().on_clock(0.0)))
    agreed = agreement_table([rating]).set_index("quantity")
    rate = agreed.loc["mean_heart_rate of band.rr"]
    assert rate["n"] == 0
    if spans:
        assert agreed.loc["scl of band.eda", "value"] == pytest.approx(1.0)


def test_edits_of_one_participant_lie_on_the_clock_of_the_whole_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "two.xdf"
    whole = session()
    first = {
        name: tuple(replace(b, info=replace(b.info, participant="a")) for b in blocks)
        for name, blocks in whole.streams.items()
    }
    (late,) = whole.streams[EDA[0]]
    info = replace(late.info, name="other.eda", participant="b")
    streams = {**first, "other.eda": (replace(late, info=info, t0=30.0),)}
    both = replace(whole, streams=streams)
    place = EditedRecording("two", path, path.parent, (path,))
    path.write_bytes(b"x")
    edits = history(bad("other.eda", 0.0, 60.0))
    marked = replace(place.begin(), entries=edits.entries)
    write_history(place.path("r1"), marked)
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("condition,begin,end\nfilm,0,120\n", "utf-8")
    settings = TableSettings(
        ConditionSheet.read(sheet),
        measures=MeasureSettings(estimates=False, live_features=False),
        participant="b",
    )
    rows = measure_file(RecordingJob(path, "two", lambda _: both, settings)).rows
    scl = rows[rows["measure"] == "scl"].iloc[0]
    assert scl["marked_share"] == pytest.approx(0.25)


def test_a_deletion_counts_if_it_removed_a_detected_response() -> None:
    shares = edited(
        point("delete scr", EDA, 35.0),  # none is there
        point("add scr", EDA, 30.0),
        point("delete scr", EDA, 30.0),  # undone by hand
        point("move scr", EDA, 50.0, 51.0),
        point("delete scr", EDA, 51.0),
    ).spans(SPANS)
    rate = shares[shares["measure"] == "scr_per_minute"].set_index("condition")
    assert rate.loc["rest", "value"] == 1.0
    assert rate.loc["rest", "edited_share"] == 0.5
    assert rate.loc["task", "edited_share"] == 0.0


def test_an_acceleration_is_marked_by_its_axes_alone() -> None:
    rng = np.random.default_rng(1)
    axes = block("band.acc", "misc", "g", 32, rng.normal(size=(3840, 3)), *"xyz")
    heat = Channel("heat", "temperature", "degC")
    info = replace(axes.info, channels=(*axes.info.channels, heat))
    data = np.column_stack([axes.data, np.full(len(axes), 33.0)])
    mixed = recording(replace(axes, info=info, data=data))
    shares = []
    for channel in ("heat", "y"):
        edits = history(bad("band.acc", 0.0, 60.0, channel)).on_clock(0.0)
        table = analyze(mixed, edits=edits).spans().set_index("measure")
        shares.append(table.loc["mean_activity", "marked_share"])
    assert shares == pytest.approx([0.0, 0.5], abs=1e-3)


# Outputs.


def written(path: Path, folder: Path, *options: str) -> pd.DataFrame:
    """Return the table of `physio table`."""
    folder.mkdir(exist_ok=True)
    target = folder / "t.csv"
    result = CliRunner().invoke(
        app,
        ["table", str(path), "-o", str(target), "--no-estimates", *options],
    )
    assert result.exit_code == 0, result.output
    return pd.read_csv(target).fillna({"exclusion": "", "reason": ""})


ENTRIES = (
    point("delete beat", ECG, TRUE[10]),
    point("add scr", EDA, 30.0),
    bad(ECG[0], 100.0, 110.0),
    ("exclude", {"begin": 60.0, "end": 120.0, "why": "asleep"}),
    ("unblind", {"why": "a pilot"}),
)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with edits, and its table, analysis, BIDS export and report."""
    root = tmp_path_factory.mktemp("edits")
    path = root / "p07.xdf"
    xdf.write(path, session())
    store(path, *ENTRIES)
    before = {p.name: p.read_bytes() for p in root.iterdir()}
    for name, arguments in {
        "table": ["table", str(path), "-o", str(root / "t.csv"), "--no-estimates",
                  "--baseline", "rest"],
        "analyze": ["analyze", str(path), "--output", str(root / "a")],
        "export": ["export", str(path), str(root / "bids"), "--task", "films"],
        "report": ["report", str(path), "--out", str(root / "r.html")],
    }.items():  # fmt: skip
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, (name, result.output, result.exception)
        text = result.output + result.stderr
        assert "edited by eye (p07.xdf.edits.r1.jsonl, rater r1): 1 bad span" in text
        assert "UNBLINDED on 2026-04-12 at 10:00 (a pilot), 0 of 4 edits" in text
    assert {n: (root / n).read_bytes() for n in before} == before
    return root


def test_the_table_has_values_with_and_without_edits_side_by_side(
    outputs: Path,
) -> None:
    table = pd.read_csv(outputs / "t.csv").fillna({"exclusion": ""})
    rows = table[table["baseline_role"] == "primary"]
    rows = rows.set_index(["condition", "measure"])
    rate = rows.loc[("rest", "scr_per_minute")]
    assert (rate["value"], rate["value_without_edits"]) == (3.0, 2.0)
    assert rate["edited_share"] == pytest.approx(1 / 3)
    beats = rows.loc[("rest", "hrv_rmssd")]
    assert beats["value"] > 3 * beats["value_without_edits"]
    assert rows.loc[("task", "mean_heart_rate"), "marked_share"] == pytest.approx(1 / 6)
    assert set(rows.loc["task", "exclusion"]) == {"excluded by eye (r1): asleep"}
    assert set(rows.loc["rest", "exclusion"]) <= {"", "no valid data"}
    wide = pd.read_csv(outputs / "t_wide.csv")
    assert wide["scr_per_minute.rest"].item() == 3.0
    assert wide["scr_per_minute.rest.without_edits"].item() == 2.0
    assert "scr_per_minute.task" not in wide
    shares = pd.read_csv(outputs / "t_coverage.csv").set_index(["condition", "measure"])
    task = shares.loc[("task", "mean_heart_rate")]
    assert task["excluded_share"] == 1.0
    assert task["marked_share_mean"] == pytest.approx(1 / 6)
    assert shares.loc[("rest", "scl"), "excluded_share"] == 0.0
    methods = (outputs / "t_methods.txt").read_text("utf-8")
    assert "1 of 1 recordings were corrected by eye" in methods
    assert "UNBLINDED" in methods
    assert "UNBLINDED" in (outputs / "t.json").read_text("utf-8")


def test_an_analysis_states_its_edits(outputs: Path) -> None:
    beats = pd.read_csv(outputs / "a" / "beats.csv")
    assert beats["edited"].sum() == 1
    table = pd.read_csv(outputs / "a" / "spans.csv").set_index(["condition", "measure"])
    rate = table.loc[("rest", "scr_per_minute")]
    assert (rate["value"], rate["value_without_edits"]) == (3.0, 2.0)
    about = json.loads((outputs / "a" / "analysis.json").read_text("utf-8"))
    assert "UNBLINDED" in about["edits"]


def test_bids_holds_the_edits_as_a_derivative_and_the_samples_as_they_were(
    outputs: Path,
) -> None:
    (path,) = (outputs / "bids" / "derivatives").rglob("*_desc-edits_events.tsv")
    table = pd.read_csv(path, sep="\t")
    assert table["trial_type"].tolist() == ["delete beat", "add scr", "exclude", "bad"]
    assert table["onset"].tolist() == pytest.approx([TRUE[10], 30, 60, 100])
    assert "UNBLINDED" in path.with_suffix(".json").read_text("utf-8")
    back = read(outputs / "bids")
    for name, (whole,) in session().streams.items():
        np.testing.assert_array_equal(
            np.concatenate([b.data for b in back.streams[name]]), whole.data
        )
    hidden = outputs / "hidden"
    result = CliRunner().invoke(
        app, ["export", str(outputs / "p07.xdf"), str(hidden), "--anonymise"]
    )
    assert result.exit_code == 0, result.output
    texts = [p.read_text("utf-8") for p in hidden.rglob("*desc-edits*")]
    assert len(texts) == 2
    assert not any(word in text for text in texts for word in ("asleep", "2026", "pil"))


def test_anonymised_edits_name_no_device_channel_and_rater() -> None:
    whole = replace(recording(
        block("anna-e4.eda", "gsr", "uS", 4, np.ones(40), "A00123"),
        block("anna-cap.eeg", "eeg", "uV", 8, np.ones((80, 2)), "Cz", "of anna"),
    ), events={"anna.buttons": Events(
        event_stream("anna.buttons"), 10.0, np.array([1.0]), np.empty((1, 0)), ("x",)
    )})  # fmt: skip
    edits = history(
        bad("anna-e4.eda", 1, 2, "A00123"), bad("anna-cap.eeg", 3, 4, "of anna"),
        bad("anna-cap.eeg", 4, 5), ("exclude", {"begin": 0.0, "end": 5.0}),
        bad("anna-old.eda", 1, 2), bad("anna-cap.eeg", 3, 4, "anna"), rater="anna",
    )  # fmt: skip
    hidden = anonymize_edits(edits.on_clock(0.0, "anna.jsonl"), whole, anonymize(whole))
    assert [(e.stream, e.channels) for e in hidden.active] == [
        ("device1.eda", ("eda1",)), ("device2.eeg", ("eeg1",)), ("device2.eeg", ()),
        ("", ()),
    ]  # fmt: skip
    assert {e.rater for e in hidden.active} == {"rater1"}
    assert "anna" not in repr(hidden)


def test_a_report_has_a_section_on_edits(outputs: Path) -> None:
    page = (outputs / "r.html").read_text("utf-8")
    section = page.partition("Correction by eye")[2]
    for text in ("UNBLINDED", "scr_per_minute", "asleep", "16.7%"):
        assert text in section


def test_a_report_takes_the_edits_of_the_named_rater(
    file: Path, tmp_path: Path
) -> None:
    for rater in ("anna", "ben"):
        store(file, bad(ECG[0], 5.0, 25.0), rater=rater)
    out = tmp_path / "r.html"
    command = ["report", str(file), "--out", str(out)]
    result = CliRunner().invoke(app, [*command, "--rater", "ben"])
    assert result.exit_code == 0, result.output
    assert "rater ben): 1 bad span" in out.read_text("utf-8")


def test_training_says_that_it_ignores_edits(file: Path, tmp_path: Path) -> None:
    from physio.offline.edits_file import unused_note

    assert not unused_note(tmp_path)
    store(file, *ENTRIES)
    assert unused_note(tmp_path).startswith("1 file of edits by eye: not used, because")


# Agreement.

SHROUT_FLEISS = np.array(
    [
        *([9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8]),
        *([7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]),
    ]
)


def test_icc_is_that_of_the_textbook() -> None:
    """Shrout and Fleiss (1979), table 4: ICC(2,1) = 0.29."""
    assert icc_2_1(SHROUT_FLEISS) == pytest.approx(0.2898, abs=5e-5)
    assert icc_2_1([[1, 1], [2, 2], [3, 3]]) == pytest.approx(1.0)
    assert math.isnan(icc_2_1([[1, 2]]))
    assert math.isnan(icc_2_1([[1, 1], [1, 1]]))
    assert math.isnan(icc_2_1([[1, 2], [2, 1]]))


def test_kappa_is_that_of_the_textbook() -> None:
    """50 proposals, 20 twice yes, 15 twice no, 5 and 10 of one reader alone: 0.4."""
    a = [1] * 20 + [1] * 5 + [0] * 10 + [0] * 15
    b = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert cohen_kappa(a, b) == pytest.approx(0.4)
    assert math.isnan(cohen_kappa([0, 0], [0, 0]))
    assert math.isnan(cohen_kappa([], []))


def test_two_raters_are_compared(file: Path) -> None:
    store(
        file, bad(ECG[0], 10.0, 30.0), point("delete beat", ECG, TRUE[100]), rater="a"
    )
    store(file, bad(ECG[0], 20.0, 40.0), rater="b")
    whole = read(file)
    table = agreement_table([rated(file, whole, SPANS, ("a", "b"))])
    rows = table.set_index("quantity")
    marked = rows.loc["bad spans of chest.ecg"]
    assert marked["n"] == 120
    assert marked["value"] == pytest.approx((100 / 120 - 104 / 144) / (1 - 104 / 144))
    assert marked["rater_1"] == pytest.approx(1 / 6)
    assert math.isnan(rows.loc["bad spans of band.eda", "value"])
    assert rows.loc["bad spans of band.eda", "reason"] == "no second is marked"
    assert rows.loc["scl of band.eda", "value"] == pytest.approx(1.0)
    assert -1 < rows.loc["hrv_rmssd of chest.ecg", "value"] < 0.9
    with pytest.raises(ValueError, match="no edits of c: its raters are a, b"):
        rated(file, whole, SPANS, ("a", "c"))


def test_an_entry_is_of_all_channels_or_of_those_it_names() -> None:
    edit = Edit(1, "bad", AT, "r1", stream="s", channels=("a",), begin=0.0, end=1.0)
    assert edit.concerns("s")
    assert edit.concerns("s", "a")
    assert not edit.concerns("s", "b")
    assert replace(edit, channels=()).concerns("s", "b")
    edits = replace(history(), entries=(edit,)).on_clock(0.0)
    assert edits.marked_share("s", "b-a", 0.0, 2.0) == 0.5
    assert edits.marked_share("s", "c", 0.0, 2.0) == 0.0
