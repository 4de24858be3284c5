"""One set of weights on any headset: what is read, and that it is the same live."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import physio
from devices.simulated import Headset
from experiments.weights.demo import record
from physio.core.block import Channel, Origin, StreamInfo
from physio.core.missing import MissingReason
from physio.inference import montage_adaptation
from physio.inference.expert import BoundExpert, Expert
from physio.io.montage import places
from physio.models import model_card
from physio.models.baseline import BaselinePrior
from physio.models.rbtransformer import RBTransformer, RBTransformerConfig
from physio.online.session_config import SessionConfig
from physio.training.save_weights import minimal_card, store

BANDS = ("theta", "alpha")
TRAINED = ("Fp1", "Fp2", "Cz", "O1")


def names(*electrodes: str, bands: tuple[str, ...] = BANDS) -> tuple[str, ...]:
    return tuple(f"eeg.de.{b}.{e}" for b in bands for e in electrodes)


def read_of(*electrodes: str) -> list[str]:
    return [f"eeg.de.{b}.{e}" for e in electrodes for b in BANDS]


def made(folder: Path, embedding: str = "place") -> model_card.Weights:
    """Store a network that learned nothing, and a rest that differs by electrode."""
    at = places(TRAINED).tolist() if embedding == "place" else ()
    size = RBTransformerConfig(
        len(TRAINED), len(BANDS), 16, 1, 2, 8, head="affect",
        embedding=embedding, places=tuple(map(tuple, at)),  # type: ignore[arg-type]
    )  # fmt: skip
    columns = tuple((f"eeg.de.{b}.{e}", "raw") for e in TRAINED for b in BANDS)
    numbers = np.arange(1.0, len(columns) + 1)
    rest = BaselinePrior(
        numbers, *(np.ones(len(columns)) for _ in range(3)), 10 * numbers
    )
    use = "physio.models.rbtransformer:RBTransformer"
    card = minimal_card(use, columns, 10.0, Origin.SIMULATED, ("valence", "arousal"))
    prior = (np.zeros(3), np.ones(3))
    return store(folder / embedding, card, RBTransformer(size).eval(), rest, prior)


def test_electrodes_that_there_are_and_that_have_a_place_are_read(
    tmp_path: Path,
) -> None:
    stored = made(tmp_path)
    card = stored.card
    # all that it learned with are there, and more: those alone
    more = names(*TRAINED, "Pz", "T7")
    assert montage_adaptation.read(stored, more) == card.columns
    fewer = montage_adaptation.read(stored, names("O1", "Fp2"))
    assert [n for n, _ in fewer] == read_of("O1", "Fp2")
    others = montage_adaptation.read(
        stored, (*names("TP9", "AF7", "Aux1"), "eeg.de.theta.AF8")
    )
    # AF8 lacks a band, and nobody knows where Aux1 is
    assert [n for n, _ in others] == read_of("TP9", "AF7")
    assert montage_adaptation.read(stored, names("Aux1")) == card.columns
    fixed = made(tmp_path, "learned")
    read = montage_adaptation.read(fixed, names("O1", "Fp2"))
    assert read == fixed.card.columns


def test_an_electrode_not_learned_with_rests_as_the_nearest_that_was(
    tmp_path: Path,
) -> None:
    stored = made(tmp_path)
    on = montage_adaptation.adapt_to_montage(stored, names("O2", "FCz", "Fp1"))
    assert on.baseline.mean.tolist() == [7, 8, 5, 6, 1, 2]  # of O1, Cz, Fp1
    assert on.baseline.seconds.tolist() == [70, 80, 50, 60, 10, 20]
    z = np.random.default_rng(0).standard_normal(6)
    whole = stored.model()
    assert isinstance(whole, RBTransformer)
    bare = whole.for_montage(places(("O2", "FCz", "Fp1")).tolist())
    for ours, theirs in zip(on.model.predict(z, z), bare.predict(z, z), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
    # three of the electrodes it learned with, and the same three among all of them
    z4 = np.full(8, MissingReason.NO_SIGNAL.nan)
    z4[:6] = z
    fewer = montage_adaptation.adapt_to_montage(stored, names("Fp1", "Fp2", "Cz")).model
    for ours, theirs in zip(fewer.predict(z, z), whole.predict(z4, z4), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_an_expert_says_what_it_reads_of_a_headset(tmp_path: Path) -> None:
    made(tmp_path)
    expert = Expert(str(tmp_path / "place"))
    channels = tuple(
        Channel(n) for n in (*names("Fz", "Pz"), "eeg.window_start", "eeg.window_end")
    )
    bound = BoundExpert.bind(expert, StreamInfo("features", Fraction(4), channels))
    assert list(bound.features.names) == read_of("Fz", "Pz")
    assert bound.features.index.tolist() == [0, 2, 1, 3]
    unknown = tuple(
        Channel(n) for n in (*names("E1"), "eeg.window_start", "eeg.window_end")
    )
    with pytest.raises(ValueError, match=r"want eeg.de.theta.Fp1, .*; given are eeg"):
        BoundExpert.bind(expert, StreamInfo("features", Fraction(4), unknown))


def test_electrodes_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    made(tmp_path)
    made(tmp_path, "learned")
    both = [Expert(str(tmp_path / k)) for k in ("place", "learned")]
    (said,) = montage_adaptation.unplaced(both, names("Fz", "EXG1", "EXG2"))
    assert said.startswith(
        f"{both[0].weights}: without EXG1, EXG2, whose positions are "
    )
    assert montage_adaptation.unplaced(both, names("Fz", "Cz")) == []


HEADSETS = {
    "Muse": ("TP9", "AF7", "AF8", "TP10"),
    "Cyton": ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2"),
    "10-20, old names": (
        "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T3", "C3", "Cz", "C4", "T4", "T5",
        "P3", "Pz", "P4", "T6", "O1", "O2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADSETS)
def test_the_shipped_weights_answer_on_any_headset(name: str) -> None:
    electrodes = HEADSETS[name]
    worn_by = Headset(seed=7, preset="exaggerated", cycle=60.0, channels=electrodes)
    recording = record(worn_by, 30.0)
    out = physio.estimate(recording)
    arousal, sd = (out.column(f"eeg-demo.arousal{end}") for end in ("", ".sd"))
    late = out.times > recording.begin + 15
    assert np.isfinite(arousal[late]).mean() > 0.9
    assert (sd[late & np.isfinite(sd)] > 0).all()
    assert out.info.origin == Origin.DEMO
    streams = tuple(b[0].info for b in recording.streams.values())
    (expert,) = SessionConfig().plan(streams).estimator.experts  # type: ignore[attr-defined]
    features = physio.compute_features(recording)
    assert len(BoundExpert.bind(expert, features.info).features.names) == 4 * len(
        electrodes
    )


@pytest.mark.long
def test_a_live_session_with_four_electrodes_and_its_replay(tmp_path: Path) -> None:
    electrodes = ", ".join(f'"{e}"' for e in HEADSETS["Muse"])
    (tmp_path / "muse.toml").write_text(
        '[session]\nparticipant = "p1"\nconsent = "none: simulated participant"\n'
        '[devices.muse]\nuse = "devices.simulated:Headset"\npreset = "exaggerated"\n'
        f"cycle = 60.0\nchannels = [{electrodes}]\n"
        '[sinks.recording]\nuse = "physio.sinks.xdf:Xdf"\n'
        '[sinks.table]\nuse = "physio.sinks.parquet:ParquetTables"\n',
        "utf-8",
    )
    command = [sys.executable, "-m", "physio.cli"]
    subprocess.run(
        [*command, "live", "muse.toml", "--seconds", "15"], check=True, cwd=tmp_path
    )
    (recording,) = tmp_path.glob("sessions/*/recording.xdf")
    subprocess.run(
        [*command, "replay", str(recording), "--fast", "--out", "again"],
        check=True,
        cwd=tmp_path,
    )
    live, again = (
        pd.read_parquet(folder / "estimates.parquet")
        for folder in (recording.parent, tmp_path / "again")
    )
    assert live["eeg-demo.arousal"].notna().sum() > 30
    pd.testing.assert_frame_equal(live, again)
