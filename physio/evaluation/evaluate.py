"""Evaluation of models on held-out participants, with an audit for leakage.

Any model that `physio.evaluation.models.baselines.Model` describes can be evaluated:
scikit-learn estimators, networks on windows, controls without physiology. A model never
receives the targets of test rows.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from physio.core.block import Array
from physio.datasets import feature_table
from physio.datasets.feature_table import LABEL, RATING
from physio.evaluation import (
    baseline_correction,
    metrics,
    missing_features,
    populations,
    statistics,
)
from physio.evaluation.class_calibration import (
    calibration_slope,
    expected_error,
    reliability_table,
)
from physio.evaluation.folds import Fold, Folds, fingerprint
from physio.evaluation.leakage.audit import Audit, audit
from physio.evaluation.models.baselines import UNKNOWN, FoldData, Model
from physio.evaluation.row_index import ORDER, Codes, RowIndex
from physio.evaluation.splits import Protocol, divide

_LIBRARIES: Final = ("physio-affect", "numpy", "scipy", "scikit-learn", "torch")
ANSWER_RATE: Final = "answer rate"
Hide = Callable[[FoldData], FoldData]
_VARIES: Final = 0.05  # least range of probabilities that are more than frequencies


@dataclass(frozen=True, eq=False)
class Task:
    """Target, features and rows of an evaluation.

    Parameters
    ----------
    table
        The rows, as `physio.datasets.feature_table` describes them. Rows whose label
        belongs to no class (or whose ``y`` is NaN) neither train nor test, but can be
        calibration rows of a participant.
    classes
        Name and labels of each class, ``{"stress": ("stress",), "calm": ("baseline",
        "amusement")}``, in order; empty for regression.
    y
        Target of a regression, shape (n,), NaN where missing.
    x
        Inputs of models, shape (n, ...), as windows or tokens; by default ``columns``.
    columns
        Features of the table that models may read, and that are audited; by default
        all, or none if ``x`` is given.
    calibration
        Mask of the baseline rows by which features were corrected, shape (n,): see
        `physio.evaluation.baseline_correction`.
    included
        Mask of the rows that may train and test, shape (n,); by default all but
        calibration.
    dataset
        Name of the data set, for citation.
    testable
        Mask of the rows that may test, shape (n,); the others only train. By default
        all.
    order_labels
        Labels, shape (n,), whose order in time groups the participants; an empty label
        excludes the row from the order; by default the classes. See
        `physio.evaluation.splits.LeaveOrderOut`.
    """

    table: pd.DataFrame
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    y: Any = None
    x: Any = None
    columns: Sequence[str] | None = None
    calibration: Any = None
    included: Any = None
    dataset: str = ""
    testable: Any = None
    order_labels: Any = None

    def __post_init__(self) -> None:
        if bool(self.classes) == (self.y is not None):
            raise ValueError(
                "a task has either classes or numbers (y), not both or none"
            )
        for name, part in (("y", self.y), ("x", self.x)):
            if part is not None and len(part) != len(self.table):
                raise ValueError(
                    f"{name} has {len(part)} rows, and the table {len(self.table)}"
                )

    @property
    def names(self) -> list[str]:
        """Columns that models read."""
        if self.columns is not None:
            return list(self.columns)
        return [] if self.x is not None else feature_table.features(self.table)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Results of an evaluation, participant by participant.

    Parameters
    ----------
    dataset, protocol
        Names of the data set and of the split.
    participants
        Codes of the tested participants.
    rows
        Results for each model and metric: see `physio.evaluation.statistics.summary`;
        ``pooled`` is the metric over the rows of all participants.
    paired
        Differences between the reference model and each other one: see
        `physio.evaluation.statistics.paired_differences`.
    audit, folds
        Audit of the split, and the split.
    outputs
        Output of each model for each tested row, shape (m, k).
    tested
        The tested rows: subject, session, trial, segment, start, and ``y``.
    classes
        Names of the columns of ``outputs``; empty for regression.
    config
        Configuration of the evaluation, for the report.
    seconds
        Duration of the evaluation (s).
    notes
        Remarks for the reader of the figures, a sentence each.
    details
        Further figures, which JSON can hold.
    """

    dataset: str
    protocol: str
    participants: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    paired: tuple[dict[str, Any], ...]
    audit: Audit
    folds: Folds
    outputs: Mapping[str, Array]
    tested: pd.DataFrame
    classes: tuple[str, ...] = ()
    config: Any = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def leaks(self) -> bool:
        """True if the split leaks, so that the scores are biased upwards."""
        return not self.audit.ok

    @property
    def balance(self) -> dict[str, int]:
        """Number of tested rows of each class."""
        y = self.tested["y"]
        return {c: int((y == k).sum()) for k, c in enumerate(self.classes)}

    @cached_property
    def reliability(self) -> list[dict[str, Any]]:
        """Reliability of each model's probabilities; empty for regression.

        ``model``, ``slope`` with ``low`` and ``high``, ``error`` and ``bins``: see
        `physio.evaluation.class_calibration`.
        """
        out = []
        for model, output in self.outputs.items() if self.classes else ():
            known = np.isfinite(output).all(axis=1)
            if not known.any() or np.ptp(output[known], axis=0).max() < _VARIES:
                continue  # frequencies of the classes have no reliability
            y = self.tested["y"].to_numpy(np.intp)[known]
            people = _participants(RowIndex(self.tested))[known]
            slope, low, high = calibration_slope(output[known], y, people)
            bins = reliability_table(output[known], y, people)
            out.append(
                {
                    "model": model,
                    "slope": slope,
                    "low": low,
                    "high": high,
                    "error": expected_error(bins),
                    "bins": bins,
                }
            )
        return out

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as a JSON object."""
        return {
            "dataset": self.dataset,
            "protocol": self.protocol,
            "leaks": self.leaks,
            "participants": list(self.participants),
            "rows": list(self.rows),
            "paired": list(self.paired),
            "audit": self.audit.to_dict(),
            "balance": self.balance,
            "classes": list(self.classes),
            "models_tested": len(self.outputs),
            "reliability": self.reliability,
            "folds": self.folds.summary(),
            "notes": list(self.notes),
            "details": dict(self.details),
            "config": self.config,
            "versions": {k: version(k) for k in _LIBRARIES},
            "seconds": round(self.seconds, 1),
        }

    def figure(self, model: str, metric: str) -> dict[str, Any]:
        """Return the row of the results for a model and a metric."""
        for row in self.rows:
            if (row["model"], row["metric"]) == (model, metric):
                return row
        raise ValueError(f"there is no {metric!r} of {model!r} in this evaluation")


@dataclass(frozen=True)
class EvaluationOptions:
    """Options of an evaluation.

    Parameters
    ----------
    metric_names
        Names of metrics (`physio.evaluation.metrics`); by default macro-F1, AUC and
        accuracy, or RMSE, mean absolute error, r and CCC.
    reference
        Model that is compared with each other one, participant by participant; empty
        for none.
    test_spacing
        Least time between the starts of test windows (s); 0: all windows test.
    per_segment
        True to average outputs over each segment of a recording before scoring, for
        data sets with one rating per segment.
    time_only
        True to train the audit's time-only control (see
        `physio.evaluation.leakage.time_confound`).
    missing_rates
        Rates of test features that are missing at random: every model is also scored,
        by the first metric, at each rate (`physio.evaluation.missing_features`). It is
        trained anew for each. By default none.
    population
        Column of the table with the population of each participant, by which results
        are also given (`physio.evaluation.populations`); no model reads it. By default
        none.
    seed
        Seed of models and bootstrap.
    """

    metric_names: Sequence[str] = ()
    reference: str = ""
    test_spacing: float = 0.0
    per_segment: bool = False
    time_only: bool = True
    missing_rates: Sequence[float] = ()
    population: str = ""
    seed: int = 23


_DEFAULTS: Final = EvaluationOptions()


def evaluate(
    task: Task,
    split: Protocol | Folds,
    models: Mapping[str, Model],
    options: EvaluationOptions = _DEFAULTS,
    *,
    config: Any = None,
    on_progress: Callable[[str, str], None] | None = None,
) -> Evaluation:
    """Train and test each model on each fold; return scores of each participant.

    Parameters
    ----------
    task
        Target, features and rows.
    split
        The protocol, or folds of ``task.table`` or of its labelled rows. They name the
        labels of the study: classes may merge them.
    models
        Models by name, including baselines
        (`physio.evaluation.models.baselines.MajorityClass`, `TimeOnly`).
    options
        Metrics, comparisons and test rows.
    config
        Configuration to store with the results.
    on_progress
        Callback at the start of each fold, with the names of the model and the fold.

    Raises
    ------
    ValueError
        If the split leaks and is not for the reproduction of a paper, or arguments do
        not match.
    """
    began = time.monotonic()
    table, y, classes = _targets(task)
    rows = RowIndex(table)
    folds = _folds(task, split, rows, _included(task, y, classes), options.test_spacing)
    control = options.time_only and bool(classes)
    relabelled = replace(folds, table=fingerprint(table))
    proved = audit(rows, relabelled, task.names, time_only=control).check()
    x = task.x if task.x is not None else table[task.names].to_numpy(np.float64)
    known = rows.without(_withheld(table, task.names, options.population))
    at = np.sort(np.concatenate([f.test for f in folds.folds]))
    codes = _participants(rows)[at]
    measures = [
        (name, metrics.measure(name, classes=bool(classes)))
        for name in _metric_names(options.metric_names, classes)
    ]

    scorer = _Scorer(
        models, (x, y, known, classes), folds, at, (codes, rows.segments[at]), options,
        on_progress,
    )  # fmt: skip
    results, selected_outputs = scorer.scores(measures)
    details = {}
    if options.missing_rates:
        areas, details[missing_features.CURVES] = scorer.over_rates(task, measures[0])
        results += areas
    if options.population:
        details[populations.KEY] = populations.by_population(
            results, scorer.populations(table), options.seed
        )
    paired: list[dict[str, Any]] = []
    if options.reference:
        paired = statistics.paired_differences(results, options.reference, options.seed)
    place = [
        c for c in ("dataset", *feature_table.PLACE, "start_s") if c in table.columns
    ]
    return Evaluation(
        dataset=task.dataset,
        protocol=folds.protocol,
        participants=tuple(dict.fromkeys(codes.tolist())),
        rows=tuple(results),
        paired=tuple(paired),
        audit=proved,
        folds=folds,
        outputs=selected_outputs,
        tested=table.iloc[at][place].assign(y=y[at]).reset_index(drop=True),
        classes=classes,
        config=config,
        seconds=time.monotonic() - began,
        details=details,
    )


class _Scorer(NamedTuple):
    """Training and scores of models on one split.

    ``known``: inputs, targets, rows and classes; ``at``: the tested rows; ``groups``:
    participant and segment of each.
    """

    models: Mapping[str, Model]
    known: tuple[Any, Any, RowIndex, tuple[str, ...]]
    folds: Folds
    at: Any
    groups: tuple[Codes, Codes]
    options: EvaluationOptions
    on_progress: Callable[[str, str], None] | None

    def scores(
        self,
        measures: Sequence[tuple[str, metrics.Measure]],
        hide: Hide | None = None,
    ) -> tuple[list[dict[str, Any]], dict[str, Array]]:
        """Return the rows of results, and the outputs that they are computed from."""
        seed = self.options.seed
        outputs = {
            name: _outputs(
                model, name, self.known, self.folds, seed, self.on_progress, hide
            )[self.at]
            for name, model in self.models.items()
        }
        y = self.known[1][self.at]
        per_segment = self.options.per_segment
        return _rows(
            outputs, (y, *self.groups), measures, seed, per_segment=per_segment
        )

    def populations(self, table: pd.DataFrame) -> dict[str, str]:
        """Return the population of each tested participant."""
        tested = table.iloc[self.at]
        return populations.population_of(
            tested, self.options.population, self.groups[0]
        )

    def over_rates(
        self, task: Task, measure: tuple[str, metrics.Measure]
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return areas and curves: see `physio.evaluation.missing_features`."""
        names = _features(task)

        def rescored(missing: missing_features.Mask) -> list[dict[str, Any]]:
            def hide(given: FoldData) -> FoldData:
                return missing_features.hidden(given, names, missing)

            return self.scores((measure,), hide)[0]

        shape = len(task.table), len(names)
        options = self.options
        return missing_features.over_rates(
            shape, options.missing_rates, measure[0], options.seed, rescored
        )


