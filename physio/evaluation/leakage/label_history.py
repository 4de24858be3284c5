"""Prediction of a column from the history of the labels alone.

A column that was simulated from the label, such as a hormone that rises in stress and
falls afterwards, follows the labels of participants that a fit has not seen far more
closely than a sensor does.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from physio.core.block import Array
from physio.datasets.feature_table import LABEL
from physio.evaluation.folds import Rows
from physio.evaluation.row_index import RowIndex, Table

_TIME_CONSTANTS: Final = (30.0, 120.0, 480.0, 1920.0)  # s
_FOLLOWS: Final = 0.85
"""Share of the variance within participants from which on a column follows the labels:
the features of WESAD have 0.52 at most."""

_DEPENDS: Final = 0.1
"""Share of the variance from which on a column depends on the labels at all."""

_SHARED: Final = 0.5
"""Share of a window that the window before covers too, where windows overlap."""

_WHITE: Final = 0.1
"""Correlation of a window's remainder with that of the window before, below which the
two share nothing."""


Codes = npt.NDArray[np.intp]


class LabelHistory(NamedTuple):
    """Design of a regression on the labels so far.

    Parameters
    ----------
    design
        Exponential averages of the indicators of the classes over several time
        constants, relative to each participant's mean, shape (n, k).
    participants
        Number of each row's participant, shape (n,).
    before
        Row of the same segment before each row, -1 for none, shape (n,).
    overlap
        True if most rows share half of their window with the row before.
    """

    design: Array
    participants: Codes
    before: Rows
    overlap: bool

    @classmethod
    def of(cls, table: Table) -> "LabelHistory | None":
        """Return the design for labelled rows; None without times or two classes."""
        index = RowIndex.of(table)
        rows = index.table
        labels = rows[LABEL].astype(str).to_numpy()
        if not {"start_s", "end_s"} <= set(rows.columns) or len(set(labels)) < 2:
            return None
        begins, ends = (rows[c].to_numpy(np.float64) for c in ("start_s", "end_s"))
        _, classes = np.unique(labels, return_inverse=True)
        _, participants = np.unique(index.participants, return_inverse=True)
        order = np.lexsort((begins, index.recordings))
        same = index.segments[order][1:] == index.segments[order][:-1]
        before = np.full(len(rows), -1, np.intp)
        before[order[1:]] = np.where(same, order[:-1], -1)
        known = before >= 0
        shared = (ends[before] - begins)[known] / (ends - begins)[known]
        design = _averages(index, classes, begins, order)
        centred = design - _means(design, participants)
        overlap = bool(len(shared) and np.median(shared) >= _SHARED)
        return cls(centred, participants, before, overlap)

    def describe(self, name: str, x: Array) -> str:
        """Describe a column, shape (n,), that was computed from the labels."""
        known = np.isfinite(x)
        people = self.participants[known]
        if known.sum() < 100 or len(np.unique(people)) < 3:
            return ""
        centred = (x[known, None] - _means(x[known, None], people))[:, 0]
        total = float(np.sum(centred**2))
        if total <= 1e-12 * float(np.sum(x[known] ** 2)):
            return ""
        predicted = _predicted(self.design[known], centred, people)
        share = 1 - float(np.sum((centred - predicted) ** 2)) / total
        if share >= _FOLLOWS:
            return (
                f"{name} follows the labels of participants never seen, R2 {share:.2f} "
                "within participants: it was simulated from the label"
            )
        remainder = centred - _gain(predicted, centred, people) * predicted
        if share < _DEPENDS or not self._drawn(known, remainder):
            return ""
        return (
            f"{name} follows the label, and the rest of it is drawn anew for each "
            "window, though windows share samples: it was simulated from the label"
        )

    def _drawn(self, known: npt.NDArray[np.bool_], remainder: Array) -> bool:
        """Return whether noise differs from window to window that share samples."""
        if not self.overlap:
            return False
        residual = np.full(len(known), np.nan)
        residual[known] = remainder
        before = np.where(self.before >= 0, residual[self.before], np.nan)
        both = np.isfinite(before) & known
        if both.sum() < 50:
            return False
        return abs(float(np.corrcoef(residual[both], before[both])[0, 1])) < _WHITE


def _averages(index: RowIndex, classes: Codes, begins: Array, order: Codes) -> Array:
    """Return the exponential averages of the class indicators in each recording."""
    indicators = np.eye(int(classes.max()) + 1)[classes]
    recordings = index.recordings[order]
    first = np.r_[True, recordings[1:] != recordings[:-1]]
    step = np.diff(begins[order], prepend=begins[order[0]])
    step[first] = 0.0
    usual = float(np.median(step[~first])) if (~first).any() else 0.0
    # A longer step is a gap of rows without a label, over which the average decays.
    tau = np.array(_TIME_CONSTANTS)[:, None]
    passed = np.exp(-np.maximum(step - usual, 0.0) / tau)
    weight = 1 - np.exp(-np.minimum(step, usual) / tau)
    averages = np.empty((len(classes), len(tau), indicators.shape[1]))
    state = np.zeros(averages.shape[1:])
    for k, row in enumerate(order):
        state = np.zeros_like(state) if first[k] else state * passed[:, k, None]
        state = state + weight[:, k, None] * (indicators[row] - state)
        averages[row] = state
    return np.hstack([indicators, averages.reshape(len(classes), -1)])


def _means(x: Array, groups: Codes) -> Array:
    """Return the mean of each column over the rows of each group, shape of ``x``."""
    frame = pd.DataFrame(x).groupby(groups)
    means: Array = frame.transform("mean").to_numpy()
    return means


def _predicted(design: Array, y: Array, people: Codes, k: int = 5) -> Array:
    """Return predictions of held-out participants by ridge regression."""
    dealt = np.unique(people, return_inverse=True)[1] % k
    predicted = np.zeros(len(y))
    for fold in np.unique(dealt):
        train, test = dealt != fold, dealt == fold
        a = design[train]
        penalty = 1e-3 * len(a) * np.eye(a.shape[1]) * max(float(a.var()), 1e-12)
        weights = np.linalg.solve(a.T @ a + penalty, a.T @ y[train])
        predicted[test] = design[test] @ weights
    return predicted


def _gain(predicted: Array, y: Array, people: Codes) -> Array:
    """Return for each row the participant's least-squares gain of the prediction."""
    sums = pd.DataFrame({"xy": predicted * y, "xx": predicted**2}).groupby(people)
    both = sums.transform("sum")
    gain: Array = (both["xy"] / np.maximum(both["xx"], 1e-300)).to_numpy()
    return gain
