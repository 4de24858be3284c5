"""Status of each channel over the last seconds: good, flat, railed, electrode off."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage
from physio.dsp.window import every

CONDITIONS: Final = (
    "good",
    "missing",
    "railed",
    "electrode off",
    "flat",
    "out of range",
    "line noise",
    "muscle",
    "blink",
)
"""Values of ``condition``, by number; `BAD` of them are bad."""

BAD: Final = frozenset(CONDITIONS[1:7])

FIGURES: Final = ("condition", "present", "mean", "range", "mains", "fast")

_WARMING: Final = MissingReason.WARMING_UP.nan
_UNITS: Final = {"uV": 1.0, "mV": 1e3, "V": 1e6}
_RAILED: Final = 0.05  # of the samples, at the very end of the range
_DISTINCT: Final = 20  # values; fewer are a converter's steps, not a rail
_FRONTAL: Final = ("Fp", "AF")


class StatusLimits(NamedTuple):
    """Limits of one kind of channel, in uV, uS, degC; infinite without a limit.

    ``flat`` is the least range (0: the signal must change; negative: it may be
    constant), ``wild`` the greatest range; ``low`` and ``high`` bound the mean,
    ``rail`` any sample, ``hum`` the amplitude of the mains (an open input), ``fast``
    the amplitude between 20 and 45 Hz, ``blink`` the range of frontal electrodes.
    """

    flat: float = 0.0
    wild: float = np.inf
    low: float = -np.inf
    high: float = np.inf
    rail: float = np.inf
    hum: float = np.inf
    fast: float = np.inf
    blink: float = np.inf


_KINDS: Final = {
    "eeg": StatusLimits(0.5, 500.0, rail=187312.0, hum=100.0, fast=10.0, blink=100.0),
    "ecg": StatusLimits(50.0, 10_000.0, hum=1000.0),
    "gsr": StatusLimits(0.0, low=0.05, high=60.0),
    "temperature": StatusLimits(-1.0, low=27.0, high=40.0),
    "bio": StatusLimits(0.0),
    "resp": StatusLimits(0.0),
}
_OTHER: Final = StatusLimits(-1.0)
_VARYING: Final = StatusLimits(0.0)
_CLIPPED: Final = 1.9  # g, end of the smallest range of an accelerometer, 2 g


class SampleWindow(NamedTuple):
    """The newest samples."""

    ring: Array  # (window, channels): sample i in row i % window
    clock: npt.NDArray[np.int64]  # (2,): samples, outputs
    hop: Fraction
    rate: float
    channels: tuple[Channel, ...]


@dataclass(frozen=True)
class ChannelStatus(Stage):
    """Status of each channel over the last seconds, once a second.

    It serves the check of all channels before a session and their monitoring during the
    session. Output for each channel: ``condition`` (the number of one of `CONDITIONS`),
    ``present`` (the proportion of its samples that are not missing, 1), ``mean`` and
    ``range`` (unit of the channel), ``mains`` (root mean square within 1 Hz of the
    mains) and ``fast`` (root mean square from 20 to 45 Hz without it, same unit).
    Output channels are named ``condition.<channel>`` and so on.

    Parameters
    ----------
    mains
        Frequency of the mains (Hz).
    window
        Length of the window (s).
    min_valid
        Proportion of the samples that must be present.

    Notes
    -----
    The condition is the first of these that applies:

    *missing*: fewer than ``min_valid`` of the samples. *Railed*: EEG within a
    thousandth of 187.5 mV (ADS1299 at gain 24, Texas Instruments SBAS499); any kind of
    channel: more than 5 % of the samples in runs at the highest or lowest of at least
    20 distinct values (ours), movement only near the end of its range. *Electrode off*:
    mains above 100 uV (EEG) or 1 mV (ECG), which only an open input picks up (ours);
    skin conductance below 0.05 uS [1]_; skin below 27 degC (see `WearDetection`).
    *Flat*: EEG ranges over less than 0.5 uV (BrainVision Analyzer's raw data
    inspection), an ECG over less than 50 uV (ours); skin conductance, pulse and belt do
    not change at all; temperature may be constant. *Out of range*: EEG ranges over more
    than 500 uV, an ECG over more than 10 mV (IEC 60601-2-27: plus and minus 5 mV); skin
    above 60 uS [1]_, temperature above 40 degC [1]_. *Line noise*: the mains exceed all
    other frequencies from 1 to 45 Hz (ours). *Muscle*: more than 10 uV from 20 to 45
    Hz, the band of muscle activity [2]_; 99.9 % of 13,680 stretches of 4 s of 24
    participants at rest and during arithmetic are below this limit (eegmat). *Blink*: a
    frontal electrode ranges over more than 100 uV; this is not a fault.

    Spectra: mean subtracted, Hann window, lost samples replaced by the mean. Bands
    above half the sampling rate are 0. The delay is half of ``window``.

    Shape (n, channels) to (m, 6 channels). Deviations are those marked as ours.

    References
    ----------
    .. [1] Kleckner et al., Simple, transparent, and flexible automated quality
       assessment procedures for ambulatory electrodermal activity data, IEEE
       Transactions on Biomedical Engineering 65, 2018.
    .. [2] Goncharova et al., EMG contamination of EEG: spectral and topographical
       characteristics, Clinical Neurophysiology 114, 2003.
    """

    mains: float = 50.0
    window: float = 4.0
    min_valid: float = 0.9

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return six figures of each channel."""
        state = self.initial_state(info)
        if not (0 < self.min_valid <= 1 and len(state.ring) >= 4 and self.mains > 0):
            raise ValueError(
                f"the status of {info.name!r} needs a window of 4 samples or more, "
                f"min_valid above 0 and mains above 0 Hz: {self.window:g} s, "
                f"{self.min_valid:g}, {self.mains:g} Hz"
            )
        out = []
        for figure in FIGURES:
            for c in info.channels:
                unit = "1" if figure in FIGURES[:2] else c.unit
                late, span = c.delay + self.window / 2, c.memory + self.window
                out.append(Channel(f"{figure}.{c.name}", "misc", unit, late, span))
        return info.with_channels(info.rate / self.schedule(info).step, *out)

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every second."""
        return every(info, 1.0)

    def initial_state(self, info: StreamInfo) -> SampleWindow:
        """Return an empty memory."""
        n = int(info.rate * Fraction(str(self.window)))
        return SampleWindow(
            np.full((n, len(info.channels)), _WARMING),
            np.zeros(2, np.int64),
            self.schedule(info).step,
            float(info.rate),
            info.channels,
        )

    def process(self, state: SampleWindow, x: Array) -> Array:
        """Take in ``x``; return the figures now due."""
        rows, done = [], 0
        while True:
            k, hop = int(state.clock[1]), state.hop
            due = -((-k * hop.numerator) // hop.denominator)
            stop = min(done + due - int(state.clock[0]) + 1, len(x))
            _append(state, x[done:stop])
            done = stop
            if state.clock[0] != due + 1:
                break
            state.clock[1] += 1
            rows.append(self._row(state))
        width = len(FIGURES) * len(state.channels)
        return np.array(rows).reshape(len(rows), width)

    def _row(self, state: SampleWindow) -> Array:
        y = np.empty((len(FIGURES), len(state.channels)))
        if state.clock[0] < len(state.ring):
            return np.full(y.size, _WARMING)
        values = np.roll(state.ring, -int(state.clock[0]) % len(state.ring), axis=0)
        power, f = _spectrum(values, state.rate)
        line = np.abs(f - self.mains) <= 1
        bands = [line, (f >= 20) & (f <= 45) & ~line, (f >= 1) & (f <= 45) & ~line]
        sums = np.array([np.sqrt(power[b].sum(axis=0)) for b in bands])
        for c, channel in enumerate(state.channels):
            y[:, c] = self._status(values[:, c], sums[:, c], channel)
        return y.ravel()

    def _status(self, x: Array, sums: Array, channel: Channel) -> list[float]:
        there = np.isfinite(x)
        present = x[there]
        if not len(present):
            return [
                float(x[-1]) if np.isnan(x[-1]) else MissingReason.POOR_QUALITY.nan
            ] * 6
        limits = _limits(channel)
        scale = _UNITS.get(channel.unit, 1.0)
        figures = [float(present.mean()), float(np.ptp(present)), *sums[:2].tolist()]
        if there.mean() < self.min_valid:
            name = "missing"
        else:
            frontal = channel.name.startswith(_FRONTAL)
            name = _first_condition(
                present * scale, figures, sums * scale, limits, frontal, scale
            )
        return [float(CONDITIONS.index(name)), float(there.mean()), *figures]


def _limits(channel: Channel) -> StatusLimits:
    """Return the limits of a channel; of one in no known unit, that it must vary."""
    limits = _KINDS.get(channel.kind, _OTHER)
    is_voltage = channel.kind in ("eeg", "ecg")
    return _VARYING if is_voltage and channel.unit not in _UNITS else limits


def _append(state: SampleWindow, x: Array) -> None:
    keep = x[-len(state.ring) :]
    first = int(state.clock[0]) + len(x) - len(keep)
    state.ring[np.arange(first, first + len(keep)) % len(state.ring)] = keep
    state.clock[0] += len(x)


def _spectrum(values: Array, rate: float) -> tuple[Array, Array]:
    """Return power (unit squared), shape (f, channels), and its frequencies."""
    there = np.isfinite(values)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, values, 0.0).sum(axis=0) / count
    y = np.where(there, values - mean, 0.0)
    window = np.hanning(len(y) + 1)[:-1]
    power = 2 * np.abs(np.fft.rfft(y * window[:, None], axis=0)) ** 2
    f = np.arange(len(power)) * rate / len(y)
    return power / (len(y) * np.sum(window**2)), f


def _first_condition(
    x: Array,
    figures: list[float],
    sums: Array,
    limits: StatusLimits,
    frontal: bool,  # noqa: FBT001
    scale: float,
) -> str:
    """Return the first condition that applies, from values in the limits' unit."""
    mean, spread = figures[0] * scale, figures[1] * scale
    line, fast, slow = sums.tolist()
    alike = np.flatnonzero(np.diff(x) == 0)
    ends = np.isin(x[alike], (x.max(), x.min())).sum() / len(x)
    can_rail = limits is not _OTHER or np.abs(x).max() >= _CLIPPED
    is_at_end = can_rail and ends > _RAILED and len(np.unique(x)) >= _DISTINCT
    first = {
        "railed": np.abs(x).max() >= limits.rail or is_at_end,
        "electrode off": line > limits.hum or mean < limits.low,
        "flat": spread < limits.flat or (limits.flat == 0 and spread == 0),
        "out of range": spread > limits.wild or mean > limits.high,
        "line noise": line > slow > 0 and limits.hum < np.inf,
        "muscle": fast > limits.fast,
        "blink": frontal and spread > limits.blink,
    }
    return next((name for name, applies in first.items() if applies), "good")
