"""Label sets of simulated participants: one affect behind all labels, or none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from experiments.literature.people import recipe
from experiments.simulated.cohort import SimulatedParticipant
from experiments.unified_labels.label_sets import LabelSet, Target
from physio.core.block import Array
from physio.training.gaussian import centred, rests

SENSORS: Final = ("published-eda", "published-heart", "published-resp")
_EVERY: Final = 2  # of the moments, 4 s apart
_SEED: Final = 29
Rule = Callable[[Array, Array], Any]
"""Labels of moments from affect on [-1, 1], (n, 3), and inputs, (n, f)."""


@dataclass(frozen=True)
class Kind:
    """A kind of label: its name, its rule, and its number of classes."""

    name: str
    rule: Rule
    classes: int = 0


def _noise(felt: Array, _: Array) -> Array:
    return np.random.default_rng(_SEED).normal(size=len(felt))


_CONDITION: Final = Kind(
    "condition", lambda felt, _: np.digitize(felt[:, 1], (-0.2, 0.2)) * 1.0, 3
)

SHARED: Final[Mapping[str, tuple[Kind, ...]]] = {
    "conditions": (_CONDITION,),
    "ratings": (
        Kind("arousal", lambda felt, _: felt[:, 1]),
        Kind("valence", lambda felt, _: felt[:, 0]),
    ),
    "frustration": (Kind("frustration", lambda felt, _: felt[:, 1] - felt[:, 0]),),
    "stress": (Kind("stress", lambda felt, _: (felt[:, 1] > felt[:, 0]) * 1.0, 2),),
}
"""Data sets whose labels are all of the same affect."""

UNRELATED: Final[Mapping[str, tuple[Kind, ...]]] = {
    "conditions": (_CONDITION,),
    "breath": (Kind("amplitude of breathing", lambda _, x: np.nan_to_num(x[:, -1])),),
    "level": (
        Kind("skin above rest", lambda _, x: (np.nan_to_num(x[:, 0]) > 0) * 1.0, 2),
    ),
    "nothing": (Kind("nothing", _noise),),
}
"""Data sets whose labels have nothing in common; the last has none to learn."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of a participant: inputs, ratings and true affect."""

    code: str
    x: Array
    ratings: Array
    felt: Array


def moments(
    taught: Sequence[SimulatedParticipant],
    tested: Sequence[SimulatedParticipant],
    sensors: Sequence[str] = SENSORS,
) -> tuple[list[Moments], list[Moments]]:
    """Return moments relative to rest; the typical rest is that of those who train.

    ``sensors`` are names of experts of the shipped weights, whose features are read.
    """
    a = recipe().affect
    columns = tuple(c for name in sensors for c in a.experts[name])
    rest = rests([a.moments(p, columns) for p in taught], a.every)

    def of(p: SimulatedParticipant) -> Moments:
        x = centred(a.moments(p, columns), rest)[0]
        ratings, felt = a.rated(p)
        code = f"seed {p.seed}"
        return Moments(code, x[::_EVERY], ratings[::_EVERY], felt[::_EVERY])

    return [of(p) for p in taught], [of(p) for p in tested]


def label_set(
    name: str, kinds: Sequence[Kind], people: Sequence[Moments], *, true: bool
) -> LabelSet:
    """Return a data set of some participants, labelled by rating or by true affect."""
    x = np.concatenate([p.x for p in people])
    codes = np.repeat([p.code for p in people], [len(p.x) for p in people])
    felt = np.concatenate([p.felt if true else p.ratings for p in people])
    targets = tuple(
        Target(k.name, k.rule(felt, x), k.classes, max(k.classes - 1, 1)) for k in kinds
    )
    return LabelSet(name, x, codes, targets)


def world(
    sets: Mapping[str, tuple[Kind, ...]], taught: Sequence[Moments], per_set: int
) -> list[LabelSet]:
    """Return the data sets of a simulated world, ``per_set`` participants in one.

    No participant is in two data sets.
    """
    if len(taught) < per_set * len(sets):
        raise ValueError(
            f"{len(sets)} sets of {per_set} participants need {per_set * len(sets)} "
            f"participants, and there are {len(taught)}"
        )
    return [
        label_set(name, kinds, taught[k * per_set : (k + 1) * per_set], true=False)
        for k, (name, kinds) in enumerate(sets.items())
    ]


def true_sets(
    sets: Mapping[str, tuple[Kind, ...]], tested: Sequence[Moments]
) -> list[LabelSet]:
    """Return every test participant with the labels of every data set, all true."""
    return [label_set(name, kinds, tested, true=True) for name, kinds in sets.items()]
