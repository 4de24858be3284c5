"""Responses of the skin as bursts of its driver, while it comes in or all at once."""

from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from physio.core.block import Array, Channel, StreamInfo
from physio.core.events import Events
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage
from physio.dsp.window import every
from physio.features.eda.decomposition import Decomposition, setting_of
from physio.features.eda.online_decomposition import (
    EACH,
    STEP,
    Recent,
    apart,
    lag,
    recent,
    seconds,
)

AGE: Final = 5
"""How far behind the newest value a driver is believed (s)."""

_REST: Final = 3  # values without driver that end a burst
_LONGEST: Final = 32  # values of one burst
_FLOOR: Final = 0.1  # of the threshold, a second: less is no driver
_SLOW, _FAST = 2.0, 0.7  # s
_SHADE: Final = 4.0, 0.35  # s after a burst, in which so much of it counts as its tail
_FINE: Final = 0.05  # s, to which rise and recovery are told
_FINER: Final = round(STEP / _FINE)
_TAIL: Final = np.arange(0.0, 12.0, _FINE)  # s, looked at behind a burst
_SINCE: Final = np.arange(0.0, _LONGEST * STEP + 12.0, _FINE)
_ALONE: Final = np.exp(-_SINCE / _SLOW) - np.exp(
    -_SINCE / _FAST
)  # what one value makes


class Burst(NamedTuple):
    """The burst that goes on."""

    driver: Array  # (longest,)
    size: npt.NDArray[np.int64]  # (2,): its values, and how many since it rests
    last: Array  # (2,): how long ago a response began (s), its amplitude (uS)


class Watch(NamedTuple):
    """What the detection of responses remembers."""

    memory: Recent
    burst: Burst
    late: float  # how far a value lags (s)


class Second(NamedTuple):
    """What is known of a second of driver once it is old enough.

    ``found`` is the newest window taken apart, or the NaN that says why it is not;
    ``response`` is the one that ended: onset (s from now), amplitude (uS), rise and
    half recovery (s); ``lost`` is the NaN of driver that is missing, else 0.
    """

    found: Decomposition | float
    response: tuple[float, float, float, float] | None
    lost: float


def _burst() -> Burst:
    return Burst(np.zeros(_LONGEST), np.zeros(2, np.int64), np.array([np.inf, 0.0]))


@njit(cache=True)
def _shape(burst: Array) -> tuple[float, float, float]:
    """Return amplitude (uS), rise and half recovery (s) of a burst's own response."""
    y = np.zeros(len(burst) * _FINER + len(_TAIL))
    for j in range(len(burst)):
        for k in range(j * _FINER, min(len(y), j * _FINER + len(_ALONE))):
            y[k] += burst[j] * _ALONE[k - j * _FINER]
    peak = int(np.argmax(y))
    half = 0
    while peak + half < len(y) and y[peak + half] > y[peak] / 2:
        half += 1
    return y[peak] * STEP, peak * _FINE, half * _FINE


@njit(cache=True)
def _next(burst: Burst, p: float, threshold: float, told: Array) -> bool:
    """Take in a value of the driver; tell whether it completes a response.

    Which is written to ``told``: how long ago it began (s), amplitude, rise, recovery.
    A missing value ends a burst that is not told of: nobody knows how it went on.
    """
    driver, size, last = burst
    last[0] += STEP
    if np.isnan(p):
        size[:] = 0
        return False
    on = p > _FLOOR * threshold
    if on or size[0]:
        driver[size[0]] = p if on else 0.0
        size[1] = 0 if on else size[1] + 1
        size[0] += 1
    if not size[0] or (size[1] < _REST and size[0] < len(driver)):
        return False
    ago = (size[0] - 1) * STEP
    told[0] = ago
    told[1], told[2], told[3] = _shape(driver[: size[0] - size[1]])
    size[:] = 0
    within, share = _SHADE
    if told[1] < threshold or (last[0] - ago <= within and told[1] < share * last[1]):
        return False
    last[0], last[1] = ago, told[1]
    return True


@njit(cache=True)
def _second(
    burst: Burst, driver: Array, threshold: float, told: Array
) -> tuple[bool, float]:
    """Take in the second of driver that has become old enough; see `_next`.

    Tells whether a response ended in it, and the NaN of driver that is missing, else 0.
    ``told`` then begins with how long before the newest value it began (s).
    """
    found, lost = False, 0.0
    kept = np.empty(4)
    for back in range(EACH - 1, -1, -1):
        p = driver[len(driver) - 1 - AGE * EACH - back]
        lost = p if np.isnan(p) else lost
        if _next(burst, p, threshold, kept):
            found = True
            told[:] = kept
            told[0] += AGE + back * STEP
    return found, lost


def responses(driver: npt.ArrayLike, threshold: float = 0.02) -> Array:
    """Return the responses of a whole record's driver.

    Parameters
    ----------
    driver
        Driver (uS/s) four times a second, shape (n,): see `decompose`.
    threshold
        Least amplitude (uS).

    Returns
    -------
    ndarray, shape (responses, 4)
        Onset (s from the first value), amplitude (uS), rise (s), half recovery (s).
    """
    values = np.append(np.asarray(driver, np.float64), np.zeros(_REST))
    return np.asarray(_all(_burst(), values, threshold))


@njit(cache=True)
def _all(burst: Burst, driver: Array, threshold: float) -> Array:
    """Return onset, amplitude, rise and recovery of each response in a driver."""
    found = np.empty((len(driver), 4))
    n = 0
    for i in range(len(driver)):
        if _next(burst, driver[i], threshold, found[n]):
            found[n, 0] = i * STEP - found[n, 0]
            n += 1
    return found[:n]