def _features(task: Task) -> list[str]:
    """Return the features that can be missing at random."""
    if task.x is not None or not task.names:
        raise ValueError(
            "missing_rates hides features of a table, and these models read windows "
            "or tokens: evaluate a table of features, or leave missing_rates out"
        )
    return task.names


def _folds(
    task: Task,
    split: Protocol | Folds,
    rows: RowIndex,
    included: Any,
    test_spacing: float,
) -> Folds:
    """Return folds of the task's table, restricted to rows that may train and test."""
    if isinstance(split, Folds):
        folds = _given(task, split)
    else:
        folds = replace(divide(rows, split), table=fingerprint(task.table))
    calibration = np.zeros(len(rows.table), np.bool_)
    if task.calibration is not None:
        calibration = np.asarray(task.calibration, np.bool_)
    folds = baseline_correction.restrict(
        folds.of(task.table), rows, included, calibration
    )
    if not folds.folds:
        raise ValueError(
            f"{folds.protocol} leaves nothing to train on and to test: of "
            f"{len(rows.table)} rows, {int(included.sum())} have a target and are not "
            "calibration"
        )
    if task.testable is not None:
        folds = baseline_correction.restrict_test(
            folds, np.asarray(task.testable, np.bool_)
        )
    if test_spacing > 0:
        folds = baseline_correction.thin_test(folds, rows, test_spacing)
    return folds


