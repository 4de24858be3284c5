"""Evaluation files name scikit-learn classes, with the results of these."""

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from xgboost import XGBClassifier, XGBRegressor

from physio import config
from physio.core.block import Array
from physio.evaluation.models.baselines import FoldData, SklearnModel
from physio.evaluation.models.sklearn_config import ADAPTERS
from physio.evaluation.splits import Loso, divide
from tables import table

TREES = {"max_depth": 3, "learning_rate": 0.05, "subsample": 0.8, "n_jobs": 1}
FEATURES = ["eda.scr_rate", "heart.rate", "motion.activity"]


def built(value: Any) -> SklearnModel:
    model: SklearnModel = config.build(value, "e.toml: model", adapters=ADAPTERS)
    return model


def fold_data(*, classes: bool) -> FoldData:
    rows = table(participants=3)
    rng = np.random.default_rng(0)
    x = rows[FEATURES].to_numpy()
    x[rng.random(x.shape) < 0.1] = np.nan
    y: Any = (rows["label"] == "stress").to_numpy().astype(np.intp)
    # Three windows of calm in four are left out, so that class weights matter.
    rows = rows.assign(**dict(zip(FEATURES, x.T, strict=True)))
    fold = divide(rows, Loso()).folds[0]
    few = fold.train[(y[fold.train] == 1) | (rng.random(len(fold.train)) < 0.25)]
    if not classes:
        y = x[:, 0] + rng.normal(size=len(y))
        y[np.isnan(y)] = 0.0
    fold = type(fold)(fold.name, few, fold.test)
    return FoldData(x, y, rows, fold, ("calm", "stress") if classes else (), 23)


def formula(
    estimator: Any, given: FoldData, *, plain: bool = False, **fit: Any
) -> Array:
    """Fit imputation, scaling and an estimator as plain scikit-learn code does."""
    train, test = given.fold.train, given.fold.test
    model = clone(estimator)
    if not plain:
        fill = SimpleImputer(strategy="median", keep_empty_features=True)
        model = make_pipeline(fill, StandardScaler(), model)
    model.fit(given.x[train], given.y[train], **fit)
    if not given.classes:
        return np.asarray(model.predict(given.x[test]), np.float64)
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(given.x[test]), np.float64)
    p = 1 / (1 + np.exp(-model.decision_function(given.x[test])))
    return np.stack([1 - p, p], axis=1)


CLASSIFIERS = [
    (
        {
            "use": "sklearn.linear_model:LogisticRegression",
            "C": 0.1,
            "class_weight": "balanced",
            "max_iter": 5000,
            "tol": 1e-4,
        },
        LogisticRegression(C=0.1, class_weight="balanced", max_iter=5000, tol=1e-4),
    ),
    (
        {
            "use": "sklearn.discriminant_analysis:LinearDiscriminantAnalysis",
            "solver": "lsqr",
            "shrinkage": "auto",
            "priors": [0.5, 0.5],
        },
        LinearDiscriminantAnalysis(
            solver="lsqr", shrinkage="auto", priors=np.full(2, 1 / 2)
        ),
    ),
    (
        {
            "use": "sklearn.ensemble:RandomForestClassifier",
            "n_estimators": 40,
            "min_samples_leaf": 5,
            "class_weight": "balanced",
        },
        RandomForestClassifier(
            40, min_samples_leaf=5, class_weight="balanced", random_state=23, n_jobs=1
        ),
    ),
    (
        {"use": "sklearn.svm:SVC", "C": 3.0, "class_weight": "balanced"},
        SVC(C=3.0, gamma="scale", class_weight="balanced"),
    ),
    (
        {"use": "sklearn.svm:SVC", "kernel": "linear", "class_weight": "balanced"},
        SVC(kernel="linear", class_weight="balanced"),
    ),
]


