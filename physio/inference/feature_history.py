"""History of an expert's features over the last minutes."""

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.core.missing import MissingReason

_NOTHING = MissingReason.NO_SIGNAL.nan


class FeatureHistory(NamedTuple):
    """Features of the last ticks; changed in place, at the same cost in each tick.

    Parameters
    ----------
    rows
        Ring of ticks, shape (n, f), NaN where missing.
    filling
        Mask of the features whose window was incomplete then, shape (n, f).
    ticks
        Number of ticks so far, shape (1,).
    step
        Number of ticks between two moments that a model reads, shape (1,).
    """

    rows: Array
    filling: npt.NDArray[np.bool_]
    ticks: npt.NDArray[np.int_]
    step: npt.NDArray[np.int_]

    @classmethod
    def empty(cls, moments: int, spacing: float, tick: float, features: int) -> Self:
        """Return a history without any tick.

        Parameters
        ----------
        moments, spacing
            Number of moments that a model reads, and the time between two (s).
        tick
            Duration of a tick (s).
        features
            Number of features.
        """
        step = max(round(spacing / tick), 1) if tick else 1
        size = (moments - 1) * step + 1
        rows = np.full((size, features), _NOTHING)
        filling = np.zeros((size, features), np.bool_)
        return cls(rows, filling, np.zeros(1, np.int_), np.array([step]))

    def append(self, x: Array, filling: npt.NDArray[np.bool_]) -> None:
        """Add the features of a tick, and the mask of incomplete windows."""
        at = self.ticks[0] % len(self.rows)
        self.rows[at], self.filling[at] = x, filling
        self.ticks[0] += 1

    def moments(self, without: npt.NDArray[np.bool_] | None = None) -> Array:
        """Return the moments, newest first, shape (m, f).

        Parameters
        ----------
        without
            Mask of features that count as missing at every tick at which their window
            was incomplete.
        """
        ages = np.arange(0, len(self.rows), self.step[0])
        at = (self.ticks[0] - 1 - ages) % len(self.rows)
        rows = self.rows[at]
        if without is not None:
            rows[self.filling[at] & without] = _NOTHING
        return rows
