"""Results by population: which participants count, what models may read."""

import numpy as np
import pandas as pd
import pytest

from physio.core.block import Array
from physio.evaluation import results
from physio.evaluation.evaluate import EvaluationOptions, Task, evaluate
from physio.evaluation.feature_benchmark import FeatureBenchmark
from physio.evaluation.models.baselines import FoldData
from physio.evaluation.populations import KEY, population_of
from physio.evaluation.splits import LeaveSubjectsOut
from tables import table

STRESS = {"calm": ("calm",), "stress": ("stress",)}
NAMES = ["eda.scr_rate", "heart.rate"]


def rows_of(skin: dict[str, str]) -> pd.DataFrame:
    rows = table(4, hop=80)
    return rows.assign(skin=rows["subject"].map(skin).fillna(""))


def first_feature(given: FoldData) -> Array:
    assert "skin" not in given.table.columns
    dry = np.isin(given.table["subject"].to_numpy()[given.fold.test], ["S3", "S4"])
    p = np.where(dry, 0.5, 1 / (1 + np.exp(-given.x[given.fold.test, 0])))
    return np.stack([1 - p, p], axis=1)


def test_a_mean_over_all_is_split_by_population() -> None:
    rows = rows_of({"S1": "moist", "S2": "moist", "S3": "dry"})
    task = Task(rows, STRESS, columns=NAMES)
    options = EvaluationOptions(("AUC",), time_only=False, population="skin")
    found = evaluate(task, LeaveSubjectsOut(2), {"first": first_feature}, options)
    given = found.details[KEY]
    assert given["participants"] == {"dry": 1, "moist": 2, "unknown": 1}
    mean = {r["population"]: r["mean"] for r in given["rows"]}
    scores = found.figure("first", "AUC")["per_participant"]
    assert mean["moist"] == pytest.approx((scores["S1"] + scores["S2"]) / 2, abs=1e-4)
    assert mean["moist"] > 0.7
    assert mean["dry"] == mean["unknown"] == 0.5
    page = results.to_markdown(found)
    assert "## By population" in page
    assert "| dry " in page


def test_columns_that_are_no_population_are_refused() -> None:
    rows = rows_of({"S1": "moist"})
    codes = rows["subject"].to_numpy(np.str_)
    with pytest.raises(ValueError, match="'age' is no column of the table"):
        population_of(rows, "age", codes)
    with pytest.raises(ValueError, match="one value per participant"):
        population_of(rows, "label", codes)
    task = Task(rows, STRESS, columns=NAMES)
    options = EvaluationOptions(("AUC",), time_only=False, population="heart.rate")
    with pytest.raises(ValueError, match="name a column that no model reads"):
        evaluate(task, LeaveSubjectsOut(2), {"first": first_feature}, options)


def test_a_population_of_numbers_is_no_feature() -> None:
    rows = table(4, hop=80).assign(age=30.0)
    settings = FeatureBenchmark({"f": first_feature}, "loso", classes=STRESS)
    assert "age" in settings.task(rows).names
    settings = FeatureBenchmark(
        {"f": first_feature}, "loso", classes=STRESS, population="age"
    )
    assert "age" not in settings.task(rows).names
