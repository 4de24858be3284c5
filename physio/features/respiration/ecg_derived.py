"""Respiratory rate derived from heart beats."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage, read_only
from physio.dsp.jit import njit
from physio.dsp.window import STATISTICS, Panes, every, panes, slide
from physio.features.cardiac.heart_rate import check_beats
from physio.features.event_gaps import missing_reasons

Counts = npt.NDArray[np.int64]

BAND: Final = 0.15, 0.5
"""Frequency range of breathing at rest (Hz)."""

_MEAN: Final = STATISTICS.index("mean")
_POOR: Final = MissingReason.POOR_QUALITY.nan
_RATE: Final = 4  # sampling rate of the resampled beat series (Hz)
_NEAR: Final = 0.04  # Hz, about two bins of a minute's Hann window
_FEWEST: Final = 20  # beats
_SILENT: Final = 5.0  # s without a beat, after which the rate is missing


class BeatSeries(NamedTuple):
    """The newest beats, and the rate from their last spectrum."""

    beats: Array  # (size, 3): time (s), interval (s), height; beat k in row k % size
    rate_now: Array  # (1,): breaths a minute; infinite until computed
    clock: Counts  # (3,): samples, beats, outputs given
    hop: Fraction
    rate: float
    coverage: Panes


@dataclass(frozen=True)
class EcgDerivedRespiration(Stage):
    """Respiratory rate derived from heart beats at rest; follows `BeatDetection`.

    ``edr_rate`` (1/min) is the frequency of the largest variation of RR intervals from
    9 to 30 per minute (respiratory sinus arrhythmia), if the modulation of the wave
    heights does not contradict it. The rate is *derived*: no breath is measured. Depth
    and phase cannot be derived in this way.

    Parameters
    ----------
    window
        Length of the window of beats (s): a whole number of steps, at least 32.
    step
        Time from one output to the next (s).
    accepted
        Proportion of the beats that must have an accepted interval.
    clear
        Proportion of the power from 0.15 to 0.5 Hz that must lie within 0.04 Hz of a
        peak.
    agree
        Largest difference between the rates from intervals and from heights (1/min).

    Notes
    -----
    The required agreement of modulations is the fusion of [1]_. Deviations: there are
    two modulations, as wristbands remove the baseline; that of the intervals must be
    clear, and that of the heights must agree if it is clear; they may differ by at most
    3/min, where [1]_ has a standard deviation of 4; a Hann window over 60 s, linear
    interpolation between beats at 4 Hz. Below 9/min, blood pressure waves (about 6/min)
    cannot be distinguished from breathing; a rate above half the heart rate cannot be
    detected. The rate is missing (poor quality) where participants move, speak, or have
    little sinus arrhythmia. The delay is that of the beats and half the window.

    Shape (n, 4 or more) to (m, 1).

    References
    ----------
    .. [1] Karlen et al., Multiparameter respiratory rate estimation from the
       photoplethysmogram, IEEE Transactions on Biomedical Engineering 60, 2013.
    """

    window: float = 60.0
    step: float = 0.25
    accepted: float = 0.8
    clear: float = 0.6
    agree: float = 3.0

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return ``edr_rate``."""
        purpose = "breathing is derived from beats, with their interval and height"
        check_beats(info, purpose, "interval", "confidence", "height")
        if self.window < 32:
            raise ValueError(
                f"breathing is derived from 32 s of beats or more, not {self.window:g}"
            )
        self.initial_state(info)
        source = info.channels[0]
        delay = source.delay + self.window / 2
        span = source.memory + self.window + 2.0
        rate = info.rate / self.schedule(info).step
        return info.with_channels(
            rate, Channel("edr_rate", "misc", "1/min", delay, span)
        )

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> BeatSeries:
        """Return a state without beats."""
        return BeatSeries(
            np.full((512, 3), np.nan),
            np.array([_POOR]),
            np.zeros(3, np.int64),
            self.schedule(info).step,
            float(info.rate),
            panes(info, (self.window,), self.step, 0.5, columns=1),
        )

    def process(self, state: BeatSeries, x: Array) -> Array:
        """Take in rows of a point stream; return the outputs now due."""
        _compile()
        coverage = slide(*state.coverage, read_only(missing_reasons(x)))[:, 0, _MEAN, 0]
        if not len(coverage):
            _add_beats(*state[:3], x, np.flatnonzero(~np.isnan(x[:, 0])), state.rate)
            state.clock[0] += len(x)
            return np.empty((0, 1))
        begin, given = int(state.clock[0]), int(state.clock[2])
        hop = state.hop
        due = -(-(given + np.arange(len(coverage))) * hop.numerator // hop.denominator)
        beats = np.flatnonzero(~np.isnan(x[:, 0]))
        known = np.searchsorted(beats, due - begin, side="right")
        y, done = np.empty((len(coverage), 1)), 0
        runs = np.flatnonzero(np.diff(known, prepend=-1, append=-1)).tolist()
        for first, last in pairwise(runs):  # outputs that depend on the same beats
            _add_beats(*state[:3], x, beats[done : known[first]], state.rate)
            done = int(known[first])
            y[first:last, 0] = self._read(state, due[first:last] / state.rate)
        _add_beats(*state[:3], x, beats[done:], state.rate)
        state.clock[0], state.clock[2] = begin + len(x), given + len(coverage)
        lost = np.isnan(coverage)
        y[lost, 0] = coverage[lost]
        return y

    def _read(self, state: BeatSeries, now: Array) -> Array:
        """Return the rate of the window that ends with the newest beat."""
        size, last = len(state.beats), int(state.clock[1]) - 1
        recent = now - state.beats[last % size, 0] <= _SILENT
        if last < 0 or not recent.any():
            return np.full(len(now), _POOR)
        if np.isinf(state.rate_now[0]):
            known = _accepted_beats(state.beats, last, self.window, self.accepted)
            state.rate_now[0] = self._rate(known)
        return np.where(recent, state.rate_now[0], _POOR)

    def _rate(self, good: Array) -> float:
        """Return breaths a minute of beats, shape (n, 3): time, interval, height."""
        if len(good) < _FEWEST or good[-1, 0] - good[0, 0] < 0.8 * self.window:
            return _POOR
        length = good[-1, 0] - good[0, 0]
        t = good[0, 0] + np.arange(int(length * _RATE) + 1) / _RATE
        fastest = min(BAND[1], 0.5 / float(np.median(good[:, 1])))
        swing, height = (np.interp(t, good[:, 0], good[:, c]) for c in (1, 2))
        rate = spectral_peak(swing, fastest, self.clear)
        if np.isnan(rate):
            return _POOR
        other = spectral_peak(height, fastest, self.clear)
        if abs(rate - other) > self.agree / 60:
            return _POOR
        return 60 * (rate if np.isnan(other) else (rate + other) / 2)


@njit(cache=True)
def _add_beats(
    beats: Array, rate_now: Array, clock: Counts, x: Array, rows: Counts, rate: float
) -> None:
    """Add the beats in these rows of a point stream; earlier beats do not change."""
    for i in rows:
        row = beats[clock[1] % len(beats)]
        row[0], row[1], row[2] = (clock[0] + i) / rate + x[i, 0], x[i, 1], x[i, 3]
        clock[1] += 1
        rate_now[0] = np.inf  # to be computed again


@cache
def _compile() -> None:
    """Call the kernel once, so that the first beats do not wait for compilation."""
    _accepted_beats(np.full((512, 3), np.nan), 0, 60.0, 0.8)


@njit(cache=True)
def _accepted_beats(beats: Array, last: int, width: float, accepted: float) -> Array:
    """Return the newest beats with an accepted interval, in order.

    Empty if they are too few.
    """
    good, n = np.empty((len(beats), 3)), 0
    begin = beats[last % len(beats), 0] - width
    first = max(last + 1 - len(beats), 0)
    while first <= last and not beats[first % len(beats), 0] > begin:
        first += 1
    for k in range(first, last + 1):
        row = beats[k % len(beats)]
        if not np.isnan(row[1]):
            good[n] = row
            n += 1
    return good[: n if n >= accepted * (last + 1 - first) else 0]


@cache
def _basis(n: int) -> tuple[Array, Array]:
    """Return orthonormal parabolas, shape (3, n), and Hann's window, shape (n,)."""
    powers = np.vander(np.linspace(-1.0, 1.0, n), 3)
    return np.ascontiguousarray(np.linalg.qr(powers)[0].T), np.hanning(n + 1)[:-1]


def spectral_peak(swing: Array, fastest: float, clear: float) -> float:
    """Return the spectral peak (Hz) of a series sampled at 4 Hz; NaN without a peak."""
    bends, window = _basis(len(swing))
    level = bends.T @ (bends @ swing)
    n = 1024
    power = np.abs(np.fft.rfft((swing - level) * window, n)) ** 2
    f = np.arange(len(power)) * _RATE / n
    inside = np.flatnonzero((f >= BAND[0]) & (f <= fastest))
    top = inside[np.argmax(power[inside])]
    power_inside = power[inside]
    near = power_inside[np.abs(f[inside] - f[top]) <= _NEAR].sum()
    if top in (inside[0], inside[-1]) or not near >= clear * power_inside.sum() > 0:
        return np.nan
    return float(f[top])
