"""Pulse rate of a moving wrist, with its standard deviation."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage, read_only
from physio.dsp.iir import Sections, butterworth, run, sections
from physio.dsp.window import every
from physio.features.cardiac.heart_rate import BeatDetection
from physio.features.cardiac.peak_detection import BeatState
from physio.features.cardiac.pulse_evidence import (
    RATES,
    PulseWindow,
    beat_rate,
    scores,
)

Counts = npt.NDArray[np.int64]

RATE_WEIGHTS: Final = (
    *(0.8442, -0.0196, -0.1254, 0.2214, 0.4709),
    *(0.7659, 0.4166, -0.1737, 0.2247, 0.456),
)
"""Weights of the scores of a rate, trained by `experiments.pulse_rate`."""

ABSENCE_WEIGHTS: Final = (-2.5205, -0.5231, 1.4417, -1.8715, 0.5799)
"""Weights of the scores of the absence of a pulse wave, trained likewise."""

_BAND: Final = 0.5, 8.0  # Hz
_BRIDGE: Final = 0.05  # s
_STEP: Final = 1.2  # 1/min, mean absolute change of the rate in a second
_JUMP: Final = 1e-3  # probability of any other rate
_WANDER: Final = 2.0  # 1/min, mean absolute change while there is no pulse wave
_WANDER_JUMP: Final = 0.005
_SWITCH: Final = 0.02  # probability that the pulse wave vanishes or returns
_AT_REST: Final = 78.0, 22.0  # 1/min, mean and standard deviation before any sample
_BEATS: Final = 32  # newest beats of a channel
_FORGOTTEN: Final = 30.0  # s, after which an input does not matter any more
_LOST: Final = 0.25  # proportion of a window that may be missing
_POOR: Final = MissingReason.POOR_QUALITY.nan
_WARMING: Final = MissingReason.WARMING_UP.nan


class TrackerState(NamedTuple):
    """State of the tracker."""

    filters: Sections
    detectors: tuple[BeatState, ...]  # one per pulse channel
    ring: Array  # (window, channels): filtered; sample i in row i % window
    beats: Array  # (pulse channels, 2, beats): times (s) and confidence, newest last
    posterior: Array  # (2, rates): with and without a pulse wave
    clock: Counts  # (2,): samples, outputs
    pulses: Counts  # columns of the pulse waves
    axes: Counts  # columns of the acceleration
    rate: float
    schedule: OutputSchedule


@dataclass(frozen=True)
class PulseRateTracker(Stage):
    """Pulse rate that copes with movement, with its standard deviation.

    ``rate`` (1/min) is the median of a distribution over 30 to 220 per minute, given
    all samples up to now; ``rate.sd`` is its standard deviation. Both are missing (poor
    quality) while the standard deviation is above ``max_sd``.

    Parameters
    ----------
    window
        Window of the spectrum and of the beats (s).
    step
        Time from one output to the next (s).
    max_sd
        Standard deviation above which both are missing (1/min).
    rate_weights, absence_weights
        Weights of the scores; by default the trained ones.

    Notes
    -----
    A forward filter over pulse rates, with a second state for the absence of a pulse
    wave, in which the rate wanders. The log-likelihood is linear in the scores of
    `physio.features.cardiac.pulse_evidence`: the spectrum of the pulse wave after
    regression on the acceleration of the same window, and the intervals of confident
    beats. Its 15 weights were trained by conditional maximum likelihood on wristbands
    with intervals of their maker, and short gaps of these, and on simulated pulse waves
    under movement, and halved, as successive windows overlap; no recording with an ECG
    was used: `experiments/pulse_rate` has figures and command. Without acceleration a
    window counts as half still, half moving. A window that is missing to more than a
    quarter says nothing, and the distribution widens. The model is ours; a spectrum
    after removal of the movement is as in [1]_. The delay is half the window.

    Shape (n, channels) to (m, 2), for a stream with one or several pulse waves (kind
    ``bio``) and acceleration (unit g) or none.

    References
    ----------
    .. [1] Zhang, Pi and Liu, TROIKA: a general framework for heart rate monitoring
       using wrist-type photoplethysmographic signals during intensive physical
       exercise, IEEE Transactions on Biomedical Engineering 62, 2015.
    """

    window: float = 8.0
    step: float = 1.0
    max_sd: float = 15.0
    rate_weights: tuple[float, ...] = RATE_WEIGHTS
    absence_weights: tuple[float, ...] = ABSENCE_WEIGHTS

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return ``rate`` and ``rate.sd``."""
        pulses, _ = _columns(info)
        if not len(pulses):
            raise ValueError(
                f"a pulse rate is tracked in a pulse wave (kind bio): {info.name!r} "
                f"has {', '.join(sorted({c.kind for c in info.channels}))}"
            )
        if info.rate < 25:
            raise ValueError(
                f"tracking a pulse rate needs 25 samples/s or more; {info.name!r} has "
                f"{float(info.rate):g}"
            )
        span = max(c.memory for c in info.channels) + self.window + _FORGOTTEN
        return info.with_channels(
            info.rate / self.schedule(info).step,
            Channel("rate", "misc", "1/min", self.window / 2, span),
            Channel("rate.sd", "misc", "1/min", self.window / 2, span),
        )

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> TrackerState:
        """Return the state before the first sample."""
        pulses, axes = _columns(info)
        purpose = f"filter a pulse wave from {_BAND[0]:g} to {_BAND[1]:g} Hz"
        sos = butterworth(info, "bandpass", 2, _BAND, purpose)
        columns = len(pulses) + len(axes)
        size = round(self.window * float(info.rate))
        detector = BeatDetection()
        waves = [info.with_channels(None, info.channels[i]) for i in pulses]
        return TrackerState(
            sections(info, [sos], _BRIDGE, columns),
            tuple(detector.initial_state(wave) for wave in waves),
            np.full((size, columns), _WARMING),
            np.full((len(pulses), 2, _BEATS), np.nan),
            at_rest(),
            np.zeros(2, np.int64),
            np.array(pulses, np.int64),
            np.array(axes, np.int64),
            float(info.rate),
            self.schedule(info),
        )

    def process(self, state: TrackerState, x: Array) -> Array:
        """Take in samples; return the rates now due."""
        rows: list[tuple[float, float]] = []
        at = 0
        while at < len(x):
            due = state.schedule.due(int(state.clock[1]))
            stop = min(len(x), at + due + 1 - int(state.clock[0]))
            take_samples(state, x[at:stop])
            at = stop
            if state.clock[0] > due:
                rows.append(self._output(state))
                state.clock[1] += 1
        return np.array(rows, np.float64).reshape(len(rows), 2)

    def _output(self, state: TrackerState) -> tuple[float, float]:
        """Return the rate and its standard deviation after the newest sample."""
        window = newest_window(state)
        if window is None:
            advance(state.posterior, self.step)
        else:
            by_rate, absence = scores(window, state.rate)
            present = by_rate @ np.array(self.rate_weights)
            absent = float(absence @ np.array(self.absence_weights))
            advance(state.posterior, self.step, present, absent)
        if state.clock[0] < len(state.ring):
            return _WARMING, _WARMING
        median, sd = median_and_sd(state.posterior)
        return (median, sd) if sd <= self.max_sd else (_POOR, _POOR)


