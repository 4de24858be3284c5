"""Gaussian smoother: estimates of affect from the features of the last 400 s.

It models lag, autocorrelated noise and differences between participants.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, toeplitz

from physio.core.affect import DIMENSIONS
from physio.core.block import Array
from physio.core.missing import MissingReason
from physio.models.base import Lookback, Model, distance_shares

_CACHED: Final = 256  # patterns of missing values whose gains are cached
_SHARE: Final = 0.5  # proportion of a part of the past that must be present
_PAST: Final = 100  # earlier moments that the features still follow


@dataclass(frozen=True)
class GaussianSmootherConfig:
    """Settings of a Gaussian smoother.

    Parameters
    ----------
    features
        Number of features.
    channels
        Number of channels that combine the features.
    every
        Time between two moments of the past (s).
    edges
        Ends of the parts of the past that are averaged, in moments before the newest;
        rising from 0. The cost of a tick grows with the number of parts, not with the
        length of the past.
    """

    features: int = 2
    channels: int = 2
    every: float = 4.0
    edges: tuple[int, ...] = (0, 1, 2, 3, 5, 8, 12, 18, 28, 45, 80, 100)

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in pairwise(self.edges))
        if len(self.edges) < 2 or self.edges[0] != 0 or not rising:
            raise ValueError(f"edges must rise from 0, not {self.edges}")

    @property
    def moments(self) -> int:
        """Number of moments of the past."""
        return self.edges[-1]


@dataclass(frozen=True, eq=False)
class DynamicsParameters:
    """Parameters of the dynamics of affect and of the features that follow it.

    Parameters
    ----------
    level
        Mean of each feature, (features,).
    gather
        Weights of the channels, (channels, features): a channel is the mean of the
        present features with weights above 0, minus the mean of those with weights
        below 0.
    scale
        Unmixing matrix, (channels, channels): its rows are mixtures of channels with
        independent noise.
    lag
        Time constant with which each mixture follows affect (s), (channels,).
    effects
        Effect of one unit of each dimension on each mixture, (channels, 3).
    spread
        Covariance of these effects between participants, (channels, 3, 3).
    noise
        Autocovariance of each mixture, from moment to moment, (channels, moments).
    mean, cov
        Mean and covariance of affect, (3,) and (3, 3).
    tau
        Time constant of affect (s), (1,).
    share
        Shrinkage of the step away from the mean, (3,): 1 for none.
    rater
        Variance of a rating around affect, and of other errors, (3,).
    """

    level: Array
    gather: Array
    scale: Array
    lag: Array
    effects: Array
    spread: Array
    noise: Array
    mean: Array
    cov: Array
    tau: Array
    share: Array
    rater: Array


class GaussianSmoother(Model):
    """Best linear estimate of ratings from the features of the last minutes.

    Affect varies smoothly; features follow it with a lag, with effects that differ
    between participants, and with autocorrelated noise. Present affect and the features
    of the last minutes are modelled by their means and covariances, as one joint
    Gaussian. The past is averaged over intervals whose length grows with their age.
    Missing values of any moment are marginalized.

    Parameters
    ----------
    config
        Settings.
    knows
        Parameters of the dynamics; by default those of two features with a small effect
        of arousal.
    """

    uses_baseline_uncertainty = True
    shared = True

    def __init__(
        self,
        config: GaussianSmootherConfig = GaussianSmootherConfig(),
        knows: DynamicsParameters | None = None,
    ) -> None:
        self.config = config
        self.knows = _plain(config) if knows is None else knows
        shape = (config.channels, config.features)
        if self.knows.gather.shape != shape:
            raise ValueError(
                f"a smoother of {config.features} features and {config.channels} "
                f"channels needs weights 'gather' of shape {shape}, not "
                f"{self.knows.gather.shape}"
            )
        edges = config.edges
        self._parts = np.zeros((len(edges) - 1, config.moments))
        for i, (low, high) in enumerate(pairwise(edges)):
            self._parts[i, low:high] = 1 / (high - low)
        self._cov, self._cross = _covariances(self.knows, self._parts, config.every)
        self._gains: dict[bytes, tuple[Array, Array]] = {}

    @property
    def prior(self) -> tuple[Array, Array]:
        """Mean and standard deviation without any feature, shape (3,) each."""
        k = self.knows
        return k.mean, np.sqrt(np.diag(k.cov) + k.rater)

    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Return mean and standard deviation from one moment without a past.

        Parameters
        ----------
        z
            Features of the moment, shape (f,), NaN where missing.
        spread
            Not used: a participant's level is part of the noise.
        """
        mean, sd, _ = self.history(z[None])
        return mean, sd

    @property
    def lookback(self) -> Lookback:
        """Moments that `history` reads."""
        return Lookback(self.config.moments, self.config.every)

    def history(self, past: Array) -> tuple[Array, Array, Array]:
        """Return mean, standard deviation and contributions from the last moments.

        Parameters
        ----------
        past
            Features of the last moments, `GaussianSmootherConfig.every` s apart, newest
            first, shape (n, f); NaN where missing. Older moments than `lookback` are
            not used.

        Returns
        -------
        mean, sd
            Shape (3,) each; the NaN of the newest moment if all values are missing.
        parts
            Contribution of each feature, over all of the past, to the difference from
            the mean without any feature; exact, shape (3, f).
        """
        c, f = self.config.channels, self.config.features
        y = self._channel_means(past)
        present = ~np.isnan(y)
        if not present.any():
            missing = np.full(len(DIMENSIONS), past[0, 0] if len(past) else np.nan)
            if not np.isnan(missing[0]):
                missing[:] = MissingReason.TOO_SHORT.nan
            return missing, missing.copy(), np.zeros((len(DIMENSIONS), f))
        gain, sd = self._condition(present)
        moved = np.zeros((len(DIMENSIONS), len(y)))
        moved[:, present] = gain * y[present]
        per_channel = moved.reshape(len(DIMENSIONS), c, -1).sum(axis=2)
        worth = np.abs(self.knows.gather)
        parts = per_channel @ (worth / worth.sum(axis=1, keepdims=True))
        return self.knows.mean + moved.sum(axis=1), sd, parts

    def novelty(self, z: Array, spread: Array) -> float:  # noqa: ARG002
        """Return the distance of a moment from the training data.

        About standard normal within the training data: see `Gaussian.novelty`.
        """
        far, n = self._distance(z)
        if not n:
            return float("nan")
        middle = 2 / (9 * n)
        return float(((far / n) ** (1 / 3) - (1 - middle)) / np.sqrt(middle))

    def novelty_shares(self, z: Array, spread: Array) -> Array | None:  # noqa: ARG002
        """Return the share of each feature in the distance, by its channels."""
        y = self._channel_means(z[None])
        by_value = distance_shares(y, self._cov, np.zeros(len(y)))
        if by_value is None:
            return None
        by_channel = by_value.reshape(self.config.channels, -1).sum(axis=1)
        worth = np.abs(self.knows.gather)
        return np.asarray(by_channel @ (worth / worth.sum(axis=1, keepdims=True)))

    def clamped(self, z: Array, limit: float) -> Array:
        """Return a moment moved toward the mean, to a `novelty` of ``limit``."""
        far, n = self._distance(z)
        if not (n and far > 0):
            return z
        middle = 2 / (9 * n)
        near = n * max(1 - middle + limit * np.sqrt(middle), 0.0) ** 3
        level = self.knows.level
        return np.asarray(level + min(1.0, float(np.sqrt(near / far))) * (z - level))

    def _distance(self, z: Array) -> tuple[float, int]:
        """Return the squared distance of a moment, and its number of channels."""
        y = self._channel_means(z[None])
        present = ~np.isnan(y)
        near = self._cov[np.ix_(present, present)]
        return float(y[present] @ np.linalg.solve(near, y[present])), int(present.sum())

    def _channel_means(self, past: Array) -> Array:
        """Return the mean of each channel over each part of the past, as one vector."""
        near = past[: self.config.moments]
        channels = gathered(near, self.knows.level, self.knows.gather)
        known = ~np.isnan(channels)
        parts = self._parts[:, : len(near)]
        share = parts @ known
        means = (parts @ np.where(known, channels, 0.0)) / np.maximum(share, 1e-9)
        return np.asarray(np.where(share >= _SHARE, means, np.nan).T.ravel())

    def _condition(self, present: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
        """Return the gain of the present values, and the standard deviation."""
        key = present.tobytes()
        if key not in self._gains:
            if len(self._gains) >= _CACHED:
                self._gains.pop(next(iter(self._gains)))
            k, cross = self.knows, self._cross[:, present]
            factor = cho_factor(self._cov[np.ix_(present, present)], check_finite=False)
            gain = cho_solve(factor, cross.T, check_finite=False).T
            explained = np.sum(gain * cross, axis=1)  # variance
            residual = np.diag(k.cov) - k.share**2 * explained
            sd = np.sqrt(np.maximum(residual, 1e-6) + k.rater)
            self._gains[key] = np.ascontiguousarray(k.share[:, None] * gain), sd
        return self._gains[key]

    def arrays(self) -> dict[str, Array]:
        """Return the parameters by name."""
        return dict(vars(self.knows))

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Mapping[str, Array]) -> Self:
        """Return the model from the result of `arrays`."""
        settings = {**config, "edges": tuple(config["edges"])}
        return cls(GaussianSmootherConfig(**settings), DynamicsParameters(**arrays))


