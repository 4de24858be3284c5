"""Detection of spikes and steps in a signal."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, StreamInfo
from physio.core.stage import Stage
from physio.dsp.jit import njit
from physio.quality.range_checks import masks

Counts = npt.NDArray[np.int64]

_PANES: Final = 10  # in the time over which changes are taken


class ChangeHistory(NamedTuple):
    """Greatest change of each channel in each tenth of a window."""

    judged: Counts  # columns of the judged kinds
    most: Array  # (panes, channels): pane k in row k % panes
    last: Array  # (channels,): the newest good sample
    away: Counts  # (channels,): bad samples since
    clock: Counts  # (3,): samples, samples in a pane, samples of a hold
    times: float


@njit(cache=True)
def _find_jumps(
    most: Array, last: Array, away: Counts, clock: Counts, times: float, x: Array
) -> Array:
    """Check samples, shape (n, channels), by their distance from the last good one."""
    panes, channels = most.shape
    y = np.empty_like(x)
    for i in range(len(x)):
        slot = clock[0] // clock[1] % panes
        full = clock[0] >= panes * clock[1]
        for c in range(channels):
            if clock[0] % clock[1] == 0:
                most[slot, c] = 0.0
            v = x[i, c]
            if np.isnan(v):
                y[i, c], last[c], away[c] = v, np.nan, 0
                continue
            if np.isinf(v):
                y[i, c] = 0.0
                continue
            change, usual, alive = abs(v - last[c]), 0.0, 0
            for p in range(panes):
                usual = max(usual, most[p, c])
                alive += most[p, c] > 0
            jump = full and 2 * alive >= panes and change > times * usual
            if jump and away[c] < clock[2]:
                y[i, c] = 0.0
                away[c] += 1
                continue
            if not jump and not np.isnan(change):
                most[slot, c] = max(most[slot, c], change)
            y[i, c], last[c], away[c] = 1.0, v, 0
        clock[0] += 1
    return y


@dataclass(frozen=True)
class SpikeDetection(Stage):
    """Mask of a signal without spikes and steps.

    A sample x(i) is bad (0, else 1; no unit) if abs(x(i) - x(g)), with g the last good
    sample, exceeds ``times`` times the greatest change between successive samples of
    the last ``window`` s, which contain two beats even at the lowest heart rate. A
    spike is thus masked without the samples after it, and a step becomes the new level
    after ``hold`` s. An infinite sample is bad. Channels of other kinds are good.

    Parameters
    ----------
    times
        Least ratio of a jump to the greatest change before.
    window
        Length of the window of changes (s).
    hold
        Longest time for which samples are bad (s); one sample if that is longer.
    kinds
        Kinds of the channels that are judged.

    Notes
    -----
    The method and its limit are ours: on the wrists of 23 participants (WESAD, Stress-
    Predict), 34 hours with all arm movements, no sample changes five times faster than
    the samples of the two seconds before, and on a participant at rest (ECG and pulse)
    none changes 1.4 times faster. EEG and acceleration, which do change so at the begin
    of a movement, are judged with a ``hold`` of 0.02 s, which costs few samples of it.
    Changes are taken over the present tenth of
    ``window`` and the nine before it; until these are full, and half of them contain a
    change, all samples are good. There is no delay.

    y(i) = 0 where abs(x(i) - x(g)) > ``times`` max abs(x(j) - x(j - 1)), else 1. Shape
    (n, channels) to (n, channels).
    """

    times: float = 5.0
    window: float = 2.0
    hold: float = 1.0
    kinds: tuple[str, ...] = ("bio", "ecg")

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a mask for each channel."""
        if not self._judged(info):
            c = info.channels[0]
            raise ValueError(
                f"jumps are judged in {' or '.join(self.kinds)}, but {c.name!r} of "
                f"{info.name!r} is {c.kind}"
            )
        clock = self.initial_state(info).clock
        return masks(info, float((_PANES * clock[1] + clock[2]) / info.rate))

    def initial_state(self, info: StreamInfo) -> ChangeHistory:
        """Return the state before the first sample."""
        if not (self.times > 1 and self.window > 0 and self.hold >= 0):
            raise ValueError(
                f"jumps of {info.name!r} need times above 1, a window above 0 and a "
                f"hold of at least 0: {self.times}, {self.window}, {self.hold}"
            )
        judged = self._judged(info)
        n = len(judged)
        pane = ceil(info.rate * Fraction(str(self.window)) / _PANES)
        hold = max(int(info.rate * Fraction(str(self.hold))), min(self.hold > 0, 1))
        return ChangeHistory(
            np.array(judged, np.int64),
            np.zeros((_PANES, n)),
            np.full(n, np.nan),
            np.zeros(n, np.int64),
            np.array([0, pane, hold], np.int64),
            self.times,
        )

    def process(self, state: ChangeHistory, x: Array) -> Array:
        """Judge ``x``."""
        y = np.where(np.isnan(x), x, 1.0)
        judged = np.ascontiguousarray(x[:, state.judged])
        y[:, state.judged] = _find_jumps(*state[1:], judged)
        return np.asarray(y)

    def _judged(self, info: StreamInfo) -> list[int]:
        """Return the columns of the judged kinds."""
        return [i for i, c in enumerate(info.channels) if c.kind in self.kinds]
