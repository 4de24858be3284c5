"""RBTransformer on EEG of film viewers: as published, and in held-out participants."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from physio import config
from physio.datasets.base import Dataset
from physio.datasets.feature_table import LABEL, RATING, features
from physio.evaluation import results, splits
from physio.evaluation.evaluate import Evaluation, EvaluationOptions, Task, evaluate
from physio.evaluation.models.baselines import MajorityClass
from physio.evaluation.models.nested_cv import NestedCV
from physio.features.eeg.differential_entropy import DifferentialEntropy
from physio.models import model_card
from physio.training import eeg_tokens
from physio.training.rbtransformer import RBTransformerClassifier

NAME: Final = "RBTransformer"
_FILM: Final = ("positive", "neutral", "negative")


@dataclass(frozen=True)
class RBTransformerBenchmark:
    """RBTransformer on a data set of films or videos, and its evaluation.

    A field for each key of an evaluation file, hence more than 14 fields.

    Parameters
    ----------
    dataset
        Import path of the data set: ``physio.datasets.deap:Deap``.
    recipe
        ``paper``: windows, features, dropped windows, oversampling and protocol as
        published. ``honest``: features as in a live session, relative to the
        participant's first rest.
    dimension
        Rating to predict: valence, arousal or dominance; if empty, the target emotion
        of the film.
    classes
        2 for low and high ratings, divided at ``threshold``; more for one class per
        whole number of the scale.
    threshold
        Lowest rating of the class high.
    baseline
        Duration of the baseline before the film (s), in the recipe ``paper``.
    rate
        Sampling rate for which filters are designed (Hz), in the recipe ``paper``.
    drop_fraction
        Proportion of windows that are dropped at random at the beginning.
    test_spacing
        Time from one window to the next (s), in the recipe ``honest``.
    model
        Training settings of the network.
    choices
        Alternative training settings, by name. On each outer fold, the best settings in
        inner folds of the training participants are used. Not in the recipe ``paper``.
    comparisons
        Other models, by name.
    protocol, settings
        See `physio.evaluation.splits.PROTOCOLS`.
    metrics
        Metrics by name.
    seed
        Random seed.

    Notes
    -----
    In the recipe ``honest`` the rest is the signal before second 0 of a participant's
    first trial of a session. If that is shorter than a window, as in DEAP, or absent,
    as in SEED, the whole first trial replaces it. The rest is in neither training nor
    test rows.
    """

    dataset: str
    recipe: Literal["paper", "honest"] = "paper"
    dimension: str = "valence"
    classes: int = 2
    threshold: float = 5.0
    baseline: float = 0.0
    rate: float = 128.0
    drop_fraction: float = 0.1
    test_spacing: float = 2.0
    model: RBTransformerClassifier = field(default_factory=RBTransformerClassifier)
    choices: Mapping[str, RBTransformerClassifier] = field(default_factory=dict)
    comparisons: Mapping[str, Any] = field(default_factory=dict)
    protocol: str = "paper-window-kfold"
    settings: Mapping[str, Any] = field(default_factory=dict)
    metrics: tuple[str, ...] = ("accuracy", "macro-F1")
    seed: int = 23

    def __post_init__(self) -> None:
        if not 0 <= self.drop_fraction < 1:
            raise ValueError(
                "drop_fraction must be at least 0 and below 1, not "
                f"{self.drop_fraction}"
            )
        if self.classes < 2:
            raise ValueError(f"classes must be 2 at least, not {self.classes}")
        if self.recipe == "honest" and self.protocol.startswith("paper-"):
            raise ValueError(
                f"the honest recipe has no protocol {self.protocol!r}, which leaks: it "
                "is loso, trial-blocked or time-blocked"
            )

        if self.recipe == "paper" and self.choices:
            raise ValueError("the paper's recipe has one setting: it chooses nothing")

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Evaluation:
        """Train and evaluate without storing networks."""
        return self._judged(self._table(root, None) if table is None else table, None)

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:
        """Train and evaluate, and store all in a folder; continue a stopped run.

        Parameters
        ----------
        root
            The data set's folder.
        out
            Folder for the windows (``windows.parquet``), the results, and a folder per
            trained network with its last checkpoint and its ``curve.json``.

        Raises
        ------
        ValueError
            If no folder for the run is named, or the data are invalid.
        """
        if out == model_card.STORE:
            raise ValueError("a run keeps its networks: say where, with --out RUN")
        table = self._table(root, out / "windows.parquet")
        evaluation = self._judged(table, out / "networks")
        results.save(evaluation, out)
        plain: dict[str, Any] = json.loads(results.dumped(evaluation.to_dict()))
        return {**plain, "table": results.summary(evaluation)}

    def _table(self, root: Path | None, keep: Path | None) -> pd.DataFrame:
        if root is None:
            raise ValueError(f"{self.dataset} is needed: say where it is, with --data")
        data: Dataset = config.build({"use": self.dataset, "root": root}, "dataset")
        settings = {
            k: getattr(self, k)
            for k in ("dataset", "recipe", "baseline", "rate", "test_spacing")
        }
        files = [
            [str(p.relative_to(root)), p.stat().st_size, p.stat().st_mtime_ns]
            for p in sorted(root.rglob("*"))
            if p.is_file()
        ]
        mark = json.dumps([settings, files, version("physio-affect")])
        return eeg_tokens.cached_table(
            keep, mark, lambda: eeg_tokens.table(data, self._maker())
        )

    def _maker(self) -> eeg_tokens.Maker:
        if self.recipe == "paper":
            return lambda r: eeg_tokens.published(r, self.baseline, self.rate)
        stage = DifferentialEntropy(step=0.5)
        return lambda r: eeg_tokens.continuous(r, stage, self.test_spacing)

    def _judged(self, table: pd.DataFrame, folder: Path | None) -> Evaluation:
        models = {
            NAME: self._network(folder),
            **self.comparisons,
            "majority class": MajorityClass(),
        }
        evaluation = evaluate(
            self.work(table),
            splits.protocol(self.protocol, **self.settings),
            models,
            EvaluationOptions(
                metric_names=self.metrics, time_only=False, seed=self.seed
            ),
            config=config.describe(self),
        )
        return replace(evaluation, notes=tuple(self._notes(models)))

    def _network(self, folder: Path | None) -> RBTransformerClassifier | NestedCV:
        """Return the network, or the choice among its training settings."""
        first = replace(self.model, folder=folder)
        if not self.choices:
            return first
        others = {k: replace(m, folder=folder) for k, m in self.choices.items()}
        return NestedCV({"model": first, **others}, metric=self.metrics[0])

    def work(self, table: pd.DataFrame) -> Task:
        """Return the prediction task: rows, classes and features."""
        labels, classes = self._labels(table)
        names = features(table)
        usable = np.isfinite(table[names].to_numpy(np.float64)).any(axis=1)
        usable &= labels != ""
        calibration = None
        if self.recipe == "honest":
            table, calibration = _centred(table, names)
            usable &= ~calibration
        rng = np.random.default_rng(self.seed)
        usable &= rng.random(len(table)) >= self.drop_fraction
        named = table.assign(**{LABEL: labels})
        columns = {c: (c,) for c in classes if (labels[usable] == c).any()}
        return Task(
            named, columns, None, None, names, calibration, usable,
            str(table["dataset"].iloc[0]),
        )  # fmt: skip

    def _labels(self, table: pd.DataFrame) -> tuple[Any, list[str]]:
        """Return the class of each row, empty for none, and all classes in order."""
        if not self.dimension:
            given = table[LABEL].astype(str).to_numpy()
            return np.where(np.isin(given, _FILM), given, ""), list(_FILM)
        column = f"{RATING}{self.dimension}"
        if column not in table.columns:
            raise ValueError(
                f"{self.dataset} has no ratings of {self.dimension!r}: "
                f"{', '.join(c for c in table.columns if c.startswith(RATING))}"
            )
        scores = table[column].to_numpy(np.float64)
        if self.classes == 2:
            names = ["low", "high"]
            assigned = np.where(scores >= self.threshold, "high", "low")
        else:
            names = [str(k + 1) for k in range(self.classes)]
            assigned = np.floor(np.nan_to_num(scores)).astype(int).astype(str)
        return np.where(np.isfinite(scores), assigned, ""), names

    def _notes(self, models: Mapping[str, Any]) -> Iterator[str]:
        """Yield notes on the protocol and on the number of settings of each model."""
        if self.recipe == "paper":
            yield (
                "The recipe of RBTransformer's authors (arXiv 2511.13954): windows of "
                "one trial, that share 77 % of their samples, train and test. Nothing "
                "of these figures holds for a participant or a trial never seen."
            )
        for name, model in models.items():
            if isinstance(model, NestedCV):
                yield model.describe_choices(name)
            else:
                yield f"{name}: one setting, which touched each outer fold once."


def _centred(table: pd.DataFrame, names: list[str]) -> tuple[pd.DataFrame, Any]:
    """Return features relative to each participant's first rest, and rows of rest."""
    x = table[names].to_numpy(np.float64)
    whole = np.isfinite(x).all(axis=1)
    before = (table[LABEL] == eeg_tokens.BEFORE).to_numpy()
    calibration = np.zeros(len(table), np.bool_)
    sessions = table.groupby(["subject", "session"], sort=False).indices
    for rows in sessions.values():
        first = rows[(table["trial"].iloc[rows] == table["trial"].iloc[rows[0]])]
        rest = first[before[first] & whole[first]]
        if not len(rest):
            rest = first[whole[first]]
        if not len(rest):
            raise ValueError("a participant's first trial has no whole window")
        calibration[first] = True
        x[rows] -= x[rest].mean(axis=0)
    relative = pd.DataFrame(x, table.index, names)
    return pd.concat([table.drop(columns=names), relative], axis=1), calibration
