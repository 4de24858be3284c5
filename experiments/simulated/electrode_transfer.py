"""Transfer of networks to other electrodes, on simulated participants."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.weights import live_features
from experiments.weights.demo import record
from physio import config
from physio.core.block import Array, Block
from physio.core.recording import Recording
from physio.datasets.feature_table import LABEL, features
from physio.evaluation import splits, statistics
from physio.evaluation.evaluate import Evaluation, EvaluationOptions, Task, evaluate
from physio.evaluation.models.baselines import FoldData, MajorityClass, Model
from physio.training.rbtransformer import RBTransformerClassifier, Trained

_CLASSES: Final = {"calm": ("calm",), "aroused": ("aroused",)}
_CHAIN: Final = "eeg"
_NOTES: Final = (
    "Simulated participants, effects {preset}: nothing here is evidence about anybody. "
    "What is compared is how networks do with other electrodes than they learned with.",
    "Whether a participant's true arousal is above 0. Features are relative to the "
    "mean of the participant's own first {rest:g} s; every window that rests on them "
    "is left out.",
)


@dataclass(frozen=True)
class ElectrodeTransfer:
    """Comparison of networks on headsets within and outside their training.

    A field for each key of an evaluation file, hence more than 14 fields.

    Parameters
    ----------
    headset
        Headset of the simulated participants: a dataclass with ``seed``, ``cycle``,
        ``seconds``, ``clock`` and all electrodes of ``sets``, whose stream ``.truth``
        is the participant's true affect.
    models
        Models by name.
    sets
        Sets of electrodes present in the test, by name.
    only
        Sets on which each model is tested; by default all.
    participants
        Number of participants.
    first
        Seed of the first participant; the others' seeds follow.
    cycles
        Durations of the protocol (s); participants take these values in turn.
    seconds
        Duration of each recording (s).
    baseline_seconds
        Duration of the baseline at the beginning (s).
    every
        Time between rows (s).
    protocol, settings
        See `physio.evaluation.splits.PROTOCOLS`.
    pairs
        Pairs of models and sets to compare: ``"place, 4"`` less ``"learned, 4"``.
    metrics
        Metrics by name.
    seed
        Random seed.
    """

    headset: Any
    models: Mapping[str, RBTransformerClassifier]
    sets: Mapping[str, tuple[str, ...]]
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    participants: int = 36
    first: int = 3000
    cycles: tuple[float, ...] = (60.0, 120.0, 240.0)
    seconds: float = 240.0
    baseline_seconds: float = 10.0
    every: float = 2.0
    protocol: str = "leave-n-subjects-out"
    settings: Mapping[str, Any] = field(default_factory=lambda: {"n": 12})
    pairs: tuple[tuple[str, str], ...] = ()
    metrics: tuple[str, ...] = ("AUC",)
    seed: int = 23

    def __post_init__(self) -> None:
        for name in (s for sets in self.only.values() for s in sets):
            if name not in self.sets:
                raise ValueError(f"{name!r} is none of {', '.join(self.sets)}")

    def evaluate(
        self,
        root: Path | None,  # noqa: ARG002  nothing is read
        table: pd.DataFrame | None,
    ) -> Evaluation:
        """Train each model once a fold; evaluate it on each set of electrodes."""
        evaluation = evaluate(
            self.work(self.table() if table is None else table),
            splits.protocol(self.protocol, **self.settings),
            self._named(),
            EvaluationOptions(metric_names=self.metrics, seed=self.seed),
            config=config.describe(self),
        )
        preset = self.headset.preset
        return replace(
            evaluation,
            paired=tuple(
                statistics.compared(evaluation.rows, "", self.pairs, self.seed)
            ),
            notes=tuple(
                n.format(preset=preset, rest=self.baseline_seconds) for n in _NOTES
            ),
        )

    def table(self) -> pd.DataFrame:
        """Return the features of all participants, a row each ``every`` s."""
        parts = [self._participant(i) for i in range(self.participants)]
        return pd.concat(parts, ignore_index=True)

    def work(self, table: pd.DataFrame) -> Task:
        """Return the prediction task, features relative to each participant's rest."""
        names = features(table)
        x = table[names].to_numpy(np.float64)
        whole = np.isfinite(x).all(axis=1)
        calibration = whole & (table["end_s"].to_numpy() <= self.baseline_seconds)
        usable = whole & (
            table["support_start_sample"].to_numpy()
            >= self.baseline_seconds * self._rate
        )
        for rows in table.groupby("subject", sort=False).indices.values():
            resting = rows[calibration[rows]]
            if not len(resting):
                raise ValueError(
                    "a participant has no window within the first "
                    f"{self.baseline_seconds:g} s of rest"
                )
            x[rows] -= x[resting].mean(axis=0)
        centred = pd.DataFrame(x, table.index, names)
        corrected = pd.concat([table.drop(columns=names), centred], axis=1)
        return Task(
            corrected,
            _CLASSES,
            None,
            None,
            names,
            calibration,
            usable,
            "simulated participants",
        )

    @property
    def _rate(self) -> float:
        return float(self.headset.rate)

    def _named(self) -> dict[str, Model]:
        """Return each model on each of its sets; its sets share the training."""
        by_name: dict[str, Model] = {}
        for name, model in self.models.items():
            once = _Once(model)
            for key in self.only.get(name, tuple(self.sets)):
                by_name[f"{name}, {key}"] = once.on(self.sets[key])
        return {**by_name, "majority class": MajorityClass()}

    def _participant(self, i: int) -> pd.DataFrame:
        seed, cycle = self.first + i, self.cycles[i % len(self.cycles)]
        recording = record(replace(self.headset, seed=seed, cycle=cycle), self.seconds)
        rows = live_features.features(recording, {_CHAIN: f"participant.{_CHAIN}"})
        step = round(self.every * float(rows.info.rate))
        at = np.arange(step - 1, len(rows), step)
        ends = rows.times[at]
        names = [n for n in rows.info.names if n.startswith(f"{_CHAIN}.de.")]
        span = max(c.memory for c in rows.info.channels if c.name in names)
        stop = np.round(ends * self._rate).astype(np.int64)
        arousal = self._felt(recording, rows, at)
        return pd.DataFrame(
            {
                "dataset": "simulated participants",
                "subject": f"seed {seed}",
                "session": "",
                "trial": "all",
                "segment": 0,
                LABEL: np.where(arousal > 0, "aroused", "calm"),
                "start_sample": np.maximum(stop - round(self.every * self._rate), 0),
                "end_sample": stop,
                "support_start_sample": np.maximum(
                    stop - int(np.ceil(span * self._rate)), 0
                ),
                "start_s": ends - self.every,
                "end_s": ends,
                **{n: rows.column(n)[at] for n in names},
            }
        )

    def _felt(self, recording: Recording, rows: Block, at: Any) -> Array:
        """Return the mean arousal over the time up to each row."""
        truth = recording.streams["participant.truth"]
        times = np.concatenate([b.times for b in truth])
        felt = np.concatenate([b.column("arousal") for b in truth])
        total = np.concatenate([[0.0], np.cumsum(felt)])
        ends = np.searchsorted(times, rows.times[at], side="right")
        begins = np.searchsorted(times, rows.times[at] - self.every, side="right")
        return np.asarray((total[ends] - total[begins]) / np.maximum(ends - begins, 1))


class _Once:
    """A model that is trained once per fold for all sets of test electrodes."""

    def __init__(self, model: RBTransformerClassifier) -> None:
        self._model = model
        self._trained: dict[str, Trained] = {}

    def on(self, present: tuple[str, ...]) -> Model:
        """Return the model with some electrodes in the test."""
        shown = replace(self._model, present=present)

        def predict(given: FoldData) -> Array:
            key = given.fold.name
            if key not in self._trained:
                self._trained[key] = shown.trained(given)
            return shown.answer(self._trained[key], given)

        return predict
