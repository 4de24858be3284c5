"""Agreement of two raters: ICC of measures by condition, kappa of bad spans."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from physio.core.edits import Edits
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan
from physio.offline.analysis import analyze
from physio.offline.edits_file import EditedRecording
from physio.offline.span_measures import SPAN_KEY
from physio.offline.whole_record import measured_streams

COLUMNS: Final = {
    "quantity": "measure, or stream whose bad spans are compared",
    "statistic": "ICC(2,1) of values by condition, or kappa of seconds marked as bad",
    "value": "value of the statistic; empty if it cannot be computed",
    "n": "number of conditions, or of seconds",
    "rater_1": "mean of the first rater's values, or share of seconds marked",
    "rater_2": "the same of the second rater",
    "reason": "reason for a missing value",
}
"""Columns of the table of agreement, and their descriptions."""


class RatedRecording(NamedTuple):
    """A recording with the edits of two raters, on the session clock."""

    recording: Recording
    conditions: Sequence[ConditionSpan]
    edits: tuple[Edits, Edits]


def rated(
    path: Path,
    recording: Recording,
    conditions: Sequence[ConditionSpan],
    raters: tuple[str, str],
    entities: str = "",
) -> RatedRecording:
    """Return a recording with the edits of two raters.

    Raises
    ------
    ValueError
        If one of them has no edits of it.
    """
    place = EditedRecording.of(path, entities)
    known = place.raters()
    if absent := [r for r in raters if r not in known]:
        raise ValueError(
            f"{place.name} has no edits of {', '.join(absent)}: its raters are "
            f"{', '.join(known) or 'none'}"
        )
    first, second = (
        place.read(r).on_clock(recording.begin, place.path(r).name) for r in raters
    )
    return RatedRecording(recording, conditions, (first, second))


def agreement_table(recordings: Sequence[RatedRecording]) -> pd.DataFrame:
    """Return the agreement of two raters over recordings, columns of `COLUMNS`.

    Notes
    -----
    Each measure is computed twice, with the edits of each rater, for each condition of
    each recording. Seconds marked as bad are compared for each channel of a stream.
    """
    values = _measures(recordings)
    rows = [
        _icc_row(str(name), part[["first", "second"]].to_numpy(float))
        for name, part in values.groupby("measure", sort=False)
    ]
    marks: dict[str, list[npt.NDArray[np.bool_]]] = {}
    for item in recordings:
        for name, pair in _marked_seconds(item).items():
            marks.setdefault(name, []).append(pair)
    rows += [
        _kappa_row(name, np.concatenate(pairs, axis=1)) for name, pairs in marks.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def icc_2_1(scores: npt.ArrayLike) -> float:
    """Return ICC(2,1): absolute agreement of single raters, two-way random effects.

    Parameters
    ----------
    scores
        Scores, shape (targets, raters), none missing.

    Notes
    -----
    ``(MSR - MSE) / (MSR + (k - 1) MSE + k (MSC - MSE) / n)`` of the mean squares of
    targets, of raters, and of the rest [1]_. NaN with fewer than two targets, or if the
    denominator is not above 0.

    References
    ----------
    .. [1] Shrout and Fleiss, Intraclass correlations: uses in assessing rater
       reliability, Psychological Bulletin 86, 1979.
    """
    x = np.asarray(scores, float)
    n, k = x.shape
    if n < 2 or k < 2:
        return float("nan")
    mean = x.mean()
    targets = k * np.sum((x.mean(1) - mean) ** 2) / (n - 1)
    raters = n * np.sum((x.mean(0) - mean) ** 2) / (k - 1)
    rest = x - x.mean(1, keepdims=True) - x.mean(0) + mean
    error = np.sum(rest**2) / ((n - 1) * (k - 1))
    total = targets + (k - 1) * error + k * (raters - error) / n
    return float((targets - error) / total) if total > 0 else float("nan")


def cohen_kappa(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Return Cohen's kappa of two raters' yes or no, shape (n,).

    NaN if both say the same of everything: chance agreement is 1 then.

    References
    ----------
    .. [1] Cohen, A coefficient of agreement for nominal scales, Educational and
       Psychological Measurement 20, 1960.
    """
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    if not len(a):
        return float("nan")
    agreed = float(np.mean(a == b))
    chance = float(a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))
    return (agreed - chance) / (1 - chance) if chance < 1 else float("nan")


