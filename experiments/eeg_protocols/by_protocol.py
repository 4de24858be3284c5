"""Scores of RBTransformer by protocol, beside controls: see the README."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from experiments.eeg_protocols.windows import (
    AMPLITUDE,
    CLASSES,
    CLOCK,
    LABORATORIES,
    published_windows,
)
from experiments.shared import stored_part
from physio import config
from physio.datasets.feature_table import LABEL
from physio.evaluation import statistics
from physio.evaluation.evaluate import Evaluation, EvaluationOptions, Task, evaluate
from physio.evaluation.folds import Folds
from physio.evaluation.models.baselines import (
    MajorityClass,
    Model,
    PermutedLabels,
    SklearnModel,
)
from physio.evaluation.splits import Protocol, divide, protocol
from physio.training.eeg_tokens import FRONT
from physio.training.rbtransformer import RBTransformerClassifier

LOGISTIC: Final = "logistic regression"
SWAPPED: Final = ", labels swapped"
IDENTIFIED: Final = "participant of a window, logistic regression"

_APART: Final = ("subjects", "data sets")  # promises of splits without a participant


@dataclass(frozen=True)
class ProtocolTable:
    """Networks and controls by several protocols, on the same windows.

    Parameters
    ----------
    networks
        The networks by name; the first is the reference of paired differences.
    splits
        For each name in the table, ``data`` (names of laboratories), ``protocol`` (see
        `physio.evaluation.splits.PROTOCOLS`), its ``settings`` and ``swapped``, the
        networks that are evaluated with labels swapped too.
    controls
        Whether to evaluate the controls.
    drop_fraction
        Proportion of windows that are dropped at random at the beginning.
    seed
        Seed of networks, dropped windows, swapped labels and the bootstrap.
    metrics
        Names of metrics (`physio.evaluation.metrics`).
    """

    networks: Mapping[str, RBTransformerClassifier]
    splits: Mapping[str, Mapping[str, Any]]
    controls: bool = True
    drop_fraction: float = 0.1
    seed: int = 23
    metrics: tuple[str, ...] = ("AUC", "accuracy")

    def __post_init__(self) -> None:
        for name, split in self.splits.items():
            if unknown := [d for d in split["data"] if d not in LABORATORIES]:
                raise ValueError(
                    f"{name!r} names the laboratory {unknown[0]!r}; there are "
                    f"{', '.join(LABORATORIES)}"
                )
            protocol(split["protocol"], **split.get("settings", {}))
            swapped = split.get("swapped", ())
            if unknown := [n for n in swapped if n not in self.networks]:
                raise ValueError(f"{name!r} swaps labels for no network: {unknown[0]}")

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:
        """Evaluate all models by each protocol; store no weights.

        Parameters
        ----------
        root
            The folder with ``eegmat`` and ``sam40``.
        out
            Folder of the run, by which a stopped run continues.
        """
        used = dict.fromkeys(d for s in self.splits.values() for d in s["data"])
        windows = published_windows(root, tuple(used))
        rows = retained(windows["dataset"], self.drop_fraction, self.seed)
        windows = windows[rows]
        parts = {}
        for name, split in self.splits.items():
            table = windows[windows["dataset"].isin(split["data"])]
            compute = partial(self.scores, table.reset_index(drop=True), split)
            settings = config.describe(replace(self, splits={name: split}))
            parts[name] = stored_part(out, name, settings, compute)
            print(name, parts[name]["about"], flush=True)
        return {
            "protocol": "several",
            "config": config.describe(self),
            "splits": parts,
            "table": table_text(parts),
        }

    def scores(
        self, table: pd.DataFrame, split: Mapping[str, Any], folds: int = 0
    ) -> dict[str, Any]:
        """Return rows of results, paired differences and properties of a split.

        Parameters
        ----------
        table
            Windows of its laboratories.
        split
            Settings of the split.
        folds
            Number of folds that are used, from the first; 0 for all.
        """
        begin = time.process_time()
        by = protocol(split["protocol"], **split.get("settings", {}))
        names = [c for c in table.columns if c.startswith(f"{FRONT}.")]
        task = Task(table, CLASSES, columns=names, dataset=" and ".join(split["data"]))
        models = self._models(tuple(names))
        if by.promise == "data sets":  # their clocks begin at different times
            models.pop(CLOCK, None)
        first = divide(table, by) if folds else None
        if first is not None:
            first = replace(first, folds=first.folds[:folds])
        evaluation = self._evaluated(task, first or by, models)
        rows = list(evaluation.rows)
        reference = next(iter(self.networks))
        paired = statistics.paired_differences(rows, reference, self.seed)
        rows += self._swapped(task, by, models, tuple(split.get("swapped", ())))
        if self.controls and by.promise not in _APART:
            rows.append(self._identified(table, names, evaluation))
        about = {
            "protocol": evaluation.protocol,
            "leaks": evaluation.leaks,
            "participants": len(evaluation.participants),
            "windows": len(table),
            "balance": dict(evaluation.balance),
            "folds": len(evaluation.folds.folds),
            "cpu_seconds": round(time.process_time() - begin, 1),
        }
        return {"rows": rows, "paired": paired, "about": about}

    def _models(self, names: tuple[str, ...]) -> dict[str, Model]:
        """Return networks, and controls, by name."""
        models: dict[str, Model] = dict(self.networks)
        if not self.controls:
            return models
        forest = RandomForestClassifier(100, min_samples_leaf=20, n_jobs=1)
        return {
            **models,
            LOGISTIC: SklearnModel(_logistic(0.01), names),
            AMPLITUDE: SklearnModel(_logistic(1.0), (AMPLITUDE,)),
            CLOCK: SklearnModel(forest, (CLOCK,)),
            "majority class": MajorityClass(),
        }

    def _evaluated(
        self, task: Task, by: Protocol | Folds, models: Mapping[str, Model]
    ) -> Evaluation:
        options = EvaluationOptions(
            metric_names=self.metrics, time_only=False, seed=self.seed
        )
        return evaluate(task, by, models, options)

    def _swapped(
        self,
        task: Task,
        by: Protocol,
        models: Mapping[str, Model],
        networks: tuple[str, ...],
    ) -> list[dict[str, Any]]:
        """Return results with rest and task exchanged in half of the participants.

        Where test participants do not train, the draw is repeated for the training
        participants of each fold, and networks are left out.
        """
        wanted = [LOGISTIC] if self.controls else []
        if by.promise in _APART:
            permuted = {f"{k}{SWAPPED}": PermutedLabels(models[k]) for k in wanted}
            return list(self._evaluated(task, by, permuted).rows) if wanted else []
        wanted = [*networks, *wanted]
        if not wanted:
            return []
        task = replace(task, table=swapped_labels(task.table, self.seed))
        chosen = {f"{k}{SWAPPED}": models[k] for k in wanted}
        return list(self._evaluated(task, by, chosen).rows)

    def _identified(
        self, table: pd.DataFrame, names: list[str], evaluation: Evaluation
    ) -> dict[str, Any]:
        """Return how often a window's participant is recognised, by the same folds."""
        x = table[names].to_numpy(np.float64)
        who = table["subject"].astype(str).to_numpy()
        right = np.full(len(table), np.nan)
        for fold in evaluation.folds.folds:
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
            model.fit(x[fold.train], who[fold.train])
            right[fold.test] = model.predict(x[fold.test]) == who[fold.test]
        shares = {str(p): float(np.nanmean(right[who == p])) for p in np.unique(who)}
        return statistics.summary(IDENTIFIED, "accuracy", shares, self.seed)


