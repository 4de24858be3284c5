"""Empatica E4 exports: the folder or zip file of a session."""

import io
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.clock_check import check_starts, unix_seconds
from physio.core.events import Events
from physio.core.missing import MissingReason
from physio.core.recording import Recording
from physio.io.empatica.export_files import ExportFile, read_session, table_name

NAMES: Final = ("ACC", "BVP", "EDA", "HR", "IBI", "TEMP")
"""The tables of an export."""

TOGETHER: Final = 300.0
"""Longest time between the starts of two signals of an export (s)."""


_START: Final = re.compile(rb'"?\s*\d{9,13}([.,]\d*)?"?\s*[,;\r\n]')


class _Sensor(NamedTuple):
    stream: str
    channels: tuple[Channel, ...]
    scale: float = 1.0


_SENSORS: Final = {
    "EDA": _Sensor("eda", (Channel("eda", "gsr", "uS"),)),
    "BVP": _Sensor("bvp", (Channel("bvp", "bio", "1"),)),
    "ACC": _Sensor(
        "acc", tuple(Channel(f"acc.{a}", "misc", "g") for a in "xyz"), 1 / 64
    ),
    "TEMP": _Sensor("temp", (Channel("temp", "temperature", "degC"),)),
    "HR": _Sensor("hr", (Channel("hr.maker", "misc", "1/min"),)),
}


class _Table(NamedTuple):
    begin: float  # Unix seconds
    rate: Fraction
    values: Array  # (n, columns)
    scaled: bool = False  # the start was in milliseconds


def read(path: str | Path, *, session: str = "", participant: str = "") -> Recording:
    """Read an Empatica E4 export.

    Streams ``e4.eda`` (uS), ``e4.bvp`` (no unit), ``e4.acc`` (g), ``e4.temp`` (degC)
    and ``e4.hr`` (1/min, computed by the manufacturer), if the export contains them;
    events ``e4.ibi`` (s from beat to beat) and ``e4.tags`` (the button). Second 0 of
    the session clock is the earliest start of a stream; ``about["begin_unix"]`` is that
    time in Unix seconds.

    Parameters
    ----------
    path
        The folder, or the downloaded zip file. Files may be renamed (``s01_eda.csv``,
        ``EDA (1).csv``), and may lie in folders or zip files inside the zip file.
    session
        Session to read, if there are several: its folder, or the prefix of its files.
    participant
        Code of the participant.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If it is not an E4 export, a damaged or malicious one, or one of several
        sessions; the message names the file, the line, the value and the expected
        value.

    Notes
    -----
    No feature is computed from ``e4.hr``: the manufacturer computes it from the whole
    session, including later samples, so that it cannot be the input of an online
    method. An empty line is a missing sample. An empty file, and an incomplete last
    line, are left out; ``metadata["warnings"]`` states each loss.
    """
    path = Path(path)
    files = read_session(path, session)
    notes: list[str] = []
    tables = {}
    for name, sensor in _SENSORS.items():
        if name in files and not _is_empty(files[name], notes):
            try:
                tables[name] = _table(path, files[name], len(sensor.channels), notes)
            except ValueError as error:
                if name != "HR":
                    raise
                notes.append(f"{error}; it is left out")
    if not tables and "IBI" not in files:
        raise ValueError(
            f"{path} is no Empatica E4 export: it has none of "
            f"{', '.join(f'{n}.csv' for n in NAMES)}{_with_reason(notes)}"
        )
    try:
        if tables:
            starts = {f"{name}.csv": table.begin for name, table in tables.items()}
            check_starts(starts, TOGETHER)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    zero = min([t.begin for t in tables.values()] or [_start(path, files["IBI"])])
    streams = {}
    for name, table in tables.items():
        info = _info(name, table.rate, participant)
        data = np.ascontiguousarray(table.values * _SENSORS[name].scale)
        streams[info.name] = (Block(info, 0, table.begin - zero, data),)
    end = max((b.complete_until for (b,) in streams.values() if len(b)), default=0.0)
    about = {"source": "Empatica E4", "begin": "0.0", "begin_unix": repr(zero)}
    if participant:
        about["participant"] = participant
    if scaled := [f"{name}.csv" for name, table in tables.items() if table.scaled]:
        notes.append(
            f"{', '.join(scaled)} state the start in milliseconds: read as seconds"
        )
    events = _events(path, files, (zero, end, participant), notes)
    if notes:
        about["warnings"] = "; ".join(notes)
    return Recording(streams, events, (), about)


