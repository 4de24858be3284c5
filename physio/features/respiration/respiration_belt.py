"""Respiration from a chest belt: rate, amplitude, phase."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage, read_only
from physio.dsp.jit import njit
from physio.dsp.window import STATISTICS, Panes, every, panes, slide
from physio.features.columns import column
from physio.features.respiration.breath_detection import detect_breaths, is_breathing

_MEAN: Final = STATISTICS.index("mean")
_WARMING: Final = MissingReason.WARMING_UP.nan
_POOR: Final = MissingReason.POOR_QUALITY.nan
_STEP: Final = 0.25  # s, over which a belt is averaged
_RATE: Final = 4  # values a second


class BeltState(NamedTuple):
    """The newest values of a belt, at 4 Hz."""

    panes: Panes
    values: Array  # (window,): the newest last
    clock: npt.NDArray[np.int64]  # (1,): number of values
    breathing: (
        Array  # (6,): rate, depth, begin, peak, durations of inspiration, expiration
    )
    pick: int


@dataclass(frozen=True)
class RespirationBelt(Stage):
    """Respiration from a chest belt: rate, amplitude and phase.

    ``rate`` (1/min) is 60 over the mean duration (s) of the breaths in the last
    ``window`` s, each from one onset of inspiration to the next; ``amplitude`` (in the
    unit of the belt) is the median height from that onset to the peak; ``phase`` (1) is
    the present phase of the breath: 0 at the onset of inspiration, 0.5 at the onset of
    expiration, below 1.

    Parameters
    ----------
    window
        Length of the window (s): whole seconds, at least 20.
    min_valid
        Proportion of the window that must be present.

    Notes
    -----
    Every 0.25 s the mean of the last 0.25 s is added; every second the last ``window``
    s are analysed anew. A breath ends where the belt, smoothed over 0.75 s, has turned
    by three tenths of the median depth, so that neither drift nor scale matters. Until
    a turn is detected, the phase advances at the speed of the last breaths.

    A rate is computed if the signal meets the criteria of [1]_ for breathing: the
    standard deviation of the durations of breaths is below a quarter of their mean; at
    most 15 % of the durations are below half or above one and a half of their median;
    breaths fill 60 % of the window; and breaths resemble the mean breath (correlation
    0.75). Deviations: breaths are detected by turning points, not by crossings of a
    mean; and the roughness, from differences over 0.25 s relative to white noise, must
    be at most 0.65. Speech, laughter and sighs violate these criteria, and the output
    is missing (poor quality). The delay is half of 0.25 s.

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
        """Return ``rate``, ``amplitude`` and ``phase``."""
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

    def initial_state(self, info: StreamInfo) -> BeltState:
        """Return an empty memory of the one belt of ``info``."""
        pick = column(info, "resp")
        if not self.window >= 20 or self.window % 1 or not 0 < self.min_valid <= 1:
            raise ValueError(
                f"breathing on {info.name!r} is read from whole seconds, 20 or more, "
                f"with min_valid above 0 and at most 1: {self.window:g}, "
                f"{self.min_valid:g}"
            )
        return BeltState(
            panes(info, (_STEP,), _STEP, 0.5, columns=1),
            np.full(int(self.window) * _RATE, _WARMING),
            np.zeros(1, np.int64),
            np.full(6, _WARMING),
            pick,
        )

    def process(self, state: BeltState, x: Array) -> Array:
        """Take in ``x``; return the rows now due."""
        signal = read_only(x[:, state.pick : state.pick + 1])
        values = np.ascontiguousarray(slide(*state.panes, signal)[:, 0, _MEAN, 0])
        return np.asarray(_rate_amplitude_phase(*state[1:4], self.min_valid, values))


@njit(cache=True)
def _rate_amplitude_phase(
    window: Array,
    clock: npt.NDArray[np.int64],
    breathing: Array,
    share: float,
    x: Array,
) -> Array:
    """Take in values of a belt, shape (m,); return rate, amplitude, phase at each."""
    y = np.empty((len(x), 3))
    for i in range(len(x)):
        window[:-1] = window[1:].copy()
        window[-1] = x[i]
        clock[0] += 1
        if clock[0] % _RATE == 0:
            _update_breathing(window, clock[0], share, breathing)
        y[i, 0], y[i, 1], y[i, 2] = (
            breathing[0],
            breathing[1],
            _phase(breathing, clock[0]),
        )
        if np.isnan(x[i]):
            y[i] = x[i]
    return y


@njit(cache=True)
def _update_breathing(window: Array, now: int, share: float, breathing: Array) -> None:
    """Write the features of the breathing in the window, or the reason for missing."""
    n = len(window)
    if now < n:
        breathing[:] = _WARMING
        return
    at = np.flatnonzero(~np.isnan(window))
    if len(at) < share * n:
        for v in window:
            if np.isnan(v):
                breathing[:] = v
        return
    detected = detect_breaths(np.interp(np.arange(n), at, window[at]), _RATE)
    if not is_breathing(detected, n):
        breathing[:] = _POOR
        return
    breathing[0], breathing[1] = detected.rate, detected.depth
    breathing[2], breathing[3] = (
        now - n + detected.begins[-1],
        now - n + detected.peaks[-1],
    )
    breathing[4], breathing[5] = detected.inward, detected.outward


@njit(cache=True)
def _phase(breathing: Array, now: int) -> float:
    """Return the phase of the breath at value number ``now``."""
    rate, _, begin, peak, inward, outward = breathing
    if np.isnan(rate):
        return rate
    since = now - 1 - (begin if begin > peak else peak - inward)
    u = since % (inward + outward)
    return 0.5 * u / inward if u < inward else 0.5 + 0.5 * (u - inward) / outward
