"""Scores of the unified network and its rivals on participants left out."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from experiments.unified_labels.label_sets import (
    LabelSet,
    Target,
    common_scale,
    concordance_score,
)
from experiments.unified_labels.rival_regressions import pooled, regressions
from experiments.unified_labels.unified_network import Fitted, NetworkSettings, train
from physio.core.block import Array
from physio.datasets.base import natural_sorted
from physio.evaluation.metrics import auc

UNIFIED: Final = "unified"
UNTAUGHT: Final = "unified, no teachers"
SINGLE: Final = "single task"
LINEAR: Final = "regression of each label"
POOLED: Final = "pooled regression"
MODELS: Final = (UNIFIED, UNTAUGHT, SINGLE, LINEAR, POOLED)
MEAN: Final = "mean of labels"
INTENSITY: Final = ", intensity"
FOLDS: Final = 5

Table = dict[str, dict[str, dict[str, float]]]
"""Scores by label, model and participant."""


class Networks(NamedTuple):
    """Networks trained on the same rows."""

    single: Mapping[str, Fitted]
    unified: Fitted
    untaught: Fitted

    def outputs(self, model: str, x: Array, name: str) -> list[Array]:
        """Return the outputs of a data set's head for some rows."""
        by_name = {UNIFIED: self.unified, UNTAUGHT: self.untaught}
        return by_name.get(model, self.single[name]).outputs(x, name)


def networks(
    sets: Sequence[LabelSet], settings: NetworkSettings, seed: int
) -> Networks:
    """Train single-task networks, and the unified one with and without teachers."""
    scale = common_scale(sets)
    given = [s.centred() for s in sets]
    single = {s.name: train([s], scale, settings, seed) for s in given}
    return Networks(
        single,
        train(given, scale, settings, seed, single),
        train(given, scale, settings, seed),
    )


def folds(sets: Sequence[LabelSet], count: int = FOLDS) -> list[list[list[str]]]:
    """Return the participants of each data set that each fold leaves out."""
    names = [natural_sorted(set(map(str, s.people))) for s in sets]
    return [[people[k::count] for people in names] for k in range(count)]


def held_out(
    sets: Sequence[LabelSet], settings: NetworkSettings, seed: int
) -> dict[str, Table]:
    """Return scores of every participant left out, by data set."""
    tables: dict[str, Table] = {s.name: {} for s in sets}
    for fold in folds(sets):
        taught = [s.without(people) for s, people in zip(sets, fold, strict=True)]
        tested = [
            s.at(np.isin(s.people, people))
            for s, people in zip(sets, fold, strict=True)
        ]
        for name, table in scores(taught, tested, settings, seed).items():
            for label, models in table.items():
                for model, people in models.items():
                    rows = tables[name].setdefault(label, {}).setdefault(model, {})
                    rows.update(people)
    return tables


def scores(
    taught: Sequence[LabelSet],
    tested: Sequence[LabelSet],
    settings: NetworkSettings,
    seed: int,
) -> dict[str, Table]:
    """Return scores of tested participants, by data set; see `Table`.

    The label `MEAN` is the mean of the labels of a data set. The pooled regression has
    scores of the principal label only.
    """
    trained, scale = networks(taught, settings, seed), common_scale(taught)
    given = [s.centred() for s in taught]
    tables: dict[str, Table] = {}
    for dataset, rows in zip(given, tested, strict=True):
        outputs = {
            model: trained.outputs(model, rows.x, rows.name)
            for model in (UNIFIED, UNTAUGHT, SINGLE)
        }
        outputs[LINEAR] = regressions(dataset, rows.x, scale)
        table = _table(rows, outputs)
        shared = pooled(given, rows.x, scale)[:, None]
        intensity = Target("", rows.targets[0].intensity())
        principal = f"{rows.targets[0].name}{INTENSITY}"
        table[principal] = {
            model: _by_person(rows, intensity, _intensity(out[0], rows.targets[0]))
            for model, out in outputs.items()
        }
        table[principal][POOLED] = _by_person(rows, intensity, shared)
        tables[rows.name] = table
    return tables


def _table(rows: LabelSet, outputs: Mapping[str, list[Array]]) -> Table:
    table: Table = {
        target.name: {
            model: _by_person(rows, target, out[k]) for model, out in outputs.items()
        }
        for k, target in enumerate(rows.targets)
    }
    people = natural_sorted(set(map(str, rows.people)))
    table[MEAN] = {
        model: {
            person: mean_known([table[t.name][model][person] for t in rows.targets])
            for person in people
        }
        for model in outputs
    }
    return table


def mean_known(values: Sequence[float]) -> float:
    """Return the mean of finite values; NaN without any."""
    known = [v for v in values if np.isfinite(v)]
    return float(np.mean(known)) if known else float("nan")


def _by_person(rows: LabelSet, target: Target, output: Array) -> dict[str, float]:
    return {
        person: concordance_score(
            target.at(rows.people == person), output[rows.people == person]
        )
        for person in natural_sorted(set(map(str, rows.people)))
    }


def _intensity(output: Array, target: Target) -> Array:
    return output[:, [target.high]] if target.classes else output


def other_laboratory(
    sets: Sequence[LabelSet],
    laboratory: LabelSet,
    stressed: Array,
    settings: NetworkSettings,
    seed: int,
) -> dict[str, dict[str, float]]:
    """Return the AUC of stress in a laboratory whose labels no head reads.

    The principal heads of the other data sets each give an intensity, in units of its
    deviation over their own training rows; their mean is the output.

    Parameters
    ----------
    sets
        Data sets that train.
    laboratory
        Rows of the laboratory.
    stressed
        Its rows under stress, shape (n,).
    settings
        Settings of the networks.
    seed
        Seed.
    """
    trained, scale = networks(sets, settings, seed), common_scale(sets)
    given = [s.centred() for s in sets]
    outputs: dict[str, Array] = {}
    for model in (UNIFIED, UNTAUGHT, SINGLE, LINEAR):
        parts = []
        for dataset in given:
            both = np.concatenate([dataset.x, laboratory.x])
            out = (
                regressions(dataset, both, scale)
                if model == LINEAR
                else trained.outputs(model, both, dataset.name)
            )
            value = _intensity(out[0], dataset.targets[0])[:, 0]
            known = value[: len(dataset.x)]
            parts.append((value[len(dataset.x) :] - known.mean()) / known.std())
        outputs[model] = np.mean(parts, axis=0)
    outputs[POOLED] = pooled(given, laboratory.x, scale)
    people = natural_sorted(set(map(str, laboratory.people)))
    at = {person: laboratory.people == person for person in people}
    return {
        model: {
            person: auc(
                stressed[rows].astype(np.int64),
                np.stack([-out[rows], out[rows]], axis=1),
            )
            for person, rows in at.items()
        }
        for model, out in outputs.items()
    }
