"""Scores of rivals of band power, in participants who were left out: see the README."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from sklearn.ensemble import RandomForestClassifier

from experiments.eeg_load.models import WithoutRival
from experiments.eeg_rivals import laboratories
from experiments.eeg_rivals.laboratories import (
    CLOCK,
    FEW,
    READERS,
    Laboratory,
    task_of,
)
from experiments.shared import stored_part
from physio import config
from physio.core.block import Array
from physio.datasets.base import natural_sorted
from physio.evaluation import splits, statistics
from physio.evaluation.evaluate import EvaluationOptions, Task, evaluate
from physio.evaluation.models.baselines import (
    FoldData,
    MajorityClass,
    Model,
    SklearnModel,
)
from physio.training.learner import LearnerModel
from physio.training.linear_learner import LogisticLearner
from physio.training.riemannian import RiemannianClassifier

BANDS: Final = "DE of four bands"
METRIC: Final = "AUC"

FACE: Final = ("Fp1", "Fp2", "AF3", "AF4", "F7", "F8", "T3", "T4", "T7", "T8")
"""Electrodes that the muscles of forehead and temples reach."""


@dataclass(frozen=True)
class RivalTable:
    """Models of several tasks in participants who were left out.

    Parameters
    ----------
    studies
        For each name in the table, ``data`` (a laboratory), ``target`` (``task`` for
        task against rest, or a rating, high or low), ``leave_out`` (how many
        participants at once) and ``per_segment``, whether outputs are averaged over
        each rated segment before scoring.
    logistic
        Learner of all models on features.
    riemannian
        The classifier of covariances.
    seed
        Seed of groups, models and the bootstrap.
    """

    studies: Mapping[str, Mapping[str, Any]]
    logistic: LogisticLearner
    riemannian: RiemannianClassifier
    seed: int = 23

    def __post_init__(self) -> None:
        for name, study in self.studies.items():
            if study["data"] not in READERS:
                raise ValueError(
                    f"{name!r} names the laboratory {study['data']!r}; there are "
                    f"{', '.join(READERS)}"
                )

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:
        """Evaluate all models in each study; store no weights.

        Parameters
        ----------
        root
            The folder with ``eegmat``, ``sam40`` and ``dasps``.
        out
            Folder of the run, by which a stopped run continues.

        Raises
        ------
        ValueError
            If no folder is given.
        """
        if root is None:
            raise ValueError("the recordings are needed: give their folder by --data")
        loaded: dict[str, Laboratory] = {}
        parts = {}

        def compute(study: Mapping[str, Any]) -> dict[str, Any]:
            data = study["data"]
            if data not in loaded:
                loaded.clear()
                loaded[data] = laboratories.load(root, data)
            return self.scores(loaded[data], study)

        for name, study in self.studies.items():
            settings = config.describe(replace(self, studies={name: study}))
            parts[name] = stored_part(out, name, settings, partial(compute, study))
            print(name, parts[name]["about"], flush=True)
        return {
            "protocol": "participants left out",
            "config": config.describe(self),
            "studies": parts,
            "table": table_text(parts),
        }

    def scores(
        self, laboratory: Laboratory, study: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return rows of results, differences to `BANDS`, and properties of a study."""
        begin = time.process_time()
        task = task_of(laboratory, study["target"])
        by = splits.protocol("leave-n-subjects-out", n=study["leave_out"])
        options = EvaluationOptions(
            metric_names=(METRIC,),
            per_segment=study.get("per_segment", False),
            time_only=False,
            seed=self.seed,
        )
        evaluation = evaluate(task, by, self.models(task, laboratory), options)
        rows = list(evaluation.rows)
        about = {
            "participants": len(evaluation.participants),
            "scored": sum(
                v == v
                for v in evaluation.figure(BANDS, METRIC)["per_participant"].values()
            ),
            "windows": len(evaluation.tested),
            "balance": dict(evaluation.balance),
            "leaks": evaluation.leaks,
            "folds": len(evaluation.folds.folds),
            "electrodes": natural_sorted(
                {n.rpartition(".")[2] for n in task.names if ".de." in n}
            ),
            "cpu_seconds": round(time.process_time() - begin, 1),
        }
        paired = statistics.paired_differences(rows, BANDS, self.seed)
        return {"rows": rows, "paired": paired, "about": about}

    def models(self, task: Task, laboratory: Laboratory) -> dict[str, Model]:
        """Return the models by name; the first one is the reference."""
        names = [str(n) for n in task.names]
        de = tuple(n for n in names if n.startswith("eeg."))
        slope = tuple(n for n in names if n.startswith("slope."))
        face = tuple(
            n for n in names if n.startswith("emg.") and n.rpartition(".")[2] in FACE
        )
        ranks = tuple(n for n in names if n.startswith("rank."))
        forest = RandomForestClassifier(100, min_samples_leaf=20, n_jobs=1)
        return {
            BANDS: LearnerModel(self.logistic, de),
            "DE, muscle regressed out": WithoutRival(self.logistic, de, face),
            "muscle power, face and temples": LearnerModel(self.logistic, face),
            "aperiodic slope and offset": LearnerModel(self.logistic, slope),
            "DE and aperiodic slope": LearnerModel(self.logistic, (*de, *slope)),
            "Riemannian": self.riemannian,
            "Riemannian, recentred": OtherWindows(
                self.riemannian, laboratory.recentred
            ),
            "DE, eight electrodes": LearnerModel(
                self.logistic, tuple(n for n in de if n.rpartition(".")[2] in FEW)
            ),
            "Riemannian, recentred, eight electrodes": OtherWindows(
                self.riemannian, laboratory.few
            ),
            "smallest eigenvalues": LearnerModel(self.logistic, ranks),
            "DE, eigenvalues regressed out": WithoutRival(self.logistic, de, ranks),
            CLOCK: SklearnModel(forest, (CLOCK,)),
            "majority class": MajorityClass(),
        }


@dataclass(frozen=True, eq=False)
class OtherWindows:
    """A model that reads other windows of the same rows.

    Parameters
    ----------
    model
        The model.
    x
        Windows of all rows, also of those that take no part.
    """

    model: Model
    x: Array

    def __call__(self, given: FoldData) -> Array:
        """Return the output of the model for the test rows."""
        model: Model = self.model
        return model(given._replace(x=self.x))


def table_text(parts: Mapping[str, Any]) -> str:
    """Return rows and paired differences as text, study by study."""
    lines = []
    for study, part in parts.items():
        lines += ["", f"{study}: {part['about']['scored']} participants"]
        for row in part["rows"]:
            lines.append(f"  {row['model']}: {row['metric']} {interval(row)}")
        for row in part["paired"]:
            lines.append(
                f"  {row['model']} less {row['than']}: {interval(row)}, better in "
                f"{row['better']} of {row['participants']}, Holm {row['holm']:.4f}"
            )
    return "\n".join(lines).strip()


def interval(row: Mapping[str, Any]) -> str:
    """Return the mean of a row of results with its interval."""
    return f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
