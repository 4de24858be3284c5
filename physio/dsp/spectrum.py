"""Power spectral density in a sliding window."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.signal

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage
from physio.dsp.window import every

Counts = npt.NDArray[np.int64]

METHODS: Final = ("welch", "multitaper")

_WARMING: Final = MissingReason.WARMING_UP.nan


class SampleRing(NamedTuple):
    """The newest samples, and the settings of the spectrum."""

    ring: Array  # (width, channels): sample i in row i % width
    clock: Counts  # (4,): samples, outputs, step as p / q samples
    starts: Counts  # (segments,): first sample in the window
    tapers: Array  # (tapers, segment): each with a sum of squares of 1
    rows: Counts  # (frequencies,): bins of the transform that are returned
    scale: Array  # (frequencies,): 1 / rate, twice where a frequency stands for two
    share: float


def fill_ring(ring: Array, clock: Counts, x: Array, done: int) -> tuple[int, bool]:
    """Take samples of ``x`` from row ``done`` on into a ring, up to the next output.

    Returns
    -------
    int
        Number of rows of ``x`` that have been taken in.
    bool
        True if an output is due with the last of these rows.
    """
    width, (p, q) = len(ring), clock[2:4]
    due = -((-int(clock[1]) * int(p)) // int(q))
    stop = min(len(x), done + due - int(clock[0]) + 1)
    at = np.arange(max(done, stop - width), stop)
    ring[(clock[0] + at - done) % width] = x[at]
    clock[0] += stop - done
    if clock[0] != due + 1:
        return stop, False
    clock[1] += 1
    return stop, True


@dataclass(frozen=True)
class Spectrum(Stage):
    """Power spectral density of each channel, one-sided.

    ``psd.<frequency>Hz.<channel>``, in the channel's unit squared per Hz: the mean of
    ``2 |sum taper(t) x(t) exp(-2 pi i f t)|^2 / rate`` over segments and tapers, each
    taper with a sum of squares of 1.

    Parameters
    ----------
    method
        ``welch``: Hann windows on segments that overlap by half [1]_. ``multitaper``:
        the whole window under each of the sine-like tapers that best concentrate power
        in a band of ``bandwidth`` [2]_, with equal weights.
    window
        Length of a window (s).
    step
        Time from one output to the next (s).
    segment
        Length of a segment (s), for ``welch``.
    bandwidth
        Bandwidth over which a frequency is smeared (Hz), for ``multitaper``.
    low, high
        Lowest and highest frequency (Hz).
    min_valid
        Proportion of the segments that must be complete.

    Notes
    -----
    The mean of each segment is subtracted. A segment with a missing sample is excluded.
    If too few segments are complete, the output is missing, for the reason of the
    newest missing sample. A multitaper window is a single segment. Equal to
    `scipy.signal.welch` and to a mean of `scipy.signal.periodogram` over
    `scipy.signal.windows.dpss` to rounding. Deviation from [2]_: no adaptive weights.
    No delay beyond the window.

    Shape (n, channels) to (m, frequencies times channels).

    References
    ----------
    .. [1] Welch, The use of fast Fourier transform for the estimation of power
       spectra, IEEE Transactions on Audio and Electroacoustics 15, 1967.
    .. [2] Thomson, Spectrum estimation and harmonic analysis, Proceedings of the IEEE
       70, 1982.
    """

    method: str = "welch"
    window: float = 4.0
    step: float = 0.25
    segment: float = 1.0
    bandwidth: float = 2.0
    low: float = 1.0
    high: float = 45.0
    min_valid: float = 0.5

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a channel for each frequency of each channel."""
        state = self.initial_state(info)
        step = float(info.rate) / state.tapers.shape[1]
        channels = (
            Channel(
                f"psd.{k * step:g}Hz.{c.name}",
                c.kind,
                f"({c.unit})^2/Hz",
                c.delay,
                c.memory + self.window,
            )
            for k in state.rows
            for c in info.channels
        )
        return info.with_channels(info.rate / self.schedule(info).step, *channels)

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> SampleRing:
        """Return an empty window."""
        if self.method not in METHODS:
            raise ValueError(
                f"there is no spectrum {self.method!r}: there are {', '.join(METHODS)}"
            )
        rate = float(info.rate)
        welch = self.method == "welch"
        seconds = (self.window, self.segment if welch else self.window)
        width, n = (int(info.rate * Fraction(str(s))) for s in seconds)
        if not 2 <= n <= width or not 0 < self.min_valid <= 1:
            raise ValueError(
                f"a spectrum of {info.name!r} needs segments of at least 2 samples in "
                f"a window that holds them, and min_valid above 0 and at most 1: "
                f"{self.segment:g} s, {self.window:g} s, {self.min_valid:g}"
            )
        rows = np.arange(n // 2 + 1)
        inside = (rows * rate / n >= self.low) & (rows * rate / n <= self.high)
        if not inside.any() or self.high > rate / 2:
            raise ValueError(
                f"a spectrum of {info.name!r} reaches from 0 to {rate / 2:g} Hz in "
                f"steps of {rate / n:g}: {self.low:g} to {self.high:g} Hz holds "
                f"nothing of it, or more"
            )
        rows = rows[inside]
        twice = np.where((rows == 0) | (2 * rows == n), 1.0, 2.0)
        starts = np.arange(0, width - n + 1, max(n // 2, 1))
        step = every(info, self.step).step
        return SampleRing(
            np.zeros((width, len(info.channels))),
            np.array([0, 0, step.numerator, step.denominator], np.int64),
            starts,
            _tapers(n, 0.0 if welch else self.bandwidth * n / rate / 2),
            rows,
            twice / rate,
            self.min_valid,
        )

    def process(self, state: SampleRing, x: Array) -> Array:
        """Take in ``x``; return the densities now due."""
        x = np.where(np.isinf(x), MissingReason.NO_SIGNAL.nan, x)
        out, done = [], 0
        while True:
            done, due = fill_ring(state.ring, state.clock, x, done)
            if not due:
                break
            out.append(_density(state).ravel())
        return np.array(out).reshape(len(out), len(state.rows) * x.shape[1])


def _tapers(n: int, half: float) -> Array:
    """Return tapers of ``n`` samples; ``half`` bandwidth in steps, 0 for a Hann's."""
    if half == 0:
        hann = scipy.signal.get_window("hann", n)
        return np.array([hann / np.sqrt(np.sum(hann**2))])
    count = max(int(2 * half) - 1, 1)
    if not 0.5 <= half < n / 2:
        raise ValueError(
            f"tapers over {n} samples cannot keep {half:g} steps of it together: "
            f"give a bandwidth of at least one step"
        )
    return np.asarray(scipy.signal.windows.dpss(n, half, count), np.float64)


def _density(state: SampleRing) -> Array:
    """Return the density in the window that ends now, (frequencies, channels)."""
    width, channels = state.ring.shape
    y = np.empty((len(state.rows), channels))
    if state.clock[0] < width:
        y[:] = _WARMING
        return y
    x = np.roll(state.ring, -int(state.clock[0] % width), axis=0)
    lost = np.isnan(x)
    n = state.tapers.shape[1]
    for c in range(channels):
        whole = [s for s in state.starts if not lost[s : s + n, c].any()]
        if len(whole) < max(state.share * len(state.starts), 1):
            y[:, c] = x[np.flatnonzero(lost[:, c])[-1], c]
            continue
        pieces = np.stack([x[s : s + n, c] for s in whole])
        pieces = pieces - pieces.mean(axis=1, keepdims=True)
        waves = np.fft.rfft(pieces[:, None] * state.tapers)[..., state.rows]
        power = (waves.real**2 + waves.imag**2).mean(axis=(0, 1))
        y[:, c] = power * state.scale
    return y
