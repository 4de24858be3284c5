"""Autocorrelation, cross-correlation and participant effects of experts' errors."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

import physio.assets
from physio.core.affect import LEVELS
from physio.core.block import Array
from physio.models.gaussian import Gaussian
from physio.models.gp_smoother import DynamicsParameters

ERRORS: Final = Path(physio.assets.__file__).parent / "errors.json"

_LONGEST: Final = 60  # steps over which errors are followed


def slopes(ratings: Sequence[Array], estimates: Sequence[Array], prior: Array) -> Array:
    """Return the shrinkage of estimates in held-out participants.

    The slope of their ratings on the estimates, from 0 to 1, in each dimension, (3,).
    """
    y = np.concatenate(ratings) - prior
    m = np.concatenate([s[:, 0] for s in estimates]) - prior
    top, bottom = np.nansum(m * y, axis=0), np.nansum(m * m, axis=0)
    return np.asarray(np.clip(top / np.maximum(bottom, 1e-12), 0.02, 1.0))


def drawn(
    model: Gaussian, share: Array, ratings: Sequence[Array], estimates: Sequence[Array]
) -> tuple[Gaussian, list[Array]]:
    """Return a model with estimates shrunk to the prior, and its outputs.

    Parameters
    ----------
    model
        A joint Gaussian of features and all three ratings.
    share
        Proportion of each rating's covariances with the features to retain, (3,).
    ratings, estimates
        Ratings of each participant, and the held-out estimates of them. The standard
        deviations of the outputs are set to the size of the errors.
    """
    f = model.config.features
    cov = model.cov.copy()
    cov[:f, f:] *= share
    cov[f:, :f] *= share[:, None]
    narrowed = Gaussian(model.config, model.mean, cov)
    prior, sd = model.prior
    shrunk = []
    for s in estimates:
        mean = prior + share * (s[:, 0] - prior)
        # A share b of the covariances explains b squared of the explained variance.
        unexplained = sd**2 - share**2 * (sd**2 - s[:, 1] ** 2)
        shrunk.append(np.stack([mean, np.sqrt(unexplained)], axis=1))
    missed = np.nanmean((np.concatenate(ratings) - _means(shrunk)) ** 2, axis=0)
    meant = np.nanmean(np.concatenate([t[:, 1] for t in shrunk]) ** 2, axis=0)
    noise = np.maximum(missed - meant, 0.0)
    full = cov.copy()
    full[range(f, f + 3), range(f, f + 3)] += noise
    for t in shrunk:
        t[:, 1] = np.sqrt(t[:, 1] ** 2 + noise)
    return Gaussian(narrowed.config, narrowed.mean, full), shrunk


def measured(
    estimates: Array, prior: tuple[Array, Array], rater: float
) -> tuple[Array, Array]:
    """Return estimates as measurements of affect, and their precision.

    Shape (n, 3) each. A measurement is the step from the prior's mean, NaN where there
    is no estimate.
    """
    felt = np.maximum(prior[1] ** 2 - rater**2, 1e-4)
    var = np.maximum(estimates[:, 1] ** 2 - rater**2, 1e-3)
    gained = np.maximum(1 / var - 1 / felt, 1e-4 / felt)
    return (estimates[:, 0] - prior[0]) * (1 / felt + gained) / gained, gained


def believed(
    estimates: Sequence[Array],
    share: Array,
    knows: DynamicsParameters,
    ratings: Sequence[Array],
) -> tuple[list[Array], Array]:
    """Return the outputs of a smoother after shrinkage to its own accuracy.

    Parameters
    ----------
    estimates
        Its estimates of held-out participants, with a ``share`` of 1.
    share
        Proportion of each step from the prior's mean to retain, (3,).
    knows
        Parameters of the smoother.
    ratings
        Ratings of these participants.

    Returns
    -------
    estimates, rater
        Outputs after shrinkage, and the variance of the ratings about them, (3,).
    """
    felt = np.diag(knows.cov)
    explained = [felt + knows.rater - s[:, 1] ** 2 for s in estimates]
    mean = [knows.mean + share * (s[:, 0] - knows.mean) for s in estimates]
    unexplained = [felt - share**2 * e for e in explained]
    off = np.concatenate(ratings) - np.concatenate(mean)
    missed = np.nanmean(off**2, axis=0) - np.nanmean(
        np.concatenate(unexplained), axis=0
    )
    rater = np.maximum(missed, 0.01)
    pairs = zip(mean, unexplained, strict=True)
    return [np.stack([m, np.sqrt(v + rater)], axis=1) for m, v in pairs], rater


def widths(ratings: Sequence[Array], estimates: Sequence[Array]) -> Array:
    """Return half-widths of intervals of held-out ratings, (3, levels).

    The unit is the standard deviation. The 80 % interval of a normal distribution ends
    at 1.28; that of ratings that pile up at the ends of a scale ends elsewhere.
    """
    off = np.concatenate(ratings) - _means(estimates)
    size = np.abs(off) / np.concatenate([s[:, 1] for s in estimates])
    return np.nanquantile(size, LEVELS, axis=0).T


def correlations(
    felt: Sequence[Array],
    estimates: Sequence[Sequence[Array]],
    prior: tuple[Array, Array],
    rater: float,
) -> Array:
    """Return correlations of experts' errors in held-out participants, (3, k, k)."""
    errors = []
    for parts in estimates:
        rows = []
        for estimate, y in zip(parts, felt, strict=True):
            x, gained = measured(estimate, prior, rater)
            rows.append((x - (y - prior[0])) * np.sqrt(gained))
        errors.append(np.concatenate(rows))
    stacked = np.stack(errors)  # (k, n, 3)
    matrix = np.empty((3, len(stacked), len(stacked)))
    for d in range(3):
        whole = stacked[:, np.isfinite(stacked[:, :, d]).all(axis=0), d]
        second = whole @ whole.T / whole.shape[1]
        scale = np.sqrt(np.diag(second))
        matrix[d] = second / np.outer(scale, scale)
    return matrix


