"""Skill of arousal in simulated participants as sensors go missing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from experiments.attention_fusion.sensor_attention import (
    FusionConfig,
    SensorAttention,
    fit,
    predicted,
)
from experiments.literature import people
from experiments.simulated.cohort import SimulatedParticipant
from experiments.simulated.missing_sensors import MODES, RATES, MissingSensors
from experiments.weights.rating_error import squared_errors
from physio.core.block import Array
from physio.models.gaussian import GaussianConfig, shrunk
from physio.models.gaussian import fit as fit_gaussian
from physio.models.model_card import load

AROUSAL: Final = 1
SENSORS: Final[tuple[tuple[str, ...], ...]] = (
    ("eeg",),
    ("eda",),
    ("prv",),
    ("heart2",),
    ("resp",),
    ("motion", "temperature"),
)
"""Chains of each token."""
_HELD: Final = 6
_SHRINK: Final = 0.05
Reads = Callable[[Array], Array]
"""Return ratings, shape (n, 3), of features, (n, f), NaN where missing."""


class View(NamedTuple):
    """A participant: seed, centred features (n, f), ratings and true affect (n, 3)."""

    seed: int
    z: Array
    ratings: Array
    felt: Array


def view(participant: SimulatedParticipant) -> View:
    """Return a participant's moments, every 4 s after the rest."""
    return View(*people.recipe().view(participant))


def sensors(recipe: MissingSensors) -> list[list[int]]:
    """Return the columns of each token of `SENSORS`."""
    chains = [name.partition(".")[0] for name, _ in recipe.affect.joint]
    return [[i for i, c in enumerate(chains) if c in token] for token in SENSORS]


def trained(
    taught: Sequence[View], config: FusionConfig, seed: int, recipe: MissingSensors
) -> Reads:
    """Return an attention network of simulated participants, trained with masks.

    One participant in `_HELD` does not train: on these, each rating's deviation from
    its mean is scaled to the least squared error, as that of the joint Gaussian is.
    """
    others = [v for i, v in enumerate(taught) if i % _HELD]
    z = np.concatenate([v.z for v in others])
    y = np.concatenate([v.ratings for v in others])
    mean, sd, middle = np.nanmean(z, axis=0), np.nanstd(z, axis=0), y.mean(axis=0)
    torch.manual_seed(seed)
    net = SensorAttention(sensors(recipe), y.shape[1], config)
    fit(net, (z - mean) / sd, y - middle, _squared, recipe.hide, config, seed)

    held = [v for i, v in enumerate(taught) if not i % _HELD]
    rows = (np.concatenate([v.z for v in held]) - mean) / sd
    truth = np.concatenate([v.ratings for v in held]) - middle
    rng = np.random.default_rng(seed)
    answers = np.nan_to_num(
        np.concatenate([predicted(net, x) for x in (rows, recipe.hide(rows, rng))])
    )
    truth = np.concatenate([truth, truth])
    share = np.clip((answers * truth).sum(axis=0) / (answers**2).sum(axis=0), 0, 1)
    return lambda x: middle + share * predicted(net, (x - mean) / sd)


def _squared(out: Tensor, y: Tensor) -> Tensor:
    return ((out - y) ** 2).mean(dim=1)


def gaussian(taught: Sequence[View]) -> Reads:
    """Return the joint Gaussian of the same participants, shrunk as the stored one."""
    z = np.concatenate([v.z for v in taught])
    y = np.concatenate([v.ratings for v in taught])
    units = np.repeat(np.arange(len(taught)), [len(v.z) for v in taught])
    size = GaussianConfig(z.shape[1])
    model = shrunk(size, *fit_gaussian(size, z, y, units), _SHRINK, np.zeros(3))
    none = np.zeros(z.shape[1])
    return by_row(lambda row: model.predict(row, none)[0])


def by_row(reads: Callable[[Array], Array]) -> Reads:
    """Return a model of single moments as one of rows."""

    def read(rows: Array) -> Array:
        out = np.full((len(rows), 3), np.nan)
        for i in np.flatnonzero(np.isfinite(rows).any(axis=1)):
            out[i] = reads(rows[i])
        return out

    return read


def areas(
    tested: Sequence[View], models: Mapping[str, Reads], recipe: MissingSensors
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the area under arousal skill by mode, model and participant.

    Masks, moments and skill are those of `MissingSensors`.
    """
    prior = load("published-all").arrays["prior.mean"]
    out: dict[str, dict[str, dict[str, float]]] = {}
    for mode in MODES:
        rows = np.stack(
            [[_cut(v, rate, mode, recipe) for rate in RATES] for v in tested]
        )
        felt = np.stack([v.felt[::2] for v in tested])
        out[mode] = {}
        for name, reads in models.items():
            answers = reads(rows.reshape(-1, rows.shape[-1]))
            answers = answers.reshape(*rows.shape[:3], -1)
            skills = [
                [_skill(answer, truth, prior) for answer in of_person]
                for of_person, truth in zip(answers, felt, strict=True)
            ]
            out[mode][name] = {
                str(v.seed): float(np.trapezoid(s, RATES))
                for v, s in zip(tested, skills, strict=True)
            }
    return out


def _cut(person: View, rate: float, mode: str, recipe: MissingSensors) -> Array:
    rng = np.random.default_rng((recipe.seed, person.seed, int(10 * rate)))
    return recipe.cut(person.z, rate, mode, rng)[::2]


def _skill(answers: Array, felt: Array, prior: Array) -> float:
    errors = np.array(squared_errors(answers, felt, prior))[:, AROUSAL]
    return float(1 - errors[0] / errors[1])
