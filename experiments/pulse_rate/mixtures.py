"""Clean pulse waves of one participant with movement artifacts of another."""

from dataclasses import replace
from typing import Final

import numpy as np
from scipy.signal import butter, sosfiltfilt

from experiments.pulse_rate.recordings import RATE, WristRecording
from physio.core.block import Array

RATIOS: Final = (6.0, 0.0, -6.0)
"""Power of the pulse wave over that of the artifact, from 0.5 to 8 Hz (dB)."""

_MOST_MOVED: Final = 0.1  # of all starts, those with the most movement are drawn from
_BAND: Final = butter(2, (0.5, 8.0), "bandpass", fs=RATE, output="sos")


def mixed(
    clean: WristRecording, other: WristRecording, ratio: float, seed: int
) -> WristRecording:
    """Return a clean pulse wave with an artifact of another participant.

    The artifact is a stretch of the other's wristband, drawn from the tenth with the
    most movement, with the acceleration of that stretch. It contains the other's own
    pulse, as far as that is visible in such movement.

    Parameters
    ----------
    clean
        The recording with a reference.
    other
        A longer recording.
    ratio
        Power of the pulse wave over that of the artifact, from 0.5 to 8 Hz (dB).
    seed
        Seed of the choice of the stretch.
    """
    n = len(clean.pulse)
    starts = np.arange(0, len(other.pulse) - n, 8 * RATE)
    moved = [_movement(other.acceleration[s : s + n]) for s in starts.tolist()]
    candidates = starts[np.argsort(moved)[-max(1, int(_MOST_MOVED * len(starts))) :]]
    start = int(np.random.default_rng(seed).choice(candidates))
    artifact = other.pulse[start : start + n, 0]
    scale = _strength(clean.pulse[:, 0]) / _strength(artifact) * 10 ** (-ratio / 20)
    wave = clean.pulse[:, 0] + scale * (artifact - artifact.mean())
    return replace(
        clean,
        name=f"{clean.name} {ratio:+g} dB",
        pulse=wave[:, np.newaxis],
        acceleration=other.acceleration[start : start + n],
    )


def _movement(acceleration: Array) -> float:
    """Return the median over 8 s windows of the standard deviation (g)."""
    windows = acceleration[: len(acceleration) // (8 * RATE) * 8 * RATE]
    variance = windows.reshape(-1, 8 * RATE, 3).var(axis=1).sum(axis=1)
    return float(np.median(np.sqrt(variance)))


def _strength(wave: Array) -> float:
    """Return the standard deviation of a wave from 0.5 to 8 Hz."""
    return float(np.std(sosfiltfilt(_BAND, wave))) + 1e-12
