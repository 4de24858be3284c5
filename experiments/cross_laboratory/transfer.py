"""Stress in four laboratories, each left out once: the primary test and its rivals."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.cross_laboratory.feature_windows import REST, STRESS, windows
from experiments.cross_laboratory.person_changes import person_changes
from physio import config
from physio.core.block import Array
from physio.evaluation import metrics
from physio.evaluation.evaluate import (
    Evaluation,
    EvaluationOptions,
    Task,
    evaluate,
    together,
)
from physio.evaluation.row_index import overlapping
from physio.evaluation.splits import (
    HeldOutParticipants,
    LeaveLaboratoryOut,
    LeaveOrderOut,
    Protocol,
)

PRIMARY: Final = "candidate"
RIVAL: Final = "regression"
HEART: Final = "heart rate"
_DRAWS: Final = 4000


@dataclass(frozen=True)
class FourLaboratories:
    """Leave-laboratory-out evaluation of stress from changes against a person's rest.

    Parameters
    ----------
    models
        Models by name; ``candidate``, ``regression`` and ``heart rate`` enter the
        primary test.
    transforms
        Transform of each feature before the mean of the rest is subtracted.
    chains
        Chains by laboratory; by default those of a live session.
    trained
        Laboratories that train; the others are tested. By default each laboratory is
        left out once.
    seed
        Seed of models and bootstrap.
    """

    models: Mapping[str, Any]
    transforms: Mapping[str, str]
    chains: Mapping[str, Any] = field(default_factory=dict)
    trained: tuple[str, ...] = ()
    seed: int = 23

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Evaluation:
        """Compute the windows, or take them from a table, and evaluate all models."""
        if table is None:
            if root is None:
                raise ValueError("the four laboratories are read from --data")
            tables = {k: {"chains": v} for k, v in self.chains.items()}
            table = windows(root, tables)
        task = stress_task(table, self.transforms)
        used = task.included
        options = EvaluationOptions(("AUC",), reference=PRIMARY, seed=self.seed)
        evaluation = evaluate(task, self._split(table), self.models, options)
        tasks = table["task"].to_numpy()[used]
        if self.trained:
            return replace(
                evaluation,
                config=config.describe(self),
                notes=tuple(
                    notes(
                        evaluation,
                        tasks[~table["dataset"][used].isin(self.trained)],
                        self.seed,
                    )
                ),
            )
        sentences = notes(evaluation, tasks, self.seed)
        wesad = (table["dataset"] == "WESAD").to_numpy()
        kinds = table["task"].to_numpy()[wesad]
        alone = replace(
            task,
            table=task.table[wesad].reset_index(drop=True),
            calibration=task.calibration[wesad],
            included=used[wesad],
            order_labels=np.where(kinds == "baseline", "", kinds),
            dataset="WESAD",
        )
        order = evaluate(alone, LeaveOrderOut(), self.models, options)
        both = together(
            {"laboratory left out": evaluation, "WESAD, other order": order},
            config.describe(self),
        )
        return replace(both, notes=tuple(sentences))

    def _split(self, table: pd.DataFrame) -> Protocol:
        if not self.trained:
            return LeaveLaboratoryOut()
        others = table[~table["dataset"].isin(self.trained)]
        names = dict.fromkeys(others["dataset"] + " " + others["subject"])
        return HeldOutParticipants(tuple(names), "leave-laboratory-out")


def stress_task(table: pd.DataFrame, transforms: Mapping[str, str]) -> Task:
    """Return stress against calm, from changes against each person's first rest.

    Windows of the first rest, and those that share samples with it, neither train nor
    test.
    """
    changed, first = person_changes(table, dict(transforms))
    rest = first.astype(np.bool_)
    used = ~rest
    used[overlapping(changed, np.flatnonzero(used), np.flatnonzero(rest))] = False
    labels = np.where(table["stressed"], STRESS, "calm")
    return Task(
        changed.assign(label=labels),
        {"calm": ("calm",), STRESS: (STRESS,)},
        columns=list(transforms),
        calibration=rest,
        included=used,
        dataset="four laboratories",
    )


def notes(evaluation: Evaluation, tasks: Array, seed: int) -> list[str]:
    """Return the primary test and the secondary figures, a sentence each.

    ``tasks`` names the stressor, or the rest, of each tested row, shape (n,).
    """
    lines = []
    pairs = [(PRIMARY, HEART), (PRIMARY, RIVAL), (RIVAL, HEART)]
    for name, less in (p for p in pairs if set(p) <= set(evaluation.outputs)):
        by_lab = differences(evaluation, name, less)
        figure = _interval(equal_mean(by_lab, seed))
        parts = ", ".join(
            f"{lab} {_interval(equal_mean({lab: d}, seed))}"
            for lab, d in by_lab.items()
        )
        lines.append(
            f"AUC of {name} less {less}, equal laboratories: {figure}; {parts}."
        )
    for name in evaluation.outputs:
        means = ", ".join(
            f"{lab} {d.mean():.3f}" for lab, d in differences(evaluation, name).items()
        )
        lines.append(f"AUC of {name}: {means}.")
    if "Stress-Predict" in set(evaluation.tested["dataset"]):
        compared = [m for m in (PRIMARY, RIVAL) if m in evaluation.outputs]
        lines += [stroop(evaluation, tasks, name, seed) for name in compared]
    return lines


def stroop(evaluation: Evaluation, tasks: Array, name: str, seed: int) -> str:
    """Return the difference of a model and heart rate in the Stroop test."""
    rows = np.isin(tasks, (*REST, "Stroop"))
    rows &= evaluation.tested["dataset"].to_numpy() == "Stress-Predict"
    people = evaluation.tested["subject"].to_numpy()
    off = []
    for person in np.unique(people[rows]):
        at = rows & (people == person)
        y = evaluation.tested["y"].to_numpy()[at]
        scores = [metrics.auc(y, evaluation.outputs[m][at]) for m in (name, HEART)]
        off.append(scores[0] - scores[1])
    figure = _interval(equal_mean({"": np.array(off)}, seed))
    return f"AUC of {name} less heart rate, Stroop test of Stress-Predict: {figure}."


def _interval(figure: tuple[float, float, float]) -> str:
    mean, low, high = figure
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def differences(evaluation: Evaluation, name: str, less: str = "") -> dict[str, Array]:
    """Return each person's AUC, less that of another model if named, by laboratory."""
    scores = evaluation.figure(name, "AUC")["per_participant"]
    others = dict.fromkeys(scores, 0.0)
    if less:
        others = evaluation.figure(less, "AUC")["per_participant"]
    by_lab: dict[str, list[float]] = {}
    laboratories = sorted(set(evaluation.tested["dataset"]), key=len, reverse=True)
    for person, value in scores.items():
        lab = next(k for k in laboratories if person.startswith(f"{k} "))
        other = others[person]
        if value is not None and other is not None and np.isfinite(value - other):
            by_lab.setdefault(lab, []).append(value - other)
    return {lab: np.array(d) for lab, d in by_lab.items()}


def equal_mean(by_lab: Mapping[str, Array], seed: int) -> tuple[float, float, float]:
    """Return the mean of the laboratories' means, and its 95 % interval.

    Persons are resampled within each laboratory.
    """
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(d, (_DRAWS, len(d))).mean(axis=1) for d in by_lab.values()]
    low, high = np.percentile(np.mean(drawn, axis=0), [2.5, 97.5])
    return float(np.mean([d.mean() for d in by_lab.values()])), float(low), float(high)
