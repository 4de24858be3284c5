"""Evaluation of all parts: motion, the clock, simulated worlds, self-distillation."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.confounders.distillation import LESSONS, DistilledNetwork
from experiments.confounders.exertion import (
    BEFORE,
    CLOCK,
    EXERTION,
    NOW,
    REST,
    STRESS,
    stage_windows,
    with_clock,
)
from experiments.confounders.removal import FORMS, ConfounderRegression
from experiments.confounders.worlds import CONFOUNDERS, FEATURES, WORLDS, people
from experiments.cross_laboratory.models import ChangeRegression
from experiments.cross_laboratory.person_changes import person_changes
from experiments.literature.judgement import Primary, with_judgements
from experiments.literature.wrist_rows import stress_task, wrist_table
from physio import config
from physio.core.block import Array
from physio.evaluation import metrics, missing_features
from physio.evaluation.evaluate import EvaluationOptions, Task, evaluate
from physio.evaluation.figures import Figures
from physio.evaluation.row_index import overlapping
from physio.evaluation.splits import LeaveLaboratoryOut, LeaveOrderOut, Loso, Protocol
from physio.evaluation.statistics import summary

FOLDER: Final = Path(__file__).parent
BOTH: Final = "AUC of stress, mean against rest and against exertion"
_CLASSES: Final = {"calm": ("calm",), "stress": ("stress",)}
_DRIFT: Final = "drift"
Scores = dict[str, dict[str, dict[str, float]]]
"""Scores by metric, model and participant."""


@dataclass(frozen=True)
class ConfounderTable:
    """Removal of motion and of the clock, on real and on simulated people.

    Parameters
    ----------
    transforms
        Features, and the transform of each before the person's rest is subtracted.
    trained, tested
        Number of simulated people.
    c
        Inverse of the penalty of the regressions.
    rates
        Missing rates of the networks' test.
    """

    transforms: Mapping[str, str]
    trained: int = 40
    tested: int = 300
    c: float = 1.0
    rates: tuple[float, ...] = missing_features.RATES

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Figures:
        """Evaluate; ``table`` are windows of the four laboratories, if they are stored.

        Raises
        ------
        ValueError
            If no folder of data is given.
        """
        if root is None:
            raise ValueError("Non-EEG is read from --data, which has the folder noneeg")
        began = time.monotonic()
        seeds = Primary.read(FOLDER / "primary.toml").seeds
        stages = self.motion(stage_windows(root))
        four = wrist_table(root, table)
        worlds = {seed: self.worlds(seed) for seed in seeds}
        curves = {seed: self.missing(four, seed) for seed in seeds}
        areas: Scores = {
            "four laboratories left out: AUC, mean over missing rates": _mean(
                [c[1] for c in curves.values()]
            )
        }
        of_worlds: Scores = {
            f"simulated, {world}: AUC": _mean([w[world] for w in worlds.values()])
            for world in WORLDS
        }
        parts = {**stages, **self.clock(four), **of_worlds, **areas}
        rows = [
            summary(model, metric, scores, 23)
            for metric, models in parts.items()
            for model, scores in models.items()
        ]
        figures = Figures(
            "motion and the clock as confounders of arousal",
            "participants, orders and laboratories left out",
            tuple(_short(row) for row in rows),
            details={
                missing_features.CURVES: {str(s): c[0] for s, c in curves.items()},
                "taught less masked, area": _taught(list(curves.values())),
            },
            config=config.describe(self),
            seconds=time.monotonic() - began,
        )
        return with_judgements(
            figures,
            FOLDER,
            real=dict.fromkeys(seeds, stages[f"Non-EEG: {BOTH}"]),
            simulated={s: w["body, confounded"] for s, w in worlds.items()},
        )

    def models(
        self, confounders: tuple[str, ...], features: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Return a regression of each form."""
        read = features or tuple(self.transforms)
        return {
            form: ConfounderRegression(read, confounders, form, self.c)
            for form in FORMS
        }

    def motion(self, windows: pd.DataFrame) -> Scores:
        """Return scores of Non-EEG, one participant left out, exertion as calm."""
        changed, first = person_changes(windows, dict(self.transforms))
        rest = first.astype(np.bool_)
        used = ~rest
        used[overlapping(changed, np.flatnonzero(used), np.flatnonzero(rest))] = False
        stage = windows["label"].to_numpy()
        labels = np.where(np.isin(stage, STRESS), "stress", "calm")
        task = Task(
            changed.assign(label=labels),
            _CLASSES,
            columns=[*self.transforms, NOW, BEFORE],
            calibration=rest,
            included=used,
            dataset="Non-EEG",
        )
        models = self.models((NOW, BEFORE))
        unseen = replace(task, included=used & (stage != EXERTION))
        options = EvaluationOptions(("AUC",), time_only=False)
        evaluation = evaluate(task, Loso(), models, options)
        outputs = {k: o[:, 1] for k, o in evaluation.outputs.items()}
        outputs["features, exertion untrained"] = _untrained(
            unseen, models["features"]
        )[used]
        who, kind = windows["subject"].to_numpy()[used], stage[used]
        out: Scores = {}
        for metric, up, down in (
            ("stress against rest", STRESS, (REST,)),
            ("stress against exertion", STRESS, (EXERTION,)),
            ("exertion against rest", (EXERTION,), (REST,)),
        ):
            out[f"Non-EEG: AUC of {metric}"] = {
                name: by_person(p, who, np.isin(kind, up), np.isin(kind, (*up, *down)))
                for name, p in outputs.items()
            }
        a, b = (out[f"Non-EEG: AUC of stress against {k}"] for k in (REST, EXERTION))
        out[f"Non-EEG: {BOTH}"] = {
            m: {p: (a[m][p] + b[m][p]) / 2 for p in a[m] if p in b[m]} for m in a
        }
        return out

    def clock(self, four: pd.DataFrame) -> Scores:
        """Return scores of WESAD: the body, and a signal that only drifts."""
        rows = four[four["dataset"] == "WESAD"].reset_index(drop=True)
        task = stress_task(rows, self.transforms)
        table = with_clock(task.table)
        noise = np.random.default_rng(23).normal(0, 0.1, len(table))
        table = table.assign(**{_DRIFT: table[CLOCK] + noise})
        kinds = rows["task"].to_numpy()
        whole = replace(
            task,
            table=table,
            columns=list(self.transforms),  # the audit refuses the clock as a feature
            order_labels=np.where(kinds == "baseline", "", kinds),
            dataset="WESAD",
        )
        out: Scores = {}
        splits: dict[str, Protocol] = {
            "other order": LeaveOrderOut(),
            "participant left out": Loso(),
        }
        for split, protocol in splits.items():
            for named, features in (
                ("AUC", tuple(self.transforms)),
                ("AUC of a signal that only drifts", (_DRIFT,)),
            ):
                evaluation = evaluate(
                    whole,
                    protocol,
                    self.models((CLOCK,), features),
                    EvaluationOptions(("AUC",), time_only=False),
                )
                out[f"WESAD, {split}: {named}"] = {
                    m: evaluation.figure(m, "AUC")["per_participant"]
                    for m in evaluation.outputs
                }
        return out

    def worlds(self, seed: int) -> dict[str, dict[str, dict[str, float]]]:
        """Return the AUC of test people of each world, by model."""
        out: dict[str, dict[str, dict[str, float]]] = {}
        for world in WORLDS:
            train = people(self.trained, world, seed, trained=True)
            test = people(self.tested, world, 0, trained=False)
            y = test["y"].to_numpy() == 1
            who = test["subject"].to_numpy()
            every = np.ones(len(y), np.bool_)
            models = self.models(CONFOUNDERS, FEATURES)
            out[world] = {
                name: by_person(_applied(model, train, test), who, y, every)
                for name, model in models.items()
            }
        return out

    def missing(
        self, four: pd.DataFrame, seed: int
    ) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
        """Return curves over missing rates, and the areas by model and person."""
        task = stress_task(four, self.transforms)
        names = tuple(self.transforms)
        models: dict[str, Any] = {
            lesson: DistilledNetwork(names, lesson) for lesson in LESSONS
        }
        models["regression"] = ChangeRegression(names, c=self.c)
        options = EvaluationOptions(
            ("AUC",), time_only=False, missing_rates=self.rates, seed=seed
        )
        evaluation = evaluate(task, LeaveLaboratoryOut(), models, options)
        area = missing_features.area_name("AUC")
        return dict(evaluation.details[missing_features.CURVES]), {
            m: evaluation.figure(m, area)["per_participant"] for m in models
        }


