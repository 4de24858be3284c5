"""Models of stress that learn from few labelled participants and many unlabelled."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import SelfTrainingClassifier

from experiments.faders.fader_network import (
    FaderConfig,
    Rows,
    columns_of,
    probability,
    train,
)
from experiments.shared import rank_auc
from physio.core.block import Array

ALL: Final = 0
"""Number of labelled participants that stands for all."""
_FURTHEST: Final = 5.0  # standard deviations
_CERTAIN: Final = 0.9  # probability from which a row labels itself


class People(NamedTuple):
    """Rows of participants: features (n, f), class 0 or 1, names and laboratories."""

    z: Array
    y: Any
    names: Any
    laboratories: Any


@dataclass(frozen=True)
class FewLabels:
    """Training rows of which some participants are labelled, and test rows.

    Parameters
    ----------
    columns
        Names of the features.
    tied
        Features tied to each fader; the first fader is arousal.
    taught, tested
        Training and test rows.
    """

    columns: Sequence[str]
    tied: Mapping[str, Sequence[str]]
    taught: People
    tested: People

    def labelled(self, n: int, draw: Sequence[int]) -> Any:
        """Return the mask of the rows of some participants with both classes."""
        t = self.taught
        both = [p for p in np.unique(t.names) if np.ptp(t.y[t.names == p]) > 0]
        if n == ALL:
            return np.isin(t.names, both)
        picked = np.random.default_rng(tuple(draw)).permutation(both)[:n]
        return np.isin(t.names, picked)

    def scaled(self) -> tuple[Array, Array]:
        """Return training and test features in standard deviations of training."""
        scale = np.maximum(np.nan_to_num(np.nanstd(self.taught.z, axis=0)), 1e-9)
        first, other = (
            np.clip(p.z / scale, -_FURTHEST, _FURTHEST)
            for p in (self.taught, self.tested)
        )
        return first, other

    def rows(self, known: Array) -> Rows:
        """Return the training rows with the classes of the labelled ones."""
        t = self.taught
        weight = np.zeros(len(t.y))
        groups = np.char.add(t.laboratories, t.y.astype(str))
        for group in np.unique(groups[known]):
            some = known & (groups == group)
            weight[some] = 1 / some.sum()
        weight *= (weight > 0).sum() / weight.sum()
        return Rows(self.scaled()[0], np.where(known, t.y, -1), weight)

    def faders(self, known: Array, config: FaderConfig, seed: int) -> Array:
        """Return the probability of class 1 of the test rows, from the latent model."""
        tied = columns_of(self.columns, self.tied)
        return probability(
            train(self.rows(known), tied, config, seed), self.scaled()[1]
        )

    def supervised(self, known: Array) -> Array:
        """Return that of a logistic regression on the labelled rows."""
        rows = self.rows(known)
        model = LogisticRegression(max_iter=2000)
        model.fit(np.nan_to_num(rows.z[known]), rows.y[known], rows.weight[known])
        out: Array = model.predict_proba(np.nan_to_num(self.scaled()[1]))[:, 1]
        return out

    def self_training(self, known: Array) -> Array:
        """Return that of a regression that labels the certain rows itself."""
        rows = self.rows(known)
        model = SelfTrainingClassifier(
            LogisticRegression(max_iter=2000, class_weight="balanced"),
            threshold=_CERTAIN,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # all rows labelled
            model.fit(np.nan_to_num(rows.z), rows.y)
        out: Array = model.predict_proba(np.nan_to_num(self.scaled()[1]))[:, 1]
        return out

    def no_labels(self) -> Array:
        """Return that of the mean of the features tied to arousal: no label is read."""
        first = next(iter(self.tied.values()))
        at = [self.columns.index(c) for c in first]
        return expit(np.nan_to_num(self.scaled()[1][:, at]).mean(axis=1))

    def aucs(self, p: Array) -> dict[str, float]:
        """Return the AUC of each test participant; NaN where all are of one class."""
        t = self.tested
        return {
            str(name): rank_auc(t.y[t.names == name], p[t.names == name])
            for name in np.unique(t.names)
        }


def scores(
    data: FewLabels, counts: Sequence[int], draws: int, config: FaderConfig, seed: int
) -> dict[str, dict[str, float]]:
    """Return the AUC by model and participant, mean over draws of the labelled ones."""
    out = {"no labels": data.aucs(data.no_labels())}
    free = replace(config, faders=False)
    for n in counts:
        by_model: dict[str, list[dict[str, float]]] = {}
        for draw in range(draws if n != ALL else 1):
            known = data.labelled(n, (seed, draw))
            outputs = {
                "faders": data.faders(known, config, seed),
                "supervised": data.supervised(known),
                "self-training": data.self_training(known),
            }
            if n == min(c for c in counts if c != ALL):
                outputs["no faders"] = data.faders(known, free, seed)
            for name, p in outputs.items():
                by_model.setdefault(name, []).append(data.aucs(p))
        for name, parts in by_model.items():
            out[named(name, n)] = {
                p: float(np.mean([part[p] for part in parts])) for p in parts[0]
            }
    return out


def named(model: str, n: int) -> str:
    """Return the name of a model with its number of labelled participants."""
    return f"{model}, {'all' if n == ALL else n} labelled"
