"""Headers of EDF and BDF files."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from physio.io.units import decode_unit

LARGEST: Final = 2**30
"""Maximum number of samples, over all channels, that are read at once."""

_ANNOTATIONS: Final = ("EDF Annotations", "BDF Annotations")
_LIMITS: Final = (104, 112, 120, 128)
"""Place of the physical and digital limits among the fields of a signal (bytes)."""


class EdfSignal(NamedTuple):
    """Label, unit, samples in a record, and True if its values have no scale.

    One of its ranges is then empty, or a limit is no number.
    """

    label: str
    unit: str
    empty: bool
    samples: int


def read_signals(path: Path) -> tuple[EdfSignal, ...]:
    """Return the header entries of each signal except annotations."""
    with path.open("rb") as file:
        head = file.read(256)
        n = int(head[252:256])
        more = file.read(256 * n)

    def fields(begin: int, width: int) -> list[bytes]:
        area = more[n * begin : n * (begin + width)]
        return [area[i * width : (i + 1) * width] for i in range(n)]

    signals = []
    ranges = (fields(begin, 8) for begin in _LIMITS)
    for label, unit, samples, *limits in zip(
        *(fields(0, 16), fields(96, 8), fields(216, 8), *ranges), strict=True
    ):
        text = label.decode("latin-1").replace("\0", " ").strip()
        low, high, digital_low, digital_high = map(_limit, limits)
        if text not in _ANNOTATIONS:
            empty = low is None or high is None or low == high
            empty |= digital_low is None or digital_low == digital_high
            empty |= digital_high is None
            stated = decode_unit(unit.strip(b" \0"))
            signals.append(EdfSignal(text, stated, empty, int(samples)))
    return tuple(signals)


def read_start(path: Path) -> tuple[float | None, str]:
    """Return the start of a recording (s, Unix time), and a note on its date.

    The start is None where date or time are invalid or unknown. In EDF+ a date of four
    digits in the field of the recording takes precedence over that of two digits, and
    01.01.85 beside ``Startdate X`` stands for an unknown date. Years of two digits lie
    between 1985 and 2084. The time zone is unknown; UTC is assumed.
    """
    with path.open("rb") as file:
        head = file.read(256).decode("latin-1")
    is_plus = head[192:196].strip().upper() in ("EDF+", "BDF+")
    short, stated = (
        head[168:176].strip(" \0"),
        re.match(r"Startdate (\S+)", head[88:168]),
    )
    date = _date(short, "%d.%m.%y")
    if date is not None and date.year < 1985:
        date = date.replace(year=date.year + 100)
    note = ""
    if is_plus and stated is not None:
        if (full := _date(stated[1], "%d-%b-%Y")) is not None:
            if date is not None and full != date:
                note = (
                    f"the header states two dates, {short} and {stated[1]}: the second "
                    "is used"
                )
            date = full
        elif stated[1] == "X" and short == "01.01.85":
            date = None
    time = _date(head[176:184].strip(" \0").replace(":", "."), "%H.%M.%S")
    if date is None or time is None:
        return None, note
    moment = datetime.combine(date.date(), time.time(), UTC)
    return moment.timestamp(), note


def _date(text: str, pattern: str) -> datetime | None:
    try:
        return datetime.strptime(text, pattern).replace(tzinfo=UTC)
    except ValueError:
        return None


def _limit(field: bytes) -> float | None:
    """Return a limit of a range; None if it is not a number."""
    try:
        value = float(field.strip(b" \0").replace(b",", b"."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


@contextmanager
def readable_file(path: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield a file that MNE reads, and notes on its differences from ``path``.

    Programs under a German or French Windows write the duration of a record with a
    decimal comma, and some leave the limits of unused signals empty. In that case a
    copy with a decimal point and valid limits is read.
    """
    with path.open("rb") as file:
        head = bytearray(file.read(256))
        n = int(head[252:256])
        head += file.read(256 * n)
    original, notes = bytes(head), []
    duration = bytes(head[244:252])
    if b"," in duration:
        head[244:252] = duration.replace(b",", b".")
        text = duration.decode("latin-1").strip()
        notes.append(f"the duration of a record, {text!r}, has a comma for a point")
    for begin, valid in zip(_LIMITS, (b"-1", b"1", b"-32768", b"32767"), strict=True):
        for i in range(n):
            place = slice(256 + n * begin + 8 * i, 256 + n * begin + 8 * i + 8)
            if _limit(bytes(head[place])) is None:
                head[place] = valid.ljust(8)
    if bytes(head) == original:
        yield path, notes
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copyfile(path, copy)
        with copy.open("r+b") as file:
            file.write(head)
        yield copy, notes


def check_size(path: Path) -> None:
    """Refuse an EDF or BDF file whose header does not match its size."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(256)
        fields = {
            "bytes of the header": (184, 192),
            "number of records": (236, 244),
            "number of signals": (252, 256),
        }
        sizes = {
            quantity: _number(path, head[a:b], quantity)
            for quantity, (a, b) in fields.items()
        }
        length, records, signals = sizes.values()
        if not 0 < signals < 10_000 or length != 256 * (signals + 1):
            raise ValueError(
                f"{path}: a header of {length} bytes for {signals} signals; it must "
                "have 256 for itself and for each"
            )
        more = file.read(length - 256)
    places = range(signals * 216, signals * 224, 8)
    samples = [_number(path, more[p : p + 8], "samples of a record") for p in places]
    width = 3 if head[:1] == b"\xff" else 2
    record = sum(samples) * width
    if min(samples) < 0 or record == 0 or record > LARGEST:
        raise ValueError(f"{path}: records of {record} bytes")
    labels = {more[16 * i : 16 * (i + 1)].decode("latin-1") for i in range(signals)}
    if _limit(head[244:252]) == 0 and {s.strip(" \0") for s in labels} - {
        *_ANNOTATIONS
    }:
        raise ValueError(
            f"{path}: its records last 0 s, so that its signals have no rate; state "
            "the duration of a record in the header (bytes 244 to 251)"
        )
    there = (size - length) // record
    if records != -1 and there < records:  # -1: a recording that was never closed
        raise ValueError(
            f"{path} is truncated: its header declares {records} records, but it has "
            f"{there}"
        )


def _number(path: Path, field: bytes, quantity: str) -> int:
    try:
        return int(field.decode("ascii").strip())
    except ValueError:
        shown = field.decode("latin-1").strip()
        raise ValueError(
            f"{path} is no EDF or BDF file: {shown!r} stands where the {quantity} "
            f"belongs"
        ) from None
