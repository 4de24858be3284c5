"""Error bars of any model, fitted on held-out participants and applied live."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from physio.core.affect import DIMENSIONS, scale_places
from physio.core.block import Array

GAUSSIAN: Final = np.array([0.67449, 1.28155, 1.95996])
"""Half-widths of a normal distribution's intervals (standard deviations)."""

INTERVAL: Final = "interval."
RELIABILITY: Final = "reliability."

_LEAST: Final = 1e-12  # smallest probability

_Stored = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, eq=False)
class ErrorBars:
    """Map from outputs of a model to calibrated predictive distributions.

    The mean becomes ``prior + slope * (mean - center)`` and the variance ``variance +
    gain * sd ** 2``. `physio.training.intervals` fits all of it. A dimension of slope 0
    and gain 0 says nothing but the prior.

    Parameters
    ----------
    prior
        Mean of the ratings without any feature, shape (d,).
    center
        Mean of the model's outputs, shape (d,).
    slope
        Share of the model's step from its center, from 0 to 1, shape (d,).
    variance, gain
        Constant part of the variance, and factor of the model's variance, (d,) each.
    widths
        Half-widths of the intervals at `LEVELS` (standard deviations), shape (d,
        levels); NaN for a level that the participants were too few for.
    """

    prior: Array
    center: Array
    slope: Array
    variance: Array
    gain: Array
    widths: Array

    @property
    def prior_only(self) -> npt.NDArray[np.bool_]:
        """Mask of the dimensions in which the model says nothing but the prior."""
        return np.asarray((self.slope == 0) & (self.gain == 0))

    def apply(self, mean: Array, sd: Array | None) -> tuple[Array, Array]:
        """Return calibrated mean and sd of outputs, shape (..., d) each.

        ``sd`` is not read where the gain is 0; None for a model without one.
        """
        calibrated = self.prior + self.slope * (mean - self.center)
        model = np.zeros_like(mean) if sd is None else sd**2
        model = np.where(self.gain > 0, self.gain * model, 0.0)
        spread: Array = np.sqrt(self.variance + model)
        return calibrated, np.where(np.isnan(mean), mean, spread)

    def arrays(self, dimensions: tuple[str, ...] = DIMENSIONS) -> dict[str, Array]:
        """Return the arrays of weights, ``interval.*``, of all three dimensions.

        ``dimensions``: the names of this object's dimensions. Others stay unchanged.
        """
        d = len(DIMENSIONS)
        out = {
            "prior": np.zeros(d),
            "center": np.zeros(d),
            "slope": np.ones(d),
            "variance": np.zeros(d),
            "gain": np.ones(d),
            "widths": np.tile(GAUSSIAN, (d, 1)),
        }
        for i, place in enumerate(scale_places(dimensions)):
            for key, values in out.items():
                values[place] = getattr(self, key)[i]
        return {f"{INTERVAL}{key}": values for key, values in out.items()}

    @classmethod
    def restore(cls, arrays: _Stored) -> Self | None:
        """Return the error bars of weights; None if they have none."""
        if f"{INTERVAL}slope" not in arrays:
            return None
        names = ("prior", "center", "slope", "variance", "gain", "widths")
        return cls(*(np.asarray(arrays[f"{INTERVAL}{n}"], np.float64) for n in names))


@dataclass(frozen=True, eq=False)
class ClassReliability:
    """Map from class probabilities to calibrated ones.

    The calibrated probabilities are the softmax of ``intercept + slope * log(odds)``:
    temperature scaling, of temperature ``1 / slope``, with an offset of each class. A
    slope of 0 says nothing but the frequencies of the classes.

    Parameters
    ----------
    slope
        Share of the logarithm of the model's odds, at least 0.
    intercept
        Offset of each class, shape (classes,).
    """

    slope: float
    intercept: Array

    @property
    def prior_only(self) -> bool:
        """True if the model says nothing but the frequencies of the classes."""
        return self.slope == 0

    def apply(self, odds: Array) -> Array:
        """Return calibrated probabilities, shape (..., classes)."""
        logs = np.log(np.maximum(odds, _LEAST))
        raised = self.intercept + self.slope * logs
        raised = np.exp(raised - raised.max(axis=-1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=-1, keepdims=True))

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of weights, ``reliability.*``."""
        return {
            f"{RELIABILITY}slope": np.array([self.slope]),
            f"{RELIABILITY}intercept": np.asarray(self.intercept, np.float64),
        }

    @classmethod
    def restore(cls, arrays: _Stored) -> Self | None:
        """Return the reliability of weights; None if they have none."""
        if f"{RELIABILITY}slope" not in arrays:
            return None
        slope = float(arrays[f"{RELIABILITY}slope"][0])
        return cls(slope, np.asarray(arrays[f"{RELIABILITY}intercept"], np.float64))
