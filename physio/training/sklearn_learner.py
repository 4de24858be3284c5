"""Learner of any scikit-learn estimator, whose model is stored as an ONNX graph."""

import warnings
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from physio.core.block import Array
from physio.inference.stored_graph import StoredGraph, StoredGraphConfig
from physio.models.base import Numbers
from physio.training.learner import (
    Progress,
    ProgressOf,
    Samples,
    error_of,
    residual_sd,
    trained_rows,
)
from physio.training.linear_learner import refuse_classes, refuse_ratings

OPSET: Final = 21
_NEAR: Final = 1e-3  # largest difference of an output of the graph
_BOOSTING: Final = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
_RARE: Final = 0.01  # proportion of rows on the other side of a rounded threshold


@dataclass(frozen=True, eq=False)
class SklearnLearner:
    """Learner of a scikit-learn classifier or regressor, alone or in a pipeline.

    Parameters
    ----------
    estimator
        The estimator. As in an evaluation, missing values are replaced by the median
        and features are standardized first, except before a `sklearn.pipeline.Pipeline`
        and before histogram boosting, whose trees take missing values.

    Notes
    -----
    All trials, and then all classes, have the same weight where the estimator takes
    weights. The model is converted by skl2onnx, and refused if the graph does not
    repeat the outputs of the estimator.
    """

    estimator: Any

    def fit(self, samples: Samples, progress: ProgressOf) -> StoredGraph:
        """Return the fitted model: see `physio.training.learner.Learner`."""
        name = type(self.estimator).__name__
        if samples.classes:
            refuse_ratings(samples, name)
            self._require(is_classifier, "classifier")
        else:
            refuse_classes(samples, name)
            self._require(is_regressor, "regressor")
        samples = samples.take(np.flatnonzero(_complete(samples)))
        folds = samples.held_out()
        output = np.full(
            (len(samples), len(samples.targets or samples.classes)), np.nan
        )
        for k, (train, test) in enumerate(folds if samples.targets else ()):
            fitted = self._fitted(samples.take(train))
            output[test] = _answers(fitted, samples, _numbers(samples)[test])
            progress(
                Progress(
                    k + 1, len(folds) + 1, error_of(samples, output, test), "error"
                )
            )
        fitted = self._fitted(samples)
        config = StoredGraphConfig(
            _numbers(samples).shape[1],
            samples.targets,
            samples.classes,
            scale="probabilities" if samples.classes else "values",
        )
        sd = residual_sd(samples, output) if samples.targets else np.empty(0)
        model = StoredGraph(config, to_graph(fitted, config.features), sd)
        _require_same(model, fitted, samples)
        progress(Progress(len(folds) + 1, len(folds) + 1))
        return model

    def trained_on(self, samples: Samples) -> str:
        """Return which rows train: see `physio.training.learner.Learner`."""
        needed = "a feature" if samples.classes else "all ratings"
        return trained_rows(_complete(samples), needed)

    def _fitted(self, samples: Samples) -> Any:
        """Return the fitted estimator with its preprocessing."""
        estimator = _seeded(clone(self.estimator), samples.seed)
        several = len(samples.targets) > 1
        if several:
            estimator = MultiOutputRegressor(estimator)
        if not isinstance(self.estimator, (Pipeline, *_BOOSTING)):
            fill = SimpleImputer(strategy="median", keep_empty_features=True)
            estimator = make_pipeline(fill, StandardScaler(), estimator)
        y = samples.y if samples.classes or several else samples.y[:, 0]
        x, weights = _numbers(samples), samples.row_weights
        keyword = "sample_weight"
        if isinstance(estimator, Pipeline):
            keyword = f"{estimator.steps[-1][0]}__sample_weight"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of convergence: the figures tell
            try:
                return estimator.fit(x, y, **{keyword: weights})
            except (TypeError, ValueError) as error:
                if "sample" not in str(error):
                    raise
                return estimator.fit(x, y)

    def _require(self, kind: Any, noun: str) -> None:
        if not kind(self.estimator):
            raise ValueError(
                f"{type(self.estimator).__name__} is no {noun}, which the target needs"
            )


