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

_PANE: Final = 5  # s
_LAG: Final = Fraction(1, 4)  # s, over which a change is taken, and over half of it
_FULL: Final = 0.5  # proportion of a window's samples that a verdict needs


class VariationState(NamedTuple):
    """Sums of each channel in the last panes of 5 s."""

    recent: Array  # (lag, channels): sample i in row i % lag
    sums: Array  # (panes, channels, 5): values, squares, squared changes (2), count
    low: Array  # (panes, channels)
    high: Array  # (panes, channels)
    good: Array  # (channels,): the present verdict
    clock: Counts  # (4,): samples, samples in a pane, panes of the noise, shorter lag
    limits: Array  # (2,): variance, ratio


@njit(cache=True)
def _check(
    recent: Array,
    sums: Array,
    low: Array,
    high: Array,
    good: Array,
    clock: Counts,
    limits: Array,
    x: Array,
) -> Array:
    """Return the verdict on each sample, shape (n, channels)."""
    y = np.empty_like(x)
    panes, channels = low.shape
    width, lag = clock[1], len(recent)
    for i in range(len(x)):
        slot = clock[0] // width % panes
        if clock[0] % width == 0:
            if clock[0]:
                _judge(sums, low, high, good, clock, limits)
            sums[slot] = 0.0
            low[slot], high[slot] = np.inf, -np.inf
        for c in range(channels):
            v = x[i, c]
            change = v - recent[clock[0] % lag, c]
            short = v - recent[(clock[0] - clock[3]) % lag, c]
            recent[clock[0] % lag, c] = v
            if np.isfinite(v):
                sums[slot, c, 0] += v
                sums[slot, c, 1] += v * v
                sums[slot, c, 4] += 1
                low[slot, c] = min(low[slot, c], v)
                high[slot, c] = max(high[slot, c], v)
            if np.isfinite(change):
                sums[slot, c, 2] += change * change
            if np.isfinite(short):
                sums[slot, c, 3] += short * short
            y[i, c] = v if np.isnan(v) else good[c]
        clock[0] += 1
    return y


@njit(cache=True)
def _judge(
    sums: Array, low: Array, high: Array, good: Array, clock: Counts, limits: Array
) -> None:
    """Judge each channel by the panes that are complete."""
    panes, channels = low.shape
    newest = clock[0] // clock[1] - 1
    for c in range(channels):
        total, squares, changes, shorter, count = 0.0, 0.0, 0.0, 0.0, 0.0
        least, most, values = np.inf, -np.inf, 0.0
        for back in range(panes):
            p = (newest - back) % panes
            least, most = min(least, low[p, c]), max(most, high[p, c])
            values += sums[p, c, 4]
            if back < clock[2]:
                total += sums[p, c, 0]
                squares += sums[p, c, 1]
                changes += sums[p, c, 2]
                shorter += sums[p, c, 3]
                count += sums[p, c, 4]
        good[c] = 1.0
        if values >= _FULL * panes * clock[1] and newest >= panes - 1 and most == least:
            good[c] = 0.0
        if count >= _FULL * clock[2] * clock[1] and newest >= clock[2] - 1:
            variance = squares / count - (total / count) ** 2
            most = max(changes, shorter) / count
            if variance > limits[0] and most > limits[1] * variance:
                good[c] = 0.0


@dataclass(frozen=True)
class EdaVariation(Stage):
    """Mask of skin conductance that varies as skin does: not constant, and not noise.

    Parameters
    ----------
    constant
        Time without any change after which a signal is dead (s).
    window
        Time over which the noise is judged (s).
    ratio
        Least mean squared change over 0.25 s or half of it, relative to the variance in
        ``window``, of a signal that is noise. It is 2 for white noise, and up to 4 for
        mains.
    least
        Standard deviation below which noise is that of a quiet skin's device (uS).

    Notes
    -----
    The ratio is that of von Neumann (1941). Both limits are ours: in 21 000 windows of
    45 wristbands (WESAD, Stress-Predict, Wearable Exam Stress) no signal was constant
    for 60 s, and 0.2 % of the windows of 30 s had a ratio above 1. Verdicts change at
    whole multiples of 5 s, from the complete 5 s before, and there is no delay. Two
    lags are used because mains may complete whole periods in one of them.

    y(t) = 0 where max x = min x over ``constant`` s, or var x > ``least``^2 and
    mean (x(t) - x(t - d))^2 > ``ratio`` var x over ``window`` s for d = 0.25 or 0.125
    s, else 1. Shape (n,
    channels) to (n, channels), unit 1.

    References
    ----------
    .. [1] von Neumann, Distribution of the ratio of the mean square successive
       difference to the variance, Annals of Mathematical Statistics 12, 1941.
    """

    constant: float = 60.0
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
        panes = len(state.low) + 1
        return masks(info, float(panes * int(state.clock[1]) / info.rate))

    def initial_state(self, info: StreamInfo) -> VariationState:
        """Return the state before the first sample."""
        if not (0 < self.window <= self.constant and self.ratio > 0 <= self.least):
            raise ValueError(
                f"the variation of {info.name!r} needs 0 < window <= constant, a ratio "
                f"above 0 and a least sd of at least 0: {self.window}, "
                f"{self.constant}, {self.ratio}, {self.least}"
            )
        n = len(info.channels)
        panes = ceil(self.constant / _PANE)
        lag = max(ceil(info.rate * _LAG), 1)
        return VariationState(
            np.full((lag, n), np.nan),
            np.zeros((panes, n, 5)),
            np.full((panes, n), np.inf),
            np.full((panes, n), -np.inf),
            np.ones(n),
            np.array(
                [
                    0,
                    ceil(info.rate * _PANE),
                    ceil(self.window / _PANE),
                    max(ceil(info.rate * _LAG / 2), 1),
                ],
                np.int64,
            ),
            np.array([self.least**2, self.ratio]),
        )

    def process(self, state: VariationState, x: Array) -> Array:
        """Judge ``x``."""
        return np.asarray(_check(*state, x))
