"""Calibration by a participant's own ratings, on simulated participants."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from experiments.simulated.cohort import SimulatedCohort
from experiments.weights.published import TrainPublishedExperts
from physio import config
from physio.core.affect import DIMENSIONS
from physio.core.block import Array
from physio.evaluation.statistics import summary
from physio.models.baseline import BaselinePrior
from physio.models.model_card import load
from physio.models.personalization import RatedMoment, personalize
from physio.training.gaussian import centred

_RECALL: Final = 30.0  # s before a rating that it is about
_TIMES: Final = (90.0, 150.0, 210.0, 270.0, 330.0)  # s, times of the ratings
_LATER: Final = 340.0  # s, time from which estimates are scored


class PersonEstimates(NamedTuple):
    """Estimates, true affect and ratings of a participant at each moment."""

    seed: int
    mean: Array
    sd: Array
    felt: Array
    ratings: Array


@dataclass(frozen=True)
class LabelCalibration:
    """Effect of a participant's own ratings on held-out simulated participants.

    Participants rate the last half minute at some moments. Later estimates are scored
    and compared with those of the same participant without ratings.

    Parameters
    ----------
    affect
        The training run of the experts, whose weights are in the package.
    weights
        Names of the weights in use.
    participants
        Number of test participants.
    seed
        Seed of the bootstrap.
    """

    affect: TrainPublishedExperts
    weights: str = "published-all"
    participants: int = 300
    seed: int = 23

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:  # noqa: ARG002
        """Evaluate; nothing is stored."""
        began = time.monotonic()
        a = self.affect
        crowd = SimulatedCohort(a.devices, a.chains, a.seconds, 0.0, root)
        estimates = [
            self._estimates(crowd, a.first_tested + i) for i in range(self.participants)
        ]
        stored = load(self.weights)
        prior = stored.arrays["prior.mean"]
        cov = stored.arrays["participant.cov"]
        by_count: dict[int, list[tuple[Array, Array]]] = {}
        for k in (0, 1, 3, 5):
            by_count[k] = [self._judged(s, prior, cov, k) for s in estimates]
        rows = []
        for k, judged in by_count.items():
            for d, name in enumerate(DIMENSIONS):
                for m, metric in enumerate(("squared error", "negative log density")):
                    per_participant = {
                        str(s.seed): float(j[m][d])
                        for s, j in zip(estimates, judged, strict=True)
                    }
                    rows.append(
                        summary(
                            f"{k} labels",
                            f"{name} {metric}",
                            per_participant,
                            self.seed,
                        )
                    )
                    base = by_count[0]
                    less = {
                        str(s.seed): float(j[m][d] - b[m][d])
                        for s, j, b in zip(estimates, judged, base, strict=True)
                    }
                    if k:
                        title = f"{k} labels less none"
                        rows.append(summary(title, f"{name} {metric}", less, self.seed))
        return {
            "dataset": "simulated participants, effects as published",
            "protocol": f"{self.participants} held-out participants; evaluated from "
            f"{_LATER:g} s on",
            "rows": [
                {k: v for k, v in r.items() if k != "per_participant"} for r in rows
            ],
            "participant": cov[:, 0, 0].tolist(),
            "config": config.describe(self),
            "versions": {"numpy": version("numpy")},
            "seconds": round(time.monotonic() - began, 1),
            "table": _printed(rows),
        }

    def _estimates(self, crowd: SimulatedCohort, seed: int) -> PersonEstimates:
        participant = crowd.participant(seed)
        stored = load(self.weights)
        columns = stored.card.columns
        rest, model = BaselinePrior.restore(stored.part("rest")), stored.model()
        z, extra = centred(self.affect.moments(participant, columns), rest)
        predicted = np.array([np.stack(model.predict(r, extra)) for r in z])
        ratings, felt = self.affect.rated(participant)
        return PersonEstimates(seed, predicted[:, 0], predicted[:, 1], felt, ratings)

    def _judged(
        self, s: PersonEstimates, prior: Array, cov: Array, k: int
    ) -> tuple[Array, Array]:
        """Return mean squared error and negative log density after ``k`` ratings."""
        at = self.affect.rest + np.arange(len(s.mean)) * self.affect.every
        labels, rng = [], np.random.default_rng((self.seed, s.seed))
        for t in _TIMES[len(_TIMES) - k :]:
            recalled = (at > t - _RECALL) & (at <= t)
            noisy = s.felt[recalled].mean(axis=0) + rng.normal(0, self.affect.rater, 3)
            rated = np.round(np.clip(noisy, -1, 1) * 4) / 4
            labels.append(
                RatedMoment(
                    s.mean[recalled].mean(axis=0), s.sd[recalled].mean(axis=0), rated
                )
            )
        later = np.flatnonzero(at > _LATER)
        both = [personalize(s.mean[i], s.sd[i], prior, cov, labels) for i in later]
        mean, sd = (np.array([b[i] for b in both]) for i in (0, 1))
        dens = 0.5 * ((s.ratings[later] - mean) / sd) ** 2 + np.log(sd)
        return ((mean - s.felt[later]) ** 2).mean(axis=0), dens.mean(axis=0)


def _printed(rows: Sequence[dict[str, Any]]) -> str:
    return "\n".join(
        f"{r['model']:24}  {r['metric']:32}  {r['mean']:7.4f}  "
        f"({r['low']:.4f} to {r['high']:.4f})"
        for r in rows
    )
