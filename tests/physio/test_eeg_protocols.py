"""Protocols and rivals of EEG models, on simulated truth."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments.eeg_protocols.ablations import Ablations, Split, stored_scores
from experiments.eeg_protocols.by_protocol import (
    IDENTIFIED,
    LOGISTIC,
    SWAPPED,
    ProtocolTable,
    swapped_labels,
)
from experiments.eeg_protocols.windows import CommonElectrodes, published_windows
from experiments.eeg_rivals import laboratories
from experiments.eeg_rivals.compare import BANDS, RivalTable
from experiments.eeg_rivals.laboratories import Laboratory, recentred, task_of
from experiments.shared import stored_part
from physio.core.block import Array
from physio.datasets.base import Trial
from physio.datasets.eegmat import EEG
from physio.datasets.sam40 import Sam40
from physio.models.rbtransformer import RBTransformerConfig
from physio.training.linear_learner import LogisticLearner
from physio.training.rbtransformer import RBTransformerClassifier
from physio.training.riemannian import RiemannianClassifier
from physio.training.trainer import TrainingConfig

ROOT = Path(__file__).resolve().parents[2] / "experiments"
BAND_NAMES = ("theta", "alpha", "beta", "gamma")
NETWORK = RBTransformerClassifier(
    RBTransformerConfig(width=8, blocks=1, heads=1, head_width=8, pooling="flat"),
    TrainingConfig(epochs=30, batches=(48,), rate=5e-3),
    scale=False,
)
SPLITS: dict[str, dict[str, Any]] = {
    "shuffled": {
        "data": ("eegmat",),
        "protocol": "paper-window-kfold",
        "swapped": ("RBTransformer",),
    },
    "left out": {
        "data": ("eegmat",),
        "protocol": "leave-n-subjects-out",
        "settings": {"n": 4},
    },
}


def placed(people: int, windows: int, conditions: tuple[str, ...]) -> pd.DataFrame:
    """Return rows of participants with one trial of each condition, 4 s each."""
    rows = [
        {"subject": f"P{p}", "trial": c, "label": c, "start_s": 4.0 * w}
        for p in range(people)
        for c in conditions
        for w in range(windows)
    ]
    table = pd.DataFrame(rows).assign(dataset="eegmat", session="", segment=0)
    start = (128 * table["start_s"]).astype(int)
    return table.assign(
        end_s=table["start_s"] + 4,
        start_sample=start,
        support_start_sample=start,
        end_sample=start + 512,
    )


def windows_of_recordings(effect: float) -> pd.DataFrame:
    """Return windows with the mark of their recording, and a common effect."""
    rng = np.random.default_rng(5)
    table = placed(12, 10, ("rest", "arithmetic"))
    names = [f"eeg.de.{b}.E{k}" for k in range(8) for b in BAND_NAMES]
    recordings = table.groupby(["subject", "trial"], sort=False).ngroup().to_numpy()
    marks = rng.normal(0, 1, (recordings.max() + 1, len(names)))
    x = marks[recordings] + rng.normal(0, 0.5, (len(table), len(names)))
    x[:, ::4] += effect * (table["label"] == "arithmetic").to_numpy()[:, None]
    clock = table["start_s"] + np.where(table["trial"] == "rest", 0.0, 40.0)
    features = pd.DataFrame(x, columns=names)
    amplitude = rng.normal(3, 1, len(table))
    return pd.concat(
        [table, features, pd.DataFrame({"clock": clock, "amplitude": amplitude})],
        axis=1,
    )


@pytest.fixture(scope="module")
def parts() -> dict[float, dict[str, dict[str, Any]]]:
    """Return the scores of both splits without and with an effect of the task."""
    settings = ProtocolTable({"RBTransformer": NETWORK}, SPLITS, metrics=("AUC",))
    return {
        effect: {
            name: settings.scores(windows_of_recordings(effect), SPLITS[name])
            for name in names
        }
        for effect, names in ((0.0, ("shuffled", "left out")), (1.5, ("left out",)))
    }


def mean(part: dict[str, Any], model: str) -> float:
    return float(next(r["mean"] for r in part["rows"] if r["model"] == model))


def test_only_shuffled_windows_score_what_marks_a_recording(parts: Any) -> None:
    shuffled, apart = parts[0.0]["shuffled"], parts[0.0]["left out"]
    assert shuffled["about"]["leaks"]
    assert not apart["about"]["leaks"]
    for model in ("RBTransformer", LOGISTIC):
        assert mean(shuffled, model) > 0.9
        assert 0.25 < mean(apart, model) < 0.75
        assert mean(shuffled, f"{model}{SWAPPED}") > 0.8
    assert mean(shuffled, IDENTIFIED) > 0.9
    assert IDENTIFIED not in [r["model"] for r in apart["rows"]]


def test_an_effect_of_the_task_remains_in_new_participants(parts: Any) -> None:
    apart = parts[1.5]["left out"]
    for model in ("RBTransformer", LOGISTIC):
        assert mean(apart, model) > 0.9
    assert mean(apart, f"{LOGISTIC}{SWAPPED}") < 0.75


def test_controls_score_the_design_alone(parts: Any) -> None:
    for part in parts[0.0].values():
        assert mean(part, "clock") > 0.99  # rest always precedes the task
        assert 0.35 < mean(part, "amplitude") < 0.65
        assert mean(part, "majority class") <= 0.5
        assert {r["than"] for r in part["paired"]} >= {LOGISTIC, "clock"}
        assert all(r["p"] <= r["holm"] for r in part["paired"])


def test_ablations_average_seeds_and_compare_participants() -> None:
    split = Split(
        ("eegmat",), "leave-n-subjects-out", {"n": 6}, once=("flat",), seeds=(1, 2)
    )
    quick = replace(NETWORK, schedule=replace(NETWORK.schedule, epochs=20))
    silent = replace(quick, schedule=replace(quick.schedule, epochs=1, rate=1e-9))
    networks = {"full": quick, "silent": silent, "flat": quick}
    settings = Ablations(networks, {"half": split})
    part, scores = settings.part(windows_of_recordings(1.5), split)
    assert part["about"]["folds"] == 2
    assert [len(part["seeds"][n]) for n in networks] == [2, 2, 1]
    assert set(scores[2]) == {"full", "silent"}
    rows = {r["model"]: r["per_participant"] for r in part["rows"]}
    for who, score in rows["full"].items():
        both = scores[1]["full"][who], scores[2]["full"][who]
        assert score == pytest.approx(sum(both) / 2, abs=1e-4)
    gains = {r["than"]: r["mean"] for r in part["paired"]}
    assert mean(part, "full") > 0.9
    assert gains["silent"] > 0.2
    assert gains["flat"] == pytest.approx(0, abs=0.05)
    one, _ = settings.part(windows_of_recordings(1.5), replace(split, folds=1))
    assert one["about"]["participants"] == 6


def test_stored_scores_are_of_the_same_protocol() -> None:
    path = ROOT / "eeg_protocols" / "results" / "protocols.json"
    split = Split(("eegmat",), "leave-n-subjects-out", {"n": 6})
    assert len(stored_scores(path, split)["full"]) == 24
    with pytest.raises(ValueError, match="leave-n-subjects-out"):
        stored_scores(path, replace(split, settings={"n": 5}))


def test_labels_are_swapped_in_half_of_the_participants() -> None:
    table = windows_of_recordings(0.0)
    changed = swapped_labels(table, 3)["label"] != table["label"]
    shares = changed.groupby(table["subject"]).mean()
    assert sorted(shares) == [0.0] * 6 + [1.0] * 6


def test_a_stopped_run_continues(tmp_path: Path) -> None:
    calls = []

    def compute() -> dict[str, Any]:
        calls.append(1)
        return {"rows": [len(calls), float("nan")]}

    first = stored_part(tmp_path, "a: b", {"seed": 1}, compute)
    assert first == {"rows": [1, None]}
    assert stored_part(tmp_path, "a: b", {"seed": 1}, compute) == first
    assert stored_part(tmp_path, "a: b", {"seed": 2}, compute)["rows"][0] == 2


def test_unknown_laboratories_and_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="names the laboratory 'DEAP'; there are"):
        ProtocolTable({}, {"a": {"data": ("DEAP",), "protocol": "loso"}})
    with pytest.raises(ValueError, match="swaps labels for no network: B"):
        ProtocolTable(
            {}, {"a": {"data": ("eegmat",), "protocol": "loso", "swapped": ("B",)}}
        )


def test_both_laboratories_have_the_same_electrodes(data: Path) -> None:
    study = Sam40(data / "sam40")
    common = CommonElectrodes(study, ("Relax 1",))
    trial = Trial("10", "", "Relax 1")
    ((block,),) = common.load(trial).streams.values()
    (whole,) = study.load(trial).streams["emotiv.eeg"]
    assert block.info.names == EEG
    for old, new in (("T5", "P7"), ("Pz", "Pz")):
        np.testing.assert_array_equal(
            block.data[:, EEG.index(old)], whole.data[:, whole.info.names.index(new)]
        )


def test_windows_are_those_of_the_publication(data: Path) -> None:
    table = published_windows(data, ("eegmat",))
    counts = table.groupby(["subject", "trial"]).size()
    assert (counts == 62).all()
    assert len(counts) == 48
    shares = (table["end_sample"] - table["start_sample"].shift(-1))[:60]
    assert set(shares) == {512 - 117}
    assert table["clock"].max() > 100


def mixed(seed: int) -> tuple[Array, Any, Any]:
    """Return windows of participants who differ in the mixture of sources."""
    rng = np.random.default_rng(seed)
    people, y = np.repeat(np.arange(6), 20), np.tile([0] * 10 + [1] * 10, 6)
    x = rng.normal(0, 1, (120, 4, 512))
    x[y == 1, 0] *= 2
    mixtures = rng.normal(0, 0.4, (6, 4, 4)) + 2 * np.eye(4)
    return np.einsum("ncd,ndt->nct", mixtures[people], x), people, y


def test_recentred_windows_have_no_covariance_at_rest() -> None:
    x, people, y = mixed(1)
    out = recentred(x, people, y == 0)
    for who in range(6):
        rows = out[(people == who) & (y == 0)]
        cov = np.cov(rows.transpose(1, 0, 2).reshape(4, -1))
        np.testing.assert_allclose(cov / np.diag(cov).mean(), np.eye(4), atol=0.15)


def test_removed_components_show_in_the_smallest_eigenvalues() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (10, 6, 512))
    direction = rng.normal(0, 1, 6)
    direction /= np.linalg.norm(direction)
    x[5:] -= np.einsum("c,nt->nct", direction, np.einsum("c,nct->nt", direction, x[5:]))
    values = laboratories.smallest_eigenvalues(x)
    assert values.shape == (10, 4)
    assert (values[:5, 0] > -2).all()
    assert (values[5:, 0] < -8).all()
    assert (values[:, 1] > -2).all()


def simulated(muscle: float, brain: float) -> Laboratory:
    """Return rows in which muscles or the brain differ between rest and task."""
    rng = np.random.default_rng(7)
    table = placed(9, 12, ("rest", "arithmetic"))
    task = (table["label"] == "arithmetic").to_numpy()
    emg = muscle * task + rng.normal(0, 1, len(table))
    columns = {"emg.muscle.F7": emg}
    for e in ("F7", "O1"):
        for b in BAND_NAMES:
            columns[f"eeg.de.{b}.{e}"] = rng.normal(0, 0.3, len(table)) + 2 * emg * (
                b == "gamma"
            )
        columns[f"slope.exponent.{e}"] = rng.normal(0, 1, len(table))
        columns[f"slope.offset.{e}"] = rng.normal(0, 1, len(table))
    columns["eeg.de.alpha.O1"] += brain * task * 0.7 + rng.normal(0, 0.5, len(table))
    x = rng.normal(0, 1, (len(table), 2, 512))
    x[task, 1] *= 1 + 0.4 * brain
    table = pd.concat([table, pd.DataFrame(columns)], axis=1)
    table = table.assign(clock=table["start_s"] + 48 * task, **{"rank.0": 0.0})
    every = np.ones(len(table), np.bool_)
    centred = recentred(x, table["subject"], ~task)
    return Laboratory(table, x, centred, centred, every)


STUDY = {"data": "eegmat", "target": "task", "leave_out": 3}
RIVALS = RivalTable({"s": STUDY}, LogisticLearner((10.0,)), RiemannianClassifier())


def test_a_regression_removes_muscles_and_leaves_the_brain() -> None:
    pytest.importorskip("pyriemann")
    part = RIVALS.scores(simulated(muscle=2.5, brain=0.0), STUDY)
    assert mean(part, BANDS) > 0.9
    assert mean(part, "muscle power, face and temples") > 0.9
    assert mean(part, "DE, muscle regressed out") < 0.7
    part = RIVALS.scores(simulated(muscle=0.0, brain=1.5), STUDY)
    assert mean(part, "DE, muscle regressed out") > 0.75
    assert mean(part, "muscle power, face and temples") < 0.7
    assert mean(part, "Riemannian") > 0.9
    assert mean(part, "aperiodic slope and offset") < 0.7
    less = {r["than"]: r for r in part["paired"]}
    assert less["aperiodic slope and offset"]["low"] > 0
    assert "Riemannian, recentred" in less


def test_a_rating_is_high_above_the_mean_of_its_person() -> None:
    table = placed(3, 2, ("a", "b", "c"))
    ratings = {"P0": (1.0, 2.0, 6.0), "P1": (4.0, 4.0, 4.0), "P2": (5.0, np.nan, 9.0)}
    values = [
        ratings[p]["abc".index(t)]
        for p, t in zip(table["subject"], table["trial"], strict=True)
    ]
    lab = simulated(0.0, 0.0)
    table = table.assign(**{"rating.valence": values, "eeg.de.theta.F7": 0.0})
    task = task_of(replace_table(lab, table), "valence")
    labels = task.table.groupby(["subject", "trial"])["label"].first()
    assert labels["P0"].tolist() == ["low", "low", "high"]
    assert labels["P1"].tolist() == ["", "", ""]
    assert labels["P2"].tolist() == ["low", "", "high"]
    assert task.included.sum() == 10


def replace_table(laboratory: Laboratory, table: pd.DataFrame) -> Laboratory:
    n = len(table)
    return laboratory._replace(
        table=table, x=laboratory.x[:n], usable=np.ones(n, np.bool_)
    )


def test_features_are_relative_to_the_baseline() -> None:
    values = np.array([[1.0, np.nan], [3.0, 2.0], [5.0, 4.0], [9.0, 9.0]])
    people, rest = np.array(["a", "a", "a", "b"]), np.array([1, 1, 0, 1], bool)
    out = laboratories.relative(values, people, rest)
    np.testing.assert_array_equal(out, [[-1, 0], [1, 0], [3, 2], [0, 0]])
    with pytest.raises(ValueError, match="b has no whole window of baseline"):
        laboratories.relative(values, people, rest & (people == "a"))


def test_a_study_of_an_unknown_laboratory_is_refused() -> None:
    with pytest.raises(ValueError, match="names the laboratory 'SEED'; there are"):
        replace(RIVALS, studies={"s": {**STUDY, "data": "SEED"}})
