"""Settings chosen by participants who train, and never by those who test."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from physio.core.block import Array
from physio.evaluation.folds import Fold, Rows
from physio.evaluation.metrics import measure
from physio.evaluation.models.baselines import UNKNOWN, FoldData, Model
from physio.evaluation.row_index import Codes, row_ids

PICKED: Final = "picked"
INNER: Final = "inner "
"""What the name of a fold begins with that only chooses."""


@dataclass(frozen=True)
class Chosen:
    """That of several models which is best on participants left out of the training participants.

    Participants are dealt into groups once. For a fold that tests participants of one
    group, the inner folds are the other groups: trained on all participants of neither
    the tested participants's group nor the inner one. So a network trained for one
    outer fold serves all that test the same group, and the one where the two groups
    change places.

    Parameters
    ----------
    models
        By name.
    groups
        How many; three at least. Where the tested participants are of several groups,
        or train too, the training participants's groups are the inner folds.
    measure
        What decides: the mean over participants.
    told
        By fold which was picked, and the figure of each: filled as folds are run.
    """

    models: Mapping[str, Any]
    groups: int = 4
    measure: str = "AUC"
    told: dict[str, Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _known: dict[str, Array] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError("the best of no models is none")
        if self.groups < 3:
            raise ValueError(f"groups must be 3 at least, not {self.groups}")

    def __call__(self, given: FoldData) -> Array:
        participants = row_ids(given.table, "dataset", "subject")
        inner = self._inner(participants, given.fold, given.seed)
        scores = {
            name: self._score(name, participants, given, inner) for name in self.models
        }
        best = max(scores, key=lambda name: scores[name])
        self.told[given.fold.name] = {PICKED: best, **scores}
        model: Model = self.models[best]
        return model(given)

    def said(self, name: str) -> str:
        """Return how many settings were compared, and how many touched outer folds."""
        picked = [one[PICKED] for one in self.told.values()]
        counts = {k: picked.count(k) for k in self.models if k in picked}
        told = ", ".join(f"{k} in {n}" for k, n in counts.items())
        return (
            f"{name}: {len(self.models)} settings were compared in inner folds of the "
            f"training participants, and one was run on each outer fold ({told})."
        )

    def _inner(
        self, participants: Codes, fold: Fold, seed: int
    ) -> list[tuple[Rows, Rows]]:
        """Return rows that train and rows that choose, for each inner fold."""
        every = np.unique(participants[np.concatenate([fold.train, fold.test])])
        dealt = np.random.default_rng(seed).permutation(len(every)) % self.groups
        group = dealt[np.searchsorted(every, participants)]
        tested = np.unique(participants[fold.test])
        out = set(dealt[np.isin(every, tested)].tolist())
        if len(out) > 1 or np.isin(tested, participants[fold.train]).any():
            out = set()  # nobody's group can be spared: all who train are divided
        rows = fold.train[~np.isin(group[fold.train], list(out))]
        left = sorted(set(range(self.groups)) - out)
        return [(rows[group[rows] != g], rows[group[rows] == g]) for g in left]

    def _score(
        self,
        name: str,
        participants: Codes,
        given: FoldData,
        inner: list[tuple[Rows, Rows]],
    ) -> float:
        judged = measure(self.measure, classes=bool(given.classes))
        found = []
        for train, chooses in inner:
            said = self._said(name, given, train)
            for participant in np.unique(participants[chooses]):
                own = chooses[participants[chooses] == participant]
                found.append(judged(given.y[own], said[own]))
        return float(np.nanmean(found))

    def _said(self, name: str, given: FoldData, train: Rows) -> Array:
        """Return what a model, trained on some rows, says of all: computed once."""
        told = train.tobytes() + given.y[train].tobytes()
        key = hashlib.sha256(name.encode() + told).hexdigest()
        if key not in self._known:
            y = np.full(len(given.y), UNKNOWN[bool(given.classes)], given.y.dtype)
            y[train] = given.y[train]
            rest = np.setdiff1d(np.arange(len(y)), train)
            numbers = given.x.reshape(len(given.x), -1)
            rest = rest[np.isfinite(numbers[rest]).any(axis=1)]
            model: Model = self.models[name]
            said = model(given._replace(y=y, fold=Fold(f"{INNER}{key}", train, rest)))
            whole = np.full((len(y), said.shape[1]), np.nan)
            whole[rest] = said
            self._known[key] = whole
        return self._known[key]
