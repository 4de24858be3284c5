"""Training runs as their TOML files describe them."""

from pathlib import Path
from typing import Any, Final, Protocol

from physio import config
from physio.models import weights

TABLE: Final = "training"


class Training(Protocol):
    """A training run: a frozen dataclass of settings."""

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:
        """Train on what is under ``root``, store weights in ``out``; return results."""


def read(path: Path, trust: tuple[str, ...] = ()) -> Training:
    """Return the training run that a TOML file describes: its table ``[training]``.

    Raises
    ------
    ValueError
        If it describes none; the message says what is wrong and what would be right.
    """
    tables = config.read(path)
    config.allow(tables, (TABLE,), path.name, "a training file")
    if "use" not in tables.get(TABLE, {}):
        raise ValueError(f"{path.name}: a training file has a table [{TABLE}] with use")
    training = config.build(tables[TABLE], f"{path.name}: {TABLE}", trust)
    if not callable(getattr(training, "train", None)):
        raise ValueError(f"{path.name}: {tables[TABLE]['use']} cannot train anything")
    found: Training = training
    return found


def train(
    config_path: Path, data_root: Path | None = None, out: Path | None = None
) -> dict[str, Any]:
    """Train as a file says.

    Parameters
    ----------
    config_path
        The training file.
    data_root
        The folder of the data set, or the one that it is in under its own name; not
        needed for simulated people.
    out
        Where a folder for each of the weights goes; by default where the shipped ones
        are.

    Returns
    -------
    dict
        The results: see `physio.train.wrist.Wrist.train`; ``table`` is for printing.

    Raises
    ------
    FileNotFoundError, ValueError
        If the training file or the data are not what they must be.
    """
    return read(config_path).train(data_root, weights.STORE if out is None else out)
