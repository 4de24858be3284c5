"""Simulated people with their own decay and set point; rated songs of HKU956."""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from experiments.transition.personal_dynamics import Dynamics
from physio.core.block import Array

TRAITS: Final = (
    "Extroversion_score",
    "Agreeableness_score",
    "Conscientiousness_score",
    "Emotional_Stability_score",
    "Openness_score",
)


class People(NamedTuple):
    """Observations, shape (people, n), and a trait that predicts the set point."""

    y: Array
    trait: Array


def simulated(dynamics: Dynamics, people: int, n: int, seed: int) -> People:
    """Return people of a population.

    Parameters
    ----------
    dynamics
        The population.
    people, n
        Number of people, and of observations of each.
    seed
        Seed of people and observations.
    """
    rng = np.random.default_rng(seed)
    decay = dynamics.decay * np.exp(dynamics.decay_spread * rng.standard_normal(people))
    offset = dynamics.set_point_spread * rng.standard_normal(people)
    point = dynamics.set_point + offset
    trait = 0.5 * offset + np.sqrt(
        0.75
    ) * dynamics.set_point_spread * rng.standard_normal(people)
    a = np.exp(-dynamics.step / decay)
    x = point + dynamics.sd * rng.standard_normal(people)
    y = np.empty((people, n))
    for t in range(n):
        y[:, t] = x + dynamics.noise * rng.standard_normal(people)
        noise = dynamics.sd * np.sqrt(1 - a**2) * rng.standard_normal(people)
        x = point + a * (x - point) + noise
    return People(y, trait)


def rated_songs(root: Path) -> tuple[dict[str, Array], Array, list[str]]:
    """Return ratings of HKU956 from song to song, and the Big-Five scores.

    Returns
    -------
    dict, ndarray, list
        Ratings of valence and arousal on [-1, 1], shape (people, songs), NaN at the end
        of shorter sequences; scores, shape (people, 5), NaN where not given; names.
    """
    rows = pd.read_csv(root / "hku956" / "records.csv").sort_values(
        ["person", "song_no"]
    )
    names = sorted(rows["person"].unique())
    most = int(rows.groupby("person").size().max())
    ratings = {}
    for dimension in ("valence", "arousal"):
        y = np.full((len(names), most), np.nan)
        for k, name in enumerate(names):
            series = (
                rows.loc[rows["person"] == name, dimension].to_numpy(np.float64) / 10
            )
            y[k, : len(series)] = series
        ratings[dimension] = y
    traits = pd.read_csv(root / "hku956" / "personality.csv").set_index(
        "participant_id"
    )
    scores = traits.reindex(names)[list(TRAITS)].to_numpy(np.float64)
    return ratings, scores, names
