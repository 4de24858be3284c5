"""Sample times and losses, estimated from counters and times of arrival.

Times never run backwards: the start time is moved by so little that the next sample is
still later than the last one. All functions compute with given numbers; none reads a
clock.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STEEPEST = 0.05  # rate at which a start time may move (s per s)
SETTLE = 1.0  # time constant with which it reaches its target (s)
BACK = 8  # counts by which a packet may be overtaken ...
LATE = 64  # ... and by which one may that is known to be missing or repeated


def slewed(epoch: float, target: float, rows: int, rate: float) -> float:
    """Return the start time after ``rows`` samples, moved towards ``target``.

    Parameters
    ----------
    epoch, target
        Previous and desired start time (s).
    rows
        Number of samples since then, lost ones included.
    rate
        Samples a second (Hz).
    """
    seconds = rows / rate
    down, up = -min(STEEPEST * seconds, 0.5 / rate), STEEPEST * seconds
    step = (target - epoch) * min(1.0, seconds / SETTLE)
    return epoch + min(max(step, down), up)


class StartTimeEstimator:
    """Estimator of the time of sample 0, from the times of arrival of later samples.

    No sample arrives before it was taken, and some arrive with little delay: the least
    delayed sample of the last ``window`` s determines the estimate.
    """

    def __init__(self, rate: float, window: float = 5.0) -> None:
        self.rate, self.window = rate, window
        self._least: deque[tuple[float, float]] = (
            deque()
        )  # (arrival, start time), rising
        self._epoch = np.nan
        self._start = 0

    def update(self, now: float, newest: int) -> None:
        """Add the arrival of sample number ``newest`` at ``now`` (s)."""
        epoch = now - newest / self.rate
        while self._least and self._least[-1][1] >= epoch:
            self._least.pop()
        self._least.append((now, epoch))
        while self._least[0][0] < now - self.window:
            self._least.popleft()

    def at(self, start: int) -> float:
        """Return the start time of a block that begins with sample ``start``."""
        target = self._least[0][1]
        if np.isnan(self._epoch):
            self._epoch = target
        rows = start - self._start
        moved = slewed(self._epoch, target, rows, self.rate)
        if rows and target < moved:  # it arrived before it was taken: no drift
            moved = max(target, self._epoch - 0.9 / self.rate)
        self._epoch = moved
        self._start = start
        return self._epoch

    def behind(self, now: float, newest: int) -> float:
        """Return the number of samples expected after ``newest`` at ``now`` (s)."""
        if np.isnan(self._epoch):
            return 0.0
        return (now - self._epoch) * self.rate - newest


@dataclass(frozen=True)
class WrappingCounter:
    """Sample counter of a device, which wraps around.

    Parameters
    ----------
    wrap
        Value at which the counter returns to 0.
    step
        Increment of the counter.
    rows
        Number of samples that share one count, as when they come in one packet.
    """

    wrap: int = 256
    step: int = 1
    rows: int = 1

    @property
    def turn(self) -> int:
        """Number of samples in one turn of the counter."""
        return self.wrap // self.step * self.rows


class SampleNumbering:
    """Numbering of samples from their wrapping counter.

    The counter determines losses of less than one turn. A loss of whole turns shows
    only in too few samples for the time elapsed, and is counted once it has lasted for
    ``patience`` s of arrivals: in a stall, the samples still arrive.
    """

    def __init__(self, counter: WrappingCounter, patience: float = 1.0) -> None:
        self.counter, self.patience = counter, patience
        self._count, self._row = -1, 0  # the newest, and its last row
        self._number = -1
        self._short: float | None = None  # time since which whole turns are missing
        self._recent: deque[int] = deque(maxlen=2 * LATE)
        self._skipped: deque[int] = deque(maxlen=LATE)  # missing so far
        self.repeated = self.late = 0
        """Number of repeated samples; number of samples too late to be placed."""

    @property
    def count(self) -> int:
        """Last count of the device; -1 before the first."""
        return self._count

    @property
    def newest(self) -> int:
        """The number of the newest sample, lost ones included."""
        return self._number

    def number(
        self, counts: npt.NDArray[np.int64], last: float = np.inf
    ) -> npt.NDArray[np.int64]:
        """Return the number of each sample from its count, -1 for a repeated one.

        Parameters
        ----------
        counts
            The device's counts, shape (n,).
        last
            Number that no sample taken so far exceeds. A count beyond it means that the
            device restarted, and no loss is known.
        """
        numbers = np.full(len(counts), -1, np.int64)
        given = self._number  # numbers up to this one were returned
        for i, count in enumerate(counts.tolist()):
            gone = (count - self._count) % self.counter.wrap
            if not gone and self._row < self.counter.rows - 1:
                self._row += 1
                self._number += 1
                numbers[i] = self._number
                continue
            if not gone:  # a whole turn, or a repetition
                if self._number + self.counter.turn > last or last == np.inf:
                    self.repeated += 1
                    continue
                gone = self.counter.wrap
            whole = self.counter.rows * (-(-gone // self.counter.step) - 1)
            lost = self.counter.rows - 1 - self._row + whole
            ahead = self._number >= 0 and self._number + 1 + lost <= last
            fits = self._number + lost + len(counts) - i <= last  # all that came too
            number = self._overtaken(counts, i, given, ahead=ahead, fits=fits)
            if number is not None:
                numbers[i] = number
                continue
            lost = lost if ahead else 0
            first = max(self._number + 1, self._number + 1 + lost - LATE)
            self._skipped.extend(range(first, self._number + 1 + lost))
            self._count, self._row = count, 0
            self._number += 1 + lost
            self._recent.append(self._number)
            numbers[i] = self._number
        return numbers

    def lose(self, samples: int) -> None:
        """Count samples as lost that the counter does not show."""
        self._number += max(0, samples)

    def restart(self, count: int) -> None:
        """Restart: ``count`` belongs to the sample after the newest one."""
        self._count = (count - self.counter.step) % self.counter.wrap
        self._row = self.counter.rows - 1
        self._recent.clear()
        self._skipped.clear()

    def _overtaken(
        self,
        counts: npt.NDArray[np.int64],
        i: int,
        given: int,
        *,
        ahead: bool,
        fits: bool,
    ) -> int | None:
        """Return the number of a sample that others overtook.

        It is -1 if the sample is repeated or too late to be placed, and None if the
        sample is a new one: because it ``fits`` behind the newest one with all samples
        after it; because none with its count was missing while it can be ``ahead``; or
        because the next one continues from it, as after a restart.
        """
        back, rest = divmod(self._count - int(counts[i]), self.counter.step)
        back %= self.counter.wrap // self.counter.step
        number = self._number - back
        if self._number < 0 or self.counter.rows > 1 or rest or not 0 < back <= LATE:
            return None
        missing, recent = number in self._skipped, number in self._recent
        if missing and number > given and not fits:
            self._skipped.remove(number)
            self._recent.append(number)
            return number
        after = int(counts[i + 1] - counts[i]) if i + 1 < len(counts) else 0
        restarts = after % self.counter.wrap == self.counter.step
        known = back <= BACK or ((missing or recent) and not restarts)
        if not known or fits or (ahead and not missing):
            return None
        self.repeated += recent
        self.late += not recent
        if missing:
            self._skipped.remove(number)
        self._recent.append(number)
        return -1

    def missing(self, behind: float, now: float, *, full: bool = False) -> int:
        """Return the number of samples missing in whole turns; count them as lost.

        Parameters
        ----------
        behind
            Number of samples expected after the newest: `StartTimeEstimator.behind`.
        now
            The time (s).
        full
            Whether the device's buffer has overflowed, so that the loss is certain.
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
