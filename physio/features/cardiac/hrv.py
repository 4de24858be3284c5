"""Heart rate variability (HRV): SDNN and band powers of RR intervals."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage
from physio.dsp.window import every
from physio.features.cardiac.heart_rate import check_beats, mark_column

Counts = npt.NDArray[np.int64]

MIN_WINDOW: Final = {"sdnn": 120.0, "hf": 60.0, "lf": 120.0, "lf/hf": 300.0}
"""Shortest permitted window (s) of each index."""

BANDS: Final = {"lf": (0.04, 0.15), "hf": (0.15, 0.40)}
"""Frequency bands (Hz) of the Task Force."""

_POOR: Final = MissingReason.POOR_QUALITY.nan
_WARMING: Final = MissingReason.WARMING_UP.nan
_RESAMPLING_RATE: Final = 4  # Hz, of the intervals in a spectrum


class RRIntervals(NamedTuple):
    """The newest beats: their times, and the RR intervals before them."""

    beats: Array  # (size, 3): time, interval (s), mark; beat k in row k % size
    clock: Counts  # (3,): samples, beats, outputs given
    hop: Fraction
    mark: int  # column that marks corrected beats; -1 for none


@dataclass(frozen=True)
class HRV(Stage):
    """Heart rate variability (HRV) of RR intervals; follows `BeatDetection`.

    ``sdnn`` (ms): standard deviation of accepted intervals, 120 s; ``hf`` and ``lf``
    (ms^2): power of the intervals from 0.15 to 0.40 Hz, 60 s, and from 0.04 to 0.15 Hz,
    120 s; ``corrected``: the proportion of intervals of the last 60 s that were not
    accepted as measured: they were corrected by `RRCorrection`, if it precedes this
    stage, or else excluded from ``sdnn`` and interpolated in the spectra. With
    ``ratio`` also ``lf/hf``, 300 s.

    Parameters
    ----------
    step
        Time from one output to the next (s).
    accepted
        Proportion of the beats in a window that must have an accepted interval.
    ratio
        Compute LF/HF as well. It is not a measure of autonomic balance [2]_, and is
        refused for wrist sensors.

    Notes
    -----
    From a pulse wave these are indices of *pulse-rate* variability, which movement and
    pulse transit time affect too. Spectra: intervals at their beats, linearly
    interpolated at 4 Hz, mean subtracted, Hann window, one-sided periodogram, summed
    over the band. Deviation from [1]_: windows of 60 and 120 s in place of 5 minutes.
    Each index is missing (warming up) until its own window has passed, and (poor
    quality) where the proportion of accepted beats is below ``accepted``, where they
    span less than four fifths of the window, or where their intervals fill less than
    0.64 of it (four fifths of four fifths). The delay is that of the beats.

    Shape (n, 4 or more) to (m, 4 or 5).

    References
    ----------
    .. [1] Task Force of the ESC and NASPE, Heart rate variability: standards of
       measurement, Circulation 93, 1996.
    .. [2] Billman, The LF/HF ratio does not accurately measure cardiac sympatho-vagal
       balance, Frontiers in Physiology 4, 2013.
    """

    step: float = 1.0
    accepted: float = 0.8
    ratio: bool = False

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a channel for each index."""
        purpose = "variability is read from beats, with their interval and confidence"
        check_beats(info, purpose, "interval", "confidence")
        if self.ratio and "wrist" in info.site:
            raise ValueError(
                f"LF/HF is not given from {info.name!r}, worn on the {info.site}: "
                f"leave ratio out"
            )
        source = info.channels[0]
        indices = [("sdnn", "ms", 120.0), ("hf", "ms^2", 60.0), ("lf", "ms^2", 120.0)]
        indices += [("corrected", "1", 60.0)]
        indices += [("lf/hf", "1", 300.0)] if self.ratio else []
        channels = (
            Channel(name, "misc", unit, source.delay, source.memory + width + 2.0)
            for name, unit, width in indices
        )
        return info.with_channels(info.rate / self.schedule(info).step, *channels)

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> tuple[RRIntervals, float]:
        """Return a state without beats, and the rate (Hz)."""
        hop = every(info, self.step).step
        beats = np.full((2048, 3), np.nan)
        state = RRIntervals(beats, np.zeros(3, np.int64), hop, mark_column(info))
        return state, float(info.rate)

    def process(self, state: tuple[RRIntervals, float], x: Array) -> Array:
        """Take in rows of a point stream; return the indices now due."""
        intervals, rate = state
        clock, out, done = intervals.clock, [], 0
        while True:
            due = -(
                (-int(clock[2]) * intervals.hop.numerator) // intervals.hop.denominator
            )
            stop = min(len(x), done + due - int(clock[0]) + 1)
            for i in np.flatnonzero(~np.isnan(x[done:stop, 0])) + done:
                at = (clock[0] + i - done) / rate + x[i, 0]
                put = 0.0 if intervals.mark < 0 else x[i, intervals.mark]
                intervals.beats[clock[1] % len(intervals.beats)] = at, x[i, 1], put
                clock[1] += 1
            clock[0] += stop - done
            done = stop
            if clock[0] != due + 1:
                break
            clock[2] += 1
            out.append(self._indices(intervals, due / rate))
        return np.array(out).reshape(len(out), 5 if self.ratio else 4)

    def _indices(self, intervals: RRIntervals, now: float) -> list[float]:
        n = min(int(intervals.clock[1]), len(intervals.beats))
        rows = intervals.beats[
            np.arange(intervals.clock[1] - n, intervals.clock[1]) % len(intervals.beats)
        ]
        sdnn = self._index("sdnn", rows, now)
        hf, lf = self._index("hf", rows, now), self._index("lf", rows, now)
        recent = rows[rows[:, 0] > now - 60]
        part = 1 - float(_accepted(recent).mean()) if len(recent) > 1 else _POOR
        indices = [sdnn, hf, lf, part if now >= 60 else _WARMING]
        return [*indices, self._index("lf/hf", rows, now)] if self.ratio else indices

    def _index(self, name: str, rows: Array, now: float) -> float:
        """Return one index over its own window, (beats, 3) rows ending ``now``."""
        width = MIN_WINDOW[name]
        if now < width:
            return _WARMING
        rows = rows[rows[:, 0] > now - width]
        good = rows[~np.isnan(rows[:, 1])]
        accepted = int(_accepted(rows).sum())
        if accepted < 10 or accepted < self.accepted * len(rows):
            return _POOR
        if good[-1, 0] - good[0, 0] < 0.8 * width or good[:, 1].sum() < 0.64 * width:
            return _POOR
        if name == "sdnn":
            return float(1000 * good[:, 1].std(ddof=1))
        if name == "lf/hf":
            return _power(good, "lf") / max(_power(good, "hf"), 1e-9)
        return _power(good, name)


def _accepted(rows: Array) -> npt.NDArray[np.bool_]:
    """Return a mask of the beats whose interval was accepted as measured."""
    return ~np.isnan(rows[:, 1]) & (rows[:, 2] == 0)


def _power(good: Array, band: str) -> float:
    """Return the power (ms^2) of intervals, (beats, 3), in a band."""
    first, last = good[0, 0], good[-1, 0]
    t = first + np.arange(int((last - first) * _RESAMPLING_RATE) + 1) / _RESAMPLING_RATE
    v = np.interp(t, good[:, 0], 1000 * good[:, 1])
    window = np.hanning(len(t) + 1)[:-1]
    power = np.abs(np.fft.rfft((v - v.mean()) * window)) ** 2
    density = 2 * power / (_RESAMPLING_RATE * np.sum(window**2))
    f = np.arange(len(power)) * _RESAMPLING_RATE / len(t)
    low, high = BANDS[band]
    inside = (f >= low) & (f < high)
    return float(density[inside].sum() * _RESAMPLING_RATE / len(t))
