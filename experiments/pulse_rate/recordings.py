"""Wrist recordings with a reference of the pulse rate, all at 32 samples/s."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

import physio
from physio.core.block import Array, Block, Channel, StreamInfo

RATE: Final = 32  # Hz
WINDOW: Final = 8.0  # s, over which a reference is the mean
COVERED: Final = 0.75  # proportion of a window that the maker's intervals must fill


@dataclass(frozen=True)
class WristRecording:
    """Pulse waves and acceleration of a wrist.

    Parameters
    ----------
    name
        Name of the recording.
    pulse
        Pulse waves, shape (samples, channels).
    acceleration
        Acceleration (g), shape (samples, 3).
    reference
        Mean heart rate over the last 8 s at the end of each second (1/min): NaN where
        it is unknown, -1 where there is no pulse.
    """

    name: str
    pulse: Array
    acceleration: Array
    reference: Array

    @property
    def block(self) -> Block:
        """All samples, as the tracker reads them."""
        channels = [Channel(f"bvp{i}", "bio") for i in range(self.pulse.shape[1])]
        channels += [Channel(f"acc.{axis}", "misc", "g") for axis in "xyz"]
        info = StreamInfo("wrist.joined", Fraction(RATE), tuple(channels))
        data = np.hstack([self.pulse, self.acceleration])
        return Block(info, 0, 0.0, np.ascontiguousarray(data, np.float64))


def wristbands(data: Path) -> Iterator[WristRecording]:
    """Yield the wristbands of WESAD and Stress-Predict, with their own intervals.

    Parameters
    ----------
    data
        Folder with ``wesad`` and ``stress_predict``.
    """
    paths = [*sorted(data.glob("stress_predict/raw/*.zip"))]
    paths += sorted(data.glob("wesad/S*/*_E4_Data.zip"))
    for path in paths:
        yield wristband(path)


def laboratory(recording: WristRecording) -> str:
    """Return the data set of a wristband, by its name."""
    return "wesad" if recording.name.endswith("_E4_Data") else "stress_predict"


def wristband(path: Path) -> WristRecording:
    """Return an Empatica E4 export, with the maker's intervals as the reference."""
    recording = physio.read(path)
    begin = recording.begin
    waves = {name.partition(".")[2]: list(b) for name, b in recording.streams.items()}
    end = min(waves[kind][-1].complete_until for kind in ("bvp", "acc"))
    ticks = begin + np.arange(int((end - begin) * RATE)) / RATE
    pulse, acceleration = (_at(waves[kind], ticks) for kind in ("bvp", "acc"))
    given = [e for name, e in recording.events.items() if name.endswith(".ibi")]
    beats = [np.column_stack([e.times - begin, e.data[:, 0]]) for e in given]
    reference = interval_reference(
        np.vstack([np.empty((0, 2)), *beats]), len(ticks) // RATE
    )
    return WristRecording(path.stem, pulse, acceleration, reference)


def treadmill(data: Path) -> Iterator[WristRecording]:
    """Yield TROIKA: two pulse waves, acceleration, and the rate of a chest ECG.

    The reference is given every other second: NaN between.
    """
    from scipy.io import loadmat

    for path in sorted(data.glob("troika/DATA_*.mat")):
        signals = loadmat(path)["sig"][-5:]
        n = int(signals.shape[1] / 125 * RATE)
        at, old = np.arange(n) / RATE, np.arange(signals.shape[1]) / 125
        x = np.column_stack([np.interp(at, old, signal) for signal in signals])
        given = loadmat(path.with_name(path.name.replace("DATA", "REF")))["BPM0"][:, 0]
        reference = np.full(n // RATE, np.nan)
        seconds = 7 + 2 * np.arange(len(given))  # the first window ends after 8 s
        inside = seconds < len(reference)
        reference[seconds[inside]] = given[inside]
        yield WristRecording(path.stem[5:], x[:, :2], x[:, 2:], reference)


def interval_reference(intervals: Array, seconds: int) -> Array:
    """Return the mean rate of intervals that fill a window, at the end of each second.

    Parameters
    ----------
    intervals
        End (s) and duration (s) of each, shape (n, 2).
    seconds
        Number of seconds.
    """
    reference = np.full(seconds, np.nan)
    for i, end in enumerate(np.arange(1, seconds + 1).tolist()):
        first = np.searchsorted(intervals[:, 0], end - WINDOW)
        inside = intervals[first : np.searchsorted(intervals[:, 0], end), 1]
        if inside.sum() >= COVERED * WINDOW:
            reference[i] = 60 / inside.mean()
    return reference


def gap_reference(reference: Array) -> Array:
    """Return the reference inside gaps of 8 to 30 s whose ends agree to 6/min.

    It is interpolated, at least 4 s from both ends, and NaN elsewhere.
    """
    known = np.flatnonzero(np.isfinite(reference))
    inside = np.full(len(reference), np.nan)
    for a, b in zip(known[:-1].tolist(), known[1:].tolist(), strict=True):
        if 8 < b - a <= 30 and abs(reference[a] - reference[b]) <= 6:
            at = np.arange(a + 4, b - 3)
            inside[at] = np.interp(at, [a, b], reference[[a, b]])
    return inside


def _at(blocks: list[Block], ticks: Array) -> Array:
    """Return the newest sample at each tick; 0 before the first."""
    times = np.concatenate([block.times for block in blocks])
    data = np.vstack([block.data for block in blocks])
    newest = np.searchsorted(times, ticks, side="right") - 1
    return np.where(newest[:, np.newaxis] < 0, 0.0, data[np.maximum(newest, 0)])
