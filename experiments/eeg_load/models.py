"""Models of eeg-load's evaluation: odds without, and corrected for, a rival."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from physio.core.block import Array
from physio.evaluation.models.baselines import FoldData, select_features
from physio.training.learner import LearnerModel
from physio.training.linear_learner import LogisticLearner


@dataclass(frozen=True)
class EqualOdds:
    """The prior: all classes are equally probable."""

    def __call__(self, given: FoldData) -> Array:
        """Return equal probabilities of the test rows."""
        shape = len(given.fold.test), len(given.classes)
        return np.full(shape, 1.0 / len(given.classes))


@dataclass(frozen=True)
class WithoutRival:
    """A learner on features from which a linear regression on a rival is subtracted.

    Parameters
    ----------
    learner
        The learner.
    features, rival
        Columns of the model and of the rival.

    Notes
    -----
    The regression is fitted to the training participants. Features that are the
    rival's own become 0.
    """

    learner: LogisticLearner
    features: tuple[str, ...]
    rival: tuple[str, ...]

    def __call__(self, given: FoldData) -> Array:
        """Return the probabilities of the test rows."""
        x = select_features(given, self.features)
        by = select_features(given, self.rival)
        at = given.fold.train
        corrected = x - with_constant(by) @ regression(x[at], by[at])
        table = given.table.assign(
            **{name: corrected[:, i] for i, name in enumerate(self.features)}
        )
        model = LearnerModel(self.learner, self.features)
        return model(replace_table(given, table))


@dataclass(frozen=True)
class RegionMean:
    """A learner on the mean of some columns, one number for each row.

    Parameters
    ----------
    learner
        The learner.
    features
        The columns.
    """

    learner: LogisticLearner
    features: tuple[str, ...]

    def __call__(self, given: FoldData) -> Array:
        """Return the probabilities of the test rows."""
        mean = select_features(given, self.features).mean(axis=1)
        table = given.table.assign(**{"region.mean": mean})
        model = LearnerModel(self.learner, ("region.mean",))
        return model(replace_table(given, table))


def regression(x: Array, by: Array) -> Array:
    """Return the coefficients, constant first, of a least-squares fit of ``x``."""
    return np.asarray(np.linalg.lstsq(with_constant(by), x, rcond=None)[0], np.float64)


def with_constant(by: Array) -> Array:
    """Return columns with a constant before them."""
    return np.hstack([np.ones((len(by), 1)), by])


def replace_table(given: FoldData, table: Any) -> FoldData:
    """Return data of a fold with other features of the same rows."""
    return given._replace(table=table, row_index=given.rows)


def columns(
    names: Sequence[str], chain: str, electrodes: Sequence[str], *bands: str
) -> tuple[str, ...]:
    """Return the columns of some electrodes and bands, in the order of ``names``."""
    return tuple(
        n
        for n in names
        if n.startswith(f"{chain}.de.")
        and n.rpartition(".")[2] in electrodes
        and (not bands or n.split(".")[2] in bands)
    )
