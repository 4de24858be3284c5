"""Checks for columns and rows with information that no sensor provides."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.tree import DecisionTreeClassifier

from physio.core.block import Array
from physio.datasets.feature_table import LABEL, PLACE, RATING, TIME
from physio.evaluation.folds import Fold
from physio.evaluation.leakage.label_history import LabelHistory
from physio.evaluation.row_index import RowIndex, Table

_ANSWERS: Final = (
    *("panas", "stai", "sssq", "sam", "rating", "valence", "arousal", "dominance"),
    *("liking", "familiarity", "label", "condition", "class", "target", "emotion"),
)
"""Words in column names that indicate a rating or a label, not physiology."""

_GIVES: Final = (
    0.98  # macro-F1 of one column across participants: no sensor is that good
)
_SEVERAL: Final = 3  # present values of a part or participant that can be judged
_PARTS: Final = 4  # parts of recordings that a constant column must have
_SAMPLED: Final = 400  # rows that are checked for interpolation between two others

Prepare = Callable[[Array, Any, npt.NDArray[np.intp], npt.NDArray[np.intp]], Array]


def leaky_columns(table: Table, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield kind and text of the findings on columns.

    Parameters
    ----------
    table
        Labelled rows.
    names
        Names of the columns that a model reads.
    """
    index = RowIndex.of(table)
    table = index.table
    labels = table[LABEL].astype(str).to_numpy()
    participants, parts = index.participants, index.segments
    history = LabelHistory.of(index)
    scaled = []
    for name in names:
        words = set(name.lower().replace(".", " ").replace("_", " ").split())
        if name in (*PLACE, *TIME, LABEL, "dataset"):
            yield (
                "gives the label",
                f"{name} names the row or its time; it is no feature",
            )
            continue
        if name.startswith(RATING) or words & set(_ANSWERS):
            yield (
                "self-report",
                f"{name} is an answer given after the condition that it labels, or the "
                "label itself; it is no feature",
            )
            continue
        x = table[name].to_numpy(np.float64)
        if len(np.unique(x[np.isfinite(x)])) < 2:
            continue
        if text := _constant(name, x, parts) or _gives(name, x, labels, participants):
            yield "gives the label", text
        elif history is not None and (text := history.describe(name, x)):
            yield "simulated from the label", text
        if text := _standardised(name, x, participants):
            yield "fitted outside the fold", text
        scaled.append(np.nanmin(x) == 0 and np.nanmax(x) == 1)
    if len(scaled) > 1 and all(scaled):
        yield (
            "fitted outside the fold",
            "every column goes from exactly 0 to exactly 1: they were scaled over all "
            "rows, those that test too",
        )


def duplicated_rows(table: pd.DataFrame, names: Sequence[str], fold: Fold) -> str:
    """Describe test rows whose features are identical to those of training rows."""
    x = table[list(names)].to_numpy(np.float64)
    # A count, such as no response in a minute, is the same in many windows.
    different = np.array([_different(c) for c in x.T], np.bool_)
    whole = np.isfinite(x[:, different]).sum(axis=1) >= min(2, x.shape[1])
    train = {r.tobytes() for r in x[fold.train[whole[fold.train]]]}
    same = [i for i in fold.test[whole[fold.test]] if x[i].tobytes() in train]
    if not same or len(names) < 2:
        return ""
    return (
        f"{len(same)} test rows have the very features of a training row, as row "
        f"{same[0]}: oversampled before the split?"
    )


def interpolated_rows(table: pd.DataFrame, names: Sequence[str], seed: int = 23) -> str:
    """Describe rows that lie exactly on the line between two other rows.

    SMOTE creates such rows. With at least three continuous features, such rows do not
    occur by chance.
    """
    x = table[list(names)].to_numpy(np.float64)
    x = x[:, np.isfinite(x).mean(axis=0) > 0.5] if len(x) else x
    x = np.unique(x[np.isfinite(x).all(axis=1)], axis=0)
    x = x[:, [len(np.unique(c)) > len(x) / 2 for c in x.T]] if len(x) else x
    if x.shape[1] < 3 or len(x) < 20:
        return ""
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    rows = np.random.default_rng(seed).permutation(len(z))[:_SAMPLED]
    near = NearestNeighbors(n_neighbors=min(13, len(z))).fit(z)
    others = near.kneighbors(z[rows], return_distance=False)
    count = sum(
        _lies_between(z[i], z[o[o != i]]) for i, o in zip(rows, others, strict=True)
    )
    if count < 0.02 * len(rows):
        return ""
    return (
        f"{count} of {len(rows)} rows looked at lie exactly between two others: "
        "oversampled before the split (SMOTE?)"
    )


