"""Networks on headsets they learned with, and on others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from devices.simulated import Headset
from experiments.simulated.electrode_transfer import ElectrodeTransfer
from physio.evaluation.config import read_evaluation
from physio.models.rbtransformer import RBTransformerConfig
from physio.training import trainer
from physio.training.rbtransformer import RBTransformerClassifier
from physio.training.trainer import TrainingConfig

SMALL = RBTransformerConfig(width=16, blocks=1, heads=2, head_width=8, dropout=0.0)
PLACE = RBTransformerClassifier(
    SMALL,
    TrainingConfig(2, (64,), missing=0.5),
    embedding="place",
    learns=("Fz", "Pz", "C3"),
)
WORK = ElectrodeTransfer(
    Headset(preset="exaggerated", channels=("Fz", "Pz", "C3", "C4", "Oz")),
    {"place": PLACE, "learned": replace(PLACE, embedding="learned")},
    {"own": ("Fz", "Pz", "C3"), "fewer": ("Pz",), "others": ("C4", "Oz")},
    only={"learned": ("own", "fewer")},
    participants=4,
    cycles=(30.0,),
    seconds=60.0,
    settings={"n": 2},
    pairs=(("place, fewer", "learned, fewer"),),
)
ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "experiments" / "simulated" / "electrode-transfer.toml"


def test_rows_are_measured_against_the_participants_own_rest() -> None:
    table = WORK.table()
    assert len(table) == 4 * 30
    assert set(table["label"]) == {"calm", "aroused"}
    work = WORK.work(table)
    rests = table["support_start_sample"].to_numpy()
    assert (rests[work.included] >= 10 * 250).all()
    means = work.table[work.calibration].groupby("subject")[work.names].mean()
    np.testing.assert_allclose(means, 0, rtol=0, atol=1e-12)
    assert len(work.names) == 4 * 5


def test_each_network_is_trained_once_a_fold_whatever_it_is_tested_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained: list[int] = []
    fit = trainer.fit

    def counted(config: RBTransformerConfig, *rest: object, **more: object) -> object:
        trained.append(config.electrodes)
        return fit(config, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer, "fit", counted)
    found = WORK.evaluate(None, None)
    assert trained == [3] * 4  # two models, two folds
    models = {r["model"] for r in found.rows}
    assert models == {
        "place, own", "place, fewer", "place, others", "learned, own", "learned, fewer",
        "majority class",
    }  # fmt: skip
    said = found.outputs
    assert not np.array_equal(said["place, own"], said["place, others"])
    assert np.isfinite(said["place, others"]).all()
    assert {(r["model"], r["than"]) for r in found.paired} == {
        ("place, fewer", "learned, fewer")
    }
    assert "nothing here is evidence" in found.notes[0]


def test_a_network_that_knows_numbers_is_refused_other_electrodes() -> None:
    work = replace(WORK, only={"learned": ("others",)})
    with pytest.raises(ValueError, match=r"'learned, others'.*embedding = 'place'"):
        work.evaluate(None, None)
    with pytest.raises(ValueError, match=r"^'twelve' is none of own, fewer, others$"):
        replace(WORK, only={"place": ("twelve",)})


def test_the_shipped_comparison_has_all_its_electrodes() -> None:
    work = read_evaluation(CONFIG)
    assert isinstance(work, ElectrodeTransfer)
    used = {e for names in work.sets.values() for e in names}
    assert used <= set(work.headset.channels)
    assert {k: len(v) for k, v in work.sets.items()} == {
        "19": 19, "8": 8, "4": 4, "62 of SEED's cap": 62, "32 of DEAP's": 32,
        "14 of an EPOC": 14, "4 of a Muse": 4,
    }  # fmt: skip
