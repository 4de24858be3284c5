"""Identification of people from windows, by attackers who know the dial."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from physio.core.block import Array

_BANDS: Final = 8


def window_features(x: Array, size: int) -> Array:
    """Return level, deviation, and log power in octaves of windows, shape (n, 10)."""
    parts = x[: len(x) // size * size].reshape(-1, size)
    power = np.abs(np.fft.rfft((parts - parts.mean(axis=1, keepdims=True)), axis=1))
    edges = np.unique(np.geomspace(1, power.shape[1], _BANDS + 1).astype(np.intp))
    bands = np.add.reduceat(power**2, edges[:-1], axis=1)
    summary = np.column_stack(
        [np.median(parts, axis=1), np.log(parts.std(axis=1) + 1e-9)]
    )
    return np.hstack([summary, np.log(bands + 1e-12)])


ATTACKERS: Final = ("discriminant", "logistic regression", "nearest window")


def error_rates(
    train: tuple[Array, Array], test: tuple[Array, Array], seed: int
) -> dict[str, Mapping[str, float]]:
    """Return the proportion of each person's windows that are misidentified.

    Parameters
    ----------
    train, test
        Features, shape (n, f), and people, shape (n,), of windows. Both are anonymised
        with the same strength: the attacker knows the method and the dial.
    seed
        Seed of the windows that train: nine of ten.

    Returns
    -------
    dict
        By attacker, and by person.
    """
    rng = np.random.default_rng(seed)
    used = rng.random(len(train[0])) < 0.9
    x, people = train[0][used], train[1][used]
    models = (
        LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
        LogisticRegression(C=0.1, max_iter=1000),
        KNeighborsClassifier(5),
    )
    rates: dict[str, Mapping[str, float]] = {}
    for name, model in zip(ATTACKERS, models, strict=True):
        fitted = make_pipeline(StandardScaler(), model).fit(x, people)
        wrong = fitted.predict(test[0]) != test[1]
        rates[name] = {
            str(p): float(wrong[test[1] == p].mean()) for p in np.unique(test[1])
        }
    return rates


def strongest(rates: Mapping[str, Mapping[str, float]]) -> Mapping[str, float]:
    """Return the error rates of the attacker with the smallest mean error."""
    return min(rates.values(), key=lambda r: float(np.mean(list(r.values()))))
