"""Recovery of the undamaged chunks of a damaged file."""

from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import numpy as np

from physio.io.xdf.checksums import NUMBER, claimed, records
from physio.io.xdf.chunks import (
    MAGIC,
    Chunk,
    CutOffError,
    Tag,
    UnreadableError,
    read_numbers,
    within,
)
from physio.io.xdf.header import ENTRY

_CHECK = 43  # bytes of the chunk of a check
_HEAD = 11  # of the bytes before the content of a footer of 256 bytes or more


class Damage(NamedTuple):
    """Damaged bytes, and their approximate time in the recording (s)."""

    begin: int
    end: int
    time: float

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.time), 60)
        return (
            f"damaged at {minutes:02d}:{seconds:02d}: bytes {self.begin} to {self.end}"
        )


@dataclass
class RecoveredFile:
    """The complete chunks of a file of `Writer`, and its damaged bytes.

    ``cut`` is the first byte of an incomplete last chunk, or -1. ``checked`` is the end
    of the last record with a valid checksum.
    """

    chunks: list[Chunk] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    cut: int = -1
    checked: int = 0


def recover(raw: bytes) -> RecoveredFile | None:
    """Return the complete chunks of a file with checksums; None if it has none."""
    recovered, view, time = RecoveredFile(), memoryview(raw), 0.0
    for record in records(raw):
        if record.begin > recovered.checked:
            recovered.damage.append(Damage(recovered.checked, record.begin, time))
        begin = record.begin or len(MAGIC)
        recovered.chunks += within(view, begin, record.stop)
        recovered.checked = record.stop
        time = _time(recovered.chunks)
    if not recovered.checked:
        return None
    _tail(recovered, raw, view, time)
    zero = next(iter(_times(recovered.chunks)), 0.0)
    recovered.damage = [
        d._replace(time=max(d.time - zero, 0.0)) for d in recovered.damage
    ]
    return recovered


def _tail(recovered: RecoveredFile, raw: bytes, view: memoryview, time: float) -> None:
    """Add the bytes after the last good check: the end, a cut, or damage.

    The footers that state the end of the recording are followed only by the footer of
    the checks, which is not needed.
    """
    if any(c.tag == Tag.STREAM_FOOTER and c.stream == 1 for c in recovered.chunks):
        return
    rest: list[Chunk] = []
    begin = max(recovered.checked, claimed(raw, recovered.checked))  # a wrong check
    try:
        for chunk in within(view, begin, len(raw)):
            rest.append(chunk)
            if (chunk.tag, chunk.stream) == (Tag.SAMPLES, NUMBER):  # a wrong check
                rest.clear()
                begin = chunk.at + _CHECK
    except CutOffError as error:
        recovered.cut = error.at
    except UnreadableError:
        rest.clear()
        begin = len(raw)
    closed = [i for i, c in enumerate(rest) if c[1:3] == (Tag.STREAM_FOOTER, 1)]
    if closed:  # which must be followed by a valid check
        end = rest[closed[0]].at + _HEAD + len(rest[closed[0]].content)
        if len(raw) - end >= _CHECK:
            recovered.damage.append(Damage(end, end + _CHECK, time))
            recovered.cut = -1
            del rest[closed[0] + 1 :]
    if begin > recovered.checked:
        recovered.damage.append(Damage(recovered.checked, begin, time))
    recovered.chunks += rest


def _times(chunks: list[Chunk]) -> "chain[float]":
    return chain.from_iterable(map(_timeline_times, chunks))


def _timeline_times(chunk: Chunk) -> list[float]:
    if (chunk.tag, chunk.stream) != (Tag.SAMPLES, 1):
        return []
    times: list[float] = np.asarray(read_numbers(chunk.content, len(ENTRY))[0]).tolist()
    return times


def _time(chunks: list[Chunk]) -> float:
    """Return the time of the last entry of the timeline (s)."""
    last = next((c for c in reversed(chunks) if _timeline_times(c)), None)
    return 0.0 if last is None else _timeline_times(last)[-1]
