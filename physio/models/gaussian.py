"""A joint Gaussian of features and ratings: small, exact about what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.core.missing import MissingReason

DIMENSIONS = ("valence", "arousal", "dominance")
"""What `Gaussian.predict` tells, in this order."""

_UNTRAINED: Final = MissingReason.UNTRAINED.nan
_FLOOR: Final = 1e-9  # least variance
_ROUNDS: Final = 300  # of expectation maximisation, at most


@dataclass(frozen=True)
class GaussianConfig:
    """Size of a joint Gaussian.

    Parameters
    ----------
    features
        How many features there are.
    dimensions
        Which ratings it was trained on.
    reach
        A feature further than so many standard deviations from all that was seen in
        training counts as missing: nothing is extrapolated.
    """

    features: int = 4
    dimensions: tuple[str, ...] = DIMENSIONS
    reach: float = 5.0


class Gaussian:
    """Features and ratings of one moment as one Gaussian.

    The rating given whichever features are present is exact: the others are
    marginalised, so each one that is missing widens the answer, never narrows it.

    Parameters
    ----------
    config
        Size.
    mean
        Of the features, then of the ratings, shape (f + d,).
    cov
        Their covariance, shape (f + d, f + d). The features are those of a moment, the
        ratings those of a new participant: label noise is included.
    """

    uses_baseline_uncertainty = True
    """Whether `predict` widens with what is not yet known of the participant's rest."""

    def __init__(
        self,
        config: GaussianConfig = GaussianConfig(),
        mean: Array | None = None,
        cov: Array | None = None,
    ) -> None:
        size = config.features + len(config.dimensions)
        self.config = config
        self.mean = np.zeros(size) if mean is None else mean
        self.cov = np.eye(size) if cov is None else cov
        if self.mean.shape != (size,) or self.cov.shape != (size, size):
            raise ValueError(
                f"a joint Gaussian of {config.features} features and "
                f"{len(config.dimensions)} ratings has a mean of shape ({size},) and a "
                f"covariance of shape ({size}, {size}), not {self.mean.shape} and "
                f"{self.cov.shape}"
            )
        if np.linalg.eigvalsh(self.cov)[0] <= 0:
            raise ValueError("the covariance of a joint Gaussian must be definite")
        self._at = [DIMENSIONS.index(d) for d in config.dimensions]
        self._gains: dict[bytes, tuple[Array, Array]] = {}

    @property
    def prior(self) -> tuple[Array, Array]:
        """Mean and standard deviation where nothing is known, shape (3,) each."""
        f = self.config.features
        return self._told(self.mean[f:]), self._told(np.sqrt(np.diag(self.cov)[f:]))

    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of valence, arousal and dominance.

        Parameters
        ----------
        z
            Features of one moment, shape (f,), NaN where missing.
        spread
            Variance of each that is not in the covariance: what is not yet known of
            the participant's own rest, shape (f,).

        Returns
        -------
        mean, sd
            Shape (3,) each; NaN (why: untrained) for a rating the model was not
            trained on, and the NaN of a feature where none is present.
        """
        mean, sd, _ = self.explain(z, spread)
        return mean, sd

    def explain(self, z: Array, spread: Array) -> tuple[Array, Array, Array]:
        """Return what `predict` does, and what each feature has moved the means by.

        Returns
        -------
        mean, sd
            As `predict`.
        parts
            What each feature adds to the mean where nothing is known, exactly: the
            answer is linear in the features that are there. Shape (3, f); 0 for one
            that is missing or for a rating the model was not trained on.
        """
        f = self.config.features
        off = z - self.mean[:f]
        far = np.abs(off) > self.config.reach * np.sqrt(np.diag(self.cov)[:f] + spread)
        here = ~np.isnan(z) & ~far
        parts = np.zeros((len(DIMENSIONS), f))
        if not here.any():
            why = MissingReason.OUT_OF_DISTRIBUTION.nan if far.any() else z[0]
            missing = self._told(np.full(len(self.config.dimensions), why))
            return missing, missing.copy(), parts
        gain, sd = self._given(here, spread)
        moved = gain * off[here]
        for i, at in enumerate(self._at):
            parts[at, here] = moved[i]
        mean = self.mean[f:] + moved.sum(axis=1)
        return self._told(mean), self._told(sd), parts

    def surprise(self, z: Array, spread: Array) -> float:
        """Return how unlike all that was seen in training a moment is.

        About a standard normal number for what is alike, whichever features are there:
        the squared Mahalanobis distance of those present, its cube root scaled as
        Wilson and Hilferty (1931) do a chi square; NaN where none is.
        """
        f = self.config.features
        here = ~np.isnan(z)
        n = int(here.sum())
        if not n:
            return float("nan")
        off = (z - self.mean[:f])[here]
        own = self.cov[:f, :f][np.ix_(here, here)] + np.diag(spread[here])
        far = float(off @ np.linalg.solve(own, off))
        middle = 2 / (9 * n)
        return float(((far / n) ** (1 / 3) - (1 - middle)) / np.sqrt(middle))

    def _given(self, here: npt.NDArray[np.bool_], spread: Array) -> tuple[Array, Array]:
        """Return the gain of the features present, and what stays unknown."""
        key = here.tobytes() + spread[here].tobytes()
        if key not in self._gains:
            if len(self._gains) > 64:  # while a rest runs, each tick has its own
                self._gains.clear()
            f = self.config.features
            own, cross = self.cov[:f, :f][np.ix_(here, here)], self.cov[f:, :f][:, here]
            solved = np.linalg.solve(own + np.diag(spread[here]), cross.T)
            gain = solved.T.astype(np.float64)  # (d, n)
            left: Array = np.diag(self.cov[f:, f:]) - np.sum(gain * cross, axis=1)
            sd: Array = np.sqrt(left)
            self._gains[key] = gain, sd
        return self._gains[key]

    def _told(self, values: Array) -> Array:
        """Return values of the trained ratings among all three."""
        told = np.full(len(DIMENSIONS), _UNTRAINED)
        told[self._at] = values
        return told

    def arrays(self) -> dict[str, Array]:
        """Return the parameters by name."""
        return {"mean": self.mean, "cov": self.cov}

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Mapping[str, Array]) -> Self:
        """Return the model that `arrays` came from."""
        named = GaussianConfig(**{**config, "dimensions": tuple(config["dimensions"])})
        return cls(named, arrays["mean"], arrays["cov"])


def fit(
    config: GaussianConfig,
    z: Array,
    ratings: Array,
    unit: npt.NDArray[np.int_],
) -> tuple[Array, Array]:
    """Return the mean and covariance most likely for moments, of features and ratings.

    Parameters
    ----------
    config
        Size.
    z
        Features of each moment, shape (n, f), NaN where missing; moments without any
        are left out.
    ratings
        Of each moment the ratings of its unit, shape (n, d), none NaN.
    unit
        Which unit (a participant in a condition) each moment belongs to, shape (n,).
        Each unit counts the same, however many moments it has.

    Returns
    -------
    mean, cov
        Shapes (f + d,) and (f + d, f + d).

    Raises
    ------
    ValueError
        If fewer than three units have a moment with a feature.

    Notes
    -----
    Expectation maximisation: missing features are what the others and the ratings make
    of them, with the uncertainty that leaves. That takes a feature to be missing
    whatever it would have been, given the others; a pulse that movement hides is so
    only roughly.
    """
    some = ~np.isnan(z).all(axis=1)
    _, own, count = np.unique(unit[some], return_inverse=True, return_counts=True)
    if len(count) < 3:
        raise ValueError(
            f"a joint Gaussian of {config.features} features needs 3 units with a "
            f"moment that has any; there are {len(count)}"
        )
    weight = 1 / (count[own] * len(count))
    both = np.hstack([z[some], ratings[some]])
    patterns, which = np.unique(np.isnan(both), axis=0, return_inverse=True)
    groups = [np.flatnonzero(which == i) for i in range(len(patterns))]
    mean, cov = np.nanmean(both, axis=0), np.diag(np.nanvar(both, axis=0) + _FLOOR)
    for _ in range(_ROUNDS):
        full, extra = both.copy(), np.zeros_like(cov)
        for lost, rows in zip(patterns, groups, strict=True):
            if lost.any():
                gain = np.linalg.solve(
                    cov[np.ix_(~lost, ~lost)], cov[np.ix_(~lost, lost)]
                )
                known = both[np.ix_(rows, ~lost)] - mean[~lost]
                full[np.ix_(rows, lost)] = mean[lost] + known @ gain
                left = cov[np.ix_(lost, lost)] - cov[np.ix_(lost, ~lost)] @ gain
                extra[np.ix_(lost, lost)] += weight[rows].sum() * left
        mean = weight @ full
        off = full - mean
        old, cov = cov, (off * weight[:, None]).T @ off + extra
        cov = (cov + cov.T) / 2 + _FLOOR * np.eye(len(cov))
        if np.abs(cov - old).max() < 1e-7 * np.abs(cov).max():
            break
    return mean, cov


def shrunk(
    config: GaussianConfig, mean: Array, cov: Array, shrink: float, noise: npt.ArrayLike
) -> Gaussian:
    """Return a joint Gaussian whose correlations are drawn to 0.

    Parameters
    ----------
    config
        Size.
    mean, cov
        As `fit` found them.
    shrink
        How far: at 0 not at all, at 1 the features tell nothing.
    noise
        Variance added to each rating, for what a new participant adds, shape (d,).
    """
    sd = np.sqrt(np.diag(cov))
    corr = (1 - shrink) * cov / np.outer(sd, sd)
    np.fill_diagonal(corr, 1.0)
    added = np.zeros(len(mean))
    added[config.features :] = noise
    return Gaussian(config, mean, corr * np.outer(sd, sd) + np.diag(added))
