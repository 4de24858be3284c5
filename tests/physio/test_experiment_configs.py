"""Every configuration file of the experiments and of configs/ can be used."""

from pathlib import Path

import pytest

from experiments.literature.judgement import Primary
from physio import config
from physio.evaluation.config import read, read_evaluation
from physio.online import session_config
from physio.training.train_file import read_training

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    path
    for folder in ("configs", "experiments")
    for path in sorted((ROOT / folder).rglob("*.toml"))
    if not path.name.startswith("defaults")
]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_can_be_used(path: Path) -> None:
    tables = config.read(path)
    assert "include" not in tables
    if "training" in tables:
        read(path)
    elif "evaluation" in tables:
        read_evaluation(path)
    elif "idea" in tables:
        Primary.read(path)
    elif "target" in tables:
        read_training(path)
    elif "study" not in path.name:
        session_config.read(path)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_command_in_a_file_names_it(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    commands = [line for line in lines if line.startswith("#   physio ")]
    assert not commands or any(str(path.relative_to(ROOT)) in x for x in commands)


def test_simulated_experiments_examine_the_shipped_training_run() -> None:
    shared = config.read(ROOT / "experiments" / "simulated" / "defaults.toml")
    shipped = config.read(ROOT / "experiments" / "weights" / "published.toml")
    assert shared["training"]["affect"] == shipped["training"]