def fitted_outside(
    prepare: Prepare, x: Array, y: Any, fold: Fold, seed: int = 23
) -> bool:
    """Return whether preprocessing is fitted to test rows.

    The preprocessing is repeated for each column (at most 16), with random values in
    the test rows and with the test labels encoded in that column. If the training
    features change in any repetition, the preprocessing (scaling, selection,
    oversampling) was fitted outside the fold.

    Parameters
    ----------
    prepare
        Preprocessing: ``prepare(x, y, train, test)`` returns the features of the
        training rows as the model receives them, shape (any, any).
    x, y
        Features, shape (n, f), and labels, shape (n,).
    fold
        Training and test rows.
    seed
        Seed of the random values.
    """
    rng = np.random.default_rng(seed)
    first = prepare(np.array(x, np.float64), np.array(y), fold.train, fold.test)
    labels = np.unique(np.asarray(y)[fold.test], return_inverse=True)[1]
    for column in range(min(x.shape[1], 16)):
        other = np.array(x, np.float64)
        other[fold.test] = rng.normal(0, 1, other[fold.test].shape)
        other[fold.test, column] += 1e3 * (1 + labels)
        again = prepare(other, np.array(y), fold.train, fold.test)
        same = again.shape == first.shape
        if not same or not np.array_equal(first, again, equal_nan=True):
            return True
    return False


def _different(x: Array) -> bool:
    """Return whether most values of a column are different."""
    known = x[np.isfinite(x)]
    return len(known) > 0 and len(np.unique(known)) > len(known) / 2


def _constant(name: str, x: Array, parts: Any) -> str:
    """Describe a column that is constant in each segment, as a rating or an ID is."""
    groups = pd.Series(x).groupby(parts)
    several = groups.count() >= _SEVERAL
    if several.sum() < _PARTS:
        return ""
    if (groups.nunique()[several] > 1).mean() > 0.05:
        return ""
    return (
        f"{name} has one value for each part of a recording, as an answer or a name "
        "has, and no sensor"
    )


def _gives(name: str, x: Array, labels: Any, participants: Any) -> str:
    """Describe a column that alone predicts the labels of held-out participants."""
    k = min(5, len(set(participants)))
    if k < 2 or len(set(labels)) < 2:
        return ""
    tree = DecisionTreeClassifier(max_leaf_nodes=16, min_samples_leaf=5, random_state=0)
    z = np.where(np.isnan(x), np.nanmin(x) - 1, x)[:, None]
    predicted = cross_val_predict(
        tree, z, labels, groups=participants, cv=GroupKFold(k)
    )
    reached = f1_score(labels, predicted, average="macro", zero_division=0.0)
    if reached < _GIVES:
        return ""
    return (
        f"{name} by itself gives the label of participants never seen, macro-F1 "
        f"{reached:.2f}: it was made from the label, or after it"
    )


def _standardised(name: str, x: Array, participants: Any) -> str:
    known = np.isfinite(x)
    if _is_standard(x[known]):
        return (
            f"{name} has mean 0 and standard deviation 1 over all rows: it was "
            "standardised before the split, by the rows that test too"
        )
    per_participant = [
        x[known & (participants == participant)]
        for participant in np.unique(participants)
    ]
    several = [values for values in per_participant if len(values) >= _SEVERAL]
    if len(several) > 1 and all(_is_standard(values) for values in several):
        return (
            f"{name} has mean 0 and standard deviation 1 in each participant: it was "
            "standardised over whole recordings, by what is tested too"
        )
    return ""


def _is_standard(x: Array) -> bool:
    """Return whether values were standardised, to the precision of a float32."""
    if len(x) < 3:
        return False
    spreads = (np.std(x), np.std(x, ddof=1))
    return bool(abs(np.mean(x)) < 1e-5) and any(abs(s - 1) < 1e-5 for s in spreads)


def _lies_between(row: Array, others: Array) -> bool:
    there = others - row
    far = np.linalg.norm(there, axis=1)
    unit = there[far > 0] / far[far > 0, None]
    cosines = unit @ unit.T
    # Rounding rotates a direction by at most 1e-8 rad here, and the error of the
    # cosine is the square of that. Directions that are not opposite differ far more.
    return bool(cosines.min(initial=0.0) < -1 + 1e-12)
