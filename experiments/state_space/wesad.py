"""Stress in WESAD from sequences of wrist windows, the other order held out."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from experiments.cross_laboratory.transfer import stress_task
from experiments.state_space.fit import FitConfig, fitted
from experiments.state_space.network import Fusion, Memory, NetworkConfig
from physio.core.block import Array
from physio.evaluation.evaluate import Task
from physio.evaluation.models.baselines import FoldData

TRANSFORMS: Final = {
    "eda.log_slope": "raw",
    "eda.activity": "log",
    "eda.scr_rate": "sqrt",
    "heart.certain": "raw",
    "temperature.slope": "raw",
}
SENSORS: Final = ((0, 1, 2), (3,), (4,))


@dataclass(frozen=True)
class SequenceModel:
    """A network on each person's windows in their order of time.

    Rest and unlabelled windows are read, but neither train nor test.

    Parameters
    ----------
    memory, fusion
        See `experiments.state_space.network.NetworkConfig`.
    epochs
        Number of epochs.
    """

    memory: Memory = "state space"
    fusion: Fusion = "entropy"
    epochs: int = 60

    def __call__(self, given: FoldData) -> Array:
        people = given.rows.participants
        x = given.table[list(TRANSFORMS)].to_numpy(np.float64)
        start = given.table["start_s"].to_numpy(np.float64)
        targets = np.full((len(x), 1), np.nan)
        targets[given.fold.train, 0] = given.y[given.fold.train]
        rows = {p: _in_time(people == p, start) for p in np.unique(people)}
        trained = [r for r in rows.values() if np.isfinite(targets[r]).any()]
        config = NetworkConfig(SENSORS, "class", self.memory, self.fusion, width=8)
        model = fitted(
            config,
            [x[r] for r in trained],
            [targets[r] for r in trained],
            given.seed,
            FitConfig(self.epochs, batch=4),
        )
        p = np.full(len(x), np.nan)
        tested = [r for r in rows.values() if np.isin(r, given.fold.test).any()]
        for r, out in zip(tested, model.outputs([x[r] for r in tested]), strict=True):
            p[r] = expit(out[:, 0])
        p = p[given.fold.test]
        return np.stack([1 - p, p], axis=1)


def order_task(table: pd.DataFrame) -> Task:
    """Return stress against calm in WESAD, with the order of each person's tasks."""
    wesad = table[table["dataset"] == "WESAD"].reset_index(drop=True)
    task = stress_task(wesad, TRANSFORMS)
    kinds = wesad["task"].to_numpy()
    order = np.where(kinds == "baseline", "", kinds)
    return Task(
        task.table,
        task.classes,
        columns=task.columns,
        calibration=task.calibration,
        included=task.included,
        order_labels=order,
        dataset="WESAD",
    )


def _in_time(mask: npt.NDArray[np.bool_], start: Array) -> npt.NDArray[np.intp]:
    rows = np.flatnonzero(mask)
    return rows[np.argsort(start[rows], kind="stable")]
