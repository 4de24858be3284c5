"""Rows of a sheet of conditions: CSV, TSV or XLSX."""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from physio.core.input_file import existing_file

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "participant": ("participant", "participant_id", "subject", "sub", "id", "code"),
    "recording": ("recording", "file", "filename"),
    "condition": ("condition", "trial_type", "name", "label", "phase", "task"),
    "begin": ("begin", "start", "onset", "from", "begin_s", "start_s", "begin_time",
              "start_time"),
    "end": ("end", "stop", "offset", "to", "end_s", "stop_s", "end_time", "stop_time"),
    "seconds": ("seconds", "duration", "duration_s", "length"),
    "begin_marker": ("begin_marker", "start_marker", "onset_marker", "marker"),
    "end_marker": ("end_marker", "stop_marker", "offset_marker"),
    "date": ("date", "day"),
}  # fmt: skip
"""Names of the columns of a sheet, in lower case with ``_`` for blanks."""

_LARGEST: Final = 64 * 2**20  # bytes
_NUMBER: Final = re.compile(r"[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?")
_CLOCK: Final = re.compile(
    r"(\d{1,2}):(\d{2})(?::(\d{2}(?:[.,]\d+)?))?\s*([ap])?\.?m?\.?", re.IGNORECASE
)
_EMPTY: Final = frozenset(("", "n/a", "na", "nan", "-", "none"))

StatedTime = float | datetime | time
"""Seconds after the beginning, a date with time, or a time of day."""


class ConditionRow(NamedTuple):
    """A row of a sheet.

    Parameters
    ----------
    at
        File and row, for messages.
    participant, recording
        Participant and file that the row is about; empty for all.
    condition
        Name of the condition.
    begin, end
        Stated times; None where a marker or a duration states them.
    seconds
        Duration (s); NaN where the end is stated.
    markers
        Labels of the markers of begin and end; empty for none.
    """

    at: str
    participant: str
    recording: str
    condition: str
    begin: StatedTime | None
    end: StatedTime | None
    seconds: float = math.nan
    markers: tuple[str, str] = ("", "")


def read_rows(path: str | Path) -> tuple[ConditionRow, ...]:
    """Return the rows of a sheet: see `physio.offline.conditions.ConditionSheet.read`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a column or a value is missing or invalid; the message names the row.
    """
    path = existing_file(path)
    head, *rows = _cells(path) or [[]]
    columns = _columns(path, head)
    stated = [
        _row(f"{path.name}, row {number}", columns, row)
        for number, row in enumerate(rows, start=2)
        if any(_text(v).lower() not in _EMPTY for v in row)
    ]
    if not stated:
        raise ValueError(f"{path} has no rows: state a condition in each row")
    return tuple(stated)


def _cells(path: Path) -> list[list[Any]]:
    """Return the rows of a sheet, the header first."""
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than 64 MB: it is no sheet of conditions")
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        return _workbook(path)
    from physio.io.tables.text_table import decode

    text = decode(path.read_bytes())
    if "\0" in text:
        raise ValueError(f"{path} is no text: save the sheet as CSV, TSV or XLSX")
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max("\t;,", key=first.count)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise ValueError(f"{path} cannot be read as CSV: {error}") from None


def _workbook(path: Path) -> list[list[Any]]:
    """Return the rows of the first sheet of an Excel file."""
    import zipfile

    try:
        from openpyxl import load_workbook
    except ImportError:
        raise ValueError(
            f"{path}: .xlsx needs openpyxl: pip install 'physio-affect[formats]'"
        ) from None
    try:
        with zipfile.ZipFile(path) as parts:
            if sum(i.file_size for i in parts.infolist()) > 4 * _LARGEST:
                raise ValueError("it unpacks to more than 256 MB")
        book = load_workbook(path, data_only=True, keep_links=False)
        return [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]
    except Exception as error:  # any error of the parser on a damaged file
        text = " ".join(str(error).split())[:100] or type(error).__name__
        raise ValueError(f"{path} is no .xlsx file that can be read: {text}") from None