def gathered(x: Array, level: Array, gather: Array) -> Array:
    """Return the channels of moments, (n, channels), NaN where too many are missing.

    Parameters
    ----------
    x
        Features, shape (n, f), NaN where missing.
    level, gather
        See `DynamicsParameters`.
    """
    there = ~np.isnan(x)
    off = np.where(there, x - level, 0.0)
    channels = np.zeros((len(x), len(gather)))
    for sign in (1, -1):
        weight = np.maximum(sign * gather, 0).T
        some, whole = there @ weight, weight.sum(axis=0)
        channels += sign * (off @ weight) / np.maximum(some, 1e-9)
        channels[some < _SHARE * whole] = np.nan
    return channels


def followed(lag: float, n: int, every: float) -> Array:
    """Return a first-order lag of ``lag`` s as a matrix on moments, (n, n)."""
    a = 1 - np.exp(-every / lag)
    back = np.subtract.outer(np.arange(n), np.arange(n))
    response = np.where(back >= 0, a * (1 - a) ** np.maximum(back, 0), 0.0)
    response[:, 0] += 1 - response.sum(axis=1)
    return np.asarray(response)


def wandering(tau: float, n: int, every: float) -> Array:
    """Return the Matern 3/2 correlation matrix of moments, (n, n)."""
    t = np.arange(n) * every / tau
    return np.asarray(toeplitz((1 + t) * np.exp(-t)))


