"""Breathing as a belt about the chest feels it: its rate, its depth, its phase."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage, sealed
from physio.dsp.window import STATISTICS, Panes, every, panes, slide
from physio.features.columns import column
from physio.features.respiration.breath_detection import breaths, sound

_MEAN: Final = STATISTICS.index("mean")
_WARMING: Final = MissingReason.WARMING_UP.nan
_POOR: Final = MissingReason.POOR_QUALITY.nan
_STEP: Final = 0.25  # s, over which a belt is averaged
_RATE: Final = 4  # values a second


class Girth(NamedTuple):
    """The newest values of a belt, four a second."""

    panes: Panes
    values: Array  # (window,): the newest last
    clock: npt.NDArray[np.int64]  # (1,): values seen
    told: Array  # (6,): rate, depth, begin, peak (values seen), lengths in and out
    pick: int


@dataclass(frozen=True)
class RespirationBelt(Stage):
    """Breathing as a belt about the chest feels it.

    ``rate`` (1/min) is 60 over the mean breath of the last ``width`` s, from the
    beginning of a breath in to that of the next; ``depth`` (in the belt's own unit) the
    median way from there to the peak; ``phase`` (1) where in a breath the participant
    is now: 0 where a breath in begins, 0.5 where the breath out begins, below 1.

    Parameters
    ----------
    width
        How far back breaths are looked at (s): whole seconds, at least 20.
    share
        Which part of it must be there.

    Notes
    -----
    Every 0.25 s the mean of the last 0.25 s comes in; every second the last ``width`` s
    are looked at afresh. A breath ends where the belt, smoothed over 0.75 s, has turned
    by three tenths of the usual depth; so neither drift nor scale matters. Until a turn
    is that far gone it is not known: the phase goes on as fast as the last breaths did.

    A rate is given where breathing is what the belt shows, by the criteria of [1]_: of
    the lengths of breaths, standard deviation below a quarter of the mean, and no more
    than 15 % below half or above one and a half of their median; breaths fill 60 % of
    the window; each is like the mean of all (correlation 0.75). Deviations: the breaths
    themselves are found by turns, not by crossings of a mean; and of the signal's
    power, differences of 0.25 s must be at most 0.65 of what random values have.
    Speech, laughter and sighs break these rules, and what comes is missing (poor
    quality). The delay is half of 0.25 s.

    Shape (n, channels) to (m, 3).

    References
    ----------
    .. [1] Charlton et al., An impedance pneumography signal quality index: design,
       assessment and application to respiratory rate monitoring, Biomedical Signal
       Processing and Control 65, 2021.
    """

    window: float = 32.0
    min_valid: float = 0.8

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return ``rate``, ``depth`` and ``phase``."""
        state = self.initial_state(info)
        source = info.channels[state.pick]
        delay = source.delay + (_STEP - 1 / float(info.rate)) / 2
        span = source.memory + self.window + 1.0 + _STEP
        return info.with_channels(
            info.rate / self.schedule(info).step,
            Channel("rate", "misc", "1/min", delay, span),
            Channel("amplitude", "misc", source.unit, delay, span),
            Channel("phase", "misc", "1", delay, span),
        )

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every 0.25 s."""
        return every(info, _STEP)

    def initial_state(self, info: StreamInfo) -> Girth:
        """Return an empty memory of the one belt of ``info``."""
        pick = column(info, "resp")
        if not self.window >= 20 or self.window % 1 or not 0 < self.min_valid <= 1:
            raise ValueError(
                f"breathing on {info.name!r} is read from whole seconds, 20 or more, "
                f"of which a share above 0 is there: {self.window:g}, {self.min_valid:g}"
            )
        return Girth(
            panes(info, (_STEP,), _STEP, 0.5, columns=1),
            np.full(int(self.window) * _RATE, _WARMING),
            np.zeros(1, np.int64),
            np.full(6, _WARMING),
            pick,
        )

    def process(self, state: Girth, x: Array) -> Array:
        """Take in ``x``; return the rows now due."""
        own = sealed(x[:, state.pick : state.pick + 1])
        values = np.ascontiguousarray(slide(*state.panes, own)[:, 0, _MEAN, 0])
        return np.asarray(_follow(*state[1:4], self.min_valid, values))


@njit(cache=True)
def _follow(
    window: Array, clock: npt.NDArray[np.int64], told: Array, share: float, x: Array
) -> Array:
    """Take in values of a belt, shape (m,); return rate, depth, phase at each."""
    y = np.empty((len(x), 3))
    for i in range(len(x)):
        window[:-1] = window[1:].copy()
        window[-1] = x[i]
        clock[0] += 1
        if clock[0] % _RATE == 0:
            _look(window, clock[0], share, told)
        y[i, 0], y[i, 1], y[i, 2] = told[0], told[1], _phase(told, clock[0])
        if np.isnan(x[i]):
            y[i] = x[i]
    return y


@njit(cache=True)
def _look(window: Array, now: int, share: float, told: Array) -> None:
    """Write what is to be told of the window, or why nothing is."""
    n = len(window)
    if now < n:
        told[:] = _WARMING
        return
    at = np.flatnonzero(~np.isnan(window))
    if len(at) < share * n:
        for v in window:
            if np.isnan(v):
                told[:] = v
        return
    found = breaths(np.interp(np.arange(n), at, window[at]), _RATE)
    if not sound(found, n):
        told[:] = _POOR
        return
    told[0], told[1] = found.rate, found.depth
    told[2], told[3] = now - n + found.begins[-1], now - n + found.peaks[-1]
    told[4], told[5] = found.inward, found.outward


@njit(cache=True)
def _phase(told: Array, now: int) -> float:
    """Return where in a breath value number ``now`` is."""
    rate, _, begin, peak, inward, outward = told
    if np.isnan(rate):
        return rate
    since = now - 1 - (begin if begin > peak else peak - inward)
    u = since % (inward + outward)
    return 0.5 * u / inward if u < inward else 0.5 + 0.5 * (u - inward) / outward
