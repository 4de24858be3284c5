"""Alignment of rows that come in numbered packets, as an EmotiBit sends them."""

from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.core.timing.timestamps import PlacedSamples, TimestampAligner

_BURST: Final = 1.2  # s with three packets, of which one is hardly delayed
_BACK: Final = 512  # numbers by which an overtaken packet may be behind
_FEW: Final = 16  # packets of which one is hardly delayed
_AT_ONCE: Final = 0.005  # s between the stamps of the rows of one packet, at most


class Packets:
    """Alignment of rows that came in packets on the grid of their rate.

    The number of a packet counts packets of all kinds, so it does not determine how
    many rows were lost. It determines which rows came together, which packets were
    repeated or overtaken, and whether a loss is possible: where the number rises by no
    more than usual, none occurred, however late a packet is. All rows of a packet have
    its time of arrival: they are spread at the nominal rate before it, and the least
    delayed packets determine the grid.

    Parameters
    ----------
    rate
        Rows a second (Hz).
    wrap
        Value at which the packet number returns to 0.
    """

    def __init__(self, rate: float, wrap: int = 65_536) -> None:
        self.rate, self.wrap = rate, wrap
        self._stamped = TimestampAligner(rate, _BURST, repeats=False)
        self._numbers: deque[int] = deque(maxlen=64)
        self._newest, self._stamp = -1, -np.inf
        self._rises: deque[int] = deque(maxlen=32)  # of the number, packet to packet
        self._before, self._time = -1, 0.0  # number and time of the row before
        self._lateness: deque[float] = deque(maxlen=_FEW)  # of packets (s)
        self.repeated = self.late = 0
        """Number of repeated rows; number of rows that came after their successors."""

    def push(
        self,
        counts: npt.NDArray[np.int64],
        times: Array,
        stamps: Array,
        rows: Array,
        now: float,
    ) -> list[PlacedSamples]:
        """Add rows; return those that have a place.

        Parameters
        ----------
        counts, times, stamps, rows
            Packet number, time of arrival (s, session clock), the board's time stamp
            and values of each row.
        now
            The time (s, session clock).
        """
        edges = np.flatnonzero(np.diff(counts)) + 1
        parts = [p for p in np.split(np.arange(len(counts)), edges) if len(p)]
        packets = [p for part in self._in_order(parts, counts) for p in
                self._new(part, int(counts[part[0]]), stamps)]  # fmt: skip
        order = np.concatenate(packets) if packets else np.empty(0, np.int64)
        spread = times.copy()
        for part in packets:
            spread[part] -= np.arange(len(part) - 1, -1, -1) / self.rate
            self._follow(spread, part, int(counts[part[0]]))
        return self._stamped.push(spread[order], stamps[order], rows[order], now)

    def _follow(self, spread: Array, part: npt.NDArray[np.int64], number: int) -> None:
        """Limit the delay of rows where no packet can have been lost."""
        rise = (number - self._before) % self.wrap
        usual = float(np.median(self._rises)) if self._rises else 0.0
        if self._before >= 0 and rise <= 1.5 * usual + 3:
            after = (1 + np.arange(len(part))) / self.rate
            late = float(spread[part[0]] - self._time - after[0])
            self._lateness.append(late)
            least = min(self._lateness)
            if late < _BURST:  # else the rate is another one
                spread[part] = self._time + after + least
                moved = [by - least for by in self._lateness]
                self._lateness = deque(moved, self._lateness.maxlen)
        else:
            self._lateness.clear()
        if rise and self._before >= 0:
            self._rises.append(rise)
        self._before, self._time = number, float(spread[part[-1]])

    def _in_order(
        self, parts: list[npt.NDArray[np.int64]], counts: npt.NDArray[np.int64]
    ) -> list[npt.NDArray[np.int64]]:
        """Return packets that came at once in the order of sending."""
        if not parts:
            return []
        first = int(counts[parts[0][0]])
        half = self.wrap // 2
        return sorted(
            parts, key=lambda p: (int(counts[p[0]]) - first + half) % self.wrap
        )

    def _new(
        self, part: npt.NDArray[np.int64], number: int, stamps: Array
    ) -> list[npt.NDArray[np.int64]]:
        """Return the rows of a packet that are not repeated."""
        again = np.flatnonzero(
            np.diff(stamps[part], prepend=stamps[part[0]]) > _AT_ONCE
        )
        whole = part[: again[0]] if len(again) else part
        self.repeated += len(part) - len(whole)
        goes_on = number == self._newest and stamps[whole[0]] < self._stamp + _AT_ONCE
        ahead = (number - self._newest) % self.wrap
        if number in self._numbers and not goes_on:
            self.repeated += len(whole)
            return []
        back = self.wrap - ahead
        if self._newest >= 0 and not goes_on and back <= _BACK:
            self._numbers.append(number)
            self.late += len(whole)
            return []
        self._numbers.append(number)
        self._newest, self._stamp = number, float(stamps[whole[-1]])
        return [whole]
