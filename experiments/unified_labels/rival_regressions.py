"""Linear rivals: a regression for each label, and one of all data sets pooled."""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge

from experiments.unified_labels.label_sets import LabelSet, scaled
from physio.core.block import Array

_PENALTY = 10.0


def regressions(train: LabelSet, x: Array, scale: Array) -> list[Array]:
    """Return outputs of each label for new rows: probabilities of classes, or a number.

    Logistic regression for classes, ridge regression for numbers.
    """
    inputs, new = scaled(train.x, scale), scaled(x, scale)
    outputs = []
    for target in train.targets:
        known = np.isfinite(target.y)
        if target.classes:
            model = LogisticRegression(max_iter=2000)
            model.fit(inputs[known], target.y[known].astype(np.int64))
            outputs.append(np.asarray(model.predict_proba(new)))
        else:
            ridge = Ridge(_PENALTY).fit(inputs[known], target.y[known])
            outputs.append(np.asarray(ridge.predict(new))[:, None])
    return outputs


def pooled(train: Sequence[LabelSet], x: Array, scale: Array) -> Array:
    """Return one intensity for new rows, learned from all data sets, shape (n,).

    The principal label of each data set is brought to zero mean and unit deviation, and
    each data set counts alike.
    """
    parts, wanted, weights = [], [], []
    for rows in train:
        y = rows.targets[0].intensity()
        known = np.isfinite(y)
        spread = max(float(y[known].std()), 1e-9)
        parts.append(scaled(rows.x[known], scale))
        wanted.append((y[known] - y[known].mean()) / spread)
        weights.append(np.full(known.sum(), 1000 / known.sum()))
    model = Ridge(_PENALTY).fit(
        np.concatenate(parts), np.concatenate(wanted), np.concatenate(weights)
    )
    return np.asarray(model.predict(scaled(x, scale)))
