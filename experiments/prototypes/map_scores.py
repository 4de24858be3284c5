"""Scores of a map and its rivals on a data set, and the stability of the map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from experiments.prototypes.affect_map import AffectMap
from experiments.prototypes.map_fit import FittedMap, RatedRows, person_scores
from experiments.prototypes.map_stability import grid_order, likeness, rank_likeness
from physio.core.block import Array
from physio.evaluation.statistics import bootstrap_ci, summary

_SEED: Final = 23
Scores = dict[str, dict[str, dict[str, float]]]
"""Scores by dimension, model and participant."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Scores of a data set by seed, and the stability of its map."""

    name: str
    scores: dict[int, Scores]
    stability: dict[str, list[float]]
    details: dict[str, Any]

    def __post_init__(self) -> None:
        self.details["stability"] = {
            k: {"mean": _mean(v), "interval": _interval(v), "each": rounded(v)}
            for k, v in self.stability.items()
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return the figures of each dimension and model, means over seeds."""
        first = next(iter(self.scores.values()))
        return [
            summary(
                model,
                f"{self.name}, CCC of {target}",
                {
                    p: float(
                        np.mean([s[target][model][p] for s in self.scores.values()])
                    )
                    for p in by_person
                },
                _SEED,
            )
            for target, models in first.items()
            for model, by_person in models.items()
        ]

    def notes(self) -> list[str]:
        """Return a sentence on each measure of stability."""
        return [
            f"{self.name}, {name}: {_mean(v):.3f} [{_interval(v)[0]:.3f}, "
            f"{_interval(v)[1]:.3f}] over {len(v)} maps."
            for name, v in self.stability.items()
        ]


def stability(
    whole: FittedMap, parts: Sequence[AffectMap], maps: Mapping[int, FittedMap]
) -> dict[str, list[float]]:
    drawn = [m.drawn for m in maps.values()]
    return {
        **likeness(whole.drawn, parts),
        "rank correlation between seeds": [
            rank_likeness(drawn[0], other) for other in drawn[1:]
        ],
        "rank correlation with the grid": [grid_order(m) for m in parts],
        "bins with rows": [float((whole.drawn.counts > 0).sum())],
        "temperature": [m.tau for m in drawn],
    }


def scores_of(rows: RatedRows, by_model: Mapping[str, Array]) -> Scores:
    out: Scores = {}
    for model, output in by_model.items():
        for target, by_person in person_scores(rows, output).items():
            out.setdefault(target, {})[model] = by_person
    return out


def rounded(values: Any) -> Any:
    return np.round(np.asarray(values, np.float64), 4).tolist()


def _mean(values: Sequence[float]) -> float:
    known = np.array([v for v in values if np.isfinite(v)])
    return round(float(known.mean()), 4) if len(known) else float("nan")


def _interval(values: Sequence[float]) -> tuple[float, float]:
    return bootstrap_ci(np.array([v for v in values if np.isfinite(v)]), _SEED)
