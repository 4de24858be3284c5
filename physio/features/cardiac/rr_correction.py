"""Correction of RR intervals: extra, missed and ectopic beats, corrected and marked."""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import Stage
from physio.dsp.jit import njit
from physio.features.cardiac.heart_rate import check_beats
from physio.features.cardiac.peak_detection import RECENT_INTERVALS, RR_RANGE

Counts = npt.NDArray[np.int64]

MARKS: Final = ("measured", "one too many", "one missed", "out of turn")
"""Meanings of a beat's ``mark``: measured, or the kind of correction."""

_POOR: Final = MissingReason.POOR_QUALITY.nan
_FEWEST: Final = 5  # accepted intervals required for a correction
_MOST: Final = 3  # beats in a gap that can be filled
_QUEUE: Final = 8
_LONGEST: Final = 4.0  # s, between two beats; after it the history is discarded


class RecentBeats(NamedTuple):
    """The last beats. Times are in samples since the first sample."""

    usual: Array  # (intervals,): the newest accepted (s), else NaN; k in k % size
    last: Array  # (3,): the last beat given out; one that waits, and its confidence
    queue: Array  # (queue, 4): beats to be given out: time, interval, confidence, mark
    clock: Counts  # (4,): samples, intervals, queue's first, queue's last
    rate: float
    near: float


@njit(cache=True)
def _append(
    queue: Array, clock: Counts, t: float, interval: float, like: float, mark: float
) -> None:
    row = queue[clock[3] % len(queue)]
    row[0], row[1], row[2], row[3] = t, interval, like, mark
    clock[3] += 1


@njit(cache=True)
def _insert(
    queue: Array, clock: Counts, rate: float, last: float, t: float, n: int, mark: float
) -> None:
    """Insert ``n`` beats at equal distances, the last of them at ``t`` (samples)."""
    apart = (t - last) / n
    for j in range(1, n + 1):
        _append(queue, clock, last + j * apart, apart / rate, 0.0, mark)


@njit(cache=True)
def _classify(beats: RecentBeats, t: float, interval: float, like: float) -> None:
    """Take in a beat at ``t`` (samples)."""
    usual, last, queue, clock, rate, near = beats
    known = usual[~np.isnan(usual)]
    beat = np.median(known) * rate if len(known) >= _FEWEST else np.nan
    since, early = t - last[0], last[1]
    if not np.isnan(early):
        last[1] = np.nan
        if abs(since - beat) <= near * beat:
            _insert(queue, clock, rate, last[0], t, 1, 1.0)
        elif abs(since - 2 * beat) <= 2 * near * beat:
            _insert(queue, clock, rate, last[0], t, 2, 3.0)
        else:
            _append(queue, clock, early, _POOR, last[2], 0.0)
            _append(queue, clock, t, interval, like, 0.0)
        last[0] = t
        return
    if not np.isnan(interval) or not since <= _LONGEST * rate or np.isnan(beat):
        _append(queue, clock, t, interval, like, 0.0)
    elif since < (1 - near) * beat:
        last[1], last[2] = t, like
        return
    else:
        n = int(np.round(since / beat))
        if 1 < n <= _MOST and abs(since - n * beat) <= near * beat:
            _insert(queue, clock, rate, last[0], t, n, 2.0)
        else:
            _append(queue, clock, t, interval, like, 0.0)
    last[0] = t


@njit(cache=True)
def _correct(
    usual: Array,
    last: Array,
    queue: Array,
    clock: Counts,
    rate: float,
    near: float,
    x: Array,
) -> Array:
    """Take in rows of a point stream; return rows with marks, (n, 4)."""
    y = np.full((len(x), 4), np.nan)
    for i in range(len(x)):
        now = clock[0]
        clock[0] += 1
        if not np.isnan(x[i, 0]):
            t = now + x[i, 0] * rate
            if t - last[0] > _LONGEST * rate:
                usual[:] = np.nan
            beats = RecentBeats(usual, last, queue, clock, rate, near)
            _classify(beats, t, x[i, 1], x[i, 2])
            usual[clock[1] % len(usual)] = x[i, 1]
            clock[1] += 1
        elif now - last[1] > RR_RANGE[1] * rate:  # no beat followed it
            _append(queue, clock, last[1], _POOR, last[2], 0.0)
            last[0], last[1] = last[1], np.nan
        if clock[2] < clock[3]:
            row = queue[clock[2] % len(queue)]
            clock[2] += 1
            y[i, 0] = (row[0] - now) / rate
            for c in range(1, 4):
                y[i, c] = row[c]
        elif np.isnan(x[i, 0]):
            for c in range(4):
                y[i, c] = x[i, 0]
    return y


@dataclass(frozen=True)
class RRCorrection(Stage):
    """Correction and marking of beats with clear errors; follows `BeatDetection`.

    A beat whose interval was not accepted is compared with the previous beats. An extra
    beat, which is too early while the next beat lies one usual interval after the
    previous one, is removed (``mark`` 1). In a gap of two or three usual intervals the
    missed beats are inserted at equal distances (2). An ectopic beat, which is early
    while the next beat is late by compensation, is moved half way (3). An uncorrected
    beat has the mark 0, and an interval that cannot be explained remains missing.

    Parameters
    ----------
    near
        Largest relative deviation of a usual interval from the median.

    Notes
    -----
    The usual interval is the median of those accepted among the last 20; with fewer
    than five nothing is corrected. The kinds of error are those of [1]_, but the
    thresholds differ: those of [1]_ follow the quartiles of 91 intervals around a beat,
    which are not yet available when a beat is detected. Units and shape are those of
    `BeatDetection`: a row for each sample, with the additional channel ``mark``.
    Corrected beats have the confidence 0. The delay is that of the beats, 2 s in which
    an early beat waits for the next, and the length of a gap that is filled.

    Corrected intervals count as not accepted in `HeartRate` and `HRV`; only the spectra
    and ``sdnn`` use them, because a gap would bias these more.

    Shape (n, 4 or more) to (n, 5): rows of a point stream; the unit of intervals is s.
    Deviation from [1]_: the thresholds, as above.

    References
    ----------
    .. [1] Lipponen and Tarvainen, A robust algorithm for heart rate variability time
       series artefact correction using novel beat classification, Journal of Medical
       Engineering and Technology 43, 2019.
    """

    near: float = 0.3

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the point stream, with marks."""
        purpose = "beats are corrected by their intervals and confidence"
        check_beats(info, purpose, "interval", "confidence")
        if not 0 < self.near < 0.5:
            raise ValueError(
                f"an interval near the usual one of {info.name!r} may be off by above "
                f"0 and below 0.5 of it, not {self.near}"
            )
        late = RR_RANGE[1] + _LONGEST + _QUEUE / float(info.rate)
        back = late + (RECENT_INTERVALS + 2) * RR_RANGE[1]
        channels = (
            replace(c, delay=c.delay + late, memory=c.memory + back)
            for c in info.channels[:3]
        )
        first = info.channels[0]
        mark = Channel("mark", "misc", "1", first.delay + late, first.memory + back)
        return info.with_channels(None, *channels, mark)

    def initial_state(self, info: StreamInfo) -> RecentBeats:
        """Return a state without beats."""
        return RecentBeats(
            np.full(RECENT_INTERVALS, np.nan),
            np.array([-np.inf, np.nan, np.nan]),
            np.zeros((_QUEUE, 4)),
            np.zeros(4, np.int64),
            float(info.rate),
            self.near,
        )

    def process(self, state: RecentBeats, x: Array) -> Array:
        """Take in rows of a point stream; return the same number of rows."""
        return np.asarray(_correct(*state, x))
