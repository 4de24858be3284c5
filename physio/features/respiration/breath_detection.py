"""Detection of single breaths in a segment of a belt's signal, with their quality."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.dsp.jit import njit

Counts = npt.NDArray[np.int64]

_FIRST: Final = (
    0.2  # of the range of the middle 80 %, a turning point of the first pass
)
_TURN: Final = 0.3  # of the median amplitude, a turning point of the second pass
_FEWEST: Final = 3
_SHAPE: Final = 25  # values to which a breath is resampled for comparison
_ROUGH: Final = 0.65  # upper limit of `Breaths.roughness`
_SPREAD: Final = 0.25
_ODD: Final = 0.5, 1.5, 0.15
_FILLED: Final = 0.6
_ALIKE: Final = 0.75


class Breaths(NamedTuple):
    """The breaths in a segment; times are indices of its values.

    ``begins`` and ``peaks`` alternate; with fewer than two ``begins`` there is no
    breath. ``inward`` and ``outward`` are the median durations of inspiration and
    expiration, ``depth`` the median amplitude from begin to peak, ``correlation`` the
    mean correlation of a breath with the mean breath, ``roughness`` the size of
    differences of neighbouring values, 1 for white noise.
    """

    begins: Array
    peaks: Array
    rate: float
    depth: float
    inward: float
    outward: float
    correlation: float
    roughness: float


@njit(cache=True)
def _quantile(ordered: Array, q: float) -> float:
    """Return a quantile of sorted values, interpolated linearly."""
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


@njit(cache=True)
def _std(x: Array) -> float:
    """Return the standard deviation of values."""
    mean = 0.0
    for v in x:
        mean += v / len(x)
    square = 0.0
    for v in x:
        square += (v - mean) ** 2
    return np.sqrt(square / len(x))


@njit(cache=True)
def _turning_points(y: Array, turn: float) -> Counts:
    """Return the alternating minima and maxima of ``y`` that exceed ``turn``."""
    turns = np.empty(len(y), np.int64)
    n = low = high = 0
    rising = 0  # not known yet
    for i in range(len(y)):
        v = y[i]
        high = i if v > y[high] else high
        low = i if v < y[low] else low
        at = -1
        if rising >= 0 and v < y[high] - turn:
            at, rising, low = high, -1, i
        elif rising <= 0 and v > y[low] + turn:
            at, rising, high = low, 1, i
        if at > 0:
            turns[n] = at
            n += 1
    return turns[:n]


@njit(cache=True)
def _vertex(y: Array, at: int, sign: float) -> float:
    """Return the position of a turning point: the vertex of a parabola."""
    if not 0 < at < len(y) - 1:
        return float(at)
    before, top, after = sign * y[at - 1], sign * y[at], sign * y[at + 1]
    bend = before - 2 * top + after
    return at + 0.5 * (before - after) / bend if bend < 0 else float(at)


@njit(cache=True)
def _template_correlation(y: Array, begins: Counts) -> float:
    """Return the mean correlation of breaths, at equal length, with their mean."""
    shapes = np.empty((len(begins) - 1, _SHAPE))
    for k in range(len(shapes)):
        first, last = begins[k], begins[k + 1]
        for j in range(_SHAPE):
            at = first + (last - first) * j / (_SHAPE - 1)
            i = min(int(at), len(y) - 2)
            shapes[k, j] = y[i] + (at - i) * (y[i + 1] - y[i])
        shapes[k] -= shapes[k].mean()
        size = np.sqrt((shapes[k] ** 2).sum())
        shapes[k] /= size if size > 0 else 1.0
    mean = np.zeros(_SHAPE)
    for k in range(len(shapes)):
        mean += shapes[k] / len(shapes)
    size = np.sqrt((mean**2).sum())
    return size if size > 0 else 0.0  # because shapes have length 1


@njit(cache=True)
def _durations(begins: Counts, ends: Counts) -> Array:
    """Return the duration from each of ``begins`` to the first end after it."""
    lengths = np.empty(len(begins))
    n = k = 0
    for begin in begins:
        while k < len(ends) and ends[k] <= begin:
            k += 1
        if k < len(ends):
            lengths[n] = ends[k] - begin
            n += 1
    return lengths[:n]


@njit(cache=True)
def _amplitudes(y: Array, turns: Counts) -> Array:
    """Return the distance in value from turning point to turning point."""
    return np.abs(y[turns[1:]] - y[turns[:-1]])


@njit(cache=True)
def detect_breaths(x: Array, rate: float) -> Breaths:
    """Return the breaths in a belt segment, shape (n,), sampled at ``rate`` Hz.

    No value may be missing.
    """
    n = len(x)
    spread = _std(x - np.linspace(x[0], x[-1], n))
    rough = _std(x[1:] - x[:-1]) / (np.sqrt(2) * spread) if spread > 0 else np.inf
    y = np.empty(n)
    for i in range(n):
        y[i] = (x[max(i - 1, 0)] + x[i] + x[min(i + 1, n - 1)]) / 3
    ordered = np.sort(y)
    low, high = _quantile(ordered, 0.1), _quantile(ordered, 0.9)
    turns = _turning_points(y, _FIRST * (high - low))
    if len(turns) > 1:
        turns = _turning_points(y, _TURN * np.median(_amplitudes(y, turns)))
    none = np.empty(0)
    gone = np.nan
    if len(turns) < 2 * _FEWEST or not high > low:
        return Breaths(none, none, gone, gone, gone, gone, gone, rough)
    up = 0 if y[turns[1]] > y[turns[0]] else 1
    begins, peaks = turns[up::2], turns[1 - up :: 2]
    if len(begins) < _FEWEST:
        return Breaths(none, none, gone, gone, gone, gone, gone, rough)
    return Breaths(
        np.array([_vertex(y, b, -1.0) for b in begins]),
        np.array([_vertex(y, p, 1.0) for p in peaks]),
        60 * rate * (len(begins) - 1) / float(begins[-1] - begins[0]),
        np.median(_amplitudes(y, turns)),
        np.median(_durations(begins, peaks)),
        np.median(_durations(peaks, begins)),
        _template_correlation(y, begins),
        rough,
    )


@njit(cache=True)
def is_breathing(result: Breaths, n: int) -> bool:
    """Return whether the breaths in ``n`` values have the regularity of breathing."""
    begins, peaks = result.begins, result.peaks
    if len(begins) < _FEWEST or result.roughness > _ROUGH:
        return False
    lengths = begins[1:] - begins[:-1]
    usual = np.median(lengths)
    odd = 0
    for v in lengths:
        odd += v < _ODD[0] * usual or v > _ODD[1] * usual
    first, last = min(begins[0], peaks[0]), max(begins[-1], peaks[-1])
    return (
        _std(lengths) <= _SPREAD * lengths.mean()
        and odd <= _ODD[2] * len(lengths)
        and last - first >= _FILLED * n
        and result.correlation >= _ALIKE
    )
