"""Detection of skin conductance responses (SCRs) as bursts of the driver."""

from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.events import Events
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import OutputSchedule, Stage
from physio.dsp.jit import njit
from physio.dsp.window import every
from physio.features.eda.decomposition import Decomposition, check_setting
from physio.features.eda.online_decomposition import (
    STEP,
    VALUES_PER_SECOND,
    EdaWindow,
    decompose_recent,
    eda_window,
    lag,
    seconds,
    window_memory,
)

AGE: Final = 5
"""Age behind the newest value at which the driver is used (s)."""

DRY: Final = 0.05
"""Conductance (uS) below which electrodes are dry: see `EdaQuality`."""

_REST: Final = 3  # values without driver that end a burst
_LONGEST: Final = 32  # values of one burst
_FLOOR: Final = 0.1  # of the threshold, a second: less is no driver
_SLOW, _FAST = 2.0, 0.7  # s
_SHADE: Final = (
    4.0,
    0.35,
)  # s after a burst, in which a response below this share of it counts as its tail
_FINE: Final = 0.05  # s, resolution of rise and recovery
_FINER: Final = round(STEP / _FINE)
_TAIL: Final = np.arange(0.0, 12.0, _FINE)  # s, evaluated after a burst
_SINCE: Final = np.arange(0.0, _LONGEST * STEP + 12.0, _FINE)
_ALONE: Final = np.exp(-_SINCE / _SLOW) - np.exp(
    -_SINCE / _FAST
)  # response of a single value


class BurstState(NamedTuple):
    """The burst in progress."""

    driver: Array  # (longest,)
    size: npt.NDArray[
        np.int64
    ]  # (2,): number of values, and of values since the driver is at rest
    last: Array  # (2,): time since the last response began (s), its amplitude (uS)


class ScrState(NamedTuple):
    """State of the detection of responses."""

    memory: EdaWindow
    burst: BurstState
    late: float  # delay of a value (s)


class SecondResult(NamedTuple):
    """Result for a second of driver once it is 5 s old.

    ``decomposition`` is that of the newest window, or a NaN with the reason for
    missing. ``response`` is the response that ended: onset (s from now), amplitude
    (uS), rise and half recovery (s). ``missing`` is the NaN of a missing driver value,
    else 0. ``artifacts`` and ``dry`` are the proportions of the window that are
    artifacts and below `DRY`; ``gain`` is the factor of each second of the window, the
    newest last: see `physio.features.eda.contact_artifacts.contact_gain`.
    """

    decomposition: Decomposition | float
    response: tuple[float, float, float, float] | None
    missing: float
    artifacts: float
    dry: float
    gain: Array


def _burst() -> BurstState:
    return BurstState(
        np.zeros(_LONGEST), np.zeros(2, np.int64), np.array([np.inf, 0.0])
    )


