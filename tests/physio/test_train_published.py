"""Experts on each kind of sensor, trained and tested on a few participants."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.simulated.cohort import SimulatedCohort
from experiments.simulated.optimal_smoother import OptimalSmoother
from experiments.weights import error_model
from physio.core.missing import MissingReason, missing_reason
from physio.evaluation.config import read
from physio.inference import error_correlations
from physio.models import model_card

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "physio" / "assets"


@pytest.mark.long
def test_a_handful_of_participants_through_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (error_model, error_correlations):
        monkeypatch.setattr(module, "ERRORS", tmp_path / "errors.json")
    settings = read(ROOT / "experiments" / "weights" / "published.toml")
    small = replace(
        settings, participants=8, tested=3, fewer=2, seconds=240.0, rest=24.0, folds=2
    )  # type: ignore[type-var]
    found = small.train(tmp_path / "participants", tmp_path / "weights")
    again = small.train(tmp_path / "participants", tmp_path / "again")
    assert again["weights"] == found["weights"]
    assert len(found["subsets"]) == 7
    models = {r["model"] for r in found["rows"]}
    assert {"fused", "joint", "covariance intersection", "published-eeg"} <= models
    assert (tmp_path / "errors.json").is_file()
    stored = model_card.load(str(tmp_path / "weights" / "published-all"))
    assert stored.card.origin == "simulated"
    assert stored.arrays["participant.cov"][[0, 2]].tolist() == [[[0.0]], [[0.0]]]
    track = model_card.load(str(tmp_path / "weights" / "published-track"))
    assert track.arrays["interval.widths"].shape == (3, 3)
    assert "tracker less joint" in found["less the others"]
    told = OptimalSmoother(small, sampled=2).train(tmp_path / "participants", tmp_path)
    assert {r["model"] for r in told["rows"]} == {
        "linear", "whole", "tracker", "sampled", "linear then",
    }  # fmt: skip


def test_what_devices_off_take_away_says_so() -> None:
    settings = read(ROOT / "experiments" / "weights" / "published.toml")
    chains = {k: v for k, v in settings.chains.items() if k in {"eeg", "eda"}}  # type: ignore[attr-defined]
    devices = {k: v for k, v in settings.devices.items() if k != "chest"}  # type: ignore[attr-defined]
    crowd = SimulatedCohort(devices, chains, seconds=40.0)
    participant = crowd.participant(3)
    block = crowd.block(participant, 2.0, without=("eda",))
    assert len(block) == 20
    assert float(block.info.rate) == 0.5
    skin = [n for n in block.info.names if n.startswith("eda.")]
    assert all(
        set(missing_reason(block.column(n))) == {MissingReason.NO_SIGNAL} for n in skin
    )
    eeg = block.column("eeg.de.alpha.O1")
    at = participant.names.index("eeg.de.alpha.O1")
    np.testing.assert_array_equal(eeg, participant.x[::8, at])
    assert participant.felt.shape == (160, 3)


def test_the_shipped_experts_know_how_their_errors_go_together() -> None:
    names = sorted(n for n in model_card.shipped_names() if n.startswith("published-"))
    names.remove("published-all")
    names.remove("published-track")
    marks = [model_card.load(n).card.sha256 for n in names]
    known = error_correlations.known_errors(tuple(names), tuple(marks))
    assert known is not None
    assert known.shape == (3, 5, 5)
    assert np.all(np.linalg.eigvalsh(known) > 0)
    assert np.abs(known - np.eye(5)).max() < 0.5