def _measures(recordings: Sequence[RatedRecording]) -> pd.DataFrame:
    """Return a row per recording, condition and measure with both raters' values."""
    parts = []
    for item in recordings:
        analyses = [analyze(item.recording, edits=edits) for edits in item.edits]
        begin, end = item.recording.begin, max(a.end for a in analyses)
        chosen = list(item.conditions) or [ConditionSpan("recording", begin, end)]
        values = []
        for analysis in analyses:
            table = analysis.spans(chosen).drop_duplicates(SPAN_KEY).set_index(SPAN_KEY)
            values.append(table["value"].where(table["exclusion"] == "").astype(float))
        rows = values[0].index.union(values[1].index, sort=False)
        names = rows.to_frame(index=False)
        is_eeg = names["measure"].str.startswith(("eeg_", "frontal_"))
        measure = names["measure"]
        measure = measure.where(~is_eeg, measure + "." + names["channel"])
        parts.append(
            pd.DataFrame(
                {
                    "measure": measure + " of " + names["stream"],
                    "first": values[0].reindex(rows).to_numpy(),
                    "second": values[1].reindex(rows).to_numpy(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _icc_row(name: str, scores: npt.NDArray[np.float64]) -> dict[str, object]:
    both = scores[np.isfinite(scores).all(1)]
    value = icc_2_1(both) if len(both) else float("nan")
    reason = ""
    if len(both) < 2:
        reason = f"{len(both)} conditions with a value of both raters, 2 are needed"
    elif np.isnan(value):
        same = bool(np.all(both == both[0, 0]))
        reason = (
            "all values are the same"
            if same
            else "the variance between conditions and raters is not above 0: the "
            "raters differ more than the conditions"
        )
    means = both.mean(0) if len(both) else np.full(2, np.nan)
    return {
        "quantity": name, "statistic": "ICC(2,1)", "value": value, "n": len(both),
        "rater_1": means[0], "rater_2": means[1], "reason": reason,
    }  # fmt: skip


def _kappa_row(name: str, marks: npt.NDArray[np.bool_]) -> dict[str, object]:
    value = cohen_kappa(marks[0], marks[1])
    same = "no second is marked" if not marks.any() else "all seconds are the same"
    return {
        "quantity": f"bad spans of {name}", "statistic": "kappa", "value": value,
        "n": marks.shape[1], "rater_1": marks[0].mean(), "rater_2": marks[1].mean(),
        "reason": same if np.isnan(value) else "",
    }  # fmt: skip


def _marked_seconds(item: RatedRecording) -> dict[str, npt.NDArray[np.bool_]]:
    """Return the seconds that each rater marked, by stream: (2, seconds x channels).

    A second is marked if half of it is.
    """
    begin = item.recording.begin
    seconds = max(ceil(item.recording.seconds - 1e-6), 1)
    marks = {}
    for name, blocks in measured_streams(item.recording).items():
        channels = blocks[0].info.names
        both = np.zeros((2, len(channels), seconds), bool)
        for k, edits in enumerate(item.edits):
            for edit in edits.of_kind("bad"):
                if edit.stream != name:
                    continue
                first = round(edit.begin - begin)
                last = max(round(edit.end - begin), first)
                rows = [edit.concerns(name, c) for c in channels]
                both[k, rows, max(first, 0) : last] = True
        marks[name] = both.reshape(2, -1)
    return marks
