"""Contact artifacts in skin conductance: dips, slips, steps and spikes."""

from typing import Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.core.missing import MissingReason
from physio.dsp.jit import njit

Mask = npt.NDArray[np.bool_]

CONTEXT: Final = 20  # s before a value that its verdict may depend on
"""Time before a stretch of values that its verdicts need (s)."""

_PER_SECOND: Final = 4  # values
_LEAST: Final = 0.01  # uS: the smallest artifact
_SHARE: Final = 0.04  # of the level: the smallest artifact
_NOISY: Final = 8.0  # times the noise: the smallest artifact
_DECAY: Final = 1.0  # s, time constant of the fastest fall of a response
_FALL: Final = 4  # values over which a fall is judged
_SPIKE: Final = 8  # values before a fall in which the rise of a spike lies
_JUMP: Final = 2  # values of a step up
_AROUND: Final = 4  # values on either side of a step up
_SHARP: Final = 0.95  # of the rise around it: a step up
_STAYS: Final = 0.7  # of a step up: what is left of it a second later
_STILL: Final = 8  # values of the rest that ends an artifact
_REST: Final = 0.15  # of the artifact: the range of values at rest
_HOLD: Final = 40  # values of the longest artifact without another change
_LOW: Final = 40  # values for which a level that fell is an artifact
_AGAIN: Final = 80  # values after a fall in which the level may return
_RETURN: Final = 0.5  # of a fall: the rise that ends it
_MEDIAN: Final = 1.65  # sqrt(6) * 0.6745: second differences of white noise
_ARTIFACT: Final = MissingReason.ARTIFACT.nan


@njit(cache=True)
def _noise(y: Array) -> float:
    """Return the standard deviation of white noise from second differences."""
    bends = np.empty(len(y))
    n = 0
    for i in range(2, len(y)):
        bend = abs(y[i] - 2 * y[i - 1] + y[i - 2])
        if not np.isnan(bend):
            bends[n] = bend
            n += 1
    return float(np.median(bends[:n])) / _MEDIAN if n else 0.0


@njit(cache=True)
def _least(level: float, noise: float) -> float:
    """Return the smallest change (uS) from a level that is judged."""
    return max(_LEAST, _SHARE * level, _NOISY * noise)


@njit(cache=True)
def _fall(y: Array, bad: Mask, i: int, noise: float) -> tuple[float, int]:
    """Return the fall that ends at ``i`` and is too fast for skin, and its begin.

    0 if there is none. A response falls to its floor no faster than an exponential; its
    floor is the least good value of the `CONTEXT` before.
    """
    size, start = 0.0, i
    for lag in range(1, min(_FALL, i) + 1):
        top = y[i - lag]
        fall = top - y[i]
        if not fall > _least(top, noise):
            continue
        floor = top
        for k in range(i - lag - 1, max(i - lag - CONTEXT * _PER_SECOND, -1), -1):
            if y[k] < floor and not bad[k]:
                floor = y[k]
        skin = (1 - np.exp(-lag / (_PER_SECOND * _DECAY))) * (top - floor)
        if fall > _least(top, noise) + skin and fall > size:
            size, start = fall, i - lag
    return size, start


@njit(cache=True)
def _foot(y: Array, start: int, size: float) -> int:
    """Return where a spike began whose fall begins at ``start``, else ``start``."""
    top = start
    for k in range(start, max(start - _FALL, -1), -1):
        top = k if y[k] > y[top] else top
    foot = top
    for k in range(top, max(top - _SPIKE, -1), -1):
        foot = k if y[k] < y[foot] else foot
    return foot if y[top] - y[foot] > 0.5 * size else start


@njit(cache=True)
def _jump(y: Array, i: int, noise: float) -> float:
    """Return the size of a step up that ended a second before ``i``, else 0."""
    at = i - _AROUND
    before = at - _JUMP
    if before < _AROUND:
        return 0.0
    jump = y[at] - y[before]
    if not jump > 2 * _least(y[before], noise):
        return 0.0
    high, low, later = y[at], y[before], y[at]
    for k in range(at, i + 1):
        high, later = max(high, y[k]), min(later, y[k])
    for k in range(before - _AROUND, before + 1):
        low = min(low, y[k])
    stays = later - y[before] > _STAYS * jump
    return jump if stays and jump > _SHARP * (high - low) else 0.0


@njit(cache=True)
def _return(y: Array, i: int, before: float, after: float, noise: float) -> int:
    """Return where the level began to return to that before a fall, else -1."""
    size = before - after
    if not size > _least(before, noise):
        return -1
    foot = i
    for k in range(i, max(i - _SPIKE - 1, -1), -1):
        foot = k if y[k] < y[foot] else foot
    enough = y[i] - y[foot] > _RETURN * size and y[foot] < before - 0.4 * size
    return foot if enough and y[i] < before + 0.3 * size else -1


