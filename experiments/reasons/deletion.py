"""Deletion and insertion curves of an estimate, for any order of its sensors."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.affect import DIMENSIONS
from physio.core.block import Array
from physio.models import model_card
from physio.models.base import Model
from physio.models.gaussian import Gaussian
from physio.models.shapley import subsets

AROUSAL: Final = DIMENSIONS.index("arousal")
REASONS: Final = "reasons"
LARGEST: Final = "largest change"
REVERSE: Final = "reasons, reversed"
RANDOM: Final = "random order"
ORDERS: Final = (REASONS, LARGEST, REVERSE, RANDOM)

Order = Sequence[int]


class SubsetValues(NamedTuple):
    """Estimates of one moment from each subset of its sensors, shape (2^g,)."""

    values: Array
    groups: int

    def after_adding(self, order: Order) -> Array:
        """Return estimates with the first 0 to g sensors of an order, (g + 1,)."""
        bits = np.concatenate([[0], np.cumsum(1 << np.asarray(order, np.int_))])
        return np.asarray(self.values[bits])

    def area(self, order: Order) -> float:
        """Return the area under deletion less that under insertion.

        Deletion is the distance to the estimate from all sensors after deleting the
        first of the order; insertion, with the first of the order alone. Both are means
        over the number of sensors, so that the first sensors of a good order give a
        large area.
        """
        whole = self.values[-1]
        added, remaining = self.after_adding(order), self.after_adding(order[::-1])
        return float(np.abs(whole - remaining).mean() - np.abs(whole - added).mean())

    @property
    def random_area(self) -> float:
        """The mean area over all orders, exactly 0: deletion mirrors insertion."""
        sizes = subsets(self.groups).sum(axis=1)
        off = np.abs(self.values[-1] - self.values)
        by_size = np.array([off[sizes == k].mean() for k in range(self.groups + 1)])
        return float(by_size[::-1].mean() - by_size.mean())


class ExplainedMoment(NamedTuple):
    """Features of a moment, with the orders of its sensors by different rules."""

    values: SubsetValues
    orders: dict[str, list[int]]

    def areas(self) -> dict[str, float]:
        """Return the area of each order."""
        out = {name: self.values.area(order) for name, order in self.orders.items()}
        return {**out, RANDOM: self.values.random_area}


def gaussian(name: str) -> Gaussian:
    """Return the joint Gaussian of shipped weights."""
    model = model_card.load(name).model()
    if not isinstance(model, Gaussian):
        raise TypeError(f"the weights {name!r} are no joint Gaussian")
    return model


def explained(
    model: Model,
    z: Array,
    index: npt.NDArray[np.int_],
    scale: Array,
    prior: float,
) -> ExplainedMoment:
    """Return a moment of a model of arousal with the orders of its sensors.

    Parameters
    ----------
    model
        Model whose `Model.explain` gives exact contributions.
    z
        Features, shape (f,), NaN where missing.
    index
        Sensor of each feature, from 0, shape (f,).
    scale
        Standard deviation of each feature in training, shape (f,).
    prior
        Estimate without any sensor.
    """
    groups, none = int(index.max()) + 1, np.zeros(len(z))

    def value(mask: Array) -> float:
        x = np.where(mask[index], z, np.nan)
        answer = (
            prior if np.isnan(x).all() else float(model.predict(x, none)[0][AROUSAL])
        )
        return answer if np.isfinite(answer) else prior

    parts = model.explain(z, none)[2][AROUSAL]
    size = np.nan_to_num(np.abs(z) / scale)
    stated = np.abs([parts[index == g].sum() for g in range(groups)])
    change = np.array([size[index == g].mean() for g in range(groups)])
    order = np.argsort(-stated, kind="stable").tolist()
    by_change = np.argsort(-change, kind="stable").tolist()
    values = SubsetValues(np.array([value(m) for m in subsets(groups)]), groups)
    return ExplainedMoment(
        values, {REASONS: order, LARGEST: by_change, REVERSE: order[::-1]}
    )


def relative_areas(moments: Sequence[ExplainedMoment]) -> dict[str, float]:
    """Return the area of each order over the moments of a participant.

    Relative to the sum of the steps from the prior, so that 1 is the most.
    """
    by_moment = [m.areas() for m in moments]
    steps = sum(abs(m.values.values[-1] - m.values.values[0]) for m in moments)
    if not steps > 0:
        return dict.fromkeys(ORDERS, float("nan"))
    return {name: float(sum(a[name] for a in by_moment) / steps) for name in ORDERS}
