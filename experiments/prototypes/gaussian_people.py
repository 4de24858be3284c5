"""Simulated participants drawn from the joint Gaussian of features and affect."""

from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np

from experiments.unified_labels.simulated_label_sets import Moments
from physio.core.block import Array
from physio.models.gaussian import Gaussian
from physio.models.model_card import load

FIRST_TAUGHT: Final = 10_000
FIRST_TESTED: Final = 20_000
WEIGHTS: Final = "published-all"
_ROWS: Final = 135
_EVERY: Final = 4.0  # s
_FELT: Final = 60.0  # s, time constant of affect
_NOISE: Final = 40.0  # s, of what features have beside affect
_OWN: Final = 0.3
"""Share of the variance of features beside affect that is a participant's own."""

_RATER: Final = 0.2


@cache
def _joint() -> tuple[Array, Array, Array, Array, Array]:
    """Return gain, level, root of the residual covariance; mean and root of affect."""
    model = load(WEIGHTS).model()
    if not isinstance(model, Gaussian):
        raise TypeError(f"the weights {WEIGHTS} are no joint Gaussian")
    f = model.config.features
    of_x, of_y, both = model.cov[:f, :f], model.cov[f:, f:], model.cov[:f, f:]
    gain = both @ np.linalg.inv(of_y)
    rest = of_x - gain @ both.T
    felt = of_y - _RATER**2 * np.eye(len(of_y))
    level = model.mean[:f] - gain @ model.mean[f:]
    return gain, level, _root(rest), model.mean[f:], _root(felt)


def _root(covariance: Array) -> Array:
    value, vector = np.linalg.eigh((covariance + covariance.T) / 2)
    return np.asarray(vector * np.sqrt(np.maximum(value, 1e-4)))


def participants(first: int, n: int, strength: float = 1.0) -> Iterator[Moments]:
    """Yield participants of consecutive seeds, moments 4 s apart.

    Affect is a slow random walk around 0 with the covariance of the ratings less the
    rater's noise; features follow it as in the shipped weights ``published-all``, whose
    effects are those of the literature, and vary beside it by participant and in time.

    Parameters
    ----------
    first
        Seed of the first participant.
    n
        Number of participants.
    strength
        Multiple of the effect of affect on the features; 0 for none.
    """
    gain, level, residual, usual, felt = _joint()
    for seed in range(first, first + n):
        rng = np.random.default_rng(seed)
        affect = np.clip(usual + _walk(rng, len(felt), _FELT) @ felt.T, -1, 1)
        offset = rng.normal(size=len(residual)) * np.sqrt(_OWN)
        noise = offset + _walk(rng, len(residual), _NOISE) * np.sqrt(1 - _OWN)
        x = level + strength * affect @ gain.T + noise @ residual.T
        rated = np.clip(affect + rng.normal(0, _RATER, affect.shape), -1, 1)
        yield Moments(f"seed {seed}", x, np.round(rated * 4) / 4, affect)


def _walk(rng: np.random.Generator, size: int, constant: float) -> Array:
    """Return stationary, independent walks of unit variance, shape (rows, size)."""
    keep = np.exp(-_EVERY / constant)
    steps = rng.normal(size=(_ROWS, size))
    out = np.empty_like(steps)
    out[0] = steps[0]
    for k in range(1, _ROWS):
        out[k] = keep * out[k - 1] + np.sqrt(1 - keep**2) * steps[k]
    return out
