"""Beat-to-beat variability and irregularity of heart beats."""

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
    add_beat,
    beat_history,
    beat_rows,
    check_beats,
)

Counts = npt.NDArray[np.int64]

_POOR: Final = MissingReason.POOR_QUALITY.nan


@njit(cache=True)
def _pair_statistics(
    window: Array, change: float
) -> tuple[int, float, float, int, int]:
    """Return statistics of successive intervals, in order of time.

    Parameters
    ----------
    window
        Accepted interval, interval whatever the rhythm, and interval between half-rise
        points (s), shape (beats, 3).
    change
        Relative change that counts as irregular.

    Returns
    -------
    tuple
        Number of pairs of accepted intervals that are regular, as are their
        neighbours; sum of their squared differences (s^2), and of the squares by which
        these differ between the two points of the waves; number of pairs of any
        intervals, and of irregular ones.
    """
    n = len(window)
    irregular = np.zeros(n + 1, np.bool_)  # from interval k - 1 to k
    pairs, squares, disagreement, both = 0, 0.0, 0.0, 0
    for k in range(1, n):
        before, after = window[k - 1, 1], window[k, 1]
        irregular[k] = abs(after - before) > change * before  # false where NaN
        both += not np.isnan(after - before)
    for k in range(1, n):
        difference = window[k, 0] - window[k - 1, 0]
        if np.isnan(difference) or irregular[k - 1 : k + 2].any():
            continue
        pairs += 1
        squares += difference**2
        disagreement += (difference - (window[k, 2] - window[k - 1, 2])) ** 2
    return pairs, squares, disagreement, both, int(irregular.sum())


@njit(cache=True)
def _variability(beats: Array, clock: Counts, limits: Array, x: Array) -> Array:
    """Take in the beats; return RMSSD (ms) and share of irregular intervals, (m, 2)."""
    width, fewest, change = limits[1:]
    p, q = clock[3], clock[4]
    size = len(beats)
    y = np.full((len(x) * q // p + 1, 2), _POOR)
    window = np.empty((size, 3))
    m, known, oldest = 0, -1, -1
    pairs, squares, disagreement, both, irregular = 0, 0.0, 0.0, 0, 0
    for i in range(len(x)):
        add_beat(beats, clock, x[i])
        if clock[0] == -((-clock[2] * p) // q):
            first = clock[1]
            while first > max(clock[1] - size, 0) and (
                beats[(first - 1) % size, 0] > clock[0] - width
            ):
                first -= 1
            if known != clock[1] or oldest != first:
                known, oldest = clock[1], first
                for k in range(first, known):
                    window[k - first] = beats[k % size, 1:]
                pairs, squares, disagreement, both, irregular = _pair_statistics(
                    window[: known - first], change
                )
            if pairs >= fewest and disagreement <= squares:
                y[m, 0] = 1000 * np.sqrt((squares - disagreement / 2) / pairs)
            if both >= fewest:
                y[m, 1] = irregular / both
            m += 1
            clock[2] += 1
        clock[0] += 1
    return y[:m]


@dataclass(frozen=True)
class BeatToBeatVariability(Stage):
    """Variability from one beat to the next; follows `BeatDetection`.

    ``rmssd`` (ms) is the root mean square of the differences between accepted intervals
    that follow one another, in the last ``window`` s, less the noise of their times.
    ``irregular`` (0 to 1) is the proportion of the intervals, whatever the rhythm, that
    differ from the previous one by more than ``change``: 0 in sinus rhythm, about a
    half in atrial fibrillation, 1 in bigeminy.

    Parameters
    ----------
    window
        Window (s), at least 60: a whole number of steps.
    step
        Time from one output to the next (s).
    min_pairs
        Least number of pairs of successive intervals.
    change
        Relative change of an interval that counts as irregular.

    Notes
    -----
    RMSSD from 60 s is that of "ultra-short" recordings [1]_; a fifth is the limit of
    prematurity of [2]_, and pairs beside such a change do not count for RMSSD. From a
    pulse wave it is *pulse rate* variability (PRV), which movement and pulse transit
    time affect too: the shipped chain is called ``prv``. The delay is that of the
    beats.

    The noise of the times of a pulse wave is estimated as in [3]_: where the peak and
    the half-rise point of a wave are measured with independent errors of equal
    variance, half of the mean square by which their differences disagree is that of
    the error, and is subtracted. RMSSD is missing where this is more than half of the
    mean square itself. In an ECG both are one point, and nothing is subtracted.

    Shape (n, 4 or more) to (m, 2). Deviation from [1]_: pairs with an interval that is
    not accepted, and those beside an irregular change, are excluded.

    References
    ----------
    .. [1] Munoz et al., Validity of (ultra-)short recordings for heart rate variability
       measurements, PLOS ONE 10, 2015.
    .. [2] Malik et al., Heart rate variability in relation to prognosis after
       myocardial infarction: selection of optimal processing techniques, European Heart
       Journal 10, 1989.
    .. [3] Grubbs, On estimating precision of measuring instruments and product
       variability, Journal of the American Statistical Association 43, 1948.
    """

    window: float = 60.0
    step: float = 0.25
    min_pairs: int = 30
    change: float = 0.2

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return ``rmssd`` and ``irregular``."""
        purpose = "variability is read from beats, with their interval and confidence"
        check_beats(info, purpose, "interval", "confidence")
        if self.window < 60:
            raise ValueError(f"RMSSD needs at least 60 s: {self.window:g}")
        if self.min_pairs < 1 or not 0 < self.change < 1:
            raise ValueError(
                f"variability needs a pair or more and a change above 0 and below 1: "
                f"{self.min_pairs} and {self.change:g}"
            )
        self.initial_state(info)
        source = info.channels[0]
        span = source.memory + self.window
        return info.with_channels(
            info.rate / self.schedule(info).step,
            Channel("rmssd", "misc", "ms", source.delay, span),
            Channel("irregular", "misc", "1", source.delay, span),
        )

    def schedule(self, info: StreamInfo) -> OutputSchedule:
        """Return an output every step."""
        return every(info, self.step)

    def initial_state(self, info: StreamInfo) -> BeatHistory:
        """Return a state without beats."""
        settings = float(self.min_pairs), self.change
        return beat_history(info, self.window, self.step, *settings)

    def process(self, state: BeatHistory, x: Array) -> Array:
        """Take in rows of a point stream; return the outputs now due."""
        lost, rows = beat_rows(state, x)
        return np.where(np.isnan(lost), lost, _variability(*state[:3], rows))