def to_graph(fitted: Any, features: int) -> Numbers:
    """Return a fitted estimator as the bytes of an ONNX graph, uint8.

    Raises
    ------
    ValueError
        If skl2onnx is not installed, or cannot convert the estimator.
    """
    try:
        skl2onnx = import_module("skl2onnx")
        types = import_module("skl2onnx.common.data_types")
    except ImportError:
        raise ValueError(
            "a scikit-learn model is stored through the package 'skl2onnx', which is "
            "not installed: pip install 'physio-affect[onnx]'"
        ) from None
    _register_boosting()
    kind = [("x", types.FloatTensorType([None, features]))]
    options = {id(e): {"zipmap": False} for e in _parts(fitted) if is_classifier(e)}
    name = type(_last(fitted)).__name__
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = skl2onnx.to_onnx(
                fitted, initial_types=kind, options=options or None, target_opset=OPSET
            )
    except Exception as error:  # each converter raises its own
        text = " ".join(str(error).split())[:160]
        raise ValueError(
            f"skl2onnx cannot store {name}: {text}; choose another estimator, as "
            "GradientBoostingClassifier or RandomForestRegressor"
        ) from None
    return np.frombuffer(graph.SerializeToString(), np.uint8).copy()


def _require_same(model: StoredGraph, fitted: Any, samples: Samples) -> None:
    """Raise ValueError unless the graph repeats the estimator on the samples."""
    x = _numbers(samples)[::5][:200]
    # Values of training lie on thresholds of trees, on either side by rounding.
    noise = np.random.default_rng(samples.seed).normal(0, 0.05, x.shape)
    x = (x + noise * np.nanstd(x, axis=0)).astype(np.float32)
    expected = _answers(fitted, samples, x)
    spread = np.zeros(x.shape[1])
    rows = [
        model.condition_odds(row, spread) if samples.classes else model.run(row)
        for row in x.astype(np.float64)
    ]
    far = np.max(np.abs(np.array(rows) - expected), axis=1) > _NEAR
    if far.mean() > _RARE:
        raise ValueError(
            f"the graph of {type(_last(fitted)).__name__} differs from the estimator "
            f"in {far.sum()} of {len(far)} rows: it cannot be stored"
        )


def _answers(fitted: Any, samples: Samples, x: Array) -> Array:
    """Return probabilities or values of an estimator, (n, classes) or (n, d)."""
    if not samples.classes:
        return np.asarray(fitted.predict(x), np.float64).reshape(len(x), -1)
    if not hasattr(fitted, "predict_proba"):
        raise ValueError(
            f"{type(_last(fitted)).__name__} gives no probabilities: put it into "
            "sklearn.calibration.CalibratedClassifierCV"
        )
    return np.asarray(fitted.predict_proba(x), np.float64)


def _numbers(samples: Samples) -> Numbers:
    """Return features as the graph takes them, float32, shape (n, f)."""
    if samples.x.ndim != 2:
        raise ValueError(
            "a scikit-learn estimator reads features, not windows of shape "
            f"{samples.x.shape[1:]}"
        )
    return np.asarray(samples.x, np.float32)


def _complete(samples: Samples) -> npt.NDArray[np.bool_]:
    """Return the mask of the rows with a feature and all ratings."""
    known = ~np.isnan(samples.x).all(axis=1)
    if samples.targets:
        known &= np.isfinite(samples.y).all(axis=1)
    return np.asarray(known)


def _seeded(estimator: Any, seed: int) -> Any:
    """Set every unset ``random_state`` of an estimator."""
    unset = [k for k, v in estimator.get_params().items() if v is None]
    seeds = {k: seed for k in unset if k.split("__")[-1] == "random_state"}
    return estimator.set_params(**seeds)


def _parts(fitted: Any) -> list[Any]:
    """Return an estimator and the steps of a pipeline."""
    steps = [step for _, step in fitted.steps] if isinstance(fitted, Pipeline) else []
    return [fitted, *steps]


def _last(fitted: Any) -> Any:
    return fitted.steps[-1][1] if isinstance(fitted, Pipeline) else fitted


class _IntegerAttributes:
    """Container of skl2onnx whose nodes get integers where booleans were given.

    The converter of histogram boosting mixes both, which protobuf refuses.
    """

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *args: Any, **attributes: Any) -> Any:
        """Add a node: see the container of skl2onnx."""
        plain = {
            k: [int(i) if isinstance(i, bool | np.integer | np.bool_) else i for i in v]
            if isinstance(v, list)
            else v
            for k, v in attributes.items()
        }
        return self._container.add_node(*args, **plain)


@cache
def _register_boosting() -> None:
    """Let skl2onnx convert histogram boosting through `_IntegerAttributes`."""
    pool = import_module("skl2onnx.common._registration")
    for kind in ("Classifier", "Regressor"):
        alias = f"SklearnHistGradientBoosting{kind}"
        original = pool.get_converter(alias)
        options = original.get_allowed_options()
        pool.register_converter(
            alias, _converter_of(original), overwrite=True, options=options
        )


def _converter_of(original: Any) -> Any:
    """Return a converter that passes `_IntegerAttributes` to the original one."""

    def convert(scope: Any, operator: Any, container: Any) -> Any:
        return original(scope, operator, _IntegerAttributes(container))

    return convert
