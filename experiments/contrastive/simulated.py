"""Minutes of simulated people, whose arousal drives skin and heart in common."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from experiments.contrastive.minutes import (
    RATES,
    SECONDS,
    Minutes,
    filled,
    relative,
)
from experiments.contrastive.probes import Labelled
from experiments.simulated.cohort import SimulatedParticipant
from physio.core.affect import DIMENSIONS
from physio.core.block import Array

FEATURES: Final = ("eda.log_slope", "eda.activity", "prv.rate")
"""Features of the rival: those of the weights ``wrist``."""

LABORATORY: Final = "simulated"
_TICK: Final = 4  # Hz of the stored features
_STEP: Final = 30.0  # s
_REST: Final = 120.0  # s at the begin to which all else is relative
_COLUMNS: Final = {
    "heart": "prv.rate",
    "temperature": "temperature.level",
    "motion": "motion.activity",
}


def minutes_of(people: Iterable[SimulatedParticipant]) -> tuple[Labelled, Array]:
    """Return labelled minutes of simulated people, and the features of the rival.

    A minute is of high arousal if its mean true arousal is above the person's median.
    The first two minutes are the rest.

    Returns
    -------
    Labelled, ndarray
        The minutes; features as changes from rest, shape (n, 3).
    """
    raw: dict[str, list[Array]] = {s: [] for s in RATES}
    names, labels, rests, features = [], [], [], []
    for person in people:
        starts = np.arange(0, len(person.x) / _TICK - SECONDS + 1, _STEP)
        rest = starts + SECONDS <= _REST
        rows = (starts[:, None] * _TICK + np.arange(SECONDS * _TICK)).astype(int)
        x = {n: person.x[:, i][rows] for i, n in enumerate(person.names)}
        felt = person.felt[:, DIMENSIONS.index("arousal")][rows].mean(axis=1)
        used = starts >= _REST
        labels.append((felt > np.median(felt[used])).astype(int))
        names += [f"{LABORATORY} {person.seed}"] * len(starts)
        rests.append(np.where(rest, 0, np.where(used, 1, 2)))
        for sensor, part in _signals(x).items():
            raw[sensor].append(part)
        features.append(_changes(x, rest))
    whose = np.array(names)
    kind = np.concatenate(rests)
    stacked = {s: np.concatenate(parts) for s, parts in raw.items()}
    signals = relative(stacked, whose, kind == 0)
    place = np.full(len(whose), LABORATORY)
    minutes = Minutes(place, whose, whose, signals)
    data = Labelled(minutes, np.concatenate(labels), kind == 0, kind == 1)
    return data, np.concatenate(features)


def _signals(x: dict[str, Array]) -> dict[str, Array]:
    """Return minutes of each sensor, shape (n, channels, samples), in its own unit."""
    tonic, phasic = x["eda.tonic"], x["eda.phasic"]
    parts = {"skin": np.stack([tonic + phasic, phasic, tonic], axis=1)}
    for sensor, name in _COLUMNS.items():
        by_second = x[name].reshape(len(x[name]), SECONDS, _TICK).mean(axis=2)
        parts[sensor] = by_second[:, None]
    return {
        s: np.array([[filled(channel) for channel in row] for row in part])
        for s, part in parts.items()
    }


def _changes(x: dict[str, Array], rest: Any) -> Array:
    """Return the rival's features less their mean at rest, 0 if unknown."""
    columns = []
    for name in FEATURES:
        values = np.log(x[name] + 1e-4) if name == "eda.activity" else x[name]
        known = np.isfinite(values)
        total = np.where(known, values, 0).sum(axis=1)
        mean = np.where(known.any(axis=1), total / known.sum(axis=1).clip(1), np.nan)
        first = mean[rest & np.isfinite(mean)]
        columns.append(mean - first.mean() if len(first) else mean * np.nan)
    return np.nan_to_num(np.stack(columns, axis=1))


def mispaired(minutes: Minutes, seed: int) -> Minutes:
    """Return the same minutes, each sensor's in an order of its own.

    Every sensor keeps its distribution; nothing is common to two of them.
    """
    rng = np.random.default_rng(seed)
    signals = {s: x[rng.permutation(len(x))] for s, x in minutes.signals.items()}
    return replace(minutes, signals=signals)
