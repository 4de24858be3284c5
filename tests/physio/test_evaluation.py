"""Models are judged on participants they never saw, and never see the answers."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import permutation_test
from sklearn import linear_model
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    roc_auc_score,
)
from statsmodels.stats.multitest import multipletests
from typer.testing import CliRunner

from physio.cli import app, main
from physio.evaluation import folds as stored
from physio.evaluation import metrics, results, statistics
from physio.evaluation.baseline_correction import baseline_correct
from physio.evaluation.evaluate import EvaluationOptions, Task, evaluate, together
from physio.evaluation.models.baselines import (
    FoldData,
    MajorityClass,
    PermutedLabels,
    SklearnModel,
    TimeOnly,
)
from physio.evaluation.models.nested_cv import NestedCV
from physio.evaluation.splits import divide, protocol
from tables import table

STRESS = {"calm": ("calm",), "stress": ("stress",)}
FEATURES = ["eda.scr_rate", "heart.rate", "motion.activity"]


def logistic(features: tuple[str, ...] = ()) -> SklearnModel:
    model = linear_model.LogisticRegression(class_weight="balanced", max_iter=5000)
    return SklearnModel(model, features)


def work(rows: pd.DataFrame) -> Task:
    return Task(rows, STRESS, columns=FEATURES, dataset="made")


def test_what_follows_the_label_is_told_and_chance_is_not() -> None:
    rows = table(participants=8)
    found = evaluate(
        work(rows),
        protocol("loso"),
        {
            "logistic": logistic(),
            "shuffled": PermutedLabels(logistic()),
            "majority class": MajorityClass(),
            "time only": TimeOnly(),
        },
        EvaluationOptions(reference="logistic", test_spacing=60, time_only=False),
    )
    assert found.participants == tuple(f"S{i}" for i in range(1, 9))
    assert found.figure("logistic", "AUC")["mean"] > 0.8
    shuffled = found.figure("shuffled", "AUC")
    assert shuffled["low"] < 0.5 < shuffled["high"]
    assert found.figure("majority class", "AUC")["mean"] == 0.5
    assert found.balance == {"calm": 8 * 2 * 9, "stress": 8 * 2 * 9}  # of 600 s
    own = {(r["metric"], r["than"]): r for r in found.paired}
    better = own["AUC", "majority class"]
    assert better["low"] > 0
    assert better["participants"] == 8
    assert better["p"] <= better["holm"] < 0.1
    # Time only: half of the participants had the conditions the other way round.
    assert found.figure("time only", "AUC")["mean"] < 0.6


def test_the_answers_of_the_test_are_told_to_no_model() -> None:
    rows = table(participants=4).assign(**{"rating.valence": 0.5})
    seen = []

    def spy(given: FoldData) -> np.ndarray:
        fold = given.fold
        seen.append(
            (
                set(given.y[fold.test].tolist()),
                {"label", "rating.valence"} & set(given.table.columns),
                set(np.delete(given.y, fold.train).tolist()),
            )
        )
        return np.full((len(fold.test), 2), 0.5)

    evaluate(
        work(rows), protocol("loso"), {"spy": spy}, EvaluationOptions(time_only=False)
    )
    assert seen == [({-1}, set(), {-1})] * 4


def test_a_number_is_told_with_its_spread() -> None:
    rows = table(participants=5)
    y = rows["eda.scr_rate"].to_numpy() * 2 + 1

    def knows(given: FoldData) -> np.ndarray:
        x = given.x[given.fold.test, 0] * 2 + 1
        return np.stack([x, np.full(len(x), 0.1)], axis=1)

    found = evaluate(
        Task(rows, y=y, columns=FEATURES),
        protocol("loso"),
        {
            "knows": knows,
            "ridge": SklearnModel(linear_model.Ridge(1e-6)),
            "mean": MajorityClass(),
        },
        EvaluationOptions(
            metric_names=("RMSE", "CCC", "coverage of 95 %"), per_segment=True
        ),
    )
    assert found.figure("knows", "RMSE")["mean"] < 1e-9
    assert found.figure("knows", "coverage of 95 %")["mean"] == 1
    assert found.figure("ridge", "RMSE")["mean"] < 1e-3
    assert np.isnan(found.figure("ridge", "coverage of 95 %")["mean"])
    assert found.figure("mean", "RMSE")["mean"] > 0.5
    both = together({"5 s": found, "15 s": found})
    assert both.figure("knows", "15 s: RMSE") == {
        **found.figure("knows", "RMSE"),
        "metric": "15 s: RMSE",
    }


def test_a_model_that_says_nothing_is_shown_to() -> None:
    rows = table(participants=3)

    def half(given: FoldData) -> np.ndarray:
        said = np.full((len(given.fold.test), 2), 0.5)
        said[::2] = np.nan
        return said

    found = evaluate(
        work(rows), protocol("loso"), {"half": half}, EvaluationOptions(time_only=False)
    )
    assert found.figure("half", "answer rate")["mean"] == pytest.approx(0.5, abs=0.01)


def test_the_best_is_chosen_by_inner_folds_alone() -> None:
    rows = table(participants=6)
    names = []

    def says(name: str, right: bool) -> object:
        def model(given: FoldData) -> np.ndarray:
            inner = not given.fold.inner
            names.append((name, inner))
            p = (given.x[given.fold.test, 0] > 0).astype(float)
            p = p if right else 1 - p
            return np.stack([1 - p, p], axis=1)

        return model

    for measure in ("macro-F1", "log loss"):
        names.clear()
        models = {"wrong": says("wrong", False), "right": says("right", True)}
        best = NestedCV(models, groups=0, metric=measure)
        evaluate(
            work(rows),
            protocol("loso"),
            {"best": best},
            EvaluationOptions(time_only=False),
        )
        outer = [name for name, inner in names if not inner]
        assert outer == ["right"] * 6


def test_a_split_that_leaks_is_refused_or_said_to() -> None:
    rows = table(participants=3)
    models = {"logistic": logistic()}
    found = evaluate(
        work(rows),
        protocol("paper-window-kfold"),
        models,
        EvaluationOptions(time_only=False),
    )
    assert found.leaks
    assert found.to_dict()["leaks"] is True
    assert "**This split leaks" in results.to_markdown(found)
    leaky = Task(rows.assign(panas=1.0 * (rows["label"] == "stress")), STRESS)
    with pytest.raises(ValueError, match=r"^the split 'loso' leaks and is refused: "):
        evaluate(leaky, protocol("loso"), models, EvaluationOptions(time_only=False))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda _: np.zeros(3),
            "model 'm' returned shape (3, 1) for 216 rows of fold 'S1'",
        ),
        (
            logistic(("eeg",)),
            "model 'm', fold 'S1': a model reads 'eeg', and the table",
        ),
    ],
)
def test_a_model_that_does_not_fit_is_told_of(model: object, message: str) -> None:
    rows = table(participants=3, hop=40)
    with pytest.raises(ValueError, match=re.escape(message)):
        evaluate(
            work(rows),
            protocol("loso"),
            {"m": model},
            EvaluationOptions(time_only=False),
        )


def test_rest_is_taken_away_and_neither_trains_nor_tests() -> None:
    rows = table(participants=4)
    rows[FEATURES] += 100 * rows["subject"].str[1:].astype(float).to_numpy()[:, None]
    made = baseline_correct(rows, FEATURES, baseline_seconds=300, embargo=60, label="")
    assert made.table[FEATURES].abs().max().max() < 20
    for participant in ("S1", "S4"):
        own = ((rows["subject"] == participant) & (rows["session"] == "1")).to_numpy()
        rest = own & made.calibration
        assert rows["end_s"][rest].max() <= 300
        assert (
            rows["start_s"][own & made.included].min() >= rows["end_s"][rest].max() + 60
        )
        # Sums of 49 numbers of 800 at most are off by 49 * 800 * 2**-53.
        np.testing.assert_allclose(made.table.loc[rest, FEATURES].mean(), 0, atol=1e-11)
    given = Task(
        made.table,
        STRESS,
        columns=FEATURES,
        calibration=made.calibration,
        included=made.included,
    )
    found = evaluate(
        given, protocol("loso"), {"l": logistic()}, EvaluationOptions(time_only=False)
    )
    fold = found.folds.folds[0]
    assert made.calibration[fold.calibration].all()
    assert len(fold.calibration) == made.calibration[rows["subject"] == "S1"].sum()
    assert not made.calibration[fold.train].any()


def test_who_has_no_answer_is_left_out() -> None:
    rows = table(participants=4)
    rows.loc[rows["subject"] == "S2", "label"] = "other"
    found = evaluate(
        work(rows),
        protocol("loso"),
        {"m": MajorityClass()},
        EvaluationOptions(time_only=False),
    )
    assert found.participants == ("S1", "S3", "S4")
    assert [f.name for f in found.folds.folds] == ["S1", "S3", "S4"]
    lone = rows.assign(label=np.where(rows["subject"] == "S1", rows["label"], ""))
    with pytest.raises(ValueError, match=r"^loso leaves nothing to train on and to "):
        evaluate(
            work(lone),
            protocol("loso"),
            {"m": MajorityClass()},
            EvaluationOptions(time_only=False),
        )


def test_measures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(7)
    y = rng.integers(3, size=200)
    output = rng.dirichlet(np.ones(3), size=200)
    said = output.argmax(axis=1)
    expected = {
        "macro-F1": f1_score(y, said, average="macro"),
        "AUC": roc_auc_score(y, output, multi_class="ovr"),
        "balanced accuracy": balanced_accuracy_score(y, said),
        "log loss": log_loss(y, output),
        "accuracy": np.mean(y == said),
    }
    for name, value in expected.items():
        own = metrics.measure(name, classes=True)(y, output)
        assert own == pytest.approx(value, rel=1e-9), name
    two = output[:, :2] / output[:, :2].sum(axis=1, keepdims=True)
    y = y % 2
    assert metrics.auc(y, two) == pytest.approx(roc_auc_score(y, two[:, 1]), rel=1e-9)
    brier = brier_score_loss(y, two[:, 1])
    assert metrics.brier(y, two) == pytest.approx(2 * brier, rel=1e-9)
    with pytest.raises(ValueError, match=r"^there is no metric 'AUC' of numbers; "):
        metrics.measure("AUC", classes=False)


def test_differences_are_paired_and_stepped_down() -> None:
    p = [0.01, 0.04, 0.03, 0.5, float("nan")]
    expected = multipletests(p[:4], method="holm")[1]
    np.testing.assert_allclose(statistics.holm(p)[:4], expected, atol=1e-4)
    assert np.isnan(statistics.holm(p)[4])
    # 5 participants, all better: 2 of 32 sign patterns are as far from 0.
    assert statistics.sign_flip_test(np.array([1.0, 2, 3, 4, 5]), 1) == pytest.approx(
        2 / 32
    )
    for n in range(2, 12):
        off = np.random.default_rng(n).normal(0.3, 1, n)
        exact = permutation_test(
            (off,), np.mean, permutation_type="samples", n_resamples=2**n
        )
        ours = statistics.sign_flip_test(off, 1)
        assert ours == pytest.approx(exact.pvalue, abs=1e-4)
    many = statistics.sign_flip_test(np.random.default_rng(0).normal(0, 1, 40), 1)
    assert 0.01 < many <= 1
    with pytest.raises(ValueError, match=r"^there is no model 'x' to compare with: a"):
        statistics.paired_differences(
            [statistics.summary("a", "m", {"S1": 1.0}, 1)], "x", 1
        )


def test_the_interval_is_that_of_participants_drawn_by_hand() -> None:
    """The percentile bootstrap as written out, to the last printed digit."""
    for n in (1, 2, 5, 15):
        values = np.random.default_rng(n).normal(size=n)
        rows = np.random.default_rng(23).integers(n, size=(4000, n))
        ends = np.percentile(values[rows].mean(axis=1), [2.5, 97.5])
        assert statistics.bootstrap_ci(values, 23) == tuple(np.round(ends, 4))


def test_metrics_are_those_of_their_formulas() -> None:
    rng = np.random.default_rng(8)
    for classes in (2, 3):
        y = rng.integers(classes, size=90)
        p = np.round(rng.dirichlet(np.ones(classes), 90), 2)
        p[:, 0] += 1 - p.sum(axis=1)
        predicted = p.argmax(axis=1)
        recalls = [np.mean(predicted[y == c] == c) for c in np.unique(y)]
        true = p[np.arange(90), y]
        expected = {
            "accuracy": np.mean(predicted == y),
            "balanced accuracy": np.mean(recalls),
            "log loss": -np.mean(np.log(np.maximum(true, 1e-12))),
            "Brier score": np.mean(((p - np.eye(classes)[y]) ** 2).sum(axis=1)),
        }
        pairs = []
        for c in np.unique(y) if classes > 2 else [1]:
            off = p[y == c, c][:, None] - p[y != c, c][None, :]
            pairs.append(np.mean((off > 0) + 0.5 * (off == 0)))
        expected["AUC"] = np.mean(pairs)
        for name, value in expected.items():
            result = metrics.measure(name, classes=True)(y, p)
            assert round(result, 4) == pytest.approx(round(float(value), 4)), name
    y, output = rng.normal(size=50), rng.normal(size=(50, 1))
    off = y - output[:, 0]
    for name, value in {
        "RMSE": np.sqrt(np.mean(off**2)),
        "mean absolute error": np.mean(np.abs(off)),
        "r": np.corrcoef(y, output[:, 0])[0, 1],
    }.items():
        result = metrics.measure(name, classes=False)(y, output)
        assert result == pytest.approx(value, rel=1e-12), name


def test_the_same_seed_gives_the_same_figures() -> None:
    rows = table(participants=4)
    models = {
        "own": SklearnModel(
            linear_model.LogisticRegression(), ("heart", "eda.scr_rate")
        ),
        "shuffled": PermutedLabels(logistic()),
    }
    one, two = (
        evaluate(
            work(rows), protocol("loso"), models, EvaluationOptions(time_only=False)
        ).to_dict()
        for _ in range(2)
    )
    one.pop("seconds"), two.pop("seconds")
    assert results.dumped(one) == results.dumped(two)


FILE = """
[evaluation]
use = "physio.evaluation.feature_benchmark:FeatureBenchmark"
protocol = "loso"
classes = { calm = ["calm"], stress = ["stress"] }
features = ["eda", "heart"]
test_spacing = 60
reference = "logistic"
[evaluation.models.logistic]
use = "sklearn.linear_model:LogisticRegression"
C = 0.5
class_weight = "balanced"
"""


def test_the_command_leaves_what_the_contract_says(tmp_path: Path) -> None:
    rows = tmp_path / "table.parquet"
    table(participants=4).to_parquet(rows)
    config = tmp_path / "e.toml"
    config.write_text(FILE)
    out, result = tmp_path / "out", tmp_path / "r.json"
    said = CliRunner().invoke(
        app,
        [
            *("evaluate", str(config), "--table", str(rows)),
            *("--out", str(out), "--json", str(result)),
        ],
    )
    assert said.exit_code == 0, said.output
    assert "| logistic " in said.output
    found = json.loads(result.read_text())
    assert {
        *("dataset", "protocol", "participants", "rows", "audit", "config", "versions"),
        "seconds",
    } <= set(found)
    assert found["audit"]["ok"] is True
    assert (
        found["config"]["use"] == "physio.evaluation.feature_benchmark:FeatureBenchmark"
    )
    assert {r["model"] for r in found["rows"]} == {
        *("logistic", "majority class", "time only")
    }
    for row in found["rows"]:
        assert set(row["per_participant"]) == {"S1", "S2", "S3", "S4"}
        assert row["low"] <= row["mean"] <= row["high"]
    outputs = pd.read_parquet(out / results.OUTPUTS)
    assert {"subject", "start_s", "y", "logistic.stress"} <= set(outputs)
    assert "nothing leaks" in (out / results.PAGE).read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "e.toml: an evaluation file has a table [evaluation] with use"),
        (
            FILE.replace('"loso"', '"lozo"'),
            "there is no protocol 'lozo'; it is loso",
        ),
        (FILE.replace('["stress"]', '["joy"]'), "no row is labelled joy"),
        (
            FILE.replace('reference = "logistic"', 'reference = "net"'),
            "e.toml: evaluation: reference 'net' is none of the models logistic",
        ),
        (FILE.replace('"eda", "heart"', '"eeg"'), "the table has no feature of eeg"),
    ],
)
def test_bad_files_are_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    rows = tmp_path / "table.parquet"
    table(participants=3).to_parquet(rows)
    config = tmp_path / "e.toml"
    config.write_text(text)
    said = CliRunner().invoke(app, ["evaluate", str(config), "--table", str(rows)])
    assert said.exit_code != 0
    assert message in str(said.exception)


def test_merged_classes_fit_the_folds_of_the_labels(tmp_path: Path) -> None:
    rows = table(participants=4)
    second = rows["segment"] == 2
    rows["label"] = rows["label"].where(~second, rows["label"] + " again")
    rows.loc[rows["segment"] == 3, "label"] = ""
    used = rows[rows["label"] != ""].reset_index(drop=True)
    few = rows[rows["label"].isin(["calm", "stress"])].reset_index(drop=True)
    merged = {"calm": ("calm", "calm again"), "stress": ("stress", "stress again")}
    quick = EvaluationOptions(time_only=False)
    work = Task(rows, merged, columns=FEATURES)
    expected = evaluate(work, protocol("loso"), {}, quick)
    for table_of_folds, classes in ((rows, merged), (used, merged), (few, STRESS)):
        given = divide(table_of_folds, protocol("loso"))
        task = Task(rows, classes, columns=FEATURES)
        found = evaluate(task, given, {"m": MajorityClass()}, quick)
        if classes is merged:
            assert found.folds.to_dict() == expected.folds.to_dict()
        # What is stored can be given again.
        found.folds.write(tmp_path / "folds.json")
        again = evaluate(task, stored.read(tmp_path / "folds.json"), {}, quick)
        assert again.folds.to_dict() == found.folds.to_dict()
    other = divide(rows.iloc[::2], protocol("loso"))
    with pytest.raises(ValueError, match=r"^these folds are of another table of "):
        evaluate(work, other, {}, quick)


def test_the_command_tests_what_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = tmp_path / "e.toml"
    config.write_text(FILE)
    train = table(participants=4, hop=80).assign(dataset="one")
    other = table(participants=3, seed=9, hop=80).assign(dataset="two", extra=1.0)
    train.to_parquet(tmp_path / "train.parquet")
    other.drop(columns="heart.rate").to_parquet(tmp_path / "other.parquet")
    train.iloc[:50].to_parquet(tmp_path / "same.parquet")
    divide(train, protocol("leave-n-subjects-out", n=2)).write(tmp_path / "folds.json")

    def run(*more: str) -> tuple[int, dict[str, object], str]:
        result = tmp_path / "r.json"
        result.unlink(missing_ok=True)
        given = ("--table", str(tmp_path / "train.parquet"), "--json", str(result))
        argv = ["physio", "evaluate", str(config), *given, *more]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            main()
        code = int(ended.value.code or 0)
        found = json.loads(result.read_text()) if result.is_file() else {}
        said = capsys.readouterr()
        return code, found, said.out + said.err

    code, found, said = run("--test", str(tmp_path / "other.parquet"))
    assert code == 0, said
    assert found["participants"] == ["two S1", "two S2", "two S3"]
    assert found["protocol"] == "held-out-participants"
    lacking = "The test table has no heart.rate: missing in each of its rows."
    absolute = "baseline: none is subtracted from the features"
    assert found["notes"] == [absolute, lacking]
    assert lacking in said
    code, found, said = run("--test-participants", "S2,S4")
    assert code == 0, said
    assert found["participants"] == ["S2", "S4"]
    code, found, said = run("--folds", str(tmp_path / "folds.json"))
    assert code == 0, said
    assert found["protocol"] == "leave-n-subjects-out"
    code, _, said = run("--test", str(tmp_path / "same.parquet"))
    assert code == 2
    assert "S1 of one is in the training table and in the test table: leave" in said
    code, _, said = run("--test-participants", "S7")
    assert code == 2
    assert "would test 'S7'" in said
    code, _, said = run(
        "--test-participants", "S2", "--folds", str(tmp_path / "folds.json")
    )
    assert code == 2
    assert "each choose the test rows: give one of them" in said
