"""Mask of signals that vary as those of a body do: not constant, and not noise."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, inf
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, StreamInfo
from physio.core.stage import Stage
from physio.dsp.jit import njit
from physio.quality.range_checks import masks

Counts = npt.NDArray[np.int64]

PAUSE: Final = 5.0  # s, between two verdicts
_FULL: Final = 0.5  # proportion of the means that a verdict needs
_SLOWEST: Final = 25.0  # Hz, below which successive samples of a body are unlike, too


class VariationState(NamedTuple):
    """The last means of each channel, and the verdict."""

    means: Array  # (n, channels): mean k in row k % n
    total: Array  # (channels,): sum of the present step's samples
    present: Array  # (channels,): their number
    good: Array  # (channels,): the verdict
    clock: Counts  # (3,): samples, samples in a step, steps between two verdicts
    limits: Array  # (4,): variance, ratio, greatest ratio, spike


def variation_state(
    info: StreamInfo, channels: int, step: Fraction, window: float, limits: Array
) -> VariationState:
    """Return the state before the first sample.

    Parameters
    ----------
    info
        The stream.
    channels
        Number of channels that are judged.
    step, window
        Duration of a mean, and of the means that are judged (s).
    limits
        Least variance, least and greatest ratio of noise, and the distance of a spike
        from the median, in median distances, which says nothing.
    """
    samples = max(ceil(info.rate * step), 1)
    seconds = samples / float(info.rate)
    return VariationState(
        np.full((ceil(window / seconds), channels), np.nan),
        np.zeros(channels),
        np.zeros(channels),
        np.ones(channels),
        np.array([0, samples, max(round(PAUSE / seconds), 1)], np.int64),
        limits,
    )


def variation_memory(info: StreamInfo, state: VariationState) -> float:
    """Return the time (s) for which a sample can affect later verdicts."""
    steps = len(state.means) + int(state.clock[2])
    return float(steps * int(state.clock[1]) / info.rate)


@njit(cache=True)
def judge_variation(
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
            if (step + 1) % clock[2] == 0:
                for c in range(channels):
                    good[c] = _verdict(means, step, c, limits)
    return y


@njit(cache=True)
def _verdict(means: Array, step: int, c: int, limits: Array) -> float:
    """Return 0 if the last means of a channel are constant or noise, else 1."""
    n = len(means)
    values = np.empty(n)
    for k in range(n):
        values[k] = means[(step + 1 + k) % n, c]
    known = values[np.isfinite(values)]
    if len(known) < _FULL * n or step + 1 < n:
        return 1.0
    if known.max() == known.min():
        return 0.0
    middle, far = known[0], np.inf
    if limits[3] < np.inf:
        middle = np.median(known)
        spread = np.median(np.abs(known - middle))
        far = limits[3] * spread if spread > 0 else np.inf
    last, total, squares, changes, count = np.nan, 0.0, 0.0, 0.0, 0
    for k in range(n):
        v = values[k]
        if abs(v - middle) > far:
            v = np.nan
        if np.isfinite(v):
            total += v - middle
            squares += (v - middle) ** 2
            count += 1
            if np.isfinite(last):
                changes += (v - last) ** 2
        last = v
    variance = squares / count - (total / count) ** 2
    ratio = changes / (variance * count) if variance > 0 else 0.0
    noise = variance > limits[0] and limits[1] < ratio < limits[2]
    return 0.0 if noise else 1.0


class JudgedChannels(NamedTuple):
    """The judged columns, and the state of their verdicts."""

    columns: npt.NDArray[np.int64]
    variation: VariationState


@dataclass(frozen=True)
class SignalVariation(Stage):
    """Mask of signals that vary as those of a body: not constant, and not noise.

    Parameters
    ----------
    kind
        Kind of the channels that are judged; all others are good.
    together
        Whether channels are bad only if all of their kind are, as the axes of an
        accelerometer are.
    window
        Time over which they are judged (s).
    lag
        Duration of the means that are compared (s); a sample if that is longer.
    ratio, most
        Least and greatest mean squared change between successive means, relative to
        their variance, of a signal that is noise: 2 for white noise, up to 4 for mains
        that a slow converter aliases.
    least
        Standard deviation of the means up to which noise is that of a sensor at rest,
        in the unit of the channels.

    Notes
    -----
    The ratio is that of [1]_: see `EdaVariation`. Limits are ours. Pulse waves: 1.25
    with means of 1/32 s. Acceleration: the same, and 0.02 g; in 2822 windows of 20
    wrists (WESAD, Stress-Predict) all three axes were never constant, nor above both.
    EEG: successive samples, 1.8 to 2.2, judged over 10 s; in 15 800 windows of three
    data sets (eegmat, SAM 40, Muse) it was never there, and in 0.9 % of those of DASPS,
    with much hum. Streams slower than 25 samples/s are only judged by whether they are
    constant. Verdicts change every 5 s, and there is no delay.

    y(t) = 0 where the means m of the last ``window`` s are all equal, or var m >
    ``least``^2 and ``ratio`` < mean (m(k) - m(k - 1))^2 / var m < ``most``, else 1.
    Shape (n, channels) to (n, channels), unit 1.

    References
    ----------
    .. [1] von Neumann, Distribution of the ratio of the mean square successive
       difference to the variance, Annals of Mathematical Statistics 12, 1941.
    """

    kind: str = "bio"
    together: bool = False
    window: float = 30.0
    lag: float = 0.03125
    ratio: float = 1.25
    most: float = 4.5
    least: float = 0.0

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a mask for each channel."""
        state = self.initial_state(info)
        if not len(state.columns):
            raise ValueError(
                f"the variation of {self.kind} is judged, but {info.name!r} has "
                f"{', '.join(sorted({c.kind for c in info.channels}))}"
            )
        return masks(info, variation_memory(info, state.variation))

    def initial_state(self, info: StreamInfo) -> JudgedChannels:
        """Return the state before the first sample."""
        if not (self.window >= 1 and self.lag > 0 and 0 < self.ratio < self.most):
            raise ValueError(
                f"the variation of {info.name!r} needs a window of at least 1 s, a "
                f"lag above 0 and 0 < ratio < most: {self.window}, {self.lag}, "
                f"{self.ratio}, {self.most}"
            )
        columns = [i for i, c in enumerate(info.channels) if c.kind == self.kind]
        ratio = self.ratio if info.rate >= _SLOWEST else inf
        limits = np.array([self.least**2, ratio, self.most, inf])
        state = variation_state(
            info, len(columns), Fraction(str(self.lag)), self.window, limits
        )
        return JudgedChannels(np.array(columns, np.int64), state)

    def process(self, state: JudgedChannels, x: Array) -> Array:
        """Judge ``x``."""
        y = np.where(np.isnan(x), x, 1.0)
        part = np.ascontiguousarray(x[:, state.columns])
        verdict = judge_variation(*state.variation, part)
        if self.together:
            good = (verdict != 0).any(axis=1, keepdims=True).astype(np.float64)
            verdict = np.where(np.isnan(part), part, good)
        y[:, state.columns] = verdict
        return y
