"""Learned lifting against fixed bands, on real and simulated EEG: see the README."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from experiments.lifting.band_shift import trials as simulated_trials
from experiments.lifting.learned_filters import PENALTY, Learning, learned
from experiments.lifting.lifting_filters import powers, wavelet
from experiments.lifting.lifting_rows import RATE, LiftingRows, laboratory, rows_of
from experiments.literature.judgement import FILE, Primary, Scores, with_judgements
from physio import config
from physio.core.block import Array
from physio.evaluation import statistics
from physio.evaluation.evaluate import EvaluationOptions, Task, evaluate
from physio.evaluation.figures import Figures
from physio.evaluation.models.baselines import FoldData
from physio.evaluation.splits import protocol

FOLDER: Final = Path(__file__).parent
LEARNED: Final = "learned lifting"
WAVELET: Final = "wavelet, not learned"
FIXED: Final = "fixed bands"
LABORATORIES: Final = ("eegmat", "SAM 40")
JUDGED: Final = "SAM 40 to eegmat"
TRAIN, TEST, NO_CHANGE = "training people", "tested people", "no change"
"""Names of the data sets of simulated people."""

METRIC: Final = "AUC"
_CLASSES: Final = {"rest": ("rest",), "arithmetic": ("arithmetic",)}
_SIMULATED_CLASSES: Final = {"rest": ("rest",), "task": ("task",)}
_BOOTSTRAP_SEED: Final = 23


@dataclass(frozen=True, eq=False)
class LiftingClassifier:
    """Logistic regression on sub-bands, with lifting learned in each fold, or on bands.

    Parameters
    ----------
    rows
        Windows of the table that is evaluated.
    kind
        Name of the features: `LEARNED`, `WAVELET` or `FIXED`.
    learning
        Settings of the learning.
    taps
        Learned taps by fold, which are added.
    """

    rows: LiftingRows
    kind: str
    learning: Learning
    taps: dict[str, Array]

    def __call__(self, given: FoldData) -> Array:
        """Return the probabilities of the classes, shape (test rows, classes)."""
        people = given.table["subject"].to_numpy()
        x = _relative(self._features(given), people, self.rows.baseline)
        train = given.fold.train
        model = classifier().fit(x[train], given.y[train])
        return np.asarray(model.predict_proba(x[given.fold.test]))

    def _features(self, given: FoldData) -> Array:
        if self.kind == FIXED:
            return self.rows.fixed
        if self.kind == WAVELET:
            return self.rows.lifted(wavelet(self.learning.steps))
        taps = self._learned(given)
        self.taps[given.fold.name] = taps
        return self.rows.lifted(taps)

    def _learned(self, given: FoldData) -> Array:
        """Return taps learned on the training participants' windows and baselines."""
        people = given.table["subject"].to_numpy()
        train = np.zeros(len(people), np.bool_)
        train[given.fold.train] = True
        resting = self.rows.baseline & np.isin(people, people[train])
        used = train | resting
        return learned(
            self.learning,
            self.rows.spectra[used],
            given.y[used],
            people[used],
            resting[used],
            given.seed,
        )


def classifier() -> Any:
    """Return the classifier of all features."""
    regression = LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=2000)
    return make_pipeline(StandardScaler(), regression)


def _relative(values: Array, people: Any, baseline: Any) -> Array:
    """Return features less the mean of the participant's baseline."""
    out = np.empty_like(values)
    for who in np.unique(people):
        rows = people == who
        out[rows] = values[rows] - values[rows & baseline].mean(axis=0)
    return out