def retained(laboratories: pd.Series, drop_fraction: float, seed: int) -> Any:
    """Return the mask of the windows that are not dropped, whatever the others."""
    mask = np.zeros(len(laboratories), np.bool_)
    for name in laboratories.unique():
        rows = np.flatnonzero(laboratories == name)
        drawn = np.random.default_rng(seed).random(len(rows))
        mask[rows] = drawn >= drop_fraction
    return mask


def swapped_labels(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return a table with both labels exchanged in a random half of participants."""
    people = table["subject"].astype(str)
    drawn = np.random.default_rng(seed).permutation(np.unique(people))
    flipped = people.isin(drawn[: len(drawn) // 2]).to_numpy()
    labels = table[LABEL].to_numpy()
    other = np.where(labels == "rest", "arithmetic", "rest")
    return table.assign(**{LABEL: np.where(flipped, other, labels)})


def _logistic(penalty: float) -> LogisticRegression:
    return LogisticRegression(C=penalty, class_weight="balanced", max_iter=2000)


def table_text(parts: Mapping[str, Any]) -> str:
    """Return rows and paired differences as text, split by split."""
    lines = []
    for split, part in parts.items():
        about = part["about"]
        lines += ["", f"{split} ({about['windows']} windows, {about['folds']} folds)"]
        for row in part["rows"]:
            lines.append(f"  {row['model']}: {row['metric']} {interval(row)}")
        for row in part["paired"]:
            lines.append(
                f"  {row['model']} less {row['than']}: {row['metric']} "
                f"{interval(row)}, p {row['p']:.4f}, Holm {row['holm']:.4f}"
            )
    return "\n".join(lines).strip()


def interval(row: Mapping[str, Any]) -> str:
    """Return the mean of a row of results with its interval."""
    return f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
