"""Joint Gaussian of features and ratings, exact for any set of missing features."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from physio.core.affect import DIMENSIONS, scale_places
from physio.core.block import Array
from physio.core.missing import MissingReason
from physio.models.base import Model, distance_shares

_UNTRAINED: Final = MissingReason.UNTRAINED.nan
_FLOOR: Final = 1e-9  # smallest variance
_FURTHEST: Final = 1e6  # limits, beyond which a feature says no less
_ROUNDS: Final = 300  # iterations of expectation maximization, at most


@dataclass(frozen=True)
class GaussianConfig:
    """Settings of a joint Gaussian.

    Parameters
    ----------
    features
        Number of features.
    dimensions
        Ratings that the model was trained on.
    reach
        Limit of the distance from the training mean (standard deviations): a feature
        beyond it counts as if at the limit, and its excess, squared, is added to its
        variance. The further it is, the less it says.
    """

    features: int = 4
    dimensions: tuple[str, ...] = DIMENSIONS
    reach: float = 5.0


class Gaussian(Model):
    """Joint Gaussian of the features and the ratings of one moment.

    The rating is conditioned on the features that are present; missing ones are
    marginalized, so each missing feature widens the estimate and none narrows it.

    Parameters
    ----------
    config
        Number of features, and the ratings.
    mean
        Mean of the features, then of the ratings, shape (f + d,).
    cov
        Covariance of features and ratings, shape (f + d, f + d), for the features of
        one moment and the ratings of a new participant, including label noise.
    """

    uses_baseline_uncertainty = True

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
        self._at = scale_places(config.dimensions)
        self._gains: dict[bytes, tuple[Array, Array, Array]] = {}

    @property
    def prior(self) -> tuple[Array, Array]:
        """Mean and standard deviation without any feature, shape (3,) each."""
        f = self.config.features
        return self._among_all(self.mean[f:]), self._among_all(
            np.sqrt(np.diag(self.cov)[f:])
        )

    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of valence, arousal and dominance.

        Parameters
        ----------
        z
            Features of one moment, shape (f,), NaN where missing.
        spread
            Additional variance of each feature, not part of the covariance, due to the
            remaining uncertainty about the participant's baseline, shape (f,).

        Returns
        -------
        mean, sd
            Shape (3,) each; NaN (reason: untrained) for a rating that the model was not
            trained on, and the NaN of a feature if no feature is present.
        """
        mean, sd, _ = self.explain(z, spread)
        return mean, sd

    def explain(self, z: Array, spread: Array) -> tuple[Array, Array, Array]:
        """Return the results of `predict`, and the contribution of each feature.

        Returns
        -------
        mean, sd
            As `predict`.
        parts
            Contribution of each feature to the difference from the mean without any
            feature; exact, as the estimate is linear in the features that are present.
            Shape (3, f); 0 for a missing feature or a rating that the model was not
            trained on.
        """
        f = self.config.features
        off = z - self.mean[:f]
        limit = self.config.reach * np.sqrt(np.diag(self.cov)[:f] + spread)
        near = np.clip(off, -limit, limit)
        present = np.isfinite(z)
        parts = np.zeros((len(DIMENSIONS), f))
        if not present.any():
            missing = self._among_all(np.full(len(self.config.dimensions), z[0]))
            return missing, missing.copy(), parts
        excess = np.minimum(np.abs(off - near), _FURTHEST * limit)
        spread = np.where(present, spread + excess**2, spread)
        off = near
        gain, sd, _ = self._condition(present, spread)
        moved = gain * off[present]
        for i, at in enumerate(self._at):
            parts[at, present] = moved[i]
        mean = self.mean[f:] + moved.sum(axis=1)
        return self._among_all(mean), self._among_all(sd), parts

    def novelty(self, z: Array, spread: Array) -> float:
        """Return the distance of a moment from the training data.

        It is the cube root of the squared Mahalanobis distance of the features that are
        present, scaled as by Wilson and Hilferty (1931) for a chi square. It is about
        standard normal within the training data, whichever features are present, and
        NaN if none is present.
        """
        f = self.config.features
        present = ~np.isnan(z)
        n = int(present.sum())
        if not n:
            return float("nan")
        off = (z - self.mean[:f])[present]
        cov = self._condition(present, spread)[2]
        far = float(off @ np.linalg.solve(cov, off))
        middle = 2 / (9 * n)
        return float(((far / n) ** (1 / 3) - (1 - middle)) / np.sqrt(middle))

    def novelty_shares(self, z: Array, spread: Array) -> Array | None:
        """Return the share of each feature in the squared Mahalanobis distance."""
        f = self.config.features
        return distance_shares(z - self.mean[:f], self.cov[:f, :f], spread)

    def _condition(
        self, present: npt.NDArray[np.bool_], spread: Array
    ) -> tuple[Array, Array, Array]:
        """Return gain, standard deviation, and covariance of the present features."""
        key = present.tobytes() + spread[present].tobytes()
        if key not in self._gains:
            if len(self._gains) > 64:  # during a baseline every tick has a new key
                self._gains.clear()
            f = self.config.features
            cov, cross = (
                self.cov[:f, :f][np.ix_(present, present)],
                self.cov[f:, :f][:, present],
            )
            cov = cov + np.diag(spread[present])
            solved = np.linalg.solve(cov, cross.T)
            gain = solved.T.astype(np.float64)  # (d, n)
            residual: Array = np.diag(self.cov[f:, f:]) - np.sum(gain * cross, axis=1)
            sd: Array = np.sqrt(residual)
            self._gains[key] = gain, sd, cov
        return self._gains[key]

    def _among_all(self, values: Array) -> Array:
        """Expand values of the trained ratings to all three ratings."""
        full = np.full(len(DIMENSIONS), _UNTRAINED)
        full[self._at] = values
        return full

    def arrays(self) -> dict[str, Array]:
        """Return the parameters by name."""
        return {"mean": self.mean, "cov": self.cov}

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Mapping[str, Array]) -> Self:
        """Return the model from the result of `arrays`."""
        named = GaussianConfig(**{**config, "dimensions": tuple(config["dimensions"])})
        return cls(named, arrays["mean"], arrays["cov"])


