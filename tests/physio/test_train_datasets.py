"""One command to weights, one to a replayed session, on data sets in their formats."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io
from typer.testing import CliRunner

from physio.cli import app
from physio.datasets.open_recording import read
from physio.models import model_card
from physio.offline.compute import estimate
from python2 import dumped

DATA = Path(os.environ.get("PHYSIO_DATA", "../shared/data"))
TRIALS = range(1, 5)


def alpha(
    rng: np.random.Generator, level: float, shape: tuple[int, int], rate: int
) -> Any:
    """Return EEG, (samples, electrodes), whose 10-Hz amplitude falls with a level."""
    t = np.arange(shape[0]) / rate
    wave = np.sin(2 * np.pi * 10 * t + rng.uniform(0, 6))[:, None]
    return rng.normal(0, 8, shape) + (12 - 4 * level) * wave


def deap(root: Path) -> None:
    """Write four participants; in four videos, alpha carries the rating of arousal."""
    root.mkdir(parents=True)
    for k in range(1, 5):
        rng = np.random.default_rng(k)
        labels = rng.uniform(1, 9, (40, 4))
        data = np.zeros((40, 40, 8064))
        for video in TRIALS:
            level = (labels[video - 1, 1] - 5) / 4
            data[video - 1, :32] = alpha(rng, level, (8064, 32), 128).T
        data[:, 36] = 200_000.0
        (root / f"s{k:02d}.dat").write_bytes(dumped({"labels": labels, "data": data}))


def dreamer(root: Path) -> None:
    """Write all participants; four have films of 40 s, with arousal in alpha."""
    participants = np.empty((1, 23), object)
    for i in range(23):
        rng = np.random.default_rng(i)
        scores = np.tile(np.arange(1.0, 6.0), 4)[rng.permutation(18), None]
        signals = {}
        for name, rate, width in (("EEG", 128, 14), ("ECG", 256, 2)):
            parts: dict[str, Any] = {p: np.empty((18, 1), object)
                                     for p in ("baseline", "stimuli")}  # fmt: skip
            for film in range(18):
                real = i < 4 and film + 1 in TRIALS
                level = (scores[film, 0] - 3) / 2
                for part, seconds in (("baseline", 12), ("stimuli", 40)):
                    shape = (rate * (seconds if real else 1), width)
                    felt = level if part == "stimuli" else 0.0
                    parts[part][film, 0] = alpha(rng, felt, shape, rate)
            signals[name] = parts
        participants[0, i] = {
            "Age": "22", "Gender": "male", **signals, "ScoreValence": scores,
            "ScoreArousal": scores, "ScoreDominance": scores,
        }  # fmt: skip
    content = {
        "Data": participants, "EEG_SamplingRate": 128.0, "ECG_SamplingRate": 256.0,
        "noOfSubjects": 23.0, "noOfVideoSequences": 18.0, "Version": "1.0.2",
    }  # fmt: skip
    root.mkdir(parents=True)
    scipy.io.savemat(root / "DREAMER.mat", {"DREAMER": content})


def seed(root: Path) -> None:
    """Write three participants, 20 s a film, whose emotion is in alpha."""
    root.mkdir(parents=True)
    label = [1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 0, 1, -1]
    for k in range(1, 5):
        rng = np.random.default_rng(k)
        films = {
            f"djc_eeg{i}": alpha(rng, label[i - 1] + rng.normal(), (4000, 62), 200).T
            for i in range(1, 16)
        }
        scipy.io.savemat(root / f"{k}_20131027.mat", films)
    scipy.io.savemat(root / "label.mat", {"label": np.array([label])})


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(w) for w in words])
    assert result.exit_code == 0, (words, result.output, result.exception)
    return str(result.output)


RATED = 'ratings = ["arousal"]'
CLASSES = 'conditions = { negative = ["negative"], positive = ["positive"] }'
BANDS = ("theta", "alpha", "beta")


def columns(electrodes: tuple[str, ...]) -> str:
    names = [f"eeg.de.{band}.{e}" for band in BANDS for e in electrodes]
    return ", ".join(f'["{name}", "raw"]' for name in names)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "make", "target", "electrodes", "held_out"),
    [
        ("deap", deap, RATED, ("Fz", "Pz", "O1", "O2"), "s04"),
        ("dreamer", dreamer, RATED, ("F3", "F4", "O1", "O2"), "4"),
        ("seed", seed, CLASSES, ("FZ", "PZ", "O1", "O2"), "4"),
    ],
)
def test_a_published_format_gives_weights_and_a_session(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    make: Callable[[Path], None],
    target: str,
    electrodes: tuple[str, ...],
    held_out: str,
) -> None:
    """Two commands: weights, and a session of a participant who was left out."""
    monkeypatch.chdir(tmp_path)
    make(tmp_path / name)
    run("init", "train", name, "--out", "draft.toml")
    draft = Path("draft.toml").read_text("utf-8")
    assert f'dataset = "{name}"' in draft
    assert ("ratings" if target == RATED else "conditions") in draft
    people = [held_out.replace("4", str(k)) for k in range(1, 5)]
    trials = [] if name == "seed" else [str(t) for t in TRIALS]
    baseline = {"deap": 0, "dreamer": 4, "seed": 0}[name]
    Path("train.toml").write_text(
        f"""
[data]
dataset = "{name}"
folder = "{name}"
participants = {people}
trials = {trials}
[target]
{target}
[features]
columns = [{columns(electrodes)}]
baseline_seconds = {baseline}
every = 1
[protocol]
held_out = ["{held_out}"]
[output]
name = "mine"
""".replace("'", '"')
    )
    said = run("train", "train.toml")
    assert "nothing leaks" in said
    card = model_card.load("./mine").card
    assert card.citation
    assert "(academic use)" in card.licence
    assert "3 participants" in card.data
    which = ("--participant", held_out, "--task", "2")
    run("replay", name, *which, "--config", "mine", "--fast", "--out", "out")
    recording = read(name, participant=held_out, task="2")
    live = pd.read_parquet(tmp_path / "out" / "estimates.parquet")
    if target != RATED:
        return
    offline = estimate(recording, Path("mine"))
    assert np.isfinite(offline.column("arousal")).mean() > 0.3
    for column in ("arousal", "arousal.sd", "arousal.ci80"):
        np.testing.assert_array_equal(
            live[column].to_numpy()[: len(offline)],
            offline.column(column)[: len(live)],
        )
