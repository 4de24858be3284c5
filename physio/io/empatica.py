"""Empatica E4 exports: the folder or zip file of a session."""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.clock_check import check_starts, unix_seconds
from physio.core.events import Events
from physio.core.input_file import refuse_endless
from physio.core.recording import Recording

MEMBER: Final = 512 * 2**20
"""Maximum size of a file in an export (bytes); a day of BVP has 40 MB."""

RATIO: Final = 200
"""Largest ratio of a file's size to its packed size, above `SMALL` bytes."""

SMALL: Final = 2**20
"""Size (bytes) up to which any ratio is allowed: a constant signal packs very well."""

NAMES: Final = ("ACC.csv", "BVP.csv", "EDA.csv", "HR.csv", "IBI.csv", "TEMP.csv")
"""The tables of an export; ``HR.csv`` is not read."""

TOGETHER: Final = 300.0
"""Longest time between the starts of two signals of an export (s)."""

_READ: Final = re.compile(r"(ACC|BVP|EDA|IBI|TEMP)\.csv|tags.*\.csv")


_DAMAGE: Final = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError),
    UnicodeDecodeError,
)
"""Errors that `zipfile` raises on damaged files."""


class _Sensor(NamedTuple):
    stream: str
    channels: tuple[Channel, ...]
    scale: float = 1.0


_SENSORS: Final = {
    "EDA.csv": _Sensor("eda", (Channel("eda", "gsr", "uS"),)),
    "BVP.csv": _Sensor("bvp", (Channel("bvp", "bio", "1"),)),
    "ACC.csv": _Sensor(
        "acc", tuple(Channel(f"acc.{a}", "misc", "g") for a in "xyz"), 1 / 64
    ),
    "TEMP.csv": _Sensor("temp", (Channel("temp", "temperature", "degC"),)),
}


class _Table(NamedTuple):
    begin: float  # Unix seconds
    rate: Fraction
    values: Array  # (n, columns)
    scaled: bool = False  # the start was in milliseconds


def read(path: str | Path, *, participant: str = "") -> Recording:
    """Read an Empatica E4 export.

    Streams ``e4.eda`` (uS), ``e4.bvp`` (no unit), ``e4.acc`` (g) and ``e4.temp``
    (degC), if the export contains them; events ``e4.ibi`` (s from beat to beat) and
    ``e4.tags`` (the button). Second 0 of the session clock is the earliest start of a
    stream; ``about["begin_unix"]`` is that time in Unix seconds.

    Parameters
    ----------
    path
        The folder, or the downloaded zip file; the files of a zip may lie in one folder
        inside it.
    participant
        Code of the participant.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If it is not an E4 export, or a damaged or malicious one; the message names the
        file, the line, the value and the expected value.

    Notes
    -----
    ``HR.csv`` is not read: the manufacturer computes it from the whole session,
    including later samples, so that it cannot be the input of an online method.
    """
    path = Path(path)
    files = _files(path)
    tables = {
        name: _table(f"{path}: {name}", files[name], len(sensor.channels))
        for name, sensor in _SENSORS.items()
        if name in files
    }
    if not tables:
        raise ValueError(
            f"{path} is no Empatica E4 export: it has none of {', '.join(_SENSORS)}"
        )
    try:
        check_starts({name: table.begin for name, table in tables.items()}, TOGETHER)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    zero = min(table.begin for table in tables.values())
    streams = {}
    for name, table in tables.items():
        info = _info(name, table.rate, participant)
        data = np.ascontiguousarray(table.values * _SENSORS[name].scale)
        streams[info.name] = (Block(info, 0, table.begin - zero, data),)
    end = max((b.complete_until for (b,) in streams.values() if len(b)), default=0.0)
    about = {"source": "Empatica E4", "begin": "0.0", "begin_unix": repr(zero)}
    scaled = [name for name, table in tables.items() if table.scaled]
    if scaled:
        about["warnings"] = (
            f"{', '.join(scaled)} state the start in milliseconds: read as seconds"
        )
    if participant:
        about["participant"] = participant
    return Recording(streams, _events(path, files, zero, end, participant), (), about)


def is_export(path: Path) -> bool:
    """Return whether a folder holds at least one signal of an E4 export."""
    return any((path / name).is_file() for name in _SENSORS)


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
    path: Path, files: Mapping[str, bytes], zero: float, end: float, participant: str
) -> dict[str, Events]:
    """Return the beats and the tags, in order of time."""
    ibi, at = files.get("IBI.csv", b""), f"{path}: IBI.csv"
    beats = np.empty((0, 2))
    if ibi.strip():
        first, _, rows = ibi.partition(b"\n")
        begin = _number(at, 1, first.split(b",")[0], "the start in Unix seconds")
        begin = unix_seconds(begin)
        beats = _rows(at, rows, 2, skipped=1)
        beats[:, 0] += begin - zero
    tags = np.empty((0, 1))
    for name in (n for n in files if n.startswith("tags")):
        tags = _rows(f"{path}: {name}", files[name], 1, skipped=0) - zero
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


