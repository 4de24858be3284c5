"""Distance of a moment's features from the training data, for any model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np

from physio.core.block import Array
from physio.models.base import distance_shares

_LEAST: Final = 1e-9  # smallest deviation of a signal, in its unit


@dataclass(frozen=True, eq=False)
class FeatureDensity:
    """Normal distribution of the features of the training participants.

    Parameters
    ----------
    mean
        Mean of the features relative to the participant's baseline, shape (f,); for
        windows of a signal, of the result of `window_summary`.
    cov
        Covariance, shape (f, f).
    index
        Feature of the training that each feature of the session stands for, shape (m,),
        with other electrodes than in training; None: they are the same.
    """

    mean: Array
    cov: Array
    index: Sequence[int] | None = None

    def novelty(self, z: Array, spread: Array) -> float:
        """Return the distance of a moment from the training data.

        It is the cube root of the squared Mahalanobis distance of the features that are
        present, scaled to a standard normal (Wilson and Hilferty 1931); NaN if none is
        present. Parameters as of `physio.models.base.Model.novelty`.
        """
        if z.ndim > 1:
            z, spread = window_summary(z), np.zeros(len(self.mean))
        if self.index is not None:
            z, spread = self._pooled(z), self._pooled(spread)
        present = ~np.isnan(z)
        n = int(present.sum())
        if not n:
            return float("nan")
        off = (z - self.mean)[present]
        cov = self.cov[np.ix_(present, present)] + np.diag(spread[present])
        far = max(float(off @ np.linalg.solve(cov, off)), 0.0)
        middle = 2 / (9 * n)
        return float(((far / n) ** (1 / 3) - (1 - middle)) / np.sqrt(middle))

    def novelty_shares(self, z: Array, spread: Array) -> Array | None:
        """Return the share of each feature in the distance: see the model's own.

        Features that stand for one of the training share equally; None for windows.
        """
        if z.ndim > 1:
            return None
        known = ~np.isnan(z)
        if self.index is None:
            return distance_shares(z - self.mean, self.cov, spread)
        pooled = self._pooled(z) - self.mean
        shares = distance_shares(pooled, self.cov, self._pooled(spread))
        if shares is None:
            return None
        index = np.asarray(self.index)
        count = np.bincount(index[known], minlength=len(self.mean))
        return np.where(known, (shares / np.maximum(count, 1))[index], 0.0)

    def for_features(self, index: Sequence[int]) -> "FeatureDensity":
        """Return the density for features that stand for those of the training."""
        return replace(self, index=tuple(index))

    def _pooled(self, values: Array) -> Array:
        """Return the mean of the features that stand for each one of the training."""
        index, known = np.asarray(self.index), ~np.isnan(values)
        size = len(self.mean)
        count = np.bincount(index[known], minlength=size)
        total = np.bincount(index[known], values[known], size)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

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


def window_summary(window: Array) -> Array:
    """Return the size of a window: logs of deviations, shape (2 * channels,).

    These are the standard deviation of each channel, and then the root mean square of
    the differences of its successive samples.

    Parameters
    ----------
    window
        Samples, shape (channels, n).
    """
    size = np.stack([window.std(axis=1), np.sqrt((np.diff(window) ** 2).mean(axis=1))])
    return np.asarray(np.log(np.maximum(size, _LEAST)).ravel())
