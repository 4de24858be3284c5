"""Fusion of several estimates of the same ratings."""

from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array

_ROUNDS: Final = 40  # iterations of covariance intersection: converged to 1e-3
_LEAST: Final = 1e-6  # relative gain of precision below which an expert is left out


class Fused(NamedTuple):
    """Fused estimate.

    ``mean`` and ``sd``: the estimate, shape (d,), NaN where all experts are missing.
    ``prior``: the mean of the fused prior, shape (d,). ``weight``: the weight of each
    expert's deviation from its own prior in the fused mean, shape (k, d).
    """

    mean: Array
    sd: Array
    prior: Array
    weight: Array


def fuse(
    mean: Array,
    sd: Array,
    prior_mean: Array,
    prior_sd: Array,
    errors: Array | None = None,
) -> Fused:
    """Fuse the estimates of experts, counting their common prior once.

    The deviation of an expert from its prior is treated as a measurement of the rating
    with an error. Errors of one participant's sensors are correlated. With known
    correlations, the measurements are weighted by generalized least squares. With
    unknown correlations, covariance intersection gives a result that is consistent for
    any correlation.

    Parameters
    ----------
    mean, sd
        Estimate of each expert in each dimension, shape (k, d); NaN where missing.
    prior_mean, prior_sd
        Prior of each expert, shape (k, d). If the priors differ, the precision of the
        fused prior, and its precision times mean, are averages over the experts
        present.
    errors
        Correlations of the errors of the experts in each dimension, shape (d, k, k);
        the identity for independent errors. None if unknown.

    Notes
    -----
    An expert less certain than its own prior has no weight. The estimate of a single
    expert is returned unchanged. Covariance intersection (Julier and Uhlmann 1997)
    selects the weights that minimize the sum of the logarithms of the variances over
    the dimensions; in a single dimension, it selects the expert with the smallest
    variance.
    """
    k, d = mean.shape
    present = ~np.isnan(mean) & ~np.isnan(sd)
    nothing = np.full((3, d), np.nan)
    out = Fused(nothing[0], nothing[1], nothing[2], np.zeros((k, d)))
    zero = prior_sd**-2.0
    gained = np.where(present, np.maximum(sd**-2.0 - zero, 0.0), 0.0)
    shares = np.ones((k, d))
    if errors is None:
        shares[:] = intersection(gained, np.where(present, zero, np.nan))[:, None]
    for j in range(d):
        rows = np.flatnonzero(present[:, j])
        if not len(rows):
            continue
        base = zero[rows, j].mean()
        out.prior[j] = np.mean(zero[rows, j] * prior_mean[rows, j]) / base
        if len(rows) == 1:
            out.weight[rows[0], j] = 1.0
            out.mean[j], out.sd[j] = mean[rows[0], j], sd[rows[0], j]
            continue
        root = np.sqrt(gained[rows, j] * shares[rows, j])
        solved = root
        if errors is not None:
            solved = np.linalg.solve(errors[j][np.ix_(rows, rows)], root)
        total = base + root @ solved
        step = mean[rows, j] - prior_mean[rows, j]
        full = zero[rows, j] + gained[rows, j]
        says = gained[rows, j] > _LEAST * base
        part = solved * np.sqrt(shares[rows, j] / np.where(says, gained[rows, j], 1.0))
        out.weight[rows, j] = np.where(says, part * full / total, 0.0)
        out.mean[j] = out.prior[j] + out.weight[rows, j] @ step
        out.sd[j] = total**-0.5
    return out


def fuse_rows(
    mean: Array,
    sd: Array,
    prior_mean: Array,
    prior_sd: Array,
    errors: Array | None = None,
) -> Fused:
    """Return the results of `fuse` for rows of estimates, with an axis in front.

    ``mean`` and ``sd``: shape (n, k, d). All rows of a single expert are returned
    together.
    """
    n, k, d = mean.shape
    if k > 1:
        rows = [fuse(mean[i], sd[i], prior_mean, prior_sd, errors) for i in range(n)]
        return Fused(
            np.array([row.mean for row in rows]).reshape(n, d),
            np.array([row.sd for row in rows]).reshape(n, d),
            np.array([row.prior for row in rows]).reshape(n, d),
            np.array([row.weight for row in rows]).reshape(n, k, d),
        )
    present = ~np.isnan(mean) & ~np.isnan(sd)
    zero = prior_sd**-2.0
    only = present[:, 0]
    out = (mean[:, 0], sd[:, 0], zero[0] * prior_mean[0] / zero[0])
    fused = [np.where(only, values, np.nan) for values in out]
    return Fused(fused[0], fused[1], fused[2], present.astype(np.float64))


def intersection(gained: Array, zero: Array) -> Array:
    """Return the weight of each expert by covariance intersection, shape (k,).

    Parameters
    ----------
    gained
        Precision that each expert adds to its prior in each dimension, shape (k, d).
    zero
        Precision of the prior, shape (k, d); NaN where an expert is missing.

    Notes
    -----
    The information gain is concave in the weights. The weights are updated like mixture
    proportions in expectation maximization.
    """
    some = ~np.isnan(zero).all(axis=0)
    share = np.full(len(gained), 1 / max(len(gained), 1))
    if len(gained) < 2 or not some.any():
        return np.ones(len(gained))
    base = np.nanmean(zero[:, some], axis=0)
    worth = base + gained[:, some]
    for _ in range(_ROUNDS):
        share = share * np.mean(worth / (share @ worth), axis=1)
    return share


def shrink_to_prior(
    mean: Array, sd: Array, prior_mean: Array, prior_sd: Array, share: float
) -> tuple[Array, Array]:
    """Return ``share`` (0 to 1) of the step from the prior to an expert.

    The result is the prior at 0 and the expert at 1. In between, it is the prior
    density times the ``share``-th power of the ratio of the expert's density to the
    prior's.
    """
    zero, expert = prior_sd**-2.0, sd**-2.0
    total = (1 - share) * zero + share * expert
    shift = (1 - share) * zero * prior_mean + share * expert * mean
    return shift / total, total**-0.5


def nearest(corr: Array, least: float = 0.05) -> Array:
    """Return correlations with eigenvalues of at least ``least`` and diagonal 1."""
    values, vectors = np.linalg.eigh(corr)
    fixed = (vectors * np.maximum(values, least)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(fixed))
    return np.asarray(fixed * np.outer(scale, scale))
