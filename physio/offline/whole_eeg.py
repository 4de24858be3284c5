"""Band power of EEG in a whole record."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.signal import butter, detrend, sosfiltfilt

from physio.core.block import Array, Block, Channel
from physio.features.eeg.differential_entropy import BANDS
from physio.offline.whole_record import WholeSignal, filled, whole_signal
from physio.quality.range_checks import EegQuality

Rows = npt.NDArray[np.int64]

EPOCH: Final = 2.0
"""Length of an epoch (s); epochs overlap by half."""

PASS: Final = 1.0, 49.0
"""Frequencies in which the range of an epoch is judged (Hz)."""


def analyze_eeg(
    blocks: Sequence[Block], electrodes: Sequence[Channel], largest: float
) -> pd.DataFrame:
    """Return the power (uV^2) of each electrode and band in epochs of 2 s.

    Parameters
    ----------
    blocks
        The stream.
    electrodes
        Its electrodes, in uV, as recorded: nothing is referenced again.
    largest
        Greatest range of an epoch from 1 to 49 Hz (uV); above it the epoch is an
        artifact of that electrode.

    Returns
    -------
    DataFrame
        By the middle of the epoch: ``<band>/<electrode>``, NaN in an epoch with a
        missing sample or an artifact, and ``artifact/<electrode>``. Bands that reach
        half the sampling rate are absent. The last epoch ends with the record.

    Notes
    -----
    Hann window and linear detrending in each epoch; the power of a band is the sum of
    the periodogram from its lower to below its upper edge (Welch's method).
    """
    parts = [whole_signal(blocks, e, EegQuality()) for e in electrodes]
    rate, time = parts[0].rate, parts[0].time
    width = round(EPOCH * rate)
    starts: Rows = np.arange(0, len(time) - width + 1, max(width // 2, 1))
    if len(time) > width and starts[-1] + width < len(time):
        starts = np.append(starts, len(time) - width)
    bands = [b for b in BANDS if 2 * b[2] < rate]
    columns: dict[str, Array] = {}
    for part in parts:
        power, artifact = _epochs(part, starts, width, bands, largest)
        name = part.channel.name
        columns |= {f"{b[0]}/{name}": p for b, p in zip(bands, power.T, strict=True)}
        columns[f"artifact/{name}"] = artifact
    middle = time[starts] + (width - 1) / 2 / rate if len(starts) else np.empty(0)
    return pd.DataFrame(columns, index=pd.Index(middle, name="time"))


def _epochs(
    signal: WholeSignal,
    starts: Rows,
    width: int,
    bands: Sequence[tuple[str, float, float]],
    largest: float,
) -> tuple[Array, Array]:
    """Return the power of each epoch and band, and the epochs with an artifact."""
    power = np.full((len(starts), len(bands)), np.nan)
    artifact = np.zeros(len(starts), bool)
    if not len(starts):
        return power, artifact
    high = min(PASS[1], 0.45 * signal.rate)
    sos = butter(4, (PASS[0], high), "bandpass", fs=signal.rate, output="sos")
    values = filled(signal.values)
    pad = min(round(2 * signal.rate), len(values) - 1)
    passed = np.asarray(sosfiltfilt(sos, values - np.median(values), padlen=pad))
    window = np.hanning(width + 1)[:-1]
    f = np.fft.rfftfreq(width, 1 / signal.rate)
    for i, start in enumerate(starts.tolist()):
        rows = slice(start, start + width)
        lost = np.isnan(signal.values[rows]).any()
        artifact[i] = signal.artifact[rows].any() or (
            not lost and np.ptp(passed[rows]) > largest
        )
        if lost or artifact[i]:
            continue
        spectrum = np.abs(np.fft.rfft(detrend(signal.values[rows]) * window)) ** 2
        spectrum *= 2 / (width * np.sum(window**2))
        power[i] = [spectrum[(f >= lo) & (f < hi)].sum() for _, lo, hi in bands]
    return power, artifact