def _table(at: str, text: bytes, width: int) -> _Table:
    """Return one signal: a line with the start, a line with the rate, then samples."""
    lines = text.split(b"\n", 2)
    start = float(_header(at, 1, lines, width, "the start in Unix seconds"))
    begin = unix_seconds(start)
    rate = _header(at, 2, lines, width, "the rate in Hz")
    if not 0 < float(rate) <= 1e4:
        raise ValueError(f"{at}, line 2: a rate of {rate} Hz; it must be above 0")
    rows = lines[2] if len(lines) > 2 else b""
    values = _rows(at, rows, width, skipped=2)
    return _Table(begin, Fraction(rate), values, begin != start)


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


def _rows(at: str, text: bytes, width: int, *, skipped: int) -> Array:
    """Return the numbers of all lines, shape (n, width); ``skipped`` came before."""
    if not text.strip():
        return np.empty((0, width))
    try:
        file = io.BytesIO(text)
        rows = np.loadtxt(file, delimiter=",", ndmin=2, comments=None)
    except ValueError:
        rows = np.empty((0, 0))
    if rows.shape[1] == width and np.isfinite(rows).all():
        return rows
    # Reading line by line is slow and serves only to locate the fault.
    for line, fields in enumerate(text.split(b"\n"), start=skipped + 1):
        values = fields.split(b",")
        if not fields.strip():
            continue
        for value in values:
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


def _files(path: Path) -> dict[str, bytes]:
    """Return the files of an export that are read, by name."""
    if path.is_dir():
        paths = sorted(p for p in path.iterdir() if _READ.fullmatch(p.name))
        sizes = [(p.name, p.stat().st_size) for p in paths]
        _check(path, sizes)
        for part in paths:
            refuse_endless(part)
        return {p.name: p.read_bytes().removeprefix(b"\xef\xbb\xbf") for p in paths}
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    refuse_endless(path)
    with path.open("rb") as raw:
        try:
            file = zipfile.ZipFile(raw)
            members = _members(path, file)
            return {
                name: file.read(member).removeprefix(b"\xef\xbb\xbf")
                for name, member in members.items()
            }
        except _DAMAGE as error:
            raise ValueError(
                f"{path} is no zip file that can be read: "
                f"{str(error) or 'it ends early'}; download it again"
            ) from None


def _check(path: Path, sizes: list[tuple[str, int]]) -> None:
    """Refuse two files that would be read as one, and files too large."""
    kinds = ["tags" if name.startswith("tags") else name for name, _ in sizes]
    twice = [name for i, name in enumerate(kinds) if name in kinds[:i]]
    if twice:
        raise ValueError(
            f"{path} has more than one file for {twice[0]}; an export has one"
        )
    for name, size in sizes:
        if size > MEMBER:
            raise ValueError(
                f"{path}: {name} has {size / 2**20:.0f} MB; at most "
                f"{MEMBER / 2**20:.0f} are read"
            )


def _members(path: Path, file: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the members of a zip file to read, by base name; refuse a hostile one.

    Nothing is extracted, so that no name can refer to a place outside; but a zip file
    with such names does not come from Empatica.
    """
    members: list[tuple[PurePosixPath, zipfile.ZipInfo]] = []
    for member in file.infolist():
        name = member.orig_filename
        place = PurePosixPath(name)
        if "\\" in name or "\0" in name or place.is_absolute() or ".." in place.parts:
            raise ValueError(
                f"{path} has a file called {name!r}, which leads out of it; it is no "
                "export of Empatica's"
            )
        if member.flag_bits & 0x1:
            raise ValueError(f"{path}: {name} is encrypted; unpack it first")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{path}: {name} is packed in an unusual way; unpack it")
        if _READ.fullmatch(place.name) and not member.is_dir():
            members.append((place, member))
    if len({place.parent for place, _ in members}) > 1:
        raise ValueError(f"{path} holds more than one export; give one at a time")
    _check(path, [(place.name, member.file_size) for place, member in members])
    for place, member in members:
        if member.file_size > max(SMALL, RATIO * member.compress_size):
            raise ValueError(
                f"{path}: {place.name} unpacks to {member.file_size} bytes from "
                f"{member.compress_size}, more than {RATIO} times; no signal does"
            )
    return {place.name: member for place, member in members}
