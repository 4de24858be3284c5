"""When samples were taken and which were lost, from what a device gives away of it.

Times never run backwards here: an epoch is moved so little that the next sample is
still later than the last one. All is arithmetic on numbers given; no clock is read.
"""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array

STEEPEST = 0.05  # how fast an epoch may move, in seconds a second
SETTLE = 1.0  # in about how long an epoch comes to where it belongs (s)


def slewed(epoch: float, target: float, rows: int, rate: float) -> float:
    """Return where an epoch may be, ``rows`` samples later, on its way to ``target``.

    Parameters
    ----------
    epoch, target
        Where it was and where it should be (s).
    rows
        Number of samples since it was there, lost ones included.
    rate
        Samples a second (Hz).
    """
    seconds = rows / rate
    down, up = -min(STEEPEST * seconds, 0.5 / rate), STEEPEST * seconds
    step = (target - epoch) * min(1.0, seconds / SETTLE)
    return epoch + min(max(step, down), up)


class Epoch:
    """When sample 0 was taken, judged by when its successors arrived.

    No sample arrives before it was taken, and some arrive with little delay: of the
    last ``window`` seconds the one that came earliest, for its number, counts.
    """

    def __init__(self, rate: float, window: float = 5.0) -> None:
        self.rate, self.window = rate, window
        self._least: deque[tuple[float, float]] = deque()  # (heard, epoch), rising
        self._epoch = np.nan
        self._start = 0

    def hear(self, now: float, newest: int) -> None:
        """Take note that sample number ``newest`` was there at ``now`` (s)."""
        epoch = now - newest / self.rate
        while self._least and self._least[-1][1] >= epoch:
            self._least.pop()
        self._least.append((now, epoch))
        while self._least[0][0] < now - self.window:
            self._least.popleft()

    def at(self, start: int) -> float:
        """Return the epoch of a block that begins with sample ``start``."""
        target = self._least[0][1]
        if np.isnan(self._epoch):
            self._epoch = target
        rows = start - self._start
        self._epoch = slewed(self._epoch, target, rows, self.rate)
        self._start = start
        return self._epoch

    def behind(self, now: float, newest: int) -> float:
        """Return how many samples more than ``newest`` there should be at ``now``."""
        if np.isnan(self._epoch):
            return 0.0
        return (now - self._epoch) * self.rate - newest


@dataclass(frozen=True)
class Counter:
    """How a device counts what it sends.

    Parameters
    ----------
    wrap
        The counter goes back to 0 instead of reaching this.
    step
        By how much it rises.
    rows
        How many samples share one count, as when they come in one packet.
    """

    wrap: int = 256
    step: int = 1
    rows: int = 1

    @property
    def turn(self) -> int:
        """The number of samples in which it comes round."""
        return self.wrap // self.step * self.rows


