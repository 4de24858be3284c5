"""Prototypes of a 5 x 5 grid of valence and arousal, and their soft read-out."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import softmax

from physio.core.block import Array

CENTRES: Final = (-0.8, -0.4, 0.0, 0.4, 0.8)
"""Centres of the bins on each axis, 0.4 apart; the outer bins are open."""

_EDGES: Final = (-0.6, -0.2, 0.2, 0.6)
GRID: Final[Array] = np.array([(v, a) for v in CENTRES for a in CENTRES])
"""Valence and arousal of each bin, shape (25, 2)."""


def bins(affect: Array) -> Array:
    """Return the bin of each row of valence and arousal on [-1, 1], shape (n,)."""
    column, row = (np.digitize(affect[:, k], _EDGES) for k in (0, 1))
    return np.asarray(column * len(CENTRES) + row)


def unit(x: Array) -> Array:
    """Return rows of length 1; a row of zeros stays as it is."""
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.asarray(x / np.maximum(length, 1e-9))


@dataclass(frozen=True, eq=False)
class AffectMap:
    """Prototypes of the bins, and how an embedding is read.

    Parameters
    ----------
    positions
        Prototype of each bin, of length 1, shape (25, d).
    counts
        Training rows of each bin, shape (25,).
    tau
        Temperature: the smaller, the nearer a weight is to the best bin alone.
    slope, level
        Line from the mean of the grid to affect, for valence and arousal, shape (2,).
    """

    positions: Array
    counts: Array
    tau: float
    slope: Array
    level: Array

    @classmethod
    def draw(cls, embedded: Array, affect: Array, tau: float) -> "AffectMap":
        """Return the map of embeddings with known valence and arousal.

        A prototype is the mean of the unit embeddings of its bin; that of an empty bin
        is the mean of the nearest bins with rows. The line is fitted to the same rows.

        Parameters
        ----------
        embedded
            Embeddings, shape (n, d).
        affect
            Valence and arousal, shape (n, 2).
        tau
            Temperature.
        """
        positions, counts = prototypes(embedded, affect)
        plain = cls(positions, counts, tau, np.ones(2), np.zeros(2))
        mean_bin = plain.weights(embedded) @ GRID
        spread = np.maximum(mean_bin.var(axis=0), 1e-12)
        off = (mean_bin - mean_bin.mean(axis=0)) * (affect - affect.mean(axis=0))
        slope = off.mean(axis=0) / spread
        return cls(
            positions,
            counts,
            tau,
            slope,
            affect.mean(axis=0) - slope * mean_bin.mean(axis=0),
        )

    def weights(self, embedded: Array) -> Array:
        """Return the weight of each bin, shape (n, 25); they sum to 1."""
        likeness = unit(embedded) @ self.positions.T
        return np.asarray(softmax(likeness / self.tau, axis=1))

    def read(self, embedded: Array) -> Array:
        """Return valence and arousal, shape (n, 2)."""
        return self.slope * (self.weights(embedded) @ GRID) + self.level


def prototypes(embedded: Array, affect: Array) -> tuple[Array, Array]:
    """Return the prototype, (25, d), and the number of rows, (25,), of each bin."""
    directions, at = unit(embedded), bins(affect)
    counts = np.bincount(at, minlength=len(GRID)).astype(np.float64)
    total = np.zeros((len(GRID), embedded.shape[1]))
    np.add.at(total, at.astype(np.intp), directions)
    positions = unit(total)
    full = np.flatnonzero(counts)
    for k in np.flatnonzero(counts == 0):
        far = np.linalg.norm(GRID[full] - GRID[k], axis=1)
        near = full[far <= far.min() + 1e-9]
        positions[k] = unit(positions[near].mean(axis=0))
    return positions, counts
