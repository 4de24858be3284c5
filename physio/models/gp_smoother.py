"""What is felt as it wanders, seen through features whose errors last: one Gaussian."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, toeplitz

from physio.core.block import Array
from physio.core.missing import MissingReason

DIMENSIONS = ("valence", "arousal", "dominance")

_KEPT: Final = 256  # patterns of what is missing whose gains are kept
_SHARE: Final = 0.5  # of a part of the past that must be there for it to count
_PAST: Final = 100  # moments before those remembered, which what is felt comes from


@dataclass(frozen=True)
class GaussianSmootherConfig:
    """Size of a tracker.

    Parameters
    ----------
    features
        How many features it reads.
    channels
        How many channels it makes of them.
    every
        Time between the moments that it remembers (s).
    edges
        Where the parts of the past begin and end, of which it takes the means, in
        moments before the newest; rising from 0. The work of a tick goes with their
        number, not with how far they reach.
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
        """How many moments it remembers."""
        return self.edges[-1]


@dataclass(frozen=True, eq=False)
class DynamicsParameters:
    """What a tracker knows of bodies.

    Parameters
    ----------
    level
        What each feature is about, (features,).
    gather
        How channels are made: the mean of the features with weights above 0, less the
        mean of those below, of those that are there; (channels, features).
    scale
        Which mixtures of channels have noises that go their own ways, (channels,
        channels): rows make the mixtures.
    lag
        How fast each mixture follows what is felt (s), (channels,).
    effects
        What one unit of each dimension does to each mixture, (channels, 3).
    spread
        How participants differ in that, (channels, 3, 3).
    noise
        Autocovariance of each mixture, from moment to moment, (channels, moments).
    mean, cov
        Of what is felt, (3,) and (3, 3).
    tau
        How fast that wanders (s), (1,).
    share
        How much of a step away from the mean is to be believed, (3,).
    rater
        Variance of a rating about what is felt and what else is missed, (3,).
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


class GaussianSmoother:
    """The rating given all of the past, as first and second moments tell it.

    What is felt wanders smoothly; features follow it with a lag, in each participant by
    other effects, and their errors last. All of that together is taken as one Gaussian
    of what is felt now and of the features of the last minutes, of which the means over
    parts of the past are remembered, finer the nearer. So the answer is the best that
    is linear in them; whatever is missing, of whichever moment, is marginalised.

    Parameters
    ----------
    config
        Size.
    knows
        Of bodies; by default of two features that tell of arousal a little.
    """

    uses_baseline_uncertainty = True
    heeds_past = True
    """`track` answers from the past; `predict` from one moment, as if it were first."""

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
                f"a tracker of {config.features} features and {config.channels} "
                f"channels gathers by weights of shape {shape}, not "
                f"{self.knows.gather.shape}"
            )
        edges = config.edges
        self._parts = np.zeros((len(edges) - 1, config.moments))
        for i, (low, high) in enumerate(pairwise(edges)):
            self._parts[i, low:high] = 1 / (high - low)
        self._own, self._cross = _covariances(self.knows, self._parts, config.every)
        self._gains: dict[bytes, tuple[Array, Array]] = {}

    @property
    def prior(self) -> tuple[Array, Array]:
        """Mean and standard deviation where nothing is known, shape (3,) each."""
        k = self.knows
        return k.mean, np.sqrt(np.diag(k.cov) + k.rater)

    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Return mean and standard deviation from one moment, the first there is.

        Parameters
        ----------
        z
            Features of the moment, shape (f,), NaN where missing.
        spread
            Of no use here: a participant's level is part of the noise.
        """
        mean, sd, _ = self.track(z[None])
        return mean, sd

    def track(self, past: Array) -> tuple[Array, Array, Array]:
        """Return what is to be said after some moments.

        Parameters
        ----------
        past
            Features of the last moments, `GaussianSmootherConfig.every` s apart, newest
            first, shape (n, f); NaN where missing. What is older than it remembers is
            left.

        Returns
        -------
        mean, sd
            Shape (3,) each; where nothing is there the NaN of the newest moment.
        parts
            What each feature adds to the mean where nothing is known, exactly, over all
            of the past; shape (3, f).
        """
        c, f = self.config.channels, self.config.features
        y = self._told(past)
        here = ~np.isnan(y)
        if not here.any():
            missing = np.full(len(DIMENSIONS), past[0, 0] if len(past) else np.nan)
            if not np.isnan(missing[0]):
                missing[:] = MissingReason.TOO_SHORT.nan
            return missing, missing.copy(), np.zeros((len(DIMENSIONS), f))
        gain, sd = self._given(here)
        moved = np.zeros((len(DIMENSIONS), len(y)))
        moved[:, here] = gain * y[here]
        each = moved.reshape(len(DIMENSIONS), c, -1).sum(axis=2)
        worth = np.abs(self.knows.gather)
        parts = each @ (worth / worth.sum(axis=1, keepdims=True))
        return self.knows.mean + moved.sum(axis=1), sd, parts

    def surprise(self, z: Array, spread: Array) -> float:  # noqa: ARG002
        """Return how unlike all that was seen in training a moment is.

        About a standard normal number for what is alike: see `Gaussian.surprise`.
        """
        y = self._told(z[None])
        here = ~np.isnan(y)
        n = int(here.sum())
        if not n:
            return float("nan")
        far = y[here] @ np.linalg.solve(self._own[np.ix_(here, here)], y[here])
        middle = 2 / (9 * n)
        return float(((far / n) ** (1 / 3) - (1 - middle)) / np.sqrt(middle))

    def _told(self, past: Array) -> Array:
        """Return the mean of each channel over each part of the past, flat."""
        near = past[: self.config.moments]
        channels = gathered(near, self.knows.level, self.knows.gather)
        known = ~np.isnan(channels)
        parts = self._parts[:, : len(near)]
        share = parts @ known
        means = (parts @ np.where(known, channels, 0.0)) / np.maximum(share, 1e-9)
        return np.asarray(np.where(share >= _SHARE, means, np.nan).T.ravel())

    def _given(self, here: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
        """Return the gain of what is there, and the standard deviation that is left."""
        key = here.tobytes()
        if key not in self._gains:
            if len(self._gains) >= _KEPT:
                self._gains.pop(next(iter(self._gains)))
            k, cross = self.knows, self._cross[:, here]
            own = cho_factor(self._own[np.ix_(here, here)], check_finite=False)
            gain = cho_solve(own, cross.T, check_finite=False).T
            told = np.sum(gain * cross, axis=1)  # variance that is explained
            left = np.diag(k.cov) - k.share**2 * told
            sd = np.sqrt(np.maximum(left, 1e-6) + k.rater)
            self._gains[key] = np.ascontiguousarray(k.share[:, None] * gain), sd
        return self._gains[key]

    def arrays(self) -> dict[str, Array]:
        """Return the parameters by name."""
        return dict(vars(self.knows))

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Mapping[str, Array]) -> Self:
        """Return the model that `arrays` came from."""
        made = GaussianSmootherConfig(**{**config, "edges": tuple(config["edges"])})
        return cls(made, DynamicsParameters(**arrays))