class Counted:
    """Numbers samples by the counter that came with each.

    The counter tells losses up to one turn of it. Of a loss of whole turns it says
    nothing; that shows in the samples being that many too few for the time, and is
    made good as soon as it has been so for ``patience`` s of arrivals: a stall whose
    samples still come is none.
    """

    def __init__(self, counter: Counter, patience: float = 1.0) -> None:
        self.counter, self.patience = counter, patience
        self._count, self._row = -1, 0  # the newest, and which row of it came last
        self._number = -1
        self._short: float | None = None  # since when whole turns are missing

    @property
    def newest(self) -> int:
        """The number of the newest sample, lost ones included."""
        return self._number

    def number(
        self, counts: npt.NDArray[np.int64], last: float = np.inf
    ) -> npt.NDArray[np.int64]:
        """Return the number of each sample, from its count; -1 for a repeated one.

        Parameters
        ----------
        counts
            The device's counts, shape (n,).
        last
            No sample beyond this number can have been taken yet: a count that says so
            means that the device began anew, and nothing is known to be lost.
        """
        numbers = np.full(len(counts), -1, np.int64)
        for i, count in enumerate(counts.tolist()):
            gone = (count - self._count) % self.counter.wrap
            if gone:
                whole = self.counter.rows * (-(-gone // self.counter.step) - 1)
                lost = self.counter.rows - 1 - self._row + whole
                if self._number < 0 or self._number + 1 + lost > last:
                    lost = 0
                self._count, self._row = count, 0
                self._number += 1 + lost
            elif self._row < self.counter.rows - 1:
                self._row += 1
                self._number += 1
            else:
                continue
            numbers[i] = self._number
        return numbers

    def missing(self, behind: float, now: float, *, full: bool = False) -> int:
        """Return how many samples are missing in whole turns, and count them as lost.

        Parameters
        ----------
        behind
            How many samples there should be beyond the newest: `Epoch.behind`.
        now
            The time (s).
        full
            Whether the device's own store has overflowed, so that there is no doubt.
        """
        turns = int((behind + 0.1 * self.counter.turn) // self.counter.turn)
        if turns < 1:
            self._short = None
            return 0
        if self._short is None:
            self._short = now
        if not full and now - self._short < self.patience:
            return 0
        self._short = None
        self._number += turns * self.counter.turn
        return turns * self.counter.turn


class Placed(NamedTuple):
    """Consecutive samples with their place: rows, their own stamps, start and epoch."""

    start: int
    epoch: float
    rows: Array
    stamps: Array


class Stamped:
    """Puts samples that carry times, and no counter, on the grid of their rate.

    A sample that comes too late for its place is held until it is clear why, for
    ``hold`` s or two samples: if another catches up, stamps had only strayed; if none
    does, as many samples were lost as fit in between. So sample 0 lies where the least
    delayed samples say, and a rate that is not quite what was announced is followed.
    Where stamps jump back by a second or more, or beyond the present, their clock was
    set, and the time of arrival says how far.

    Parameters
    ----------
    rate
        Samples a second (Hz).
    hold
        For how long a later sample can show that an earlier one only strayed (s).
    """

    def __init__(self, rate: float, hold: float = 0.1) -> None:
        self.rate = rate
        self.hold = max(hold, 1.5 / rate)
        self._next, self._start = 0, 0
        self._set = 0.0  # by how much the clock of the stamps was set (s)
        self._epoch = np.nan  # what the least delayed stamps say
        self._slope = 0.0  # how it moves with each sample (s)
        self._given = np.nan  # what was given out
        self._stray = 0.02  # how far the least delayed are from it (s)
        self._period = max(2, round(0.25 * rate))  # samples of which one is looked at
        self._late: list[float] = []  # of the samples of this period
        self._periods = 0
        self._times, self._stamps = np.empty(0), np.empty(0)
        self._rows: Array | None = None

    @property
    def held(self) -> bool:
        """Whether samples wait until it is clear where they belong."""
        return bool(len(self._times))

    def push(
        self, times: Array, stamps: Array, rows: Array, now: float
    ) -> list[Placed]:
        """Take in samples; return those that have a place.

        Parameters
        ----------
        times
            Their times as far as they are known (s, session clock), shape (n,).
        stamps
            The same as the sender gave them, shape (n,); passed on.
        rows
            The samples, shape (n, channels).
        now
            The time (s, session clock).
        """
        self._times = np.concatenate([self._times, times])
        self._stamps = np.concatenate([self._stamps, stamps])
        self._rows = rows if self._rows is None else np.vstack([self._rows, rows])
        numbers = self._number(now)
        placed = self._cut(numbers)
        n = len(numbers)
        self._times, self._stamps = self._times[n:], self._stamps[n:]
        self._rows = self._rows[n:]
        return placed

    def _number(self, now: float) -> list[int]:
        """Return the number of each sample whose place is clear."""
        if np.isnan(self._epoch) and len(self._times):
            far = abs(self._times[0] - now) > 10.0  # a clock that is none of ours
            self._set = now - self._times[-1] if far else 0.0
            self._epoch = float(self._times[0]) + self._set
        numbers: list[int] = []
        trusted = 0  # the samples before this one were seen to be in their place
        for i, time in enumerate(self._times.tolist()):
            late = time + self._set - self._epoch - self._next / self.rate
            most = 0.6 / self.rate + 2 * self._stray
            if late <= -1.0 or (late > most and time + self._set > now + 0.5):
                was, self._set = self._set, float(now - self._times[-1])
                late += self._set - was
                trusted = i
            if late > most and i >= trusted:
                least, trusted = self._least(i, most)
                if least > most:
                    known = (self._times[i:] > time + self.hold).any()
                    if not known and now - time - self._set <= self.hold + 0.2:
                        break
                    lost = max(1, round(least * self.rate))
                    self._next += lost
                    late -= lost / self.rate
            numbers.append(self._next)
            self._follow(late)
        return numbers

    def _least(self, i: int, most: float) -> tuple[float, int]:
        """Return how late the first sample after i is that is not, else the least so.

        With it comes the number of the sample after that one.
        """
        after = np.flatnonzero(self._times[i:] > self._times[i] + self.hold)
        stop = i + int(after[0]) if len(after) else len(self._times)
        places = self._next + np.arange(stop - i)
        late = self._times[i:stop] + self._set - self._epoch - places / self.rate
        caught = np.flatnonzero(late <= most)
        j = int(caught[0]) if len(caught) else int(np.argmin(late))
        return float(late[j]), i + j + 1

    def _follow(self, late: float) -> None:
        """Learn from how late a sample is where the epoch is, and how sure that is."""
        self._next += 1
        self._epoch += self._slope
        self._late.append(late)
        if len(self._late) < self._period:
            return
        least = min(self._late)
        self._late.clear()
        self._periods += 1
        self._epoch += least * max(0.5, 1 / self._periods)
        if self._periods > 4:
            steepest = STEEPEST / self.rate
            self._slope += 0.05 * least / self._period
            self._slope = min(max(self._slope, -steepest), steepest)
        early = -least if self._periods > 1 else 0.0
        fade = 1 - self._period / (30.0 * self.rate)
        self._stray = max(self._stray * fade if self._periods != 4 else 0.0, early)

    def _cut(self, numbers: list[int]) -> list[Placed]:
        if not numbers or self._rows is None:
            return []
        jumps = np.flatnonzero(np.diff(numbers) > 1) + 1
        if np.isnan(self._given):
            self._given = self._epoch
        placed = []
        for part in np.split(np.arange(len(numbers)), jumps):
            a, b = int(part[0]), int(part[-1]) + 1
            moved = numbers[a] - self._start
            self._start = numbers[a]
            self._given = slewed(self._given, self._epoch, moved, self.rate)
            data = np.ascontiguousarray(self._rows[a:b])
            placed.append(Placed(self._start, self._given, data, self._stamps[a:b]))
        return placed
