"""Simulated people unlike those of the training, made from their features."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from experiments.simulated.cohort import SimulatedParticipant
from physio.core.block import Array
from physio.models.baseline import transform

_RATE: Final = 4.0  # Hz
_TAU: Final = 10.0  # s, in which features follow affect
_AROUSAL: Final = 1  # column of true affect

Columns = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Population:
    """Changes of the features of a participant.

    Parameters
    ----------
    effects
        Factor of the effect of arousal, by prefix of the feature's name: 0 removes it,
        -1 turns its sign. The effect is the participant's own least-squares slope.
    gains, offsets
        Factor and offset of features in their unit, by name, as of another device.
    silent
        Features that are 0, by name, as responses that are too small to count.
    """

    effects: Mapping[str, float] = field(default_factory=dict)
    gains: Mapping[str, float] = field(default_factory=dict)
    offsets: Mapping[str, float] = field(default_factory=dict)
    silent: tuple[str, ...] = ()


POPULATIONS: Final[Mapping[str, Population]] = {
    "as trained": Population(),
    "dry skin": Population(
        gains={"eda.tonic": 0.05, "eda.phasic": 0.05, "eda.slope": 0.05},
        silent=("eda.scr_rate", "eda.scr_amplitude"),
    ),
    "weak heart response": Population(effects={"prv": 0.1, "heart2": 0.1}),
    "weak responses": Population(effects={"": 0.3}),
    "opposite signs": Population(effects={"": -1.0}),
    "other device": Population(
        gains={"eda.tonic": 1.8, "eda.phasic": 1.8, "eda.scr_amplitude": 1.8,
               "eda.slope": 1.8, "motion.activity": 3.0, "temperature.slope": 2.0},
        offsets={"temperature.level": -2.0, "prv.rate": 3.0},
    ),
}  # fmt: skip
"""The simulated populations; the first is that of the training."""


def arousal(participant: SimulatedParticipant) -> Array:
    """Return the true arousal that features follow, shape (n,)."""
    share = 1 - np.exp(-1 / (_TAU * _RATE))
    out, level = np.empty(len(participant.felt)), participant.felt[0, _AROUSAL]
    for k, value in enumerate(participant.felt[:, _AROUSAL]):
        level += share * (value - level)
        out[k] = level
    return out


def slopes(y: Array, follows: Array) -> Array:
    """Return the least-squares slope of features, (n, f), on a course, (n,)."""
    known = np.isfinite(y)
    count = np.maximum(known.sum(axis=0), 1)
    course = np.where(known, follows[:, None], 0.0)
    course = np.where(known, course - course.sum(axis=0) / count, 0.0)
    power = np.maximum((course**2).sum(axis=0), 1e-12)
    return np.asarray((course * np.where(known, y, 0.0)).sum(axis=0) / power)


def member(
    participant: SimulatedParticipant, population: Population, columns: Columns
) -> SimulatedParticipant:
    """Return a participant as one of a population.

    Parameters
    ----------
    participant
        The participant, as in the training.
    population
        Changes of the features.
    columns
        Features that are changed, and the transform in which their effects add.
    """
    x = participant.x.copy()
    at = [participant.names.index(name) for name, _ in columns]
    kinds = [kind for _, kind in columns]
    y = transform(x[:, at], kinds)
    factors = np.array([_factor(population.effects, name) for name, _ in columns])
    course = arousal(participant)
    y += (factors - 1) * slopes(y, course) * (course - course.mean())[:, None]
    for k, (name, kind) in enumerate(columns):
        if factors[k] != 1:
            x[:, at[k]] = _undone(y[:, k], kind)
        x[:, at[k]] *= population.gains.get(name, 1.0)
        x[:, at[k]] += population.offsets.get(name, 0.0)
        if name in population.silent:
            x[:, at[k]] = np.where(np.isnan(x[:, at[k]]), np.nan, 0.0)
    return participant._replace(x=x)


def _factor(effects: Mapping[str, float], name: str) -> float:
    chain = name.partition(".")[0]
    return effects.get(chain, effects.get("", 1.0))


def _undone(y: Array, kind: str) -> Array:
    """Return values in their unit from their transform."""
    if kind == "raw":
        return y
    return np.exp(y) if kind == "log" else np.asarray(np.maximum(y, 0.0) ** 2)
