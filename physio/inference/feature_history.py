"""The last minutes of an expert's features."""

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.core.missing import MissingReason

_NOTHING = MissingReason.NO_SIGNAL.nan


class FeatureHistory(NamedTuple):
    """Features of the last ticks; changed in place, the same work at each tick.

    Parameters
    ----------
    rows
        A ring of ticks, shape (n, f), NaN where missing.
    filling
        Which features had lost some of their window then, shape (n, f).
    ticks
        How many ticks there were, shape (1,).
    step
        How many ticks apart the moments are that a model asks for, shape (1,).
    """

    rows: Array
    filling: npt.NDArray[np.bool_]
    ticks: npt.NDArray[np.int_]
    step: npt.NDArray[np.int_]

    @classmethod
    def none(cls, moments: int, every: float, tick: float, features: int) -> Self:
        """Return the past of somebody not met before.

        Parameters
        ----------
        moments, every
            How many moments are asked for, and how far apart they are (s).
        tick
            Time between ticks (s).
        features
            How many features there are.
        """
        step = max(round(every / tick), 1) if tick else 1
        size = (moments - 1) * step + 1
        rows = np.full((size, features), _NOTHING)
        filling = np.zeros((size, features), np.bool_)
        return cls(rows, filling, np.zeros(1, np.int_), np.array([step]))

    def see(self, x: Array, filling: npt.NDArray[np.bool_]) -> None:
        """Take in the features of a tick, and which have lost some of their window."""
        at = self.ticks[0] % len(self.rows)
        self.rows[at], self.filling[at] = x, filling
        self.ticks[0] += 1

    def moments(self, without: npt.NDArray[np.bool_] | None = None) -> Array:
        """Return the moments, newest first, shape (m, f).

        Parameters
        ----------
        without
            Features that count as missing at every tick at which they had lost some of
            their window.
        """
        ages = np.arange(0, len(self.rows), self.step[0])
        at = (self.ticks[0] - 1 - ages) % len(self.rows)
        found = self.rows[at]
        if without is not None:
            found[self.filling[at] & without] = _NOTHING
        return found
