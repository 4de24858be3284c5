"""One-step log density of affect: typical dynamics against a person's."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.literature.judgement import Primary, with_judgements
from experiments.transition.people import People, rated_songs, simulated
from experiments.transition.personal_dynamics import Dynamics, PersonalDynamics
from physio import config
from physio.core.block import Array
from physio.evaluation.figures import Figures
from physio.evaluation.statistics import summary

_FOLDER: Final = Path(__file__).parent
_METRIC: Final = "log density of the next observation"
_SEED: Final = 23
_RIDGE: Final = 10.0
POPULATIONS: Final[Mapping[str, Dynamics]] = {
    "decay and set point vary": Dynamics(decay_spread=0.7, set_point_spread=0.3),
    "only the decay varies": Dynamics(decay_spread=0.7),
    "only the set point varies": Dynamics(set_point_spread=0.3),
    "nothing varies": Dynamics(),
}
LEARNED: Final = Dynamics(decay_spread=0.7, set_point_spread=0.3)
"""Population that the learner assumes, also where nothing varies."""

Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Transition:
    """Comparison on simulated people, and on rated songs.

    Parameters
    ----------
    people
        Number of simulated people of each population and seed.
    seconds
        Duration of the observations of each (s).
    """

    people: int = 300
    seconds: float = 600.0

    def evaluate(self, root: Path | None, table: pd.DataFrame | None) -> Figures:  # noqa: ARG002
        """Evaluate; without ``root`` no rated songs."""
        began = time.monotonic()
        seeds = Primary.read(_FOLDER / "primary.toml").seeds
        rows: list[dict[str, Any]] = []
        primary: dict[int, Scores] = {}
        for name, population in POPULATIONS.items():
            by_seed = {s: self._scores(population, s) for s in seeds}
            primary = primary or by_seed
            rows += _rows(by_seed, f"{_METRIC}: {name}")
        if root is not None:
            for dimension, scores in songs(root).items():
                rows += _rows({_SEED: scores}, f"{_METRIC}: HKU956, {dimension}")
        result = Figures(
            "simulated people; HKU956 (exploratory)",
            "each observation predicted from those before it",
            tuple(rows),
            config=config.describe(self),
            seconds=time.monotonic() - began,
        )
        return with_judgements(result, _FOLDER, simulated=primary)

    def _scores(self, population: Dynamics, seed: int) -> Scores:
        n = int(self.seconds / population.step)
        return densities(population, simulated(population, self.people, n, seed))


def densities(population: Dynamics, people: People) -> Scores:
    """Return the mean log density of each person by model.

    The typical person has the decay and set point of the population, and the variance
    of a person's affect around a set point that is not known.
    """
    wide = np.sqrt(population.sd**2 + population.set_point_spread**2)
    plain = replace(population, decay_spread=0.0, set_point_spread=0.0)
    models = {
        "typical person": PersonalDynamics(replace(plain, sd=float(wide))),
        "learned in the session": PersonalDynamics(
            replace(
                plain,
                decay_spread=LEARNED.decay_spread,
                set_point_spread=LEARNED.set_point_spread,
            )
        ),
        "learned, with a trait": PersonalDynamics(
            replace(
                plain,
                decay_spread=LEARNED.decay_spread,
                set_point_spread=LEARNED.set_point_spread * np.sqrt(0.75),
            ),
            expected=plain.set_point + 0.5 * people.trait,
        ),
    }
    return {name: _means(m.log_densities(people.y)) for name, m in models.items()}


def songs(root: Path) -> dict[str, Scores]:
    """Return the mean log density of each listener's next rating by model.

    The population is that of the other listeners: mean and deviation of their ratings,
    spread of their means, correlation from song to song.
    """
    ratings, traits, names = rated_songs(root)
    out: dict[str, Scores] = {}
    for dimension, y in ratings.items():
        out[dimension] = {}
        for k, name in enumerate(names):
            others = np.delete(y, k, axis=0)
            population = _fitted(others)
            plain = replace(population, decay_spread=0.0, set_point_spread=0.0)
            wide = float(np.sqrt(population.sd**2 + population.set_point_spread**2))
            expected = _expected(np.delete(traits, k, 0), others, traits[k])
            models = {
                "typical person": PersonalDynamics(replace(plain, sd=wide)),
                "learned in the session": PersonalDynamics(population),
                "learned, with the Big Five": PersonalDynamics(
                    population, expected=expected
                ),
            }
            for model, dynamics in models.items():
                value = np.nanmean(dynamics.log_densities(y[k : k + 1]))
                out[dimension].setdefault(model, {})[name] = float(value)
    return out


def _fitted(y: Array) -> Dynamics:
    """Return the population of listeners, by moments; a song is a step."""
    means = np.nanmean(y, axis=1)
    off = y - means[:, None]
    variance = float(np.nanmean(off**2))
    lag = float(np.nanmean(off[:, 1:] * off[:, :-1])) / variance
    share = float(
        np.clip(lag, 0.05, 0.9)
    )  # of the variance that stays to the next song
    return Dynamics(
        decay=-1 / np.log(0.7), decay_spread=0.5, set_point=float(means.mean()),
        set_point_spread=float(means.std()), sd=float(np.sqrt(variance * share)),
        noise=float(np.sqrt(variance * (1 - share))), step=1.0,
    )  # fmt: skip


def _expected(traits: Array, y: Array, listener_traits: Array) -> Array:
    """Return the mean rating that a listener's traits predict, shape (1,)."""
    known = np.isfinite(traits).all(axis=1)
    means = np.nanmean(y, axis=1)
    if not np.isfinite(listener_traits).all() or known.sum() < 6:
        return np.array([means.mean()])
    centre, scale = traits[known].mean(axis=0), traits[known].std(axis=0) + 1e-9
    z = (traits[known] - centre) / scale
    weights = np.linalg.solve(
        z.T @ z + _RIDGE * np.eye(z.shape[1]), z.T @ (means[known] - means.mean())
    )
    return np.array([means.mean() + ((listener_traits - centre) / scale) @ weights])


def _means(densities: Array) -> dict[str, float]:
    return {f"P{k:03}": float(v) for k, v in enumerate(np.nanmean(densities, axis=1))}


def _rows(by_seed: Mapping[int, Scores], metric: str) -> list[dict[str, Any]]:
    """Return a row for each model, and for its gain over the typical person."""
    mean = {
        model: {
            p: float(np.mean([scores[model][p] for scores in by_seed.values()]))
            for p in first
        }
        for model, first in next(iter(by_seed.values())).items()
    }
    typical = mean["typical person"]
    rows = [summary(model, metric, values, _SEED) for model, values in mean.items()]
    for model, values in mean.items():
        if model != "typical person":
            gain = {p: v - typical[p] for p, v in values.items()}
            rows.append(summary(f"{model} less typical person", metric, gain, _SEED))
    return rows
