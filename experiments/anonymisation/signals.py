"""Signals whose level, spectrum and beat shape are moved to those of a population."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import scipy.signal

from physio.core.block import Array

_LIMIT: Final = 10.0
"""Largest gain or loss of a frequency at full strength."""

_PHASES: Final = 64


class Signature(NamedTuple):
    """Level and spectrum of a signal at rest.

    ``level``, in the signal's unit; ``frequencies`` (Hz) and ``power``, shape (f,).
    """

    level: float
    frequencies: Array
    power: Array


def signature(rest: Array, rate: float, segment: float) -> Signature:
    """Return the signature of a signal at rest, shape (n,).

    Parameters
    ----------
    rest
        The signal at rest.
    rate
        Sampling rate (Hz).
    segment
        Duration of the segments of the spectrum (Welch, s).
    """
    size = min(int(segment * rate), len(rest))
    frequencies, power = scipy.signal.welch(rest, rate, nperseg=size)
    return Signature(float(np.median(rest)), frequencies, power + 1e-12)


def population(signatures: Sequence[Signature]) -> Signature:
    """Return the mean level and the geometric mean spectrum of several people."""
    powers = np.log([s.power for s in signatures])
    level = float(np.mean([s.level for s in signatures]))
    return Signature(level, signatures[0].frequencies, np.exp(powers.mean(axis=0)))


def moved(x: Array, of: Signature, towards: Signature, strength: float) -> Array:
    """Return a signal with its level and spectrum moved towards a population's.

    A symmetric filter of the length of the spectrum's segments gives each frequency the
    gain that moves the person's rest to the population's rest. Changes from rest remain
    changes, at other gains.

    Parameters
    ----------
    x
        Whole signal, shape (n,); skin conductance as its logarithm.
    of, towards
        Signatures of the person and of the population, of equal segments.
    strength
        0, nothing is changed, to 1.
    """
    if strength == 0:
        return x.copy()
    gain = np.clip(np.sqrt(towards.power / of.power), 1 / _LIMIT, _LIMIT) ** strength
    gain[0] = gain[1]  # Welch removes the mean: the lowest frequency is not measured
    taps = np.fft.irfft(gain)
    taps = np.fft.fftshift(taps) * np.hanning(len(taps) + 1)[:-1]
    centred = x - of.level
    long = np.pad(centred, len(taps) // 2, mode="reflect")
    filtered = scipy.signal.oaconvolve(long, taps, mode="same")
    inner = filtered[len(taps) // 2 : len(taps) // 2 + len(x)]
    return np.asarray(inner + of.level + strength * (towards.level - of.level))


def beat_times(x: Array, rate: float) -> Array:
    """Return the indices of the onsets of pulse beats, shape (k,)."""
    band = scipy.signal.butter(2, (0.5, 5.0), "bandpass", fs=rate, output="sos")
    smooth = scipy.signal.sosfiltfilt(band, x)
    onsets, _ = scipy.signal.find_peaks(
        -smooth, distance=int(0.4 * rate), prominence=0.3 * np.std(smooth)
    )
    return onsets


def beat_shapes(x: Array, onsets: Array, rate: float) -> Array:
    """Return beats over their phase, from 0 to 1 in height, shape (k, 64).

    Beats shorter than 0.4 s or longer than 1.5 s do not count.
    """
    shapes = []
    for a, b in pairwise(onsets):
        if 0.4 <= (b - a) / rate <= 1.5:
            at = np.linspace(a, b, _PHASES)
            beat = np.interp(at, np.arange(a, b + 1), x[a : b + 1])
            shapes.append((beat - beat.min()) / max(np.ptp(beat), 1e-9))
    return np.array(shapes).reshape(-1, _PHASES)


def reshaped(
    x: Array, rate: float, template: Array, height: float, strength: float
) -> Array:
    """Return a pulse wave whose beats have the shape and height of a population.

    The times of the beats stay.

    Parameters
    ----------
    x
        Pulse wave, shape (n,).
    rate
        Sampling rate (Hz).
    template
        Shape of a beat, from 0 to 1, shape (64,).
    height
        Height of a beat of the population.
    strength
        0, nothing is changed, to 1.
    """
    out = x.astype(np.float64).copy()
    onsets = beat_times(x, rate)
    for a, b in pairwise(onsets):
        phase = np.linspace(0, _PHASES - 1, b - a, endpoint=False)
        beat = np.interp(phase, np.arange(_PHASES), template) * height
        out[a:b] = (1 - strength) * x[a:b] + strength * (beat - beat.mean())
    return out
