"""Models that are compared: plain ones, and those that see no physiology at all."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple
from zlib import crc32

import numpy as np
import pandas as pd
from scipy.special import expit, softmax
from sklearn import linear_model
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from physio.core.block import Array
from physio.evaluation.folds import Fold
from physio.evaluation.metrics import LESS_IS_BETTER, measure
from physio.evaluation.row_index import row_ids


class FoldData(NamedTuple):
    """What a model gets of one fold: everything but the answers of the test.

    Parameters
    ----------
    x
        Features or windows of all rows, shape (n, ...).
    y
        Shape (n,): of rows that train, the number of the class, or the value; of all
        others -1, or NaN.
    table
        What is known of all rows: subject, times, features; neither labels nor
        ratings.
    fold
        Which rows train, which test, which choose between settings (`Fold.inner`), by
        which the tested participants were calibrated.
    classes
        Their names; empty for numbers.
    seed
        Of all chance.
    """

    x: Any
    y: Any
    table: pd.DataFrame
    fold: Fold
    classes: tuple[str, ...]
    seed: int


UNKNOWN: Final = {True: -1, False: np.nan}
"""What stands in `FoldData.y` for an answer that is not told: of classes, of numbers."""

Model = Callable[[FoldData], Array]
"""Trains on `FoldData.fold.train` and returns what it says of each row of ``fold.test``.