def fit(
    config: GaussianConfig,
    z: Array,
    ratings: Array,
    unit: npt.NDArray[np.int_],
) -> tuple[Array, Array]:
    """Estimate mean and covariance of features and ratings by maximum likelihood.

    Parameters
    ----------
    config
        Number of features, and the ratings.
    z
        Features of each moment, shape (n, f), NaN where missing; moments without any
        are left out.
    ratings
        Ratings of the unit of each moment, shape (n, d), none NaN.
    unit
        Unit (a participant in a condition) of each moment, shape (n,). All units have
        the same weight, however many moments they have.

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
    Expectation maximization: missing features are estimated from the others and the
    ratings, with the remaining uncertainty. This assumes that features are missing at
    random, given the others; for a pulse hidden by movement that holds only roughly.
    """
    some = ~np.isnan(z).all(axis=1)
    _, unit_index, count = np.unique(
        unit[some], return_inverse=True, return_counts=True
    )
    if len(count) < 3:
        raise ValueError(
            f"a joint Gaussian of {config.features} features needs 3 units with a "
            f"moment that has any; there are {len(count)}"
        )
    weight = 1 / (count[unit_index] * len(count))
    both = np.hstack([z[some], ratings[some]])
    patterns, which = np.unique(np.isnan(both), axis=0, return_inverse=True)
    groups = [np.flatnonzero(which == i) for i in range(len(patterns))]
    mean, cov = np.nanmean(both, axis=0), np.diag(np.nanvar(both, axis=0) + _FLOOR)
    for _ in range(_ROUNDS):
        full, extra = _expect(both, patterns, groups, weight, mean, cov)
        mean = weight @ full
        off = full - mean
        old, cov = cov, (off * weight[:, None]).T @ off + extra
        cov = (cov + cov.T) / 2 + _FLOOR * np.eye(len(cov))
        if np.abs(cov - old).max() < 1e-7 * np.abs(cov).max():
            break
    return mean, cov


def _expect(
    both: Array,
    patterns: npt.NDArray[np.bool_],
    groups: list[npt.NDArray[np.intp]],
    weight: Array,
    mean: Array,
    cov: Array,
) -> tuple[Array, Array]:
    """Return moments with imputed values, and the covariance due to imputation.

    ``patterns`` are the patterns of missing values, shape (p, f + d), and ``groups``
    the rows of each pattern.
    """
    full, extra = both.copy(), np.zeros_like(cov)
    for lost, rows in zip(patterns, groups, strict=True):
        if lost.any():
            gain = np.linalg.solve(cov[np.ix_(~lost, ~lost)], cov[np.ix_(~lost, lost)])
            known = both[np.ix_(rows, ~lost)] - mean[~lost]
            full[np.ix_(rows, lost)] = mean[lost] + known @ gain
            residual = cov[np.ix_(lost, lost)] - cov[np.ix_(lost, ~lost)] @ gain
            extra[np.ix_(lost, lost)] += weight[rows].sum() * residual
    return full, extra


def shrunk(
    config: GaussianConfig, mean: Array, cov: Array, shrink: float, noise: npt.ArrayLike
) -> Gaussian:
    """Return a joint Gaussian with its correlations shrunk toward 0.

    Parameters
    ----------
    config
        Number of features, and the ratings.
    mean, cov
        Result of `fit`.
    shrink
        Shrinkage: 0 leaves the correlations as they are, 1 sets them to 0.
    noise
        Variance added to each rating for a new participant, shape (d,).
    """
    sd = np.sqrt(np.diag(cov))
    corr = (1 - shrink) * cov / np.outer(sd, sd)
    np.fill_diagonal(corr, 1.0)
    added = np.zeros(len(mean))
    added[config.features :] = noise
    return Gaussian(config, mean, corr * np.outer(sd, sd) + np.diag(added))
