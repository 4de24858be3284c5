"""What is whole in a file that is damaged."""

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
_HEAD = 11  # of what stands before the content of a footer of 256 bytes or more


class Damage(NamedTuple):
    """Bytes that are not what was written, and when about that was (s from begin)."""

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
    """The whole chunks of a file of ours, and where it is damaged.

    ``cut`` is where a chunk begins that the file ends in, or -1. ``checked`` is where
    the last record ends whose checksum is right.
    """

    chunks: list[Chunk] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    cut: int = -1
    checked: int = 0


def recover(raw: bytes) -> RecoveredFile | None:
    """Return what is whole in a file with checksums; None if it has none."""
    found, view, time = RecoveredFile(), memoryview(raw), 0.0
    for record in records(raw):
        if record.begin > found.checked:
            found.damage.append(Damage(found.checked, record.begin, time))
        begin = record.begin or len(MAGIC)
        found.chunks += within(view, begin, record.stop)
        found.checked = record.stop
        time = _time(found.chunks)
    if not found.checked:
        return None
    _tail(found, raw, view, time)
    zero = next(iter(_times(found.chunks)), 0.0)
    found.damage = [d._replace(time=max(d.time - zero, 0.0)) for d in found.damage]
    return found


def _tail(found: RecoveredFile, raw: bytes, view: memoryview, time: float) -> None:
    """Take in what follows the last good check: the end, a cut, or damage.

    Behind the footers that say how the recording ended, that of the checks alone is
    to come, which nobody needs.
    """
    if any(c.tag == Tag.STREAM_FOOTER and c.stream == 1 for c in found.chunks):
        return
    rest: list[Chunk] = []
    begin = max(found.checked, claimed(raw, found.checked))  # a wrong check
    try:
        for one in within(view, begin, len(raw)):
            rest.append(one)
            if (one.tag, one.stream) == (Tag.SAMPLES, NUMBER):  # a wrong check
                rest.clear()
                begin = one.at + _CHECK
    except CutOffError as error:
        found.cut = error.at
    except UnreadableError:
        rest.clear()
        begin = len(raw)
    closed = [i for i, c in enumerate(rest) if c[1:3] == (Tag.STREAM_FOOTER, 1)]
    if closed:  # behind which a check must follow that is right
        end = rest[closed[0]].at + _HEAD + len(rest[closed[0]].content)
        if len(raw) - end >= _CHECK:
            found.damage.append(Damage(end, end + _CHECK, time))
            found.cut = -1
            del rest[closed[0] + 1 :]
    if begin > found.checked:
        found.damage.append(Damage(found.checked, begin, time))
    found.chunks += rest


def _times(chunks: list[Chunk]) -> "chain[float]":
    return chain.from_iterable(map(_timeline_times, chunks))


def _timeline_times(one: Chunk) -> list[float]:
    if (one.tag, one.stream) != (Tag.SAMPLES, 1):
        return []
    times: list[float] = np.asarray(read_numbers(one.content, len(ENTRY))[0]).tolist()
    return times


def _time(chunks: list[Chunk]) -> float:
    """Return the time of the last entry of the timeline (s)."""
    last = next((c for c in reversed(chunks) if _timeline_times(c)), None)
    return 0.0 if last is None else _timeline_times(last)[-1]