Probabilities of the classes, shape (m, classes); or values, shape (m,) or (m, 1), or
(m, 2) with a standard deviation beside. NaN where it says nothing.
"""


@dataclass(frozen=True, eq=False)
class SklearnModel:
    """A scikit-learn estimator, fitted anew in each fold on its training rows alone.

    Parameters
    ----------
    estimator
        Any classifier or regressor; a pipeline, where something is to be scaled or
        selected: it is fitted inside of the fold then.
    reads
        Columns of the table, or what their names begin with before a dot: ``skin``
        is all of ``eda.tonic``, ``eda.scr_rate`` ...; by default ``x``.
    """

    estimator: Any
    features: tuple[str, ...] = ()

    def __call__(self, given: FoldData) -> Array:
        train, test = given.fold.train, given.fold.test
        x = chosen(given, self.features)
        x = x.reshape(len(x), -1)
        made = clone(self.estimator)
        made.fit(x[train], given.y[train])
        if not given.classes:
            return np.asarray(made.predict(x[test]), np.float64)
        found = np.zeros((len(test), len(given.classes)))
        found[:, made.classes_.astype(np.intp)] = _probabilities(made, x[test])
        return found


def chosen(given: FoldData, reads: tuple[str, ...]) -> Array:
    """Return the columns that ``reads`` names, shape (n, f); ``x`` if it is empty.

    Raises
    ------
    ValueError
        If a name is of no column.
    """
    if not reads:
        return np.asarray(given.x, np.float64)
    names: list[str] = []
    for one in reads:
        own = [
            str(c)
            for c in given.table.columns
            if (c == one or str(c).startswith(f"{one}."))
            and not str(c).endswith(".missing")
        ]
        if not own:
            raise ValueError(
                f"a model reads {one!r}, and the table has no such column; it has "
                f"{', '.join(map(str, given.table.columns))}"
            )
        names += [c for c in own if c not in names]
    return given.table[names].to_numpy(np.float64)


@dataclass(frozen=True)
class LogisticRegression:
    """Logistic regression, classes weighted alike; ridge regression for numbers."""

    c: float = 1.0
    features: tuple[str, ...] = ()

    def __call__(self, given: FoldData) -> Array:
        one: Any = Ridge(1 / self.c)
        if given.classes:
            one = linear_model.LogisticRegression(
                C=self.c, class_weight="balanced", max_iter=5000, tol=1e-4
            )
        return _plain(one, self.features)(given)


@dataclass(frozen=True)
class ShrinkageLDA:
    """Linear discriminant analysis, covariance shrunk after Ledoit and Wolf."""

    features: tuple[str, ...] = ()

    def __call__(self, given: FoldData) -> Array:
        k = len(given.classes)
        if not k:
            raise ValueError("discriminant analysis tells classes, not numbers")
        one = LinearDiscriminantAnalysis(
            solver="lsqr", shrinkage="auto", priors=np.full(k, 1 / k)
        )
        return _plain(one, self.features)(given)


@dataclass(frozen=True)
class RandomForest:
    """A random forest, classes weighted alike."""

    trees: int = 300
    leaf: int = 5
    features: tuple[str, ...] = ()

    def __call__(self, given: FoldData) -> Array:
        made: Any = RandomForestRegressor if not given.classes else _forest
        one = made(
            self.trees, min_samples_leaf=self.leaf, random_state=given.seed, n_jobs=1
        )
        return _plain(one, self.features)(given)


@dataclass(frozen=True)
class SVM:
    """A support vector machine with a Gaussian kernel, classes weighted alike."""

    c: float = 1.0
    gamma: str = "scale"
    features: tuple[str, ...] = ()

    def __call__(self, given: FoldData) -> Array:
        one: Any = SVR(C=self.c, gamma=self.gamma)
        if given.classes:
            one = SVC(C=self.c, gamma=self.gamma, class_weight="balanced")
        return _plain(one, self.features)(given)


@dataclass(frozen=True)
class MajorityClass:
    """The same of everybody: how common each class was, or mean and spread."""

    def __call__(self, given: FoldData) -> Array:
        y = given.y[given.fold.train]
        if given.classes:
            said = np.bincount(y, minlength=len(given.classes)) / len(y)
        else:
            said = np.array([np.mean(y), np.std(y)])
        return np.tile(said, (len(given.fold.test), 1))


@dataclass(frozen=True)
class TimeOnly:
    """A forest on the seconds since the recording began, without any physiology."""

    leaf: int = 20

    def __call__(self, given: FoldData) -> Array:
        names = row_ids(given.table, "dataset", "subject", "session", "trial")
        begins = given.table["begin"].to_numpy(np.float64)
        first = pd.Series(begins).groupby(names).transform("min").to_numpy()
        x = (begins - first)[:, None]
        return RandomForest(100, self.leaf)(given._replace(x=x))


@dataclass(frozen=True)
class PermutedLabels:
    """A model whose training labels were dealt anew among each participant's parts.

    The control that must come out at chance: what it reaches above that is a leak.
    """

    model: Any

    def __call__(self, given: FoldData) -> Array:
        model: Model = self.model
        columns = ("dataset", "subject", "session", "trial")
        participants = row_ids(given.table, "dataset", "subject")
        parts = row_ids(given.table, *columns, "part")
        # Anew in each fold: one deal for all would lean the same way in everybody.
        rng = np.random.default_rng([given.seed, crc32(given.fold.name.encode())])
        y, train = given.y.copy(), given.fold.train
        for participant in np.unique(participants[train]):
            own = train[participants[train] == participant]
            # Parts have one label each; where they have not, rows are dealt.
            units = parts[own]
            if any(len(np.unique(y[own][units == u])) > 1 for u in np.unique(units)):
                units = np.arange(len(own)).astype(np.str_)
            names, first = np.unique(units, return_index=True)
            dealt = dict(zip(names, rng.permutation(y[own][first]), strict=True))
            y[own] = [dealt[u] for u in units]
        return model(given._replace(y=y))


@dataclass(frozen=True)
class Best:
    """That of several models which is best in the inner folds; see `Fold.inner`.

    The mean of ``measure`` over the inner folds decides; the test has no part in it.
    Where there are no inner folds, it is the first.
    """

    models: tuple[Any, ...]
    measure: str = "macro-F1"

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError("the best of no models is none")

    def __call__(self, given: FoldData) -> Array:
        scores = [self._inside(model, given) for model in self.models]
        best: Model = self.models[int(np.argmax(scores))]
        return best(given)

    def _inside(self, model: Model, given: FoldData) -> float:
        judged = measure(self.measure, classes=bool(given.classes))
        found = []
        for fold in given.fold.inner:
            y = given.y.copy()
            others = np.setdiff1d(np.arange(len(y)), fold.train)
            y[others] = UNKNOWN[bool(given.classes)]
            said = model(given._replace(y=y, fold=replace(fold, inner=())))
            output = said.reshape(len(said), -1)
            known = np.isfinite(output).all(axis=1)
            output = output[known]
            found.append(judged(given.y[fold.test][known], output))
        good = [f for f in found if np.isfinite(f)]
        mean = float(np.mean(good)) if good else -np.inf if found else 0.0
        return -mean if self.measure in LESS_IS_BETTER and good else mean


def _forest(trees: int, **settings: Any) -> Any:
    return RandomForestClassifier(trees, class_weight="balanced", **settings)


def _plain(estimator: Any, reads: tuple[str, ...]) -> SklearnModel:
    """Fill what is missing by the training median, scale by the training spread."""
    fill = SimpleImputer(strategy="median", keep_empty_features=True)
    return SklearnModel(make_pipeline(fill, StandardScaler(), estimator), reads)


def _probabilities(made: Any, x: Array) -> Array:
    """Return probabilities; of a machine that has none, its distances squashed."""
    if hasattr(made, "predict_proba"):
        return np.asarray(made.predict_proba(x), np.float64)
    far = np.asarray(made.decision_function(x), np.float64)
    if far.ndim == 1:
        return np.stack([expit(-far), expit(far)], axis=1)
    found: Array = softmax(far, axis=1)
    return found
