"""Finite impulse response filters of linear phase, with their delay declared."""

from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.signal

from physio.core.block import Array, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import Stage
from physio.dsp.iir import bridged_samples
from physio.dsp.jit import njit

Counts = npt.NDArray[np.int64]

_WARMING: Final = MissingReason.WARMING_UP.nan
_LOST: Final = MissingReason.NO_SIGNAL.nan


class Taps(NamedTuple):
    """Polyphase filter, and the newest samples."""

    phases: Array  # (up, taps): phase k is every up-th tap from tap k on
    ring: Array  # (taps + 1, channels): sample i in row i % (taps + 1)
    runs: Counts  # (2, channels): missing in a row, samples since the restart
    clock: Counts  # (5,): samples, outputs, up, down, samples to bridge
    newest: Array  # (channels,): the last sample, missing or not


def taps(
    info: StreamInfo, h: Array, ratio: tuple[int, int], bridge: float, columns: int
) -> Taps:
    """Return a filter at rest, for `polyphase`.

    Parameters
    ----------
    info
        The stream.
    h
        Taps of the filter at ``up`` times the rate of the stream, shape (n,).
    ratio
        ``up`` and ``down``: the rate is multiplied by ``up`` and divided by ``down``.
    bridge
        Longest gap (s) that the filter runs through, with the last valid sample held.
    columns
        Number of channels.
    """
    up, down = ratio
    n = ceil(len(h) / up)
    phases = np.ascontiguousarray(np.pad(h, (0, n * up - len(h))).reshape(n, up).T)
    across = bridged_samples(info, bridge)
    runs = np.zeros((2, columns), np.int64)
    runs[0] = across + 1
    clock = np.array([0, 0, up, down, across], np.int64)
    return Taps(
        phases, np.zeros((n + 1, columns)), runs, clock, np.full(columns, _LOST)
    )


@njit(cache=True)
def polyphase(
    phases: Array, ring: Array, runs: Counts, clock: Counts, newest: Array, x: Array
) -> Array:
    """Filter samples, shape (n, channels), and change their rate.

    Output m is that of `scipy.signal.upfirdn`, due with input ``ceil(m * down / up)``.
    Outputs are missing at a missing sample, and until every tap has a sample.
    """
    size, channels = ring.shape
    n = size - 1
    up, down = clock[2], clock[3]
    y = np.empty((len(x) * up // down + 1, channels))
    m = 0
    for i in range(len(x)):
        last = (clock[0] - 1) % size
        at = clock[0] % size
        for c in range(channels):
            v = x[i, c]
            if np.isfinite(v):
                runs[1, c] = 0 if runs[0, c] > clock[4] else runs[1, c]
                runs[0, c] = 0
                ring[at, c] = v
            else:
                runs[0, c] += 1
                ring[at, c] = ring[last, c]
                v = v if np.isnan(v) else _LOST
            runs[1, c] += 1
        while -((-clock[1] * down) // up) == clock[0]:
            j = clock[1] * down // up  # newest sample on which this output depends
            phase = phases[clock[1] * down - j * up]
            late = clock[0] - j  # 1 where an output lies between two samples
            for c in range(channels):
                y[m, c] = 0.0
            for k in range(n):
                row, h = ring[(j - k) % size], phase[k]
                for c in range(channels):
                    y[m, c] += h * row[c]
            for c in range(channels):
                before = newest[c] if late else x[i, c]
                if np.isnan(before):
                    y[m, c] = before
                elif runs[0, c] > 0:
                    y[m, c] = x[i, c] if np.isnan(x[i, c]) else _LOST
                elif not np.isfinite(before):
                    y[m, c] = _LOST
                elif runs[1, c] < n + late:
                    y[m, c] = _WARMING
            clock[1] += 1
            m += 1
        for c in range(channels):
            newest[c] = x[i, c]
        clock[0] += 1
    return y[:m]


@dataclass(frozen=True)
class Fir(Stage):
    """Low-pass, high-pass or band-pass filter of linear phase.

    The output lags behind the input by half the length of the filter, which is the
    ``delay`` of its channels. The delay is the same at all frequencies.

    Parameters
    ----------
    low, high
        Cutoffs at -6 dB (Hz); 0 for none.
    transition
        Width of the transition band (Hz).
    bridge
        Longest gap (s) that the filter runs through, with the last valid sample held.

    Notes
    -----
    `scipy.signal.firwin` with a Hamming window, ``3.3 * rate / transition`` taps (odd):
    ripple 0.02, stop band -53 dB [1]_. After as many samples as taps, the output equals
    that of `scipy.signal.lfilter` to rounding; until then, and equally long after a gap
    longer than ``bridge``, it is missing (warming up).

    y(t) = sum of taps(k) x(t - k). Deviation: samples before the beginning are not
    taken as 0. Shape (n, channels) to (n, channels), in the input's unit.

    References
    ----------
    .. [1] Widmann, Schroeger & Maess, Digital filter design for electrophysiological
       data: a practical approach, Journal of Neuroscience Methods 250, 2015.
    """

    low: float = 1.0
    high: float = 40.0
    transition: float = 2.0
    bridge: float = 0.05

    def design(self, info: StreamInfo) -> Array:
        """Return the taps, shape (n,); raise an error if the settings allow none."""
        rate = float(info.rate)
        cutoffs = [f for f in (self.low, self.high) if f]
        edges = [0.0, *cutoffs, rate / 2]
        rising = all(a < b for a, b in pairwise(edges))
        if not cutoffs or not rising or not 0 < self.transition < rate:
            raise ValueError(
                f"cannot pass {self.low:g} to {self.high:g} Hz of {info.name!r} with a "
                f"transition of {self.transition:g} Hz: cutoffs must rise and lie "
                f"between 0 and {rate / 2:g} Hz"
            )
        n = ceil(3.3 * rate / self.transition) // 2 * 2 + 1
        kind = (
            "bandpass" if len(cutoffs) == 2 else "highpass" if self.low else "lowpass"
        )
        h = scipy.signal.firwin(n, cutoffs, pass_zero=kind, fs=rate)
        return np.asarray(h, np.float64)

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the delayed stream; its values depend on as many samples as taps."""
        state, rate = self.initial_state(info), float(info.rate)
        n = state.phases.shape[1]
        span, delay = (n + int(state.clock[4]) + 1) / rate, (n - 1) / 2 / rate
        channels = (
            replace(c, delay=c.delay + delay, memory=c.memory + span)
            for c in info.channels
        )
        return info.with_channels(None, *channels)

    def initial_state(self, info: StreamInfo) -> Taps:
        """Return the filter at rest."""
        return taps(info, self.design(info), (1, 1), self.bridge, len(info.channels))

    def process(self, state: Taps, x: Array) -> Array:
        """Filter ``x``."""
        return np.asarray(polyphase(*state, x))