def gathered(x: Array, level: Array, gather: Array) -> Array:
    """Return the channels of moments, (n, channels), NaN where too little is there.

    Parameters
    ----------
    x
        Features, shape (n, f), NaN where missing.
    level, gather
        See `DynamicsParameters`.
    """
    there = ~np.isnan(x)
    off = np.where(there, x - level, 0.0)
    found = np.zeros((len(x), len(gather)))
    for sign in (1, -1):
        weight = np.maximum(sign * gather, 0).T
        some, whole = there @ weight, weight.sum(axis=0)
        found += sign * (off @ weight) / np.maximum(some, 1e-9)
        found[some < _SHARE * whole] = np.nan
    return found


def followed(lag: float, n: int, every: float) -> Array:
    """Return what follows within ``lag`` s as a matrix on moments, (n, n)."""
    a = 1 - np.exp(-every / lag)
    back = np.subtract.outer(np.arange(n), np.arange(n))
    found = np.where(back >= 0, a * (1 - a) ** np.maximum(back, 0), 0.0)
    found[:, 0] += 1 - found.sum(axis=1)
    return np.asarray(found)


def wandering(tau: float, n: int, every: float) -> Array:
    """Return the correlation of what wanders smoothly at moments, (n, n)."""
    t = np.arange(n) * every / tau
    return np.asarray(toeplitz((1 + t) * np.exp(-t)))


def definite(cov: Array) -> Array:
    """Return a covariance without eigenvalues that are 0 or less."""
    values, vectors = np.linalg.eigh(cov)
    return np.asarray((vectors * np.maximum(values, 1e-5 * cov[0, 0])) @ vectors.T)


def _covariances(
    k: DynamicsParameters, parts: Array, every: float
) -> tuple[Array, Array]:
    """Return the covariance of the parts of all channels, and with what is felt."""
    c, (m, n) = len(k.lag), parts.shape
    felt = wandering(float(k.tau[0]), n + _PAST, every)
    seen = {  # newest first
        lag: parts @ followed(lag, n + _PAST, every)[: _PAST - 1 : -1]
        for lag in set(k.lag.tolist())
    }
    own, cross = np.zeros((c, m, c, m)), np.zeros((len(DIMENSIONS), c, m))
    for i, a in enumerate(k.lag.tolist()):
        cross[:, i] = np.outer(k.cov @ k.effects[i], seen[a] @ felt[-1])
        for j, b in enumerate(k.lag.tolist()):
            size = k.effects[i] @ k.cov @ k.effects[j]
            if (
                i == j
            ):  # a participant's own effects are noise whose size goes with affect
                size += np.sum(k.spread[i] * k.cov)
            own[i, :, j] = size * (seen[a] @ felt @ seen[b].T)
        own[i, :, i] += parts @ definite(toeplitz(k.noise[i])) @ parts.T
    back = np.linalg.inv(k.scale)
    own = np.einsum("ai,imjn,bj->ambn", back, own, back, optimize=True)
    cross = np.einsum("ai,dim->dam", back, cross)
    return own.reshape(c * m, c * m), cross.reshape(len(DIMENSIONS), c * m)


def _plain(config: GaussianSmootherConfig) -> DynamicsParameters:
    """Return what is known of channels that are one feature each."""
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
