"""Acceptance of intervals between beats that a device sends."""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import Stage
from physio.dsp.jit import njit
from physio.features.cardiac.heart_rate import check_beats
from physio.features.cardiac.peak_detection import (
    RATIO_RANGE,
    RECENT_INTERVALS,
    RR_RANGE,
)

Counts = npt.NDArray[np.int64]

_POOR: Final = MissingReason.POOR_QUALITY.nan


class RecentIntervals(NamedTuple):
    """The newest intervals of a plausible length."""

    usual: Array  # (intervals,): interval k in k % size (s); NaN after a pause
    last: Array  # (1,): the previous interval if it was accepted, else NaN
    clock: Counts  # (3,): samples, row of the newest beat, intervals
    rate: float


@njit(cache=True)
def _accept(usual: Array, last: Array, clock: Counts, rate: float, x: Array) -> Array:
    """Return the rows with intervals that are not accepted set to NaN."""
    y = x.copy()
    for i in range(len(x)):
        n = clock[0]
        clock[0] += 1
        if np.isnan(x[i, 0]):
            continue
        if n - clock[1] > (RR_RANGE[1] + 1.0) * rate:
            usual[:] = np.nan
            last[0] = np.nan
        clock[1] = n
        interval = x[i, 1]
        possible = RR_RANGE[0] <= interval <= RR_RANGE[1]  # false where NaN
        known = usual[~np.isnan(usual)]
        fine = possible
        if len(known) > 2:
            ratio = interval / np.median(known)
            fine = fine and RATIO_RANGE[0] <= ratio <= RATIO_RANGE[1]
        if not np.isnan(last[0]):
            ratio = interval / last[0]
            fine = fine and RATIO_RANGE[0] <= ratio <= RATIO_RANGE[1]
        usual[clock[2] % len(usual)] = interval if possible else np.nan
        clock[2] += 1
        last[0] = interval if fine else np.nan
        y[i, 1] = interval if fine else _POOR
        y[i, 4] = interval if possible else _POOR
    return y


@dataclass(frozen=True)
class IntervalAcceptance(Stage):
    """Intervals between beats with those that are no normal ones missing.

    Reads a stream of intervals, as a strap or a wristband sends them. ``interval`` (s)
    is accepted if it lasts 0.27 to 2 s and is 0.6 to 1.67 times the median of the last
    20 and the previous one; ``rr`` (s) need only be of that length.

    Notes
    -----
    The rule of `BeatDetection`, without its waves: there is no signal to judge. The
    idea of comparing with the median and the previous interval is that of [1]_.
    Deviation from [1]_: fixed limits. There is no delay.

    Shape (n, 5) to (n, 5): rows of a point stream.

    References
    ----------
    .. [1] Lipponen and Tarvainen, A robust algorithm for heart rate variability time
       series artefact correction using novel beat classification, Journal of Medical
       Engineering and Technology 43, 2019.
    """

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the point stream."""
        purpose = "intervals are accepted in a stream of beats"
        check_beats(info, purpose, "interval", "confidence", "height", "rr")
        back = (RECENT_INTERVALS + 2) * (RR_RANGE[1] + 1.0)
        channels = (replace(c, memory=c.memory + back) for c in info.channels)
        return info.with_channels(None, *channels)

    def initial_state(self, info: StreamInfo) -> RecentIntervals:
        """Return a state without intervals."""
        return RecentIntervals(
            np.full(RECENT_INTERVALS, np.nan),
            np.full(1, np.nan),
            np.zeros(3, np.int64),
            float(info.rate),
        )

    def process(self, state: RecentIntervals, x: Array) -> Array:
        """Take in rows of a point stream; return the same number of rows."""
        return np.asarray(_accept(*state, x))
