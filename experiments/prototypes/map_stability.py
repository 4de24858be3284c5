"""Likeness of maps that were drawn from different participants."""

from collections.abc import Sequence

import numpy as np
import scipy.spatial
import scipy.stats

from experiments.prototypes.affect_map import GRID, AffectMap
from physio.core.block import Array


def distances(positions: Array) -> Array:
    """Return one less the cosine of each pair of prototypes, shape (300,)."""
    return scipy.spatial.distance.pdist(positions, "cosine")


def rank_likeness(first: AffectMap, other: AffectMap) -> float:
    """Return the rank correlation of distances between bins with rows in both maps."""
    both = np.flatnonzero((first.counts > 0) & (other.counts > 0))
    if len(both) < 3:
        return float("nan")
    a, b = (distances(m.positions[both]) for m in (first, other))
    return _rank_correlation(a, b)


def grid_order(drawn: AffectMap) -> float:
    """Return the rank correlation of distances of prototypes and of their bins.

    Bins without rows do not count.
    """
    full = np.flatnonzero(drawn.counts > 0)
    if len(full) < 3:
        return float("nan")
    on_grid = scipy.spatial.distance.pdist(GRID[full])
    return _rank_correlation(distances(drawn.positions[full]), on_grid)


def procrustes_error(first: AffectMap, other: AffectMap) -> float:
    """Return the share of variance that a rotation of one map leaves in the other.

    Of the bins with rows in both maps; 0 for maps of the same form.
    """
    both = np.flatnonzero((first.counts > 0) & (other.counts > 0))
    if len(both) < 3:
        return float("nan")
    parts = first.positions[both], other.positions[both]
    if any(np.ptp(p, axis=0).max() < 1e-9 for p in parts):
        return float("nan")
    return float(scipy.spatial.procrustes(*parts)[2])


def likeness(whole: AffectMap, parts: Sequence[AffectMap]) -> dict[str, list[float]]:
    """Return how like maps without some participants are to that of all."""
    return {
        "rank correlation with the map of all": [
            rank_likeness(whole, p) for p in parts
        ],
        "Procrustes error": [procrustes_error(whole, p) for p in parts],
    }


def _rank_correlation(a: Array, b: Array) -> float:
    if np.ptp(a) < 1e-12 or np.ptp(b) < 1e-12:
        return float("nan")
    return float(scipy.stats.spearmanr(a, b).statistic)
