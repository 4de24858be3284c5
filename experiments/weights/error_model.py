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
        Of each rating's covariances with the features that is kept, (3,).
    ratings, said
        Of each participant what they rated, and what was said of them when left out;
        its standard deviations are set to what was missed by.
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
        # With a share b of the covariances, b squared of what was explained is.
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
    """Return estimates as measurements of what is felt: where, and how precise.

    Shape (n, 3) each; the step from the prior's mean, NaN where nothing is said.
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
    said
        What it says of participants left out, its ``share`` being 1.
    share
        How much of each step is to be believed, (3,).
    knows
        What it knows.
    ratings
        What these participants rated.

    Returns
    -------
    told, rater
        What it then says, and the variance by which ratings miss it, (3,).
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

    In standard deviations about the mean: what a normal distribution has at 1.28 for 80
    in 100, ratings that pile up at the ends of a scale have elsewhere.
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
    """Store how the errors of shipped experts go together, pair by pair."""
    known = json.loads(ERRORS.read_text("utf-8")) if ERRORS.is_file() else {"pairs": {}}
    for i, a in enumerate(names):
        for j, b in enumerate(names[:i]):
            known["pairs"]["|".join(sorted((a, b)))] = {
                "correlation": np.round(errors[:, i, j], 4).tolist(),
                "sha256": {a: marks[a], b: marks[b]},
            }
    ERRORS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", "utf-8")


def known(names: Sequence[str]) -> Array:
    """Return what `keep` stored of some experts, (3, k, k)."""
    pairs = json.loads(ERRORS.read_text("utf-8"))["pairs"]
    matrix = np.tile(np.eye(len(names)), (3, 1, 1))
    for i, a in enumerate(names):
        for j, b in enumerate(names[:i]):
            corr = pairs["|".join(sorted((a, b)))]["correlation"]
            matrix[:, i, j] = matrix[:, j, i] = corr
    return matrix


def participants(ratings: Sequence[Array], estimates: Sequence[Array]) -> Array:
    """Return variances of the constant errors of participants, (3, 1, 1).

    The variance of participants's mean errors, less what a participant's few
    independent moments leave of it by chance.
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
        worth = 2 * np.sum(corr * alive) - 1  # moments for one look
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
