"""Evaluation of the map of valence and arousal beside a plain head."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.literature.judgement import FILE, Primary, with_judgements
from experiments.literature.wrist_rows import wrist_table
from experiments.prototypes.affect_map import AffectMap
from experiments.prototypes.gaussian_people import (
    FIRST_TAUGHT,
    FIRST_TESTED,
    participants,
)
from experiments.prototypes.map_encoder import EncoderSettings
from experiments.prototypes.map_fit import (
    MODELS,
    PLAIN,
    FittedMap,
    RatedRows,
    fit,
    outputs,
    person_scores,
)
from experiments.prototypes.map_stability import grid_order, likeness, rank_likeness
from experiments.unified_labels.label_sets import LabelSet, wrist_sets
from experiments.unified_labels.simulated_label_sets import Moments
from physio import config
from physio.core.block import Array
from physio.evaluation.figures import Figures
from physio.evaluation.statistics import bootstrap_ci, compared, summary

FOLDER: Final = Path(__file__).parent
WESAD: Final = "WESAD"
SONGS: Final = "HKU956"
SIMULATED: Final = "simulated"
CONDITIONS: Final = ("baseline", "stress", "amusement")
_SEED: Final = 23
_SONG_FOLDS: Final = 5
_LEFT_OUT: Final = 10
Scores = dict[str, dict[str, dict[str, float]]]
"""Scores by dimension, model and participant."""


@dataclass(frozen=True)
class Prototypes:
    """Evaluation of the map on simulated participants, WESAD and HKU956.

    Parameters
    ----------
    encoder
        Settings of the encoder.
    taught, tested
        Numbers of simulated participants.
    """

    encoder: Mapping[str, Any] = field(default_factory=dict)
    taught: int = 60
    tested: int = 300

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Figures:
        """Train and test with every seed of the primary comparison."""
        began = time.monotonic()
        if root is None:
            raise ValueError(
                "the rated data are read from --data (wesad, hku956, and emopair, "
                "noneeg, stress_predict for the windows)"
            )
        settings = config.make(EncoderSettings, dict(self.encoder), "encoder")
        seeds = Primary.read(FOLDER / FILE).seeds
        parts = [
            self._simulated(settings, seeds),
            *self._real(root, table, settings, seeds),
        ]
        rows = [row for part in parts for row in part.rows()]
        pairs = [(name, PLAIN) for name in MODELS if name != PLAIN]
        result = Figures(
            "simulated participants, WESAD, HKU956",
            f"participants left out, {len(seeds)} seeds",
            tuple(rows),
            tuple(compared(rows, "", pairs, _SEED)),
            tuple(note for part in parts for note in part.notes()),
            {part.name: part.details for part in parts},
            config.describe(self),
            time.monotonic() - began,
        )
        both = {
            part.name: {seed: s["both"] for seed, s in part.scores.items()}
            for part in parts
        }
        return with_judgements(
            result, FOLDER, real=both[WESAD], simulated=both[SIMULATED]
        )

    def _simulated(self, settings: EncoderSettings, seeds: Sequence[int]) -> "Judged":
        taught = list(participants(FIRST_TAUGHT, self.taught))
        tested = list(participants(FIRST_TESTED, self.tested))
        rows, new = _rated(taught, true=False), _rated(tested, true=True)
        scores: dict[int, Scores] = {}
        maps = {}
        for seed in seeds:
            fitted = fit(rows, settings, seed)
            scores[seed] = _scores(new, outputs(fitted, new.x, settings, seed))
            maps[seed] = fitted
        whole = maps[seeds[0]]
        parts = []
        for k in range(_LEFT_OUT):
            others, _ = rows.split(rows.names[k::_LEFT_OUT])
            parts.append(fit(others, settings, seeds[0]).drawn)
        shown = tested[0]
        picture = {
            "participant": shown.code,
            "weights": _rounded(whole.drawn.weights(whole.encoder.embed(shown.x))[::9]),
            "read": _rounded(whole.drawn.read(whole.encoder.embed(shown.x))),
            "true": _rounded(shown.felt[:, :2]),
        }
        return Judged(
            SIMULATED, scores, _stability(whole, parts, maps), {"picture": picture}
        )

    def _real(
        self,
        root: Path,
        table: pd.DataFrame | None,
        settings: EncoderSettings,
        seeds: Sequence[int],
    ) -> list["Judged"]:
        sets, _ = wrist_sets(wrist_table(root, table), root)
        by_name = {s.name: s for s in sets}
        wesad, songs = by_name[WESAD], by_name[SONGS]
        rated = _with_labels(wesad, "SAM valence", "SAM arousal", 1.0)
        heard = _with_labels(songs, "felt valence", "felt arousal", 10.0)
        one = [[person] for person in rated.names]
        several = [heard.names[k::_SONG_FOLDS] for k in range(_SONG_FOLDS)]
        first, shown = _left_out(WESAD, rated, one, settings, seeds)
        first.details["picture"] = _by_condition(shown, wesad, rated)
        return [first, _left_out(SONGS, heard, several, settings, seeds)[0]]


@dataclass(frozen=True, eq=False)
class Judged:
    """Scores of a data set by seed, and the stability of its map."""

    name: str
    scores: dict[int, Scores]
    stability: dict[str, list[float]]
    details: dict[str, Any]

    def __post_init__(self) -> None:
        self.details["stability"] = {
            k: {"mean": _mean(v), "interval": _interval(v), "each": _rounded(v)}
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


def _left_out(
    name: str,
    rows: RatedRows,
    folds: Sequence[Sequence[str]],
    settings: EncoderSettings,
    seeds: Sequence[int],
) -> tuple[Judged, dict[str, FittedMap]]:
    """Return scores of participants left out, and the maps of the first seed."""
    scores: dict[int, Scores] = {}
    first: dict[str, FittedMap] = {}
    for seed in seeds:
        scores[seed] = {}
        for fold in folds:
            others, new = rows.split(fold)
            fitted = fit(others, settings, seed)
            found = _scores(new, outputs(fitted, new.x, settings, seed))
            for target, models in found.items():
                for model, by_person in models.items():
                    into = scores[seed].setdefault(target, {}).setdefault(model, {})
                    into.update(by_person)
            if seed == seeds[0]:
                first |= dict.fromkeys(fold, fitted)
    maps = {seed: fit(rows, settings, seed) for seed in seeds}
    parts = [first[fold[0]].drawn for fold in folds]
    stability = _stability(maps[seeds[0]], parts, maps)
    return Judged(name, scores, stability, {}), first


def _stability(
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


def _scores(rows: RatedRows, by_model: Mapping[str, Array]) -> Scores:
    out: Scores = {}
    for model, output in by_model.items():
        for target, by_person in person_scores(rows, output).items():
            out.setdefault(target, {})[model] = by_person
    return out


def _rated(taken: Sequence[Moments], *, true: bool) -> RatedRows:
    affect = np.concatenate([m.felt if true else m.ratings for m in taken])[:, :2]
    codes = np.repeat([m.code for m in taken], [len(m.x) for m in taken])
    return RatedRows(np.concatenate([m.x for m in taken]), affect, codes)


def _with_labels(rows: LabelSet, valence: str, arousal: str, most: float) -> RatedRows:
    by_name = {t.name: t.y for t in rows.targets}
    affect = np.stack([by_name[valence], by_name[arousal]], axis=1) / most
    known = np.isfinite(affect).all(axis=1)
    return RatedRows(rows.x[known], affect[known], rows.people[known])


def _by_condition(
    maps: Mapping[str, FittedMap], wesad: LabelSet, rated: RatedRows
) -> dict[str, Any]:
    """Return where a person left out is on the map in each condition."""
    person = rated.names[0]
    condition = wesad.targets[0].y
    out: dict[str, Any] = {"participant": person}
    for k, name in enumerate(CONDITIONS):
        at = (wesad.people == person) & (condition == k)
        if at.any():
            fitted = maps[person]
            embedded = fitted.encoder.embed(wesad.x[at])
            given = np.stack([t.y[at] for t in wesad.targets[1:]], axis=1)
            out[name] = {
                "weights": _rounded(fitted.drawn.weights(embedded).mean(axis=0)),
                "read": _rounded(fitted.drawn.read(embedded).mean(axis=0)),
                "rated": _rounded(given.mean(axis=0)),
            }
    return out


def _rounded(values: Any) -> Any:
    return np.round(np.asarray(values, np.float64), 4).tolist()


def _mean(values: Sequence[float]) -> float:
    known = np.array([v for v in values if np.isfinite(v)])
    return round(float(known.mean()), 4) if len(known) else float("nan")


def _interval(values: Sequence[float]) -> tuple[float, float]:
    return bootstrap_ci(np.array([v for v in values if np.isfinite(v)]), _SEED)
