"""Model selection in inner folds of training participants: nested cross-validation."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from physio.core.block import Array
from physio.evaluation.folds import Fold, Rows
from physio.evaluation.metrics import LESS_IS_BETTER, measure
from physio.evaluation.models.baselines import UNKNOWN, FoldData, Model
from physio.evaluation.row_index import Codes

PICKED: Final = "picked"
INNER: Final = "inner "
"""Prefix of the names of inner folds."""


@dataclass(frozen=True)
class NestedCV:
    """The model that scores best in inner folds of the training participants.

    Participants are divided into groups once. In an outer fold that tests participants
    of one group, each other group is the validation set of one inner fold. The inner
    fold trains on the participants of all remaining groups. A network trained for one
    outer fold is therefore reused in all outer folds that test the same group, and in
    the inner fold in which the two groups are exchanged.

    Parameters
    ----------
    models
        The candidates, by name.
    groups
        Number of groups, at least three. If the tested participants belong to several
        groups, or also train, the groups of the training participants form the inner
        folds. With 0, the inner folds are those of the protocol
        (`physio.evaluation.folds.Fold.inner`); if it has none, the first candidate is
        selected.
    metric
        Metric whose mean over participants and inner folds selects the model.
    choices
        Selected candidate and scores of all candidates by fold; filled during the run.
    """

    models: Mapping[str, Any]
    groups: int = 4
    metric: str = "AUC"
    choices: dict[str, Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _known: dict[str, Array] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError("models is empty: name at least one candidate")
        if self.groups and self.groups < 3:
            raise ValueError(
                f"groups must be 3 at least, or 0 for the inner folds of the protocol, "
                f"not {self.groups}"
            )

    def __call__(self, given: FoldData) -> Array:
        participants = given.rows.participants
        inner = self._inner(participants, given.fold, given.seed)
        scores = {
            name: self._score(name, participants, given, inner) for name in self.models
        }
        best = max(scores, key=lambda name: scores[name])
        self.choices[given.fold.name] = {
            PICKED: best,
            **{k: self._sign * score for k, score in scores.items()},
        }
        model: Model = self.models[best]
        return model(given)

    def describe_choices(self, name: str) -> str:
        """Describe the number of candidates and the selections of the outer folds."""
        picked = [choice[PICKED] for choice in self.choices.values()]
        counts = {k: picked.count(k) for k in self.models if k in picked}
        folds = ", ".join(f"{k} in {n}" for k, n in counts.items())
        return (
            f"{name}: {len(self.models)} settings were compared in inner folds of the "
            f"training participants, and one was run on each outer fold ({folds})."
        )

    @property
    def _sign(self) -> int:
        return -1 if self.metric in LESS_IS_BETTER else 1

    def _inner(
        self, participants: Codes, fold: Fold, seed: int
    ) -> list[tuple[Rows, Rows]]:
        """Return training rows and validation rows of each inner fold."""
        if not self.groups:
            return [(inner.train, inner.test) for inner in fold.inner]
        every = np.unique(participants[np.concatenate([fold.train, fold.test])])
        dealt = np.random.default_rng(seed).permutation(len(every)) % self.groups
        group = dealt[np.searchsorted(every, participants)]
        tested = np.unique(participants[fold.test])
        out = set(dealt[np.isin(every, tested)].tolist())
        if len(out) > 1 or np.isin(tested, participants[fold.train]).any():
            out = set()  # no group can be held out: divide all training participants
        rows = fold.train[~np.isin(group[fold.train], list(out))]
        remaining = sorted(set(range(self.groups)) - out)
        return [(rows[group[rows] != g], rows[group[rows] == g]) for g in remaining]

    def _score(
        self,
        name: str,
        participants: Codes,
        given: FoldData,
        inner: list[tuple[Rows, Rows]],
    ) -> float:
        """Return the mean score over participants and inner folds; higher is better."""
        metric = measure(self.metric, classes=bool(given.classes))
        scores = []
        for train, validation in inner:
            output = self._output(name, given, train)
            answered = validation[np.isfinite(output[validation]).all(axis=1)]
            for participant in np.unique(participants[answered]):
                rows = answered[participants[answered] == participant]
                scores.append(metric(given.y[rows], output[rows]))
        known = [score for score in scores if np.isfinite(score)]
        if not known:  # without inner folds all are equal; without a score, worst
            return -np.inf if inner else 0.0
        return self._sign * float(np.mean(known))

    def _output(self, name: str, given: FoldData, train: Rows) -> Array:
        """Train a model on some rows; return its cached output for all other rows."""
        content = train.tobytes() + given.y[train].tobytes()
        key = hashlib.sha256(name.encode() + content).hexdigest()
        if key not in self._known:
            y = np.full(len(given.y), UNKNOWN[bool(given.classes)], given.y.dtype)
            y[train] = given.y[train]
            others = np.setdiff1d(np.arange(len(y)), train)
            numbers = given.x.reshape(len(given.x), -1)
            others = others[np.isfinite(numbers[others]).any(axis=1)]
            model: Model = self.models[name]
            fold = Fold(f"{INNER}{key}", train, others)
            output = model(given._replace(y=y, fold=fold)).reshape(len(others), -1)
            whole = np.full((len(y), output.shape[1]), np.nan)
            whole[others] = output
            self._known[key] = whole
        return self._known[key]
