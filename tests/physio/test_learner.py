"""Learners: what they learn, how their errors are measured, and their live models."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.svm import SVC

from physio.config import build
from physio.core.missing import MissingReason, missing_reason
from physio.evaluation.models.baselines import SklearnModel
from physio.evaluation.models.sklearn_config import ADAPTERS
from physio.inference.stored_graph import StoredGraph
from physio.models.linear import Linear
from physio.testing import check_model
from physio.testing.model_laws import LiveModelLaws
from physio.training import learner
from physio.training.learner import LearnerModel, Progress, Samples, Stopped, silent
from physio.training.linear_learner import (
    GaussianLearner,
    LogisticLearner,
    RidgeLearner,
)
from physio.training.sklearn_learner import SklearnLearner

PARTICIPANTS, TRIALS, ROWS = 10, 4, 6
RATERS: list[Any] = [
    GaussianLearner(),
    RidgeLearner(),
    SklearnLearner(RandomForestRegressor(10, min_samples_leaf=5)),
]
CLASSIFIERS: list[Any] = [
    LogisticLearner(),
    SklearnLearner(GradientBoostingClassifier(n_estimators=10)),
    SklearnLearner(
        make_pipeline(PolynomialFeatures(2), LogisticRegression(max_iter=500))
    ),
]


def samples(*, rated: bool, missing: float = 0.0) -> Samples:
    """Return samples of ratings, or of two conditions, that follow two features."""
    rng = np.random.default_rng(1)
    n = PARTICIPANTS * TRIALS * ROWS
    units = np.tile(np.repeat(np.arange(TRIALS), ROWS), PARTICIPANTS)
    task = units % 2
    x = rng.normal(size=(n, 3)) + task[:, None] * [1.5, 0.0, 0.5]
    ratings = 0.3 * x[:, :2] + 0.1 * rng.normal(size=(n, 2))
    if missing:
        x[rng.random(x.shape) < missing] = np.nan
    names = np.repeat([f"P{i}" for i in range(PARTICIPANTS)], TRIALS * ROWS)
    target: dict[str, Any] = {"targets": ("valence", "arousal")}
    if not rated:
        target = {"classes": ("rest", "task")}
    return Samples(
        x, ratings if rated else task, names, units, np.full(n, ""), np.arange(n) * 5.0,
        seed=3, **target,
    )  # fmt: skip


def test_groups_of_participants_are_held_out_whole() -> None:
    given = samples(rated=True)
    folds = given.held_out()
    assert len(folds) == 5
    tested = np.concatenate([test for _, test in folds])
    assert sorted(tested) == list(range(len(given)))
    for train, test in folds:
        of = given.participants
        assert not set(of[train]) & set(of[test])


def test_blocks_of_trials_are_held_out_of_a_single_session() -> None:
    given = samples(rated=True).take(np.arange(TRIALS * ROWS))
    for train, test in given.held_out():
        assert not set(given.trials[train]) & set(given.trials[test])
        assert np.ptp(given.times[test]) < 5.0 * ROWS  # a block is of one time


def test_trials_and_classes_have_the_same_weight() -> None:
    given = samples(rated=False)
    rows = np.flatnonzero((given.y == 0) | (np.arange(len(given)) % 3 == 0))
    given = given.take(rows)
    weights = given.row_weights
    assert weights.mean() == pytest.approx(1)
    assert weights[given.y == 0].sum() == pytest.approx(weights[given.y == 1].sum())


@pytest.mark.parametrize("fitted", RATERS, ids=lambda m: type(m).__name__)
def test_ratings_are_learned_with_the_error_of_others(fitted: Any) -> None:
    given = samples(rated=True, missing=0.02)
    mean, sd = learner.outputs(fitted.fit(given, silent), given)
    assert learner.error_of(given, mean, np.arange(len(given))) < 0.05
    held = learner.held_out_outputs(fitted, given)
    error = np.sqrt(np.mean((held.mean - given.y) ** 2, axis=0))
    assert np.mean(sd, axis=0) == pytest.approx(error, rel=0.55)
    # Ratings of the same participants have smaller errors for a forest.
    assert (np.mean(sd, axis=0) > 0.08).all()


@pytest.mark.parametrize("fitted", CLASSIFIERS, ids=lambda m: type(m).__name__)
def test_conditions_are_learned_under_equal_priors(fitted: Any) -> None:
    given = samples(rated=False)
    model = fitted.fit(given, silent)
    odds, _ = learner.outputs(model, given)
    assert learner.error_of(given, odds, np.arange(len(given))) < 0.6
    assert np.allclose(odds.sum(axis=1), 1)
    assert model.conditions == ("rest", "task")
    none = model.condition_odds(np.full(3, MissingReason.ARTIFACT.nan), np.zeros(3))
    assert set(missing_reason(none).tolist()) == {MissingReason.ARTIFACT}
    assert np.isnan(model.predict(np.zeros(3), np.zeros(3))).all()


def test_ridge_is_the_one_of_scikit_learn() -> None:
    given = samples(rated=True)
    model = RidgeLearner(penalties=(10.0,)).fit(given, silent)
    x = (given.x - given.x.mean(axis=0)) / given.x.std(axis=0)
    expected = Ridge(alpha=10.0).fit(x, given.y)
    mean, _ = learner.outputs(model, given)
    assert np.allclose(mean, expected.predict(x))
    z = given.x[7]
    mean, _, parts = model.explain(z, np.zeros(3))
    assert parts[:2].sum(axis=1) + model.intercept == pytest.approx(mean[:2])


def test_a_graph_repeats_its_estimator_with_missing_values() -> None:
    given = samples(rated=False, missing=0.1)
    estimator = HistGradientBoostingClassifier(max_iter=10)
    model = SklearnLearner(estimator).fit(given, silent)
    x = given.x.astype(np.float32) + np.float32(0.01)
    weights = given.row_weights
    expected = estimator.set_params(random_state=3).fit(
        given.x.astype(np.float32), given.y, sample_weight=weights
    )
    odds = [model.condition_odds(row, row) for row in x.astype(np.float64)]
    far = np.abs(np.array(odds) - expected.predict_proba(x)) > 1e-5
    assert far.any(axis=1).mean() < 0.01


def test_live_laws_hold_for_graphs_and_linear_models() -> None:
    given = replace(
        samples(rated=True),
        y=np.random.default_rng(0).normal(size=(len(samples(rated=True)), 3)),
        targets=("valence", "arousal", "dominance"),
    )
    for fitted in (RidgeLearner(), SklearnLearner(RandomForestRegressor(3))):
        model = fitted.fit(given, silent)
        assert isinstance(model, Linear | StoredGraph)
        LiveModelLaws(model, 3).all()


@pytest.mark.parametrize("fitted", CLASSIFIERS[:2], ids=lambda m: type(m).__name__)
def test_every_learner_stands_in_an_evaluation(fitted: Any) -> None:
    check_model(LearnerModel(fitted), features=("eda.tonic", "heart.rate"))


@pytest.mark.parametrize("fitted", RATERS, ids=lambda m: type(m).__name__)
def test_a_rater_stands_in_an_evaluation(fitted: Any) -> None:
    check_model(LearnerModel(fitted), features=("eda.tonic",), classes=())


def test_an_estimator_of_an_evaluation_file_is_a_learner() -> None:
    found = learner.as_learner(SklearnModel(Ridge()))
    assert isinstance(found, SklearnLearner)
    assert learner.as_learner(LearnerModel(RidgeLearner())) == RidgeLearner()
    with pytest.raises(ValueError, match="cannot be trained for a session"):
        learner.as_learner(object())
    for model in (
        SklearnModel(Ridge(), features=("eda",)),
        SklearnModel(Ridge(), sample_weight="balanced"),
        LearnerModel(SklearnModel(Ridge(), features=("eda",))),
        LearnerModel(RidgeLearner(), features=("eda",)),
    ):
        with pytest.raises(ValueError, match=r"choose columns in features\.columns"):
            learner.as_learner(model)


def test_a_card_says_which_rows_train() -> None:
    given = samples(rated=True)
    given.y[:24, 0] = np.nan
    assert RidgeLearner().trained_on(given) == (
        "216 of 240 moments had all ratings, and train the stored weights."
    )
    assert SklearnLearner(Ridge()).trained_on(given) == RidgeLearner().trained_on(given)
    whole = samples(rated=False)
    assert SklearnLearner(LogisticRegression()).trained_on(whole) == (
        "All moments train the stored weights."
    )


def test_a_card_says_which_participants_measure_the_errors_of_a_network() -> None:
    pytest.importorskip("torch")
    from physio.training.torch_learner import TorchLearner

    given = samples(rated=True)
    (_, test), *_ = given.held_out()
    people = ", ".join(np.unique(given.participants[test]))
    assert TorchLearner().trained_on(given) == (
        f"192 of 240 moments train the stored weights; 48, of {people}, do not: they "
        "measure the errors."
    )


def test_a_learner_stops_where_its_callback_does() -> None:
    steps = []

    def stop(progress: Progress) -> None:
        steps.append(progress)
        if progress.step == 2:
            raise Stopped

    with pytest.raises(Stopped):
        RidgeLearner().fit(samples(rated=True), stop)
    assert [p.step for p in steps] == [1, 2]
    assert steps[0].steps == 4
    assert np.isfinite(steps[0].figure)


@pytest.mark.parametrize(
    ("fitted", "rated", "sentence"),
    [
        (RidgeLearner(), False, "choose a classifier"),
        (LogisticLearner(), True, "choose a regression"),
        (SklearnLearner(Ridge()), False, "Ridge is no classifier"),
        (SklearnLearner(SVC()), False, "gives no probabilities"),
    ],
)
def test_what_does_not_fit_the_target_is_refused(
    fitted: Any, rated: bool, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        fitted.fit(samples(rated=rated), silent)


@pytest.mark.parametrize("made", [
    lambda: LogisticLearner(()), lambda: RidgeLearner((1.0, 0.0)),
    lambda: GaussianLearner((-0.1,)),
])  # fmt: skip
def test_candidates_are_positive(made: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=r"(penalties|shrinks) = .* numbers above 0"):
        made()


def test_a_file_names_a_learner_and_its_network() -> None:
    table = {
        "use": "physio.training.learner:LearnerModel",
        "learner": {
            "use": "physio.training.torch_learner:TorchLearner",
            "network": "my_net:Net", "settings": {"width": 4}, "epochs": 3,
        },
    }  # fmt: skip
    built = build(table, "a.toml: models.net", ("my_net",), adapters=ADAPTERS)
    assert built.learner.network == "my_net:Net"
    assert built.learner._trust == ("my_net",)
    table["learner"] = {"use": "sklearn.linear_model:Ridge", "alpha": 2.0}
    built = build(table, "a.toml: models.ridge", adapters=ADAPTERS)
    assert learner.as_learner(built).estimator.alpha == 2.0
