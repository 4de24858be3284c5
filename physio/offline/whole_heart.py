"""Heart beats of a whole record: from an ECG, a pulse wave, or RR intervals."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, sosfiltfilt

from physio.core.block import Array, Block, Channel
from physio.core.events import Events
from physio.offline.rr_artifacts import correct_beats
from physio.offline.whole_record import (
    Flags,
    WholeSignal,
    between_samples,
    filled,
    joined,
    runs_of,
    whole_signal,
)

BEAT_COLUMNS: Final = (
    *("time", "stream", "channel", "source", "interval", "accepted", "corrected"),
    *("confidence", "amplitude", "edited"),
)
RR_LIMITS: Final = 0.27, 2.2
"""The shortest and the longest interval that is accepted (s)."""

RATIO: Final = 0.6, 1 / 0.6
"""Accepted range of a pulse interval relative to the median of those around."""

GAP: Final = 0.2
"""Time without samples that can hide a beat (s)."""

RATE_STEP: Final = 0.25
"""Time between two values of the heart rate (s)."""

_NEIGHBOURS: Final = 10  # beats on either side with which a wave is compared
_PEERS: Final = 5  # of them that must be alike
_ALIKE: Final = 0.8  # correlation of two waves that are alike
_IN_A_ROW: Final = 3  # accepted intervals, so that noise gives none by chance
_CLEARLY: Final = 1.3  # times as many accepted seconds: the other sign is right
_NEAR_GAP: Final = 0.1  # s beside a gap in which no beat is trusted
_AGREE: Final = 0.05  # s, by which intervals of peaks and of slopes may differ
_LOCAL: Final = 10.0  # s, over which the mean energy is taken


class BeatShape(NamedTuple):
    """Shape of a beat in a kind of signal: see `detect_whole`."""

    band: tuple[float, float]  # Hz
    peak: float  # s, length of its peak
    beat: float  # s, length of the whole wave
    offset: float  # of the mean energy, that a peak must exceed
    around: float  # s on either side of its peak that are compared


SHAPES: Final = {
    "ecg": BeatShape((8.0, 20.0), 0.097, 0.611, 0.08, 0.10),
    "ppg": BeatShape((0.5, 8.0), 0.111, 0.667, 0.02, 0.25),
}
"""Shape of a beat by the source of the beats."""


class DetectedBeats(NamedTuple):
    """Beats of a signal, (n,): time (s), wave's height, confidence, steepest rise."""

    times: Array
    heights: Array
    confidence: Array
    rises: Array


def analyze_beats(
    blocks: Sequence[Block], channel: Channel
) -> tuple[WholeSignal, pd.DataFrame]:
    """Return an ECG or a pulse wave of a whole record, and its beats (`BEAT_COLUMNS`).

    Notes
    -----
    A beat lies at the peak of the zero-phase filtered wave, whichever its sign. Its
    ``interval`` (s) is the time since the beat before, NaN after a gap. It is
    ``accepted`` if the waves of both beats are like at least five of the 20 around
    (correlation 0.8), if it belongs to three such intervals in a row, and, for a pulse
    wave, if the interval between the steepest rises agrees to 50 ms and is 0.6 to 1.67
    times the median of those around; or if it was ``corrected``: see `correct_beats`.
    A pulse wave is taken in the sign in which its steepest slopes rise, unless the
    other has 1.3 times as many accepted seconds.
    """
    signal = whole_signal(blocks, channel)
    if channel.kind == "ecg":
        return signal, _corrected(
            _intervals(signal, "ecg", detect_whole(signal, "ecg"))
        )
    upright, turned = (
        _intervals(s, "ppg", detect_whole(s, "ppg")) for s in _both_ways(signal)
    )
    seconds = [float(f["interval"][f["accepted"]].sum()) for f in (upright, turned)]
    is_turned = seconds[1] > _CLEARLY * seconds[0]
    return signal, _corrected(turned if is_turned else upright)


