"""Dejittering: time stamps with jitter, drift and gaps on a grid of samples."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array

_TOLERANCE: Final = 1e-3  # relative error of a nominal rate that is tolerated
_REACH: Final = 1.0  # time on either side of a jump in which stamps are compared (s)
_ERROR: Final = 1e-3  # error of time at which a grid starts to follow the drift (s)


class SampleRun(NamedTuple):
    """Samples number ``first`` to ``last`` of a file, without losses between them.

    ``start`` and ``epoch`` are the first sample number and the ``t0`` of their block.
    """

    first: int
    last: int
    start: int
    epoch: float


class SampleGrid(NamedTuple):
    """Rate of a stream (Hz), its runs, and samples at which its clock went back."""

    rate: Fraction
    runs: tuple[SampleRun, ...]
    back: tuple[int, ...]


def fit(stamps: Array, nominal: Fraction) -> SampleGrid:
    """Return the grid on which samples with these stamps lie.

    No sample is omitted or reordered. A jump is a gap if, beyond the jitter of the
    second before and after it, at least half a sample is missing; losses smaller than
    the jitter cannot be distinguished from it, and change the drift instead. In each
    stretch without a gap, time is a straight line through the stamps, and the epochs of
    its runs follow this line. If a stretch begins before the previous one ends, for
    example after the clock of a device went back, it is placed directly after the
    previous one.

    Parameters
    ----------
    stamps
        Time stamps of the samples in the file (s), shape (n,).
    nominal
        Nominal sampling rate in the file (Hz), above 0. The measured rate replaces it
        if it differs by more than 0.1 % and by more than three times its own standard
        error (the nominal 52 Hz of a Muse's movement sensor is measured as 51.84 Hz).

    Raises
    ------
    ValueError
        If a stamp is not a finite number.
    """
    if not np.all(np.isfinite(stamps)):
        raise ValueError("a time stamp is not a finite number")
    if not len(stamps):
        return SampleGrid(nominal, (), ())
    period = _period(stamps, 1 / float(nominal))
    cuts = _jumps(stamps, period)
    rate = _rate(stamps, cuts, nominal)
    runs: list[SampleRun] = []
    back = []
    start, free = 0, -np.inf  # of the next stretch: its first number, its earliest time
    f = float(rate)
    for a, b in zip([0, *cuts], [*cuts, len(stamps)], strict=True):
        slope, first = _line(stamps[a:b], 1 / f)
        if first < free - 0.5 / f:
            back.append(a)
        first = max(first, free)
        if runs:
            last = free - 1 / f
            start += max(round((first - last) * f) - 1, 0)
        runs.extend(_follow(a, b, start, first, slope, f))
        start += b - a
        free = runs[-1].epoch + start / f
    return SampleGrid(rate, tuple(runs), tuple(back))


def _period(stamps: Array, nominal: float) -> float:
    """Return the usual time between samples (s), regardless of losses.

    It is measured from smooth stamps. For other stamps the nominal interval is retained
    within 2 %, because scattered losses appear to slow a stream down by that much.
    """
    steps = np.diff(stamps)
    if len(steps) < 8:
        return nominal
    usual = float(np.median(steps))
    if np.mean(np.abs(steps - usual) < usual / 20) > 0.5:
        return usual
    reach = min(len(stamps) // 4, int(10 / nominal))
    if reach < 100:
        return nominal
    measured = float(np.median(stamps[reach:] - stamps[:-reach])) / reach
    return measured if 0.02 < abs(measured / nominal - 1) < 0.25 else nominal


def _jumps(stamps: Array, period: float) -> list[int]:
    """Return the samples preceded by a jump of time larger than the jitter."""
    lag = stamps - np.arange(len(stamps)) * period
    reach = max(8, int(_REACH / period))
    jumps = [0]
    for i in (np.flatnonzero(np.abs(np.diff(lag)) > period / 2) + 1).tolist():
        before = lag[max(jumps[-1], i - reach) : i]
        after = lag[i : i + reach]
        # Samples in bursts are late and early by turns; a jump divides all stamps
        # before it from all after it, by more than either part varies.
        apart = max(after.min() - before.max(), before.min() - after.max())
        if apart > max(period / 2, min(np.ptp(before), np.ptp(after)) / 2):
            jumps.append(i)
    return jumps[1:]


def _rate(stamps: Array, cuts: list[int], nominal: Fraction) -> Fraction:
    """Return the nominal rate, or the measured one if it differs clearly."""
    above = below = square = 0.0
    for a, b in zip([0, *cuts], [*cuts, len(stamps)], strict=True):
        k = np.arange(b - a) - (b - a - 1) / 2
        t = stamps[a:b] - stamps[a:b].mean()
        above += float(k @ t)
        below += float(k @ k)
        square += float(t @ t)
    if not below or above <= 0:
        return nominal
    slope = above / below
    spread = max(square - slope * above, 0.0) / max(len(stamps) - 2, 1)
    error = np.sqrt(spread / below)
    wrong = abs(slope * float(nominal) - 1)
    if wrong <= max(_TOLERANCE, 3 * error * float(nominal)):
        return nominal
    return Fraction(f"{1 / slope:.4g}")


def _line(stamps: Array, period: float) -> tuple[float, float]:
    """Return the sampling interval and the first sample's time, by least squares."""
    k = np.arange(len(stamps)) - (len(stamps) - 1) / 2
    lag = stamps - stamps[0] - np.arange(len(stamps)) * period
    mean = float(lag.mean())
    slope = float(k @ lag) / float(k @ k) if len(k) > 1 else 0.0
    if abs(slope) * len(k) < min(_ERROR, period / 2) or 1 / len(k) > _TOLERANCE * 10:
        return period, float(stamps[0] + mean)
    return period + slope, float(stamps[0] + mean + slope * k[0])


def _follow(
    a: int, b: int, start: int, first: float, slope: float, rate: float
) -> Iterator[SampleRun]:
    """Yield runs short enough that time is off by at most half a sample."""
    wrong = abs(slope * rate - 1)
    size = b - a if wrong < 1e-12 else max(1, min(int(rate), int(0.5 / wrong)))
    for i in range(a, b, size):
        time = first + (i - a) * slope
        number = start + i - a
        yield SampleRun(i, min(i + size, b), number, time - number / rate)
