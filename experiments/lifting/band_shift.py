"""Simulated EEG of two conditions: power that moves inside one fixed band, or none."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import numpy as np

from experiments.lifting.lifting_rows import RATE, LabelledTrial
from physio.core.block import Array, Block, Channel, StreamInfo

ELECTRODES: Final = ("F3", "F4", "P3", "P4")
LOWER: Final = (15.0, 22.0)
UPPER: Final = (23.0, 30.0)
"""Parts of the beta band (Hz) between which power moves."""

_TRIALS: Final = (("rest 1", "rest", 20), ("rest 2", "rest", 24), ("task", "task", 24))
_PERSON_SD: Final = 0.4  # of the log power of a participant's bands of 1 Hz
_TRIAL_SD: Final = 0.3  # of the log power of a trial's bands of 1 Hz
_SMOOTH: Final = 3.0  # Hz, over which these deviations are smooth


def trials(
    dataset: str, people: int, shift: float, seed: int
) -> Iterator[LabelledTrial]:
    """Yield three trials of simulated participants: a baseline, rest and a task.

    The spectrum falls with the frequency; participants and trials have smooth random
    deviations. In the task, power at 15 to 22 Hz is larger by ``shift``, and power at
    23 to 30 Hz smaller, such that their sum is the same.

    Parameters
    ----------
    dataset
        Name of the data set.
    people
        Number of participants.
    shift
        Relative change of the power at 15 to 22 Hz; 0 for no difference.
    seed
        Seed of the participants.
    """
    channels = tuple(Channel(e, "eeg", "uV") for e in ELECTRODES)
    info = StreamInfo("simulated.eeg", Fraction(RATE), channels)
    for person in range(people):
        rng = np.random.default_rng((seed, person))
        usual = _deviations(rng, _PERSON_SD, 1) + _deviations(rng, 0.2, len(channels))
        for name, label, seconds in _TRIALS:
            log_power = usual + _deviations(rng, _TRIAL_SD, 1)
            power = np.exp(log_power) * spectrum(shift if label == "task" else 0.0)
            block = Block(info, 0, 0.0, _signal(rng, power, seconds * RATE))
            baseline = np.inf if name == "rest 1" else 0.0
            yield LabelledTrial(
                dataset, f"{seed}-{person}", name, label, baseline, block
            )


def spectrum(shift: float) -> Array:
    """Return the power at 0, 1, ... 64 Hz (uV^2), for a change of the lower part."""
    f = np.arange(RATE // 2 + 1.0)
    power = 100.0 / np.maximum(f, 1.0)
    power[0] = 0.0
    low, high = ((f >= a) & (f <= b) for a, b in (LOWER, UPPER))
    moved = shift * power[low].sum()
    power[low] *= 1 + shift
    power[high] *= 1 - moved / power[high].sum()
    return power


def _deviations(rng: np.random.Generator, sd: float, columns: int) -> Array:
    """Return smooth deviations of the log power, shape (columns, 65)."""
    n = RATE // 2 + 1
    apart = np.arange(n)[:, None] - np.arange(n)
    kernel = np.exp(-0.5 * (apart / _SMOOTH) ** 2)
    kernel /= np.sqrt((kernel**2).sum(axis=1, keepdims=True))
    return np.asarray(sd * rng.normal(size=(columns, n)) @ kernel.T)


def _signal(rng: np.random.Generator, power: Array, n: int) -> Array:
    """Return noise with a power spectrum, shape (n, electrodes)."""
    f = np.fft.rfftfreq(n, 1 / RATE)
    at = np.arange(power.shape[1])
    gains = np.sqrt([np.interp(f, at, p) for p in power]).T
    white = rng.normal(size=(n, len(power)))
    x = np.fft.irfft(np.fft.rfft(white, axis=0) * gains, n, axis=0)
    return np.ascontiguousarray(x, np.float64)
