"""Conditions from sheets, markers and events: clock times, seconds and bad rows."""

from datetime import datetime, time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.recording import Recording
from physio.offline.conditions import (
    ConditionSheet,
    read_conditions,
    recorded_conditions,
    time_zone,
)

BEGAN = datetime.fromisoformat("2022-02-07T10:00:00+00:00").timestamp()


def recording(*events: Events, seconds: int = 3600, **about: str) -> Recording:
    info = StreamInfo("e4.eda", Fraction(4), (Channel("EDA", "gsr", "uS"),))
    block = Block(info, 0, 0.0, np.ones((4 * seconds, 1)))
    about = {"begin": "0.0", "begin_unix": repr(BEGAN), "participant": "S01", **about}
    return Recording({"e4.eda": (block,)}, {e.info.name: e for e in events}, (), about)


def markers(*rows: tuple[float, str]) -> Events:
    times = np.array([t for t, _ in rows])
    labels = tuple(label for _, label in rows)
    nothing = np.empty((len(rows), 0))
    return Events(event_stream("task.markers"), 3600.0, times, nothing, labels)


def sheet(folder: Path, text: str, name: str = "conditions.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def spans(
    path: Path, *events: Events, zone: str = ""
) -> list[tuple[str, float, float]]:
    read = read_conditions(path, recording(*events), zone=time_zone(zone))
    return [(s.name, round(s.begin, 6), round(s.end, 6)) for s in read]


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("600", "900.5"),
        ("10:10:00", "10:15:00.5"),
        ("10:10 AM", "10:15:00.5 am"),
        ("2022-02-07T10:10:00Z", "2022-02-07T11:15:00.5+01:00"),
        ("2022-02-07 10:10:00", "2022-02-07 10:15:00.5"),
        (repr(BEGAN + 600), repr(BEGAN + 900.5)),
    ],
)
def test_seconds_and_clock_times_are_the_same_moment(
    tmp_path: Path, begin: str, end: str
) -> None:
    path = sheet(tmp_path, f"participant,condition,begin,end\nS01,rest,{begin},{end}\n")
    assert spans(path) == [("rest", 600.0, 900.5)]


def test_clock_times_are_of_the_stated_zone_and_continue_after_midnight(
    tmp_path: Path,
) -> None:
    path = sheet(tmp_path, "condition;begin;end\nrest;23:50;00:20\n")
    # 23:50 in Kathmandu (+05:45) is 18:05 UTC.
    began = repr(datetime.fromisoformat("2022-02-07T18:00:00+00:00").timestamp())
    read = read_conditions(
        path, recording(begin_unix=began), zone=time_zone("Asia/Kathmandu")
    )
    assert [(s.name, s.begin, s.end) for s in read] == [("rest", 300.0, 2100.0)]


def test_a_sheet_of_excel_has_times_and_dates(tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    rows = [
        ("Participant", "Condition", "Begin", "End", "Date"),
        ("S01", "rest", time(10, 10), time(10, 15), datetime(2022, 2, 7)),
        (
            "s01",
            "task",
            datetime(2022, 2, 7, 10, 20),
            datetime(2022, 2, 7, 10, 25),
            None,
        ),
        ("S02", "rest", 5, 6, None),
        (None, None, None, None, None),
    ]
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / "times.xlsx")
    assert spans(tmp_path / "times.xlsx") == [
        ("rest", 600.0, 900.0), ("task", 1200.0, 1500.0)
    ]  # fmt: skip


def test_bids_events_and_markers(tmp_path: Path) -> None:
    path = sheet(tmp_path, "onset\tduration\ttrial_type\n30\t60\tfilm\n", "events.tsv")
    assert spans(path) == [("film", 30.0, 90.0)]
    marked = markers((10, "go"), (40, "halt"), (100, "go"), (130, "halt"))
    path = sheet(tmp_path, "condition,begin_marker,end_marker\ntask,go,halt\n")
    assert spans(path, marked) == [("task", 10.0, 40.0), ("task", 100.0, 130.0)]
    path = sheet(tmp_path, "condition,begin_marker,seconds\ntask,go,12\n")
    assert spans(path, marked)[1] == ("task", 100.0, 112.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("condition,begin\nrest,3\n", "has no column end, end_marker or seconds"),
        ("begin,end\n1,3\n", "has no column condition"),
        ("condition,begin,end\n", "has no rows"),
        ("condition,begin,end\nrest,1,2\n,3,4\n", "row 3 has no condition"),
        ("condition,begin,end\nrest,soon,2\n", r"row 2: begin = 'soon' is no time"),
        ("condition,begin,end\nrest,20,10\n", "row 2 .rest.: end = 10 must be after"),
        (
            "condition,begin,end\nrest,5000,5010\n",
            "row 2: 'rest' from 5000.0 to ",
        ),
        ("condition,begin,end\nrest,09:10,09:15\n", "outside .* --zone"),
        ("condition,begin_marker,end_marker\nx,no,b\n", "no marker 'no'; its markers"),
        ("condition,begin_marker,end_marker\nx,a,z\n", "no marker 'z'"),
        ("condition,begin,seconds\nx,1,-4\n", "row 2: seconds = '-4' must be"),
        (
            "participant,condition,begin,end\nS09,rest,1,2\n",
            "no row of the participant",
        ),
    ],
)
def test_a_bad_row_is_named_with_its_value(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        spans(sheet(tmp_path, text), markers((10, "a"), (20, "b")))


def test_a_row_outside_costs_no_other(tmp_path: Path) -> None:
    path = sheet(tmp_path, "condition,begin,end\nrest,1,2\nlate,9000,9001\n")
    placed = ConditionSheet.read(path).place(recording(), "S01")
    assert [s.name for s in placed.spans] == ["rest"]
    ((name, sentence),) = placed.problems
    assert name == "late"
    assert "row 3" in sentence


def test_the_participant_is_that_of_the_file_name(tmp_path: Path) -> None:
    text = "participant,condition,begin,end\nS01,a,1,2\nS10,a,1,2\n07,a,1,2\n"
    rows = ConditionSheet.read(sheet(tmp_path, text))
    for name, code in (
        ("raw/S10.zip", "S10"), ("s01_rest.csv", "S01"), ("7/recording.xdf", "07"),
        ("sub-S01_task-x_eeg.edf", "S01"), ("S100.zip", ""),
    ):  # fmt: skip
        assert rows.participant_of(Path(name)) == code, name
    assert rows.participant_of(Path("x.zip"), "s10") == "S10"


def test_recorded_conditions_are_those_with_an_end() -> None:
    marked = markers(
        (5, "begin rest"), (65, "end rest"), (70, "Task start"), (90, "Task end"),
        (95, "begin lost"),
    )  # fmt: skip
    lasting = Events(
        event_stream("edf.annotations", Channel("seconds", "misc", "s")), 3600.0,
        np.array([100.0, 200.0, 300.0]), np.array([[30.0], [0.0], [9.0]]),
        ("film", "click", "BAD_jump"),
    )  # fmt: skip
    read = recorded_conditions(recording(marked, lasting))
    assert [(s.name, s.begin, s.end) for s in read] == [
        ("rest", 5.0, 65.0), ("Task", 70.0, 90.0), ("film", 100.0, 130.0)
    ]  # fmt: skip