def _given(task: Task, folds: Folds) -> Folds:
    """Return given folds, of the table or of its labelled rows, as folds of the table.

    Folds belong to the labels of the study, whichever classes are made of them.
    """
    table = task.table
    if folds.table and folds.table != fingerprint(table):
        labels = table[LABEL].astype(str)
        merged = [label for members in task.classes.values() for label in members]
        for used in (labels != "", labels.isin(merged)):
            rows = np.flatnonzero(used)
            if folds.table == fingerprint(table.iloc[rows]):
                return folds.lifted(rows, table)
    return folds.of(table)


def _targets(task: Task) -> tuple[pd.DataFrame, Any, tuple[str, ...]]:
    """Return the table with the classes as labels, the target, and the classes."""
    table = task.table
    if task.order_labels is not None:
        table = table.assign(**{ORDER: task.order_labels})
    if not task.classes:
        return table, np.asarray(task.y, np.float64), ()
    labels = table[LABEL].astype(str).to_numpy()
    y = np.full(len(labels), -1, np.intp)
    for k, (name, class_labels) in enumerate(task.classes.items()):
        members = np.isin(labels, list(class_labels))
        if not members.any():
            raise ValueError(
                f"no row is labelled {' or '.join(class_labels)}, for the class "
                f"{name!r}; there is {', '.join(sorted(set(labels) - {''}))}"
            )
        y[members] = k
    names = tuple(task.classes)
    class_names = np.array([*names, ""], object)[y]
    return table.assign(**{LABEL: class_names}), y, names


