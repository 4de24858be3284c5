"""Data sets with different kinds of labels, as rows with the same inputs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from physio.core.block import Array
from physio.evaluation import metrics

_CLIP: Final = 5.0


@dataclass(frozen=True, eq=False)
class Target:
    """A label of a data set.

    Parameters
    ----------
    name
        Name of the label.
    y
        Number of the class from 0, or a number; NaN where unknown, shape (n,).
    classes
        Number of classes; 0 for a number.
    high
        Class that counts as much stress or arousal.
    """

    name: str
    y: Array
    classes: int = 0
    high: int = 1

    @property
    def outputs(self) -> int:
        """Number of outputs of a model."""
        return self.classes or 1

    def at(self, rows: Any) -> "Target":
        """Return the label of some rows."""
        return replace(self, y=self.y[rows])

    def intensity(self) -> Array:
        """Return the label as a number that rises with stress or arousal, (n,)."""
        known = np.isfinite(self.y)
        as_number = np.where(known, self.y == self.high, np.nan)
        return np.asarray(as_number if self.classes else self.y, np.float64)


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Rows of a data set.

    Parameters
    ----------
    name
        Name of the data set.
    x
        Inputs; NaN where missing, shape (n, f).
    people
        Participant of each row, shape (n,).
    targets
        Labels; the first one is the principal one.
    """

    name: str
    x: Array
    people: Any
    targets: tuple[Target, ...]

    @property
    def outputs(self) -> int:
        """Number of outputs of a model, of all labels."""
        return sum(t.outputs for t in self.targets)

    def at(self, rows: Any) -> "LabelSet":
        """Return some rows."""
        targets = tuple(t.at(rows) for t in self.targets)
        return LabelSet(self.name, self.x[rows], self.people[rows], targets)

    def without(self, people: Sequence[str]) -> "LabelSet":
        """Return the rows of the other participants."""
        return self.at(~np.isin(self.people, people))

    def centred(self) -> "LabelSet":
        """Return the rows with numbers relative to the participant's own mean."""
        targets = tuple(
            t if t.classes else replace(t, y=person_centred(t.y, self.people))
            for t in self.targets
        )
        return replace(self, targets=targets)


def person_centred(y: Array, people: Any) -> Array:
    """Return numbers less the mean of their participant, shape (n,)."""
    mean = pd.Series(y).groupby(people).transform("mean").to_numpy()
    return np.asarray(y - mean)


def common_scale(sets: Sequence[LabelSet]) -> Array:
    """Return the scale of each input, each data set counting alike, shape (f,)."""
    square, known = np.zeros(sets[0].x.shape[1]), np.zeros(sets[0].x.shape[1])
    for rows in sets:
        for k, column in enumerate(rows.x.T):
            given = column[np.isfinite(column)]
            if len(given) > 1:
                square[k] += given.var()
                known[k] += 1
    scale: Array = np.sqrt(square / np.maximum(known, 1))
    return np.maximum(scale, 1e-9)


def scaled(x: Array, scale: Array) -> Array:
    """Return inputs in units of their scale; missing ones have not changed."""
    return np.clip(np.nan_to_num(x / scale), -_CLIP, _CLIP)


def concordance_score(target: Target, output: Array) -> float:
    """Return the share of pairs of different labels in the right order; NaN without.

    Of classes it is the area under the ROC curve, with more than two the mean of each
    class against the others. ``output`` of the rows, shape (n, outputs).
    """
    known = np.isfinite(target.y)
    y, shown = target.y[known], output[known]
    if len(np.unique(y)) < 2:
        return float("nan")
    if target.classes:
        return metrics.auc(y.astype(np.int64), shown)
    above = y[:, None] > y[None, :]
    off = shown[:, 0][:, None] - shown[:, 0][None, :]
    right = (off > 0) + 0.5 * (off == 0)
    return float(right[above].mean())
