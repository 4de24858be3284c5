"""Detection of R peaks in an ECG and of systolic peaks in a pulse wave."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, StreamInfo
from physio.core.events import is_point
from physio.core.missing import MissingReason
from physio.dsp.iir import Sections, butterworth, sections
from physio.dsp.jit import njit
from physio.features.columns import column

Counts = npt.NDArray[np.int64]

RR_RANGE: Final = 0.27, 2.0
"""The shortest and the longest interval between beats (s)."""

TEMPLATE_BEATS: Final = 5
"""Number of previous beats with which a new beat is compared."""

RECENT_INTERVALS: Final = 20
"""Number of previous intervals with which a new interval is compared."""

RATIO_RANGE: Final = 0.6, 1 / 0.6
"""Accepted range of an interval relative to the median and the previous interval."""

_POOR: Final = MissingReason.POOR_QUALITY.nan
_BRIDGE: Final = 0.05  # s
_TILE: Final = 32  # samples whose energy is summed once
_FLOOR: Final = 4.0  # s, over which the mean energy is taken
_AGREE: Final = 0.05  # s, by which intervals of peaks and of rises may differ
_APART: Final = 0.16  # s, from a beat in which its own energy lies
_QUIET: Final = 0.1  # of the energy of beats, the most that may lie between them
_ALIKE: Final = 0.4  # of the energy of a beat, the least of its neighbour
_VOTES: Final = 20  # newest beats by which the polarity is decided


class Wave(NamedTuple):
    """Shape of a beat in one kind of signal."""

    low: float  # Hz, band in which it stands out
    high: float
    peak: float  # s, length of its peak
    beat: float  # s, length of the whole wave
    offset: float  # of the mean energy, that a peak must exceed
    sign: int  # 1 where only energy above the mean counts
    around: float  # s on either side of its peak that are compared
    lag: float  # s, delay of the filtered peak behind the true one
    search: float  # s, distance from there to the raw peak; 0 for the filtered one


_WAVES: Final = {
    "ecg": Wave(8.0, 20.0, 0.097, 0.611, 0.08, 0, 0.10, 0.036, 0.05),
    "bio": Wave(0.5, 8.0, 0.111, 0.667, 0.02, 1, 0.25, 0.0, 0.0),
}


class BeatMemory(NamedTuple):
    """The newest samples and beats in one polarity."""

    rings: Array  # (3, size): raw, filtered, energy; sample i in column i % size
    known: Array  # (beats, segment): the newest beats' waves
    steady: Array  # (intervals,): the newest reliable ones (s); others are NaN
    past: Array  # (7,): the newest beat's sample, interval, confidence, half of its
    # rise, whether its interval was accepted, filtered peak, and energy
    clock: Counts  # (5,): samples, block's first, newest candidate, beats known,
    # beats in all
    spans: Counts  # (7,): of the wave in samples; see `initial_state`
    limits: Array  # (6,): offset, rate, least confidence, sign, most energy between
    # beats and least of the weaker of two, relative to them
    tiles: Array  # energy of each whole 32 samples; tile k in row k % size


class Polarity(NamedTuple):
    """Evidence for each polarity, and the one whose beats are given out."""

    votes: Array  # (2, beats, 2): prominence, whether accepted; beat k in k % size
    counts: Counts  # (2,): beats since the last pause
    clock: Counts  # (4,): samples, row of the newest beat of each, polarity
    newest: Array  # (1,): the newest beat given out (samples)


class BeatState(NamedTuple):
    """State of the beat detection."""

    filters: Sections
    beats: tuple[BeatMemory, BeatMemory]  # of the signal, and of its negative
    polarity: Polarity
    rate: float
    pick: int  # column of the signal


def detector_state(info: StreamInfo, min_confidence: float) -> BeatState:
    """Return an empty state for the one ECG or pulse channel of ``info``."""
    pick = column(info, "ecg", "bio")
    if is_point(info):
        raise ValueError(f"{info.name!r} carries events already, not a pulse")
    if not 0 < min_confidence < 1:
        raise ValueError(
            f"min_confidence of beats on {info.name!r} must be above 0 and below 1: "
            f"{min_confidence}"
        )
    wave = _WAVES[info.channels[pick].kind]
    rate = float(info.rate)
    purpose = f"find beats in the {wave.low:g} to {wave.high:g} Hz"
    sos = butterworth(info, "bandpass", 2, (wave.low, wave.high), purpose)
    half = [int(s * rate / 2) for s in (wave.peak, wave.beat)]
    durations = (_FLOOR, wave.around, wave.lag, wave.search)
    floor, around, lag, search = (round(s * rate) for s in durations)
    longest = 2 * half[1] + 1  # of a block
    spans = [*half, floor, longest, around, lag, search]
    size = floor + longest + sum(spans[4:]) + half[1] + 2
    either = (
        BeatMemory(
            np.full((3, size), 0.0),
            np.zeros((TEMPLATE_BEATS, 2 * around + 1)),
            np.full(RECENT_INTERVALS, np.nan),
            np.zeros(7),
            np.array([0, -1, -1, 0, 0], np.int64),
            np.array(spans, np.int64),
            np.array([wave.offset, rate, min_confidence, wave.sign, _QUIET, _ALIKE]),
            np.zeros(floor // _TILE + 2),
        )
        for _ in range(2)
    )
    polarity = Polarity(
        np.zeros((2, _VOTES, 2)),
        np.zeros(2, np.int64),
        np.zeros(4, np.int64),
        np.full(1, -np.inf),
    )
    filters = sections(info, [sos], _BRIDGE, 1)
    return BeatState(filters, (next(either), next(either)), polarity, rate, pick)


@njit(cache=True)
def _mean(energy: Array, first: int, last: int) -> float:
    """Return the mean of a ring from sample ``first`` to ``last``."""
    total, at = 0.0, first % len(energy)
    for _ in range(first, last + 1):  # a remainder for each sample would be slow
        total += energy[at]
        at = at + 1 if at + 1 < len(energy) else 0
    return total / (last + 1 - first)


@njit(cache=True)
def _long_mean(energy: Array, tiles: Array, first: int, last: int) -> float:
    """Return the mean from sample ``first`` to ``last``, the newest, by whole tiles."""
    total = 0.0
    tile = (first + _TILE - 1) // _TILE
    for j in range(first, tile * _TILE):
        total += energy[j % len(energy)]
    for k in range(tile, last // _TILE + 1):
        total += tiles[k % len(tiles)]
    return total / (last + 1 - first)


@njit(cache=True)
def _template_correlation(known: Array, beats: int, wave: Array) -> float:
    """Return the correlation of a wave with the mean of the last waves; store the wave.

    The wave is normalized to mean 0 and norm 1. With fewer than two stored waves, the
    correlation is 0.
    """
    middle, size = 0.0, 0.0
    for v in wave:
        middle += v / len(wave)
    for j in range(len(wave)):
        wave[j] -= middle
        size += wave[j] * wave[j]
    size = np.sqrt(size) if size > 0 else 1.0
    n = min(beats, len(known))
    along, length = 0.0, 0.0
    for j in range(len(wave)):
        wave[j] /= size
        mean = 0.0
        for b in range(n):
            mean += known[b, j]
        along += mean * wave[j]
        length += mean * mean
    for j in range(len(wave)):
        known[beats % len(known), j] = wave[j]
    return along / np.sqrt(length) if n > 1 and along > 0 else 0.0


@njit(cache=True)
def _peak_position(ring: Array, near: int, search: int) -> float:
    """Return the position of the peak close to ``near``, between samples."""
    size = len(ring)
    best, top = near, -np.inf
    for j in range(near - search, near + search + 1):
        if ring[j % size] > top:
            best, top = j, ring[j % size]
    before, after = ring[(best - 1) % size], ring[(best + 1) % size]
    bend = before - 2 * top + after
    if bend < 0 and before <= top and after <= top:  # false where one is NaN
        return best + 0.5 * (before - after) / bend
    return float(best)


@njit(cache=True)
def _half_rise(ring: Array, peak: int, back: int) -> float:
    """Return the half-rise point of a wave before ``peak``, between samples.

    It rises from the lowest sample of the ``back`` before its peak.
    """
    size = len(ring)
    foot = peak
    for j in range(peak - 1, peak - back - 1, -1):
        foot = j if ring[j % size] < ring[foot % size] else foot
    middle = (ring[foot % size] + ring[peak % size]) / 2
    j = peak
    while j > foot and ring[(j - 1) % size] > middle:
        j -= 1
    above, below = ring[j % size], ring[(j - 1) % size]
    return j - (above - middle) / (above - below) if above > below else float(j)


@njit(cache=True)
def _median_interval(steady: Array) -> float:
    """Return the median of the reliable intervals; NaN for fewer than three."""
    sure = steady[~np.isnan(steady)]
    return float(np.median(sure)) if len(sure) > 2 else np.nan


@njit(cache=True)
def _energy_between(energy: Array, first: int, last: int, width: int) -> float:
    """Return the greatest mean of ``width`` samples from ``first`` to ``last``.

    Infinite where they are fewer.
    """
    if last - first < width:
        return np.inf
    size, total, most = len(energy), 0.0, 0.0
    for j in range(first, last):
        total += energy[j % size]
        if j - first >= width:
            total -= energy[(j - width) % size]
        if j - first >= width - 1:
            most = max(most, total / width)
    return most


@njit(cache=True)
def _is_measured(beats: BeatMemory, p: int, interval: float) -> bool:
    """Return whether no other beat can lie between a beat and the previous one.

    The energy between the two is compared with that of the weaker of them, which must
    be near that of the stronger. False where they are too close for that.
    """
    energy, past, spans, limits = beats[0][2], beats[3], beats[5], beats[6]
    width, apart = 2 * spans[0] + 1, int(_APART * limits[1])
    this = _mean(energy, p - spans[0], p + spans[0])
    before, previous = past[6], int(past[5])
    past[5], past[6] = p, this
    if not RR_RANGE[0] <= interval <= RR_RANGE[1]:
        return False
    between = _energy_between(energy, previous + apart, p - apart, width)
    weaker, stronger = min(before, this), max(before, this)
    return between <= limits[4] * weaker and weaker >= limits[5] * stronger


@njit(cache=True)
def _prominence(ring: Array, peak: int, around: int) -> float:
    """Return the height of a sample above the median of those around it; 0 if NaN."""
    near = np.empty(2 * around + 1)
    for j in range(len(near)):
        near[j] = ring[(peak - around + j) % len(ring)]
    top = ring[peak % len(ring)] - np.median(near)
    return max(top, 0.0) if not np.isnan(top) else 0.0


@njit(cache=True)
def _write_beat(beats: BeatMemory, p: int, row: Array) -> None:
    """Write the beat whose filtered peak is sample ``p`` into the newest row."""
    rings, known, steady, past, clock, spans, limits, _ = beats
    around, lag, search = spans[4], spans[5], spans[6]
    rate, least = limits[1], limits[2]
    size = rings.shape[1]
    if p - lag - past[0] > RR_RANGE[1] * rate:
        clock[3], past[4] = 0, 0.0
        steady[:] = np.nan
    at = _peak_position(rings[0 if search > 0 else 1], p - lag, search)
    middle = int(np.round(at)) + lag
    wave = np.empty(2 * around + 1)
    for j in range(len(wave)):
        wave[j] = rings[1, (middle - around + j) % size]
    like = _template_correlation(known, clock[3], wave)
    half = at if search > 0 else _half_rise(rings[1], p, 2 * around)
    interval, risen = (at - past[0]) / rate, (half - past[3]) / rate
    sure = min(like, past[2]) >= least and abs(interval - risen) <= _AGREE
    sure = sure and clock[3] > 0 and RR_RANGE[0] <= interval <= RR_RANGE[1]
    usual = _median_interval(steady)
    steady[clock[4] % len(steady)] = interval if sure else np.nan
    fine = sure and RATIO_RANGE[0] <= interval / usual <= RATIO_RANGE[1]
    if fine and past[4] > 0:
        fine = RATIO_RANGE[0] <= interval / past[1] <= RATIO_RANGE[1]
    row[0] = (at - (clock[0] - 1)) / rate
    row[1] = interval if fine else _POOR
    row[2] = like
    lowest = rings[1, middle % size]
    for j in range(middle - 2 * around, middle):
        lowest = min(lowest, rings[1, j % size])
    row[3] = rings[1, middle % size] - lowest
    if search > 0:
        measured = _is_measured(beats, p, interval)
        row[4] = interval if fine or measured else _POOR
        row[6] = _prominence(rings[0], middle - lag, 2 * around)
    else:
        row[4] = row[1]
        row[6] = max(rings[1, middle % size], 0.0)
    row[5] = risen if fine else _POOR
    past[0], past[1], past[2], past[3] = at, interval, like, half
    past[4] = 1.0 if fine else 0.0
    clock[3] += 1
    clock[4] += 1


@njit(cache=True)
def detect_beats(
    rings: Array,
    known: Array,
    steady: Array,
    past: Array,
    clock: Counts,
    spans: Counts,
    limits: Array,
    tiles: Array,
    x: Array,
    passed: Array,
) -> Array:
    """Take in samples and their filtered values, shape (n, 1) both.

    Parameters
    ----------
    rings, known, steady, past, clock, spans, limits, tiles
        The parts of `BeatMemory`, changed in place. They are separate parameters
        because Numba takes 1 us longer to unpack a named tuple.
    x, passed
        Samples and their filtered values, shape (n, 1).

    Returns
    -------
    ndarray, shape (n, 7)
        Event (s from the row's own time), interval (s), confidence, height, interval
        whatever the rhythm (s), interval between the half-rise points (s), and height
        of the peak above its surroundings.
    """
    peak, beat, floor, longest = spans[0], spans[1], spans[2], spans[3]
    offset, rate, sign = limits[0], limits[1], limits[3]
    size = rings.shape[1]
    y = np.empty((len(x), 7))
    for i in range(len(x)):
        v, f, n = x[i, 0], passed[i, 0], clock[0]
        clock[0] += 1
        for c in range(7):
            y[i, c] = v if np.isnan(v) else (f if np.isnan(f) else np.nan)
        f = 0.0 if np.isnan(f) else f
        rings[0, n % size] = v
        rings[1, n % size] = f
        rings[2, n % size] = max(f, 0.0) ** 2 if sign > 0 else f * f
        tile = n // _TILE % len(tiles)
        tiles[tile] = rings[2, n % size] + (tiles[tile] if n % _TILE else 0.0)
        t = n - beat
        around = _long_mean(rings[2], tiles, n - floor, n)
        level = _mean(rings[2], t - beat, n) + offset * around
        first = clock[1]
        if _mean(rings[2], t - peak, t + peak) > level:
            clock[1] = t if first < 0 else first
            continue
        clock[1] = -1
        if first < 0 or t - first <= 2 * peak or t - first > longest:
            continue
        p = first
        for j in range(first, t):
            p = j if rings[2, j % size] > rings[2, p % size] else p
        close = p - clock[2] < RR_RANGE[0] * rate
        clock[2] = p
        if not close:
            beats = BeatMemory(rings, known, steady, past, clock, spans, limits, tiles)
            _write_beat(beats, p, y[i])
    return y


@njit(cache=True)
def _preference(votes: Array, counts: Counts) -> float:
    """Return the evidence for the signal as it is (above 0) or its negative."""
    share, height = np.zeros(2), np.zeros(2)
    for s in range(2):
        n = min(counts[s], votes.shape[1])
        for k in range(n):
            height[s] += votes[s, k, 0] / n
            share[s] += votes[s, k, 1] / n
    both = height[0] + height[1]
    return share[0] - share[1] + ((height[0] - height[1]) / both if both > 0 else 0.0)


@njit(cache=True)
def select_beats(
    votes: Array,
    counts: Counts,
    clock: Counts,
    newest: Array,
    rate: float,
    upright: Array,
    inverted: Array,
) -> Array:
    """Return the beats of the polarity with more evidence, shape (n, 6).

    Parameters
    ----------
    votes, counts, clock, newest
        The parts of `Polarity`, changed in place.
    rate
        Sampling rate (Hz).
    upright, inverted
        Beats of the signal and of its negative, as `detect_beats` returns them.
    """
    y = upright[:, :6].copy()
    for i in range(len(y)):
        n = clock[0]
        clock[0] += 1
        for s in range(2):
            row = upright[i] if s == 0 else inverted[i]
            if np.isnan(row[0]):
                continue
            if n - clock[1 + s] > RR_RANGE[1] * rate:
                counts[s] = 0
            clock[1 + s] = n
            vote = votes[s, counts[s] % votes.shape[1]]
            vote[0], vote[1] = row[6], 0.0 if np.isnan(row[1]) else 1.0
            counts[s] += 1
        if np.isnan(upright[i, 0]) and np.isnan(inverted[i, 0]):
            continue
        lead = 0 if _preference(votes, counts) >= 0 else 1
        row = upright[i] if lead == 0 else inverted[i]
        changed = lead != clock[3]
        at = n + row[0] * rate
        if np.isnan(at) or (changed and at - newest[0] < RR_RANGE[0] * rate):
            y[i] = np.nan
            continue
        y[i] = row[:6]
        newest[0], clock[3] = at, lead
    return y