def _columns(path: Path, head: Sequence[Any]) -> dict[str, int]:
    """Return the column of each property; raise if a necessary one is missing."""
    names = [re.sub(r"\W+", "_", _text(c).lower()).strip("_") for c in head]
    columns = {
        kind: names.index(name)
        for kind, known in NAMES.items()
        for name in reversed(known)
        if name in names
    }
    # Times in seconds may have the unit in brackets: "begin (s)" is begin_s.
    has_begin = {"begin", "begin_marker"} & columns.keys()
    has_end = {"end", "end_marker", "seconds"} & columns.keys()
    if "condition" in columns and has_begin and has_end:
        return columns
    wanted = "condition" if "condition" not in columns else (
        "begin or begin_marker" if not has_begin else "end, end_marker or seconds"
    )  # fmt: skip
    shown = ", ".join(_text(c) for c in head[:12] if _text(c)) or "none"
    raise ValueError(
        f"{path} has no column {wanted}; its columns are {shown}: a sheet has "
        "participant, condition, begin and end"
    )


def _row(at: str, columns: Mapping[str, int], row: Sequence[Any]) -> ConditionRow:
    def cell(kind: str) -> Any:
        place = columns.get(kind, len(row))
        return row[place] if place < len(row) else None

    def text(kind: str) -> str:
        value = _text(cell(kind))
        return "" if value.lower() in _EMPTY else value

    name = text("condition")
    if not name:
        raise ValueError(f"{at} has no condition: name it or delete the row")
    day = _day(at, cell("date"))
    begin, end = (_moment(at, k, cell(k), day) for k in ("begin", "end"))
    markers = text("begin_marker"), text("end_marker")
    seconds = math.nan
    if text("seconds") and end is None and not markers[1]:
        stated = _moment(at, "seconds", cell("seconds"), None)
        seconds = stated if isinstance(stated, float) else math.nan
        if not seconds > 0:
            raise ValueError(
                f"{at}: seconds = {text('seconds')!r} must be a number above 0"
            )
    if begin is None and not markers[0]:
        raise ValueError(
            f"{at} ({name}) has no begin: state seconds, a clock time or a begin_marker"
        )
    if end is None and not markers[1] and math.isnan(seconds):
        raise ValueError(
            f"{at} ({name}) has no end: state end, seconds or an end_marker"
        )
    if isinstance(begin, float) and isinstance(end, float) and end <= begin:
        raise ValueError(
            f"{at} ({name}): end = {end:g} must be after begin = {begin:g}"
        )
    return ConditionRow(
        at, text("participant"), text("recording"), name, begin, end, seconds, markers
    )


def _text(value: Any) -> str:
    """Return a cell as text; a whole number without its decimal point."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _day(at: str, value: Any) -> date | None:
    text = _text(value)
    if text.lower() in _EMPTY:
        return None
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        raise ValueError(
            f"{at}: date = {text!r} must be written as 2026-04-12"
        ) from None


def _moment(at: str, kind: str, value: Any, day: date | None) -> StatedTime | None:
    """Return a stated time: seconds, a date with time, or a time of day."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime):
        return value
    if isinstance(value, time):
        return datetime.combine(day, value) if day else value
    text = _text(value)
    if text.lower() in _EMPTY:
        return None
    if _NUMBER.fullmatch(text):
        return float(text.replace(",", "."))
    if (clock := _CLOCK.fullmatch(text)) is not None:
        hour, minute, second = int(clock[1]), int(clock[2]), clock[3] or "0"
        if clock[4]:
            hour = hour % 12 + (12 if clock[4].lower() == "p" else 0)
        fraction = float(second.replace(",", "."))
        if hour < 24 and minute < 60 and fraction < 60:
            micro = round(fraction % 1 * 1e6) % 10**6
            moment = time(hour, minute, int(fraction), micro)
            return datetime.combine(day, moment) if day else moment
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{at}: {kind} = {text!r} is no time: write seconds (312.5), a clock time "
            "(14:05:30) or a date with time (2026-04-12T14:05:30+02:00); the name of a "
            f"marker goes into a column {'end' if kind == 'end' else 'begin'}_marker"
        ) from None
