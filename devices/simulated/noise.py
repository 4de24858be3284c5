"""Reproducible random processes without end, generated segment by segment."""

from collections.abc import Callable
from typing import Final
from zlib import crc32

import numpy as np
from scipy.signal import bilinear_zpk, butter, sosfilt, zpk2sos

from physio.core.block import Array

SEGMENT: Final = 4
"""Length of a generated segment (s), independent of the times of reading."""


def random_stream(seed: int, purpose: str) -> np.random.Generator:
    """Return the random generator of one purpose for one participant."""
    return np.random.default_rng([seed, crc32(purpose.encode())])


class Noise:
    """Gaussian noise of unit variance, coloured by a filter.

    Parameters
    ----------
    rng
        Random generator.
    sos
        Filter in second-order sections, in SciPy's format.
    settle
        Length of the filter's transient in samples; it begins settled.
    width
        Number of independent processes.
    """

    def __init__(
        self, rng: np.random.Generator, sos: Array, settle: int, width: int = 1
    ) -> None:
        impulse = np.zeros(settle)
        impulse[0] = 1.0
        self._rng, self._sos, self._width = rng, sos, width
        self._gain = 1 / np.sqrt(np.sum(sosfilt(sos, impulse) ** 2))
        self._zi = np.zeros((len(sos), 2, width))
        self.take(settle)

    def take(self, n: int) -> Array:
        """Return the next ``n`` samples, shape (n, width)."""
        white = self._rng.standard_normal((n, self._width))
        y, self._zi = sosfilt(self._sos, white, axis=0, zi=self._zi)
        return np.asarray(y * self._gain)


def wander(rng: np.random.Generator, tau: float, rate: float, width: int = 1) -> Noise:
    """Return an Ornstein-Uhlenbeck process with time constant ``tau`` (s)."""
    pole = np.exp(-1 / (tau * rate))
    sos = np.array([[1.0, 0.0, 0.0, 1.0, -pole, 0.0]])
    return Noise(rng, sos, int(8 * tau * rate) + 1, width)


def drift(rng: np.random.Generator, tau: float, rate: float, width: int = 1) -> Noise:
    """Return an Ornstein-Uhlenbeck process, low-pass filtered once more."""
    pole = np.exp(-1 / (tau * rate))
    sos = np.array([[1.0, 0.0, 0.0, 1.0, -2 * pole, pole**2]])
    return Noise(rng, sos, int(12 * tau * rate) + 1, width)


def rhythm(
    rng: np.random.Generator, freq: float, band: float, rate: float, width: int = 1
) -> Noise:
    """Return a rhythm at ``freq`` Hz, ``band`` Hz wide, from a resonant filter."""
    pole = np.exp(-np.pi * band / rate)
    turn = 2 * np.pi * freq / rate
    sos = np.array([[1.0, 0.0, -1.0, 1.0, -2 * pole * np.cos(turn), pole**2]])
    return Noise(rng, sos, int(4 * rate / band) + 1, width)


def scale_free(
    rng: np.random.Generator, slope: float, rate: float, width: int = 1
) -> Noise:
    """Return noise whose power falls as 1 / f ** slope from 0.5 Hz on.

    Real poles an octave apart, each with a zero ``slope / 2`` octaves above it, give
    that fall to within some tenths of a decibel.
    """
    poles = 0.5 * 2.0 ** np.arange(0, np.log2(rate / 2) + 1)
    zeros = poles * 2.0 ** (slope / 2)
    warp = [
        2 * rate * np.tan(np.pi * np.minimum(f / rate, 0.49)) for f in (zeros, poles)
    ]
    sos = zpk2sos(*bilinear_zpk(-warp[0], -warp[1], 1.0, fs=rate))
    return Noise(rng, sos, int(8 * rate), width)


def band(
    rng: np.random.Generator, low: float, high: float, rate: float, width: int = 1
) -> Noise:
    """Return noise between two frequencies (Hz), the upper below half the rate."""
    edges = (low, min(high, 0.45 * rate))
    sos = butter(1, edges, "bandpass", fs=rate, output="sos")
    return Noise(rng, sos, int(4 * rate / low) + 1, width)


class Lag:
    """First-order lag with time constant ``tau`` (s), settled at the beginning."""

    def __init__(self, tau: float, rate: float) -> None:
        pole = np.exp(-1 / (tau * rate)) if tau > 0 else 0.0
        self._sos = np.array([[1 - pole, 0.0, 0.0, 1.0, -pole, 0.0]])
        self._pole = pole
        self._zi: Array | None = None

    def follow(self, x: Array) -> Array:
        """Return the lagged ``x``, shape (n, width)."""
        if self._zi is None:
            self._zi = np.zeros((1, 2, x.shape[1]))
            self._zi[0, 0] = self._pole * x[0]
        y, self._zi = sosfilt(self._sos, x, axis=0, zi=self._zi)
        return np.asarray(y)


class Arrivals:
    """Random events at a varying rate, at least ``apart`` s apart."""

    def __init__(
        self, rng: np.random.Generator, apart: float = 0.0, most: float = 1.0
    ) -> None:
        self._rng, self._apart, self._most = rng, apart, most
        self._last = -np.inf

    def take(self, begin: float, rate: Callable[[Array], Array]) -> Array:
        """Return the event times of the segment at ``begin``, at ``rate(t)`` (Hz)."""
        n = self._rng.poisson(self._most * SEGMENT)
        times = begin + SEGMENT * np.sort(self._rng.random(n))
        chance = self._rng.random(n) * self._most
        times_apart = []
        for t in times[chance < rate(times)]:
            if t - self._last >= self._apart:
                times_apart.append(t)
                self._last = t
        return np.array(times_apart)


def rounded(x: Array, step: float) -> Array:
    """Return ``x`` quantized in steps of ``step``."""
    return np.ascontiguousarray(np.round(x / step) * step)
