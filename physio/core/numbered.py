"""Samples that a device counts, on the grid of their rate."""

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.core.stamped import Placed
from physio.core.timing import Counted, Counter, Epoch


class Numbered:
    """Puts samples that carry a count on the grid of their rate.

    The count says which were lost, to the sample; when they came says the rest.

    Parameters
    ----------
    rate
        Samples a second (Hz).
    counter
        How the device counts.
    """

    def __init__(self, rate: float, counter: Counter) -> None:
        self.rate = rate
        self.counted = Counted(counter)
        self._epoch = Epoch(rate)

    def push(
        self,
        counts: npt.NDArray[np.int64],
        stamps: Array,
        rows: Array,
        now: float,
        *,
        full: bool = False,
    ) -> list[Placed]:
        """Take in samples; return those that are new, each run of them by itself.

        Parameters
        ----------
        counts, stamps, rows
            Of each sample: the device's count, its stamp (passed on), its values.
        now
            When they were fetched (s, session clock).
        full
            Whether the device's own store was full, so that some may have been lost.
        """
        counted, slack = self.counted, 0.25 * self.rate
        room = self._epoch.behind(now, counted.newest)
        if counted.newest < 0:  # no time to go by yet: less was lost than came
            room = 2.0 * len(counts)
        last = counted.newest + room + slack
        numbers = counted.number(counts, np.inf if full else last)
        late = self._epoch.behind(now, counted.newest)
        missing = counted.missing(late, now, full=full)
        numbers[numbers >= 0] += missing if full else 0
        self._epoch.hear(now, counted.newest)
        new = np.flatnonzero(numbers >= 0)
        new = new[np.argsort(numbers[new], kind="stable")]
        jumps = np.flatnonzero(np.diff(numbers[new]) > 1) + 1
        placed = []
        for part in np.split(new, jumps):
            if len(part):
                start = int(numbers[part[0]])
                epoch = self._epoch.at(start)
                placed.append(Placed(start, epoch, rows[part], stamps[part]))
        return placed