def keep(names: Sequence[str], errors: Array, marks: Mapping[str, str]) -> None:
    """Store the correlation of the errors of each pair of shipped experts."""
    known = json.loads(ERRORS.read_text("utf-8")) if ERRORS.is_file() else {"pairs": {}}
    for i, a in enumerate(names):
        for j, b in enumerate(names[:i]):
            known["pairs"]["|".join(sorted((a, b)))] = {
                "correlation": np.round(errors[:, i, j], 4).tolist(),
                "sha256": {a: marks[a], b: marks[b]},
            }
    ERRORS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", "utf-8")


def known(names: Sequence[str]) -> Array:
    """Return the error correlations of some experts stored by `keep`, (3, k, k)."""
    pairs = json.loads(ERRORS.read_text("utf-8"))["pairs"]
    matrix = np.tile(np.eye(len(names)), (3, 1, 1))
    for i, a in enumerate(names):
        for j, b in enumerate(names[:i]):
            corr = pairs["|".join(sorted((a, b)))]["correlation"]
            matrix[:, i, j] = matrix[:, j, i] = corr
    return matrix


def participants(ratings: Sequence[Array], estimates: Sequence[Array]) -> Array:
    """Return variances of the constant errors of participants, (3, 1, 1).

    The variance of the participants' mean errors, less the part that is due to chance
    because each participant has few independent moments.
    """
    errors = [r - s[:, 0] for r, s in zip(ratings, estimates, strict=True)]
    variance = np.zeros((3, 1, 1))
    for d in range(3):
        rows = [e[np.isfinite(e[:, d]), d] for e in errors]
        rows = [e for e in rows if len(e) > 2 * _LONGEST]
        if len(rows) < 3:
            continue
        inside = [e - e.mean() for e in rows]
        corr = _autocorrelation(inside)
        alive = np.logical_and.accumulate(corr > 0)
        worth = 2 * np.sum(corr * alive) - 1  # moments per independent one
        chance = np.mean([np.var(e) * worth / len(e) for e in rows])
        variance[d] = max(np.var([e.mean() for e in rows], ddof=1) - chance, 0.0)
    return variance


def _means(estimates: Sequence[Array]) -> Array:
    return np.concatenate([t[:, 0] for t in estimates])


def _autocorrelation(rows: Sequence[Array]) -> Array:
    """Return the autocorrelation about 0 over some steps, of series with gaps."""
    total, count = np.zeros(_LONGEST), np.zeros(_LONGEST)
    for row in rows:
        for lag in range(min(_LONGEST, len(row))):
            product = row[: len(row) - lag] * row[lag:]
            total[lag] += np.nansum(product)
            count[lag] += np.isfinite(product).sum()
    corr = total / np.maximum(count, 1)
    return np.asarray(corr / max(corr[0], 1e-12))
