"""Alignment of samples with a counter on the grid of their rate."""

from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.core.timing.clock_model import (
    SampleNumbering,
    StartTimeEstimator,
    WrappingCounter,
)
from physio.core.timing.timestamps import NEVER, PlacedSamples, TimestampAligner

PAUSE: Final = 0.5  # s without a sample after which a device may have slept
_TRIAL: Final = 16  # samples by which a counter is judged
_TURNS: Final = 3  # turns that end alike, and not where they should ...
_OMITTED: Final = 24  # ... and the counts omitted in them, which are no losses
BACK: Final = 1.0  # s by which stamps go back when a device restarts


class CounterAligner:
    """Alignment of samples that carry a count on the grid of their rate.

    The count determines lost samples exactly; times of arrival determine the start
    time. For a device whose count and clock restart, or that paused without counting,
    the time elapsed determines the loss.

    Parameters
    ----------
    rate
        Samples a second (Hz).
    counter
        Counter of the device.

    Notes
    -----
    Samples that repeat a count with other values put the counter on trial: all samples
    are held until `_TRIAL` have come. If a third of these repeat it, the counter does
    not count, and from then on the stamps determine losses. They also do once the
    counter has begun anew at the same unexpected count in three turns or more: losses
    would not omit the same counts again and again.
    """

    def __init__(self, rate: float, counter: WrappingCounter) -> None:
        self.rate = rate
        self.stamped: TimestampAligner | None = None
        """Alignment by stamps, once the counter is not trusted."""
        self._held: list[tuple[npt.NDArray[np.int64], Array, Array]] = []
        self._stuck = 0  # of the samples that are held
        self._turn = (-1, -1)  # last and first count about the newest turn
        self._turns = 0  # in which they were the same
        self._last_count, self._run = -1, 0  # the newest count, samples that have it
        self._last_row: Array | None = None
        self._offset, self._lag = 0, 0.0  # number and delay of the first by stamps
        self._end = -np.inf  # time of the last sample placed
        self.counted = SampleNumbering(counter)
        self._epoch = StartTimeEstimator(rate)
        self._last_arrival = np.inf  # time of the last arrival
        self._stamp = np.nan
        self._slept: tuple[float, float] | None = None  # since when, samples missing

    def push(
        self,
        counts: npt.NDArray[np.int64],
        stamps: Array,
        rows: Array,
        now: float,
        *,
        full: bool = False,
        ahead: float = 0.0,
    ) -> list[PlacedSamples]:
        """Add samples; return the new ones as runs of consecutive samples.

        Parameters
        ----------
        counts, stamps, rows
            Count, time stamp (passed on) and values of each sample.
        now
            Time at which they were read (s, session clock).
        full
            Whether the device's buffer was full, so that samples may have been lost.
        ahead
            Session clock minus the clock of the stamps (s).
        """
        if self.stamped is None:
            counts, stamps, rows = self._tried(counts, stamps, rows)
        if self.stamped is not None:
            return self._by_stamps(stamps + ahead, stamps, rows, now)
        placed = self._by_count(counts, stamps, rows, now, full=full)
        if placed:
            last = placed[-1]
            self._end = last.t0 + (last.start + len(last.rows) - 1) / self.rate
        return placed

    def _tried(
        self, counts: npt.NDArray[np.int64], stamps: Array, rows: Array
    ) -> tuple[npt.NDArray[np.int64], Array, Array]:
        """Return the samples that can be placed; hold them while there is doubt."""
        if self._turns_elsewhere(counts):
            self._trust_stamps()
            return counts, stamps, rows
        stuck = self._repeats(counts, rows)
        if not self._held and not stuck:
            return counts, stamps, rows
        self._held.append((counts, stamps, rows))
        self._stuck += stuck
        n = sum(len(part[0]) for part in self._held)
        if n < max(_TRIAL, 3 * self.counted.counter.rows):
            return counts[:0], stamps[:0], rows[:0]
        counts, stamps, rows = (
            np.concatenate([part[i] for part in self._held]) for i in range(3)
        )
        if self._stuck > n / 3:
            self._trust_stamps()
        self._held, self._stuck = [], 0
        return counts, stamps, rows

    def _trust_stamps(self) -> None:
        """Align the following samples by their stamps."""
        self.stamped = TimestampAligner(self.rate, repeats=False)
        self._offset = self.counted.newest + 1

    def _turns_elsewhere(self, counts: npt.NDArray[np.int64]) -> bool:
        """Return whether the counter begins anew at a count that is not its last."""
        counter = self.counted.counter
        before = np.concatenate([[self._last_count], counts])[:-1]
        for last, first in zip(before.tolist(), counts.tolist(), strict=True):
            if not 0 <= first < last:
                continue
            omitted = (first - last) % counter.wrap // counter.step - 1
            same = (last, first) == self._turn and omitted > 0
            self._turns = self._turns + 1 if same else 1
            self._turn = last, first
            if self._turns >= _TURNS and self._turns * omitted >= _OMITTED:
                return True
        return False

    def _repeats(self, counts: npt.NDArray[np.int64], rows: Array) -> int:
        """Return how many samples repeat a count too often, with other values."""
        repeats = 0
        for count, row in zip(counts.tolist(), rows, strict=True):
            self._run = self._run + 1 if count == self._last_count else 1
            if self._run > self.counted.counter.rows and self._last_row is not None:
                repeats += not np.array_equal(row, self._last_row, equal_nan=True)
            self._last_count, self._last_row = count, row
        return repeats

    def _by_stamps(
        self, times: Array, stamps: Array, rows: Array, now: float
    ) -> list[PlacedSamples]:
        """Return samples on the grid of their stamps, after those placed by count."""
        if self.stamped is None:
            return []
        placed = []
        for p in self.stamped.push(times, stamps, rows, now):
            first = p.t0 + p.start / self.rate
            if np.isfinite(self._end):
                self._lag = max(self._end + 1 / self.rate - first, 0.0)
                self._end = -np.inf
            self._lag = max(self._lag - 0.4 / self.rate, 0.0)  # and time goes on
            t0 = p.t0 + self._lag - self._offset / self.rate
            placed.append(p._replace(start=p.start + self._offset, t0=t0))
        return placed

    def _by_count(
        self,
        counts: npt.NDArray[np.int64],
        stamps: Array,
        rows: Array,
        now: float,
        *,
        full: bool,
    ) -> list[PlacedSamples]:
        """Return samples on the grid of their counts."""
        paused = now - self._last_arrival > PAUSE
        if len(counts):
            self._last_arrival = now
        numbers = self._numbers(counts, stamps, now, full=full)
        self._sleep(now, paused=paused)
        self._epoch.update(now, self.counted.newest)
        new = np.flatnonzero(numbers >= 0)
        new = new[np.argsort(numbers[new], kind="stable")]
        jumps = np.flatnonzero(np.diff(numbers[new]) > 1) + 1
        placed = []
        for part in np.split(new, jumps):
            if len(part):
                start = int(numbers[part[0]])
                epoch = self._epoch.at(start)
                placed.append(PlacedSamples(start, epoch, rows[part], stamps[part]))
        return placed

    def _numbers(
        self, counts: npt.NDArray[np.int64], stamps: Array, now: float, *, full: bool
    ) -> npt.NDArray[np.int64]:
        """Return the number of each sample, -1 where it is repeated or too late."""
        anew = self._restarts(counts, stamps)
        parts = []
        edges = sorted({0, *anew, len(counts)}) if len(counts) else [0, 0]
        for begin, stop in pairwise(edges):
            if begin in anew:
                behind = self._epoch.behind(now, self.counted.newest)
                self.counted.lose(int(behind) - (stop - begin))
                self.counted.restart(int(counts[begin]))
            parts.append(self._counted(counts[begin:stop], now, full=full))
        return np.concatenate(parts)

    def _counted(
        self, counts: npt.NDArray[np.int64], now: float, *, full: bool
    ) -> npt.NDArray[np.int64]:
        numbering, slack = self.counted, 0.25 * self.rate
        room = self._epoch.behind(now, numbering.newest)
        if numbering.newest < 0:  # no start time yet: fewer were lost than came
            room = 2.0 * len(counts)
        last = numbering.newest + room + slack
        numbers = numbering.number(counts, np.inf if full else last)
        late = self._epoch.behind(now, numbering.newest)
        missing = numbering.missing(late, now, full=full)
        numbers[numbers >= 0] += missing if full else 0
        return numbers

    def _restarts(self, counts: npt.NDArray[np.int64], stamps: Array) -> list[int]:
        """Return the samples at which the device restarts: count and stamp jump."""
        if not len(stamps):
            return []
        stamps = np.where(np.abs(stamps) < NEVER, stamps, np.nan)
        back = np.diff(stamps, prepend=self._stamp) < -BACK
        jumps = np.diff(counts, prepend=self.counted.count) % self.counted.counter.wrap
        self._stamp = float(stamps[-1])
        goes_on = np.isin(jumps, (0, self.counted.counter.step))
        return [
            i for i in np.flatnonzero(back & ~goes_on).tolist() if i or self._placed
        ]

    @property
    def _placed(self) -> bool:
        return self.counted.newest >= 0

    def _sleep(self, now: float, *, paused: bool) -> None:
        """Count as lost the samples that a device did not count while it slept.

        After a stall, samples still arrive: so they must be missing for as long as
        whole turns must.
        """
        short = self._epoch.behind(now, self.counted.newest)
        if paused:
            self._slept = now, short
        if self._slept is None:
            return
        since, least = self._slept
        self._slept = since, min(least, short)
        if self._slept[1] < PAUSE * self.rate:
            self._slept = None
        elif now - since >= self.counted.patience:
            self.counted.lose(int(self._slept[1]))
            self._slept = None