def is_export(path: Path) -> bool:
    """Return whether a folder holds at least one table of an E4 export."""
    return any(is_table(p) for p in path.iterdir())


def is_table(path: Path) -> bool:
    """Return whether a file is a table of an export by its name and first lines."""
    if table_name(path.name) not in NAMES or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(256).removeprefix(b"\xef\xbb\xbf")
    return (
        not head.strip()
        or re.match(rb'"?\s*\d{9,13}([.,]\d*)?"?\s*[,;\r\n]', head) is not None
    )


def _is_empty(file: ExportFile, notes: list[str]) -> bool:
    """Return whether a file has no content, as after a download that broke."""
    if file.content.strip():
        return False
    notes.append(f"{file.name} is empty and left out: download it again")
    return True


def _with_reason(notes: list[str]) -> str:
    return f"; {notes[0]}" if notes else ""


def _start(path: Path, file: ExportFile) -> float:
    """Return the start of a table of events (Unix s)."""
    at = f"{path}: {file.name}"
    first = _plain(file.content, 2).partition(b"\n")[0].split(b",")[0]
    return unix_seconds(_number(at, 1, first, "the start in Unix seconds"))


def _info(name: str, rate: Fraction, participant: str) -> StreamInfo:
    sensor = _SENSORS[name]
    return StreamInfo(
        f"e4.{sensor.stream}",
        rate,
        sensor.channels,
        participant=participant,
        site="wrist",
        placement="dorsal",
    )


def _events(
    path: Path,
    files: Mapping[str, ExportFile],
    session: tuple[float, float, str],
    notes: list[str],
) -> dict[str, Events]:
    """Return the beats and the tags, in order of time.

    ``session`` is its zero (Unix s), its end (s) and the code of the participant.
    """
    zero, end, participant = session
    beats, tags = np.empty((0, 2)), np.empty((0, 1))
    if "IBI" in files and files["IBI"].content.strip():
        file = files["IBI"]
        rows = _plain(file.content, 2).partition(b"\n")[2]
        beats = _rows(f"{path}: {file.name}", rows, 2, 1, notes)
        beats = beats[~np.isnan(beats).any(axis=1)]
        beats[:, 0] += _start(path, file) - zero
    if "tags" in files:
        file = files["tags"]
        text = _plain(file.content, 1)
        tags = _rows(f"{path}: {file.name}", text, 1, 0, notes) - zero
        tags = tags[~np.isnan(tags[:, 0])]
    interval = Channel("interval", "misc", "s")
    return {
        "e4.ibi": _sorted_events("e4.ibi", beats, (interval,), "", end, participant),
        "e4.tags": _sorted_events("e4.tags", tags, (), "tag", end, participant),
    }


def _sorted_events(
    name: str,
    rows: Array,
    channels: tuple[Channel, ...],
    label: str,
    end: float,
    participant: str,
) -> Events:
    """Return events from rows of time (s) and values."""
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    info = StreamInfo(
        name, Fraction(0), channels, participant=participant, site="wrist"
    )
    until = max(end, float(rows[-1, 0])) if len(rows) else end
    data = np.ascontiguousarray(rows[:, 1:])
    labels = (label,) * len(rows) if label else ()
    return Events(info, until, rows[:, 0].copy(), data, labels)


