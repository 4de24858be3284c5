"""Skin conductance of a whole record: tonic and phasic part, responses (SCRs)."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from physio.core.block import Array, Block, Channel
from physio.features.eda.contact_artifacts import contact_gain, find_artifacts
from physio.features.eda.decomposition import MIN_NOISE, decompose
from physio.features.eda.scr_detection import responses
from physio.offline.whole_record import (
    Flags,
    WholeSignal,
    binned,
    runs_of,
    whole_signal,
)
from physio.quality.range_checks import EdaQuality

SCR_COLUMNS: Final = (
    *("onset", "stream", "channel", "peak", "amplitude"),
    *("rise_time", "half_recovery_time", "recovery", "baseline", "edited"),
)
_STEP: Final = 0.25  # s from value to value
_HUM: Final = 0.2  # s: whole periods of 50 and of 60 Hz
_LEAST: Final = 48  # values that the solver gets at least
_SHORT: Final = 120  # values
_MEDIAN_TO_SD: Final = 0.6745  # median absolute value of a normal one
_AROUND: Final = 5.0  # s before a fault that are masked, as those after it are


def analyze_skin(
    blocks: Sequence[Block], channel: Channel, threshold: float
) -> tuple[WholeSignal, pd.DataFrame, pd.DataFrame]:
    """Decompose the skin conductance of a whole record, and detect its responses.

    Parameters
    ----------
    blocks
        The stream.
    channel
        Its channel of skin conductance (uS).
    threshold
        Least amplitude of a response (uS).

    Returns
    -------
    signal
        Conductance every 0.25 s, NaN where it is missing or an artifact.
    parts
        ``conductance``, ``scl`` and ``phasic`` (uS), ``driver`` (uS/s), by time.
    scrs
        `SCR_COLUMNS`: times (s, session clock), amplitude (uS), durations (s), and the
        conductance at the onset (uS).

    Notes
    -----
    The solver of `physio.features.eda.decomposition.decompose` sees the whole record at
    once. Samples outside the limits of `EdaQuality` are missing, and so are the 5 s on
    both sides of a fault that lasts, and contact artifacts: see `find_artifacts`. The
    record before an artifact is solved on the level after it, and its parts are put
    back: see `contact_gain`. A missing sample has no weight, and stays missing in every
    result; a response with a missing sample is none.
    """
    raw = whole_signal(blocks, channel, EdaQuality())
    raw = _without_onset(raw)
    if raw.rate >= 100:
        raw = raw._replace(values=_smooth(raw.values, round(_HUM * raw.rate)))
    signal, gain = _without_contact_artifacts(binned(raw, _STEP))
    n = len(signal.values)
    scaled = signal.values * gain
    padded = np.append(scaled, np.full(max(_LEAST - n, 0), np.nan))
    solved = decompose(padded, 1 / _STEP, noise=_noise_of_short(scaled))
    tonic, phasic, driver = (
        p[:n] / gain for p in (solved.tonic, solved.phasic, solved.driver)
    )
    parts = pd.DataFrame(
        {
            "conductance": signal.values,
            "scl": tonic,
            "phasic": phasic,
            "driver": driver,
            "artifact": signal.artifact,
        },
        index=pd.Index(signal.time, name="time"),
    )
    return signal, parts, _scrs(signal, driver, threshold)


def _without_contact_artifacts(signal: WholeSignal) -> tuple[WholeSignal, Array]:
    """Return a signal without contact artifacts, and the gain of each value."""
    values = np.ascontiguousarray(signal.values)
    bad = find_artifacts(values)
    clean = np.where(bad, np.nan, values)
    return signal._replace(values=clean, artifact=signal.artifact | bad), contact_gain(
        values, bad
    )


def _noise_of_short(values: Array) -> float | None:
    """Return the noise (uS) of a record shorter than 30 s; None for a longer one.

    Its few stretches of 5 s have responses; the median second difference has not.
    """
    bends = np.diff(values, 2)
    bends = bends[np.isfinite(bends)]
    if len(values) >= _SHORT or not len(bends):
        return None
    least = MIN_NOISE * float(np.nanmedian(values))
    return max(float(np.median(np.abs(bends))) / _MEDIAN_TO_SD / np.sqrt(6), least)


def _scrs(signal: WholeSignal, driver: Array, threshold: float) -> pd.DataFrame:
    rows = responses(driver, threshold)
    onset, amplitude, rise, half = rows.T
    at = signal.time[0] + onset if len(signal.time) else onset
    level = np.interp(at, signal.time, signal.values) if len(at) else onset
    return pd.DataFrame(
        {
            "onset": at,
            "stream": signal.stream,
            "channel": signal.channel.name,
            "peak": at + rise,
            "amplitude": amplitude,
            "rise_time": rise,
            "half_recovery_time": half,
            "recovery": at + rise + half,
            "baseline": level,
            "edited": False,
        },
        columns=list(SCR_COLUMNS),
    )


def _without_onset(signal: WholeSignal) -> WholeSignal:
    """Return a signal without the seconds before a fault that lasts.

    A single value, as a 0 that a device inserts now and then, is masked alone.
    """
    values, artifact = signal.values.copy(), signal.artifact.copy()
    lasting = max(round(_STEP * signal.rate), 2)
    before = round(_AROUND * signal.rate)
    for first, last in runs_of(signal.artifact):
        if last - first >= lasting:
            rows = slice(max(first - before, 0), first)
            artifact[rows] |= np.isfinite(values[rows])
            values[rows] = np.nan
    return signal._replace(values=values, artifact=artifact)


def _smooth(values: Array, width: int) -> Array:
    """Return the mean of the present values of each ``width`` samples around."""
    present = np.isfinite(values)
    kernel = np.ones(width)
    total = np.convolve(np.where(present, values, 0.0), kernel, "same")
    count = np.convolve(present.astype(float), kernel, "same")
    smooth = np.full(len(values), np.nan)
    enough: Flags = present & (count >= 0.5)
    smooth[enough] = total[enough] / count[enough]
    return smooth
