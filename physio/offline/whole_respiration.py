"""Breathing of a whole record: from a belt, or derived from heart beats."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt

from physio.core.block import Array, Block, Channel
from physio.features.respiration.ecg_derived import spectral_peak
from physio.offline.whole_record import (
    WholeSignal,
    between_samples,
    binned,
    filled,
    whole_signal,
)

BREATHING: Final = 0.05, 0.8
"""Frequencies of breaths that are counted (Hz): 3 to 48 per minute."""

_STEP: Final = 0.1  # s from value to value of a belt
_DEPTH: Final = 0.35  # of the usual range around, that a breath has at least
_AROUND: Final = 60.0  # s of the usual range, and of beats
_DERIVED_STEP: Final = 1.0  # s
_RESAMPLED: Final = 4.0  # Hz
_CLEAR: Final = 0.6
_COVERED: Final = 0.8


def analyze_belt(
    blocks: Sequence[Block], channel: Channel
) -> tuple[WholeSignal, pd.DataFrame]:
    """Return the signal of a respiration sensor, and its track every 0.1 s.

    The track has ``breathing``, the signal from 0.05 to 0.8 Hz (zero phase), and
    ``respiration_rate`` (1/min): 60 over the time from trough to trough, NaN outside of
    whole breaths and over missing samples. A breath has at least 0.35 times the range
    that is usual in the minute around it. At both ends, the part before the first and
    after the last trough has no rate.
    """
    signal = binned(whole_signal(blocks, channel), _STEP)
    values = filled(signal.values)
    sos = butter(2, BREATHING, "bandpass", fs=signal.rate, output="sos")
    pad = min(round(20 / _STEP), len(values) - 1)
    wave = np.asarray(sosfiltfilt(sos, values - np.median(values), padlen=pad))
    rate = np.full(len(wave), np.nan)
    power = uniform_filter1d(wave**2, round(_AROUND / _STEP), mode="nearest")
    usual = 2 * np.sqrt(2 * np.maximum(power, 1e-300))
    troughs, _ = find_peaks(
        -wave, prominence=_DEPTH * usual, distance=round(0.8 / BREATHING[1] / _STEP)
    )
    fine = between_samples(-wave, troughs).tolist()
    pairs = zip(pairwise(troughs.tolist()), pairwise(fine), strict=True)
    for (first, last), (begin, end) in pairs:
        length = (end - begin) * _STEP
        if length <= 1 / BREATHING[0] and np.isfinite(signal.values[first:last]).all():
            rate[first:last] = 60 / length
    wave[np.isnan(signal.values)] = np.nan
    track = pd.DataFrame(
        {"breathing": wave, "respiration_rate": rate, "artifact": signal.artifact},
        index=pd.Index(signal.time, name="time"),
    )
    return signal, track


def derived_respiration(beats: pd.DataFrame, begin: float, end: float) -> pd.Series:
    """Return the respiratory rate (1/min) that beats tell, each second.

    It is the frequency of the largest variation of intervals from 9 to 30 per minute in
    the 60 s around, fewer at the ends and at least 32, if 60 % of the variation lie
    there: see `physio.features.respiration.ecg_derived.EcgDerivedRespiration`. NaN in
    other cases; slower breathing cannot be derived.
    """
    time = np.arange(begin, end + _DERIVED_STEP / 2, _DERIVED_STEP)
    rate = np.full(len(time), np.nan)
    good = beats[beats["accepted"]]
    rows = good[["time", "interval", "amplitude"]].to_numpy(float)
    for i, t in enumerate(time.tolist()):
        first, last = np.searchsorted(rows[:, 0], (t - _AROUND / 2, t + _AROUND / 2))
        window = rows[first:last]
        if len(window) >= 20 and window[-1, 0] - window[0, 0] >= 32 * _COVERED:
            covered = window[:, 1].sum() / (window[-1, 0] - window[0, 0])
            if covered >= _COVERED:
                rate[i] = _spectral_rate(window)
    return pd.Series(rate, pd.Index(time, name="time"), name="respiration_rate")


def _spectral_rate(window: Array) -> float:
    t = np.arange(window[0, 0], window[-1, 0], 1 / _RESAMPLED)
    fastest = min(0.5, 0.5 / float(np.median(window[:, 1])))
    rate = spectral_peak(np.interp(t, window[:, 0], window[:, 1]), fastest, _CLEAR)
    if np.isnan(rate) or not np.isfinite(window[:, 2]).all():
        return 60 * rate
    other = spectral_peak(np.interp(t, window[:, 0], window[:, 2]), fastest, _CLEAR)
    if np.isnan(other):
        return 60 * rate
    return 30 * (rate + other) if abs(rate - other) <= 3 / 60 else np.nan
