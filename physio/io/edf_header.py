"""Headers of EDF and BDF files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from physio.io.units import decode_unit

LARGEST: Final = 2**30
"""Maximum number of samples, over all channels, that are read at once."""

_ANNOTATIONS: Final = ("EDF Annotations", "BDF Annotations")


class EdfSignal(NamedTuple):
    """Label, unit, samples in a record, and True if one of its ranges is empty."""

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
    ranges = (fields(begin, 8) for begin in (104, 112, 120, 128))
    for label, unit, samples, *limits in zip(
        *(fields(0, 16), fields(96, 8), fields(216, 8), *ranges), strict=True
    ):
        text = label.decode("latin-1").replace("\0", " ").strip()
        low, high, digital_low, digital_high = map(_limit, limits)
        if text not in _ANNOTATIONS:
            empty = low == high or digital_low == digital_high
            stated = decode_unit(unit.strip(b" \0"))
            signals.append(EdfSignal(text, stated, empty, int(samples)))
    return tuple(signals)


def _limit(field: bytes) -> float | bytes:
    """Return a limit of a range; the text itself if it is not a number."""
    try:
        return float(field.strip(b" \0").replace(b",", b"."))
    except ValueError:
        return field


@contextmanager
def readable_file(path: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield a file that MNE reads, and notes on its differences from ``path``.

    Programs under a German or French Windows write the duration of a record with a
    decimal comma; in that case a copy with a decimal point is read.
    """
    with path.open("rb") as file:
        duration = file.read(256)[244:252]
    if b"," not in duration:
        yield path, []
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copyfile(path, copy)
        with copy.open("r+b") as file:
            file.seek(244)
            file.write(duration.replace(b",", b"."))
        text = duration.decode("latin-1").strip()
        yield copy, [f"the duration of a record, {text!r}, has a comma for a point"]


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
