"""Scores over rates of missing features: what falls, what stays, what is refused."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from physio.core.block import Array
from physio.evaluation import results
from physio.evaluation.evaluate import Evaluation, EvaluationOptions, Task, evaluate
from physio.evaluation.feature_benchmark import FeatureBenchmark
from physio.evaluation.missing_features import CURVES, area_name
from physio.evaluation.models.baselines import FoldData, SklearnModel, TimeOnly
from physio.evaluation.splits import LeaveSubjectsOut
from tables import table

STRESS = {"calm": ("calm",), "stress": ("stress",)}
FEATURES = ["eda.scr_rate", "heart.rate", "motion.activity"]
RATES = (0.0, 0.5, 1.0)
OPTIONS = EvaluationOptions(("AUC",), time_only=False, missing_rates=RATES)


@pytest.fixture(scope="module")
def evaluated() -> Evaluation:
    task = Task(table(4, hop=80), STRESS, columns=FEATURES, dataset="made")
    models = {"logistic": SklearnModel(LogisticRegression()), "time only": TimeOnly()}
    return evaluate(task, LeaveSubjectsOut(2), models, OPTIONS)


def test_a_score_falls_to_chance_as_its_features_go(evaluated: Evaluation) -> None:
    curves = evaluated.details[CURVES]
    assert (curves["metric"], curves["rates"]) == ("AUC", list(RATES))
    whole, half, none = curves["models"]["logistic"]
    assert whole == evaluated.figure("logistic", "AUC")["mean"]
    assert whole > half + 0.02 > none + 0.04
    assert none == 0.5
    area = evaluated.figure("logistic", area_name("AUC"))
    assert area["mean"] == pytest.approx((whole + 2 * half + none) / 4, abs=1e-3)
    assert set(area["per_participant"]) == set(evaluated.participants)


def test_a_model_without_features_loses_nothing(evaluated: Evaluation) -> None:
    assert len(set(evaluated.details[CURVES]["models"]["time only"])) == 1


def test_the_page_shows_the_curves(evaluated: Evaluation) -> None:
    page = results.to_markdown(evaluated)
    assert "## Features missing at random" in page
    assert "50 %" in page


def test_a_correlation_with_constants_is_none() -> None:
    rows = table(4, hop=80)
    y = rows["eda.scr_rate"].to_numpy() + 1.0
    task = Task(rows, y=y, columns=FEATURES)

    def first(given):  # type: ignore[no-untyped-def]
        return np.nan_to_num(given.x[given.fold.test, 0])

    options = EvaluationOptions(("r",), missing_rates=(0.0, 1.0))
    found = evaluate(task, LeaveSubjectsOut(2), {"first": first}, options)
    assert found.details[CURVES]["models"]["first"] == [1.0, 0.0]


def test_training_rows_stay_as_they_are() -> None:
    rows = table(4, hop=80)
    lost = []

    def spy(given: FoldData) -> Array:
        at = given.fold
        lost.append([np.isnan(given.x[r]).mean() for r in (at.train, at.test)])
        assert given.table[FEATURES].iloc[at.train].notna().all(axis=None)
        return np.tile([0.4, 0.6], (len(at.test), 1))

    evaluate(
        Task(rows, STRESS, columns=FEATURES), LeaveSubjectsOut(2), {"s": spy}, OPTIONS
    )
    assert [share for share, _ in lost] == [0.0] * 8
    np.testing.assert_allclose(
        [share for _, share in lost], [0, 0, 0, 0, 0.5, 0.5, 1, 1], atol=0.1
    )


def test_rates_and_inputs_that_make_no_sense_are_refused() -> None:
    rows = table(4, hop=80)
    windows = Task(rows, STRESS, x=np.zeros((len(rows), 2, 8)))
    models = {"logistic": SklearnModel(LogisticRegression())}
    with pytest.raises(ValueError, match="read windows or tokens"):
        evaluate(windows, LeaveSubjectsOut(2), models, OPTIONS)
    with pytest.raises(ValueError, match=r"missing_rates = \[0\.5, 0\.1\]"):
        FeatureBenchmark(models, "loso", classes=STRESS, missing_rates=(0.5, 0.1))
