"""How good outputs are, by name: of classes, and of numbers."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from scipy.stats import norm, rankdata
from sklearn.metrics import f1_score

from physio.core.block import Array

Measure = Callable[[Any, Array], float]
"""``measure(y, output)``: what was so, shape (n,), and what was said of it.

Classes are numbers from 0 and outputs their probabilities, shape (n, classes); numbers
have outputs of shape (n, 1), or (n, 2) with a standard deviation beside.
"""


def accuracy(y: Any, output: Array) -> float:
    """Return the share of rows whose likeliest class is right."""
    return float(np.mean(output.argmax(axis=1) == y))


def balanced_accuracy(y: Any, output: Array) -> float:
    """Return the share that is right, the mean over the classes that there are."""
    said = output.argmax(axis=1)
    return float(np.mean([np.mean(said[y == c] == c) for c in np.unique(y)]))


def macro_f1(y: Any, output: Array) -> float:
    """Return F1, the mean over the classes that there are in these rows."""
    said = output.argmax(axis=1)
    labels = np.unique(y)
    return float(f1_score(y, said, labels=labels, average="macro", zero_division=0.0))


def auc(y: Any, output: Array) -> float:
    """Return the area under the ROC, the mean over classes; NaN where there is one.

    It is the probability that a row of a class is given a higher probability of it than
    a row of another class (ties count half).
    """
    found = []
    classes = np.unique(y)
    for c in classes if output.shape[1] > 2 else classes[-1:]:
        own = y == c
        n, others = int(own.sum()), int((~own).sum())
        if n and others:
            above = rankdata(output[:, c])[own].sum() - n * (n + 1) / 2
            found.append(above / (n * others))
    return float(np.mean(found)) if found else float("nan")


def log_loss(y: Any, output: Array) -> float:
    """Return the mean negative log probability of what was so (nats)."""
    rows = np.arange(len(y))
    return float(-np.mean(np.log(np.maximum(output[rows, y], 1e-12))))


def brier(y: Any, output: Array) -> float:
    """Return the mean squared error of the probabilities, summed over classes."""
    so = np.eye(output.shape[1])[y]
    return float(np.mean(((output - so) ** 2).sum(axis=1)))


def rmse(y: Any, output: Array) -> float:
    """Return the root of the mean squared error, in the unit of ``y``."""
    return float(np.sqrt(np.mean((output[:, 0] - y) ** 2)))


def mae(y: Any, output: Array) -> float:
    """Return the mean absolute error, in the unit of ``y``."""
    return float(np.mean(np.abs(output[:, 0] - y)))


def correlation(y: Any, output: Array) -> float:
    """Return Pearson's r; NaN where either is constant, or of fewer than 3 rows."""
    said = output[:, 0]
    if len(y) < 3 or np.std(y) < 1e-12 or np.std(said) < 1e-12:
        return float("nan")
    return float(np.corrcoef(y, said)[0, 1])


def concordance(y: Any, output: Array) -> float:
    """Return Lin's concordance correlation; NaN where both are constant."""
    said = output[:, 0]
    both = np.mean((y - y.mean()) * (said - said.mean()))
    scale = y.var() + said.var() + (y.mean() - said.mean()) ** 2
    return float(2 * both / scale) if scale > 1e-12 else float("nan")


def log_density(y: Any, output: Array) -> float:
    """Return the mean negative log density of a Gaussian (nats); NaN without an sd."""
    if output.shape[1] < 2:
        return float("nan")
    off = (y - output[:, 0]) / output[:, 1]
    return float(np.mean(0.5 * off**2 + np.log(output[:, 1]) + 0.5 * np.log(2 * np.pi)))


def coverage(y: Any, output: Array, share: float = 0.95) -> float:
    """Return how often the central interval of ``share`` held it; NaN without an sd."""
    if output.shape[1] < 2:
        return float("nan")
    reach = norm.ppf(0.5 + share / 2) * output[:, 1]
    return float(np.mean(np.abs(y - output[:, 0]) <= reach))


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
"""Measures of which a smaller figure is the better one."""


def measure(name: str, *, classes: bool) -> Measure:
    """Return a measure by its name.

    Raises
    ------
    ValueError
        If there is none of that name for classes, or for numbers.
    """
    known = OF_CLASSES if classes else OF_NUMBERS
    if name not in known:
        what = "classes" if classes else "numbers"
        raise ValueError(
            f"there is no measure {name!r} of {what}; it is {', '.join(known)}"
        )
    return known[name]
