"""Training runs and evaluations as their TOML files describe them."""

from pathlib import Path
from typing import Any, Final, Protocol

import pandas as pd

from physio import config
from physio.evaluation.evaluate import Evaluation
from physio.evaluation.models.sklearn_config import ADAPTERS
from physio.models import model_card

TRAINING: Final = "training"
EVALUATION: Final = "evaluation"
TABLE: Final = "table"
"""The table of a file that says of which data set a table of features is made."""


class TrainingRecipe(Protocol):
    """A training run: a frozen dataclass of settings."""

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:
        """Train on what is under ``root``, store weights in ``out``; return results."""


class EvaluationConfig(Protocol):
    """An evaluation: a frozen dataclass of settings."""

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Evaluation:
        """Judge models on what is under ``root``, or on a table of features."""


def read(path: Path, trust: tuple[str, ...] = ()) -> TrainingRecipe:
    """Return the training run that a TOML file describes: its table ``[training]``.

    Raises
    ------
    ValueError
        If it describes none; the message says what is wrong and what would be right.
    """
    recipe: TrainingRecipe = _built(path, TRAINING, "train", trust)
    return recipe


def read_evaluation(path: Path, trust: tuple[str, ...] = ()) -> EvaluationConfig:
    """Return the evaluation that a TOML file describes: its table ``[evaluation]``.

    Raises
    ------
    ValueError
        If it describes none; the message says what is wrong and what would be right.
    """
    evaluation: EvaluationConfig = _built(path, EVALUATION, "evaluate", trust)
    return evaluation


def train(
    config_path: Path,
    data_root: Path | None = None,
    out: Path | None = None,
    trust: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Train as a file says.

    Parameters
    ----------
    config_path
        The training file.
    data_root
        The folder of the data set, or the one that it is in under its own name; not
        needed for simulated participants.
    out
        Where a folder for each of the weights goes; by default where the shipped ones
        are.
    trust
        Packages that the file may name beside the library.

    Returns
    -------
    dict
        The results: see `experiments.weights.wrist.TrainWrist.train`; ``table`` is for
        printing.

    Raises
    ------
    FileNotFoundError, ValueError
        If the training file or the data are not what they must be.
    """
    return read(config_path, trust).train(
        data_root, model_card.STORE if out is None else out
    )


def _built(path: Path, name: str, verb: str, trust: tuple[str, ...]) -> Any:
    """Return what the table of that name describes, if it has such a method."""
    tables = config.read(path)
    kind = {TRAINING: "a training file", EVALUATION: "an evaluation file"}[name]
    config.allow(tables, (TRAINING, EVALUATION, TABLE), path.name, kind)
    if "use" not in tables.get(name, {}):
        raise ValueError(f"{path.name}: {kind} has a table [{name}] with use")
    settings = config.build(
        tables[name], f"{path.name}: {name}", trust, adapters=ADAPTERS
    )
    if not callable(getattr(settings, verb, None)):
        raise ValueError(f"{path.name}: {tables[name]['use']} cannot {verb} anything")
    return settings