def event_related(
    times: npt.ArrayLike, found: Events, after: tuple[float, float] = (1.0, 5.0)
) -> Array:
    """Return what the skin answered to each marker.

    Parameters
    ----------
    times
        When the markers were (s), shape (n,).
    found
        Responses with a channel ``amplitude``, as `ScrDetection` gives them.
    after
        From when to when after a marker a response may begin to belong to it (s).

    Returns
    -------
    ndarray, shape (n, 3)
        How many responses began in the window, the latency of the first (s), the sum of
        their amplitudes (uS). All missing (too short) where the window had not passed
        when ``found`` ended; the latency missing (no signal) where there was none.
    """
    if not 0 <= after[0] < after[1]:
        raise ValueError(
            f"a response belongs to a marker from a to b s after it, 0 <= a < b: "
            f"{after[0]:g} to {after[1]:g} s"
        )
    amplitude = found.data[:, found.info.names.index("amplitude")]
    markers = np.asarray(times, np.float64)
    y = np.full((len(markers), 3), MissingReason.TOO_SHORT.nan)
    for row, t in zip(y, markers.tolist(), strict=True):
        if t + after[1] > found.complete_until:
            continue
        mine = (found.times >= t + after[0]) & (found.times <= t + after[1])
        first = (
            float(found.times[mine][0]) - t
            if mine.any()
            else MissingReason.NO_SIGNAL.nan
        )
        row[:] = mine.sum(), first, amplitude[mine].sum()
    return y


@dataclass(frozen=True)
class ScrDetection(Stage):
    """Skin conductance responses as events: bursts of the driver 5 s behind.

    Each lies at its onset and has its ``amplitude`` (uS), the time from onset to peak
    ``rise`` (s) and the time from the peak to half of it ``recovery`` (s): those of the
    response that the burst alone makes, so that responses on top of each other do not
    change each other's. Its peak is at onset + rise.

    Parameters
    ----------
    threshold
        Least amplitude (uS).
    setting
        As of `physio.features.eda.decomposition.decompose`.
    window
        How far back each solution looks (s): whole seconds, at least 20.
    share
        Which part of a window must be there.

    Notes
    -----
    Every second, a second of driver becomes 5 s old and is not looked at again. Driver
    below a tenth of the threshold a second counts as none; 0.75 s without any end a
    burst, and so do 8 s. A burst within 4 s of a response's onset that makes less than
    0.35 of it counts as its tail: the skin's responses last longer than the solver's,
    and their falling limb asks for a second, smaller one. Rise and recovery are in the
    Bateman shape that the solver assumes: with a burst's length they grow, with the
    skin's own shape they do not. A burst with missing values is left out. The delay is
    at most 14 s: the age, a second, and the longest burst.

    amplitude = max of the burst convolved with the Bateman shape. Shape (n, channels)
    to (m, 4): a point stream, a row a second. Its source is the solver's (see
    `decompose`); what is a burst is ours.
    """

    threshold: float = 0.02
    setting: str = "default"
    window: float = 30.0
    min_valid: float = 0.5

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a point stream (see `physio.core.events.events_from_grid`)."""
        setting_of(self.setting)
        if not self.threshold > 0:
            raise ValueError(
                f"the least response on {info.name!r} must be above 0 uS: "
                f"{self.threshold}"
            )
        memory = recent(info, self.window)
        source = info.channels[memory.pick]
        length = _LONGEST * STEP
        delay = source.delay + lag(info) + AGE + 1 + length
        span = source.memory + self.window + STEP + length + 1 + _SHADE[0]
        return info.with_channels(
            info.rate / self.schedule(info).step,
            Channel("event", "event", "s", delay, span),
            Channel("amplitude", "gsr", "uS", delay, span),
            Channel("rise", "misc", "s", delay, span),
            Channel("recovery", "misc", "s", delay, span),
        )

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return a row every second."""
        every(info, STEP)
        return every(info, 1.0)

    def initial_state(self, info: StreamInfo) -> Watch:
        """Return an empty memory and no burst."""
        _compile()
        return Watch(recent(info, self.window), _burst(), lag(info))

    def process(self, state: Watch, x: Array) -> Array:
        """Take in ``x``; return the rows now due, NaN where no burst ended."""
        rows = [_row(second) for second in self.seconds(state, x)]
        return np.array(rows).reshape(len(rows), 4)

    def seconds(self, state: Watch, x: Array) -> list[Second]:
        """Take in ``x``; return what each second now due has told."""
        memory, burst, late = state
        return [
            self._second(apart(memory, self.setting, self.min_valid), burst, late)
            for _ in seconds(memory, x)
        ]

    def _second(
        self, found: Decomposition | float, burst: Burst, late: float
    ) -> Second:
        if isinstance(found, float):
            burst.size[:] = 0
            return Second(found, None, found)
        told = np.empty(4)
        ended, lost = _second(burst, found.driver, self.threshold, told)
        if not ended:
            return Second(found, None, lost)
        ago, amplitude, rise, recovery = told.tolist()
        return Second(found, (-(ago + late), amplitude, rise, recovery), lost)


@cache
def _compile() -> None:
    """Take in a second, so that the first full window does not wait for a compiler."""
    _second(_burst(), np.zeros(EACH * (AGE + 2)), 1.0, np.empty(4))


def _row(second: Second) -> tuple[float, float, float, float]:
    """Return a row of a point stream."""
    lost = second.lost if np.isnan(second.lost) else np.nan
    return second.response or (lost, lost, lost, lost)
