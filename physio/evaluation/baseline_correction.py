"""Features relative to a participant's resting baseline, as in a live session."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from physio.datasets.feature_table import LABEL
from physio.evaluation.folds import Fold, Folds
from physio.evaluation.row_index import RowIndex, Table, named, numbers

Flags = npt.NDArray[np.bool_]


class BaselineCorrected(NamedTuple):
    """Baseline-corrected table, with masks of the baseline rows and the other rows.

    Parameters
    ----------
    table
        The table; from each feature its mean over the baseline is subtracted.
    calibration
        Mask of the baseline rows, shape (n,).
    included
        Mask of the rows that may train and test, shape (n,): later than the baseline
        by a gap.
    """

    table: pd.DataFrame
    calibration: Flags
    included: Flags


def baseline_correct(
    table: pd.DataFrame,
    columns: Sequence[str],
    *,
    baseline_seconds: float,
    embargo: float = 60.0,
    label: str = "baseline",
) -> BaselineCorrected:
    """Subtract from each feature its mean over the first minutes of rest.

    Parameters
    ----------
    table
        Windows of whole recordings.
    columns
        Names of the features.
    baseline_seconds
        Maximum duration of the baseline (s), from the beginning of the rest.
    embargo
        Time after the baseline (s); windows that begin before the end of the baseline
        or of this time neither train nor test.
    label
        Label of the rest; if empty, the rest is the beginning of each recording.

    Raises
    ------
    ValueError
        If a recording has no rest of that label.

    Notes
    -----
    The median would be more robust, and features could be scaled by a participant's
    standard deviation at rest. Five minutes contain about five independent windows of a
    minute, which are too few to estimate a standard deviation.
    """
    recordings = RowIndex(table).recordings
    begin, end = numbers(table, "start_s"), numbers(table, "end_s")
    labels = named(table, LABEL)
    x = table[list(columns)].to_numpy(np.float64)
    corrected = np.array(x)
    calibration = np.zeros(len(table), np.bool_)
    included = np.zeros(len(table), np.bool_)
    for recording in np.unique(recordings):
        rows = recordings == recording
        there = rows & (labels == label) if label else rows
        if not there.any():
            raise ValueError(
                f"{' '.join(recording.split(chr(31))).strip()} has no window labelled "
                f"{label!r} to be measured against"
            )
        over = begin[there].min() + baseline_seconds
        at = there & (end <= over)
        if not at.any():
            raise ValueError(
                f"no window ends within the first {baseline_seconds:g} s of rest"
            )
        known = np.isfinite(x[at])
        total = np.where(known, x[at], 0).sum(axis=0)
        count = known.sum(axis=0)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        corrected[rows] = x[rows] - mean
        calibration |= at
        included |= rows & (begin >= end[at].max() + embargo)
    result = table.copy()
    result[list(columns)] = corrected
    return BaselineCorrected(result, calibration, included)


def restrict(folds: Folds, table: Table, included: Flags, calibration: Flags) -> Folds:
    """Restrict folds to included rows, and add the calibration rows of participants.

    Folds without any remaining test rows or training rows are omitted.
    """
    participants = RowIndex.of(table).participants
    at = np.flatnonzero(calibration)

    def of(fold: Fold) -> Fold:
        test = fold.test[included[fold.test]]
        calibration_rows = at[np.isin(participants[at], np.unique(participants[test]))]
        return Fold(
            fold.name,
            fold.train[included[fold.train]],
            test,
            tuple(f for f in map(of, fold.inner) if len(f.train) and len(f.test)),
            calibration_rows,
        )

    restricted = (of(f) for f in folds.folds)
    return replace(
        folds, folds=tuple(f for f in restricted if len(f.train) and len(f.test))
    )


def restrict_test(folds: Folds, tested: Flags) -> Folds:
    """Restrict the test rows of folds; the training rows do not change.

    Folds without any remaining test rows are omitted.
    """

    def of(fold: Fold) -> Fold:
        inner = tuple(of(f) for f in fold.inner)
        return replace(fold, test=fold.test[tested[fold.test]], inner=inner)

    restricted = (of(f) for f in folds.folds)
    return replace(folds, folds=tuple(f for f in restricted if len(f.test)))


def thin_test(folds: Folds, table: Table, every: float) -> Folds:
    """Thin the test rows of folds to windows at least ``every`` s apart in a segment.

    Overlapping windows share samples and are not independent observations. They can
    train a model, but a score should not count them as separate observations.
    """
    index = RowIndex.of(table)
    parts, begin = index.segments, numbers(index.table, "start_s")

    def of(fold: Fold) -> Fold:
        test = [
            row
            for part in np.unique(parts[fold.test])
            for row in _apart(fold.test[parts[fold.test] == part], begin, every)
        ]
        inner = tuple(of(f) for f in fold.inner)
        return replace(fold, test=np.sort(np.array(test, np.intp)), inner=inner)

    return replace(folds, folds=tuple(of(f) for f in folds.folds))


def _apart(
    rows: npt.NDArray[np.intp], begin: npt.NDArray[np.float64], every: float
) -> list[int]:
    selected: list[int] = []
    for row in rows[np.argsort(begin[rows], kind="stable")].tolist():
        # Windows lie on the sample grid of the fastest stream: tolerate 1 ms.
        if not selected or begin[row] - begin[selected[-1]] >= every - 1e-3:
            selected.append(row)
    return selected
