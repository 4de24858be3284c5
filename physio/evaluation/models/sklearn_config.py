"""Construction of scikit-learn estimators from tables of evaluation files.

``model = { use = "sklearn.linear_model:LogisticRegression", C = 0.1 }`` becomes a
`physio.evaluation.models.baselines.SklearnModel`; a list of such tables becomes a
pipeline. Besides the estimator's parameters, a table may have ``features`` and
``sample_weight``, which are parameters of that class.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline, make_pipeline

from physio import config
from physio.evaluation.models.baselines import SklearnModel

_SETTINGS: Final = ("features", "sample_weight")
_FORBIDDEN: Final = "memory"
"""Parameter for a folder of pickles that scikit-learn loads; refused in files."""


class SklearnAdapter:
    """Builder of scikit-learn estimators; no other class of the package is built."""

    def build(self, cls: type, parts: Mapping[str, Any], at: str) -> SklearnModel:
        """Return the model that a table describes.

        Raises
        ------
        ValueError
            If the table names no estimator, or a parameter that the estimator lacks.
        """
        if not (isinstance(cls, type) and issubclass(cls, BaseEstimator)):
            raise ValueError(
                f"{at}: {cls!r} is not an estimator; name a classifier, a regressor or "
                'a transformer, as in use = "sklearn.linear_model:LogisticRegression"'
            )
        settings = {k: v for k, v in parts.items() if k in _SETTINGS}
        parameters = {k: _estimator(v) for k, v in parts.items() if k not in _SETTINGS}
        known = tuple(n for n in _parameters(cls) if n != _FORBIDDEN)
        config.allow(parameters, known, at, cls.__name__)
        if issubclass(cls, Pipeline) and isinstance(parameters.get("steps"), Pipeline):
            parameters["steps"] = parameters["steps"].steps
        try:
            estimator = cls(**parameters)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{at}: {error}") from error
        model: SklearnModel = config.make(
            SklearnModel, {"estimator": estimator, **settings}, at
        )
        return model

    def combine(self, parts: Sequence[Any], at: str) -> SklearnModel:
        """Return a list of steps as a pipeline.

        Raises
        ------
        ValueError
            If a step has ``features``, or a step before the last ``sample_weight``:
            they belong to the pipeline.
        """
        for i, step in enumerate(parts):
            if step.features or (step.sample_weight and i < len(parts) - 1):
                raise ValueError(
                    f"{at}[{i}]: features and sample_weight belong to the pipeline; "
                    'give them beside steps in a table of use = "sklearn.pipeline:'
                    'Pipeline"'
                )
        pipeline = make_pipeline(*(step.estimator for step in parts))
        return SklearnModel(pipeline, sample_weight=parts[-1].sample_weight)


def _estimator(value: Any) -> Any:
    """Return a parameter, with nested models unwrapped to their estimators."""
    if isinstance(value, SklearnModel):
        return value.estimator
    if isinstance(value, list | tuple):
        return type(value)(_estimator(v) for v in value)
    return value


def _parameters(cls: type) -> tuple[str, ...]:
    """Return the names of the parameters of an estimator class."""
    parameters = inspect.signature(cls).parameters.values()
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    if len(names) < len(parameters):  # as in XGBoost
        names = list(cls().get_params())
    return tuple(names)


ADAPTERS: Final = dict.fromkeys(("sklearn", "xgboost"), SklearnAdapter())
"""Packages whose estimators an evaluation file may name without ``--trust``."""
