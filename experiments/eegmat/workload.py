"""Classification of rest and mental arithmetic (eegmat) under several protocols.

The contrast is of workload, not emotion. As all participants rested first, condition is
confounded with time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from physio import config
from physio.core.block import Array
from physio.datasets.base import Trial
from physio.datasets.eegmat import Eegmat
from physio.datasets.feature_table import LABEL, features
from physio.evaluation import splits, statistics
from physio.evaluation.evaluate import Evaluation, EvaluationOptions, Task, evaluate
from physio.evaluation.models.baselines import (
    FoldData,
    MajorityClass,
    Model,
    PermutedLabels,
)
from physio.evaluation.models.nested_cv import NestedCV

_CLASSES: Final = {"rest": ("rest",), "arithmetic": ("arithmetic",)}
_STREAM: Final = "neurocom.eeg"
_SECONDS: Final = 4.0  # of signal before a row's end, for raw-signal networks
SWAPPED: Final = ", labels swapped"
WITHIN: Final = ", rest against rest"

_NOTES: Final = (
    "This is mental workload, not emotion, and it is confounded with time: everybody "
    "rested first. Whatever drifts within minutes tells the two apart as well.",
    "Features are relative to the mean of the participant's own first {rest:g} s of "
    "rest; every window that rests on them is left out.",
    "'labels swapped': in participants drawn by a coin, rest was called arithmetic and "
    "arithmetic rest. What is still told then is not workload but which recording a "
    "window is of.",
)


@dataclass(frozen=True)
class EegmatWorkload:
    """Comparison of models on eegmat by one protocol, with controls.

    Parameters
    ----------
    models
        Models of the features of the table, by name.
    protocol, settings
        See `physio.evaluation.splits.PROTOCOLS`.
    raw
        Models of 4 s of signal, by name.
    swapped
        Models to evaluate once more with labels swapped in half of the participants.
    within
        Models to evaluate on the early against the late part of the remaining rest.
    baseline_seconds
        Duration of the baseline within the participant's rest (s).
    reference
        Name of the model with which each other model is compared.
    pairs
        Other pairs of models to compare: the first less the second.
    metrics
        Metrics by name.
    seed
        Random seed.
    """

    models: Mapping[str, Any]
    protocol: str = "loso"
    settings: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict)
    swapped: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    baseline_seconds: float = 20.0
    reference: str = ""
    pairs: tuple[tuple[str, str], ...] = ()
    metrics: tuple[str, ...] = ("AUC", "accuracy")
    seed: int = 23

    def __post_init__(self) -> None:
        pairs = [name for pair in self.pairs for name in pair]
        named = (*self.swapped, *self.within, *filter(None, [self.reference]), *pairs)
        for name in named:
            if name not in self.models:
                raise ValueError(
                    f"{name!r} is none of the models {', '.join(self.models)}"
                )

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Evaluation:
        """Train and evaluate the models.

        Parameters
        ----------
        root
            The folder of data; needed by models of the signal.
        table
            Features of eegmat, as computed by `physio extract` with
            ``experiments/eegmat/features.toml``.

        Raises
        ------
        ValueError
            If there is no table, or a signal that is needed is missing.
        """
        if table is None:
            raise ValueError("features of eegmat are needed: give [table] or --table")
        work = self.work(table)
        models: dict[str, Model] = {**self.models, "majority class": MajorityClass()}
        if self.raw:
            signal = self._signal(root, work)
            models |= {k: _reading(m, signal) for k, m in self.raw.items()}
        evaluation = self._judged(work, models)
        rows = list(evaluation.rows)
        paired = statistics.compared(rows, self.reference, self.pairs, self.seed)
        if self.swapped:
            rows += self._swapped(work).rows
        if self.within:
            controls = {f"{k}{WITHIN}": self.models[k] for k in self.within}
            rows += self._judged(self._within(work), controls).rows
        notes = [
            n.format(rest=self.baseline_seconds)
            for n in _NOTES[: 3 if self.swapped else 2]
        ]
        return replace(
            evaluation,
            rows=tuple(rows),
            paired=tuple(paired),
            notes=(*notes, *self._chosen()),
            config=config.describe(self),
        )

    def work(self, table: pd.DataFrame) -> Task:
        """Return the prediction task, features relative to each participant's rest."""
        names = features(table)
        x = table[names].to_numpy(np.float64)
        subjects = table["subject"].astype(str).to_numpy()
        resting = table[LABEL].astype(str).to_numpy() == "rest"
        whole = np.isfinite(x).all(axis=1)
        over = self.baseline_seconds * _rate(table)
        calibration = whole & resting & (table["end_sample"].to_numpy() <= over)
        usable = whole & (~resting | (table["support_start_sample"].to_numpy() >= over))
        for participant in np.unique(subjects):
            mask = subjects == participant
            if not (mask & calibration).any():
                raise ValueError(
                    f"{participant} has no window within the first "
                    f"{self.baseline_seconds:g} s of rest"
                )
            x[mask] -= x[mask & calibration].mean(axis=0)
        centred = pd.concat(
            [table.drop(columns=names), pd.DataFrame(x, table.index, names)], axis=1
        )
        return Task(
            centred, _CLASSES, None, None, [n for n in names if n.startswith("eeg.")],
            calibration, usable, Eegmat.name,
        )  # fmt: skip

    def _judged(self, work: Task, models: Mapping[str, Model]) -> Evaluation:
        return evaluate(
            work,
            splits.protocol(self.protocol, **self.settings),
            models,
            EvaluationOptions(metric_names=self.metrics, seed=self.seed),
        )

    def _swapped(self, work: Task) -> Evaluation:
        """Evaluate with labels swapped in a random half of the participants.

        If test participants are held out, the draw is repeated for the training
        participants of each fold: a single draw would bias all folds in the same
        direction.
        """
        models = {f"{k}{SWAPPED}": self.models[k] for k in self.swapped}
        by = splits.protocol(self.protocol, **self.settings)
        if by.promise in ("subjects", "orders", "data sets"):
            return self._judged(work, {k: PermutedLabels(m) for k, m in models.items()})
        subjects = work.table["subject"].astype(str).to_numpy()
        every = np.unique(subjects)
        coins = np.random.default_rng(self.seed).random(len(every)) < 0.5
        flipped = np.isin(subjects, every[coins])
        labels = work.table[LABEL].astype(str).to_numpy()
        other = np.where(labels == "rest", "arithmetic", "rest")
        relabelled = work.table.assign(**{LABEL: np.where(flipped, other, labels)})
        return self._judged(replace(work, table=relabelled), models)

    def _within(self, work: Task) -> Task:
        """Return the task of the late against the early half of the remaining rest."""
        table = work.table
        resting = (table[LABEL].astype(str) == "rest").to_numpy() & work.included
        begin = table["start_s"].to_numpy(np.float64)
        middle = table["start_s"][resting].groupby(table["subject"][resting]).median()
        late = begin > table["subject"].map(middle).to_numpy(np.float64)
        labels = np.where(resting, np.where(late, "late", "early"), "")
        classes = {"early": ("early",), "late": ("late",)}
        relabelled = table.assign(**{LABEL: labels})
        return replace(
            work, table=relabelled, classes=classes, included=work.included & resting
        )

    def _signal(self, root: Path | None, work: Task) -> Array:
        """Return 4 s of signal up to each row's end, (n, electrodes, samples).

        The unit is the electrode's spread in the baseline. Rows that would begin before
        the recording are 0.
        """
        if root is None:
            raise ValueError("models on the signal need it: say where, with --data")
        folder = root / Eegmat.name
        data = Eegmat(folder if folder.is_dir() else root)
        table, width = work.table, round(_SECONDS * _rate(work.table))
        signal: Array | None = None
        for subject in np.unique(table["subject"]):
            mine = table["subject"] == subject
            (block,) = data.load(Trial(subject, "", "rest")).streams[_STREAM]
            spread = block.data[: round(self.baseline_seconds * _rate(table))].std(
                axis=0
            )
            for trial in np.unique(table["trial"][mine]):
                (block,) = data.load(Trial(subject, "", trial)).streams[_STREAM]
                if signal is None:
                    signal = np.zeros((len(table), block.data.shape[1], width), "f4")
                for row in np.flatnonzero(mine & (table["trial"] == trial)):
                    stop = int(table["end_sample"].iloc[row])
                    if stop >= width:
                        part = block.data[stop - width : stop] / spread
                        signal[row] = (part - part.mean(axis=0)).T
        if signal is None:
            raise ValueError("the table has no rows")
        return signal

    def _chosen(self) -> list[str]:
        """Return a note on the choice of settings of each nested model."""
        return [
            m.describe_choices(k)
            for k, m in self.models.items()
            if isinstance(m, NestedCV)
        ]


def _reading(model: Model, x: Array) -> Callable[[FoldData], Any]:
    """Return a model that reads ``x`` in place of the table's features."""
    return lambda given: model(given._replace(x=x))


def _rate(table: pd.DataFrame) -> float:
    """Return the sampling rate of the source (Hz)."""
    row: npt.NDArray[np.float64] = table[
        ["start_sample", "end_sample", "start_s", "end_s"]
    ].to_numpy()[0]
    return float((row[1] - row[0]) / (row[3] - row[2]))