def analyze_intervals(events: Events) -> pd.DataFrame:
    """Return the beats of a stream of RR intervals (s, at the end of each).

    An interval is missing where it is not that from one event to the next (more than 25
    ms off): beats were lost. `BEAT_COLUMNS`.
    """
    values = events.data[:, events.info.names.index("interval")].copy()
    times = np.asarray(events.times, float)
    good = np.isfinite(values)
    times, values = times[good], values[good]
    begins = times - values
    starts = np.ones(len(times), bool)
    starts[1:] = np.abs(begins[1:] - times[:-1]) > 0.025
    beats = [(float(t), np.nan) for t in begins[starts]]
    beats += list(zip(times.tolist(), values.tolist(), strict=True))
    rows = np.array(sorted(beats)).reshape(len(beats), 2)
    inside = (rows[:, 1] >= RR_LIMITS[0]) & (rows[:, 1] <= RR_LIMITS[1])
    frame = pd.DataFrame(
        {
            "time": rows[:, 0],
            "stream": events.info.name,
            "channel": "interval",
            "source": "intervals",
            "interval": rows[:, 1],
            "accepted": inside,
            "corrected": False,
            "confidence": np.nan,
            "amplitude": np.nan,
            "edited": False,
        },
        columns=list(BEAT_COLUMNS),
    )
    return _corrected(frame)


def heart_rate_track(beats: pd.DataFrame, begin: float, end: float) -> pd.DataFrame:
    """Return the heart rate (1/min) every 0.25 s, from the accepted intervals.

    The rate within an interval is 60 over it; it is missing outside of accepted ones.
    """
    time = np.arange(begin, end + RATE_STEP / 2, RATE_STEP)
    rate = np.full(len(time), np.nan)
    good = beats[beats["accepted"]]
    stop = good["time"].to_numpy()
    start = stop - good["interval"].to_numpy()
    at = np.searchsorted(stop, time)
    inside = at < len(stop)
    rows = at[inside]
    within = start[rows] <= time[inside] + 1e-9
    values = 60 / (stop - start)[rows]
    rate[np.flatnonzero(inside)[within]] = values[within]
    return pd.DataFrame({"heart_rate": rate}, index=pd.Index(time, name="time"))


def detect_whole(signal: WholeSignal, source: str) -> DetectedBeats:
    """Detect the beats of a whole signal, the first and the last included.

    Parameters
    ----------
    signal
        The signal, with NaN where samples are missing.
    source
        ``"ecg"`` or ``"ppg"``.

    Notes
    -----
    A beat is where the energy of the band-passed signal, averaged over the time of a
    peak, exceeds that averaged over the time of a beat [1]_, [2]_. Deviations: filters
    are of zero phase, and the offset rests on the 10 s around instead of the whole
    record. A pulse wave must rise to its systolic peak; the peak of an ECG is that of
    the larger deflection of most beats.

    References
    ----------
    .. [1] Elgendi et al., Systolic peak detection in acceleration photoplethysmograms
       measured from emergency responders in tropical conditions, PLOS ONE 8, 2013.
    .. [2] Elgendi, Fast QRS detection with an optimized knowledge-based method, PLOS
       ONE 8, 2013.
    """
    shape, rate = SHAPES[source], signal.rate
    if len(signal.values) < rate or not np.isfinite(signal.values).any():
        return DetectedBeats(*(np.empty(0) for _ in range(4)))
    wave = _filtered(filled(signal.values), shape.band, rate)
    rows = _candidates(wave, shape, rate, positive=source == "ppg")
    rows = rows[~_beside_gap(signal, rows)]
    if source == "ecg" and len(rows):
        fine = _filtered(filled(signal.values), (5.0, 40.0), rate)
        rows, fine = _deflections(fine, rows, round(0.06 * rate))
    else:
        fine = wave
    at = between_samples(fine, rows)
    times = np.interp(at, np.arange(len(signal.time)), signal.time)
    return DetectedBeats(
        times,
        fine[rows] - _minimum_before(fine, rows, round(2 * shape.around * rate)),
        _confidence(wave, rows, round(shape.around * rate)),
        _steepest(fine, rows, round(0.35 * rate)) / rate,
    )


