"""Several estimates of one thing made into one."""

from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array

_ROUNDS: Final = 40  # of covariance intersection: shares then rest to 1e-3
_LEAST: Final = 1e-6  # of precision gained, below which an expert says nothing


class Fused(NamedTuple):
    """What experts say together.

    ``mean`` and ``sd``, shape (d,), NaN where none says anything; ``prior``, what they
    knew before, shape (d,); ``weight``, by how much each expert's step away from its
    own prior moves the mean, shape (k, d).
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
    """Combine what experts say, with the prior they share counted but once.

    What an expert adds to its prior is a measurement of the rating with an error.
    Errors of one participant's sensors go together; with their correlations, the
    measurements are weighted as generalised least squares does. Where these are not
    known, covariance intersection assumes the worst: no more is believed than what
    holds for any correlation.

    Parameters
    ----------
    mean, sd
        What each expert says of each dimension, shape (k, d); NaN where it says
        nothing: a mask of what is present.
    prior_mean, prior_sd
        What each knew before, shape (k, d); where experts differ in it, the fused
        prior is the mean of the precisions, and of precision times mean, of those
        present.
    errors
        Correlation of the errors of each two experts in each dimension, shape
        (d, k, k); the identity takes them as independent. None where not known.

    Notes
    -----
    An expert less certain than its own prior adds nothing. A single one is passed on
    as it is. Covariance intersection (Julier and Uhlmann 1997) takes the shares that
    leave the least sum of logarithms of variances over the dimensions; for one
    dimension alone that is the surest expert.
    """
    k, d = mean.shape
    here = ~np.isnan(mean) & ~np.isnan(sd)
    nothing = np.full((3, d), np.nan)
    out = Fused(nothing[0], nothing[1], nothing[2], np.zeros((k, d)))
    zero = prior_sd**-2.0
    gained = np.where(here, np.maximum(sd**-2.0 - zero, 0.0), 0.0)
    shares = np.ones((k, d))
    if errors is None:
        shares[:] = intersection(gained, np.where(here, zero, np.nan))[:, None]
    for j in range(d):
        rows = np.flatnonzero(here[:, j])
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


def intersection(gained: Array, zero: Array) -> Array:
    """Return the share of each expert by covariance intersection, shape (k,).

    Parameters
    ----------
    gained
        Precision that each adds to its prior in each dimension, shape (k, d).
    zero
        That of the prior, shape (k, d); NaN where an expert says nothing.

    Notes
    -----
    The gain in information is concave in the shares; they are found as the proportions
    of a mixture are, each step multiplying a share by what it is worth.
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
    """Take ``share`` (0 to 1) of what an expert adds to its prior.

    At 0 the prior comes out, at 1 the expert; between them, the prior times the
    ``share``-th power of what the expert divided by the prior says.
    """
    zero, own = prior_sd**-2.0, sd**-2.0
    total = (1 - share) * zero + share * own
    shift = (1 - share) * zero * prior_mean + share * own * mean
    return shift / total, total**-0.5


def nearest(corr: Array, least: float = 0.05) -> Array:
    """Return the correlations with no eigenvalue below ``least``, diagonal 1."""
    values, vectors = np.linalg.eigh(corr)
    fixed = (vectors * np.maximum(values, least)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(fixed))
    return np.asarray(fixed * np.outer(scale, scale))
