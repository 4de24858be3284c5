"""Statistics of sliding windows, over the samples that are not missing."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage
from physio.dsp.jit import njit

Counts = npt.NDArray[np.int64]

STATISTICS: Final = ("mean", "power", "deviation", "slope")
"""The statistics that `slide` returns, in this order."""

_WARMING: Final = MissingReason.WARMING_UP.nan
_TOO_SHORT: Final = MissingReason.TOO_SHORT.nan


class Panes(NamedTuple):
    """Sums from which sliding windows are assembled.

    The width of a window is a whole number of steps. It consists of panes, each one
    step wide and summed anew, so that no rounding error accumulates when a sample
    leaves.
    """

    sums: Array  # (panes, 6, channels): n, and the sums of j, jj, x, jx, xx
    lost: Array  # (panes, channels): the newest NaN in each pane, or 0
    widths: Counts  # (windows,): panes in each window
    clock: Counts  # (4,): samples, outputs, step as p / q samples
    share: float  # of a window's samples that must be present


def every(info: StreamInfo, hop: float) -> OutputSchedule:
    """Return the schedule with an output every ``hop`` seconds, from the first sample.

    Raises
    ------
    ValueError
        If ``info`` has no rate, or fewer than one sample in a step.
    """
    samples = info.rate * Fraction(str(hop))
    if samples < 1:
        raise ValueError(
            f"cannot give an output every {hop} s on {info.name!r}: a step must hold "
            f"at least one sample, and its rate is {float(info.rate):g} Hz"
        )
    return OutputSchedule(Fraction(0), samples)


def panes(
    info: StreamInfo, widths: tuple[float, ...], hop: float, share: float, columns: int
) -> Panes:
    """Return empty windows of ``widths`` seconds: the initial state of `slide`."""
    step = every(info, hop).step
    hops = [Fraction(str(width)) / Fraction(str(hop)) for width in widths]
    for width, n in zip(widths, hops, strict=True):
        if n < 1 or n.denominator != 1:
            raise ValueError(
                f"a window of {width} s on {info.name!r} is no whole number of steps "
                f"of {hop} s"
            )
    if not 0 < share <= 1:
        raise ValueError(
            f"the proportion of samples that a window of {info.name!r} needs must be "
            f"above 0 and at most 1: {share}"
        )
    longest = int(max(hops))
    return Panes(
        np.zeros((longest, 6, columns)),
        np.zeros((longest, columns)),
        np.array([int(n) for n in hops], np.int64),
        np.array([0, 0, step.numerator, step.denominator], np.int64),
        share,
    )


@njit(cache=True)
def _read(
    sums: Array, lost: Array, width: int, clock: Counts, share: float, y: Array
) -> None:
    """Write the statistics of the window that ends now, shape (4, channels)."""
    count, _, channels = sums.shape
    k, p, q = clock[1], clock[2], clock[3]
    first = -((-(k - width) * p) // q) + 1
    expected = clock[0] + 1 - first
    total = np.zeros((6, channels))
    reason = np.zeros(channels)
    for a in range(max(k - width + 1, 0), k + 1):
        pane, gone = sums[a % count], lost[a % count]
        o = -((-(a - 1) * p) // q) + 1 - first  # samples before this pane
        for c in range(channels):
            n, j, s = pane[0, c], pane[1, c], pane[3, c]
            total[0, c] += n
            total[1, c] += j + o * n
            total[2, c] += pane[2, c] + 2 * o * j + o * o * n
            total[3, c] += s
            total[4, c] += pane[4, c] + o * s
            total[5, c] += pane[5, c]
            if np.isnan(gone[c]):
                reason[c] = gone[c]
    for c in range(channels):
        n, j, jj = total[0, c], total[1, c], total[2, c]
        s, js, ss = total[3, c], total[4, c], total[5, c]
        if k < width or n < share * expected:
            for statistic in range(4):
                y[statistic, c] = _WARMING if k < width else reason[c]
        else:
            y[0, c] = s / n
            y[1, c] = ss / n
            y[2, c] = np.sqrt(max(ss / n - (s / n) ** 2, 0.0))
            across = n * jj - j * j
            y[3, c] = (n * js - j * s) / across if across > 0 else _TOO_SHORT


@njit(cache=True)
def slide(
    sums: Array, lost: Array, widths: Counts, clock: Counts, share: float, x: Array
) -> Array:
    """Take in samples; return the statistics of every window that ends with one.

    Parameters
    ----------
    sums, lost, widths, clock, share
        A state of `Panes`, changed in place.
    x
        Samples, shape (n, channels).

    Returns
    -------
    ndarray, shape (m, windows, 4, channels)
        `STATISTICS`: mean, mean square, standard deviation (divided by n), and the
        slope per sample of the least-squares line. The statistics of windows that are
        not yet full are missing (warming up), and so are those of windows with too few
        samples (for the reason of the newest missing sample).
    """
    count, _, channels = sums.shape
    p, q = clock[2], clock[3]
    y = np.empty((len(x) * q // p + 1, len(widths), 4, channels))
    m = 0
    k = clock[1]
    before, due, slot = (-(k - 1) * p) // q, -((-k * p) // q), k % count
    for i in range(len(x)):
        j = float(clock[0] + before - 1)
        for c in range(channels):
            v = x[i, c]
            if np.isnan(v):
                lost[slot, c] = v
            else:
                sums[slot, 0, c] += 1
                sums[slot, 1, c] += j
                sums[slot, 2, c] += j * j
                sums[slot, 3, c] += v
                sums[slot, 4, c] += j * v
                sums[slot, 5, c] += v * v
        if clock[0] == due:
            for w in range(len(widths)):
                _read(sums, lost, widths[w], clock, share, y[m, w])
            m += 1
            clock[1] += 1
            k += 1  # divisions are slow: once per pane
            before, due, slot = -due, -((-k * p) // q), k % count
            for c in range(channels):
                lost[slot, c] = 0.0
                for total in range(6):
                    sums[slot, total, c] = 0.0
        clock[0] += 1
    return y[:m]


@dataclass(frozen=True)
class Window(Stage):
    """Statistics of each channel in a sliding window.

    Parameters
    ----------
    statistics
        Any of ``mean``, ``power`` (mean square), ``deviation`` (standard deviation,
        divided by n) and ``slope`` (of the least-squares line, per minute). Output
        channels are named ``<statistic>.<channel>``.
    window
        Length of a window (s): a whole number of steps.
    step
        Time from one output to the next (s).
    min_valid
        Proportion of a window's samples that must be present; below it the output is
        missing, for the reason of the newest missing sample.

    Notes
    -----
    The first output is due with the first sample; outputs are missing (warming up)
    until a whole window has passed. Sums are of plain samples and squares in float64:
    if the mean of a signal is ``r`` times its standard deviation, the variance has a
    relative error of ``r * r * 1e-16``. A window ends with its output: no delay is
    added.

    The four statistics are those of `numpy.mean`, `numpy.std` and `numpy.polyfit`,
    without deviation but for rounding. Shape (n, channels) to (m, statistics times
    channels); the unit is that of the channel, squared for a power, per minute for a
    slope.
    """

    statistics: tuple[str, ...] = ("mean",)
    window: float = 10.0
    step: float = 0.25
    min_valid: float = 0.5

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a channel for each statistic of each channel."""
        for name in self.statistics:
            if name not in STATISTICS:
                raise ValueError(
                    f"there is no statistic {name!r} of a window: there are "
                    f"{', '.join(STATISTICS)}"
                )
        self.initial_state(info)
        channels = (
            replace(
                _unit(name, c), name=f"{name}.{c.name}", memory=c.memory + self.window
            )
            for name in self.statistics
            for c in info.channels
        )
        return info.with_channels(info.rate / self.schedule(info).step, *channels)

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> tuple[Panes, Array]:
        """Return empty panes, and the factor of each statistic."""
        rows = [STATISTICS.index(s) for s in self.statistics]
        scale = np.array([1.0, 1.0, 1.0, 60 * float(info.rate)])[rows]
        width = len(info.channels)
        return panes(info, (self.window,), self.step, self.min_valid, width), scale

    def process(self, state: tuple[Panes, Array], x: Array) -> Array:
        """Take in ``x``; return the statistics now due."""
        window, scale = state
        rows = [STATISTICS.index(s) for s in self.statistics]
        y = slide(*window, x)[:, 0, rows] * scale[:, None]
        return y.reshape(len(y), len(rows) * x.shape[1])


def _unit(statistic: str, channel: Channel) -> Channel:
    unit = channel.unit
    if statistic == "power":
        return replace(channel, kind="misc", unit=f"({unit})^2")
    if statistic == "slope":
        return replace(channel, kind="misc", unit=f"{unit}/min")
    return channel if statistic == "mean" else replace(channel, kind="misc")
