"""Resampling by a rational factor."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np
import scipy.signal

from physio.core.block import Array, StreamInfo
from physio.core.stage import OutputSchedule, Stage
from physio.dsp.fir import Taps, polyphase, taps

_FINEST: Final = 1000  # greatest denominator of a factor


@dataclass(frozen=True)
class Resample(Stage):
    """A stream at another sampling rate, low-pass filtered against aliasing.

    Parameters
    ----------
    rate
        Sampling rate of the output (Hz).
    taken
        True sampling rate of the device (Hz), if it differs from the nominal rate; 0
        for the nominal rate.
    bridge
        Longest gap (s) that the filter runs through, with the last valid sample held.

    Notes
    -----
    The rate is raised and lowered by integer factors, as in `scipy.signal.upfirdn`,
    with the filter of `scipy.signal.resample_poly`: a Kaiser window (beta 5), ten
    periods of the lower rate on either side. These ten periods are the ``delay`` of the
    channels; a non-causal resampler hides them. Until every tap has a sample, the
    output is missing (warming up).

    With ``taken``, the factor is ``rate / taken``, to within 1e-6: there are ``rate``
    samples in a true second. The nominal rate of the output is wrong by the same factor
    as that of the input.

    y = every q-th of (taps * x with p - 1 zeros between samples), p / q the ratio.
    Shape (n, channels) to (m, channels), in the input's unit. Deviation: causal, so
    that the output lags by the delay.
    """

    rate: float = 64.0
    taken: float = 0.0
    bridge: float = 0.05

    def factor(self, info: StreamInfo) -> Fraction:
        """Return the factor of the sampling rate."""
        if not (self.rate > 0 and self.taken >= 0):
            raise ValueError(
                f"cannot bring {info.name!r} from {self.taken:g} to {self.rate:g} Hz: "
                f"rates must be above 0"
            )
        source = Fraction(str(self.taken)) if self.taken else info.rate
        exact = Fraction(str(self.rate)) / source
        near = exact.limit_denominator(_FINEST)
        if not near or abs(near / exact - 1) > Fraction(1, 10**6):
            raise ValueError(
                f"cannot bring {info.name!r} from {float(source):g} to {self.rate:g} "
                f"Hz: no factor with a denominator up to {_FINEST} is within 1e-6 of it"
            )
        return near

    def design(self, info: StreamInfo) -> Array:
        """Return the taps at ``up`` times the stream's rate, shape (n,)."""
        up, down = self.factor(info).as_integer_ratio()
        most = max(up, down)
        if most == 1:
            return np.ones(1)
        window = ("kaiser", 5.0)
        h = scipy.signal.firwin(20 * most + 1, 1 / most, window=window) * up
        return np.asarray(h, np.float64)

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the stream at its new rate, delayed by half the filter."""
        state, up = self.initial_state(info), int(self.factor(info).numerator)
        rate = float(info.rate)
        span = (len(state.ring) + int(state.clock[4]) + 2) / rate
        delay = (len(self.design(info)) - 1) / 2 / up / rate
        channels = (
            replace(c, delay=c.delay + delay, memory=c.memory + span)
            for c in info.channels
        )
        return info.with_channels(info.rate / self.schedule(info).step, *channels)

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return the output schedule, whose step is the inverse of the rate factor."""
        return OutputSchedule(Fraction(0), 1 / self.factor(info))

    def initial_state(self, info: StreamInfo) -> Taps:
        """Return the filter at rest."""
        ratio = self.factor(info).as_integer_ratio()
        return taps(info, self.design(info), ratio, self.bridge, len(info.channels))

    def process(self, state: Taps, x: Array) -> Array:
        """Take in ``x``; return the samples now due."""
        return np.asarray(polyphase(*state, x))
