"""Classification from elapsed time alone, without any physiology."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score

from physio.datasets.feature_table import LABEL
from physio.evaluation.folds import Folds
from physio.evaluation.row_index import RowIndex, Table


class TimeConfound(NamedTuple):
    """Score of a random forest whose only feature is the elapsed time (s).

    Parameters
    ----------
    reached
        Macro-F1 over the classes, averaged over the tested participants.
    guess
        Macro-F1 of the majority class of the training rows, averaged likewise.
    classes
        Number of classes.
    per_participant
        Macro-F1 of each participant.
    """

    reached: float
    guess: float
    classes: int
    per_participant: dict[str, float]

    @property
    def confounds(self) -> bool:
        """True if the score is above the midpoint of chance and a perfect score."""
        chance = 1 / self.classes
        return self.reached > chance + 0.5 * (1 - chance)

    @property
    def text(self) -> str:
        """Interpretation, in a sentence."""
        return (
            f"the label goes with the time: a forest on the seconds since the start, "
            f"without any physiology, reaches macro-F1 {self.reached:.2f} (always the "
            f"majority class: {self.guess:.2f}); compare with leave-order-out"
        )

    def __str__(self) -> str:
        return (
            f"time only: macro-F1 {self.reached:.2f} over "
            f"{len(self.per_participant)} participants "
            f"(majority class: {self.guess:.2f})"
        )


def time_confound(table: Table, folds: Folds, seed: int = 23) -> TimeConfound | None:
    """Train and test a time-only control; return None with fewer than two classes.

    Parameters
    ----------
    table
        Table with ``label``, ``begin`` (s) and the names of the recordings.
    folds
        The split.
    seed
        Seed of the forest.
    """
    index = RowIndex.of(table)
    table, participants, recordings = index.table, index.participants, index.recordings
    labels = table[LABEL].astype(str).to_numpy()
    begins = table["start_s"].to_numpy(np.float64)
    first = pd.Series(begins).groupby(recordings).transform("min").to_numpy()
    seconds = (begins - first)[:, None]
    predicted = np.full((2, len(table)), "", object)
    for fold in folds.folds:
        train = fold.train[labels[fold.train] != ""]
        if not len(train) or not len(fold.test):
            continue
        names, counts = np.unique(labels[train], return_counts=True)
        forest = RandomForestClassifier(
            100, min_samples_leaf=20, random_state=seed, n_jobs=1
        )
        forest.fit(seconds[train], labels[train])
        predicted[0, fold.test] = forest.predict(seconds[fold.test])
        predicted[1, fold.test] = names[np.argmax(counts)]
    tested = (predicted[0] != "") & (labels != "")
    classes = sorted(set(labels[tested]))
    if len(classes) < 2:
        return None
    scores: list[dict[str, float]] = [{}, {}]
    for participant in sorted(set(participants[tested])):
        selected = tested & (participants == participant)
        for k in range(2):
            scores[k][participant.replace("\x1f", " ")] = float(
                f1_score(
                    labels[selected],
                    predicted[k, selected].astype(str),
                    labels=sorted(set(labels[selected])),
                    average="macro",
                    zero_division=0.0,
                )
            )
    reached, guess = (float(np.mean(list(s.values()))) for s in scores)
    return TimeConfound(reached, guess, len(classes), scores[0])
