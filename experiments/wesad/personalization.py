"""Value of personal calibration: baseline, and ratings of one or two conditions."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from experiments.weights.participant_effects import (
    GRID,
    PersonRatings,
    held_out_ratings,
    likely,
    mean_of,
    pairs_of,
    participants,
    say,
)
from experiments.weights.wrist import TrainWrist
from experiments.wesad import maml
from physio import config
from physio.core.affect import DIMENSIONS
from physio.core.block import Array
from physio.datasets.wesad import Wesad
from physio.evaluation.statistics import summary
from physio.models.baseline import BaselineAccumulator
from physio.models.personalization import RatedMoment, personalize
from physio.training.gaussian import TrainingSamples, learn, moments


@dataclass(frozen=True)
class Personalization:
    """Evaluation of personal calibration on the participants of WESAD.

    Each participant is held out in turn; the expert and the distribution of participant
    effects are learned from the others. The baseline is the beginning of the first
    condition and is used for nothing else. Conditions used as labels are excluded from
    the test. Results are averages over all choices of one and of two labelled
    conditions. Each method is compared with the baseline alone on the same conditions.

    Parameters
    ----------
    wrist
        The training run of the expert.
    seed
        Seed of the bootstrap and of the meta-learned initial weights.
    """

    wrist: TrainWrist
    seed: int = 23

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:  # noqa: ARG002
        """Evaluate on the participants of the data set; nothing is stored."""
        began = time.monotonic()
        if root is None:
            raise ValueError("say where WESAD is, with --data")
        folder = root / self.wrist.folder
        data = Wesad(folder if folder.is_dir() else root)
        participants = [
            self.wrist.participant(data, code) for code in data.participants
        ]
        samples = [moments(p, self.wrist.recipe) for p in participants]
        figures: dict[str, dict[str, dict[str, float]]] = {}
        for i, held in enumerate(samples):
            others = [p for j, p in enumerate(samples) if j != i]
            for way, metrics in self._participant(held, others).items():
                for metric, value in metrics.items():
                    figures.setdefault(way, {}).setdefault(metric, {})[held.code] = (
                        value
                    )
        rows = [
            summary(way, metric, per_participant, self.seed)
            for way, metrics in figures.items()
            for metric, per_participant in metrics.items()
        ]
        rows += _paired(figures, self.seed)
        return {
            "dataset": data.name,
            "protocol": "leave one participant out; labelled conditions leave the test",
            "participants": [p.code for p in participants],
            "rows": rows,
            "config": config.describe(self),
            "versions": {k: version(k) for k in ("numpy", "torch")},
            "seconds": round(time.monotonic() - began, 1),
            "table": _printed(rows),
        }

    def _participant(
        self, held: TrainingSamples, others: list[TrainingSamples]
    ) -> dict[str, dict[str, float]]:
        """Return the metrics of each method for one held-out participant."""
        recipe = self.wrist.recipe
        fitted = learn(others, recipe)
        away = held_out_ratings(others, recipe, fitted)
        ratings = say(held, fitted.rest, fitted, recipe)
        nobody = held._replace(resting=BaselineAccumulator.empty(held.x.shape[1]))
        stranger = say(nobody, fitted.rest, fitted, recipe)
        prior = fitted.model.prior[0]
        start = maml.FirstOrderMAML.learn(away, self.seed)
        ways: dict[str, Callable[[PersonRatings, list[int]], tuple[Array, Array]]] = {
            "rest alone": lambda t, _: (t.mean, t.sd),
            "labels alone": _labels_alone(others),
            "bias": _layer(away, prior, 1),
            "bias and gain": _layer(away, prior, 2),
            "last layer": _features(away),
            "meta-learned start": start.adapted,
            "the same, not adapted": lambda t, _: start.adapted(t, []),
        }
        figures: dict[str, dict[str, float]] = {}
        for k in (0, 1, 2):
            for name, way in ways.items():
                if k or name == "rest alone":
                    figures[f"{name}, {k} labels"] = _judged(ratings, way, k)
        figures["nothing known, 0 labels"] = _judged(
            stranger, lambda t, _: (t.mean, t.sd), 0
        )
        figures["rest alone, 1 labels"] = _judged(ratings, ways["rest alone"], 1)
        figures["rest alone, 2 labels"] = _judged(ratings, ways["rest alone"], 2)
        return figures


def _layer(away: Sequence[PersonRatings], prior: Array, p: int) -> Any:
    """Return the method of an offset, or of an offset and a gain."""
    cov = participants(away, prior, p)

    def way(t: PersonRatings, labelled: list[int]) -> tuple[Array, Array]:
        labels = [RatedMoment(t.mean[i], t.sd[i], t.ratings[i]) for i in labelled]
        both = [
            personalize(m, s, prior, cov, labels) for m, s in pairs_of(t.mean, t.sd)
        ]
        return np.array([b[0] for b in both]), np.array([b[1] for b in both])

    return way


def _features(away: Sequence[PersonRatings]) -> Any:
    """Return the method of Bayesian participant-specific weights of the features."""
    scale = np.nanstd(np.concatenate([t.z for t in away]), axis=0)

    def phi(t: PersonRatings) -> Array:
        scaled = np.where(np.isfinite(t.z), t.z, 0.0) / scale
        return np.column_stack([np.ones(len(scaled)), scaled])

    width = phi(away[0]).shape[1]
    chosen = np.zeros((len(DIMENSIONS), width))
    for d in range(len(DIMENSIONS)):
        tried = [
            np.array([offset, *[w] * (width - 1)])
            for offset in GRID
            for w in (0.0, 0.0025, 0.005, 0.01, 0.02, 0.04)
        ]
        scores = [sum(likely(t, d, phi(t), v) for t in away) for v in tried]
        chosen[d] = tried[int(np.argmax(scores))]

    def way(t: PersonRatings, labelled: list[int]) -> tuple[Array, Array]:
        mean, sd, x = t.mean.copy(), t.sd.copy(), phi(t)
        for d in range(len(DIMENSIONS)):
            rows = [i for i in labelled if np.isfinite((t.ratings - t.mean)[i, d])]
            if not rows:
                continue
            cov = (x * chosen[d]) @ x.T
            residual = np.maximum(t.sd[:, d] ** 2 - np.diag(cov), 0.1 * t.sd[:, d] ** 2)
            within = cov[np.ix_(rows, rows)] + np.diag(residual[rows])
            gain = np.linalg.solve(within, cov[rows]).T
            mean[:, d] += gain @ (t.ratings - t.mean)[rows, d]
            var = t.sd[:, d] ** 2 - np.einsum("ij,ij->i", gain, cov[:, rows])
            sd[:, d] = np.sqrt(np.maximum(var, 0.1 * t.sd[:, d] ** 2))
        return mean, sd

    return way


def _labels_alone(others: Sequence[TrainingSamples]) -> Any:
    """Return the method without sensors: the participant's own mean rating, shrunk."""
    rated = [
        np.array([p.ratings[p.unit == k][0] for k in np.unique(p.unit)]) for p in others
    ]
    grand = mean_of(np.concatenate(rated))
    means = np.array([mean_of(r) for r in rated])
    between = mean_of((means - grand) ** 2)
    inside = np.concatenate([r - mean_of(r) for r in rated])
    within = np.maximum(mean_of(inside**2), 1e-6)

    def way(t: PersonRatings, labelled: list[int]) -> tuple[Array, Array]:
        n = len(labelled)
        post = 1 / (1 / np.maximum(between, 1e-6) + n / within)
        step = post * n / within * (t.ratings[labelled].mean(axis=0) - grand)
        shape = (len(t.mean), 1)
        return np.tile(grand + step, shape), np.tile(np.sqrt(within + post), shape)

    return way


