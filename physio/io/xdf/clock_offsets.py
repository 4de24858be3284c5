"""Clock offsets of an XDF file: those that can be right, and what they correct."""

import struct
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array
from physio.io.xdf.chunks import Chunk, Tag

_SAME: Final = 1.0  # difference of two offsets of one clock (s)
_NEAR: Final = 60.0  # time between a measurement and the samples it is about (s)
_PAUSE: Final = 600.0  # time between two measurements (s)
_LONGEST: Final = 12 * 3600.0  # time between two samples of a stream (s)
_FEWEST: Final = 2  # measurements that show how long a session lasted
_LINE: Final = 8  # measurements that show the drift of a clock


class ClockOffset(NamedTuple):
    """One measurement: its chunk, the time on the stream's clock, the offset (s)."""

    chunk: int
    time: float
    offset: float

    @property
    def recorded(self) -> float:
        """Time of the measurement on the recorder's clock (s)."""
        return self.time + self.offset

    @property
    def is_finite(self) -> bool:
        """True if both numbers are finite."""
        return bool(np.isfinite(self.time) and np.isfinite(self.offset))


def clock_offsets(chunks: Sequence[Chunk]) -> dict[int, list[ClockOffset]]:
    """Return the measurements of each stream, with their indices among the chunks."""
    offsets: dict[int, list[ClockOffset]] = {}
    for i, chunk in enumerate(chunks):
        if chunk.tag == Tag.CLOCK_OFFSET and len(chunk.content) >= 16:
            pair = struct.unpack_from("<dd", chunk.content)
            offsets.setdefault(chunk.stream, []).append(ClockOffset(i, *pair))
    return offsets


def clocks(offsets: Sequence[ClockOffset]) -> list[list[ClockOffset]]:
    """Return finite measurements, divided where the offset changes by over a second.

    Offsets that differ by more are of different clocks: after a restart of the sender,
    or after none.
    """
    groups: list[list[ClockOffset]] = []
    for offset in (o for o in offsets if o.is_finite):
        if not groups or abs(offset.offset - groups[-1][-1].offset) > _SAME:
            groups.append([])
        groups[-1].append(offset)
    return groups


def plausible(offsets: Sequence[ClockOffset], stamps: Array) -> list[list[ClockOffset]]:
    """Return the measurements of a stream that can be right, by clock.

    Most are of one clock. Another clock is real if its measurements follow on that of
    the recorder and samples were stamped by it; a single -1e10, as from a sender that
    ended, has neither.

    Parameters
    ----------
    offsets
        All measurements of the stream, in the order of the file.
    stamps
        Stamps of its samples as in the file (s).
    """
    groups = clocks(offsets)
    if len(groups) < 2:
        return groups
    i = groups.index(max(groups, key=len))
    after, before = [groups[i]], [groups[i]]
    for group in groups[i + 1 :]:
        pause = group[0].recorded - after[-1][-1].recorded
        if 0 < pause < _PAUSE and _has_samples(group, stamps):
            after.append(group)
    for group in reversed(groups[:i]):
        pause = before[0][0].recorded - group[-1].recorded
        if 0 < pause < _PAUSE and _has_samples(group, stamps):
            before.insert(0, group)
    return [*before, *after[1:]]


def corrected(stamps: Array, groups: Sequence[Sequence[ClockOffset]]) -> Array:
    """Return the times of samples by a clock that restarted (s).

    The samples are divided at the restarts so that each is closest to the measurements
    of its own clock.
    """
    distances = [_distance(stamps, group) for group in groups]
    times, begin = stamps.copy(), 0
    for i, group in enumerate(groups):
        stop = len(stamps)
        if i + 1 < len(groups):
            gain = (distances[i] - distances[i + 1])[begin:]
            stop = begin + int(np.argmin(np.concatenate([[0.0], np.cumsum(gain)])))
        times[begin:stop] += _offset_at(stamps[begin:stop], group)
        begin = stop
    return times


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
    for stream, at in stamps.items():
        if stream != without and len(at) > 1 and np.ptp(at) < _LONGEST:
            times += [float(at.min()), float(at.max())]
    return (min(times), max(times)) if times else None


def _has_samples(group: Sequence[ClockOffset], stamps: Array) -> bool:
    """Return whether samples were stamped about the time of these measurements."""
    return bool((_distance(stamps, group) < _NEAR).any())


def _distance(stamps: Array, group: Sequence[ClockOffset]) -> Array:
    """Return the time between each stamp and the measurements of a clock (s)."""
    first, last = group[0].time, group[-1].time
    return np.maximum(np.maximum(first - stamps, stamps - last), 0.0)


def _offset_at(stamps: Array, group: Sequence[ClockOffset]) -> Array:
    """Return the offset of a clock at each stamp (s): a line, or a constant."""
    at, by = np.array([(o.time, o.offset) for o in group]).T
    steady = all(0 < b - a < _PAUSE for a, b in pairwise(at.tolist()))
    if len(group) < _LINE or not steady:
        return np.full(len(stamps), np.median(by))
    slope, offset = np.polyfit(at - at[0], by, 1)
    return offset + slope * (stamps - at[0])
