"""Streams of intervals between beats as rows that chains read."""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Final

import numpy as np

from physio.core.aligner import LONGEST
from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events
from physio.core.missing import MissingReason

RATE: Final = Fraction(8)
"""Rows per second (Hz)."""

LATE: Final = 3.0
"""Time by which a device may be late with an interval (s)."""

_NEAR: Final = 0.15  # s, by which the begin of an interval may miss the beat before
_POOR: Final = MissingReason.POOR_QUALITY.nan


def has_intervals(info: StreamInfo) -> bool:
    """Return whether a stream of events holds intervals between beats, in seconds."""
    first = info.channels[0] if info.channels else Channel("")
    return not info.rate and info.name.endswith(".ibi") and first.unit == "s"


def readable(streams: Iterable[StreamInfo]) -> dict[str, StreamInfo]:
    """Return the streams that chains can read, by name: regular ones and intervals.

    A stream of intervals is described as the rows that chains read.
    """
    known: dict[str, StreamInfo] = {}
    for info in streams:
        if info.rate:
            known[info.name] = info
        elif has_intervals(info):
            known[info.name] = rows_info(info)
    return known


def rows_info(info: StreamInfo) -> StreamInfo:
    """Return the point stream that chains read in place of a stream of intervals."""
    delay = LATE + 2 / float(RATE)
    channels = (
        Channel("event", "event", "s", delay, delay),
        Channel("interval", "misc", "s", delay, delay),
        Channel("confidence", "misc", "1", delay, delay),
        Channel("height", "misc", "1", delay, delay),
        Channel("rr", "misc", "s", delay, delay),
    )
    return replace(info, rate=RATE, channels=channels)


class IntervalRows:
    """Rows of a stream of intervals, one beat per row at most.

    A beat stands in the first row `LATE` s after it, so that a device may be late. A
    device that is later loses nothing: the beat stands in the next row, with its own
    time. An interval that does not begin at the beat before it adds its first beat,
    without an interval.

    Parameters
    ----------
    info
        The rows: see `rows_info`.
    begin
        Time of the first row (s, session clock).
    """

    def __init__(self, info: StreamInfo, begin: float) -> None:
        self.info = info
        self.begin = begin
        self.newest = -np.inf
        """Time of the newest beat (s, session clock)."""
        self._waiting: deque[tuple[float, float]] = deque()  # beat, interval (s)
        self._next = 0

    def add(self, events: Events) -> None:
        """Take in intervals, each at the beat that ends it."""
        for end, interval in zip(events.times.tolist(), events.data[:, 0], strict=True):
            if end <= self.newest or not interval > 0:
                continue
            if abs(end - interval - self.newest) > _NEAR:
                self._waiting.append((max(end - interval, self.newest), _POOR))
            self._waiting.append((end, float(interval)))
            self.newest = end

    def take(self, until: float) -> Block:
        """Return the rows up to a time (s, session clock) that were not yet returned.

        Raises
        ------
        ValueError
            If the time is more than a month after the newest row.
        """
        rate = float(RATE)
        ahead = until - self.begin - self._next / rate
        if ahead > LONGEST:
            raise ValueError(
                f"{self.info.name!r} moves on by {ahead / 86_400:.0f} days at once: "
                f"its clock is wrong"
            )
        stop = self._next
        if ahead >= 0:
            stop = int((until - self.begin) * rate) + 1
        data = np.full((stop - self._next, 5), np.nan)
        for k in range(len(data)):
            t = self.begin + (self._next + k) / rate
            if not self._waiting:
                break
            beat, interval = self._waiting[0]
            if beat + LATE <= t:
                data[k] = beat - t, interval, 1.0, 0.0, interval
                self._waiting.popleft()
        block = Block(self.info, self._next, self.begin, data)
        self._next = stop
        return block
