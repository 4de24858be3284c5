"""When samples were taken and which were lost, from what a device gives away of it.

Times never run backwards here: an epoch is moved so little that the next sample is
still later than the last one. All is arithmetic on numbers given; no clock is read.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STEEPEST = 0.05  # how fast an epoch may move, in seconds a second
SETTLE = 1.0  # in about how long an epoch comes to where it belongs (s)
BACK = 8  # by how many counts a packet may be overtaken on its way


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


class StartTimeEstimator:
    """When sample 0 was taken, judged by when its successors arrived.

    No sample arrives before it was taken, and some arrive with little delay: of the
    last ``window`` seconds the one that came earliest, for its number, counts.
    """

    def __init__(self, rate: float, window: float = 5.0) -> None:
        self.rate, self.window = rate, window
        self._least: deque[tuple[float, float]] = deque()  # (heard, epoch), rising
        self._epoch = np.nan
        self._start = 0

    def update(self, now: float, newest: int) -> None:
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
        moved = slewed(self._epoch, target, rows, self.rate)
        if rows and target < moved:  # it came before it was taken: that is no drift
            moved = max(target, self._epoch - 0.9 / self.rate)
        self._epoch = moved
        self._start = start
        return self._epoch

    def behind(self, now: float, newest: int) -> float:
        """Return how many samples more than ``newest`` there should be at ``now``."""
        if np.isnan(self._epoch):
            return 0.0
        return (now - self._epoch) * self.rate - newest


@dataclass(frozen=True)
class WrappingCounter:
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


class SampleNumbering:
    """Numbers samples by the counter that came with each.

    The counter tells losses up to one turn of it. Of a loss of whole turns it says
    nothing; that shows in the samples being that many too few for the time, and is
    made good as soon as it has been so for ``patience`` s of arrivals: a stall whose
    samples still come is none.
    """

    def __init__(self, counter: WrappingCounter, patience: float = 1.0) -> None:
        self.counter, self.patience = counter, patience
        self._count, self._row = -1, 0  # the newest, and which row of it came last
        self._number = -1
        self._short: float | None = None  # since when whole turns are missing
        self._recent: deque[int] = deque(maxlen=4 * BACK)
        self.repeated = self.late = 0
        """How many samples came twice; how many too late to be put in their place."""

    @property
    def count(self) -> int:
        """What the device counted last; -1 before the first."""
        return self._count

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
        given = self._number  # what came up to here is given out
        for i, count in enumerate(counts.tolist()):
            gone = (count - self._count) % self.counter.wrap
            if not gone and self._row < self.counter.rows - 1:
                self._row += 1
                self._number += 1
                numbers[i] = self._number
                continue
            if not gone:  # a turn, or a repetition
                if self._number + self.counter.turn > last or last == np.inf:
                    self.repeated += 1
                    continue
                gone = self.counter.wrap
            whole = self.counter.rows * (-(-gone // self.counter.step) - 1)
            lost = self.counter.rows - 1 - self._row + whole
            if self._number < 0 or self._number + 1 + lost > last:
                back = self.counter.wrap - gone
                if self._number >= 0 and self._overtaken(back):
                    numbers[i] = self._in_place(back, given)
                    continue
                lost = 0
            self._count, self._row = count, 0
            self._number += 1 + lost
            self._recent.append(self._number)
            numbers[i] = self._number
        return numbers

    def lose(self, samples: int) -> None:
        """Count so many as lost of which the counter says nothing."""
        self._number += max(0, samples)

    def begin_anew(self, count: int) -> None:
        """Take ``count`` for that of the sample after the newest, whatever it is."""
        self._count = (count - self.counter.step) % self.counter.wrap
        self._row = self.counter.rows - 1
        self._recent.clear()

    def _overtaken(self, back: int) -> bool:
        """Tell whether a count so far back is that of a packet that came late."""
        single = self.counter.rows == 1 and not back % self.counter.step
        return single and 0 < back // self.counter.step <= BACK

    def _in_place(self, back: int, given: int) -> int:
        """Return the number of a sample that was overtaken; -1 if it is of no use."""
        number = self._number - back // self.counter.step
        if number in self._recent:
            self.repeated += 1
        elif number <= max(given, -1):
            self.late += 1
        else:
            self._recent.append(number)
            return number
        return -1

    def missing(self, behind: float, now: float, *, full: bool = False) -> int:
        """Return how many samples are missing in whole turns, and count them as lost.

        Parameters
        ----------
        behind
            How many samples there should be beyond the newest:
            `StartTimeEstimator.behind`.
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
