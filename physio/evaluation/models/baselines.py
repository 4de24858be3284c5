"""Baselines and controls: plain models, and models without any physiology."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, NamedTuple
from zlib import crc32

import numpy as np
import pandas as pd
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from physio.core.block import Array
from physio.evaluation.folds import Fold
from physio.evaluation.row_index import RowIndex


class FoldData(NamedTuple):
    """Data of one fold for a model, without the targets of the test rows.

    Parameters
    ----------
    x
        Features or windows of all rows, shape (n, ...).
    y
        Target of each row, shape (n,): the class number or the value of training rows;
        -1 (classification) or NaN (regression) for all other rows.
    table
        Subject, times and features of all rows, without labels and ratings.
    fold
        Training rows, test rows, inner folds for model selection (`Fold.inner`), and
        calibration rows of the tested participants.
    classes
        Names of the classes; empty for regression.
    seed
        Seed of all random numbers.
    row_index
        Identities of the rows of ``table``: see `rows`.
    """

    x: Any
    y: Any
    table: pd.DataFrame
    fold: Fold
    classes: tuple[str, ...]
    seed: int
    row_index: RowIndex | None = None

    @property
    def rows(self) -> RowIndex:
        """Participants, recordings and segments of the rows of ``table``."""
        return RowIndex(self.table) if self.row_index is None else self.row_index


UNKNOWN: Final = {True: -1, False: np.nan}
"""Placeholder for targets of test rows, by whether the task is classification."""

Model = Callable[[FoldData], Array]
"""Train on `FoldData.fold.train` and return an output for each row of ``fold.test``.

