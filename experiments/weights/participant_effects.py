"""Participant effects: differences from the estimates of a held-out expert."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from physio.core.affect import DIMENSIONS
from physio.core.block import Array
from physio.models.baseline import BaselinePrior
from physio.models.gaussian import shrunk
from physio.training.gaussian import (
    FittedGaussian,
    GaussianRecipe,
    TrainingSamples,
    centred,
    fitted,
    rests,
)

GRID: Final = (0.0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Candidate variances of participant effects, chosen by likelihood."""


class PersonRatings(NamedTuple):
    """Estimates and ratings of a participant's conditions, (units, 3) each.

    ``z``: mean of the centred features of each condition, (units, f).
    """

    mean: Array
    sd: Array
    ratings: Array
    z: Array


def say(
    participant: TrainingSamples,
    rest: BaselinePrior,
    fitted_model: FittedGaussian,
    recipe: GaussianRecipe,
) -> PersonRatings:
    """Return the mean estimate of each condition of a participant."""
    z, extra = centred(participant, rest)
    predicted = np.array(
        [np.stack(fitted_model.model.predict(r, e)) for r, e in pairs_of(z, extra)]
    )
    parts = []
    for k in np.unique(participant.unit):
        rows = participant.unit == k
        with np.errstate(invalid="ignore"):
            mean = mean_of(predicted[rows, 0])
            sd = np.sqrt(mean_of(predicted[rows, 1] ** 2))
        parts.append((mean, sd, participant.ratings[rows][0], mean_of(z[rows])))
    ratings = np.full((len(parts), len(DIMENSIONS)), np.nan)
    ratings[:, recipe.picks] = np.array([p[2] for p in parts])[:, recipe.picks]
    return PersonRatings(
        np.array([p[0] for p in parts]),
        np.array([p[1] for p in parts]),
        ratings,
        np.array([p[3] for p in parts]),
    )


def held_out_ratings(
    participants: list[TrainingSamples],
    recipe: GaussianRecipe,
    fitted_model: FittedGaussian,
) -> list[PersonRatings]:
    """Return estimates of training participants, each held out of the fit."""
    ratings = []
    for held in participants:
        others = [p for p in participants if p is not held]
        rest = rests(others, recipe.every)
        model = shrunk(
            recipe.size,
            *fitted(others, rest, recipe),
            fitted_model.shrink,
            fitted_model.noise,
        )
        ratings.append(say(held, rest, fitted_model._replace(model=model), recipe))
    return ratings


def participants(away: Sequence[PersonRatings], prior: Array, p: int) -> Array:
    """Return covariances of participant effects, (3, p, p).

    The variances of a participant's offset and, if ``p`` is 2, of the gain. They
    maximise the likelihood of the ratings given the held-out estimates.
    """
    cov = np.zeros((len(DIMENSIONS), p, p))
    for d in range(len(DIMENSIONS)):
        best = (-np.inf, np.zeros(p))
        for offset in GRID:
            for gain in GRID if p == 2 else (0.0,):
                var = np.array([offset, 4 * gain][:p])
                score = 0.0
                for t in away:
                    phi = np.column_stack(
                        [np.ones(len(t.mean)), t.mean[:, d] - prior[d]]
                    )
                    score += likely(t, d, phi[:, :p], var)
                best = max(best, (score, var), key=lambda b: b[0])
        cov[d] = np.diag(best[1])
    return cov


def likely(t: PersonRatings, d: int, phi: Array, var: Array) -> float:
    """Return the log density of a participant's ratings, up to a constant."""
    known = np.isfinite(t.ratings[:, d]) & np.isfinite(t.mean[:, d])
    if not known.any():
        return 0.0
    off, design = (t.ratings - t.mean)[known, d], phi[known]
    residual = t.sd[known, d] ** 2 - np.einsum("ij,j,ij->i", design, var, design)
    cov = (design * var) @ design.T + np.diag(
        np.maximum(residual, 0.1 * t.sd[known, d] ** 2)
    )
    _, det = np.linalg.slogdet(cov)
    return float(-0.5 * (det + off @ np.linalg.solve(cov, off)))


def pairs_of(a: Array, b: Array) -> Any:
    """Return pairs of rows of both arrays."""
    rows = np.broadcast_to(b, a.shape) if b.ndim < a.ndim else b
    return zip(a, rows, strict=True)


def mean_of(x: Array) -> Array:
    """Return the mean of the finite values over the first axis; NaN without any."""
    count = np.isfinite(x).sum(axis=0)
    total = np.where(np.isfinite(x), x, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
