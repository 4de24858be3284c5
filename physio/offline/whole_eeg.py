"""Band power of EEG in a whole record."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.signal import butter, detrend, sosfiltfilt

from physio.core.block import Array, Block, Channel
from physio.features.eeg.differential_entropy import BANDS
from physio.offline.whole_record import WholeSignal, filled, whole_signals
from physio.quality.range_checks import EegQuality

_AT_ONCE: Final = 1000  # epochs

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
    parts = whole_signals(blocks, electrodes, EegQuality())
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
    upper = min(PASS[1], 0.45 * signal.rate)
    sos = butter(4, (PASS[0], upper), "bandpass", fs=signal.rate, output="sos")
    values = filled(signal.values)
    pad = min(round(2 * signal.rate), len(values) - 1)
    passed = np.asarray(sosfiltfilt(sos, values - np.median(values), padlen=pad))
    window = np.hanning(width + 1)[:-1]
    f = np.fft.rfftfreq(width, 1 / signal.rate)
    for first in range(0, len(starts), _AT_ONCE):
        rows = starts[first : first + _AT_ONCE, None] + np.arange(width)
        x = signal.values[rows]
        lost = np.isnan(x).any(1)
        bad = signal.artifact[rows].any(1)
        bad |= ~lost & (np.ptp(passed[rows], axis=1) > largest)
        artifact[first : first + _AT_ONCE] = bad
        good = np.flatnonzero(~lost & ~bad)
        if not len(good):
            continue
        spectrum = np.abs(np.fft.rfft(detrend(x[good]) * window)) ** 2
        spectrum *= 2 / (width * np.sum(window**2))
        for k, (_, low, high) in enumerate(bands):
            inside = (f >= low) & (f < high)
            power[first + good, k] = spectrum[:, inside].sum(1)
    return power, artifact
