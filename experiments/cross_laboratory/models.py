"""Models of stress across laboratories, from features relative to a person's rest."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from physio.core.block import Array
from physio.evaluation.models.baselines import FoldData
from physio.models.gaussian import Gaussian, GaussianConfig, fit, shrunk


def equal_laboratories(given: FoldData) -> Array:
    """Return weights of the training rows: each laboratory and class counts alike."""
    train = given.fold.train
    names = given.rows.ids("dataset")[train]
    groups = np.char.add(names, given.y[train].astype(str))
    _, at, count = np.unique(groups, return_inverse=True, return_counts=True)
    weights: Array = 1 / count[at]
    return weights / weights.mean()


@dataclass(frozen=True)
class SingleFeature:
    """One feature as it is: nothing is trained.

    Parameters
    ----------
    feature
        Column of the table.
    """

    feature: str

    def __call__(self, given: FoldData) -> Array:
        x = given.table[self.feature].to_numpy(np.float64)[given.fold.test]
        scale = np.nanstd(x) or 1.0
        p = expit((x - np.nanmean(x)) / scale)
        return np.stack([1 - p, p], axis=1)


@dataclass(frozen=True)
class ChangeRegression:
    """Logistic regression on changes from rest; a missing feature has not changed.

    Parameters
    ----------
    features
        Columns of the table, already relative to the person's rest.
    within_laboratory
        Scale each feature by its standard deviation in its own laboratory, that of the
        test too, which is unknown in a live session. Otherwise by that of the training
        rows.
    missingness
        Read whether features are missing, instead of ``features``, of which only the
        last is read.
    c
        Inverse of the penalty.
    """

    features: tuple[str, ...]
    within_laboratory: bool = False
    missingness: bool = False
    c: float = 1.0

    def __call__(self, given: FoldData) -> Array:
        train, test = given.fold.train, given.fold.test
        x = given.table[list(self.features)].to_numpy(np.float64)
        if self.missingness:
            x = np.column_stack([np.isnan(x) * 1.0, x[:, -1]])
        scale = np.tile(np.nanstd(x[train], axis=0), (len(x), 1))
        if self.within_laboratory:
            names = given.rows.ids("dataset")
            for name in np.unique(names):
                scale[names == name] = np.nanstd(x[names == name], axis=0)
        z = np.nan_to_num(x / np.maximum(np.nan_to_num(scale), 1e-9))
        model = LogisticRegression(C=self.c, max_iter=2000)
        model.fit(z[train], given.y[train], sample_weight=equal_laboratories(given))
        output: Array = model.predict_proba(z[test])
        return output


@dataclass(frozen=True)
class ChangeGaussian:
    """Joint Gaussian of changes from rest and the label, as the weights ``wrist`` are.

    Missing features are marginalised. The laboratory is no input.

    Parameters
    ----------
    features
        Columns of the table, already relative to the person's rest.
    shrink
        Shrinkage of the correlations.
    """

    features: tuple[str, ...]
    shrink: float = 0.1

    def __call__(self, given: FoldData) -> Array:
        train, test = given.fold.train, given.fold.test
        x = given.table[list(self.features)].to_numpy(np.float64)
        y = np.where(given.y[train] > 0, 1.0, -1.0)[:, None]
        config = GaussianConfig(len(self.features), ("arousal",))
        people = given.rows.participants[train]
        units = np.unique(
            np.char.add(people, y[:, 0].astype(str)), return_inverse=True
        )[1]
        model = shrunk(config, *fit(config, x[train], y, units), self.shrink, 0.0)
        return np.array([_probability(model, row) for row in x[test]])


def _probability(model: Gaussian, row: Array) -> tuple[float, float]:
    mean, sd = model.predict(row, np.zeros(len(row)))
    if np.isnan(mean[1]):
        return 0.5, 0.5
    p = float(expit(2 * mean[1] / max(float(sd[1]) ** 2, 1e-6)))
    return 1 - p, p