def _included(task: Task, y: Any, classes: tuple[str, ...]) -> Any:
    included = y >= 0 if classes else np.isfinite(y)
    if task.included is not None:
        return included & np.asarray(task.included, np.bool_)
    if task.calibration is not None:
        return included & ~np.asarray(task.calibration, np.bool_)
    return included


def _withheld(
    table: pd.DataFrame, names: Sequence[str], population: str = ""
) -> list[str]:
    """Return the columns that are withheld from models: answers, and the population."""
    if population and population in (*names, "dataset", *feature_table.PLACE):
        raise ValueError(
            f"population = {population!r} is a feature or identifies rows: name a "
            "column that no model reads"
        )
    return [
        str(c)
        for c in table.columns
        if c in (LABEL, ORDER, population) or str(c).startswith(RATING)
    ]


def _participants(rows: RowIndex) -> Codes:
    """Return the participant code of each row, prefixed by the data set if several."""
    table = rows.table
    if "dataset" in table.columns and table["dataset"].nunique() > 1:
        return np.array([c.replace("\x1f", " ") for c in rows.participants], np.str_)
    return rows.ids("subject")


def _outputs(
    model: Model,
    name: str,
    known: tuple[Any, Any, RowIndex, tuple[str, ...]],
    folds: Folds,
    seed: int,
    on_progress: Callable[[str, str], None] | None,
    hide: Hide | None = None,
) -> Array:
    """Train a model in each fold; return its outputs of test rows, NaN elsewhere."""
    x, y, rows, classes = known
    width = len(classes)
    output = np.full((len(y), max(width, 2)), np.nan)
    tested = np.zeros(len(y), np.bool_)
    for fold in folds.folds:
        if on_progress is not None:
            on_progress(name, fold.name)
        if tested[fold.test].any():
            raise ValueError(f"fold {fold.name!r} tests rows that another one tests")
        tested[fold.test] = True
        training_y = np.full(len(y), UNKNOWN[bool(classes)], y.dtype)
        training_y[fold.train] = y[fold.train]
        given = FoldData(x, training_y, rows.table, fold, classes, seed, rows)
        predicted = _predict(model, hide(given) if hide else given, name)
        output[fold.test, : predicted.shape[1]] = predicted
    return output


