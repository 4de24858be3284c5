"""Single breaths in a stretch of a belt, and whether they are breaths."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from physio.core.block import Array

Counts = npt.NDArray[np.int64]

_FIRST: Final = 0.2  # of the range of the middle 80 %, a turn of the first look
_TURN: Final = 0.3  # of the usual depth, a turn of the second
_FEWEST: Final = 3
_SHAPE: Final = 25  # values that a breath is brought to, to be compared
_ROUGH: Final = (
    0.65  # of what random values would have, the most by which values differ
)
_SPREAD: Final = 0.25
_ODD: Final = 0.5, 1.5, 0.15
_FILLED: Final = 0.6
_ALIKE: Final = 0.75


class Breaths(NamedTuple):
    """The breaths in a stretch; times are in its values.

    ``begins`` and ``peaks`` take turns; there is no breath where there are fewer than
    two of the former. ``inward`` and ``outward`` are the usual lengths of a breath in
    and out, ``depth`` the usual way between begin and peak, ``alike`` the mean
    correlation of a breath with the mean breath, ``rough`` how much neighbouring values
    differ, where 1 is what random ones do.
    """

    begins: Array
    peaks: Array
    rate: float
    depth: float
    inward: float
    outward: float
    alike: float
    rough: float


@njit(cache=True)
def _quantile(ordered: Array, q: float) -> float:
    """Return a quantile of values in order, between two of them by a line."""
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


@njit(cache=True)
def _spread(x: Array) -> float:
    """Return the standard deviation of values."""
    mean = 0.0
    for v in x:
        mean += v / len(x)
    square = 0.0
    for v in x:
        square += (v - mean) ** 2
    return np.sqrt(square / len(x))


@njit(cache=True)
def _turns(y: Array, turn: float) -> Counts:
    """Return where ``y`` turns by more than ``turn``: lows and highs, one by one."""
    found = np.empty(len(y), np.int64)
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
            found[n] = at
            n += 1
    return found[:n]


@njit(cache=True)
def _fine(y: Array, at: int, sign: float) -> float:
    """Return where a turn is between values: the vertex of a parabola."""
    if not 0 < at < len(y) - 1:
        return float(at)
    before, top, after = sign * y[at - 1], sign * y[at], sign * y[at + 1]
    bend = before - 2 * top + after
    return at + 0.5 * (before - after) / bend if bend < 0 else float(at)


@njit(cache=True)
def _alike(y: Array, begins: Counts) -> float:
    """Return the mean correlation of breaths, of one length now, with their mean."""
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
    return size if size > 0 else 0.0  # as shapes have length 1


@njit(cache=True)
def _pairs(begins: Counts, ends: Counts) -> Array:
    """Return how long it is from each of ``begins`` to the first end behind it."""
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
def _ways(y: Array, turns: Counts) -> Array:
    """Return how far it is from turn to turn."""
    return np.abs(y[turns[1:]] - y[turns[:-1]])


@njit(cache=True)
def breaths(x: Array, rate: float) -> Breaths:
    """Return the breaths in a stretch of a belt, shape (n,), ``rate`` values a second.

    Nothing may be missing in it.
    """
    n = len(x)
    spread = _spread(x - np.linspace(x[0], x[-1], n))
    rough = _spread(x[1:] - x[:-1]) / (np.sqrt(2) * spread) if spread > 0 else np.inf
    y = np.empty(n)
    for i in range(n):
        y[i] = (x[max(i - 1, 0)] + x[i] + x[min(i + 1, n - 1)]) / 3
    ordered = np.sort(y)
    low, high = _quantile(ordered, 0.1), _quantile(ordered, 0.9)
    found = _turns(y, _FIRST * (high - low))
    if len(found) > 1:
        found = _turns(y, _TURN * np.median(_ways(y, found)))
    none = np.empty(0)
    gone = np.nan
    if len(found) < 2 * _FEWEST or not high > low:
        return Breaths(none, none, gone, gone, gone, gone, gone, rough)
    up = 0 if y[found[1]] > y[found[0]] else 1
    begins, peaks = found[up::2], found[1 - up :: 2]
    if len(begins) < _FEWEST:
        return Breaths(none, none, gone, gone, gone, gone, gone, rough)
    return Breaths(
        np.array([_fine(y, b, -1.0) for b in begins]),
        np.array([_fine(y, p, 1.0) for p in peaks]),
        60 * rate * (len(begins) - 1) / float(begins[-1] - begins[0]),
        np.median(_ways(y, found)),
        np.median(_pairs(begins, peaks)),
        np.median(_pairs(peaks, begins)),
        _alike(y, begins),
        rough,
    )


@njit(cache=True)
def sound(found: Breaths, n: int) -> bool:
    """Tell whether what was found in ``n`` values is breathing."""
    begins, peaks = found.begins, found.peaks
    if len(begins) < _FEWEST or found.rough > _ROUGH:
        return False
    lengths = begins[1:] - begins[:-1]
    usual = np.median(lengths)
    odd = 0
    for v in lengths:
        odd += v < _ODD[0] * usual or v > _ODD[1] * usual
    first, last = min(begins[0], peaks[0]), max(begins[-1], peaks[-1])
    return (
        _spread(lengths) <= _SPREAD * lengths.mean()
        and odd <= _ODD[2] * len(lengths)
        and last - first >= _FILLED * n
        and found.alike >= _ALIKE
    )
