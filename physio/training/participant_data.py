"""Participants of a training run: features at each tick, and ratings of segments."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Block
from physio.models.sd_limits import SdLimits


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

    def features(
        self,
        names: tuple[str, ...],
        sd_limits: Mapping[str, float] = MappingProxyType({}),
    ) -> Array:
        """Return columns of the features, shape (n, f).

        Values with a standard deviation above ``sd_limits`` are missing: see
        `physio.models.sd_limits.SdLimits`.
        """
        info = self.rows.info
        x = SdLimits.of(sd_limits, info.names).apply(self.rows.data)
        return x[:, [info.names.index(name) for name in names]]

    def within(self, unit: RatedSegment, settle: float) -> npt.NDArray[np.bool_]:
        """Return the mask of the ticks in a unit, without its first ``settle`` s."""
        times = self.rows.times
        return (times >= unit.begin + settle) & (times < unit.end)
