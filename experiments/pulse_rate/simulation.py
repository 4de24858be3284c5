"""Simulated pulse waves under movement, and noise of a band that is not worn."""

from typing import Final

import numpy as np

from experiments.pulse_rate.recordings import RATE, WristRecording
from physio.core.block import Array

_RESTING: Final = 55.0, 85.0  # 1/min
_EXERCISE: Final = 55.0, 180.0
_CADENCE: Final = 35.0, 110.0


def simulated(seed: int, seconds: int = 120, *, pulse: bool = True) -> WristRecording:
    """Return a recording with phases of rest, periodic and irregular movement.

    The heart rate drifts towards a new level in each phase, with respiratory sinus
    arrhythmia. The pulse wave has three harmonics. Movement reaches it through a random
    filter of a quarter of a second per axis, with a part that the acceleration does not
    show, and noise with a random slope of its spectrum.

    Parameters
    ----------
    seed
        Seed of the random numbers.
    seconds
        Duration (s).
    pulse
        Whether the band is worn. If not, the signal is noise without relation to the
        acceleration.
    """
    rng = np.random.default_rng(seed)
    n = seconds * RATE
    t = np.arange(n) / RATE
    starts = np.sort(rng.uniform(0, seconds, 2))
    phase_of = np.asarray(np.searchsorted(starts, t), np.float64)
    frequency = _frequency(rng, phase_of, t)
    wave = _wave(rng, frequency) if pulse else np.zeros(n)
    acceleration = 0.004 * np.stack([_noise(rng, n, 0.3) for _ in range(3)])
    for phase in range(3):
        moved = _movement(rng, n)
        if moved is None:
            continue
        coupled = np.sum([_filtered(rng, axis) for axis in moved], axis=0)
        coupled = coupled / np.std(coupled)
        hidden = rng.uniform(0, 0.4) * _noise(rng, n, 0.5)
        inside = phase_of == phase
        if pulse:
            wave = wave + inside * _log_uniform(rng, 0.1, 4.0) * (coupled + hidden)
        acceleration = acceleration + inside * moved
    slope = rng.uniform(0, 1.0) if pulse else rng.uniform(0, 2.0)
    wave = wave + _log_uniform(rng, 0.05, 0.8) * _noise(rng, n, slope)
    heart_rate = 60 * frequency if pulse else np.full(n, -1.0)
    name = f"simulated-{seed}"
    return WristRecording(name, wave[:, np.newaxis], acceleration.T, _means(heart_rate))


def _frequency(rng: np.random.Generator, phase_of: Array, t: Array) -> Array:
    """Return the frequency of the heart (Hz)."""
    rates = [rng.uniform(*_RESTING), *rng.uniform(*_EXERCISE, 2)]
    levels = np.array(rates)[np.asarray(phase_of, np.int64)]
    rate = np.empty(len(t))
    current, keep = levels[0], np.exp(-1 / (rng.uniform(15, 40) * RATE))
    for i, level in enumerate(levels.tolist()):
        current = level + (current - level) * keep
        rate[i] = current
    knots = np.arange(0, t[-1] + 2, 2)
    rate += np.interp(t, knots, np.cumsum(rng.normal(0, 0.2, len(knots))))
    depth = rng.uniform(0, 0.05) * np.clip(1 - (rate - 60) / 60, 0, 1)
    breathing = np.sin(2 * np.pi * (rng.uniform(0.15, 0.35) * t + rng.random()))
    return np.asarray(np.clip(rate, 40, 200) / 60 * (1 + depth * breathing))


def _wave(rng: np.random.Generator, frequency: Array) -> Array:
    """Return a pulse wave with a standard deviation of 1."""
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    wave = np.cos(phase)
    for harmonic, most in ((2, 0.6), (3, 0.25)):
        shift = rng.uniform(0, 2 * np.pi)
        wave += rng.uniform(0.1 * most, most) * np.cos(harmonic * phase + shift)
    return np.asarray(wave / wave.std())


def _movement(rng: np.random.Generator, n: int) -> Array | None:
    """Return the acceleration of a movement (g), shape (3, n); None for rest."""
    kind = rng.choice(["rest", "periodic", "periodic", "irregular"])
    if kind == "rest":
        return None
    axes = np.stack([_noise(rng, n, rng.uniform(0, 1.0)) for _ in range(3)])
    if kind == "periodic":
        axes *= rng.uniform(0.05, 0.4)
        drift = 1 + 0.02 * _noise(rng, n, 1.0)
        phase = 2 * np.pi * np.cumsum(rng.uniform(*_CADENCE) / 60 * drift) / RATE
        for axis in axes:
            for harmonic in range(1, 6):
                size = rng.exponential() * (1.0 if harmonic <= 2 else 0.3)
                axis += size * np.cos(harmonic * phase + rng.uniform(0, 2 * np.pi))
        return np.asarray(axes / axes.std() * _log_uniform(rng, 0.05, 1.5))
    axes *= np.exp(1.2 * _noise(rng, n, 1.5))
    return np.asarray(axes / axes.std() * _log_uniform(rng, 0.02, 0.5))


def _filtered(rng: np.random.Generator, axis: Array) -> Array:
    """Return an axis through a random filter of a quarter of a second."""
    taps = rng.standard_normal(9) * np.hanning(11)[1:-1] * rng.exponential()
    return np.convolve(axis, taps, "same")


def _noise(rng: np.random.Generator, n: int, slope: float) -> Array:
    """Return noise with amplitudes that fall with a power of the frequency."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum /= np.maximum(np.fft.rfftfreq(n, 1 / RATE), 0.1) ** slope
    noise = np.fft.irfft(spectrum, n)
    return np.asarray((noise - noise.mean()) / noise.std())


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _means(rate: Array) -> Array:
    """Return the mean over the last 8 s at the end of each second."""
    total = np.concatenate([[0.0], np.cumsum(rate)])
    ends = np.arange(1, len(rate) // RATE + 1) * RATE
    begins = np.maximum(ends - 8 * RATE, 0)
    return np.asarray((total[ends] - total[begins]) / (ends - begins))
