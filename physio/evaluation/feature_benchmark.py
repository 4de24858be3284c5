"""Benchmark of models on a table of features, configured by an evaluation file."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from physio import config
from physio.datasets import feature_table
from physio.evaluation import baseline_correction, missing_features, splits
from physio.evaluation.evaluate import Evaluation, EvaluationOptions, Task, evaluate
from physio.evaluation.folds import Folds
from physio.evaluation.models.adaptive_lda import ConditionMeanRating, ConditionOracle
from physio.evaluation.models.baselines import MajorityClass, TimeOnly
from physio.models.baseline import transform


@dataclass(frozen=True)
class FeatureBenchmark:
    """Comparison of models on a feature table written by `physio extract`.

    Each field is a key of the evaluation file, hence more than 14 fields.

    Parameters
    ----------
    models
        Models by name: classes of scikit-learn, of
        `physio.evaluation.models.baselines`, or any callable frozen dataclass with the
        same signature.
    protocol
        Name of the split: see `physio.evaluation.splits.PROTOCOLS`.
    settings
        Settings of the protocol.
    classes
        Name of each class, and the labels that belong to it.
    target
        Numeric target column of a regression, as ``rating.arousal``, in place of
        classes.
    features
        Features that models may read: names of columns, or prefixes of the names before
        a dot (``eda``); by default all.
    baseline_seconds, embargo, baseline_label
        Duration of the baseline that features are measured against (s), time after it
        before windows count (s), and its label: see
        `physio.evaluation.baseline_correction.baseline_correct`. With
        ``baseline_seconds`` 0, features stay as they are.
    transforms
        Transform of each feature before baseline correction, by feature name: ``raw``,
        ``sqrt`` or ``log``; by default raw.
    test_labels
        Labels of test rows; rows with other labels only train. By default the labels of
        all classes.
    order_labels
        Labels whose order in time groups the participants; by default the classes.
    oracle
        Whether to add a model that knows the condition: see
        `physio.evaluation.models.adaptive_lda.ConditionOracle`.
    expected
        Classifiers of the condition, by name. From each, a model is made that predicts
        the mean rating of the condition: see
        `physio.evaluation.models.adaptive_lda.ConditionMeanRating`.
    test_spacing
        Least time between the starts of test windows (s).
    per_segment
        Whether to average outputs over each segment of a recording.
    metrics
        Names of metrics: see `physio.evaluation.metrics`.
    reference
        Name of the model that all others are compared with.
    missing_rates
        Rates of features that are missing at random in the test, as ``[0.0, 0.5,
        1.0]``: see `physio.evaluation.missing_features`.
    population
        Column with the population of each participant, by which results are also
        given, as ``"skin"``; no model reads it.
    controls
        Whether to add two models without physiology, named ``majority class`` and
        ``time only``.
    seed
        Seed of all random numbers.
    """

    models: Mapping[str, Any]
    protocol: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    target: str = ""
    features: tuple[str, ...] = ()
    baseline_seconds: float = 0.0
    embargo: float = 60.0
    baseline_label: str = "baseline"
    transforms: Mapping[str, str] = field(default_factory=dict)
    test_labels: tuple[str, ...] = ()
    order_labels: tuple[str, ...] = ()
    oracle: bool = False
    expected: Mapping[str, Any] = field(default_factory=dict)
    test_spacing: float = 0.0
    per_segment: bool = False
    metrics: tuple[str, ...] = ()
    reference: str = ""
    missing_rates: tuple[float, ...] = ()
    population: str = ""
    controls: bool = True
    seed: int = 23

    def __post_init__(self) -> None:
        if bool(self.classes) == bool(self.target):
            raise ValueError("either classes are told or a target, not both")
        if self.missing_rates:
            missing_features.checked(self.missing_rates)
        if self.reference and self.reference not in {*self.models, *self.expected}:
            raise ValueError(
                f"reference {self.reference!r} is none of the models "
                f"{', '.join(self.models)}"
            )
        for name, model in self.models.items():
            if not callable(model):
                raise ValueError(f"models.{name} is no model: it cannot be called")

    def evaluate(
        self,
        root: Path | None,
        table: pd.DataFrame | None,
        split: splits.Protocol | Folds | None = None,
    ) -> Evaluation:
        """Train and evaluate the models on a table, by ``split`` if it is given.

        Raises
        ------
        ValueError
            If there is no table, or it lacks a required column.
        """
        if table is None:
            raise ValueError("plain models need a table: give [table] or --table")
        models = self.candidates(root, table)
        evaluation = evaluate(
            self.task(table),
            split or splits.protocol(self.protocol, **self.settings),
            models,
            EvaluationOptions(
                metric_names=self.metrics,
                reference=self.reference,
                test_spacing=self.test_spacing,
                per_segment=self.per_segment,
                missing_rates=self.missing_rates,
                population=self.population,
                seed=self.seed,
            ),
            config=config.describe(self),
        )
        return replace(evaluation, notes=(*evaluation.notes, self.baseline))

    @property
    def baseline(self) -> str:
        """Seconds that serve as the baseline of each participant, in a sentence."""
        if self.baseline_seconds <= 0:
            return "baseline: none is subtracted from the features"
        return (
            "baseline: the features of each participant less their mean over the first "
            f"{self.baseline_seconds:g} s of {self.baseline_label!r}"
        )

    def candidates(self, root: Path | None, table: pd.DataFrame) -> dict[str, Any]:
        """Return the models that are compared, by name."""
        del root
        models = dict(self.models)
        if self.controls:
            models |= {"majority class": MajorityClass(), "time only": TimeOnly()}
        labels = table[feature_table.LABEL].astype(str).str.split().str[0].fillna("")
        if self.oracle:
            models["oracle"] = ConditionOracle(labels.to_numpy())
        for name, model in self.expected.items():
            models[name] = ConditionMeanRating(model, labels.to_numpy())
        return models

    def task(self, table: pd.DataFrame) -> Task:
        """Return the target, features and rows of the evaluation of a table."""
        names = self._columns(table)
        table = self._scaled(table, names)
        calibration = included = y = None
        if self.baseline_seconds > 0:
            corrected = baseline_correction.baseline_correct(
                table,
                names,
                baseline_seconds=self.baseline_seconds,
                embargo=self.embargo,
                label=self.baseline_label,
            )
            table, calibration, included = corrected
        if self.target:
            if self.target not in table.columns:
                raise ValueError(
                    f"the table has no column {self.target!r}; it has "
                    f"{', '.join(map(str, table.columns))}"
                )
            y = table[self.target].to_numpy(float)
        dataset = ""
        if "dataset" in table.columns:
            dataset = " + ".join(table["dataset"].astype(str).unique())
        tested = None
        if self.test_labels:
            tested = table[feature_table.LABEL].isin(self.test_labels).to_numpy()
        order = None
        if self.order_labels:
            labels = table[feature_table.LABEL].astype(str)
            order = labels.where(labels.isin(self.order_labels), "").to_numpy()
        return Task(
            table,
            self.classes,
            y,
            None,
            names,
            calibration,
            included,
            dataset,
            tested,
            order,
        )

    def _scaled(self, table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
        if unknown := [name for name in self.transforms if name not in names]:
            raise ValueError(
                f"scales has {unknown[0]!r}, which is not read; read are "
                f"{', '.join(names)}"
            )
        x = table[names].to_numpy(float)
        transforms = [self.transforms.get(name, "raw") for name in names]
        transformed = table.copy()
        transformed[names] = transform(x, transforms)
        return transformed

    def _columns(self, table: pd.DataFrame) -> list[str]:
        every = [c for c in feature_table.features(table) if c != self.population]
        if not self.features:
            return every
        selected = [
            c
            for c in every
            if any(c == r or c.startswith(f"{r}.") for r in self.features)
        ]
        if not selected:
            raise ValueError(
                f"the table has no feature of {', '.join(self.features)}; it has "
                f"{', '.join(every)}"
            )
        return selected