@njit(cache=True)
def _is_still(y: Array, i: int, size: float, noise: float) -> bool:
    """Return whether the values up to ``i`` are at rest after an artifact."""
    high, low = y[i], y[i]
    for k in range(max(i - _STILL + 1, 0), i + 1):
        if not np.isnan(y[k]):
            high, low = max(high, y[k]), min(low, y[k])
    return high - low <= _REST * size + 3 * noise


@njit(cache=True)
def find_artifacts(y: Array) -> Mask:
    """Return a mask of contact artifacts in skin conductance at 4 Hz.

    Parameters
    ----------
    y
        Conductance (uS), shape (n,), NaN where it is missing.

    Returns
    -------
    ndarray of bool, shape (n,)
        True for values in an artifact; False where ``y`` is missing.

    Notes
    -----
    Sweat raises the conductance within a second, but it leaves the skin slowly. So an
    artifact begins with one of three changes that skin does not make: a fall, over 1 s
    or less, faster than an exponential of 1 s towards the least value of the 20 s
    before; a rise of which 0.95 lies within 0.5 s and 0.7 stays for a second; or,
    within 20 s of a fall, the return of half of it. Changes smaller than 0.01 uS, 4 %
    of the level or 8 times the noise are not judged. The rise of a spike before its
    fall belongs to it. The artifact ends when the values of 2 s are at rest within 0.15
    of it, and at the latest 10 s after the last such change. After a fall whose level
    does not return by half, it lasts for 10 s: of 223 falls of training participants,
    179 returned within 10 s and 10 more within 20 s.

    The rule and its constants are ours: see the folder ``experiments/eda_artifacts``.
    """
    bad = np.zeros(len(y), np.bool_)
    noise = _noise(y)
    active, begin, last, size, before = False, 0, 0, 0.0, np.nan
    ended, after = -_AGAIN, np.nan
    for i in range(len(y)):
        if np.isnan(y[i]):
            continue
        change, start = _fall(y, bad, i, noise)
        at = i
        if change > 0:
            start = _foot(y, start, change)
        else:
            change = _jump(y, i, noise)
            start, at = i - _AROUND - _JUMP, i - _AROUND
        if change == 0 and not active and i - ended < _AGAIN:
            start, at = _return(y, i, before, after, noise), i
            change = y[i] - y[start] if start >= 0 else 0.0
        if change > 0:
            if not active:
                active, begin, size, before = True, start, 0.0, y[start]
            last, size = max(at, last), max(size, change)
            for k in range(start, i + 1):
                bad[k] = not np.isnan(y[k])
        if not active:
            continue
        bad[i] = True
        low = y[i] < before - 0.5 * size and i - begin < _LOW
        still = i - last >= _STILL and not low and _is_still(y, i, size, noise)
        if still or (i - last > _HOLD and not low):
            active, ended, after = False, i, y[i]
            good = max(i - _STILL + 2, last + 1) if still else i + 1
            if y[i] < before - 0.5 * size:
                good = max(good, begin + _LOW)
            for k in range(good, i + 1):
                bad[k] = False
    return bad


@njit(cache=True)
def _level(y: Array, bad: Mask, first: int, step: int) -> float:
    """Return the mean of the good values of a second from ``first`` on, else NaN."""
    total, n = 0.0, 0
    for k in range(_PER_SECOND):
        at = first + k * step
        if 0 <= at < len(y) and not bad[at] and not np.isnan(y[at]):
            total += y[at]
            n += 1
    return total / n if n else np.nan


@njit(cache=True)
def contact_gain(y: Array, bad: Mask) -> Array:
    """Return the factors that put values on the level after later artifacts.

    A slip or a step changes the share of skin in contact, and so all of the conductance
    in proportion. Across each artifact the level before is put on that after: the
    factor of the newest values is 1. A decomposition of ``factors * y``, divided by
    ``factors``, has no response and no slope at a step.

    Parameters
    ----------
    y
        Conductance (uS), shape (n,).
    bad
        Artifacts: see `find_artifacts`.
    """
    gain = np.ones(len(y))
    now, end = 1.0, -1
    for i in range(len(y) - 1, -1, -1):
        gain[i] = now
        if bad[i] and end < 0:
            end = i + 1
        if bad[i] and (i == 0 or not bad[i - 1]):
            before, after = _level(y, bad, i - 1, -1), _level(y, bad, end, 1)
            end = -1
            if before > 0 and after > 0:
                now *= after / before
    return gain


def without_artifacts(y: Array) -> Array:
    """Return skin conductance at 4 Hz without artifacts: see `find_artifacts`.

    They are missing (reason: artifact). Shape (n,), float64.
    """
    x = np.ascontiguousarray(y, np.float64)
    return np.where(find_artifacts(x), _ARTIFACT, x)
