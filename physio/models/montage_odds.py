"""Linear model of conditions for one montage, which answers on no other."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from physio.core.block import Array
from physio.core.missing import MissingReason
from physio.models.linear import Linear, LinearConfig


class MontageOdds(Linear):
    """Odds of conditions from the electrodes of the training.

    On any other montage it has no odds (reason: untrained), instead of an error.
    """

    answers = True

    @classmethod
    def fits_any_montage(cls, config: Mapping[str, Any]) -> bool:  # noqa: ARG003
        """Return True: see the base class."""
        return True

    def for_montage(self, places: Sequence[Sequence[float]]) -> "MontageOdds":  # noqa: ARG002
        """Return the model without odds, for electrodes that did not train."""
        model = MontageOdds(LinearConfig(0, (), self.config.classes))
        model.answers = False
        return model

    def condition_odds(self, z: Array, spread: Array) -> Array:
        """Return the probability of each condition: see the base class."""
        if self.answers:
            return super().condition_odds(z, spread)
        return np.full(len(self.config.classes), MissingReason.UNTRAINED.nan)
