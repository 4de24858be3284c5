"""Thresholds that follow the participant, controls, and forecasts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from experiments.wesad.eda_forecast import (
    Autoregression,
    EdaForecast,
    Persistence,
    autoregression,
    iterated,
    trained,
)
from physio import config
from physio.core.block import Array
from physio.evaluation.config import read_evaluation
from physio.evaluation.evaluate import EvaluationOptions, Task, evaluate
from physio.evaluation.folds import Fold
from physio.evaluation.models.adaptive_lda import (
    AdaptiveThresholdLDA,
    ConditionMeanRating,
    ConditionOracle,
    Learned,
    MatchedOnCovariate,
    follow,
)
from physio.evaluation.models.baselines import FoldData, SklearnModel
from physio.evaluation.splits import LeaveOrderOut, Loso
from physio.models.pinn import Moments, PinnConfig

LOGISTIC = SklearnModel(LogisticRegression(class_weight="balanced"))
ROOT = Path(__file__).resolve().parents[2]
ONE = Learned(np.array([[-2.0], [2.0]]), np.array([[1.0]]), np.array([[4.0]]))


def table(participants: int = 8, seed: int = 3) -> pd.DataFrame:
    """Return participants whose offset is as large as the difference of conditions."""
    rng = np.random.default_rng(seed)
    parts = []
    for p in range(participants):
        order = ["stress", "calm"] if p % 2 else ["calm", "stress"]
        labels = ["rest"] * 60 + [order[0]] * 60 + [order[1]] * 60
        felt = np.array([float(name == "stress") for name in labels])
        offset = rng.normal(0, 1.0)  # what rest did not show
        n = len(labels)
        x = 2 * felt + offset + rng.normal(0, 0.6, n)
        begin = np.arange(n) * 10.0
        parts.append(
            pd.DataFrame(
                {
                    "dataset": "made", "subject": f"P{p}", "session": "", "trial": "",
                    "segment": np.repeat([0, 1, 2], 60), "label": labels,
                    "start_sample": np.arange(n) * 10, "start_s": begin,
                    "end_sample": np.arange(n) * 10 + 10, "end_s": begin + 10,
                    "support_start_sample": np.arange(n) * 10,
                    "skin.x": x, "skin.noise": rng.normal(0, 1, n),
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def work(rows: pd.DataFrame) -> Task:
    calibration = (rows["start_s"] < 300).to_numpy()
    classes = {"calm": ("calm", "rest"), "stress": ("stress",)}
    return Task(
        rows,
        classes,
        columns=["skin.x", "skin.noise"],
        calibration=calibration,
        testable=rows["label"].isin(["calm", "stress"]).to_numpy(),
        order_labels=rows["label"].where(rows["label"] != "rest", "").to_numpy(),
    )


def test_a_threshold_that_follows_beats_one_that_stays() -> None:
    found = evaluate(
        work(table()),
        LeaveOrderOut(),
        {
            "placed": AdaptiveThresholdLDA(baseline_label="calm"),
            "plain": SklearnModel(
                LinearDiscriminantAnalysis(
                    solver="lsqr", shrinkage="auto", priors=[0.5, 0.5]
                )
            ),
        },
        EvaluationOptions(time_only=False),
    )
    ours, plain = (found.figure(m, "macro-F1")["mean"] for m in ("placed", "plain"))
    assert ours > plain + 0.03
    # Rest trains and is never tested.
    assert set(found.tested["segment"]) == {1, 2}


def test_no_window_of_the_future_counts() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 2, (50, 1))
    gaps, known = np.full(50, 10.0), np.full(50, -1)
    whole = follow(scores, gaps, known, ONE, 60.0, 900.0)
    other = scores.copy()
    other[30:] = 99.0
    half = follow(other, gaps, known, ONE, 60.0, 900.0)
    np.testing.assert_array_equal(whole[:30], half[:30])
    np.testing.assert_allclose(whole.sum(axis=1), 1.0, rtol=1e-12)


def test_an_offset_is_found_where_rest_is_known() -> None:
    """Someone who scores 3 above the others: at rest at 1, stressed at 5."""
    rng = np.random.default_rng(2)
    scores = np.concatenate([np.full(60, 1.0), np.full(60, 5.0), np.full(60, 1.0)])
    scores = scores[:, None] + rng.normal(0, 0.5, (180, 1))
    known = np.full(180, -1)
    known[:30] = 0
    found = follow(scores, np.full(180, 60.0), known, ONE, 60.0, 900.0)
    said = found.argmax(axis=1)
    assert said[30:60].mean() < 0.1
    assert said[65:120].mean() > 0.9
    assert said[125:].mean() < 0.1


def given(x: Array, y: Array, rows: pd.DataFrame, classes: tuple[str, ...]) -> FoldData:
    n = len(y)
    fold = Fold("f", np.arange(n // 2), np.arange(n // 2, n))
    return FoldData(x, y, rows, fold, classes, 1)


def test_alike_answers_where_every_class_has_such_a_value() -> None:
    rng = np.random.default_rng(4)
    y = np.tile([0, 1], 200)
    motion = rng.uniform(0, 1, 400) + 0.5 * y
    rows = pd.DataFrame({"subject": "P", "motion": motion})
    x = rng.normal(0, 1, (400, 1)) + y[:, None]
    said = MatchedOnCovariate(LOGISTIC, "motion")(given(x, y, rows, ("a", "b")))
    answered = np.isfinite(said[:, 0])
    asked = motion[200:]
    assert 0.2 < answered.mean() < 0.8
    assert asked[answered].min() > 0.5
    assert asked[answered].max() < 1.0


def test_an_oracle_answers_with_the_other_participants_s_mean() -> None:
    rows = pd.DataFrame({"subject": ["a"] * 3 + ["b"] * 1 + ["c"] * 4})
    labels = np.array(["s", "s", "c", "s", "s", "c", "s", "x"])
    y = np.array([1.0, 1.0, -1.0, 0.0, *[np.nan] * 4])
    said = ConditionOracle(labels)(given(np.zeros((8, 1)), y, rows, ()))
    np.testing.assert_array_equal(said, [0.5, -1.0, 0.5, np.nan])


def test_expected_ratings_are_those_of_the_likely_condition() -> None:
    rng = np.random.default_rng(5)
    kind = np.tile([0, 1], 100)
    x = 6.0 * kind[:, None] + rng.normal(0, 0.5, (200, 1))
    rows = pd.DataFrame({"subject": np.repeat(["a", "b"], 100)})
    labels = np.array(["calm", "stress"])[kind]
    y = np.where(kind == 1, 0.7, -0.5)
    said = ConditionMeanRating(LOGISTIC, labels)(given(x, y, rows, ()))
    np.testing.assert_allclose(said, y[100:], atol=0.2)
    assert np.corrcoef(said, y[100:])[0, 1] > 0.98


def test_an_autoregression_goes_on_as_it_is_iterated() -> None:
    """The map to a horizon is the same as to step there half second by half second."""
    rng = np.random.default_rng(7)
    traces = np.cumsum(rng.normal(0, 0.1, (40, 240)), axis=1)
    weights = autoregression(traces)
    known = traces[:, 1::2]
    steps = np.diff(known, axis=1)[:, ::-1][:, :20]
    level = known[:, -1].copy()
    for _ in range(10):
        step = steps @ weights
        level += step
        steps = np.column_stack([step, steps[:, :-1]])
    back = -2 * np.arange(1, 21) - 1
    past = traces[:, back] - traces[:, -1:]
    np.testing.assert_allclose(
        traces[:, -1] + past @ iterated(weights, 5.0), level, rtol=1e-9, atol=1e-9
    )


def waves(n: int, seed: int) -> tuple[Array, Array]:
    """Return last minutes of slow waves, and the values 5, 15 and 30 s later."""
    rng = np.random.default_rng(seed)
    t = np.arange(240 + 121) / 4
    phase, size = rng.uniform(0, 6.28, (n, 1)), rng.uniform(0.2, 1, (n, 1))
    y = 3 + size * np.sin(t / 20 + phase) + rng.normal(0, 0.002, (n, 361))
    return y[:, :240], y[:, [239 + 20, 239 + 60, 239 + 120]]


def test_a_network_begins_where_regression_ends_and_answers_each_horizon() -> None:
    past, ahead = waves(400, 8)
    rows = pd.DataFrame({"subject": np.repeat(["a", "b"], 200)})
    config_ = PinnConfig(features=1, emotion=0.0)
    skin = 0.5, np.zeros(4)
    made = [
        EdaForecast(
            h, ahead, np.zeros((400, 1)), np.zeros(400, int), lambda _: skin, config_, 0
        )
        for h in config_.horizons
    ]
    for k, one in enumerate(made):
        y = ahead[:, k].copy()
        y[200:] = np.nan
        asked = given(past, y, rows, ())
        off = np.abs(one(asked) - ahead[200:, k]).mean()
        still = np.abs(Persistence()(asked) - ahead[200:, k]).mean()
        assert off < 0.5 * still
        stepped = Autoregression(config_.horizons[k])(asked)
        assert np.abs(stepped - ahead[200:, k]).mean() < still


def test_training_is_the_same_each_time_and_leaves_chance_alone() -> None:
    past, ahead = waves(64, 9)
    moments = Moments(
        torch.zeros(64, 1),
        torch.from_numpy(past).float(),
        torch.from_numpy(ahead).float(),
        torch.zeros(64, dtype=torch.long),
        torch.full((64, 2), torch.nan),
    )
    participants, skin = np.repeat(["a", "b"], 32), (0.5, np.zeros(4))
    small = PinnConfig(features=1, width=8, waves=4)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, two = (
        trained(small, moments, participants, skin, 1, 1e-3, 7).arrays()
        for _ in range(2)
    )
    assert torch.rand(1) == expected
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name])
        assert np.isfinite(value).all()


@pytest.mark.parametrize("name", ["primary", "three-order", "valence-loso", "forecast"])
def test_evaluation_files_of_wesad_extract_the_same_windows(name: str) -> None:
    path = ROOT / "experiments" / "wesad" / f"{name}.toml"
    read_evaluation(path)
    assert config.read(path)["table"] == {"dataset": "wesad", "window": 60, "step": 5}


def test_labels_alone_do_not_reach_a_model() -> None:
    """The order by which participants are told apart is an answer too."""
    seen: list[str] = []

    def spy(asked: FoldData) -> Array:
        seen.extend(map(str, asked.table.columns))
        return np.full((len(asked.fold.test), 2), 0.5)

    evaluate(work(table(4)), Loso(), {"spy": spy}, EvaluationOptions(time_only=False))
    assert not {"label", "order"} & set(seen)