def _predict(model: Model, given: FoldData, name: str) -> Array:
    fold: Fold = given.fold
    try:
        predicted = np.asarray(model(given), np.float64)
    except ValueError as error:
        raise ValueError(f"model {name!r}, fold {fold.name!r}: {error}") from error
    predicted = predicted[:, None] if predicted.ndim == 1 else predicted
    rows = len(fold.test)
    widths = (len(given.classes),) if given.classes else (1, 2)
    if (
        predicted.ndim != 2
        or len(predicted) != rows
        or predicted.shape[1] not in widths
    ):
        raise ValueError(
            f"model {name!r} returned shape {predicted.shape} for {rows} rows of fold "
            f"{fold.name!r}; it should be {rows} by {' or '.join(map(str, widths))}"
        )
    return predicted


def _metric_names(wanted: Sequence[str], classes: tuple[str, ...]) -> Sequence[str]:
    if wanted:
        return wanted
    if classes:
        return ("macro-F1", "AUC", "accuracy")
    return ("RMSE", "mean absolute error", "r", "CCC")


def _rows(
    outputs: Mapping[str, Array],
    of: tuple[Any, Codes, Codes],
    measures: Sequence[tuple[str, metrics.Measure]],
    seed: int,
    *,
    per_segment: bool,
) -> tuple[list[dict[str, Any]], dict[str, Array]]:
    """Return the rows of results, and the outputs that they are computed from."""
    y, codes, units = of
    results = []
    for model, output in outputs.items():
        truth, who, predicted = y, codes, output
        if per_segment:
            truth, who, predicted = _averaged(y, codes, units, output)
        answers = np.isfinite(predicted[:, 0])
        for name, measure in measures:
            figures = {
                str(p): _figure(measure, truth, predicted, answers & (who == p))
                for p in dict.fromkeys(codes.tolist())
            }
            row = statistics.summary(model, name, figures, seed)
            row["pooled"] = round(_figure(measure, truth, predicted, answers), 4)
            results.append(row)
        if not answers.all():
            shares = {
                str(p): float(answers[who == p].mean())
                for p in dict.fromkeys(codes.tolist())
            }
            results.append(statistics.summary(model, ANSWER_RATE, shares, seed))
    return results, dict(outputs)


def _figure(measure: metrics.Measure, y: Any, output: Array, rows: Any) -> float:
    if not rows.any():
        return float("nan")
    predicted = output[rows]
    if not np.isfinite(predicted).all():
        predicted = predicted[:, :1]  # regression without a standard deviation
    return measure(y[rows], predicted)


