"""Leakage by protocol on eegmat and SAM 40, logistic regression."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.eeg_load import tables
from physio.evaluation import splits
from physio.evaluation.evaluate import EvaluationOptions, Task, evaluate
from physio.evaluation.models.baselines import MajorityClass, Model
from physio.training.learner import LearnerModel
from physio.training.linear_learner import LogisticLearner

TASKS: Final = ("arithmetic", "Arithmetic", "Mirror_image", "Stroop")
RESTS: Final = ("rest", "Relax")
SWAPPED: Final = ", labels swapped"


@dataclass(frozen=True)
class LeakageTable:
    """AUC of task against rest by protocol, with labels and with labels swapped.

    Parameters
    ----------
    logistic
        The model.
    protocols
        Name of each protocol in the table: its name in `physio.evaluation.splits`.
    baseline
        Duration of the baseline within eegmat's rest (s).
    seed
        Seed of the swapped labels and of the bootstrap.
    """

    logistic: LogisticLearner
    protocols: Mapping[str, str] = field(default_factory=dict)
    baseline: float = 20.0
    seed: int = 23

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:  # noqa: ARG002
        """Evaluate the model on each data set by each protocol; store no weights.

        Raises
        ------
        ValueError
            If there is no SAM 40 beside eegmat.
        """
        work, _ = tables.eegmat(root, self.baseline)
        other = tables.sam40(root)
        if other is None:
            raise ValueError(f"{root} has no folder sam40 beside eegmat")
        eegmat = work.table[work.included].reset_index(drop=True)
        of_data = {"eegmat": eegmat, "SAM 40": other}
        names = [n for n in work.names if n in other.columns]
        rows: list[dict[str, Any]] = []
        for protocol, split in self.protocols.items():
            for name, table in of_data.items():
                by = splits.protocol(split)
                rows += self._rows(table, names, by, f"{name}, {protocol}")
        half = splits.protocol("trial-blocked", k=2)
        rows += self._rows(other, names, half, "SAM 40, trial left out")
        both = pd.concat([self._shared(t, names) for t in of_data.values()])
        both, by = both.reset_index(drop=True), splits.protocol("cross-dataset")
        rows += self._rows(both, names, by, "laboratory left out")
        return {"rows": rows, "table": _text(rows), "protocol": "several"}

    def _rows(
        self, table: pd.DataFrame, names: list[str], by: splits.Protocol, title: str
    ) -> list[dict[str, Any]]:
        """Return rows of results with the labels, and with labels swapped."""
        models: dict[str, Model] = {
            "logistic regression": LearnerModel(self.logistic, tuple(names)),
            "majority class": MajorityClass(),
        }
        options = EvaluationOptions(metric_names=("AUC",), seed=self.seed)
        rows = []
        for suffix, task in (
            ("", _task(table, names)),
            (SWAPPED, self._swapped(table, names)),
        ):
            chosen = models if not suffix else {k: models[k] for k in list(models)[:1]}
            results = evaluate(task, by, chosen, options).rows
            rows += [{**r, "model": f"{title}: {r['model']}{suffix}"} for r in results]
        return rows

    def _swapped(self, table: pd.DataFrame, names: list[str]) -> Task:
        """Return the task with rest and task exchanged in half of the participants."""
        people = np.unique(table["subject"].astype(str))
        coins = np.random.default_rng(self.seed).random(len(people)) < 0.5
        flipped = table["subject"].astype(str).isin(people[coins]).to_numpy()
        task = _task(table, names)
        labels = task.table["label"].to_numpy()
        other = np.where(labels == "rest", "task", "rest")
        swapped = task.table.assign(label=np.where(flipped, other, labels))
        return replace(task, table=swapped)

    @staticmethod
    def _shared(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
        """Return the columns that both data sets have."""
        place = ("dataset", "subject", "session", "trial", "segment", "label")
        spans = ("start_sample", "end_sample", "support_start_sample")
        return table[[*place, *spans, "start_s", "end_s", *names]]


def _task(table: pd.DataFrame, names: list[str]) -> Task:
    labels = np.where(table["label"].isin(TASKS), "task", "rest")
    classes = {"rest": ("rest",), "task": ("task",)}
    return Task(table.assign(label=labels), classes, columns=names)


def _text(rows: list[dict[str, Any]]) -> str:
    return "\n".join(
        f"{r['model']}: {r['mean']:.3f} [{r['low']:.3f}, {r['high']:.3f}]" for r in rows
    )
