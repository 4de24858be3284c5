"""Networks in an evaluation: trained in the fold, settings by inner participants."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments.eegmat.workload import SWAPPED, WITHIN, EegmatWorkload
from physio.core.block import Array
from physio.evaluation.evaluate import EvaluationOptions, evaluate
from physio.evaluation.folds import Fold
from physio.evaluation.metrics import measure
from physio.evaluation.models.baselines import FoldData
from physio.evaluation.models.nested_cv import NestedCV
from physio.evaluation.splits import Loso, PaperWindowKFold, divide
from physio.models.rbtransformer import RBTransformerConfig
from physio.training import attribution, masked_pretraining, rbtransformer
from physio.training.braindecode_models import BraindecodeModel
from physio.training.rbtransformer import RBTransformerClassifier, oversampled, tokens
from physio.training.trainer import TrainingConfig

ELECTRODES = ("Fp1", "Cz", "O2")
BANDS = ("theta", "alpha")
SMALL = RBTransformerConfig(width=16, blocks=1, heads=2, head_width=8, dropout=0.0)
FAST = TrainingConfig(12, (32,), rate=5e-3)


def table(participants: int = 6, effect: float = 3.0) -> pd.DataFrame:
    """Return two recordings a participant, 30 rows of 2 s: alpha at O2 falls."""
    rng = np.random.default_rng(3)
    parts = []
    for participant in range(participants):
        level, strength = rng.normal(0, 2, 6), rng.uniform(0.5, 1.5)
        for trial in ("arithmetic", "rest"):
            noise = rng.normal(0, 0.8, (30, 6))
            for i in range(1, 30):  # a window is like the one before
                noise[i] += 0.6 * noise[i - 1]
            x = level + noise
            if trial == "arithmetic":
                x[:, 5] -= effect * strength
            stop = 256 * np.arange(1, 31)
            place = {
                "dataset": "eegmat", "subject": f"Subject{participant:02d}",
                "session": "", "trial": trial, "segment": 0, "label": trial,
                "start_sample": stop - 256,
                "end_sample": stop, "support_start_sample": np.maximum(stop - 512, 0),
                "start_s": (stop - 256) / 128, "end_s": stop / 128,
            }  # fmt: skip
            names = [f"eeg.de.{b}.{e}" for e in ELECTRODES for b in BANDS]
            parts.append(pd.DataFrame({**place, **dict(zip(names, x.T, strict=True))}))
    return pd.concat(parts, ignore_index=True)


def given(found: pd.DataFrame, test: str = "Subject00") -> FoldData:
    x = tokens(found, "eeg.de").x.reshape(len(found), -1)
    own = (found["subject"] == test).to_numpy()
    y = np.where(own, -1, (found["label"] == "arithmetic").astype(int))
    fold = Fold(test, np.flatnonzero(~own), np.flatnonzero(own))
    return FoldData(x, y, found.drop(columns="label"), fold, ("rest", "arithmetic"), 1)


def test_tokens_are_electrodes_by_bands_whatever_the_order_of_columns() -> None:
    found = table(1)
    x, electrodes, bands = tokens(found, "eeg.de")
    assert x.shape == (60, 3, 2)
    assert (electrodes, bands) == (ELECTRODES, BANDS)
    np.testing.assert_array_equal(x[:, 2, 1], found["eeg.de.alpha.O2"])
    turned = tokens(found[found.columns[::-1]], "eeg.de")
    assert set(turned.electrodes) == set(ELECTRODES)
    with pytest.raises(ValueError, match=r"^the table has no feature of ecg.de: "):
        tokens(found, "ecg.de")
    with pytest.raises(ValueError, match=r"no column 'eeg.de.alpha.Cz': tokens are"):
        tokens(found.drop(columns="eeg.de.alpha.Cz"), "eeg.de")


def centred(found: pd.DataFrame) -> pd.DataFrame:
    return EegmatWorkload({"any": None}).work(found).table


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"embedding": "place", "pretrain": 2, "oversample": True, "seeds": 2},
        {"embedding": "none", "present": ("Cz", "O2")},
    ],
    ids=("learned", "place", "fewer electrodes"),
)
def test_it_tells_participants_it_never_saw(settings: dict[str, Any]) -> None:
    found = centred(table())
    model = RBTransformerClassifier(SMALL, FAST, **settings)
    one = given(found)
    said = model(one)
    assert said.shape == (60, 2)
    np.testing.assert_allclose(said.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(model(one), said)
    so = (found["label"][one.fold.test] == "arithmetic").to_numpy()
    assert measure("AUC", classes=True)(so.astype(int), said) > 0.75


def test_a_network_that_knows_places_runs_on_electrodes_it_never_saw() -> None:
    found = centred(table())
    one = given(found)
    truth = (found["label"][one.fold.test] == "arithmetic").astype(int).to_numpy()
    learns = ("Cz", "O2")
    near = found.rename(columns=lambda c: str(c).replace(".O2", ".PO8"))
    whole = found.assign(**{c: near[c] for c in near.columns if c not in found.columns})
    more = one._replace(table=whole.drop(columns="label"))
    model = RBTransformerClassifier(SMALL, FAST, embedding="place", learns=learns)
    same = model(more)
    assert measure("AUC", classes=True)(truth, same) > 0.75
    other = replace(model, present=("Cz", "PO8"))(more)  # what O2 showed, from PO8
    assert not np.array_equal(other, same)
    assert measure("AUC", classes=True)(truth, other) > 0.75
    by_number = replace(model, embedding="learned", present=("Cz", "PO8"))
    with pytest.raises(ValueError, match=r"^only a network with embedding = 'place' "):
        by_number(more)
    with pytest.raises(ValueError, match=r"^the table has no electrode 'T7'; it has "):
        replace(model, learns=("T7",))(more)


def test_models_are_compared_in_pairs() -> None:
    found = table(4)
    net = RBTransformerClassifier(SMALL, replace(FAST, epochs=1))
    models = {"a": net, "b": replace(net, embedding="none"), "c": net}
    made = EegmatWorkload(models, pairs=(("a", "b"), ("a", "c"))).evaluate(None, found)
    told = {(r["model"], r["than"]): r for r in made.paired if r["metric"] == "AUC"}
    assert set(told) == {("a", "b"), ("a", "c")}
    assert told["a", "c"]["mean"] == 0
    figures = (made.figure(k, "AUC")["mean"] for k in "ab")
    assert told["a", "b"]["mean"] == pytest.approx(next(figures) - next(figures))
    with pytest.raises(ValueError, match=r"^'d' is none of the models a, b, c$"):
        EegmatWorkload(models, pairs=(("a", "d"),))


def test_answers_of_the_test_change_nothing() -> None:
    one = given(centred(table(3)))
    other = one.y.copy()
    other[one.fold.test] = 1
    model = RBTransformerClassifier(SMALL, replace(FAST, epochs=2))
    np.testing.assert_array_equal(model(one), model(one._replace(y=other)))


def test_a_row_without_electrodes_is_not_told(tmp_path: Path) -> None:
    found = centred(table(3))
    found.loc[:3, [c for c in found.columns if c.startswith("eeg.")]] = np.nan
    said = RBTransformerClassifier(SMALL, replace(FAST, epochs=1), folder=tmp_path)(
        given(found)
    )
    assert np.isnan(said[:4]).all()
    assert np.isfinite(said[4:]).all()
    (folder,) = tmp_path.iterdir()
    names = {p.name for p in folder.iterdir()}
    assert names == {"checkpoint.safetensors", rbtransformer.CURVE, attribution.NAME}


def test_oversampling_makes_classes_alike_between_what_is_there() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (50, 3, 2))
    y = np.array([1] * 40 + [0] * 10)
    more, told = oversampled(x, y, 1)
    assert np.bincount(told).tolist() == [40, 40]
    assert more.shape == (80, 3, 2)
    np.testing.assert_array_equal(more[:50], x)
    with pytest.raises(ValueError, match=r"^SMOTE needs six windows of each class; "):
        oversampled(x[:43], y[:43], 1)


def test_hidden_electrodes_are_told_from_others() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 1, (300, 1, 2))
    x = shared + 0.1 * rng.normal(0, 1, (300, 3, 2))
    size = replace(SMALL, electrodes=3, bands=2)
    schedule = replace(FAST, epochs=15)
    made = masked_pretraining.fit(size, x, schedule, 1)
    again = masked_pretraining.fit(size, x, schedule, 1)
    for a, b in zip(made.parameters(), again.parameters(), strict=True):
        assert bool((a == b).all())
    untrained = masked_pretraining.fit(
        size, x, replace(schedule, epochs=1, rate=0.0), 1
    )
    assert not np.allclose(made.arrays()["project.weight"],
                           untrained.arrays()["project.weight"])  # fmt: skip


class Knowing:
    """Knows how good it is; counts how often it was trained."""

    def __init__(self, good: bool) -> None:
        self.good, self.calls = good, 0

    def __call__(self, one: FoldData) -> Array:
        self.calls += 1
        truth = (one.table["trial"] == "arithmetic").to_numpy()[one.fold.test]
        p = np.where(truth == self.good, 0.9, 0.1)
        return np.stack([1 - p, p], axis=1)


def test_the_best_inside_is_picked_and_inner_networks_are_shared() -> None:
    found = table(8)
    good, bad = Knowing(True), Knowing(False)
    chosen = NestedCV({"bad": bad, "good": good}, groups=4)
    made = evaluate(
        EegmatWorkload({"any": None}).work(found),
        Loso(),
        {"chosen": chosen},
        EvaluationOptions(time_only=False),
    )
    assert made.figure("chosen", "AUC")["mean"] == 1.0
    assert {v["picked"] for v in chosen.choices.values()} == {"good"}
    assert bad.calls == 6  # pairs of four groups
    assert good.calls == 6 + 8
    with pytest.raises(
        ValueError, match=r"^groups must be 3 at least, or 0 for the inner folds of "
    ):
        NestedCV({"good": good}, groups=2)


def test_inner_folds_never_see_the_tested_participant() -> None:
    found = table(8)
    seen: list[tuple[set[str], set[str]]] = []

    def watch(one: FoldData) -> Array:
        participants = found["subject"].to_numpy()
        seen.append((set(participants[one.y >= 0]), set(participants[one.fold.train])))
        return np.full((len(one.fold.test), 2), 0.5)

    chosen = NestedCV({"one": watch, "two": watch})
    for fold in divide(found, Loso()).folds:
        seen.clear()
        one = given(found, fold.name)
        chosen(one._replace(fold=fold))
        for told, trained in seen:
            assert fold.name not in told
            assert fold.name not in trained


def test_a_network_of_braindecode_reads_the_signal() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (60, 3, 128))
    y = np.arange(60) % 2
    x[y == 1] += 2 * np.sin(np.arange(128) / 3)
    fold = Fold("all", np.arange(40), np.arange(40, 60))
    told = np.where(np.arange(60) < 40, y, -1)
    one = FoldData(x, told, pd.DataFrame(), fold, ("a", "b"), 1)
    said = BraindecodeModel(epochs=8, batch=8, rate=5e-3)(one)
    assert (said.argmax(axis=1) == y[40:]).mean() > 0.8
    long = one._replace(x=np.tile(x, 4))  # 4 s at 128 Hz, as eegmat has them
    assert BraindecodeModel("ShallowFBCSPNet", epochs=1)(long).shape == (20, 2)
    with pytest.raises(ValueError, match=r"^EEGNet reads windows of the signal, "):
        BraindecodeModel()(one._replace(x=x[:, 0]))


def test_workload_is_judged_with_its_controls() -> None:
    found = table()
    work = EegmatWorkload(
        {"net": RBTransformerClassifier(SMALL, FAST)}, reference="net"
    )
    rows = work.work(found)
    resting = (found["label"] == "rest").to_numpy()
    assert rows.calibration.sum() == 6 * 10  # 20 s of rest, two seconds a row
    assert not (rows.calibration & ~resting).any()
    assert not (
        rows.included & (found["support_start_sample"] < 20 * 128) & resting
    ).any()
    means = rows.table[rows.calibration].groupby("subject")[rows.names].mean()
    np.testing.assert_allclose(means, 0, rtol=0, atol=1e-12)
    from sklearn.linear_model import LogisticRegression

    from physio.evaluation.models.baselines import SklearnModel

    model = LogisticRegression(C=0.1, class_weight="balanced", max_iter=5000)
    plain = {"plain": SklearnModel(model)}
    honest = EegmatWorkload(
        plain, swapped=("plain",), within=("plain",), reference="plain"
    )
    made = honest.evaluate(None, found)
    figures = {r["model"]: r["mean"] for r in made.rows if r["metric"] == "AUC"}
    assert made.audit.ok
    assert figures["plain"] > 0.75
    assert 0.2 < figures[f"plain{SWAPPED}"] < 0.8
    assert 0.3 < figures[f"plain{WITHIN}"] < 0.7
    assert "not emotion" in made.notes[0]
    leaky = replace(honest, protocol=PaperWindowKFold.name, within=())
    swapped = leaky.evaluate(None, found).figure(f"plain{SWAPPED}", "AUC")
    assert swapped["mean"] > figures[f"plain{SWAPPED}"]
    with pytest.raises(ValueError, match=r"^models on the signal need it: say where"):
        replace(honest, raw={"eegnet": BraindecodeModel()}).evaluate(None, found)
