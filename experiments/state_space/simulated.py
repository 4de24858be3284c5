"""Sequences of simulated participants, and estimates of the shipped Gaussians."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.literature.people import recipe
from experiments.simulated.cohort import SimulatedParticipant
from experiments.weights.published import TRACKER, tracked
from physio.core.block import Array
from physio.models.baseline import BaselinePrior
from physio.models.gp_smoother import GaussianSmoother
from physio.models.model_card import load
from physio.training.gaussian import centred

LATER: Final = 120.0
"""Time from which on estimates are scored (s)."""

_JOINT: Final = "published-all"


class SimulatedSequence(NamedTuple):
    """A simulated participant's moments after the rest, 4 s apart.

    ``x``: features relative to the rest, shape (t, f); ``ratings`` and ``felt``: noisy
    ratings and true affect, shape (t, 3); ``past``: raw features of the whole
    recording, for the smoother; ``scored``: mask of the scored moments, shape (t,).
    """

    code: str
    x: Array
    ratings: Array
    felt: Array
    past: Array
    scored: npt.NDArray[np.bool_]


def sensors() -> tuple[tuple[int, ...], ...]:
    """Return the features of each sensor."""
    chains = [name.partition(".")[0] for name, _ in recipe().affect.joint]
    return tuple(
        tuple(i for i, c in enumerate(chains) if c == chain)
        for chain in dict.fromkeys(chains)
    )


def sequences(people: Iterable[SimulatedParticipant]) -> list[SimulatedSequence]:
    """Return the moments of simulated participants."""
    affect = recipe().affect
    rest = BaselinePrior.restore(load(_JOINT).part("rest"))
    out = []
    for person in people:
        z = centred(affect.moments(person, affect.joint), rest)[0]
        ratings, felt = affect.rated(person)
        at = affect.rest + affect.every * np.arange(len(z))
        past = affect.past(person)
        out.append(
            SimulatedSequence(str(person.seed), z, ratings, felt, past, at >= LATER)
        )
    return out


def gaussian_moments(people: Iterable[SimulatedSequence]) -> list[Array]:
    """Return means of the shipped joint Gaussian of one moment, (t, 3) each."""
    model = load(_JOINT).model()
    return [
        np.array([model.predict(z, np.zeros(len(z)))[0] for z in person.x])
        for person in people
    ]


def smoother(people: Iterable[SimulatedSequence]) -> list[Array]:
    """Return means of the shipped smoother over the last 400 s, (t, 3) each."""
    model = load(TRACKER).model()
    if not isinstance(model, GaussianSmoother):
        raise TypeError(f"the weights {TRACKER!r} are no smoother")
    return [tracked(model, p.past)[-len(p.x) :, 0] for p in people]


def squared_error(person: SimulatedSequence, mean: Array, dimension: int) -> float:
    """Return the mean squared error against true affect at the scored moments.

    A moment without an estimate has the prior's.
    """
    prior = load(_JOINT).arrays["prior.mean"][dimension]
    estimate = np.where(np.isfinite(mean[:, dimension]), mean[:, dimension], prior)
    off = np.clip(estimate, -1, 1) - person.felt[:, dimension]
    return float(np.mean(off[person.scored] ** 2))