def take_samples(state: TrackerState, x: Array) -> None:
    """Filter samples, shape (n, channels), and find the beats in them."""
    start = int(state.clock[0])
    both = np.concatenate([state.pulses, state.axes])
    passed = run(*state.filters, np.ascontiguousarray(x[:, both]))
    size = len(state.ring)
    newest = passed[-size:]
    rows = np.arange(start + len(x) - len(newest), start + len(x)) % size
    state.ring[rows] = newest
    for k, column in enumerate(state.pulses.tolist()):
        wave = read_only(np.ascontiguousarray(x[:, column : column + 1]))
        y = BeatDetection().process(state.detectors[k], wave)
        for i in np.flatnonzero(~np.isnan(y[:, 0])).tolist():
            state.beats[k, :, :-1] = state.beats[k, :, 1:]
            state.beats[k, :, -1] = (start + i) / state.rate + y[i, 0], y[i, 2]
    state.clock[0] += len(x)


def newest_window(state: TrackerState) -> PulseWindow | None:
    """Return the window up to the newest sample; None if too much is missing."""
    size = len(state.ring)
    samples = np.roll(state.ring, -(int(state.clock[0]) % size), axis=0)
    lost = np.isnan(samples)
    share = lost.mean(axis=0)
    pulses = np.flatnonzero(share[: len(state.pulses)] <= _LOST)
    if not len(pulses):
        return None
    filled = np.where(lost, 0.0, samples)
    axes = np.arange(len(state.pulses), len(share))
    if len(axes) and share[axes].max() > _LOST:
        axes = axes[:0]
    end = int(state.clock[0]) / state.rate
    begin = end - size / state.rate
    beats = state.beats[pulses]
    rates = [beat_rate(times, sure, begin, end) for times, sure in beats]
    return PulseWindow(filled[:, pulses], filled[:, axes], np.array(rates))


