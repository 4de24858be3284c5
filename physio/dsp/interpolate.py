"""Interpolation of a slow stream to a higher sampling rate."""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from physio.core.block import Array, StreamInfo
from physio.core.stage import OutputSchedule, Stage, State


@dataclass(frozen=True)
class Interpolate(Stage):
    """A slow stream at a higher sampling rate, on straight lines between its samples.

    It gives a stage that needs ``rate`` values a second a stream with fewer samples,
    such as skin temperature at 1 Hz. Nothing above half of the stream's rate is added.

    Parameters
    ----------
    rate
        Sampling rate of the output (Hz), not below that of the stream.

    Notes
    -----
    Output k is at the time k / ``rate`` and due with the first sample at or after it,
    so that no delay is added. A value between a missing and a present sample is
    missing, for the reason of the missing one.

    y = x0 + f (x1 - x0), as in `numpy.interp`, without deviation; f in (0, 1] is the
    position between the two samples. Shape (n, channels) to (m, channels), in the
    input's unit.
    """

    rate: float = 4.0

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the stream at the higher rate."""
        if not self.rate > 0 or info.rate > self._rate:
            raise ValueError(
                f"cannot interpolate {info.name!r} to {self.rate:g} Hz: its rate of "
                f"{float(info.rate):g} Hz must not be above that; resample it instead"
            )
        period = 1 / float(info.rate)
        channels = (replace(c, memory=c.memory + period) for c in info.channels)
        return info.with_channels(self._rate, *channels)

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return the output schedule, with a step of at most one sample."""
        return OutputSchedule(Fraction(0), info.rate / self._rate)

    def initial_state(self, info: StreamInfo) -> State:
        """Return the number of samples and outputs, the step, and no sample."""
        return [0, 0, info.rate / self._rate, np.zeros((1, len(info.channels)))]

    def process(self, state: State, x: Array) -> Array:
        """Take in ``x``; return the values now due."""
        samples, outputs, step, newest = state
        rows = np.vstack([newest, x])  # row i is sample `samples + i - 1`
        stop = OutputSchedule(Fraction(0), step).count(samples + len(x))
        at = [k * step for k in range(outputs, stop)]
        upper = np.array([-(-a.numerator // a.denominator) for a in at], np.int64)
        part = np.array(
            [float(1 - n + a) for a, n in zip(at, upper.tolist(), strict=True)]
        )
        y = _between(rows[upper - samples], rows[upper - samples + 1], part[:, None])
        state[0], state[1], state[3] = samples + len(x), stop, rows[-1:].copy()
        return y

    @property
    def _rate(self) -> Fraction:
        return Fraction(str(self.rate))


def _between(before: Array, after: Array, part: Array) -> Array:
    """Return the values at a part of the way from one sample to the next."""
    y = np.where(part < 1, before + part * (after - before), after)
    y = np.where((part < 1) & np.isnan(before), before, y)
    return np.ascontiguousarray(np.where(np.isnan(after), after, y))
