"""eeg-load: the shipped odds, what they abstain from, and their experiment's scores."""

from pathlib import Path

import numpy as np
import pytest

from experiments.eeg_load import scores, tables
from physio.core.block import Block
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import Recording
from physio.datasets.base import Trial
from physio.datasets.eegmat import Eegmat
from physio.datasets.sam40 import Sam40
from physio.inference.montage_adaptation import adapt_to_montage
from physio.models import model_card
from physio.offline.compute import estimate


def test_the_odds_are_of_a_task_as_in_eegmat(data: Path) -> None:
    stored = model_card.load("eeg-load")
    model = stored.model()
    assert model.conditions == ("rest", "task")
    task, _ = tables.eegmat(data, stored.card.baseline)
    names = [name for name, _ in stored.card.columns]
    assert not any("A2" in name or "ecg" in name for name in names)
    rows = task.table[task.included]
    spread = np.zeros(len(names))
    odds = np.array(
        [model.condition_odds(z, spread)[1] for z in rows[names].to_numpy(np.float64)]
    )
    # Of the training participants: far better than those held out, and no evidence.
    working = (rows["label"] == "arithmetic").to_numpy()
    assert odds[working].mean() > 0.6
    assert odds[~working].mean() < 0.4


def test_another_montage_has_no_odds() -> None:
    stored = model_card.load("eeg-load")
    names = [
        f"eeg.de.{band}.{e}"
        for e in ("Fp1", "Fp2", "C3", "C4", "T5", "T6", "O1", "O2")
        for band in ("theta", "alpha", "beta", "gamma")
    ]
    adapted = adapt_to_montage(stored, names)
    assert len(adapted.columns) == len(names)
    odds = adapted.model.condition_odds(np.zeros(len(names)), np.zeros(len(names)))
    assert missing_reason(odds).tolist() == [MissingReason.UNTRAINED] * 2


def session(folder: Path) -> Path:
    path = folder / "session.toml"
    path.write_text(
        '[estimator]\nuse = "physio.inference.estimator:Estimator"\n'
        'experts = [{ weights = "eeg-load" }]\n'
    )
    return path


def test_a_session_shows_the_odds(data: Path, tmp_path: Path) -> None:
    study = Eegmat(data / "eegmat")
    parts = [
        study.load(Trial("Subject03", "", c)).streams["neurocom.eeg"][0]
        for c in ("rest", "arithmetic")
    ]
    joined = Block(parts[0].info, 0, 0.0, np.concatenate([p.data for p in parts]))
    recording = Recording({"neurocom.eeg": (joined,)}, {}, (), {"begin": "0.0"})
    out = estimate(recording, session(tmp_path))
    odds = out.data[:, out.info.names.index("condition.task")]
    assert np.nanmean(odds[(out.times > 30) & (out.times < 60)]) < 0.45
    assert np.nanmean(odds[out.times > 75]) > 0.65
    valence = out.data[-1:, out.info.names.index("valence")]
    assert missing_reason(valence).tolist() == [MissingReason.UNTRAINED]


def test_another_headset_gets_none(data: Path, tmp_path: Path) -> None:
    recording = Sam40(data / "sam40").load(Trial("10", "", "Stroop 1"))
    out = estimate(recording, session(tmp_path))
    odds = out.data[:, out.info.names.index("condition.task")]
    assert missing_reason(odds[-1:]).tolist() == [MissingReason.UNTRAINED]


def test_the_first_limit_is_the_clock() -> None:
    card = model_card.load("eeg-load").card
    assert card.limits[0].startswith("Rest always preceded the task, and the order of")
    assert card.licence == "ODC-By 1.0"
    assert card.supports == ()
    assert any(limit.startswith("No odds on other devices") for limit in card.limits)


def test_scores_weigh_participants_and_classes_alike() -> None:
    y = np.array([0, 0, 0, 1, 0, 1])
    who = np.array(["a"] * 4 + ["b"] * 2)
    odds = np.array([0.2, 0.4, 0.6, 0.9, 0.5, 0.5])
    rows = {r["metric"]: r for r in scores.score_rows("m", odds, y, who, 1)}
    rest = -np.log(1 - odds[:3]).mean()
    loss = (rest - np.log(0.9)) / 2
    assert rows[scores.LOSS]["per_participant"]["a"] == pytest.approx(loss, abs=1e-4)
    assert rows[scores.GAIN]["per_participant"]["b"] == pytest.approx(0, abs=1e-4)
    assert rows[scores.AUC]["per_participant"] == {"a": 1.0, "b": 0.5}
    shares = scores.observed_shares(odds, y, who, 1)
    assert [s["participants"] for s in shares] == [0, 1, 2, 1, 1]
    assert shares[4]["mean"] == 1


def test_calibrated_odds_have_a_slope_of_one() -> None:
    rng = np.random.default_rng(2)
    p = rng.uniform(0.05, 0.95, 4000)
    y = (rng.random(4000) < p).astype(int)
    who = np.repeat([f"p{k}" for k in range(20)], 200)
    slope = scores.calibration_slope(p, y, who, 1)
    assert slope["low"] < 1 < slope["high"]
    sharp = 1 / (1 + ((1 - p) / p) ** 3)
    assert scores.calibration_slope(sharp, y, who, 1)["high"] < 0.5
