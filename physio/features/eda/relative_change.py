"""Relative slope and activity of skin conductance over the last minute."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage, read_only
from physio.dsp.window import STATISTICS, Panes, every, panes, slide
from physio.features.columns import column

_MEAN, _DEVIATION, _SLOPE = (
    STATISTICS.index(s) for s in ("mean", "deviation", "slope")
)
_BIN: Final = 0.25  # s
_LEAST: Final = 1e-3  # uS, least conductance whose logarithm is taken
_RESOLUTION: Final = 1e-4  # uS, deviation of differences that is always added


class ChangeState(NamedTuple):
    """State of relative slope and activity."""

    bins: Panes
    windows: Panes  # of the logarithm of a bin, and of its difference (uS)
    before: Array  # (1,): the bin before (uS)
    pick: int


@dataclass(frozen=True)
class EdaRelativeChange(Stage):
    """Relative slope and activity of skin conductance.

    ``log_slope`` (1/min) is that of the least-squares line of the logarithm of skin
    conductance over the last ``window`` s: 0.1 is a rise of a tenth in a minute, at any
    level. ``activity`` (uS) is the standard deviation of the differences between
    successive averages of 0.25 s, to which 1e-4 uS are added in quadrature.

    Parameters
    ----------
    window
        Length of the window (s): a whole number of steps.
    step
        Time from one output to the next (s).
    min_valid
        Proportion of a window that must be present.

    Notes
    -----
    log_slope = 60 cov(t, log x) / var(t), activity = sqrt(var(diff(x)) + 1e-8).
    Nothing is decomposed: the two are what travels best between laboratories in
    ``experiments/cross_laboratory``. A conductance below 1e-3 uS counts as that. The
    delay is half of 0.25 s. The definition is ours. Shape (n, channels) to (m, 2).
    """

    window: float = 60.0
    step: float = 1.0
    min_valid: float = 0.5

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return ``log_slope`` and ``activity``."""
        state = self.initial_state(info)
        source = info.channels[state.pick]
        delay = source.delay + (_BIN - 1 / float(info.rate)) / 2
        span = source.memory + self.window + 2 * _BIN
        return info.with_channels(
            info.rate / self.schedule(info).step,
            Channel("log_slope", "misc", "1/min", delay, span),
            Channel("activity", "misc", "uS", delay, span),
        )

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> ChangeState:
        """Return empty windows on the one skin conductance channel."""
        pick = column(info, "gsr")
        if (unit := info.channels[pick].unit) != "uS":
            raise ValueError(
                f"skin conductance is read in uS, but {info.channels[pick].name!r} of "
                f"{info.name!r} is in {unit}"
            )
        binned = info.with_channels(1 / Fraction(str(_BIN)))
        return ChangeState(
            panes(info, (_BIN,), _BIN, self.min_valid, columns=1),
            panes(binned, (self.window,), self.step, self.min_valid, columns=2),
            np.full(1, MissingReason.WARMING_UP.nan),
            pick,
        )

    def process(self, state: ChangeState, x: Array) -> Array:
        """Take in ``x``; return the outputs now due."""
        signal = read_only(x[:, state.pick : state.pick + 1])
        bins = slide(*state.bins, signal)[:, 0, _MEAN, 0]
        if not len(bins):
            return np.empty((0, 2))
        before = np.concatenate([state.before, bins[:-1]])
        state.before[:] = bins[-1]
        level = np.where(np.isnan(bins), bins, np.log(np.maximum(bins, _LEAST)))
        both = read_only(np.column_stack([level, _difference(bins, before)]))
        y = slide(*state.windows, both)[:, 0]
        spread = y[:, _DEVIATION, 1]
        activity = np.sqrt(spread**2 + _RESOLUTION**2)
        activity = np.where(np.isnan(spread), spread, activity)
        return np.column_stack([y[:, _SLOPE, 0] * 60 / _BIN, activity])


def _difference(x: Array, before: Array) -> Array:
    """Return differences, missing for the reason of the newer missing value."""
    return np.where(np.isnan(x), x, np.where(np.isnan(before), before, x - before))
