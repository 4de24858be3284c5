"""Dejittering: time stamps with jitter, drift and gaps on a grid of samples."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.core.timing.timestamps import NEVER

Numbers = npt.NDArray[np.int64]

LONGEST_GAP: Final = 12 * 3600.0
"""Longest gap of a stream (s); a longer one is a step of its clock."""

_TOLERANCE: Final = 1e-3  # relative error of a nominal rate that is tolerated
_REACH: Final = 1.0  # time on either side of a jump in which stamps are compared (s)
_ERROR: Final = 1e-3  # error of time at which a grid starts to follow the drift (s)
_STEP: Final = 1.0  # smallest step of a clock that is followed (s)
_CERTAIN: Final = 10.0  # step of stamps that no jitter or burst has (s)
_OUTSIDE: Final = 600.0  # time outside the session that is not believed (s)
_BURST: Final = 64  # samples that may come at once


class SampleRun(NamedTuple):
    """Samples number ``first`` to ``last`` of a file, without losses between them.

    ``start`` and ``epoch`` are the first sample number and the ``t0`` of their block.
    """

    first: int
    last: int
    start: int
    epoch: float


class ClockStep(NamedTuple):
    """Step of a stream's clock (s) before sample number ``sample``."""

    sample: int
    seconds: float


class SampleGrid(NamedTuple):
    """Grid of a stream.

    ``rate`` is its rate (Hz), ``runs`` are its runs, ``steps`` the steps of its clock.
    ``order`` has the samples in the order of their times, if the file has not: runs
    count in this order.
    """

    rate: Fraction
    runs: tuple[SampleRun, ...]
    steps: tuple[ClockStep, ...]
    order: Numbers | None = None

    @property
    def back(self) -> tuple[int, ...]:
        """Samples before which the clock went back."""
        return tuple(step.sample for step in self.steps if step.seconds < 0)


def fit(
    stamps: Array, nominal: Fraction, session: tuple[float, float] | None = None
) -> SampleGrid:
    """Return the grid on which samples with these stamps lie.

    No sample is omitted. Samples are reordered only if the order of their stamps is a
    regular grid and theirs is not, as when packets overtake each other. A jump is a gap
    if, beyond the jitter of the second before and after it, at least half a sample is
    missing; losses smaller than the jitter cannot be distinguished from it, and change
    the drift instead. In each stretch without a gap, time is a straight line through
    the stamps, and the epochs of its runs follow this line.

    Where the stamps go back, or forward beyond the session or by more than
    `LONGEST_GAP`, the clock was set: the samples follow directly after those before,
    and so do all later ones with the same clock. The clock that most samples inside the
    session have is right.

    Parameters
    ----------
    stamps
        Time stamps of the samples in the file (s), shape (n,).
    nominal
        Nominal sampling rate in the file (Hz), above 0. The measured rate replaces it
        if it differs by more than 0.1 % and by more than three times its own standard
        error (the nominal 52 Hz of a Muse's movement sensor is measured as 51.84 Hz).
        Samples that were stamped as their packets arrived do not change it.
    session
        First and last time at which the session was recorded (s), if other streams
        show it.

    Raises
    ------
    ValueError
        If a stamp is not a finite number, or no time.
    """
    if not np.all(np.isfinite(stamps)):
        raise ValueError("a time stamp is not a finite number")
    if np.any(np.abs(stamps) > NEVER):
        raise ValueError(
            f"a time stamp is {np.abs(stamps).max():g} s, which is no time"
        )
    if not len(stamps):
        return SampleGrid(nominal, (), ())
    period = usual_period(stamps, 1 / float(nominal))
    order = _order(stamps, period)
    if order is not None:
        stamps = stamps[order]
    cuts = _cuts(stamps, period)
    rate = _rate(stamps, cuts, nominal)
    f = float(rate)
    edges = list(zip([0, *cuts], [*cuts, len(stamps)], strict=True))
    lines = [_line(stamps[a:b], 1 / f) for a, b in edges]
    clock = _Clock(session)
    for (a, b), (slope, first) in zip(edges, lines, strict=True):
        clock.add(first, (b - a) * slope, 1 / f)
    runs: list[SampleRun] = []
    start, free = 0, -np.inf  # of the next stretch: its first number, its earliest time
    for (a, b), (slope, _), first in zip(edges, lines, clock.starts(), strict=True):
        first = max(first, free)
        if runs:
            last = free - 1 / f
            start += max(round((first - last) * f) - 1, 0)
        runs.extend(_follow(a, b, start, first, slope, f))
        start += b - a
        free = runs[-1].epoch + start / f
    steps = [ClockStep(edges[i][0], by) for i, by in clock.steps]
    return SampleGrid(rate, tuple(runs), tuple(steps), order)


