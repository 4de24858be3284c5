"""Beat-to-beat variability of heart beats (RMSSD)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import OutputSchedule, Stage
from physio.dsp.jit import njit
from physio.dsp.window import every
from physio.features.cardiac.heart_rate import (
    BeatHistory,
    beat_history,
    beat_rows,
    check_beats,
)

Counts = npt.NDArray[np.int64]

_POOR: Final = MissingReason.POOR_QUALITY.nan


@njit(cache=True)
def _rmssd(beats: Array, clock: Counts, limits: Array, x: Array) -> Array:
    """Take in event, interval and mark; return RMSSD (ms), (m, 1)."""
    rate, width, accepted, covered = limits
    p, q = clock[3], clock[4]
    size = len(beats)
    y = np.full((len(x) * q // p + 1, 1), _POOR)
    m = 0
    for i in range(len(x)):
        if not np.isnan(x[i, 0]):
            beats[clock[1] % size, 0] = clock[0]
            beats[clock[1] % size, 1] = x[i, 1] if x[i, 2] == 0 else np.nan
            clock[1] += 1
        if clock[0] == -((-clock[2] * p) // q):
            n, good, pairs, time, squares = 0, 0, 0, 0.0, 0.0
            later = np.nan
            for k in range(clock[1] - 1, max(clock[1] - size, 0) - 1, -1):
                if beats[k % size, 0] <= clock[0] - width:
                    break
                interval = beats[k % size, 1]
                n += 1
                if not np.isnan(interval):
                    good += 1
                    time += interval
                    if not np.isnan(later):
                        pairs += 1
                        squares += (later - interval) ** 2
                later = interval
            enough = n > 0 and good >= accepted * n and pairs > 0
            if enough and time >= covered * width / rate:
                y[m, 0] = 1000 * np.sqrt(squares / pairs)
            m += 1
            clock[2] += 1
        clock[0] += 1
    return y[:m]


@dataclass(frozen=True)
class BeatToBeatVariability(Stage):
    """Variability from one beat to the next (RMSSD); follows `BeatDetection`.

    ``rmssd`` (ms) is the root mean square of the differences between accepted intervals
    that follow one another, in the last ``window`` s.

    Parameters
    ----------
    window
        Window of the variability (s), at least 60: a whole number of steps.
    step
        Time from one output to the next (s).
    accepted
        Proportion of the beats in a window that must have an accepted interval.
    min_valid
        Proportion of a window that the accepted intervals must fill.

    Notes
    -----
    RMSSD from 60 s is that of "ultra-short" recordings [1]_. From a pulse wave it is
    *pulse rate* variability (PRV), which movement and pulse transit time affect too:
    the shipped chain is called ``prv``. The delay is that of the beats.

    Shape (n, 4 or more) to (m, 1). Deviation from [1]_: intervals that are not accepted
    are excluded.

    References
    ----------
    .. [1] Munoz et al., Validity of (ultra-)short recordings for heart rate variability
       measurements, PLOS ONE 10, 2015.
    """

    window: float = 60.0
    step: float = 0.25
    accepted: float = 0.8
    min_valid: float = 0.5

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return ``rmssd``."""
        purpose = "variability is read from beats, with their interval and confidence"
        check_beats(info, purpose, "interval", "confidence")
        if self.window < 60:
            raise ValueError(f"RMSSD needs at least 60 s: {self.window:g}")
        self.initial_state(info)
        source = info.channels[0]
        span = source.memory + self.window
        return info.with_channels(
            info.rate / self.schedule(info).step,
            Channel("rmssd", "misc", "ms", source.delay, span),
        )

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> BeatHistory:
        """Return a state without beats."""
        settings = self.window, self.step, self.accepted, self.min_valid
        return beat_history(info, *settings)

    def process(self, state: BeatHistory, x: Array) -> Array:
        """Take in rows of a point stream; return the outputs now due."""
        lost, rows = beat_rows(state, x)
        y = _rmssd(*state[:3], rows)
        return np.where(np.isnan(lost)[:, np.newaxis], lost[:, np.newaxis], y)
