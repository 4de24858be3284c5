"""Learning from what one participant rated: how they differ from others."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array

_FLOOR: Final = 0.1  # of a variance: what no label takes away


class RatedMoment(NamedTuple):
    """A moment that was rated: what was estimated, and what was said, (3,) each."""

    mean: Array
    sd: Array
    rating: Array


def personalize(
    mean: Array, sd: Array, prior: Array, cov: Array, labels: Sequence[RatedMoment]
) -> tuple[Array, Array]:
    """Return an estimate as it is for the participant who gave ``labels``.

    Parameters
    ----------
    mean, sd
        The estimate for anybody, shape (3,) each.
    prior
        What is said of anybody before looking, shape (3,).
    cov
        How participants differ: covariance, in each dimension, of a participant's own
        offset and, where ``p`` is 2, of how much more or less than others an estimate
        means for them; shape (3, p, p). Part of ``sd`` already.
    labels
        What the participant rated.

    Notes
    -----
    A Bayesian last layer: what the participant's ratings miss the estimates by is a
    draw from ``cov`` plus what is left of each estimate's variance. With ``p`` of 1 it
    moves every estimate by one shrunk offset. Without labels nothing changes.
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
        own = np.einsum("ij,jk,ik->i", phi, cov[d], phi)
        left = np.maximum(var - own, _FLOOR * var)
        here = np.array([1.0, mean[d] - prior[d]][:p])
        cross = phi @ cov[d] @ here
        gain = np.linalg.solve(phi @ cov[d] @ phi.T + np.diag(left), cross)
        known = sd[d] ** 2 - gain @ cross
        mean[d] += gain @ off
        sd[d] = np.sqrt(max(known, _FLOOR * sd[d] ** 2))
    return mean, sd
