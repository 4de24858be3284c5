"""Limits of standard deviations above which a value is no feature."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.core.missing import MissingReason


class SdLimits(NamedTuple):
    """Columns that count as missing while their standard deviation is above a limit.

    Training and live estimates apply the same limits, those of the model card.

    Parameters
    ----------
    value, sd
        Index of each limited column and of its standard deviation, shape (k,) each.
    largest
        Largest standard deviation at which a value counts, in its unit, shape (k,).
    """

    value: npt.NDArray[np.int_]
    sd: npt.NDArray[np.int_]
    largest: Array

    @classmethod
    def of(cls, limits: Mapping[str, float], names: Sequence[str]) -> Self:
        """Return the limits for a table with columns ``names``.

        A column without a companion ``<name>.sd``, as the heart rate of an ECG, has no
        limit.
        """
        limited = [n for n in limits if n in names and f"{n}.sd" in names]
        return cls(
            np.array([names.index(n) for n in limited], np.int_),
            np.array([names.index(f"{n}.sd") for n in limited], np.int_),
            np.array([limits[n] for n in limited], np.float64),
        )

    def apply(self, x: Array) -> Array:
        """Return rows, shape (n, columns), without uncertain values (poor quality)."""
        if not len(self.value):
            return x
        certain = x.copy()
        values = x[:, self.value]
        uncertain = ~np.isnan(values) & ~(x[:, self.sd] <= self.largest)
        certain[:, self.value] = np.where(
            uncertain, MissingReason.POOR_QUALITY.nan, values
        )
        return certain
