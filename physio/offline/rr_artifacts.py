"""Artifacts in a whole series of RR intervals: ectopic, missed and extra beats."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from physio.core.block import Array

_ALPHA: Final = 5.2
_WIDTH: Final = 91  # beats whose quartiles give a threshold
_MEDIAN: Final = 11  # beats
_C1, _C2 = 0.13, 0.17
_FLOOR: Final = 0.03  # s, least threshold: two errors of sampling at 64 Hz
_LARGE: Final = 0.15  # of the median: less is no artifact
_FEWEST: Final = 8  # intervals

Kinds = npt.NDArray[np.str_]


class CorrectedBeats(NamedTuple):
    """Times of beats (s), and whether the interval before each was corrected, (n,)."""

    times: Array
    corrected: npt.NDArray[np.bool_]


def correct_beats(times: Array) -> CorrectedBeats:
    """Correct the artifacts in consecutive beats of a whole record.

    An extra beat is removed, a missed one inserted in the middle of its interval, and
    an ectopic or misplaced one moved to the middle of its neighbours. The first and the
    last beat stay. The intervals on both sides of a change are marked.

    Parameters
    ----------
    times
        Times of beats (s), shape (n,), rising, without a gap.

    Notes
    -----
    After [1]_: an interval is compared with the quartiles of the 91 around it.
    Deviations: an artifact also differs by 15 % from the median of the eleven around,
    because without this rule up to 5 % of undisturbed intervals are corrected;
    thresholds are at least 30 ms; with fewer than eight intervals, nothing is
    corrected; both ends are classified, too.

    References
    ----------
    .. [1] Lipponen and Tarvainen, A robust algorithm for heart rate variability time
       series artefact correction using novel beat classification, Journal of Medical
       Engineering and Technology 43, 2019.
    """
    kinds = classify_intervals(np.diff(times))
    beats: list[tuple[float, bool]] = [(float(t), False) for t in times[:1]]
    before_changed = False
    for i, kind in enumerate(kinds.tolist()):
        begin, end, is_last = beats[-1][0], float(times[i + 1]), i == len(kinds) - 1
        if kind == "missed":
            beats += [((begin + end) / 2, True), (end, True)]
            before_changed = False
        elif kind == "extra" and not is_last:
            before_changed = True  # the next interval begins at the beat before
        elif kind == "ectopic" and not is_last:
            beats.append(((begin + float(times[i + 2])) / 2, True))
            before_changed = True
        else:
            beats.append((end, before_changed))
            before_changed = False
    at, changed = zip(*beats, strict=True) if beats else ((), ())
    return CorrectedBeats(np.array(at, float), np.array(changed, bool))


def classify_intervals(intervals: Array) -> Kinds:
    """Return the kind of each interval: "", "ectopic", "missed" or "extra", (n,).

    Intervals that are only too long or too short count as ectopic: see [1]_ of
    `correct_beats`.
    """
    n = len(intervals)
    kinds = np.full(n, "", "<U7")
    if n < _FEWEST:
        return kinds
    steps = np.diff(intervals, prepend=intervals[0])
    steps[0] = steps[1:].mean()
    steps /= _threshold(steps)
    median = _rolling(intervals, _MEDIAN).median().to_numpy()
    off = intervals - median
    is_large = np.abs(off) >= _LARGE * median
    off[off < 0] *= 2
    limit = _threshold(off)
    off /= limit
    around = np.pad(steps, 2, "reflect")
    beside = np.stack([around[1:-3], around[3:-1]])
    ahead = np.stack([around[3:-1], around[4:]])
    s12 = np.where(steps > 0, beside.max(0), beside.min(0))
    s22 = np.where(steps >= 0, ahead.min(0), ahead.max(0))
    ectopic = (steps > 1) & (s12 < -_C1 * steps - _C2)
    ectopic |= (steps < -1) & (s12 > -_C1 * steps + _C2)
    outside = (np.abs(steps) > 1) | (np.abs(off) > 3)
    is_long, is_short = (steps > 1) & (s22 < -1), (steps < -1) & (s22 > 1)
    after = np.append(intervals[1:], np.inf)
    missed = is_long & (np.abs(intervals / 2 - median) < limit)
    extra = is_short & (np.abs(intervals + after - median) < limit)
    misplaced = is_long | is_short | (np.abs(off) > 3)
    kinds[outside & misplaced] = "ectopic"
    kinds[outside & missed] = "missed"
    kinds[outside & extra] = "extra"
    kinds[ectopic] = "ectopic"
    kinds[~(is_large | np.append(is_large[1:], False))] = ""
    return _without_repeats(kinds)


def _without_repeats(kinds: Kinds) -> Kinds:
    """Return the kinds with the first alone of two neighbours: it corrects both."""
    for i in range(1, len(kinds)):
        if kinds[i] and kinds[i - 1] in {"ectopic", "extra"}:
            kinds[i] = ""
    return kinds


def _threshold(values: Array) -> Array:
    rolling = _rolling(np.abs(values), _WIDTH)
    spread = rolling.quantile(0.75) - rolling.quantile(0.25)
    return np.maximum(_ALPHA * spread.to_numpy() / 2, _FLOOR)


def _rolling(values: Array, width: int) -> "pd.api.typing.Rolling[pd.Series[float]]":
    return pd.Series(values).rolling(width, center=True, min_periods=1)
