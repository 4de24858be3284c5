"""Stress across laboratories: what is subtracted, what is compared, what is read."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.cross_laboratory.feature_windows import plain
from experiments.cross_laboratory.laboratories import (
    DEVICE_RATE,
    EmoPair,
    NonEeg,
    WesadBands,
)
from experiments.cross_laboratory.models import (
    ChangeGaussian,
    ChangeRegression,
    SingleFeature,
)
from experiments.cross_laboratory.person_changes import person_changes
from experiments.cross_laboratory.shipped_weights import ShippedWeights
from experiments.cross_laboratory.transfer import differences, equal_mean
from physio.datasets.base import Trial
from physio.evaluation.evaluate import EvaluationOptions, Task, evaluate
from physio.evaluation.row_index import overlapping
from physio.evaluation.splits import LeaveLaboratoryOut
from tables import table

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "cross_laboratory"
NAMES = {"eda.scr_rate": "raw", "heart.rate": "raw"}


def three_laboratories() -> pd.DataFrame:
    parts = [table(4, seed, hop=80).assign(dataset=f"lab {seed}") for seed in (1, 2, 3)]
    rows = pd.concat(parts, ignore_index=True)
    return rows.sort_values(["dataset", "subject", "start_s"], ignore_index=True)


def test_what_was_fixed_before_the_first_run_is_unchanged() -> None:
    names = ("primary.txt", "transfer.toml", "models.py", "person_changes.py")
    whole = b"".join((FOLDER / name).read_bytes() for name in names)
    found = hashlib.sha256(whole).hexdigest()
    assert found in (FOLDER / "README.md").read_text("utf-8")


def test_changes_are_those_from_the_first_windows() -> None:
    rows = three_laboratories()
    rows.loc[0, "heart.rate"] = np.nan
    changed, rest = person_changes(rows, NAMES)
    assert rest.sum() == 3 * 4 * 8
    mine = (rows["dataset"] == "lab 2") & (rows["subject"] == "S3")
    level = rows.loc[mine, "heart.rate"].iloc[:8].mean()
    expected = rows.loc[mine, "heart.rate"] - level
    np.testing.assert_allclose(changed.loc[mine, "heart.rate"], expected)


def test_models_score_a_laboratory_that_did_not_train() -> None:
    rows = three_laboratories()
    rows.loc[rows["dataset"] == "lab 3", "heart.rate"] = np.nan  # no such sensor
    changed, rest = person_changes(rows, NAMES)
    stress = {"calm": ("calm",), "stress": ("stress",)}
    used = ~rest
    used[overlapping(changed, np.flatnonzero(used), np.flatnonzero(rest))] = False
    names = list(NAMES)
    task = Task(changed, stress, columns=names, calibration=rest, included=used)
    models = {
        "gaussian": ChangeGaussian(tuple(NAMES)),
        "regression": ChangeRegression(tuple(NAMES)),
        "one": SingleFeature("eda.scr_rate"),
        "missing": ChangeRegression(tuple(NAMES), missingness=True),
        "shipped": ShippedWeights(("eda.scr_rate", "eda.scr_rate", "heart.rate")),
    }
    options = EvaluationOptions(("AUC",), time_only=False)
    found = evaluate(task, LeaveLaboratoryOut(), models, options)
    for name in ("gaussian", "regression"):
        assert found.figure(name, "AUC")["mean"] > 0.75
    assert found.figure("missing", "AUC")["mean"] < 0.75
    assert found.figure("shipped", "AUC")["mean"] > 0.75  # more of each is arousal
    by_lab = differences(found, "gaussian", "one")
    assert {lab: len(d) for lab, d in by_lab.items()} == {
        "lab 1": 4, "lab 2": 4, "lab 3": 4
    }  # fmt: skip
    mean, low, high = equal_mean(by_lab, 23)
    assert mean == pytest.approx(np.mean([d.mean() for d in by_lab.values()]))
    assert low <= mean <= high


def test_plain_features_are_numpys() -> None:
    t = np.arange(240) / 4
    slope, activity = plain(2 * np.exp(0.001 * t))
    assert slope == pytest.approx(0.001)
    assert activity < np.log(2e-4) + 1
    assert np.isnan(plain(np.ones(100))).all()


def test_laboratories_are_read(data: Path) -> None:
    for dataset in (EmoPair(data / "emopair"), NonEeg(data / "noneeg")):
        if not dataset.root.is_dir():
            pytest.skip(f"{dataset.root} is absent")
    pair = EmoPair(data / "emopair")
    trials = pair.trials()
    assert len(trials) == 18 * 12
    recording = pair.load(trials[1])
    assert recording.events["study.conditions"].labels == ("stress",)
    assert {"e4.eda", "e4.bvp", "e4.temp", DEVICE_RATE} == set(recording.streams)
    other = NonEeg(data / "noneeg").load(Trial("S01"))
    labels = other.events["study.conditions"].labels
    assert labels == ("rest", "rest", *("stress", "stress"), "rest", "stress", "rest")
    band = WesadBands(data / "wesad").load(Trial("S2"))
    (rate,) = band.streams[DEVICE_RATE]
    assert 40 < np.median(rate.data) < 150
