"""Measurements of the clocks of an XDF file: those that can be right."""

import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array
from physio.io.xdf.chunks import Chunk, Tag

_SAME: Final = 1.0  # difference of two offsets of one clock (s)
_NEAR: Final = 60.0  # time between a measurement and the samples it is about (s)
_LONGEST: Final = 12 * 3600.0  # time between two measurements (s)
_FEWEST: Final = 2  # measurements that show how long a session lasted


class ClockOffset(NamedTuple):
    """One measurement: its chunk, the time on the stream's clock, the offset (s)."""

    chunk: int
    time: float
    offset: float

    @property
    def recorded(self) -> float:
        """Time of the measurement on the recorder's clock (s)."""
        return self.time + self.offset


def clock_offsets(chunks: Sequence[Chunk]) -> dict[int, list[ClockOffset]]:
    """Return the measurements of each stream, with their indices among the chunks."""
    offsets: dict[int, list[ClockOffset]] = {}
    for i, chunk in enumerate(chunks):
        if chunk.tag == Tag.CLOCK_OFFSET and len(chunk.content) >= 16:
            pair = struct.unpack_from("<dd", chunk.content)
            offsets.setdefault(chunk.stream, []).append(ClockOffset(i, *pair))
    return offsets


def implausible(offsets: Sequence[ClockOffset], stamps: Array) -> set[int]:
    """Return the chunks of the measurements of a stream that cannot be right.

    Offsets that differ by more than a second are of different clocks: after a restart
    of the sender, for example. Most measurements are of one clock. Another one is real
    if its measurements follow on the recorder's clock and samples were stamped by it;
    a single -1e10, as from a sender that ended, has neither.

    Parameters
    ----------
    offsets
        All measurements of the stream, in the order of the file.
    stamps
        Stamps of its samples as in the file (s).
    """
    finite = [o for o in offsets if np.isfinite(o.time) and np.isfinite(o.offset)]
    wrong = {o.chunk for o in offsets} - {o.chunk for o in finite}
    groups: list[list[ClockOffset]] = []
    for offset in finite:
        if not groups or abs(offset.offset - groups[-1][-1].offset) > _SAME:
            groups.append([])
        groups[-1].append(offset)
    if len(groups) < 2:
        return wrong
    main = max(groups, key=len)
    last = main[0].recorded
    for group in groups[groups.index(main) :]:
        follows = group is main or group[0].recorded > last
        if not (group is main or _is_real(group, stamps, follows=follows)):
            wrong |= {o.chunk for o in group}
        else:
            last = group[-1].recorded
    following = main[0].recorded
    for group in reversed(groups[: groups.index(main)]):
        follows = group[-1].recorded < following
        if _is_real(group, stamps, follows=follows):
            following = group[0].recorded
        else:
            wrong |= {o.chunk for o in group}
    return wrong


def session_span(
    offsets: Mapping[int, Sequence[ClockOffset]],
    stamps: Mapping[int, Array],
    without: int,
) -> tuple[float, float] | None:
    """Return the first and last time of a session by all streams but one (s).

    It is None if neither measurements nor samples of another regular stream show it.

    Parameters
    ----------
    offsets
        Plausible measurements of each stream.
    stamps
        Synchronized stamps of each regular stream (s).
    without
        The stream that is to be compared with it.
    """
    times: list[float] = []
    for stream, measured in offsets.items():
        if stream != without and len(measured) >= _FEWEST:
            times += [o.recorded for o in measured]
    for stream, own in stamps.items():
        if stream != without and len(own) > 1 and np.ptp(own) < _LONGEST:
            times += [float(own.min()), float(own.max())]
    return (min(times), max(times)) if times else None


def _is_real(group: Sequence[ClockOffset], stamps: Array, *, follows: bool) -> bool:
    """Return whether offsets are of a clock with which samples were stamped."""
    first, last = group[0].time, group[-1].time
    near = (stamps > first - _NEAR) & (stamps < last + _NEAR)
    return follows and bool(near.any())
