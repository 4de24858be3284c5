"""Personalization: offset and slope of a participant, learned from ratings."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array

_FLOOR: Final = 0.1  # smallest remaining proportion of a variance


class RatedMoment(NamedTuple):
    """Rated moment: mean and sd of the estimate, and the rating, shape (3,) each."""

    mean: Array
    sd: Array
    rating: Array


def personalize(
    mean: Array, sd: Array, prior: Array, cov: Array, labels: Sequence[RatedMoment]
) -> tuple[Array, Array]:
    """Return an estimate adapted to the participant who gave ``labels``.

    Parameters
    ----------
    mean, sd
        Estimate without ratings, shape (3,) each.
    prior
        Mean of the prior, shape (3,).
    cov
        Covariance between participants of the offset and, if ``p`` is 2, of the slope
        in each dimension; shape (3, p, p). It is already part of ``sd``.
    labels
        Rated moments of the participant.

    Notes
    -----
    This is a Bayesian last layer: the difference between a rating and its estimate has
    the covariance ``cov`` plus the remaining variance of the estimate. With ``p`` of 1,
    all estimates are shifted by the same shrunk offset. Without labels, the estimate is
    unchanged.
    """
    mean, sd = mean.copy(), sd.copy()
    p = cov.shape[1]
    for d in range(len(mean)):
        rows = [
            x for x in labels if np.isfinite([x.mean[d], x.sd[d], x.rating[d]]).all()
        ]
        if not rows or not cov[d].any() or np.isnan(mean[d]):
            continue
        phi = np.array([[1.0, x.mean[d] - prior[d]][:p] for x in rows])
        off = np.array([x.rating[d] - x.mean[d] for x in rows])
        var = np.array([x.sd[d] ** 2 for x in rows])
        between = np.einsum("ij,jk,ik->i", phi, cov[d], phi)
        residual = np.maximum(var - between, _FLOOR * var)
        now = np.array([1.0, mean[d] - prior[d]][:p])
        cross = phi @ cov[d] @ now
        gain = np.linalg.solve(phi @ cov[d] @ phi.T + np.diag(residual), cross)
        known = sd[d] ** 2 - gain @ cross
        mean[d] += gain @ off
        sd[d] = np.sqrt(max(known, _FLOOR * sd[d] ** 2))
    return mean, sd
