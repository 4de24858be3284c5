"""Regressions that use a known confounder, and those that remove its effect."""

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from physio.core.block import Array
from physio.evaluation.folds import Rows
from physio.evaluation.models.baselines import FoldData

Form = Literal["features", "input", "alone", "residual", "direct", "counterfactual"]
"""``features``: the confounder is not read; ``input``: it is one more feature;
``alone``: it is the only feature; ``residual``: its effect on the features is removed;
``direct``: its effect on the label is averaged out; ``counterfactual``: both.
"""

FORMS: Final[tuple[Form, ...]] = (
    *("features", "input", "alone", "residual", "direct", "counterfactual"),
)

_RIDGE: Final = 1.0
_REFERENCES: Final = 101


class _Fitted(NamedTuple):
    """Effect of the confounder on the features, (k, f), and the regression."""

    effect: Array
    model: LogisticRegression
    reference: Array


@dataclass(frozen=True)
class ConfounderRegression:
    """Logistic regression with a known confounder, in one of several forms.

    The effect of the confounder on each feature is estimated beside that of the label
    (least squares, ridge), so that a label that happens with motion is not taken for
    motion. The regression of the label on features and confounder is adjusted for it;
    its output is averaged over the confounder's values in the calm training rows.

    Parameters
    ----------
    features
        Columns of the table, relative to the person's rest; a missing one has not
        changed.
    confounders
        Columns of the known confounder; their squares count too.
    form
        See `Form`.
    c
        Inverse of the penalty.
    """

    features: tuple[str, ...]
    confounders: tuple[str, ...]
    form: Form
    c: float = 1.0

    def __call__(self, given: FoldData) -> Array:
        train, test = given.fold.train, given.fold.test
        x, c = self.inputs(given.table, train)
        fitted = self.fit(x[train], c[train], given.y[train])
        return self.output(fitted, x[test], c[test])

    def inputs(self, table: pd.DataFrame, train: Rows) -> tuple[Array, Array]:
        """Return features, (n, f), and confounders, (n, k), scaled by training rows."""
        x = _scaled(table[list(self.features)].to_numpy(np.float64), train)
        c = table[list(self.confounders)].to_numpy(np.float64)
        c = _scaled(c, train, centre=True)
        return x, np.column_stack([c, _scaled(c**2, train, centre=True)])

    def fit(self, x: Array, c: Array, y: Any) -> _Fitted:
        """Fit to features, (n, f), confounders, (n, k), and classes 0 and 1, (n,)."""
        effect = np.zeros((c.shape[1], x.shape[1]))
        if self.form in ("residual", "counterfactual"):
            design = np.column_stack([c, y - y.mean()])
            penalty = _RIDGE * np.eye(design.shape[1])
            centred = x - x.mean(axis=0)
            effect = np.linalg.solve(design.T @ design + penalty, design.T @ centred)
            effect = effect[: c.shape[1]]
        model = LogisticRegression(C=self.c, max_iter=2000, class_weight="balanced")
        model.fit(self._design(x - c @ effect, c), y)
        calm = c[y == 0]
        step = max(len(calm) // _REFERENCES, 1)
        return _Fitted(effect, model, calm[np.argsort(calm[:, 0])][::step])

    def output(self, fitted: _Fitted, x: Array, c: Array) -> Array:
        """Return the probabilities of both classes, shape (n, 2)."""
        design = self._design(x - c @ fitted.effect, c)
        logits = fitted.model.decision_function(design)
        if self.form in ("direct", "counterfactual"):
            weights = fitted.model.coef_[0][x.shape[1] :]
            without = logits - c @ weights
            p = expit(without[:, None] + (fitted.reference @ weights)[None]).mean(
                axis=1
            )
        else:
            p = expit(logits)
        return np.stack([1 - p, p], axis=1)

    def _design(self, x: Array, c: Array) -> Array:
        if self.form in ("features", "residual"):
            return x
        return c if self.form == "alone" else np.column_stack([x, c])


def _scaled(x: Array, train: Rows, *, centre: bool = False) -> Array:
    """Return columns in deviations of the training rows; 0 where missing."""
    middle = np.nanmean(x[train], axis=0) if centre else 0.0
    scale = np.maximum(np.nan_to_num(np.nanstd(x[train], axis=0)), 1e-9)
    return np.nan_to_num((x - middle) / scale)
