"""Stress of four wrist laboratories as rows, and scores by seed."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.cross_laboratory.feature_windows import windows
from experiments.cross_laboratory.transfer import stress_task
from physio.evaluation import baseline_correction
from physio.evaluation.evaluate import Evaluation
from physio.evaluation.leakage.audit import audit
from physio.evaluation.row_index import RowIndex
from physio.evaluation.splits import LeaveLaboratoryOut, divide

__all__ = ["held_out", "seed_scores", "stress_task", "wrist_table"]


def wrist_table(root: Path | None, table: pd.DataFrame | None) -> pd.DataFrame:
    """Return the windows of the four laboratories, computed (minutes) or as given.

    Raises
    ------
    ValueError
        If neither a folder of data nor a table is given.
    """
    if table is not None:
        return table
    if root is None:
        raise ValueError(
            "the four wrist laboratories are read from --data (wesad, stress_predict, "
            "emopair, noneeg), or from a table given with --table"
        )
    return windows(root)


def held_out(
    table: pd.DataFrame, transforms: Mapping[str, str], laboratory: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the training rows and the rows of a laboratory that is left out.

    Parameters
    ----------
    table
        Windows of the four laboratories.
    transforms
        Transform of each feature: see `stress_task`.
    laboratory
        Name of the tested laboratory.

    Raises
    ------
    ValueError
        If the split leaks.
    """
    task = stress_task(table, transforms)
    rows = RowIndex(task.table)
    folds = baseline_correction.restrict(
        divide(rows, LeaveLaboratoryOut(laboratory), inner=False),
        rows,
        np.asarray(task.included, np.bool_),
        np.asarray(task.calibration, np.bool_),
    )
    audit(rows, folds, list(transforms), time_only=False).check()
    (fold,) = folds.folds
    train, test = (task.table.iloc[at] for at in (fold.train, fold.test))
    return train.reset_index(drop=True), test.reset_index(drop=True)


def seed_scores(
    run: Callable[[int], Evaluation], seeds: Sequence[int], laboratory: str
) -> tuple[dict[int, dict[str, dict[str, float]]], list[Evaluation]]:
    """Return the AUC of each participant of a laboratory by seed, and the evaluations.

    Parameters
    ----------
    run
        Function that evaluates all models with a seed, each laboratory left out.
    seeds
        Seeds of the models.
    laboratory
        Name of the tested laboratory.
    """
    evaluations = [run(seed) for seed in seeds]
    scores: dict[int, dict[str, dict[str, float]]] = {}
    for seed, evaluation in zip(seeds, evaluations, strict=True):
        scores[seed] = {}
        for model in evaluation.outputs:
            values = evaluation.figure(model, "AUC")["per_participant"]
            scores[seed][model] = {
                p: float(v)
                for p, v in values.items()
                if p.startswith(f"{laboratory} ") and v is not None
            }
    return scores, evaluations
