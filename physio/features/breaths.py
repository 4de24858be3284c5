"""Single breaths in a stretch of a belt, and whether they are breaths."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

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


def breaths(x: Array, rate: float) -> Breaths:
    """Return the breaths in a stretch of a belt, shape (n,), ``rate`` values a second.

    Nothing may be missing in it.
    """
    even = x - np.linspace(x[0], x[-1], len(x))
    spread = float(even.std())
    rough = float(np.diff(x).std()) / (np.sqrt(2) * spread) if spread > 0 else np.inf
    y = np.convolve(np.pad(x, 1, "edge"), np.ones(3) / 3, "valid")
    low, high = np.quantile(y, (0.1, 0.9)).tolist()
    found = _turns(y, _FIRST * (high - low))
    depths = np.abs(np.diff(y[found]))
    if len(depths):
        found = _turns(y, _TURN * float(np.median(depths)))
    gone = np.nan
    none = Breaths(np.empty(0), np.empty(0), gone, gone, gone, gone, gone, rough)
    if len(found) < 2 * _FEWEST or not high > low:
        return none
    up = y[found[1]] > y[found[0]]
    begins, peaks = (found[::2], found[1::2]) if up else (found[1::2], found[::2])
    inward = [p - b for b in begins for p in peaks[peaks > b][:1]]
    outward = [b - p for p in peaks for b in begins[begins > p][:1]]
    lengths = np.diff(begins)
    if len(lengths) < _FEWEST - 1:
        return none
    depth = float(np.median(np.abs(np.diff(y[found]))))
    return Breaths(
        np.array([_fine(y, int(b), -1.0) for b in begins]),
        np.array([_fine(y, int(p), 1.0) for p in peaks]),
        60 * rate * (len(begins) - 1) / float(begins[-1] - begins[0]),
        depth,
        float(np.median(inward)),
        float(np.median(outward)),
        _alike(y, begins),
        rough,
    )


def sound(found: Breaths, n: int) -> bool:
    """Tell whether what was found in ``n`` values is breathing."""
    lengths = np.diff(found.begins)
    if len(lengths) < _FEWEST - 1 or found.rough > _ROUGH:
        return False
    usual = float(np.median(lengths))
    odd = (lengths < _ODD[0] * usual) | (lengths > _ODD[1] * usual)
    ends = np.append(found.begins, found.peaks)
    filled = (ends.max() - ends.min()) / n
    even = lengths.std() <= _SPREAD * lengths.mean() and odd.mean() <= _ODD[2]
    return bool(even and filled >= _FILLED and found.alike >= _ALIKE)


def _turns(y: Array, turn: float) -> Counts:
    """Return where ``y`` turns by more than ``turn``: lows and highs, one by one."""
    found: list[int] = []
    low = high = 0
    rising = 0  # not known yet
    for i, v in enumerate(y.tolist()):
        high = i if v > y[high] else high
        low = i if v < y[low] else low
        if rising >= 0 and v < y[high] - turn:
            found.append(high)
            rising, low = -1, i
        elif rising <= 0 and v > y[low] + turn:
            found.append(low)
            rising, high = 1, i
    inner = [i for i in found if i > 0]
    return np.array(inner, np.int64)


def _fine(y: Array, at: int, sign: float) -> float:
    """Return where a turn is between values: the vertex of a parabola."""
    if not 0 < at < len(y) - 1:
        return float(at)
    before, top, after = (sign * y[at - 1 : at + 2]).tolist()
    bend = before - 2 * top + after
    return at + 0.5 * (before - after) / bend if bend < 0 else float(at)


def _alike(y: Array, begins: Counts) -> float:
    """Return the mean correlation of breaths, of one length now, with their mean."""
    shapes = []
    for a, b in zip(begins[:-1].tolist(), begins[1:].tolist(), strict=True):
        shape = np.interp(np.linspace(a, b, _SHAPE), np.arange(len(y)), y)
        shape -= shape.mean()
        shapes.append(shape / (np.linalg.norm(shape) or 1.0))
    mean = np.mean(shapes, axis=0)
    return float(np.mean(shapes @ mean) / (np.linalg.norm(mean) or 1.0))
