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
)
from experiments.prototypes.map_scores import (
    Judged,
    Scores,
    rounded,
    scores_of,
    stability,
)
from experiments.unified_labels.label_sets import LabelSet
from experiments.unified_labels.simulated_label_sets import Moments
from experiments.unified_labels.wrist_label_sets import wrist_sets
from physio import config
from physio.evaluation.figures import Figures
from physio.evaluation.statistics import compared

FOLDER: Final = Path(__file__).parent
WESAD: Final = "WESAD"
SONGS: Final = "HKU956"
SIMULATED: Final = "simulated"
CONDITIONS: Final = ("baseline", "stress", "amusement")
_SEED: Final = 23
_SONG_FOLDS: Final = 5
_LEFT_OUT: Final = 10


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

    def _simulated(self, settings: EncoderSettings, seeds: Sequence[int]) -> Judged:
        taught = list(participants(FIRST_TAUGHT, self.taught))
        tested = list(participants(FIRST_TESTED, self.tested))
        rows, new = _rated(taught, true=False), _rated(tested, true=True)
        scores: dict[int, Scores] = {}
        maps = {}
        for seed in seeds:
            fitted = fit(rows, settings, seed)
            scores[seed] = scores_of(new, outputs(fitted, new.x, settings, seed))
            maps[seed] = fitted
        whole = maps[seeds[0]]
        parts = []
        for k in range(_LEFT_OUT):
            others, _ = rows.split(rows.names[k::_LEFT_OUT])
            parts.append(fit(others, settings, seeds[0]).drawn)
        shown = tested[0]
        picture = {
            "participant": shown.code,
            "weights": rounded(whole.drawn.weights(whole.encoder.embed(shown.x))[::9]),
            "read": rounded(whole.drawn.read(whole.encoder.embed(shown.x))),
            "true": rounded(shown.felt[:, :2]),
        }
        return Judged(
            SIMULATED, scores, stability(whole, parts, maps), {"picture": picture}
        )

    def _real(
        self,
        root: Path,
        table: pd.DataFrame | None,
        settings: EncoderSettings,
        seeds: Sequence[int],
    ) -> list[Judged]:
        sets, _ = wrist_sets(wrist_table(root, table), root)
        by_name = {s.name: s for s in sets}
        wesad, songs = by_name[WESAD], by_name[SONGS]
        rated = _with_labels(wesad, "SAM valence", "SAM arousal", 1.0)
        felt = _with_labels(songs, "felt valence", "felt arousal", 10.0)
        singles = [[person] for person in rated.names]
        several = [felt.names[k::_SONG_FOLDS] for k in range(_SONG_FOLDS)]
        first, shown = _held_out(WESAD, rated, singles, settings, seeds)
        first.details["picture"] = _by_condition(shown, wesad, rated)
        return [first, _held_out(SONGS, felt, several, settings, seeds)[0]]


def _held_out(
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
            scored = scores_of(new, outputs(fitted, new.x, settings, seed))
            for target, models in scored.items():
                for model, by_person in models.items():
                    into = scores[seed].setdefault(target, {}).setdefault(model, {})
                    into.update(by_person)
            if seed == seeds[0]:
                first |= dict.fromkeys(fold, fitted)
    maps = {seed: fit(rows, settings, seed) for seed in seeds}
    parts = [first[fold[0]].drawn for fold in folds]
    stable = stability(maps[seeds[0]], parts, maps)
    return Judged(name, scores, stable, {}), first


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
                "weights": rounded(fitted.drawn.weights(embedded).mean(axis=0)),
                "read": rounded(fitted.drawn.read(embedded).mean(axis=0)),
                "rated": rounded(given.mean(axis=0)),
            }
    return out
