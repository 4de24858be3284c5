"""Distance of a moment's features from the training data, for any model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from physio.core.block import Array


@dataclass(frozen=True, eq=False)
class FeatureDensity:
    """Normal distribution of the features of the training participants.

    Parameters
    ----------
    mean
        Mean of the features relative to the participant's baseline, shape (f,).
    cov
        Covariance, shape (f, f).
    """

    mean: Array
    cov: Array

    def novelty(self, z: Array, spread: Array) -> float:
        """Return the distance of a moment from the training data.

        It is the cube root of the squared Mahalanobis distance of the features that are
        present, scaled to a standard normal (Wilson and Hilferty 1931); NaN if none is
        present. Parameters as of `physio.models.base.Model.novelty`.
        """
        present = ~np.isnan(z)
        n = int(present.sum())
        if not n:
            return float("nan")
        off = (z - self.mean)[present]
        cov = self.cov[np.ix_(present, present)] + np.diag(spread[present])
        far = max(float(off @ np.linalg.solve(cov, off)), 0.0)
        middle = 2 / (9 * n)
        return float(((far / n) ** (1 / 3) - (1 - middle)) / np.sqrt(middle))

    def arrays(self, limit: float) -> dict[str, Array]:
        """Return the arrays of weights, ``density.*``, with the limit of novelty."""
        return {
            "density.mean": self.mean,
            "density.cov": self.cov,
            "density.limit": np.array([limit]),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Self | None:
        """Return the density of weights; None if they have none."""
        if "density.cov" not in arrays:
            return None
        return cls(arrays["density.mean"], arrays["density.cov"])
