"""Artifact detection in skin conductance: changes faster than those of skin."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import OutputSchedule, Stage, read_only
from physio.dsp.jit import njit
from physio.dsp.window import STATISTICS, Panes, every, panes, slide
from physio.features.columns import column

Counts = npt.NDArray[np.int64]

_MEAN: Final = STATISTICS.index("mean")
_STEP: Final = Fraction(1, 4)  # s, of averages
_POOR: Final = int(MissingReason.POOR_QUALITY)


class LastSecond(NamedTuple):
    """The values of the last second, and the window on their validity."""

    ring: Array  # (values in a second,): value i in place i % values
    clock: Counts  # (1,): values
    limits: Array  # (3,): rise, fall, least conductance (uS)
    windows: Panes
    pick: int
    average: Panes | None  # of samples, in streams with more than four a second


@njit(cache=True)
def _is_stable(
    ring: Array, clock: Counts, limits: Array, x: Array, masked: Array
) -> Array:
    """Return 1 for a sample that changed no faster than skin, else 0, shape (n, 1)."""
    y = np.empty((len(x), 1))
    for i in range(len(x)):
        v, at = x[i], clock[0] % len(ring)
        before = ring[at] if clock[0] >= len(ring) else np.nan
        ring[at] = v
        clock[0] += 1
        if np.isnan(v):
            y[i, 0] = 0.0 if masked[i] else v
            continue
        change = (v - before) / max(before, limits[2])  # false where one is NaN
        y[i, 0] = 0.0 if change > limits[0] or change < -limits[1] else 1.0
    return y


@dataclass(frozen=True)
class EdaStability(Stage):
    """Proportion of recent samples of skin conductance without artifacts, 0 to 1.

    ``stability`` (1) is the proportion of the samples of the last ``window`` s that are
    good: an electrode that moves on the skin changes the conductance faster than sweat
    does. A sample x(t) is bad if (x(t) - x(t - 1 s)) / x(t - 1 s) is above ``rise`` or
    below minus ``fall``, or if it was already masked (poor quality). Lost samples are
    neither good nor bad.

    Parameters
    ----------
    rise, fall
        Greatest rise and fall within a second, relative to the level.
    least
        Least level (uS) by which changes are divided.
    window
        Length of the window (s): whole seconds.
    min_valid
        Proportion of the window's samples that must be present.

    Notes
    -----
    The limits are those of [1]_. Deviations: the change is taken over a second instead
    of from sample to sample, and divided by at least ``least``, the level of electrodes
    off the skin (see `EdaQuality`). Streams with more than four samples a second are
    averaged over 0.25 s first, so that the result does not depend on the rate. On the
    wrists of WESAD 0.01 % of samples are bad
    for movement below 5 mg, and 7 % for movement above 200 mg. The delay is half of
    ``window``.

    stability = mean(good). Shape (n, channels) to (m, 1).

    References
    ----------
    .. [1] Kocielnik et al., Smart technologies for long-term stress monitoring at work,
       IEEE International Symposium on Computer-Based Medical Systems, 2013.
    """

    rise: float = 0.2
    fall: float = 0.1
    least: float = 0.05
    window: float = 10.0
    min_valid: float = 0.5

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return ``stability``."""
        source = info.channels[self.initial_state(info).pick]
        if source.unit != "uS":
            raise ValueError(
                f"the stability of skin conductance is judged in uS, but "
                f"{source.name!r} of {info.name!r} is in {source.unit}"
            )
        delay, span = source.delay + self.window / 2, source.memory + self.window + 1
        span += float(_STEP) if info.rate > 1 / _STEP else 0.0
        rate = info.rate / self.schedule(info).step
        return info.with_channels(
            rate, Channel("stability", "quality", "1", delay, span)
        )

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every second."""
        return every(info, 1.0)

    def initial_state(self, info: StreamInfo) -> LastSecond:
        """Return an empty memory."""
        if not (self.rise > 0 and self.fall > 0 and self.least > 0):
            raise ValueError(
                f"the stability of {info.name!r} needs a rise, a fall and a least "
                f"level above 0: {self.rise}, {self.fall}, {self.least}"
            )
        average = None
        values = info
        if info.rate > 1 / _STEP:
            step = float(_STEP)
            average = panes(info, (step,), step, 0.5, columns=1)
            values = info.with_channels(1 / _STEP)
        return LastSecond(
            np.full(max(int(values.rate), 1), np.nan),
            np.zeros(1, np.int64),
            np.array([self.rise, self.fall, self.least]),
            panes(values, (self.window,), 1.0, self.min_valid, columns=1),
            column(info, "gsr"),
            average,
        )

    def process(self, state: LastSecond, x: Array) -> Array:
        """Take in ``x``; return the outputs now due."""
        signal = read_only(x[:, state.pick])
        if state.average is not None:
            means = slide(*state.average, read_only(signal[:, None]))
            signal = read_only(means[:, 0, _MEAN, 0])
        masked = read_only(np.where(missing_reason(signal) == _POOR, 1.0, 0.0))
        good = _is_stable(state.ring, state.clock, state.limits, signal, masked)
        return np.ascontiguousarray(slide(*state.windows, read_only(good))[:, 0, _MEAN])