def _judged(t: PersonRatings, way: Any, k: int) -> dict[str, float]:
    """Return the mean over all choices of ``k`` labelled conditions."""
    values_by_metric: dict[str, list[float]] = {}
    for labelled in combinations(range(len(t.mean)), k):
        mean, sd = way(t, list(labelled))
        rest = [i for i in range(len(t.mean)) if i not in labelled]
        for d, name in enumerate(DIMENSIONS[:2]):
            off = (t.ratings - mean)[rest, d]
            dens = 0.5 * (off / sd[rest, d]) ** 2 + np.log(sd[rest, d])
            dens += 0.5 * np.log(2 * np.pi)
            held = np.abs(off) <= 1.959964 * sd[rest, d]
            for metric, value in (
                ("mean absolute error", np.abs(off)),
                ("negative log density", dens),
                ("coverage of 95%", np.where(np.isfinite(off), held, np.nan)),
            ):
                values_by_metric.setdefault(f"{name} {metric}", []).append(
                    float(np.nanmean(value))
                )
    return {
        metric: float(np.nanmean(values)) for metric, values in values_by_metric.items()
    }


def _paired(
    figures: Mapping[str, Mapping[str, Mapping[str, float]]], seed: int
) -> list[dict[str, Any]]:
    """Return paired differences of each method from the baseline alone."""
    rows = []
    for way, metrics in figures.items():
        name, _, k = way.rpartition(", ")
        if name == "rest alone":
            continue
        base = figures[f"rest alone, {k}"]
        for metric, per_participant in metrics.items():
            less = {
                code: per_participant[code] - base[metric][code]
                for code in per_participant
            }
            rows.append(summary(f"{way} less rest alone", metric, less, seed))
    return rows


def _printed(rows: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(
        f"{r['model']:44}  {r['metric']:30}  {r['mean']:7.3f}  "
        f"({r['low']:.3f} to {r['high']:.3f})"
        for r in rows
    )
