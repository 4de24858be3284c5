"""Simulated people who differ in level and spectrum, and whose emotion shows."""

from typing import Final

import numpy as np
import scipy.signal

from experiments.anonymisation.recordings import Sensor, Session
from physio.core.block import Array

RATE: Final = 4
SECONDS: Final = 3600
EFFECT: Final = 1.5
"""Factor of the deviation of a signal in emotion, every second ten minutes."""

REST: Final = 600  # s


def simulated(
    n: int, seed: int, *, signatures: bool = True
) -> dict[tuple[str, str], Session]:
    """Return two sessions of people, each of an hour.

    Parameters
    ----------
    n
        Number of people.
    seed
        Seed of the people.
    signatures
        False for people who do not differ.
    """
    rng = np.random.default_rng(seed)
    sessions: dict[tuple[str, str], Session] = {}
    for person in range(n):
        level, peak, width = rng.normal(0, 1), rng.uniform(0.02, 0.5), 0.95
        if not signatures:
            level, peak = 0.0, 0.2
        for session in ("1", "2"):
            x = _resonance(rng.standard_normal(SECONDS * RATE), peak, width)
            x = level + x * np.where(emotional(len(x)), EFFECT, 1.0)
            sensor = Sensor(x, RATE, x[: REST * RATE], 60.0)
            sessions[f"P{person:02}", session] = {"signal": sensor}
    return sessions


def emotional(n: int) -> Array:
    """Return the mask of samples in emotion: every second ten minutes."""
    return np.arange(n) // (REST * RATE) % 2 == 1


def _resonance(noise: Array, peak: float, radius: float) -> Array:
    """Return noise with a peak in its spectrum (Hz), of standard deviation 1."""
    angle = 2 * np.pi * peak / RATE
    x = scipy.signal.lfilter(
        [1.0], [1.0, -2 * radius * np.cos(angle), radius**2], noise
    )
    return np.asarray(x / x.std())