class _Clock:
    """Correction of the clock of a stream, stretch by stretch.

    Parameters
    ----------
    session
        See `fit`.
    """

    def __init__(self, session: tuple[float, float] | None) -> None:
        self.session = session
        self.steps: list[tuple[int, float]] = []
        self._firsts: list[float] = []
        self._lengths: list[float] = []
        self._offsets: list[float] = []  # added to the stamps of each stretch
        self._end = self._before = -np.inf  # time after the last stretch, corrected

    def add(self, first: float, seconds: float, period: float) -> None:
        """Add a stretch that begins at ``first`` by its stamps."""
        offset = self._offsets[-1] if self._offsets else 0.0
        step = first + offset - self._end
        at = len(self._offsets)
        if at and step < -_STEP and self._was_ahead(first + offset):
            ahead = self._firsts[-1] + offset - self._before
            self._offsets[-1] -= ahead
            self.steps += [(at - 1, ahead), (at, -ahead)]
            self._end = self._before + self._lengths[-1]
        elif at and (step < -_STEP or step > _STEP):
            known = [o for o in self._offsets if abs(first + o - self._end) < _STEP]
            if known or step < 0 or not self._believed(first, step):
                offset = known[-1] if known else self._end - first
                self.steps.append((at, step))
        elif at and step < -period / 2:
            self.steps.append((at, step))
        self._firsts.append(first)
        self._lengths.append(seconds)
        self._offsets.append(offset)
        self._before = self._end
        self._end = max(self._end, first + offset + seconds)

    def _was_ahead(self, first: float) -> bool:
        """Return whether, without the gap before the last stretch, this one follows."""
        follows = self._before + self._lengths[-1]
        return len(self._offsets) > 1 and abs(first - follows) < _STEP

    def starts(self) -> list[float]:
        """Return the time of the first sample of each stretch (s)."""
        lengths: dict[float, float] = {}
        for first, seconds, offset in zip(
            self._firsts, self._lengths, self._offsets, strict=True
        ):
            lengths.setdefault(offset, 0.0)
            lengths[offset] += seconds * self._is_inside(first)
        longest = max(lengths.values(), default=0.0)
        right = next(o for o, n in lengths.items() if n >= 0.1 * longest)
        return [
            first + offset - right
            for first, offset in zip(self._firsts, self._offsets, strict=True)
        ]

    def _believed(self, first: float, step: float) -> bool:
        """Return whether a gap of ``step`` s before ``first`` is one of the session."""
        if step > LONGEST_GAP:
            return False
        if step < _OUTSIDE or self.session is None:
            return True
        return self._is_inside(first) or not self._is_inside(self._end)

    def _is_inside(self, time: float) -> bool:
        begin, end = self.session or (-np.inf, np.inf)
        return begin - _OUTSIDE <= time <= end + _OUTSIDE


def usual_period(stamps: Array, nominal: float) -> float:
    """Return the usual time between samples (s), regardless of losses and bursts.

    It is measured from smooth stamps, whose longer steps are multiples of it. For other
    stamps the nominal interval is retained within 2 %, because scattered losses appear
    to slow a stream down by that much, and where the rate is not steady.
    """
    steps = np.diff(stamps)
    if len(steps) < 8:
        return nominal
    reach = max(1, min(len(stamps) // 4, max(100, int(10 / nominal))))
    spans = (stamps[reach:] - stamps[:-reach]) / reach
    overall = float(np.median(spans))
    usual = float(np.median(steps))
    if usual > 0 and np.mean(np.abs(steps - usual) < usual / 20) > 0.5:
        multiple = steps / usual
        whole = np.abs(multiple - np.round(multiple)) < 0.05 * np.maximum(multiple, 1)
        is_grid = float(np.mean(whole)) > 0.9
        expected = abs(usual / nominal - 1) < 0.02
        if usual > 0.98 * overall or (is_grid and (expected or usual > 0.7 * overall)):
            return usual
    if reach < 100 or overall <= 0 or abs(overall / nominal - 1) < 0.02:
        return nominal
    low, high = np.quantile(spans, [0.25, 0.75])
    is_steady = high - low < 0.03 * overall
    close = 0.75 < overall / nominal < 1.25
    return overall if close or overall < nominal or is_steady else nominal


def _order(stamps: Array, period: float) -> Numbers | None:
    """Return the order of the stamps if it is a grid and that of the samples is not.

    Samples at once, as of a packet, count as one step of the grid.
    """
    if len(stamps) < 8 or not np.any(np.diff(stamps) < 0):
        return None
    order = np.argsort(stamps, kind="stable")
    steps = np.diff(stamps[order])
    first = np.concatenate([[0], np.flatnonzero(steps > period / 2) + 1])
    if len(first) < 4:
        return None
    spacing = np.diff(stamps[order][first]) / (np.diff(first) * period)
    regular = float(np.mean(np.abs(spacing - 1) < 0.4))
    twice = float(np.mean(spacing < 0.7))  # stretches of two clocks, one in the other
    is_grid = regular > 0.95 and twice < 0.005 and steps.max() < _STEP
    return order if is_grid else None


def _cuts(stamps: Array, period: float) -> list[int]:
    """Return the samples preceded by a jump of time."""
    steps = np.abs(np.diff(stamps))
    certain = (np.flatnonzero(steps > max(_CERTAIN, 100 * period)) + 1).tolist()
    edges = zip([0, *certain], [*certain, len(stamps)], strict=True)
    inside = [a + i for a, b in edges for i in _jumps(stamps[a:b], period)]
    return sorted([*certain, *inside])


def _windowed(extreme: np.ufunc, values: Array, size: int) -> Array:
    """Return the extreme of each value and the ``size - 1`` after it.

    By van Herk's method, in two passes.
    """
    pad = -len(values) % size + size
    blocks = np.pad(values, (0, pad), mode="edge").reshape(-1, size)
    before = extreme.accumulate(blocks, axis=1).ravel()
    after = extreme.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].ravel()
    n = len(values)
    result: Array = extreme(after[:n], before[size - 1 : size - 1 + n])
    return result


def _jumps(stamps: Array, period: float) -> list[int]:
    """Return the samples preceded by a jump of time larger than the jitter."""
    lag = stamps - np.arange(len(stamps)) * period
    reach = max(8, int(_REACH / period))
    size = min(reach, _BURST)
    least = _windowed(np.minimum, lag, size)[1:]
    most = _windowed(np.maximum, lag, size)[1:]
    possible = np.maximum(least - lag[:-1], lag[:-1] - most) > period / 2
    jumps = [0]
    for i in (np.flatnonzero(possible) + 1).tolist():
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
