"""Alignment of streams with different rates on one grid of ticks."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import numpy as np

from physio.core.block import Array, Block, Channel, Origin, StreamInfo
from physio.core.missing import MissingReason

LONGEST = 31 * 86_400.0
"""Longest time by which the newest rows of all streams may move on at once (s)."""

_NOTHING = MissingReason.NO_SIGNAL.nan


@dataclass(frozen=True)
class TickGrid:
    """Settings of the alignment: the newest row of every stream at each tick.

    Tick j is at ``begin + j / rate`` on the session clock. It is due once every stream
    has data up to it or has been declared silent up to it. A cell is NaN (reason: no
    signal) where the newest row is more than ``hold`` s old. The columns
    ``<stream>.window_start`` and ``<stream>.window_end`` give the first and last time
    of the samples that a stream's values are computed from (s, session clock).

    The law: the output does not depend on the order in which blocks of different
    streams arrive.

    Parameters
    ----------
    rate
        Ticks per second (Hz).
    hold
        Age up to which the newest row of a stream is used (s).
    """

    rate: Fraction = Fraction(4)
    hold: float = 1.0


class StreamAligner:
    """Alignment running on the streams of one session.

    Parameters
    ----------
    join
        The settings.
    sources
        The streams; each column is called ``<stream>.<channel>``.
    begin
        Time of tick 0 (s, session clock).
    """

    def __init__(
        self, join: TickGrid, sources: tuple[StreamInfo, ...], begin: float
    ) -> None:
        self.join = join
        self.begin = begin
        self.info = aligned_info(join, sources)
        self._sources = {info.name: info for info in sources}
        self._spans = {info.name: info.memory for info in sources}
        self._rate = float(join.rate)
        self.names = frozenset(self._sources)
        self.reset()

    def reset(self) -> None:
        """Discard all rows."""
        self._tick = 0
        self._none = self._ticks(0, np.empty((0, len(self.info.channels))))
        self._until = dict.fromkeys(self._sources, -np.inf)  # complete until
        self._first = dict.fromkeys(self._sources, np.inf)  # time of the first row
        self._times = {name: np.empty(0) for name in self._sources}
        self._rows = {
            name: np.empty((0, len(info.channels)))
            for name, info in self._sources.items()
        }

    def complete_until(self, names: Iterable[str]) -> float:
        """Return the time up to which all of these streams are complete (s)."""
        return min((self._until[name] for name in names), default=np.inf)

    def push(self, block: Block, until: float | None = None) -> Block:
        """Add a block of one of the streams; return the ticks now due.

        Parameters
        ----------
        block
            Rows of one stream, possibly none.
        until
            Time up to which the stream is complete (s, session clock): all later rows
            are after it; by default the time of the block's last row.
        """
        name = block.info.name
        if len(block):
            self._first[name] = min(self._first[name], float(block.times[0]))
            self._times[name] = np.concatenate([self._times[name], block.times])
            self._rows[name] = np.vstack([self._rows[name], block.data])
            until = block.complete_until if until is None else until
        return self.advance(name, until) if until is not None else self._emit()

    def advance(self, name: str, until: float) -> Block:
        """Mark a stream as complete until ``until`` (s); return the ticks now due."""
        self._until[name] = max(self._until[name], until)
        return self._emit()

    def _emit(self) -> Block:
        ready = min(self._until.values(), default=-np.inf)
        if not self.begin + self._tick / self._rate <= ready < np.inf:
            return self._none
        ahead = ready - self.begin - self._tick / self._rate
        if ahead > LONGEST:
            raise ValueError(
                f"all streams move on by {ahead / 86_400:.0f} days at once: the clock "
                f"of {min(self._until, key=lambda k: self._until[k])} is wrong"
            )
        stop = int((ready - self.begin) * self._rate) + 1
        while stop > self._tick and self.begin + (stop - 1) / self._rate > ready:
            stop -= 1
        start, self._tick = self._tick, max(stop, self._tick)
        ticks = self.begin + np.arange(start, self._tick) / self._rate
        data = np.full((len(ticks), len(self.info.channels)), _NOTHING)
        at = 0
        for name, info in self._sources.items():
            columns = len(info.channels)
            self._fill(name, ticks, data[:, at : at + columns + 2])
            at += columns + 2
        self._none = self._ticks(self._tick, data[:0])
        return self._ticks(start, data)

    def _ticks(self, start: int, data: Array) -> Block:
        return Block(self.info, start, self.begin, data)

    def _fill(self, name: str, ticks: Array, cells: Array) -> None:
        """Write the newest row at each tick, with its support; discard older rows."""
        times, rows = self._times[name], self._rows[name]
        if not len(ticks) or not len(times):
            return
        newest = times.searchsorted(ticks, side="right") - 1
        stamps = times[newest]
        recent = (newest >= 0) & (ticks - stamps <= self.join.hold)
        cells[recent, :-2] = rows[newest[recent]]
        cells[recent, -2] = np.maximum(stamps - self._spans[name], self._first[name])[
            recent
        ]
        cells[recent, -1] = stamps[recent]
        if newest[-1] > 0:
            self._times[name] = times[newest[-1] :].copy()
            self._rows[name] = rows[newest[-1] :].copy()


@lru_cache(4096)
def _named(stream: str, channel: Channel) -> Channel:
    return replace(channel, name=f"{stream}.{channel.name}")


def aligned_info(join: TickGrid, sources: tuple[StreamInfo, ...]) -> StreamInfo:
    """Return the stream of ticks that `StreamAligner` makes of these streams."""
    channels = []
    for info in sources:
        channels += [_named(info.name, c) for c in info.channels]
        channels += [
            Channel(f"{info.name}.{end}", unit="s")
            for end in ("window_start", "window_end")
        ]
    origin = Origin.worst(*(info.origin for info in sources))
    participants = {info.participant for info in sources if info.participant}
    participant = participants.pop() if len(participants) == 1 else ""
    return StreamInfo("features", join.rate, tuple(channels), origin, participant)
