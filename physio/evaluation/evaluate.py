"""Evaluation of models on held-out participants, with an audit for leakage.

Any model that `physio.evaluation.models.baselines.Model` describes can be judged: plain
estimators, networks on windows, controls that see no physiology. The answers of the
rows that test are never given to a model.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import pandas as pd

from physio.core.block import Array
from physio.datasets import feature_table
from physio.datasets.feature_table import LABEL, RATING
from physio.evaluation import baseline_correction, metrics, statistics
from physio.evaluation.folds import Fold, Folds
from physio.evaluation.leakage.audit import Audit, audit
from physio.evaluation.models.baselines import UNKNOWN, FoldData, Model
from physio.evaluation.row_index import ORDER, Codes, RowIndex
from physio.evaluation.splits import Protocol, divide

_LIBRARIES: Final = ("physio-affect", "numpy", "scipy", "scikit-learn", "torch")
ANSWER_RATE: Final = "answer rate"


@dataclass(frozen=True, eq=False)
class Task:
    """Target, features and rows of an evaluation.

    Parameters
    ----------
    table
        The rows, as `physio.datasets.feature_table` describes them. Rows whose label is
        of no class (or whose ``y`` is NaN) neither train nor test, but can be a
        participant's calibration.
    classes
        Name and labels of each class, ``{"stress": ("stress",), "calm": ("baseline",
        "amusement")}``, in order; empty for numbers.
    y
        For numbers: their values, shape (n,), NaN where there is none.
    x
        What models read, shape (n, ...): windows, tokens; by default ``columns``.
    columns
        Features of the table that models may read, and that are audited; by default
        all, or none if ``x`` is given.
    calibration
        Which rows participants's features were measured against, shape (n,): see
        `physio.evaluation.baseline_correction`.
    left
        Which rows may train and test, shape (n,); by default all but calibration.
    dataset
        What to cite.
    tested
        Which rows may test, shape (n,); the others only train. By default all.
    orders
        Labels by whose order participants are told apart, shape (n,), empty where it
        does not count; by default the classes. See
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
            raise ValueError("either classes are told or numbers (y), not both")
        for name, part in (("y", self.y), ("x", self.x)):
            if part is not None and len(part) != len(self.table):
                raise ValueError(
                    f"{name} has {len(part)} rows, and the table {len(self.table)}"
                )

    @property
    def names(self) -> list[str]:
        """The columns that models read."""
        if self.columns is not None:
            return list(self.columns)
        return [] if self.x is not None else feature_table.features(self.table)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Results of an evaluation, participant by participant.

    Parameters
    ----------
    dataset, protocol
        On what, and how it was divided.
    participants
        Who was tested.
    rows
        For each model and measure: see `physio.evaluation.statistics.summary`;
        ``pooled`` is the figure over all rows of everybody.
    paired
        How the model of interest differs from each other one: see
        `physio.evaluation.statistics.paired_differences`.
    audit, folds
        What was proved of the split, and the split itself.
    balance
        How many rows of each class were tested.
    outputs
        What each model said of each row that was tested, shape (m, k).
    tested
        Those rows: subject, session, trial, part, begin, and ``y``.
    classes
        The columns of ``outputs``; empty for numbers.
    config
        What made it.
    seconds
        How long that took.
    notes
        What a reader must know beside the figures: a sentence each.
    """

    dataset: str
    protocol: str
    participants: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    paired: tuple[dict[str, Any], ...]
    audit: Audit
    folds: Folds
    balance: Mapping[str, int]
    outputs: Mapping[str, Array]
    tested: pd.DataFrame
    classes: tuple[str, ...] = ()
    config: Any = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def leaks(self) -> bool:
        """True if the split leaks: the scores are too high."""
        return not self.audit.ok

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "dataset": self.dataset,
            "protocol": self.protocol,
            "leaks": self.leaks,
            "participants": list(self.participants),
            "rows": list(self.rows),
            "paired": list(self.paired),
            "audit": self.audit.to_dict(),
            "balance": dict(self.balance),
            "classes": list(self.classes),
            "models_tested": len(self.outputs),
            "folds": self.folds.summary(),
            "notes": list(self.notes),
            "config": self.config,
            "versions": {k: version(k) for k in _LIBRARIES},
            "seconds": round(self.seconds, 1),
        }

    def figure(self, model: str, metric: str) -> dict[str, Any]:
        """Return one row of the results."""
        for row in self.rows:
            if (row["model"], row["metric"]) == (model, metric):
                return row
        raise ValueError(f"there is no {metric!r} of {model!r} in this evaluation")


def evaluate(
    task: Task,
    by: Protocol | Folds,
    models: Mapping[str, Model],
    *,
    metric_names: Sequence[str] = (),
    reference: str = "",
    test_spacing: float = 0.0,
    per_segment: bool = False,
    clock: bool = True,
    seed: int = 23,
    config: Any = None,
    on_progress: Callable[[str, str], None] | None = None,
) -> Evaluation:
    """Train and test each model on each fold; return scores of each participant.

    Parameters
    ----------
    work
        What is to be told of which rows.
    by
        The protocol, or the folds themselves (of the very ``work.table``).
    models
        By name; baselines among them (`contenders.Commonest`, `contenders.Clock`).
    measured
        Names of measures (`physio.evaluation.metrics`); by default macro-F1, AUC and
        accuracy, or RMSE, mean absolute error, r and CCC.
    reference
        The model that is compared with each other one, participant by participant.
    every
        Windows that test begin at least so far apart (s); 0: all.
    by_part
        Whether outputs are averaged over each part of a recording before they are
        compared: where there is one rating for it.
    clock
        Whether the audit trains its clock (see
        `physio.evaluation.leakage.time_confound`).
    seed
        Of all chance.
    config
        What made this, to be told beside the figures.
    heard
        Is told the model and the fold that are begun.

    Raises
    ------
    ValueError
        If the split leaks and is not for the reproduction of a paper, or something
        fits not together.
    """
    began = time.monotonic()
    table, y, classes = _targets(task)
    rows = RowIndex(table)
    folds: Folds = by if isinstance(by, Folds) else divide(rows, by)
    included = _included(task, y, classes)
    calibration = np.zeros(len(table), np.bool_)
    if task.calibration is not None:
        calibration = np.asarray(task.calibration, np.bool_)
    folds = baseline_correction.restrict(folds.of(table), rows, included, calibration)
    if not folds.folds:
        raise ValueError(
            f"{folds.protocol} leaves nothing to train on and to test: of "
            f"{len(table)} rows, {int(included.sum())} have an answer and are not "
            "calibration"
        )
    if task.testable is not None:
        folds = baseline_correction.restrict_test(
            folds, np.asarray(task.testable, np.bool_)
        )
    if test_spacing > 0:
        folds = baseline_correction.thin_test(folds, rows, test_spacing)
    proved = audit(rows, folds, task.names, clock=clock and bool(classes)).check()
    x = task.x if task.x is not None else table[task.names].to_numpy(np.float64)
    known = rows.without(_answers(table))
    outputs = {
        name: _outputs(model, name, (x, y, known, classes), folds, seed, on_progress)
        for name, model in models.items()
    }
    at = np.sort(np.concatenate([f.test for f in folds.folds]))
    codes = _participants(rows)
    results, selected_outputs = _rows(
        {k: o[at] for k, o in outputs.items()},
        (y[at], codes[at], rows.segments[at]),
        [
            (name, metrics.measure(name, classes=bool(classes)))
            for name in _measured(metric_names, classes)
        ],
        seed,
        by_part=per_segment,
    )
    place = [
        c for c in ("dataset", *feature_table.PLACE, "start_s") if c in table.columns
    ]
    return Evaluation(
        task.dataset,
        folds.protocol,
        tuple(dict.fromkeys(codes[at].tolist())),
        tuple(results),
        tuple(statistics.paired_differences(results, reference, seed))
        if reference
        else (),
        proved,
        folds,
        {c: int((y[at] == k).sum()) for k, c in enumerate(classes)},
        selected_outputs,
        table.iloc[at][place].assign(y=y[at]).reset_index(drop=True),
        classes,
        config,
        time.monotonic() - began,
    )


def _targets(work: Task) -> tuple[pd.DataFrame, Any, tuple[str, ...]]:
    """Return the table with the classes as labels, what is told, and the classes."""
    table = work.table
    if work.order_labels is not None:
        table = table.assign(**{ORDER: work.order_labels})
    if not work.classes:
        return table, np.asarray(work.y, np.float64), ()
    labels = table[LABEL].astype(str).to_numpy()
    y = np.full(len(labels), -1, np.intp)
    for k, (name, class_labels) in enumerate(work.classes.items()):
        members = np.isin(labels, list(class_labels))
        if not members.any():
            raise ValueError(
                f"no row is labelled {' or '.join(class_labels)}, for the class {name!r}; there "
                f"is {', '.join(sorted(set(labels) - {''}))}"
            )
        y[members] = k
    names = tuple(work.classes)
    class_names = np.array([*names, ""], object)[y]
    return table.assign(**{LABEL: class_names}), y, names


def _included(work: Task, y: Any, classes: tuple[str, ...]) -> Any:
    included = y >= 0 if classes else np.isfinite(y)
    if work.included is not None:
        return included & np.asarray(work.included, np.bool_)
    if work.calibration is not None:
        return included & ~np.asarray(work.calibration, np.bool_)
    return included


def _answers(table: pd.DataFrame) -> list[str]:
    """Return the columns that no model may read."""
    return [
        str(c)
        for c in table.columns
        if c in (LABEL, ORDER) or str(c).startswith(RATING)
    ]


def _participants(rows: RowIndex) -> Codes:
    """Return who each row is of; with the data set, where there are several."""
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
) -> Array:
    """Return what a model says of each row, trained anew in each fold; else NaN."""
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
        predicted = _predict(
            model, FoldData(x, training_y, rows.table, fold, classes, seed, rows), name
        )
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
            f"model {name!r} said shape {predicted.shape} of {rows} rows of fold "
            f"{fold.name!r}; it should be {rows} by {' or '.join(map(str, widths))}"
        )
    return predicted


def _measured(wanted: Sequence[str], classes: tuple[str, ...]) -> Sequence[str]:
    if wanted:
        return wanted
    if classes:
        return ("macro-F1", "AUC", "accuracy")
    return ("RMSE", "mean absolute error", "r", "CCC")


def _rows(
    outputs: Mapping[str, Array],
    of: tuple[Any, Codes, Codes],
    judged: Sequence[tuple[str, metrics.Measure]],
    seed: int,
    *,
    by_part: bool,
) -> tuple[list[dict[str, Any]], dict[str, Array]]:
    """Return the rows of results, and the outputs that they are of."""
    y, codes, units = of
    results = []
    for model, output in outputs.items():
        truth, who, predicted = y, codes, output
        if by_part:
            truth, who, predicted = _averaged(y, codes, units, output)
        answers = np.isfinite(predicted[:, 0])
        for name, measure in judged:
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
        predicted = predicted[:, :1]  # numbers without a spread
    return measure(y[rows], predicted)


def _averaged(
    y: Any, codes: Codes, units: Codes, output: Array
) -> tuple[Any, Codes, Array]:
    """Return means over each part of what was said of it, spread and all."""
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
    """Return several evaluations of the same participants as one, measures named apart.

    What was said of each row is kept of those that tested as many as the first.

    Parameters
    ----------
    evaluations
        By what their measures begin with: ``{"5 s ahead": ..., "15 s ahead": ...}``.
    config
        What made them.
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
