"""Transfer of stress models between laboratories: from WESAD to Stress-Predict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.shared import open_wesad
from experiments.weights.live_features import features
from physio import config
from physio.core.recording import Recording
from physio.datasets.feature_table import LABEL
from physio.datasets.stress_predict import StressPredict
from physio.evaluation.baseline_correction import baseline_correct
from physio.evaluation.evaluate import (
    Evaluation,
    EvaluationOptions,
    Task,
    evaluate,
    together,
)
from physio.evaluation.models.baselines import MajorityClass, TimeOnly
from physio.evaluation.splits import CrossDataset
from physio.models.baseline import transform

LEFT_OUT: Final = ("S06",)
"""Excluded participants: labels disagree with the tags of their own wristband."""

TASKS: Final = ("Stroop", "interview", "hyperventilation")
"""Stressors of Stress-Predict, in their order, which all participants share."""

CLASSES: Final = {
    "calm": ("baseline", "rest", "amusement", "meditation 1", "meditation 2"),
    "stress": ("stress", *TASKS),
}

_CHAINS: Final = {
    "eda": "e4.eda",
    "heart": "e4.bvp",
    "motion": "e4.acc",
    "temperature": "e4.temp",
}
_WIDTH: Final = 60.0
_HOP: Final = 5.0
_SHARE: Final = 0.5


@dataclass(frozen=True)
class WesadToStressPredict:
    """Stress detection in participants of a study that is held out of the training.

    Results are for all windows, and for the windows of each task against those of rest.

    Parameters
    ----------
    models
        Models by name; see `physio.evaluation.models.baselines`.
    features
        Features, ``"<chain>.<channel>"``.
    transforms, baseline_seconds, embargo, test_spacing, seed
        As in `physio.evaluation.feature_benchmark.FeatureBenchmark`; the gap is as long
        as the stages remember.
    reference
        Name of the model with which each other model is compared.
    """

    models: Mapping[str, Any]
    features: tuple[str, ...]
    transforms: Mapping[str, str] = field(default_factory=dict)
    baseline_seconds: float = 300.0
    embargo: float = 120.0
    test_spacing: float = 60.0
    reference: str = ""
    seed: int = 23

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Evaluation:
        """Train on WESAD and test on Stress-Predict, as a whole and by task."""
        del table  # both data sets are read here
        data = open_wesad(root)
        other = StressPredict((root or Path()) / "stress_predict")
        parts = [
            self._rows(data.participant(p), p, data.name) for p in data.participants
        ]
        for trial in other.trials():
            recording = other.load(trial)
            if trial.subject in LEFT_OUT or not _labelled(recording):
                continue
            parts.append(self._rows(recording, trial.subject, other.name))
        return self._judged(pd.concat(parts, ignore_index=True), other.name)

    def _judged(self, table: pd.DataFrame, tested: str) -> Evaluation:
        corrected = baseline_correct(
            table,
            self.features,
            baseline_seconds=self.baseline_seconds,
            embargo=self.embargo,
        )
        models = {
            **self.models,
            "majority class": MajorityClass(),
            "time only": TimeOnly(),
        }
        evaluations = {}
        for task in ("all", *TASKS):
            rows = ~table[LABEL].isin([t for t in TASKS if task not in ("all", t)])
            evaluations[task] = evaluate(
                Task(
                    corrected.table,
                    CLASSES,
                    columns=self.features,
                    calibration=corrected.calibration,
                    included=corrected.included,
                    dataset=f"WESAD, then {tested}",
                    testable=rows.to_numpy(),
                ),
                CrossDataset(tested),
                models,
                EvaluationOptions(
                    metric_names=("AUC", "macro-F1"),
                    reference=self.reference,
                    test_spacing=self.test_spacing,
                    seed=self.seed,
                ),
            )
        return together(evaluations, config.describe(self))

    def _rows(
        self, recording: Recording, participant: str, dataset: str
    ) -> pd.DataFrame:
        """Return windows of a recording, as rows of `physio.datasets.feature_table`."""
        rows = features(recording, _CHAINS)
        rate = float(rows.info.rate or 1)
        width, hop = round(_WIDTH * rate), round(_HOP * rate)
        first = np.arange(0, len(rows) - width + 1, hop)
        begin = rows.t0 + first / rate
        columns: dict[str, Any] = {}
        for name in self.features:
            x = rows.column(name)
            span = rows.info.channels[rows.info.names.index(name)].memory
            if span >= _WIDTH:  # memory longer than the window: its newest value
                columns[name] = x[first + width - 1]
            else:
                columns[name] = _mean(x[first[:, None] + np.arange(width)])
        kinds = [self.transforms.get(name, "raw") for name in self.features]
        x = transform(np.stack(list(columns.values()), axis=1), kinds)
        label, part = _parts(recording, begin, begin + _WIDTH)
        longest = max(c.memory for c in rows.info.channels if c.name in self.features)
        return pd.DataFrame(
            {
                "dataset": dataset,
                "subject": participant,
                "session": "",
                "trial": "",
                "segment": part,
                LABEL: label,
                "start_sample": first,
                "end_sample": first + width,
                "support_start_sample": np.maximum(first - round(longest * rate), 0),
                "start_s": begin,
                "end_s": begin + _WIDTH,
                **dict(zip(self.features, x.T, strict=True)),
            }
        )


def _labelled(recording: Recording) -> bool:
    parts = recording.events.get("study.conditions")
    return parts is not None and len(parts.times) > 0


def _parts(recording: Recording, begin: Any, end: Any) -> tuple[Any, Any]:
    """Return the label and the number of the part that each window lies in.

    The first rest is called baseline, as in WESAD; the stressors by their names.
    """
    events = recording.events["study.conditions"]
    label, part = np.full(len(begin), "", object), np.full(len(begin), -1)
    tasks = iter(TASKS)
    several = list(events.labels).count("stress") > 1
    for k, (name, start, stop) in enumerate(
        zip(events.labels, events.times, events.data[:, 0], strict=True)
    ):
        assigned = name
        if several and name == "stress":
            assigned = next(tasks, name)
        elif name == "rest" and k == 0:
            assigned = "baseline"
        inside = (begin >= start) & (end <= stop)
        label[inside], part[inside] = assigned, k
    return label, part


def _mean(values: Any) -> Any:
    """Return means of finite values over rows; NaN if less than half are finite."""
    present = np.isfinite(values)
    count = present.sum(axis=1)
    total = np.where(present, values, 0).sum(axis=1)
    enough = count >= _SHARE * values.shape[1]
    return np.where(enough, total / np.maximum(count, 1), np.nan)
