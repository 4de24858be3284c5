"""Named scales, as stress from 0 to 10, as columns of the estimates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from physio.core.affect import LEVELS, scale_places
from physio.core.block import Array, Channel
from physio.models.model_card import ModelCard

if TYPE_CHECKING:
    from physio.inference.expert import BoundExpert

SCALE: Final = "scale."
"""Prefix of the columns of a named scale: ``scale.stress``."""

ENDS: Final = ("", ".sd", *(f".ci{round(100 * level)}" for level in LEVELS))
"""Ends of the columns of a scale: mean, standard deviation, half-widths."""


@dataclass(frozen=True)
class NamedScales:
    """Rated scales beside valence, arousal and dominance; immutable.

    Parameters
    ----------
    names
        Names of the scales.
    at
        Place of each scale in the arrays of the model.
    low, high
        Lowest and highest rating of each scale.
    """

    names: tuple[str, ...] = ()
    at: tuple[int, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @classmethod
    def of(cls, card: ModelCard) -> Self:
        """Return the scales of a card."""
        at = dict(zip(card.targets, scale_places(card.targets), strict=True))
        names = tuple(card.scales)
        low, high = ([float(card.scales[n][k]) for n in names] for k in (0, 1))
        return cls(names, tuple(at[n] for n in names), tuple(low), tuple(high))

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.names) * len(ENDS)

    def values(self, mean: Array, sd: Array, widths: Array) -> Array:
        """Return the columns of all scales, on their own ranges.

        Parameters
        ----------
        mean, sd
            Estimates on [-1, 1], shape (3,).
        widths
            Half-widths of the intervals in standard deviations, shape (3, levels).
        """
        if not self.names:
            return np.empty(0)
        at = list(self.at)
        middle = (np.array(self.high) + np.array(self.low)) / 2
        half = (np.array(self.high) - np.array(self.low)) / 2
        spread = np.where(np.isnan(sd[at]), sd[at], half * sd[at])
        value = np.where(np.isnan(mean[at]), mean[at], middle + half * mean[at])
        limits = spread[:, None] * widths[at]
        return np.column_stack([value, spread, limits]).ravel()


def scale_channels(experts: Sequence["BoundExpert"], tick: float) -> list[Channel]:
    """Return the columns of the named scales of all experts, in order.

    Where two experts estimate scales of the same name, those of the later one have its
    name in front: ``second.scale.stress``. ``tick`` is the duration of a tick (s).
    """
    channels: list[Channel] = []
    names: set[str] = set()
    for expert in experts:
        for scale in expert.ratings.scales.names:
            front = f"{SCALE}{scale}"
            front = front if front not in names else f"{expert.name}.{front}"
            names.add(front)
            delay, memory = expert.delay * tick, expert.features.longest
            channels += [
                Channel(f"{front}{end}", delay=delay, memory=memory) for end in ENDS
            ]
    return channels