def by_person(p: Array, who: Any, stressed: Any, rows: Any) -> dict[str, float]:
    """Return the AUC of each person over some rows."""
    out = {}
    for person in dict.fromkeys(who.tolist()):
        at = rows & (who == person)
        y, value = stressed[at].astype(np.intp), p[at]
        if 0 < y.sum() < len(y):
            out[str(person)] = metrics.auc(y, np.stack([1 - value, value], axis=1))
    return out


def _applied(
    model: ConfounderRegression, train: pd.DataFrame, test: pd.DataFrame
) -> Array:
    """Return the probabilities of test people by a model of training people."""
    both = pd.concat([train, test], ignore_index=True)
    n = len(train)
    x, c = model.inputs(both, np.arange(n))
    y = train["y"].to_numpy()
    return model.output(model.fit(x[:n], c[:n], y), x[n:], c[n:])[:, 1]


def _untrained(task: Task, model: ConfounderRegression) -> Array:
    """Return probabilities of all rows by models that never trained with exertion."""
    table = task.table
    y = (table["label"] == "stress").to_numpy().astype(np.intp)
    who = table["subject"].to_numpy()
    out = np.full(len(table), np.nan)
    for person in np.unique(who):
        train = np.flatnonzero(task.included & (who != person))
        x, c = model.inputs(table, train)
        mine = who == person
        fitted = model.fit(x[train], c[train], y[train])
        out[mine] = model.output(fitted, x[mine], c[mine])[:, 1]
    return out


def _mean(of: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the mean over seeds of each model's score of each person."""
    return {
        model: {p: float(np.mean([s[model][p] for s in of])) for p in scores}
        for model, scores in of[0].items()
    }


def _taught(
    curves: list[tuple[dict[str, Any], dict[str, dict[str, float]]]],
) -> dict[str, Any]:
    """Return the difference of the taught and the masked network over people."""
    off = {
        p: float(np.mean([c[1]["taught"][p] - c[1]["masked"][p] for c in curves]))
        for p in curves[0][1]["taught"]
    }
    seeds = [
        round(float(np.nanmean([c["taught"][p] - c["masked"][p] for p in off])), 4)
        for _, c in curves
    ]
    return {**_short(summary("taught less masked", "AUC", off, 23)), "by_seed": seeds}


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of results without single simulated people: there are hundreds."""
    people_scores = row["per_participant"]
    if next(iter(people_scores), "").startswith("P"):
        return {k: v for k, v in row.items() if k != "per_participant"}
    return row
