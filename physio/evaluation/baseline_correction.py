"""Features relative to a participant's own rest, as a live session could have them."""

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
    """A table relative to rest, and which of its rows that leaves.

    Parameters
    ----------
    table
        With the features less their mean over the rest.
    calibration
        The rows that are the rest, shape (n,).
    left
        The rows that may train and test: later than the rest by a gap, shape (n,).
    """

    table: pd.DataFrame
    calibration: Flags
    left: Flags


def baseline_correct(
    table: pd.DataFrame,
    columns: Sequence[str],
    *,
    rest: float = 300.0,
    gap: float = 60.0,
    label: str = "baseline",
) -> BaselineCorrected:
    """Take from each feature its mean over the first minutes of a participant's rest.

    Parameters
    ----------
    table
        Windows of whole recordings.
    columns
        The features.
    rest
        How much of the rest is used at most (s), from its beginning.
    gap
        Windows that begin within ``gap`` s after it, or before its end, neither train
        nor test.
    label
        What the rest is called; empty: it is the beginning of each recording.

    Raises
    ------
    ValueError
        If a recording has no such rest.

    Notes
    -----
    The median would be robuster, and a participant's spread at rest would scale: five
    minutes are about five independent windows of a minute, too few for a spread.
    """
    recordings = RowIndex(table).recordings
    begin, end = numbers(table, "start_s"), numbers(table, "end_s")
    labels = named(table, LABEL)
    x = table[list(columns)].to_numpy(np.float64)
    found = np.array(x)
    calibration = np.zeros(len(table), np.bool_)
    left = np.zeros(len(table), np.bool_)
    for one in np.unique(recordings):
        own = recordings == one
        there = own & (labels == label) if label else own
        if not there.any():
            raise ValueError(
                f"{' '.join(one.split(chr(31))).strip()} has no window labelled "
                f"{label!r} to be measured against"
            )
        over = begin[there].min() + rest
        at = there & (end <= over)
        if not at.any():
            raise ValueError(f"no window ends within the first {rest:g} s of rest")
        known = np.isfinite(x[at])
        total = np.where(known, x[at], 0).sum(axis=0)
        count = known.sum(axis=0)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        found[own] = x[own] - mean
        calibration |= at
        left |= own & (begin >= end[at].max() + gap)
    made = table.copy()
    made[list(columns)] = found
    return BaselineCorrected(made, calibration, left)


def restrict(folds: Folds, table: Table, left: Flags, calibration: Flags) -> Folds:
    """Return folds of the rows that are left, each with its participants's calibration.

    Those in which nothing is left to test, or to train on, are left out.
    """
    participants = RowIndex.of(table).participants
    at = np.flatnonzero(calibration)

    def of(fold: Fold) -> Fold:
        test = fold.test[left[fold.test]]
        own = at[np.isin(participants[at], np.unique(participants[test]))]
        return Fold(
            fold.name,
            fold.train[left[fold.train]],
            test,
            tuple(f for f in map(of, fold.inner) if len(f.train) and len(f.test)),
            own,
        )

    made = (of(f) for f in folds.folds)
    return replace(folds, folds=tuple(f for f in made if len(f.train) and len(f.test)))


def restrict_test(folds: Folds, tested: Flags) -> Folds:
    """Return folds that test some rows alone; what trains stays."""

    def of(fold: Fold) -> Fold:
        inner = tuple(of(f) for f in fold.inner)
        return replace(fold, test=fold.test[tested[fold.test]], inner=inner)

    return replace(folds, folds=tuple(of(f) for f in folds.folds))


def thin_test(folds: Folds, table: Table, every: float) -> Folds:
    """Return folds that test windows at least ``every`` s apart in each part.

    Windows that overlap are one window told several times: they train, but a figure
    should not count them.
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
    found: list[int] = []
    for row in rows[np.argsort(begin[rows], kind="stable")].tolist():
        # Windows are laid on the grid of the fastest stream: a ms is no difference.
        if not found or begin[row] - begin[found[-1]] >= every - 1e-3:
            found.append(row)
    return found
