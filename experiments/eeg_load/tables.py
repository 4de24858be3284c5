"""Features of eegmat and SAM 40 relative to each participant's own rest."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from physio.datasets.base import Dataset
from physio.datasets.eegmat import Eegmat
from physio.datasets.feature_table import LABEL, features
from physio.datasets.sam40 import Sam40
from physio.evaluation.evaluate import Task
from physio.models.baseline import BaselinePrior
from physio.offline.extract import Windowed, Windows

SESSION: Final = Path(__file__).with_name("features.toml")
CLASSES: Final = {"rest": ("rest",), "task": ("arithmetic",)}
STEP: Final = 2.0
"""Time between rows (s)."""

_LAGS: Final = 12

OTHER_NAMES: Final = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
"""Electrodes by their newer names, and as eegmat names them."""

RESTING: Final = "Relax 1"
"""Trial of SAM 40 that serves as the participant's baseline."""


def folder_of(root: Path | None, name: str) -> Path:
    """Return the folder of a data set inside the folder of data.

    Raises
    ------
    ValueError
        If no folder is given.
    """
    if root is None:
        raise ValueError("eeg-load is trained on eegmat: say where it is, with --data")
    return root / name if (root / name).is_dir() else root


def eegmat(root: Path | None, seconds: float) -> tuple[Task, pd.DataFrame]:
    """Return the rows of eegmat relative to the first ``seconds`` of rest.

    Rows that depend on that rest, also through the memory of a filter, are left out.

    Returns
    -------
    Task, DataFrame
        The rows, and what was subtracted from those of each participant.
    """
    table = feature_rows(Eegmat(folder_of(root, "eegmat")), "neurocom")
    names = features(table)
    whole = np.isfinite(table[names].to_numpy(np.float64)).all(axis=1)
    resting = (table[LABEL] == "rest").to_numpy()
    rate = (table["end_sample"] - table["start_sample"]).median() / STEP
    baseline = whole & resting & (table["end_sample"] <= seconds * rate).to_numpy()
    later = (table["support_start_sample"] >= seconds * rate).to_numpy()
    relative, levels = _relative(table, names, baseline)
    task = Task(
        relative,
        CLASSES,
        None,
        None,
        [n for n in names if n.startswith("eeg.")],
        baseline,
        whole & (~resting | later),
        Eegmat.name,
    )
    return task, levels


def sam40(root: Path | None) -> pd.DataFrame | None:
    """Return the rows of SAM 40 relative to its first trial at rest; None without it.

    The column ``y`` is 1 in tasks and 0 at rest; electrodes have eegmat's names.
    """
    if root is None or not (root / "sam40").is_dir():
        return None
    table = feature_rows(Sam40(root / "sam40"), "emotiv")
    ends = {c: str(c).rpartition(".") for c in table.columns}
    table = table.rename(
        columns={
            c: f"{a}.{OTHER_NAMES.get(e, e)}" for c, (a, dot, e) in ends.items() if dot
        }
    )
    names = features(table)
    whole = np.isfinite(table[names].to_numpy(np.float64)).all(axis=1)
    baseline = whole & (table["trial"] == RESTING).to_numpy()
    resting = table["trial"].str.startswith("Relax")
    relative, _ = _relative(table, names, baseline)
    rows = relative.assign(y=(~resting).astype(int))
    return rows[whole & ~baseline & (table["trial"] != RESTING)].reset_index(drop=True)


def feature_rows(
    dataset: Dataset, device: str, session: Path = SESSION
) -> pd.DataFrame:
    """Return the features of all trials of a data set, as in a live session.

    Parameters
    ----------
    dataset
        The data set.
    device
        First part of the names of its streams, in place of ``neurocom``.
    session
        Session file with the chains.
    """
    text = session.read_text("utf-8").replace("neurocom.", f"{device}.")
    tables = tomllib.loads(text)
    parts, windowed = [], None
    for trial in dataset.trials():
        recording = dataset.load(trial)
        if windowed is None:
            chains = tables["chains"]
            tables["chains"] = {
                k: c for k, c in chains.items() if c["stream"] in recording.streams
            }
            windowed = Windowed(Windows(STEP, STEP, tables=tables))
        rows = pd.DataFrame(windowed.of(recording, trial))
        parts.append(rows.assign(dataset=dataset.name, subject=trial.subject))
    return pd.concat(parts, ignore_index=True)


def _relative(
    table: pd.DataFrame, names: list[str], baseline: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return features less their mean over the baseline rows, and these means."""
    means = table[baseline].groupby("subject")[names].mean()
    if lacking := sorted(set(table["subject"]) - set(means.index)):
        raise ValueError(f"{lacking[0]} has no whole window at rest")
    x = table[names] - means.loc[table["subject"]].to_numpy(np.float64)
    return pd.concat([table.drop(columns=names), x], axis=1), means


def resting_prior(
    task: Task, levels: pd.DataFrame, names: Sequence[str]
) -> BaselinePrior:
    """Return the prior of the participants' baselines at rest.

    Parameters
    ----------
    task, levels
        Results of `eegmat`.
    names
        The features.
    """
    of = levels[list(names)].to_numpy(np.float64)
    table = task.table[task.included & (task.table[LABEL] == "rest").to_numpy()]
    shares = np.zeros((_LAGS + 1, len(names)))
    for _, rows in table.groupby("subject"):
        x = rows[list(names)].to_numpy(np.float64)
        x = x - x.mean(axis=0)
        for lag in range(_LAGS + 1):
            shares[lag] += (x[: len(x) - lag] * x[lag:]).sum(axis=0) / (len(x) - lag)
    within = np.maximum(shares[0] / len(levels), 1e-9)
    corr = np.minimum(shares / np.maximum(shares[0], 1e-9), 1.0)
    alive = np.logical_and.accumulate(corr > 0, axis=0)
    return BaselinePrior(
        of.mean(axis=0),
        np.maximum(of.var(axis=0, ddof=1), 1e-9),
        within,
        STEP * (2 * (corr * alive).sum(axis=0) - 1.0),
        np.full(len(names), float(task.calibration.sum() / len(levels)) * STEP),
    )
