"""Samples that carry times and no counter, on the grid of their rate."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.core.timing.clock_model import STEEPEST, slewed

OLDEST: Final = 360.0  # s: 60 s of a buffer, unread while its sender paused for 300 s
_AHEAD: Final = 0.5  # s: by how much a stamp may be ahead of the present


class PlacedSamples(NamedTuple):
    """Consecutive samples with their place: rows, their own stamps, start and epoch."""

    start: int
    t0: float
    rows: Array
    stamps: Array


class TimestampAligner:
    """Puts samples that carry times, and no counter, on the grid of their rate.

    A sample that comes too late for its place is held until it is clear why, for
    ``hold`` s or two samples: if another catches up, stamps had only strayed; if none
    does, as many samples were lost as fit in between. So sample 0 lies where the least
    delayed samples say, and a rate that is not quite what was announced is followed.
    Where stamps jump back by a second or more, or beyond the present, their clock was
    set, and the time of arrival says how far.

    A first sample that is old has waited in a buffer, and its time is right. Only a
    time that cannot be one of the session clock, ahead of the present or older than
    any buffer, is that of another clock: arrival then says where the stream lies, and
    `shift` by how much it was moved.

    Parameters
    ----------
    rate
        Samples a second (Hz).
    hold
        For how long a later sample can show that an earlier one only strayed (s): at
        least as long as the bursts in which samples arrive, where arrivals are all.
    repeats
        Whether a sample with stamp and values of the one before is that one again.
    oldest
        How old the first sample can be (s) if its time is of the session clock.
    """

    def __init__(
        self,
        rate: float,
        hold: float = 0.1,
        *,
        repeats: bool = True,
        oldest: float = OLDEST,
    ) -> None:
        self.rate, self.repeats, self.oldest = rate, repeats, oldest
        self.hold = max(hold, 1.5 / rate)
        self._enough = min(4, 1 + int(self.hold * rate))
        self._next, self._start = 0, 0
        self._set = 0.0  # by how much the clock of the stamps was set (s)
        self._epoch = np.nan  # what the least delayed stamps say
        self._slope = 0.0  # how it moves with each sample (s)
        self._given = np.nan  # what was given out
        self._stray = 0.02  # how far the least delayed are from it (s)
        # Samples of which the least late is looked at: whole bursts of them.
        self._period = max(2, round(max(0.25, 1.5 * hold) * rate))
        self._late: list[float] = []  # of the samples of this period
        self._periods = 0
        self._arrival = -np.inf  # when samples came last
        self._times, self._stamps = np.empty(0), np.empty(0)
        self._rows: Array | None = None
        self._newest: tuple[float, Array] | None = None
        self.repeated = 0
        """How many samples came twice."""
        self.shift = 0.0
        """By how much the first times were moved to their arrival (s), 0 if not."""

    @property
    def held(self) -> bool:
        """Whether samples wait until it is clear where they belong."""
        return bool(len(self._times))

    def push(
        self, times: Array, stamps: Array, rows: Array, now: float
    ) -> list[PlacedSamples]:
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
        if len(times):
            self._arrival = now
        new = self._new(stamps, rows)
        times, stamps, rows = times[new], stamps[new], rows[new]
        self._times = np.concatenate([self._times, times])
        self._stamps = np.concatenate([self._stamps, stamps])
        self._rows = rows if self._rows is None else np.vstack([self._rows, rows])
        numbers = self._number(now)
        placed = self._cut(numbers)
        n = len(numbers)
        self._times, self._stamps = self._times[n:], self._stamps[n:]
        self._rows = self._rows[n:]
        return placed

    def _new(self, stamps: Array, rows: Array) -> npt.NDArray[np.bool_]:
        """Tell which samples are none that came twice: same stamp, same values."""
        if not len(stamps) or not self.repeats:
            return np.ones(len(stamps), np.bool_)
        before = self._newest or (np.nan, np.full_like(rows[0], np.nan))
        gone = np.diff(stamps, prepend=before[0]) == 0
        earlier = np.vstack([before[1], rows[:-1]])
        for i in np.flatnonzero(gone):
            gone[i] = np.array_equal(rows[i], earlier[i], equal_nan=True)
        self._newest = (float(stamps[-1]), rows[-1])
        self.repeated += int(gone.sum())
        return ~gone

    def _number(self, now: float) -> list[int]:
        """Return the number of each sample whose place is clear."""
        if np.isnan(self._epoch) and len(self._times):
            first = float(self._times[0])
            if not now - self.oldest <= first <= now + _AHEAD:  # of another clock
                self._set = self.shift = float(now - self._times[-1])
            self._epoch = first + self._set
        numbers: list[int] = []
        trusted = 0  # the samples before this one were seen to be in their place
        for i, time in enumerate(self._times.tolist()):
            late = time + self._set - self._epoch - self._next / self.rate
            most = 0.6 / self.rate + 2 * self._stray
            if late <= -1.0 or (late > most and time + self._set > now + _AHEAD):
                was, self._set = self._set, float(now - self._times[-1])
                late += self._set - was
                trusted = i
            if late > most and i >= trusted:
                least, trusted = self._least(i, most)
                if least > most:
                    known = (self._times[i:] > time + self.hold).any()
                    since = max(time + self._set, self._arrival)
                    if not known and now - since <= self.hold + 0.2:
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
        if len(after) and len(late) < self._enough and late[0] <= self.hold:
            return 0.0, i + 1  # next comes a gap: too few to tell what went before it
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

    def _cut(self, numbers: list[int]) -> list[PlacedSamples]:
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
            placed.append(
                PlacedSamples(self._start, self._given, data, self._stamps[a:b])
            )
        return placed