Outputs are class probabilities, shape (m, classes), or values, shape (m,) or (m, 1), or
(m, 2) with the mean and its standard deviation; NaN where there is no output.
"""


@dataclass(frozen=True, eq=False)
class SklearnModel:
    """A scikit-learn estimator, fitted anew in each fold on its training rows alone.

    Parameters
    ----------
    estimator
        Any classifier or regressor with scikit-learn's interface. Missing values are
        replaced by the median of the training rows and features are scaled by their
        mean and standard deviation first. A `sklearn.pipeline.Pipeline` is fitted
        without this preprocessing; use one for other preprocessing, or for none.
    features
        Columns of the table, or prefixes of their names before a dot: ``eda`` selects
        ``eda.tonic``, ``eda.scr_rate`` ...; by default ``x``.
    sample_weight
        ``"balanced"`` weights training rows so that all classes have the same weight,
        for classifiers without a parameter ``class_weight``; empty: all rows have the
        same weight.

    Notes
    -----
    Every unset ``random_state`` is set to the seed of the fold: equal settings give
    equal results. For a classifier without probabilities (`sklearn.svm.SVC`), a
    logistic function maps its decision function to probabilities.
    """

    estimator: Any
    features: tuple[str, ...] = ()
    sample_weight: str = ""

    def __post_init__(self) -> None:
        if self.sample_weight not in ("", "balanced"):
            raise ValueError(
                f"sample_weight = {self.sample_weight!r} must be 'balanced' or empty"
            )

    def __call__(self, given: FoldData) -> Array:
        train, test = given.fold.train, given.fold.test
        x = select_features(given, self.features)
        x = x.reshape(len(x), -1)
        y = given.y[train]
        pipeline = self._pipeline(given)
        weights = {}
        if self.sample_weight:
            step = pipeline.steps[-1][0]
            weights[f"{step}__sample_weight"] = compute_sample_weight("balanced", y)
        pipeline.fit(x[train], y, **weights)
        if not given.classes:
            return np.asarray(pipeline.predict(x[test]), np.float64)
        output = np.zeros((len(test), len(given.classes)))
        columns = pipeline.classes_.astype(np.intp)
        output[:, columns] = _probabilities(pipeline, x[test])
        return output

    def to_config(self) -> dict[str, Any]:
        """Return the table of an evaluation file that describes this model."""
        table = _to_config(self.estimator)
        if self.features:
            table["features"] = self.features
        if self.sample_weight:
            table["sample_weight"] = self.sample_weight
        return table

    def _pipeline(self, given: FoldData) -> Pipeline:
        """Return an unfitted copy with its preprocessing, seeded, of the right kind."""
        model = clone(self.estimator)
        name = type(model).__name__
        if given.classes and is_regressor(model):
            raise ValueError(
                f"{name} is a regressor, and the target has classes; "
                "choose a classifier"
            )
        if not given.classes and is_classifier(model):
            raise ValueError(
                f"{name} is a classifier, and the target is numeric; choose a regressor"
            )
        unset = [k for k, v in model.get_params().items() if v is None]
        seeds = {k: given.seed for k in unset if k.split("__")[-1] == "random_state"}
        model.set_params(**seeds)
        if isinstance(model, Pipeline):
            return model
        fill = SimpleImputer(strategy="median", keep_empty_features=True)
        return make_pipeline(fill, StandardScaler(), model)


def select_features(given: FoldData, selectors: tuple[str, ...]) -> Array:
    """Return the columns that ``selectors`` name, shape (n, f); ``x`` if it is empty.

    Raises
    ------
    ValueError
        If a selector matches no column.
    """
    if not selectors:
        return np.asarray(given.x, np.float64)
    names: list[str] = []
    for selector in selectors:
        columns = [
            str(c)
            for c in given.table.columns
            if (c == selector or str(c).startswith(f"{selector}."))
            and not str(c).endswith(".missing")
        ]
        if not columns:
            raise ValueError(
                f"a model reads {selector!r}, and the table has no such column; it has "
                f"{', '.join(map(str, given.table.columns))}"
            )
        names += [c for c in columns if c not in names]
    return given.table[names].to_numpy(np.float64)


@dataclass(frozen=True)
class MajorityClass:
    """Constant baseline: class frequencies, or mean and standard deviation."""

    def __call__(self, given: FoldData) -> Array:
        y = given.y[given.fold.train]
        if given.classes:
            output = np.bincount(y, minlength=len(given.classes)) / len(y)
        else:
            output = np.array([np.mean(y), np.std(y)])
        return np.tile(output, (len(given.fold.test), 1))


@dataclass(frozen=True)
class TimeOnly:
    """Random forest on the time since the start of the recording, without physiology.

    Parameters
    ----------
    leaf
        Least number of training rows in a leaf of a tree.
    """

    leaf: int = 20

    def __call__(self, given: FoldData) -> Array:
        names = given.rows.recordings
        begins = given.table["start_s"].to_numpy(np.float64)
        first = pd.Series(begins).groupby(names).transform("min").to_numpy()
        x = (begins - first)[:, None]
        forest: Any = RandomForestRegressor(100, min_samples_leaf=self.leaf)
        if given.classes:
            forest = RandomForestClassifier(
                100, min_samples_leaf=self.leaf, class_weight="balanced"
            )
        return SklearnModel(forest)(given._replace(x=x))


@dataclass(frozen=True)
class PermutedLabels:
    """A model whose training labels are permuted among the participant's segments.

    This control is expected to score at chance level; a higher score indicates leakage.

    Parameters
    ----------
    model
        Model that is trained with the permuted labels.
    """

    model: Any

    def __call__(self, given: FoldData) -> Array:
        model: Model = self.model
        participants, segments = given.rows.participants, given.rows.segments
        # Permuted anew in each fold: one permutation would bias all folds alike.
        rng = np.random.default_rng([given.seed, crc32(given.fold.name.encode())])
        y, train = given.y.copy(), given.fold.train
        for participant in np.unique(participants[train]):
            rows = train[participants[train] == participant]
            # Permute the labels of segments; of rows, if a segment has several labels.
            units = segments[rows]
            if any(len(np.unique(y[rows][units == u])) > 1 for u in np.unique(units)):
                units = np.arange(len(rows)).astype(np.str_)
            names, first = np.unique(units, return_index=True)
            dealt = dict(zip(names, rng.permutation(y[rows][first]), strict=True))
            y[rows] = [dealt[u] for u in units]
        return model(given._replace(y=y))


def _probabilities(model: Any, x: Array) -> Array:
    """Return class probabilities, or logistic or softmax of decision values."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(x), np.float64)
    far = np.asarray(model.decision_function(x), np.float64)
    if far.ndim == 1:
        return np.stack([expit(-far), expit(far)], axis=1)
    output: Array = softmax(far, axis=1)
    return output


def _to_config(estimator: Any) -> dict[str, Any]:
    """Return the table of an estimator: import path and non-default parameters."""
    cls = type(estimator)
    public = [p for p in cls.__module__.split(".") if not p.startswith("_")]
    package = public[0]
    module = ".".join(public)
    if not hasattr(import_module(module), cls.__name__):
        module = package if hasattr(import_module(package), cls.__name__) else module
    defaults = {k: p.default for k, p in inspect.signature(cls).parameters.items()}
    parameters = {
        k: _parameter(v)
        for k, v in estimator.get_params(deep=False).items()
        if v is not None and (k not in defaults or v is not defaults[k])
    }
    return {"use": f"{module}:{cls.__qualname__}", **parameters}


def _parameter(value: Any) -> Any:
    """Return a parameter of an estimator in the format of an evaluation file."""
    if isinstance(value, BaseEstimator):
        return _to_config(value)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_parameter(v) for v in value]
    return value
