"""Participants of a training run: features at each tick, and ratings of segments."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Block


class RatedSegment(NamedTuple):
    """Segment of time for which a participant gave one set of ratings.

    ``begin`` and ``end`` are in s on the session clock; ``ratings`` are valence,
    arousal and dominance on [-1, 1], NaN where missing, shape (3,).
    """

    name: str
    begin: float
    end: float
    ratings: Array


@dataclass(frozen=True, eq=False)
class ParticipantData:
    """Features of one participant at each tick, and their ratings."""

    code: str
    rows: Block
    units: tuple[RatedSegment, ...]

    def features(self, names: tuple[str, ...]) -> Array:
        """Return columns of the features, shape (n, f)."""
        return np.stack([self.rows.column(name) for name in names], axis=1)

    def within(self, unit: RatedSegment, settle: float) -> npt.NDArray[np.bool_]:
        """Return the mask of the ticks in a unit, without its first ``settle`` s."""
        times = self.rows.times
        return (times >= unit.begin + settle) & (times < unit.end)
