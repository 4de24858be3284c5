"""Evaluation of one trunk for data sets with different labels."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.literature import people
from experiments.literature.judgement import FILE, Primary, with_judgements
from experiments.literature.wrist_rows import wrist_table
from experiments.unified_labels.comparison import (
    INTENSITY,
    LINEAR,
    MEAN,
    MODELS,
    SINGLE,
    UNIFIED,
    UNTAUGHT,
    Table,
    held_out,
    mean_known,
    other_laboratory,
    scores,
)
from experiments.unified_labels.label_sets import LabelSet
from experiments.unified_labels.simulated_label_sets import (
    SHARED,
    UNRELATED,
    moments,
    true_sets,
    world,
)
from experiments.unified_labels.unified_network import NetworkSettings
from experiments.unified_labels.wrist_label_sets import stressed_rows, wrist_sets
from physio import config
from physio.evaluation.figures import Figures
from physio.evaluation.statistics import compared, summary

FOLDER: Final = Path(__file__).parent
AT_CHANCE: Final = "HKU956"
"""Data set that trains and is shown, and judges nothing."""

MARGIN: Final = 0.03
"""Loss that each data set may have."""

_SEED: Final = 23
ByModel = dict[str, dict[str, float]]


@dataclass(frozen=True)
class UnifiedLabels:
    """Evaluation of the unified network on real and simulated data sets.

    Parameters
    ----------
    network
        Settings of the networks.
    per_set
        Simulated participants of a training set.
    tested
        Simulated participants of the test.
    """

    network: Mapping[str, Any] = field(default_factory=dict)
    per_set: int = 12
    tested: int = 100

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Figures:
        """Train and test with every seed of the primary comparison."""
        began = time.monotonic()
        if root is None:
            raise ValueError(
                "the data sets are read from --data (wesad, emopair, noneeg, hku956, "
                "stress_predict)"
            )
        windows = wrist_table(root, table)
        sets, other = wrist_sets(windows, root)
        stressed = stressed_rows(windows)
        seeds = Primary.read(FOLDER / FILE).seeds
        settings = config.make(NetworkSettings, dict(self.network), "network")
        real = {seed: held_out(sets, settings, seed) for seed in seeds}
        worlds = self._simulated(settings, seeds)
        elsewhere = {
            seed: _laboratories(sets, other, stressed, settings, seed) for seed in seeds
        }
        rows, notes = _rows(real, worlds, elsewhere)
        pairs = [(UNIFIED, SINGLE), (UNIFIED, LINEAR), (UNIFIED, UNTAUGHT)]
        asked = [r for r in rows if r["metric"].endswith((MEAN, "left out, stress"))]
        paired = compared(asked, "", pairs, _SEED)
        result = Figures(
            "WESAD, EmoPairCompete, Non-EEG, HKU956; simulated participants",
            f"participants left out, {len(seeds)} seeds",
            tuple(rows),
            tuple(paired),
            tuple(notes),
            config=config.describe(self),
            seconds=time.monotonic() - began,
        )
        return with_judgements(
            result,
            FOLDER,
            real={seed: equal_sets(tables) for seed, tables in real.items()},
            simulated={
                seed: mean_over_sets(tables)
                for seed, tables in worlds["shared"].items()
            },
        )

    def _simulated(
        self, settings: NetworkSettings, seeds: Sequence[int]
    ) -> dict[str, dict[int, dict[str, Table]]]:
        taught, tested = moments(
            list(people.training(self.per_set * len(SHARED))),
            list(people.tested(self.tested)),
        )
        return {
            name: {
                seed: scores(
                    world(kinds, taught, self.per_set),
                    true_sets(kinds, tested),
                    settings,
                    seed,
                )
                for seed in seeds
            }
            for name, kinds in (("shared", SHARED), ("unrelated", UNRELATED))
        }


def equal_sets(tables: Mapping[str, Table]) -> ByModel:
    """Return scores whose mean over participants is the mean over data sets.

    A participant's mean over labels is multiplied by the mean number of participants of
    a data set and divided by that of its own. The data set at chance is left out.
    """
    parts = {n: t[MEAN] for n, t in tables.items() if n != AT_CHANCE}
    sizes = {n: len(models[UNIFIED]) for n, models in parts.items()}
    usual = float(np.mean(list(sizes.values())))
    out: ByModel = {}
    for name, models in parts.items():
        for model, by_person in models.items():
            rows = out.setdefault(model, {})
            for person, value in by_person.items():
                rows[f"{name} {person}"] = value * usual / sizes[name]
    return out


def mean_over_sets(tables: Mapping[str, Table]) -> ByModel:
    """Return the mean over data sets of each participant who has labels of them all."""
    models = next(iter(tables.values()))[MEAN]
    return {
        model: {
            person: mean_known([t[MEAN][model][person] for t in tables.values()])
            for person in by_person
        }
        for model, by_person in models.items()
    }


def _laboratories(
    sets: Sequence[LabelSet],
    other: LabelSet,
    stressed: Mapping[str, Any],
    settings: NetworkSettings,
    seed: int,
) -> dict[str, ByModel]:
    """Return the AUC of stress in each laboratory left out; HKU956 reads nothing."""
    known = [s for s in sets if s.name != AT_CHANCE]
    out = {}
    for laboratory in (*known, other):
        trains = [s for s in known if s.name != laboratory.name]
        out[laboratory.name] = other_laboratory(
            trains, laboratory, stressed[laboratory.name], settings, seed
        )
    return out


def _over_seeds(by_seed: Sequence[ByModel], model: str) -> dict[str, float]:
    """Return the mean over seeds of each participant's score."""
    return {
        person: float(np.mean([models[model][person] for models in by_seed]))
        for person in by_seed[0][model]
    }


def _rows(
    real: Mapping[int, Mapping[str, Table]],
    worlds: Mapping[str, Mapping[int, Mapping[str, Table]]],
    elsewhere: Mapping[int, Mapping[str, ByModel]],
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return figures of each label and model, and a sentence for each data set."""
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    places = {"": real} | {f"simulated, {k}: ": w for k, w in worlds.items()}
    for prefix, tables in places.items():
        for name, table in next(iter(tables.values())).items():
            for label in table:
                if prefix and label.endswith(INTENSITY):
                    continue
                by_seed = [t[name][label] for t in tables.values()]
                rows += _figures(f"{prefix}{name}, {label}", by_seed)
                if label == MEAN:
                    notes.append(_guard(f"{prefix}{name}", by_seed))
    for name in next(iter(elsewhere.values())):
        by_seed = [labs[name] for labs in elsewhere.values()]
        rows += _figures(f"{name} left out, stress", by_seed)
    return rows, notes


def _figures(metric: str, by_seed: Sequence[ByModel]) -> list[dict[str, Any]]:
    return [
        summary(model, metric, _over_seeds(by_seed, model), _SEED)
        for model in MODELS
        if model in by_seed[0]
    ]


def _guard(name: str, by_seed: Sequence[ByModel]) -> str:
    """Return whether a data set loses more than the margin, in a sentence."""
    new, old = (_over_seeds(by_seed, model) for model in (UNIFIED, SINGLE))
    off = summary("", "", {p: new[p] - old[p] for p in new}, _SEED)
    word = "within" if off["low"] > -MARGIN else "not within"
    return (
        f"{name}: unified less single task {off['mean']:+.3f} [{off['low']:+.3f}, "
        f"{off['high']:+.3f}], {word} the margin of {MARGIN} a set."
    )
