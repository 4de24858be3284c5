"""Mask of skin conductance that varies as skin does."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, StreamInfo
from physio.core.stage import Stage
from physio.dsp.jit import njit
from physio.quality.range_checks import masks

Counts = npt.NDArray[np.int64]

_STEP: Final = Fraction(1, 4)  # s, of which means are judged
_STEPS: Final = 20  # between two verdicts
_FULL: Final = 0.5  # proportion of the means that a verdict needs


class VariationState(NamedTuple):
    """The last means of each channel, and the verdict."""

    means: Array  # (n, channels): mean k in row k % n
    total: Array  # (channels,): sum of the present step's samples
    present: Array  # (channels,): their number
    good: Array  # (channels,): the verdict
    clock: Counts  # (2,): samples, samples in a step
    limits: Array  # (2,): variance, ratio


@njit(cache=True)
def _check(
    means: Array,
    total: Array,
    present: Array,
    good: Array,
    clock: Counts,
    limits: Array,
    x: Array,
) -> Array:
    """Return the verdict on each sample, shape (n, channels)."""
    y = np.empty_like(x)
    n, channels = means.shape
    for i in range(len(x)):
        for c in range(channels):
            v = x[i, c]
            if np.isfinite(v):
                total[c] += v
                present[c] += 1
            y[i, c] = v if np.isnan(v) else good[c]
        clock[0] += 1
        if clock[0] % clock[1] == 0:
            step = clock[0] // clock[1] - 1
            for c in range(channels):
                means[step % n, c] = total[c] / present[c] if present[c] else np.nan
                total[c], present[c] = 0.0, 0.0
            if (step + 1) % _STEPS == 0:
                _judge(means, step, good, limits)
    return y


@njit(cache=True)
def _judge(means: Array, step: int, good: Array, limits: Array) -> None:
    """Judge each channel by its last means."""
    n, channels = means.shape
    for c in range(channels):
        least, most, last = np.inf, -np.inf, np.nan
        first, total, squares, changes, count = np.nan, 0.0, 0.0, 0.0, 0
        for k in range(n):
            v = means[(step + 1 + k) % n, c]
            if np.isfinite(v):
                first = v if count == 0 else first
                least, most = min(least, v), max(most, v)
                total += v - first
                squares += (v - first) ** 2
                count += 1
                if np.isfinite(last):
                    changes += (v - last) ** 2
            last = v
        good[c] = 1.0
        if count >= _FULL * n and step + 1 >= n:
            variance = squares / count - (total / count) ** 2
            noise = variance > limits[0] and changes > limits[1] * variance * count
            good[c] = 0.0 if noise or most == least else 1.0


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
    alone, from a fast converter, looks like a quiet skin. Verdicts change every 5 s,
    from the complete steps before, and there is no delay.

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
        state = self.initial_state(info)
        steps = len(state.means) + _STEPS
        return masks(info, float(steps * int(state.clock[1]) / info.rate))

    def initial_state(self, info: StreamInfo) -> VariationState:
        """Return the state before the first sample."""
        if not (self.window >= 1 and self.ratio > 0 <= self.least):
            raise ValueError(
                f"the variation of {info.name!r} needs a window of at least 1 s, a "
                f"ratio above 0 and a least sd of at least 0: {self.window}, "
                f"{self.ratio}, {self.least}"
            )
        n = len(info.channels)
        return VariationState(
            np.full((ceil(self.window / _STEP), n), np.nan),
            np.zeros(n),
            np.zeros(n),
            np.ones(n),
            np.array([0, max(ceil(info.rate * _STEP), 1)], np.int64),
            np.array([self.least**2, self.ratio]),
        )

    def process(self, state: VariationState, x: Array) -> Array:
        """Judge ``x``."""
        return np.asarray(_check(*state, x))