@dataclass(frozen=True)
class LiftingComparison:
    """Learned lifting, its wavelet and fixed bands, with the same classifier.

    Parameters
    ----------
    learning
        Settings of the learning, chosen on inner folds of SAM 40.
    held_out
        Participants that are left out at once, by laboratory.
    people
        Numbers of simulated participants that train and that are tested.
    shift
        Simulated change of power inside a fixed band.
    """

    learning: Learning
    held_out: Mapping[str, int]
    people: tuple[int, int] = (100, 300)
    shift: float = 0.3

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Figures:  # noqa: ARG002
        """Return the scores of all protocols with every seed of the primary.

        Parameters
        ----------
        root
            The folder with ``eegmat`` and ``sam40``.
        table
            Unused: windows are made from recordings.
        """
        begin = time.monotonic()
        seeds = Primary.read(FOLDER / FILE).seeds
        both = rows_of([t for name in LABORATORIES for t in laboratory(root, name)])
        parts: dict[str, dict[str, Any]] = {}
        scores: dict[str, Scores] = {}
        for name in LABORATORIES:
            only = rows_of(laboratory(root, name))
            by = protocol("leave-n-subjects-out", n=self.held_out[name])
            key = f"{name}, participants left out"
            parts[key], scores[key] = self.part(only, by, _CLASSES, seeds)
        for train, test in (LABORATORIES, LABORATORIES[::-1]):
            key = f"{train} to {test}"
            by = protocol("cross-dataset", test=test)
            parts[key], scores[key] = self.part(both, by, _CLASSES, seeds)
        for key, shift in ((TEST, self.shift), (NO_CHANGE, 0.0)):
            people = self.simulated(shift)
            by = protocol("cross-dataset", test=TEST)
            key = f"simulated, {key}"
            parts[key], scores[key] = self.part(people, by, _SIMULATED_CLASSES, seeds)
        result = Figures(
            "eegmat and SAM 40; simulated EEG",
            "several",
            tuple(
                {**row, "metric": f"{METRIC}, {name}"}
                for name, part in parts.items()
                for row in part["rows"]
            ),
            details={"splits": parts},
            config=config.describe(self),
            seconds=time.monotonic() - begin,
        )
        return with_judgements(
            result,
            FOLDER,
            real=scores[JUDGED],
            simulated=scores[f"simulated, {TEST}"],
        )

    def simulated(self, shift: float, seed: int = 20_000) -> LiftingRows:
        """Return windows of simulated people; those that are tested have a later seed.

        Parameters
        ----------
        shift
            Change of power in the task.
        seed
            Seed of the people who are tested; those who train have half of it.
        """
        train, test = self.people
        return rows_of(
            [
                *simulated_trials(TRAIN, train, shift, seed // 2),
                *simulated_trials(TEST, test, shift, seed),
            ]
        )

    def part(
        self,
        rows: LiftingRows,
        by: Any,
        classes: Mapping[str, tuple[str, ...]],
        seeds: tuple[int, ...],
    ) -> tuple[dict[str, Any], Scores]:
        """Return figures of a protocol, and scores by seed, model and participant."""
        named = {f"x.{k}": rows.fixed[:, k] for k in range(rows.fixed.shape[1])}
        table = pd.concat([rows.table, pd.DataFrame(named)], axis=1)
        task = Task(table, classes, columns=list(named), included=~rows.baseline)
        taps: dict[int, dict[str, Array]] = {}
        scores: dict[int, dict[str, dict[str, float]]] = {}
        for seed in seeds:
            taps[seed] = {}
            kinds = (LEARNED, WAVELET, FIXED) if seed == seeds[0] else (LEARNED,)
            models = {
                kind: LiftingClassifier(rows, kind, self.learning, taps[seed])
                for kind in kinds
            }
            options = EvaluationOptions((METRIC,), time_only=False, seed=seed)
            evaluation = evaluate(task, by, models, options)
            by_model = {r["model"]: r["per_participant"] for r in evaluation.rows}
            scores[seed] = {**scores.get(seeds[0], {}), **by_model}
        means = {
            kind: {
                who: float(np.mean([s[kind][who] for s in scores.values()]))
                for who in scores[seeds[0]][kind]
            }
            for kind in (LEARNED, WAVELET, FIXED)
        }
        summaries = [
            statistics.summary(kind, METRIC, m, _BOOTSTRAP_SEED)
            for kind, m in means.items()
        ]
        part = {
            "rows": summaries,
            "paired": statistics.paired_differences(
                summaries, LEARNED, _BOOTSTRAP_SEED
            ),
            "seeds": [
                round(float(np.mean(list(s[LEARNED].values()))), 4)
                for s in scores.values()
            ],
            "windows": int((~rows.baseline).sum()),
            "centres": {
                "wavelet": centres(wavelet(self.learning.steps)),
                **{str(s): centres(next(iter(t.values()))) for s, t in taps.items()},
            },
        }
        print({k: float(np.mean(list(m.values()))) for k, m in means.items()})
        return part, scores


def centres(taps: Array) -> list[float]:
    """Return the mean frequency of each sub-band's power response (Hz)."""
    import torch

    frequencies = torch.linspace(0, 0.5, 513, dtype=torch.float64)
    response = powers(torch.as_tensor(taps), frequencies)
    mean = (response * frequencies).sum(dim=1) / response.sum(dim=1)
    return [round(float(m) * RATE, 1) for m in mean]
