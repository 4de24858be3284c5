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
from physio.core.timing.timestamps import NEVER, PlacedSamples

PAUSE: Final = 0.5  # s without a sample after which a device may have slept
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
    """

    def __init__(self, rate: float, counter: WrappingCounter) -> None:
        self.rate = rate
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
        """
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