@njit(cache=True)
def _scr_shape(burst: Array) -> tuple[float, float, float]:
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
def _take_value(burst: BurstState, p: float, threshold: float, response: Array) -> bool:
    """Take in a value of the driver; return whether it completes a response.

    Writes to ``response``: time since its onset (s), amplitude, rise, recovery. A
    missing value discards the burst, because its end is unknown.
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
    response[0] = ago
    response[1], response[2], response[3] = _scr_shape(driver[: size[0] - size[1]])
    size[:] = 0
    within, share = _SHADE
    if response[1] < threshold or (
        last[0] - ago <= within and response[1] < share * last[1]
    ):
        return False
    last[0], last[1] = ago, response[1]
    return True


@njit(cache=True)
def _take_second(
    burst: BurstState, driver: Array, threshold: float, response: Array
) -> tuple[bool, float]:
    """Take in the second of driver that has become 5 s old; see `_take_value`.

    Returns True if a response ended in it, and the NaN of a missing driver value, else
    0. The first entry of ``response`` is then its onset relative to the newest value
    (s).
    """
    complete, lost = False, 0.0
    candidate = np.empty(4)
    for back in range(VALUES_PER_SECOND - 1, -1, -1):
        p = driver[len(driver) - 1 - AGE * VALUES_PER_SECOND - back]
        lost = p if np.isnan(p) else lost
        if _take_value(burst, p, threshold, candidate):
            complete = True
            response[:] = candidate
            response[0] += AGE + back * STEP
    return complete, lost


def responses(driver: npt.ArrayLike, threshold: float = 0.02) -> Array:
    """Return the responses of a whole record's driver.

    Parameters
    ----------
    driver
        Driver (uS/s) at 4 Hz, shape (n,): see `decompose`.
    threshold
        Least amplitude (uS).

    Returns
    -------
    ndarray, shape (responses, 4)
        Onset (s from the first value), amplitude (uS), rise (s), half recovery (s).
    """
    values = np.append(np.asarray(driver, np.float64), np.zeros(_REST))
    return np.asarray(_detect_all(_burst(), values, threshold))


@njit(cache=True)
def _detect_all(burst: BurstState, driver: Array, threshold: float) -> Array:
    """Return onset, amplitude, rise and recovery of each response in a driver."""
    responses = np.empty((len(driver), 4))
    n = 0
    for i in range(len(driver)):
        if _take_value(burst, driver[i], threshold, responses[n]):
            responses[n, 0] = i * STEP - responses[n, 0]
            n += 1
    return responses[:n]


def event_related(
    times: npt.ArrayLike, events: Events, after: tuple[float, float] = (1.0, 5.0)
) -> Array:
    """Return the skin conductance responses to each marker.

    Parameters
    ----------
    times
        Times of the markers (s), shape (n,).
    events
        Responses with a channel ``amplitude``, as `ScrDetection` gives them.
    after
        Window after a marker in which the onset of its responses lies (s).

    Returns
    -------
    ndarray, shape (n, 3)
        Number of responses that began in the window, latency of the first (s), sum of
        their amplitudes (uS). All are missing (too short) if ``events`` end before the
        window; the latency is missing (no signal) if there was no response.
    """
    if not 0 <= after[0] < after[1]:
        raise ValueError(
            f"a response belongs to a marker from a to b s after it, 0 <= a < b: "
            f"{after[0]:g} to {after[1]:g} s"
        )
    amplitude = events.data[:, events.info.names.index("amplitude")]
    markers = np.asarray(times, np.float64)
    y = np.full((len(markers), 3), MissingReason.TOO_SHORT.nan)
    for row, t in zip(y, markers.tolist(), strict=True):
        if t + after[1] > events.complete_until:
            continue
        mine = (events.times >= t + after[0]) & (events.times <= t + after[1])
        first = (
            float(events.times[mine][0]) - t
            if mine.any()
            else MissingReason.NO_SIGNAL.nan
        )
        row[:] = mine.sum(), first, amplitude[mine].sum()
    return y


@dataclass(frozen=True)
class ScrDetection(Stage):
    """Skin conductance responses as events: bursts of the driver 5 s behind.

    Each event lies at the onset of a response. Its channels are ``amplitude`` (uS),
    ``rise`` (s), the time from onset to peak, and ``recovery`` (s), the time from the
    peak to half of it. They describe the response to this burst alone, so that
    overlapping responses do not affect each other. The peak is at onset + rise.

    Parameters
    ----------
    threshold
        Least amplitude (uS).
    setting
        As for `physio.features.eda.decomposition.decompose`.
    window
        Length of the window of each solution (s): whole seconds, at least 20.
    min_valid
        Proportion of a window that must be present.
    artifacts
        Remove contact artifacts first, see
        `physio.features.eda.contact_artifacts.find_artifacts`.

    Notes
    -----
    Every second, a second of driver becomes 5 s old and is evaluated once. A driver
    below a tenth of the threshold per second counts as none. A burst ends after 0.75 s
    without driver, and at the latest after 8 s. A burst within 4 s of the onset of a
    response counts as the tail of that response if its amplitude is below 0.35 of it:
    measured responses last longer than the solver's, and their falling limb produces a
    second, smaller burst. Rise and recovery are in the Bateman shape that the solver
    assumes: they increase with the length of a burst, but do not depend on the measured
    shape of the response. A burst with missing values is excluded. The delay is at most
    14 s: the age, a second, and the longest burst.

    amplitude = max of the burst convolved with the Bateman shape. Shape (n, channels)
    to (m, 4): a point stream, one row per second. Its source is the solver's (see
    `decompose`); the definition of a burst is ours.
    """

    threshold: float = 0.02
    setting: str = "default"
    window: float = 30.0
    min_valid: float = 0.5
    artifacts: bool = True

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return a point stream (see `physio.core.events.events_from_grid`)."""
        check_setting(self.setting)
        if not self.threshold > 0:
            raise ValueError(
                f"the least response on {info.name!r} must be above 0 uS: "
                f"{self.threshold}"
            )
        memory = self.initial_state(info).memory
        source = info.channels[memory.pick]
        length = _LONGEST * STEP
        delay = source.delay + lag(info) + AGE + 1 + length
        span = source.memory + window_memory(
            info, self.window, artifacts=self.artifacts
        )
        span += length + 1 + _SHADE[0]
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

    def initial_state(self, info: StreamInfo) -> ScrState:
        """Return an empty memory and no burst."""
        memory = eda_window(info, self.window, artifacts=self.artifacts)
        return ScrState(memory, _burst(), lag(info))

    def process(self, state: ScrState, x: Array) -> Array:
        """Take in ``x``; return the rows now due, NaN where no burst ended."""
        rows = [_row(second) for second in self.seconds(state, x)]
        return np.array(rows).reshape(len(rows), 4)

    def seconds(self, state: ScrState, x: Array) -> list[SecondResult]:
        """Take in ``x``; return the result of each second now due."""
        _compile()
        memory, burst, late = state
        return [self._detect(memory, burst, late) for _ in seconds(memory, x)]

    def _detect(
        self, memory: EdaWindow, burst: BurstState, late: float
    ) -> SecondResult:
        decomposition = decompose_recent(memory, self.setting, self.min_valid)
        gain = memory.gain[VALUES_PER_SECOND - 1 :: VALUES_PER_SECOND].copy()
        shares = *_shares(memory), gain
        if isinstance(decomposition, float):
            burst.size[:] = 0
            return SecondResult(decomposition, None, decomposition, *shares)
        response = np.empty(4)
        ended, lost = _take_second(
            burst, decomposition.driver, self.threshold, response
        )
        if not ended:
            return SecondResult(decomposition, None, lost, *shares)
        ago, amplitude, rise, recovery = response.tolist()
        mine = -(ago + late), amplitude, rise, recovery
        return SecondResult(decomposition, mine, lost, *shares)


def _shares(memory: EdaWindow) -> tuple[float, float]:
    """Return the proportions of values that are artifacts and dry, NaN without any."""
    x = memory.clean
    if memory.clock[0] < len(x):
        return MissingReason.WARMING_UP.nan, MissingReason.WARMING_UP.nan
    reasons = missing_reason(x)
    artifacts, there = reasons == MissingReason.ARTIFACT, reasons == 0
    known = artifacts | there
    if not known.any():
        return float(x[-1]), float(x[-1])
    dry = float((x[there] < DRY).mean()) if there.any() else MissingReason.ARTIFACT.nan
    return float(artifacts.sum() / known.sum()), dry


@cache
def _compile() -> None:
    """Compile the kernels, so that the first full window does not wait for it."""
    _take_second(_burst(), np.zeros(VALUES_PER_SECOND * (AGE + 2)), 1.0, np.empty(4))


def _row(second: SecondResult) -> tuple[float, float, float, float]:
    """Return a row of a point stream."""
    lost = second.missing if np.isnan(second.missing) else np.nan
    return second.response or (lost, lost, lost, lost)
