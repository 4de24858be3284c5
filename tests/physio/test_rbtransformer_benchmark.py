"""Published rows and honest ones, on small folders in the published formats."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io

from miniatures import MINIATURES
from physio.core.block import Array
from physio.datasets.base import Trial
from physio.datasets.deap import Deap
from physio.evaluation import config
from physio.features.eeg import published_de
from physio.features.eeg.differential_entropy import DifferentialEntropy
from physio.training import eeg_tokens
from python2 import dumped

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "experiments" / "deap_seed_dreamer"


def deap(root: Path, participants: int = 3) -> Path:
    """Participants of DEAP whose alpha is strong where they rate high."""
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    t = np.arange(8064) / 128
    for participant in range(1, participants + 1):
        labels = rng.integers(1, 10, (40, 4)).astype(np.float64)
        data = rng.normal(0, 5, (40, 40, 8064))
        data[:, 36] = 2e5
        strong = np.where(labels[:, 0] >= 5, 12.0, 3.0)
        strong *= np.exp(0.4 * np.random.default_rng(participant).standard_normal(40))
        data[:, :32] += strong[:, None, None] * np.sin(2 * np.pi * 10 * t)
        path = root / f"s{participant:02d}.dat"
        path.write_bytes(dumped({"labels": labels, "data": data}))
    return root


def copied(path: Path, into: Path, *changes: tuple[str, str]) -> Path:
    """Copy a training file and its defaults with changed text; return its new path."""
    for file in (path, *path.parent.glob("defaults-*.toml")):
        text = file.read_text("utf-8")
        for old, new in changes:
            text = text.replace(old, new)
        (into / file.name).write_text(text, "utf-8")
    return into / path.name


def quick(path: Path, into: Path) -> Path:
    """Copy a training file with one epoch of a small network; return its new path."""
    return copied(
        path,
        into,
        ("epochs = 300, batches = [256, 64]", "epochs = 6, batches = [32, 16]"),
        ("epochs = 30, batches = [256]", "epochs = 2, batches = [128]"),
        ("width = 128, blocks = 4", "width = 16, blocks = 1"),
        ("k = 5", "k = 2"),
        (
            "drop_fraction = 0.1",
            f"drop_fraction = {0.8 if 'deap' in path.name else 0.1}",
        ),
    )


def test_windows_are_those_of_the_stage_in_the_paper_mode() -> None:
    from fractions import Fraction

    from physio.core.block import Block, Channel, StreamInfo
    from physio.core.stage import StageRunner

    rng = np.random.default_rng(1)
    x = rng.normal(0, 20, (1 + 512 * 2, 3))
    info = StreamInfo(
        "eeg", Fraction(128), tuple(Channel(c, "eeg", "uV") for c in "abc")
    )
    flow = StageRunner(DifferentialEntropy(mode="paper", step=4.0), info)
    staged = flow.push(Block(info, 0, 0.0, x)).data.reshape(3, 4, 3).transpose(0, 2, 1)
    whole = published_de.published_entropy(x, [1, 513], 128.0)
    np.testing.assert_array_equal(whole, staged[1:])  # its first ends with sample 0
    rest = rng.normal(0, 20, (128 * 3 + 5, 3))
    less = published_de.published_entropy(x, [1, 513], 128.0, rest)
    # the same is taken from every window, and the fourth second's five samples are not
    np.testing.assert_allclose(*(whole - less), rtol=0, atol=1e-12)
    again = published_de.published_entropy(x, [1, 513], 128.0, rest[:384])
    np.testing.assert_array_equal(again, less)
    assert not np.allclose(less, whole)
    with pytest.raises(ValueError, match=r"^a baseline of 100 samples has no whole "):
        published_de.published_entropy(x, [0], 128.0, rest[:100])


def test_deap_has_as_many_windows_as_published(tmp_path: Path) -> None:
    MINIATURES["Deap"](tmp_path)
    made, place = eeg_tokens.published(Deap(tmp_path).load(Trial("s02", "", "1")), 3.0)
    assert made.shape == (62, 32, 4)  # of 79,360 in all: 32 participants, 40 videos
    assert place["start_sample"][:2].tolist() == [384, 501]
    assert place["start_s"][:2].tolist() == [0.0, 117 / 128]
    assert set(place["support_start_sample"]) == {0}  # the baseline is in all of them


def test_a_row_of_the_paper_is_one_command_and_goes_on(tmp_path: Path) -> None:
    root = deap(tmp_path / "DEAP", 1)
    path = quick(CONFIGS / "paper-deap-valence.toml", tmp_path)
    out, results = tmp_path / "run", tmp_path / "run.json"
    command = [sys.executable, "-m", "physio.cli", "train", str(path)]
    command += ["--data", str(root), "--out", str(out)]
    subprocess.run([*command, "--json", str(results)], check=True, cwd=tmp_path)
    table = pd.read_parquet(out / "windows.parquet")
    assert len(table) == 40 * 62
    told = json.loads(results.read_text("utf-8"))
    assert told["protocol"] == "paper-window-kfold"
    assert told["leaks"]
    rows = {(r["model"], r["metric"]): r["mean"] for r in told["rows"]}
    assert rows["RBTransformer", "accuracy"] > rows["majority class", "accuracy"] + 0.1
    networks = sorted((out / "networks").iterdir())
    assert len(networks) == 2
    first = (networks[0] / "checkpoint.safetensors").read_bytes()
    again = config.train(path, root, out)
    assert (networks[0] / "checkpoint.safetensors").read_bytes() == first
    assert again["rows"] == told["rows"]


@pytest.mark.long
@pytest.mark.parametrize("name", ["deap-arousal-9", "seed"])
def test_other_rows_train_too(tmp_path: Path, name: str) -> None:
    if name == "seed":
        MINIATURES["Seed"](tmp_path / "data")
    else:
        deap(tmp_path / "data", 1)
    path = quick(CONFIGS / f"paper-{name}.toml", tmp_path)
    found = config.train(path, tmp_path / "data", tmp_path / "out")
    assert found["classes"][0] in ("1", "positive")
    assert found["leaks"]


def dreamer(root: Path) -> None:
    """All participants and films of DREAMER, five seconds each and three before."""
    rng = np.random.default_rng(2)
    participants = np.empty((1, 23), object)
    for i in range(23):
        parts: dict[str, Array] = {}
        for part, seconds in (("baseline", 3), ("stimuli", 5)):
            films = np.empty((18, 1), object)
            for film in range(18):
                films[film, 0] = np.round(rng.normal(0, 9, (128 * seconds, 14)))
            parts[part] = films
        ecg = {p: np.full((18, 1), None, object) for p in parts}
        for p in ecg:
            for film in range(18):
                ecg[p][film, 0] = np.zeros((256, 2))
        scores = np.tile(np.arange(1.0, 6.0), 4)[:18, None]
        participants[0, i] = {
            "Age": "22", "Gender": "male", "EEG": parts, "ECG": ecg,
            "ScoreValence": scores, "ScoreArousal": scores, "ScoreDominance": scores,
        }  # fmt: skip
    root.mkdir()
    content = {"Data": participants, "EEG_SamplingRate": 128.0, "noOfSubjects": 23.0}
    scipy.io.savemat(root / "DREAMER.mat", {"DREAMER": content}, do_compression=True)


@pytest.mark.long
@pytest.mark.parametrize("name", ["dreamer-valence", "dreamer-dominance-5"])
def test_dreamer_trains_too(tmp_path: Path, name: str) -> None:
    dreamer(tmp_path / "data")
    path = quick(CONFIGS / f"paper-{name}.toml", tmp_path)
    found = config.train(path, tmp_path / "data", tmp_path / "out")
    assert len(found["participants"]) == 23


@pytest.mark.long
def test_honestly_participants_never_seen_are_told_by_what_they_share(
    tmp_path: Path,
) -> None:
    root = deap(tmp_path / "data", 3)
    path = quick(CONFIGS / "loso-deap.toml", tmp_path)
    found = config.train(path, root, tmp_path / "out")
    assert found["protocol"] == "loso"
    assert not found["leaks"]
    assert found["audit"]["ok"]
    rows = {(r["model"], r["metric"]): r["mean"] for r in found["rows"]}
    assert rows["logistic regression", "AUC"] > 0.95
    assert rows["RBTransformer", "AUC"] > 0.8
    chosen, plain, majority = found["notes"]
    assert chosen.startswith(
        "RBTransformer: 2 settings were compared in inner folds of"
    )
    assert plain.startswith("logistic regression: 3 settings were compared in inner ")
    assert (
        majority == "majority class: one setting, which touched each outer fold once."
    )
    kept = sorted(p.name for p in (tmp_path / "out" / "networks").iterdir())
    assert kept == ["s01 0", "s02 0", "s03 0"]  # and none that only chose
    table = pd.read_parquet(tmp_path / "out" / "windows.parquet")
    assert (table["segment"] == -1).sum() > 0


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    path = CONFIGS / "loso-deap.toml"
    wrong = copied(path, tmp_path, ('"loso"', '"paper-window-kfold"'))
    with pytest.raises(ValueError, match=r"the honest recipe has no protocol 'paper-"):
        config.read(wrong)
    wrong = copied(path, tmp_path, ('"honest"', '"paper"'))
    with pytest.raises(ValueError, match=r"the paper's recipe has one setting: it "):
        config.read(wrong)
    right = config.read(CONFIGS / "loso-deap.toml")
    with pytest.raises(ValueError, match=r"^a run keeps its networks: say where, with"):
        config.train(CONFIGS / "loso-deap.toml", tmp_path)
    with pytest.raises(ValueError, match=r"is needed: say where it is, with --data$"):
        right.train(None, tmp_path)
