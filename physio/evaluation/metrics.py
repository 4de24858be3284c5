"""Metrics of classification and regression by name, from scikit-learn and SciPy.

This module implements only the metrics that both libraries lack: Lin's concordance, the
negative log density and the coverage of intervals.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import sklearn.metrics
from scipy.stats import norm, pearsonr

from physio.core.block import Array

Measure = Callable[[Any, Array], float]
"""``measure(y, output)``: true values, shape (n,), and the model's output.

In classification, ``y`` are class numbers from 0 and outputs are class probabilities,
shape (n, classes). In regression, outputs have the shape (n, 1), or (n, 2) with the
mean and its standard deviation.
"""


def accuracy(y: Any, output: Array) -> float:
    """Return the proportion of rows whose most probable class is the true class."""
    return float(sklearn.metrics.accuracy_score(y, output.argmax(axis=1)))


def balanced_accuracy(y: Any, output: Array) -> float:
    """Return the mean recall over the classes that are present in the rows."""
    predicted = output.argmax(axis=1)
    return float(
        sklearn.metrics.recall_score(
            y, predicted, labels=np.unique(y), average="macro", zero_division=0.0
        )
    )


def macro_f1(y: Any, output: Array) -> float:
    """Return the mean F1 over the classes that are present in the rows."""
    predicted = output.argmax(axis=1)
    return float(
        sklearn.metrics.f1_score(
            y, predicted, labels=np.unique(y), average="macro", zero_division=0.0
        )
    )


def auc(y: Any, output: Array) -> float:
    """Return the area under the ROC curve; NaN where all rows are of one class.

    With more than two classes, it is the mean of one-versus-rest areas over the classes
    that are present in the rows.
    """
    classes = np.unique(y)
    if len(classes) < 2:
        return float("nan")
    scores = [
        sklearn.metrics.roc_auc_score(y == c, output[:, c])
        for c in (classes if output.shape[1] > 2 else classes[-1:])
    ]
    return float(np.mean(scores))


def log_loss(y: Any, output: Array) -> float:
    """Return the mean negative log probability of the true class (nats).

    Probabilities below 1e-12 count as 1e-12.
    """
    probabilities = np.maximum(output, 1e-12)
    labels = np.arange(output.shape[1])
    with _single_precision():
        return float(sklearn.metrics.log_loss(y, probabilities, labels=labels))


def brier(y: Any, output: Array) -> float:
    """Return the mean squared error of the probabilities, summed over classes."""
    labels = np.arange(output.shape[1])
    with _single_precision():
        return float(
            sklearn.metrics.brier_score_loss(
                y, output, labels=labels, scale_by_half=False
            )
        )


@contextmanager
def _single_precision() -> Iterator[None]:
    """Accept probabilities that sum to 1 in single precision only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*values do not sum to one", UserWarning)
        yield


def rmse(y: Any, output: Array) -> float:
    """Return the root of the mean squared error, in the unit of ``y``."""
    return float(sklearn.metrics.root_mean_squared_error(y, output[:, 0]))


def mae(y: Any, output: Array) -> float:
    """Return the mean absolute error, in the unit of ``y``."""
    return float(sklearn.metrics.mean_absolute_error(y, output[:, 0]))


def correlation(y: Any, output: Array) -> float:
    """Return Pearson's r; NaN where either is constant, or of fewer than 3 rows."""
    predicted = output[:, 0]
    if len(y) < 3 or np.std(y) < 1e-12 or np.std(predicted) < 1e-12:
        return float("nan")
    return float(pearsonr(y, predicted).statistic)


def concordance(y: Any, output: Array) -> float:
    """Return Lin's concordance correlation; NaN where both are constant."""
    predicted = output[:, 0]
    both = np.mean((y - y.mean()) * (predicted - predicted.mean()))
    scale = y.var() + predicted.var() + (y.mean() - predicted.mean()) ** 2
    return float(2 * both / scale) if scale > 1e-12 else float("nan")


def log_density(y: Any, output: Array) -> float:
    """Return the mean negative log density of a Gaussian (nats); NaN without an sd."""
    if output.shape[1] < 2:
        return float("nan")
    off = (y - output[:, 0]) / output[:, 1]
    return float(np.mean(0.5 * off**2 + np.log(output[:, 1]) + 0.5 * np.log(2 * np.pi)))


def coverage(y: Any, output: Array, level: float = 0.95) -> float:
    """Return the proportion of rows in the central interval; NaN without an sd."""
    if output.shape[1] < 2:
        return float("nan")
    half_width = norm.ppf(0.5 + level / 2) * output[:, 1]
    return interval_coverage(y, output[:, 0], half_width)


def interval_coverage(y: Any, center: Array, half_width: Array) -> float:
    """Return the proportion of rows in an interval; NaN without finite centers."""
    rows = np.isfinite(center)
    inside = np.abs(y - center) <= half_width
    return float(np.mean(inside[rows])) if rows.any() else float("nan")


OF_CLASSES: Final[dict[str, Measure]] = {
    "macro-F1": macro_f1,
    "AUC": auc,
    "accuracy": accuracy,
    "balanced accuracy": balanced_accuracy,
    "log loss": log_loss,
    "Brier score": brier,
}

OF_NUMBERS: Final[dict[str, Measure]] = {
    "RMSE": rmse,
    "mean absolute error": mae,
    "r": correlation,
    "CCC": concordance,
    "negative log density": log_density,
    "coverage of 95 %": coverage,
}

LESS_IS_BETTER: Final = (
    *("log loss", "Brier score", "RMSE", "mean absolute error"),
    "negative log density",
)
"""Names of metrics for which a smaller value is better."""


def measure(name: str, *, classes: bool) -> Measure:
    """Return a metric by its name.

    Raises
    ------
    ValueError
        If there is no metric of that name for this task (classification or regression).
    """
    known = OF_CLASSES if classes else OF_NUMBERS
    if name not in known:
        kind = "classes" if classes else "numbers"
        raise ValueError(
            f"there is no metric {name!r} of {kind}; it is {', '.join(known)}"
        )
    return known[name]