def _columns(info: StreamInfo) -> tuple[list[int], list[int]]:
    """Return the columns of the pulse waves and of the acceleration."""
    pulses = [i for i, c in enumerate(info.channels) if c.kind == "bio"]
    axes = [i for i, c in enumerate(info.channels) if c.unit == "g"]
    return pulses, axes


def at_rest() -> Array:
    """Return the distribution before any sample, shape (2, rates)."""
    mean, sd = _AT_REST
    density = np.exp(-0.5 * ((RATES - mean) / sd) ** 2)
    return np.tile(0.5 * density / density.sum(), (2, 1))


@lru_cache
def _transition(step: float, jump: float) -> Array:
    """Return the probability of each rate (row) after each other (column)."""
    distance = np.abs(RATES[:, np.newaxis] - RATES)
    near = np.exp(-distance / step)
    return np.asarray((1 - jump) * near / near.sum(axis=0) + jump / len(RATES))


def advance(
    posterior: Array,
    seconds: float,
    present: Array | None = None,
    absent: float = 0.0,
) -> None:
    """Advance a distribution by a step and condition it on a window, in place.

    Parameters
    ----------
    posterior
        Probability of each rate with and without a pulse wave, shape (2, rates).
    seconds
        Duration of the step (s).
    present
        Log-likelihood of each rate, None without a window.
    absent
        Log-likelihood of the absence of a pulse wave.
    """
    tracked = _transition(_STEP * seconds, _JUMP * seconds) @ posterior[0]
    wandering = _transition(_WANDER * seconds, _WANDER_JUMP * seconds) @ posterior[1]
    switch = _SWITCH * seconds
    posterior[0] = (1 - switch) * tracked + switch * wandering
    posterior[1] = (1 - switch) * wandering + switch * tracked
    if present is not None:
        largest = max(float(present.max()), absent)
        posterior[0] *= np.exp(present - largest)
        posterior[1] *= np.exp(absent - largest)
        posterior /= posterior.sum()


def median_and_sd(posterior: Array) -> tuple[float, float]:
    """Return the median rate, interpolated, and the standard deviation (1/min)."""
    density = posterior.sum(axis=0)
    mean = float(density @ RATES)
    sd = float(np.sqrt(density @ (RATES - mean) ** 2))
    cumulative = np.cumsum(density) / density.sum()
    return float(np.interp(0.5, cumulative, RATES + 0.5)), sd
