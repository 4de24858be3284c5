"""Evidence for each pulse rate in a window of a pulse wave and of acceleration."""

from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array

RATES: Final = np.arange(30.0, 221.0)
"""Pulse rates that are distinguished (1/min)."""

MOVING: Final = 0.1
"""Standard deviation of the acceleration from which a window counts as moving (g)."""

SCORES: Final = "residual", "residual.second", "residual.half", "amplitude", "beats"
"""Scores of a rate, each once for a still and once for a moving window."""

ABSENCE: Final = "constant", "peak", "low", "beats", "entropy"
"""Scores of a window without a pulse wave."""

_LAGS: Final = (-0.125, -0.0625, 0.0, 0.0625, 0.125)  # s, of the acceleration
_RIDGE: Final = 1e-2  # of the mean power of the regressors
_NOISE: Final = 1e-6  # g^2, below which acceleration explains nothing
_SPECTRUM: Final = 36.0, 420.0  # 1/min, band to whose power a spectrum is normalized
_FLOOR: Final = 0.1  # of a normalized amplitude, added before the logarithm
_BEAT_WIDTH: Final = 2.0  # 1/min, standard deviation of the evidence of beats
_FEWEST_BEATS: Final = 3


class PulseWindow(NamedTuple):
    """A window of filtered samples."""

    pulse: Array  # (samples, pulse channels), 0 where lost
    acceleration: Array  # (samples, axes), 0 where lost; no axes if not measured
    beats: Array  # (pulse channels, 2): rate of the beats (1/min), share they cover


def scores(window: PulseWindow, rate: float) -> tuple[Array, Array]:
    """Return the scores of each rate and of the absence of a pulse wave.

    The pulse wave is the residual of its regression on the acceleration, now and up to
    0.125 s earlier and later. Its amplitude spectrum, normalized to the power from 36
    to 420 per minute, is read at the rate, at its double and at its half.

    Parameters
    ----------
    window
        The window.
    rate
        Sampling rate (Hz).

    Returns
    -------
    by_rate : ndarray, shape (rates, 2 * scores)
        `SCORES` for a still window, then for a moving window.
    absence : ndarray, shape (5,)
        `ABSENCE`.
    """
    moving = _moving(window.acceleration)
    frequency = np.asarray(60 * np.fft.rfftfreq(_padded(rate), 1 / rate), np.float64)
    spectrum = np.zeros(len(frequency))
    for wave in window.pulse.T:
        residual = _residual(wave, window.acceleration, rate)
        spectrum += _amplitudes(residual, frequency, rate) / window.pulse.shape[1]
    amplitude = np.interp(RATES, frequency, spectrum)
    by_beats, share = _beat_evidence(window.beats)
    parts = np.column_stack(
        [
            np.log(amplitude + _FLOOR),
            np.log(np.interp(2 * RATES, frequency, spectrum) + _FLOOR),
            np.log(np.interp(RATES / 2, frequency, spectrum) + _FLOOR),
            amplitude,
            np.log(by_beats + _FLOOR),
        ]
    )
    low = RATES < 45
    power = spectrum**2 / max(float(np.sum(spectrum**2)), 1e-12)
    absence = np.array(
        [
            1.0,
            np.log(amplitude[~low].max() + _FLOOR),
            np.log(amplitude[low].mean() + _FLOOR),
            share,
            -np.sum(power * np.log(power + 1e-12)),
        ]
    )
    return np.hstack([parts * (1 - moving), parts * moving]), absence


def _moving(acceleration: Array) -> float:
    """Return 0 for a still to 1 for a moving window; 0.5 without acceleration."""
    if not acceleration.shape[1]:
        return 0.5
    deviation = np.sqrt(np.sum(np.var(acceleration, axis=0)))
    return min(float(deviation) / MOVING, 1.0)


def _padded(rate: float) -> int:
    """Return the length of a transform with a line at least every 1/min."""
    return int(2 ** np.ceil(np.log2(60 * rate)))


def _residual(wave: Array, acceleration: Array, rate: float) -> Array:
    """Return what of a pulse wave the acceleration of the window does not explain."""
    wave = wave - wave.mean()
    if not acceleration.shape[1]:
        return wave
    lags = [round(lag * rate) for lag in _LAGS]
    columns = [np.roll(axis, lag) for axis in acceleration.T for lag in lags]
    regressors = np.column_stack(columns)
    regressors -= regressors.mean(axis=0)
    gram = regressors.T @ regressors
    ridge = _RIDGE * np.trace(gram) / len(gram) + _NOISE * len(wave)
    gram[np.diag_indices(len(gram))] += ridge
    return np.asarray(wave - regressors @ np.linalg.solve(gram, regressors.T @ wave))


def _amplitudes(wave: Array, frequency: Array, rate: float) -> Array:
    """Return the normalized amplitude spectrum of a wave."""
    windowed = (wave - wave.mean()) * np.hanning(len(wave))
    spectrum = np.abs(np.fft.rfft(windowed, _padded(rate)))
    low, high = _SPECTRUM
    inside = (frequency > low) & (frequency < high)
    spectrum[frequency > high + 20] = 0.0  # beyond twice the highest rate that matters
    scale = np.sqrt(np.mean(spectrum[inside] ** 2))
    return np.asarray(spectrum / (scale + 1e-12))


def _beat_evidence(beats: Array) -> tuple[Array, float]:
    """Return the evidence of the beats for each rate, and the share they cover."""
    evidence = np.zeros(len(RATES))
    for rate, share in beats.tolist():
        if share > 0:
            distance = (RATES - rate) / _BEAT_WIDTH
            evidence += share * np.exp(-0.5 * distance**2) / len(beats)
    return evidence, float(np.mean(beats[:, 1]))


def beat_rate(times: Array, confidence: Array, begin: float, end: float) -> Array:
    """Return the rate of the beats in a window, and the share of it that they cover.

    Parameters
    ----------
    times
        Times of the newest beats (s).
    confidence
        Confidence of each.
    begin, end
        The window (s): intervals count that end in it.

    Returns
    -------
    ndarray, shape (2,)
        60 over the mean interval (1/min) and the share; 0 with fewer than three
        intervals of confident beats, each from 0.3 to 2 s long.
    """
    intervals = np.diff(times)
    sure = np.minimum(confidence[1:], confidence[:-1]) > 0.7
    inside = (times[1:] > begin) & (times[1:] <= end)
    valid = intervals[sure & inside & (intervals > 0.3) & (intervals < 2.0)]
    if len(valid) < _FEWEST_BEATS:
        return np.zeros(2)
    return np.array([60 / valid.mean(), min(valid.sum() / (end - begin), 1.0)])