@pytest.mark.parametrize(("described", "estimator"), CLASSIFIERS)
def test_a_classifier_gives_the_output_of_the_class_itself(
    described: dict[str, Any], estimator: Any
) -> None:
    given = fold_data(classes=True)
    np.testing.assert_allclose(
        built(described)(given), formula(estimator, given), rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize(
    ("described", "estimator"),
    [
        ({"use": "sklearn.linear_model:Ridge", "alpha": 100.0}, Ridge(1 / 0.01)),
        (
            {
                "use": "sklearn.ensemble:RandomForestRegressor",
                "n_estimators": 40,
                "min_samples_leaf": 5,
            },
            RandomForestRegressor(40, min_samples_leaf=5, random_state=23, n_jobs=1),
        ),
        ({"use": "sklearn.svm:SVR", "C": 3.0}, SVR(C=3.0, gamma="scale")),
    ],
)
def test_a_regressor_gives_the_output_of_the_class_itself(
    described: dict[str, Any], estimator: Any
) -> None:
    given = fold_data(classes=False)
    np.testing.assert_array_equal(built(described)(given), formula(estimator, given))


def test_boosted_trees_weight_rows_and_see_missing_values() -> None:
    given = fold_data(classes=True)
    step = {"use": "xgboost:XGBClassifier", "n_estimators": 20, **TREES}
    model = built(
        {
            "use": "sklearn.pipeline:Pipeline",
            "steps": [step],
            "sample_weight": "balanced",
        }
    )
    y = given.y[given.fold.train]
    count = np.bincount(y)
    expected = formula(
        XGBClassifier(n_estimators=20, random_state=23, **TREES),
        given,
        plain=True,
        sample_weight=len(y) / count[y] / len(count),
    )
    np.testing.assert_array_equal(model(given), expected)
    given = fold_data(classes=False)
    expected = formula(
        XGBRegressor(n_estimators=20, random_state=23, **TREES), given, plain=True
    )
    step["use"] = "xgboost:XGBRegressor"
    np.testing.assert_array_equal(built([step])(given), expected)


def test_a_list_of_steps_is_a_pipeline_that_stands_as_it_is() -> None:
    given = fold_data(classes=True)
    steps = [
        {"use": "sklearn.impute:SimpleImputer", "strategy": "mean"},
        {"use": "sklearn.preprocessing:RobustScaler"},
        {"use": "sklearn.svm:SVC", "class_weight": "balanced"},
    ]
    model = built(steps)
    names = [type(step).__name__ for _, step in model.estimator.steps]
    assert names == ["SimpleImputer", "RobustScaler", "SVC"]
    assert model(given).shape == (len(given.fold.test), 2)


def test_only_named_features_are_read() -> None:
    given = fold_data(classes=True)
    described = {"use": "sklearn.svm:SVC", "features": ["heart", "eda.scr_rate"]}
    expected = formula(SVC(), given._replace(x=given.x[:, [1, 0]]))
    np.testing.assert_allclose(built(described)(given), expected, rtol=1e-12)


@pytest.mark.parametrize("described", [d for d, _ in CLASSIFIERS])
def test_a_model_is_described_as_its_file_does(described: dict[str, Any]) -> None:
    tables = config.describe(built({**described, "features": ["eda"]}))
    assert json.loads(json.dumps(tables)) == tables
    assert tables["use"] == described["use"]
    assert tables["features"] == ["eda"]
    assert config.describe(built(tables)) == tables


@pytest.mark.parametrize(
    ("described", "message"),
    [
        (
            {"use": "sklearn.linear_model:LogisticRegression", "c": 1.0},
            "e.toml: model: LogisticRegression has no setting 'c'; it has ",
        ),
        (
            {"use": "sklearn.datasets:fetch_openml"},
            "is not an estimator; name a classifier, a regressor or a transformer",
        ),
        (
            {"use": "sklearn.utils:Bunch"},
            "is not an estimator; name a classifier",
        ),
        (
            {"use": "sklearn.pipeline:Pipeline", "steps": [], "memory": "/tmp/x"},
            "Pipeline has no setting 'memory'; it has steps",
        ),
        (
            [{"use": "sklearn.svm:SVC", "features": ["eda"]}],
            "e.toml: model[0]: features and sample_weight belong to the pipeline",
        ),
        (
            {"use": "sklearn.svm:SVC", "sample_weight": "even"},
            "sample_weight = 'even' must be 'balanced' or empty",
        ),
    ],
)
def test_wrong_models_are_refused(described: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        built(described)


def test_the_kind_of_model_fits_the_target() -> None:
    with pytest.raises(ValueError, match=r"^Ridge is a regressor, and the target has"):
        built({"use": "sklearn.linear_model:Ridge"})(fold_data(classes=True))
    with pytest.raises(ValueError, match=r"^SVC is a classifier, and the target is"):
        built({"use": "sklearn.svm:SVC"})(fold_data(classes=False))


def test_elsewhere_scikit_learn_is_not_trusted() -> None:
    with pytest.raises(ValueError, match="--trust sklearn would allow it"):
        config.build({"use": "sklearn.svm:SVC"}, "session.toml: estimator")


def test_the_seed_of_the_fold_seeds_every_step() -> None:
    given = fold_data(classes=True)
    model = built({"use": "sklearn.ensemble:RandomForestClassifier", "n_estimators": 9})
    np.testing.assert_array_equal(model(given), model(given))
    assert not np.array_equal(model(given), model(given._replace(seed=24)))
    assert isinstance(given.table, pd.DataFrame)