def _both_ways(signal: WholeSignal) -> tuple[WholeSignal, WholeSignal]:
    """Return a pulse wave in the sign in which its steepest slopes rise, and turned."""
    turned = signal._replace(values=-signal.values)
    if len(signal.values) < signal.rate or not np.isfinite(signal.values).any():
        return signal, turned
    slope = np.gradient(
        _filtered(filled(signal.values), SHAPES["ppg"].band, signal.rate)
    )
    limit = np.percentile(np.abs(slope), 99)
    rises = np.mean(np.clip(slope, -limit, limit) ** 3) >= 0
    return (signal, turned) if rises else (turned, signal)


def _filtered(values: Array, band: tuple[float, float], rate: float) -> Array:
    high = min(band[1], 0.45 * rate)
    sos = butter(2, (band[0], high), "bandpass", fs=rate, output="sos")
    pad = min(round(2 * rate), len(values) - 1)
    level = np.median(values)
    return np.asarray(sosfiltfilt(sos, values - level, padtype="odd", padlen=pad))


def _candidates(wave: Array, shape: BeatShape, rate: float, *, positive: bool) -> Array:
    """Return the sample of each beat's peak, as integers, shape (n,)."""
    energy = np.maximum(wave, 0.0) ** 2 if positive else wave**2
    short, long, local = (
        max(round(s * rate), 1) for s in (shape.peak, shape.beat, _LOCAL)
    )
    mode = "nearest"
    level = uniform_filter1d(energy, long, mode=mode)
    level += shape.offset * uniform_filter1d(energy, local, mode=mode)
    above = uniform_filter1d(energy, short, mode=mode) > level
    peaks = [
        a + int(np.argmax(energy[a:b])) for a, b in runs_of(above) if b - a > short // 2
    ]
    chosen: list[int] = []
    for p in peaks:
        if chosen and p - chosen[-1] < RR_LIMITS[0] * rate:
            if energy[p] > energy[chosen[-1]]:
                chosen[-1] = p
        else:
            chosen.append(p)
    return np.array(chosen, int)


def _beside_gap(signal: WholeSignal, rows: Array) -> Flags:
    lost = np.isnan(signal.values)
    if not lost.any():
        return np.zeros(len(rows), bool)
    near = uniform_filter1d(lost.astype(float), 2 * round(_NEAR_GAP * signal.rate) + 1)
    return np.asarray(near[rows] > 1e-9)


def _deflections(wave: Array, rows: Array, search: int) -> tuple[Array, Array]:
    """Return the extremum near each beat, of the sign of most, and the upright wave."""
    spans = np.clip(rows[:, None] + np.arange(-search, search + 1), 0, len(wave) - 1)
    near = wave[spans]
    largest = np.take_along_axis(near, np.abs(near).argmax(1)[:, None], 1)
    upright = wave if np.median(largest) >= 0 else -wave
    return spans[np.arange(len(rows)), upright[spans].argmax(1)], upright


def _minimum_before(wave: Array, rows: Array, back: int) -> Array:
    spans = np.clip(rows[:, None] + np.arange(-back, 1), 0, len(wave) - 1)
    return np.asarray(wave[spans].min(1)) if len(rows) else np.empty(0)


def _steepest(wave: Array, rows: Array, back: int) -> Array:
    """Return the position of the steepest rise before each peak, between samples."""
    slope = np.gradient(wave)
    spans = np.clip(rows[:, None] + np.arange(-back, 1), 0, len(wave) - 1)
    if not len(rows):
        return np.empty(0)
    return between_samples(slope, spans[np.arange(len(rows)), slope[spans].argmax(1)])


