"""Training runs and evaluations, read from TOML files."""

from pathlib import Path
from typing import Any, Final, Protocol

import pandas as pd

from physio import config
from physio.datasets.provenance import refuse_non_causal
from physio.evaluation.evaluate import Evaluation
from physio.evaluation.figures import Figures
from physio.evaluation.models.sklearn_config import ADAPTERS
from physio.models import model_card

TRAINING: Final = "training"
EVALUATION: Final = "evaluation"
TABLE: Final = "table"
"""Name of the file's table that describes the data set of the feature table."""


class TrainingRecipe(Protocol):
    """A training run: a frozen dataclass of settings."""

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:
        """Train on the data in ``root``, store weights in ``out``; return results."""


class EvaluationConfig(Protocol):
    """An evaluation: a frozen dataclass of settings."""

    def evaluate(
        self, root: Path | None, table: pd.DataFrame | None
    ) -> Evaluation | Figures:
        """Evaluate models on the data in ``root``, or on a table of features."""


def read(path: Path, trust: tuple[str, ...] = ()) -> TrainingRecipe:
    """Return the training run in the table ``[training]`` of a TOML file.

    Raises
    ------
    ValueError
        If the file has no valid training run; the message names the problem and the
        fix.
    """
    recipe: TrainingRecipe = _built(path, TRAINING, "train", trust)
    return recipe


def read_evaluation(path: Path, trust: tuple[str, ...] = ()) -> EvaluationConfig:
    """Return the evaluation in the table ``[evaluation]`` of a TOML file.

    Raises
    ------
    ValueError
        If the file has no valid evaluation; the message names the problem and the fix.
    """
    evaluation: EvaluationConfig = _built(path, EVALUATION, "evaluate", trust)
    return evaluation


def train(
    config_path: Path,
    data_root: Path | None = None,
    out: Path | None = None,
    trust: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Run the training that a TOML file describes.

    Parameters
    ----------
    config_path
        Path of the training file.
    data_root
        Folder of the data set, or the parent folder that contains it under the name of
        the data set; not needed for simulated participants.
    out
        Parent of the folders that the weights are written to; by default the folder of
        the shipped weights.
    trust
        Packages, beside this library, that the file may name.

    Returns
    -------
    dict
        Results: see `experiments.weights.wrist.TrainWrist.train`. The entry ``table``
        is text for printing.

    Raises
    ------
    FileNotFoundError, ValueError
        If the training file or the data are missing or invalid, or if the data are
        tables of a whole-record analysis: see `refuse_non_causal`.
    """
    if data_root is not None:
        refuse_non_causal(data_root)
    return read(config_path, trust).train(
        data_root, model_card.STORE if out is None else out
    )


def _built(path: Path, name: str, verb: str, trust: tuple[str, ...]) -> Any:
    """Build the object in the table ``name`` and require its method ``verb``."""
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