def _averaged(
    y: Any, codes: Codes, units: Codes, output: Array
) -> tuple[Any, Codes, Array]:
    """Return the mean target and output of each segment."""
    _, first, at = np.unique(units, return_index=True, return_inverse=True)
    answers = np.isfinite(output[:, 0])
    count = np.bincount(at[answers], minlength=len(first))
    columns = [
        np.bincount(at[answers], column[answers], len(first)) / np.maximum(count, 1)
        for column in output.T
    ]
    averaged = np.where((count > 0)[:, None], np.stack(columns, axis=1), np.nan)
    if np.issubdtype(y.dtype, np.floating):
        y = (np.bincount(at, y) / np.bincount(at))[at]
    return y[first], codes[first], averaged


def together(evaluations: Mapping[str, Evaluation], config: Any = None) -> Evaluation:
    """Combine evaluations of the same participants; prefix the metrics of each.

    Outputs are combined from the evaluations with as many test rows as the first.

    Parameters
    ----------
    evaluations
        Evaluations by prefix: ``{"5 s ahead": ..., "15 s ahead": ...}``.
    config
        Configuration to store with the results.
    """
    first = next(iter(evaluations.values()))
    rows, paired, outputs = [], [], {}
    for name, evaluation in evaluations.items():
        rows += [{**r, "metric": f"{name}: {r['metric']}"} for r in evaluation.rows]
        paired += [{**r, "metric": f"{name}: {r['metric']}"} for r in evaluation.paired]
        if len(evaluation.tested) == len(first.tested):
            outputs.update({f"{k} ({name})": o for k, o in evaluation.outputs.items()})
    return replace(
        first,
        rows=tuple(rows),
        paired=tuple(paired),
        outputs=outputs,
        config=config,
        seconds=sum(e.seconds for e in evaluations.values()),
    )


def side_by_side(
    evaluations: Mapping[str, Evaluation], options: EvaluationOptions
) -> Evaluation:
    """Return the models of several evaluations of one target in one table.

    All are scored on the moments that every evaluation tested, so that models with
    other inputs, as features and windows, are compared on the same rows.

    Parameters
    ----------
    evaluations
        Evaluations by name, of the same target and protocol. Of models with the same
        name, as of controls, those of the first evaluation are scored.
    options
        Metrics, reference of the differences, seed.

    Raises
    ------
    ValueError
        If they have other classes, targets or protocols, or no common moment.
    """
    first = next(iter(evaluations.values()))
    # Models with other inputs rest on other samples before the same moment.
    other_support = ("support_start_sample", "y")
    place = [c for c in first.tested.columns if c not in other_support]
    common = first.tested
    for name, other in evaluations.items():
        if (other.classes, other.protocol) != (first.classes, first.protocol):
            raise ValueError(
                f"the evaluation {name!r} is of {other.protocol} and the classes "
                f"{', '.join(other.classes) or 'none'}, not of {first.protocol} and "
                f"{', '.join(first.classes) or 'none'}"
            )
        common = common.merge(other.tested[[*place, "y"]], on=[*place, "y"])
    if common.empty:
        raise ValueError(
            f"the evaluations {', '.join(evaluations)} tested no moment in common"
        )
    outputs: dict[str, Array] = {}
    for other in evaluations.values():
        numbered = other.tested[[*place, "y"]].assign(row=np.arange(len(other.tested)))
        at = common.merge(numbered, on=[*place, "y"])["row"].to_numpy(np.intp)
        outputs = {**{k: o[at] for k, o in other.outputs.items()}, **outputs}
    rows, y = RowIndex(common), common["y"].to_numpy()
    names = _metric_names(options.metric_names, first.classes)
    kinds = [(n, metrics.measure(n, classes=bool(first.classes))) for n in names]
    y = y.astype(np.intp) if first.classes else y
    codes = _participants(rows)
    results, _ = _rows(
        outputs, (y, codes, rows.segments), kinds, options.seed,
        per_segment=options.per_segment,
    )  # fmt: skip
    paired: list[dict[str, Any]] = []
    if options.reference:
        paired = statistics.paired_differences(results, options.reference, options.seed)
    return replace(
        first,
        participants=tuple(dict.fromkeys(codes.tolist())),
        rows=tuple(results),
        paired=tuple(paired),
        outputs=outputs,
        tested=common,
        seconds=sum(e.seconds for e in evaluations.values()),
    )