def _confidence(wave: Array, rows: Array, around: int) -> Array:
    """Return the correlation with the fifth most similar of the 20 waves around.

    A wave that exceeds the record is compared by its part within.
    """
    n = len(rows)
    if n < 2:
        return np.zeros(n)
    spans = rows[:, None] + np.arange(-around, around + 1)
    inside = (spans >= 0) & (spans < len(wave))
    waves = wave[np.clip(spans, 0, len(wave) - 1)]
    like = np.full((n, 2 * _NEIGHBOURS), -1.0)
    for lag in range(1, min(_NEIGHBOURS, n - 1) + 1):
        both = inside[lag:] & inside[:-lag]
        pairs = _correlation(waves[lag:], waves[:-lag], both)
        like[lag:, lag - 1] = pairs
        like[:-lag, _NEIGHBOURS + lag - 1] = pairs
    rank = min(_PEERS, max((n - 1) // 2, 1))
    return np.clip(np.sort(like, axis=1)[:, -rank], 0.0, 1.0)


def _correlation(x: Array, y: Array, there: Flags) -> Array:
    """Return the correlation of the rows of two arrays where both are there."""
    count = np.maximum(there.sum(1, keepdims=True), 1)
    x, y = (np.where(there, v, 0.0) for v in (x, y))
    x, y = (np.where(there, v - v.sum(1, keepdims=True) / count, 0.0) for v in (x, y))
    norm = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return np.sum(x * y, axis=1) / np.where(norm > 0, norm, np.inf)


def _intervals(signal: WholeSignal, source: str, beats: DetectedBeats) -> pd.DataFrame:
    """Return a row per beat, with its interval as measured."""
    times, confidence = beats.times, beats.confidence
    interval = np.diff(times, prepend=np.nan)
    broken = np.zeros(len(times), bool)
    for first, last in runs_of(np.isnan(signal.values)):
        if last - first >= GAP * signal.rate:
            after = np.searchsorted(times, signal.time[first])
            broken[after : after + 1] = True
    interval[broken] = np.nan
    sure = confidence >= _ALIKE
    accepted = sure & np.append(False, sure[:-1])
    accepted &= (interval >= RR_LIMITS[0]) & (interval <= RR_LIMITS[1])
    if source == "ppg":
        risen = np.diff(beats.rises, prepend=np.nan)
        accepted &= np.abs(interval - risen) <= _AGREE
        _reject_short_runs(accepted)
        usual = pd.Series(interval[accepted]).rolling(
            2 * _NEIGHBOURS + 1, center=True, min_periods=1
        )
        ratio = interval[accepted] / usual.median().to_numpy()
        accepted[accepted] = (ratio >= RATIO[0]) & (ratio <= RATIO[1])
    _reject_short_runs(accepted)
    return pd.DataFrame(
        {
            "time": times,
            "stream": signal.stream,
            "channel": signal.channel.name,
            "source": source,
            "interval": interval,
            "accepted": accepted,
            "corrected": False,
            "confidence": confidence,
            "amplitude": beats.heights,
            "edited": False,
        },
        columns=list(BEAT_COLUMNS),
    )


def _reject_short_runs(accepted: Flags) -> None:
    """Reject intervals that are not among three accepted ones in a row."""
    for first, last in runs_of(accepted):
        accepted[first:last] = last - first >= min(_IN_A_ROW, len(accepted) - 1)


def _corrected(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the beats with artifacts corrected in each run of accepted intervals."""
    parts, done = [], 0
    for first, last in runs_of(frame["accepted"].to_numpy(bool)):
        run = frame.iloc[first - 1 : last] if first else frame.iloc[:last]
        times = run["time"].to_numpy(float)
        fixed = correct_beats(times)
        if not fixed.corrected.any():
            continue
        parts += [
            frame.iloc[done : first - 1],
            _rebuilt(run, fixed.times, fixed.corrected),
        ]
        done = last
    if not parts:
        return frame
    return joined([*parts, frame.iloc[done:]], BEAT_COLUMNS)


def _rebuilt(run: pd.DataFrame, times: Array, corrected: Flags) -> pd.DataFrame:
    """Return a run of beats at new times; values of beats that did not move stay."""
    nearest = np.clip(np.searchsorted(run["time"], times - 1e-9), 0, len(run) - 1)
    frame = run.iloc[nearest].reset_index(drop=True)
    is_moved = np.abs(frame["time"].to_numpy() - times) > 1e-6
    frame["time"] = times
    frame.loc[1:, "interval"] = np.diff(times)
    frame.loc[1:, "accepted"] = True
    frame["corrected"] = corrected
    frame.loc[is_moved, ["confidence", "amplitude"]] = np.nan
    return frame
