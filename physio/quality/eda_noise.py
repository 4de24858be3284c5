"""Mask of skin conductance that varies as skin does."""

from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Final

import numpy as np

from physio.core.block import Array, StreamInfo
from physio.core.stage import Stage
from physio.quality.range_checks import masks
from physio.quality.signal_variation import (
    VariationState,
    judge_variation,
    variation_memory,
    variation_state,
)

_STEP: Final = Fraction(1, 4)  # s, of which means are judged
_SPIKE: Final = 5.0  # median distances from the median


@dataclass(frozen=True)
class EdaVariation(Stage):
    """Mask of skin conductance that varies as skin does: not constant, and not noise.

    Parameters
    ----------
    window
        Time over which it is judged (s).
    ratio
        Least mean squared change between successive means of 0.25 s, relative to their
        variance, of a signal that is noise: 2 for white noise, up to 4 for mains that a
        slow converter aliases.
    least
        Standard deviation of the means below which noise is that of a quiet skin's
        device (uS).

    Notes
    -----
    The ratio is that of [1]_. Limits are ours: in 21 000 windows of 45 wristbands
    (WESAD, Stress-Predict, Wearable Exam Stress) no signal was constant for 30 s, and
    0.2 % of the windows had a ratio above 1. Means of 0.25 s make the verdict
    independent of the sampling rate, and indifferent to hum on a skin's signal; hum
    alone, from a fast converter, looks like a quiet skin. Means beyond five median
    distances from the median are spikes, whose return is no noise: they are left out.
    Verdicts change every 5 s, from the complete steps before, and there is no delay.

    y(t) = 0 where the means m of the last ``window`` s are all equal, or var m >
    ``least``^2 and mean (m(k) - m(k - 1))^2 > ``ratio`` var m, else 1. Shape (n,
    channels) to (n, channels), unit 1.

    References
    ----------
    .. [1] von Neumann, Distribution of the ratio of the mean square successive
       difference to the variance, Annals of Mathematical Statistics 12, 1941.
    """

    window: float = 30.0
    ratio: float = 1.25
    least: float = 0.02

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a mask for each channel."""
        for c in info.channels:
            if (c.kind, c.unit) != ("gsr", "uS"):
                raise ValueError(
                    f"the variation of skin conductance is judged in uS, but {c.name!r}"
                    f" of {info.name!r} is {c.kind} in {c.unit}"
                )
        return masks(info, variation_memory(info, self.initial_state(info)))

    def initial_state(self, info: StreamInfo) -> VariationState:
        """Return the state before the first sample."""
        if not (self.window >= 1 and self.ratio > 0 <= self.least):
            raise ValueError(
                f"the variation of {info.name!r} needs a window of at least 1 s, a "
                f"ratio above 0 and a least sd of at least 0: {self.window}, "
                f"{self.ratio}, {self.least}"
            )
        limits = np.array([self.least**2, self.ratio, inf, _SPIKE])
        return variation_state(info, len(info.channels), _STEP, self.window, limits)

    def process(self, state: VariationState, x: Array) -> Array:
        """Judge ``x``."""
        return np.asarray(judge_variation(*state, x))