def definite(cov: Array) -> Array:
    """Return a covariance with its eigenvalues raised above 0."""
    values, vectors = np.linalg.eigh(cov)
    return np.asarray((vectors * np.maximum(values, 1e-5 * cov[0, 0])) @ vectors.T)


def _covariances(
    k: DynamicsParameters, parts: Array, every: float
) -> tuple[Array, Array]:
    """Return the covariance of the parts of all channels, and with affect."""
    c, (m, n) = len(k.lag), parts.shape
    affect = wandering(float(k.tau[0]), n + _PAST, every)
    responses = {  # newest first
        lag: parts @ followed(lag, n + _PAST, every)[: _PAST - 1 : -1]
        for lag in set(k.lag.tolist())
    }
    cov, cross = np.zeros((c, m, c, m)), np.zeros((len(DIMENSIONS), c, m))
    for i, a in enumerate(k.lag.tolist()):
        cross[:, i] = np.outer(k.cov @ k.effects[i], responses[a] @ affect[-1])
        for j, b in enumerate(k.lag.tolist()):
            size = k.effects[i] @ k.cov @ k.effects[j]
            if i == j:  # differences between participants act as noise
                size += np.sum(k.spread[i] * k.cov)
            cov[i, :, j] = size * (responses[a] @ affect @ responses[b].T)
        cov[i, :, i] += parts @ definite(toeplitz(k.noise[i])) @ parts.T
    back = np.linalg.inv(k.scale)
    cov = np.einsum("ai,imjn,bj->ambn", back, cov, back, optimize=True)
    cross = np.einsum("ai,dim->dam", back, cross)
    return cov.reshape(c * m, c * m), cross.reshape(len(DIMENSIONS), c * m)


def _plain(config: GaussianSmootherConfig) -> DynamicsParameters:
    """Return parameters for channels of one feature each."""
    c, three = config.channels, np.zeros(3)
    effects = np.zeros((c, 3))
    effects[:, 1] = 0.5
    return DynamicsParameters(
        level=np.zeros(config.features),
        gather=np.eye(c, config.features),
        scale=np.eye(c),
        lag=np.full(c, 4.0),
        effects=effects,
        spread=np.zeros((c, 3, 3)),
        noise=np.tile(np.exp(-np.arange(config.moments) / 10), (c, 1)),
        mean=three,
        cov=0.25 * np.eye(3),
        tau=np.array([40.0]),
        share=three + 1,
        rater=three + 0.04,
    )
