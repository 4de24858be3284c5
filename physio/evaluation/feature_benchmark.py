"""Plain models on a table of features, as an evaluation file describes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from physio import config
from physio.datasets import feature_table
from physio.evaluation import baseline_correction, splits
from physio.evaluation.evaluate import Evaluation, Task, evaluate
from physio.evaluation.models.adaptive_lda import ConditionMeanRating, ConditionOracle
from physio.evaluation.models.baselines import MajorityClass, TimeOnly
from physio.models.baseline import transform


@dataclass(frozen=True)
class FeatureBenchmark:
    """Models compared on a table that `physio extract` makes.

    Parameters
    ----------
    models
        By name, each of `physio.evaluation.models.baselines` or any frozen dataclass
        that can be called like one.
    protocol
        By name: see `physio.evaluation.splits.PROTOCOLS`.
    settings
        Of the protocol.
    classes
        Name of each class, and the labels that are of it.
    target
        In place of classes: a column of numbers, as ``rating.arousal``.
    reads
        Features that may be read: columns, or what they begin with before a dot
        (``skin``); by default all.
    rest, gap, rest_label
        How much rest (s) participants's features are measured against, how long after
        it windows begin to count (s), and what it is called: see
        `physio.evaluation.baseline_correction.baseline_correct`. With ``rest`` 0,
        features stay as they are.
    scales
        How a feature is read before it is measured against rest: ``raw``, ``sqrt`` or
        ``log``, by its name; raw where it does not say.
    tests
        Labels that test; the others only train. By default all of the classes'.
    order
        Labels by whose order participants are told apart; by default the classes.
    oracle
        Whether a model that knows the condition is among them: see
        `physio.evaluation.models.adaptive_lda.ConditionOracle`.
    expected
        Classifiers of the condition, by name, each of which answers what participants
        rate in it: see `physio.evaluation.models.adaptive_lda.ConditionMeanRating`.
    every
        Windows that test begin at least so far apart (s).
    by_part
        Whether outputs are averaged over each part of a recording.
    measures
        By name: see `physio.evaluation.metrics`.
    reference
        The model that is compared with each other one.
    controls
        Whether two models that see no physiology are among them, under the names
        ``majority class`` and ``time only``.
    seed
        Of all chance.
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
    controls: bool = True
    seed: int = 23

    def __post_init__(self) -> None:
        if bool(self.classes) == bool(self.target):
            raise ValueError("either classes are told or a target, not both")
        if self.reference and self.reference not in {*self.models, *self.expected}:
            raise ValueError(
                f"reference {self.reference!r} is none of the models "
                f"{', '.join(self.models)}"
            )
        for name, model in self.models.items():
            if not callable(model):
                raise ValueError(f"models.{name} is no model: it cannot be called")

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Evaluation:
        """Train and judge the models on a table.

        Raises
        ------
        ValueError
            If there is no table, or it has not what is asked.
        """
        if table is None:
            raise ValueError("plain models need a table: give [table] or --table")
        models = self.candidates(root, table)
        return evaluate(
            self.task(table),
            splits.protocol(self.protocol, **self.settings),
            models,
            metric_names=self.metrics,
            reference=self.reference,
            test_spacing=self.test_spacing,
            per_segment=self.per_segment,
            seed=self.seed,
            config=config.describe(self),
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
        """Return what is to be told of which rows of a table."""
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
        every = feature_table.features(table)
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