def _table(path: Path, file: ExportFile, width: int, notes: list[str]) -> _Table:
    """Return one signal: a line with the start, a line with the rate, then samples."""
    at = f"{path}: {file.name}"
    lines = _plain(file.content, width).split(b"\n", 2)
    start = float(_header(at, 1, lines, width, "the start in Unix seconds"))
    begin = unix_seconds(start)
    rate = _header(at, 2, lines, width, "the rate in Hz")
    if not 0 < float(rate) <= 1e4:
        raise ValueError(f"{at}, line 2: a rate of {rate} Hz; it must be above 0")
    rows = lines[2] if len(lines) > 2 else b""
    values = _rows(at, rows, width, 2, notes)
    return _Table(begin, Fraction(rate), values, begin != start)


def _plain(text: bytes, width: int) -> bytes:
    """Return a table as the manufacturer writes it.

    Office programs write semicolons, decimal commas and quotes.
    """
    text = text.replace(b"\r", b"").replace(b'"', b"")
    first = text.partition(b"\n")[0]
    if b";" in first:
        return text.replace(b",", b".").replace(b";", b",")
    if width == 1 and re.fullmatch(rb"\s*\d+,\d+\s*", first):
        return text.replace(b",", b".")
    return text


def _header(at: str, line: int, lines: list[bytes], width: int, quantity: str) -> str:
    """Return the number that line ``line`` repeats for each of ``width`` columns."""
    text = lines[line - 1] if len(lines) >= line else b""
    fields = text.split(b",")
    numbers = {_number(at, line, field, quantity) for field in fields}
    if len(fields) != width or len(numbers) != 1:
        raise ValueError(
            f"{at}, line {line}: {_shown(text)}; it must be {quantity}"
            + (f", {width} times" if width > 1 else "")
        )
    return fields[0].strip().decode()


def _rows(at: str, text: bytes, width: int, skipped: int, notes: list[str]) -> Array:
    """Return the numbers of all lines, shape (n, width); ``skipped`` came before.

    An empty line, and the text ``nan``, are missing samples.
    """
    if not text.strip():
        return np.empty((0, width))
    lines = text.rstrip(b"\n ").split(b"\n")
    if not text.endswith(b"\n") and lines[-1].count(b",") + 1 < width:
        lines.pop()
        notes.append(f"{at}: the last line is incomplete and left out")
    missing = b",".join([b"nan"] * width)
    filled = [line if line.strip(b" \t") else missing for line in lines]
    try:
        rows = np.loadtxt(
            io.BytesIO(b"\n".join(filled)), delimiter=",", ndmin=2, comments=None
        )
    except ValueError:
        rows = np.empty((0, 0))
    if rows.shape == (len(filled), width) and not np.isinf(rows).any():
        if n := int(np.isnan(rows).any(axis=1).sum()):
            first = int(np.isnan(rows).any(axis=1).argmax())
            notes.append(
                f"{at}: {n} of {len(rows)} samples are missing, the first in line "
                f"{first + skipped + 1}"
            )
            rows[np.isnan(rows)] = MissingReason.NO_SIGNAL.nan
        return rows
    # Reading line by line is slow and serves only to locate the fault.
    for line, fields in enumerate(filled, start=skipped + 1):
        values = fields.split(b",")
        for value in values if fields != missing else ():
            _number(at, line, value, "a number")
        if len(values) != width:
            raise ValueError(
                f"{at}, line {line}: {_shown(fields)}; it must have {width} "
                f"{'number' if width == 1 else 'numbers'}"
            )
    raise ValueError(f"{at}: not a table of {width} columns of numbers")


def _number(at: str, line: int, text: bytes, quantity: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ValueError(f"{at}, line {line}: {_shown(text)}; it must be {quantity}")
    return value


def _shown(text: bytes) -> str:
    """Return the start of a text for a message."""
    shown = text.strip().decode("utf-8", "replace")
    return repr(shown if len(shown) <= 40 else shown[:40] + "...")
