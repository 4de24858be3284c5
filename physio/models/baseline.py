"""A participant's own rest: what their features are measured against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np

from physio.core.block import Array


@dataclass(frozen=True, eq=False)
class BaselinePrior:
    """How participants's rests differ, and how well a stretch of rest shows one's own.

    A feature of a participant at rest is their own level plus what fluctuates. The
    level is Gaussian among participants; the mean of a stretch of rest shows it the
    better the longer the stretch. So before any rest a participant counts as anybody,
    and the uncertainty about their level widens what is estimated from it.

    Parameters
    ----------
    mean, between
        Mean and variance of the level among participants, shape (f,) each.
    within
        Variance of what fluctuates, shape (f,).
    memory
        How long (s) a fluctuation lasts: a stretch of T s is worth ``T / memory``
        independent looks, shape (f,).
    seconds
        How long a rest participants had in training, shape (f,).
    """

    mean: Array
    between: Array
    within: Array
    memory: Array
    seconds: Array

    def level(self, total: Array, seconds: Array) -> tuple[Array, Array]:
        """Return what is known of a participant's own level: mean and variance.

        Parameters
        ----------
        total
            Sum over the seconds of rest of each feature, shape (f,).
        seconds
            How many seconds of rest there are of each, shape (f,).
        """
        looks = seconds / self.memory / self.within
        seen = np.divide(total, seconds, out=np.zeros_like(total), where=seconds > 0)
        spread = 1 / (1 / self.between + looks)
        return spread * (self.mean / self.between + looks * seen), spread

    def arrays(self) -> dict[str, Array]:
        """Return the numbers by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array]) -> Self:
        """Return the rest that `arrays` came from."""
        return cls(**{f.name: arrays[f.name] for f in fields(cls)})


class BaselineAccumulator(NamedTuple):
    """What was seen of a participant's rest.

    Parameters
    ----------
    total
        Sum over the seconds of rest of each feature, shape (f,).
    seconds
        How many seconds of rest each was there, shape (f,).
    past
        How many seconds of rest are over, shape (1,).
    """

    total: Array
    seconds: Array
    past: Array

    @classmethod
    def empty(cls, features: int) -> Self:
        """Return what is seen before any rest."""
        return cls(np.zeros(features), np.zeros(features), np.zeros(1))

    def reset(self) -> None:
        """Begin a new rest."""
        for part in self:
            part[:] = 0

    def add(self, x: Array, tick: float) -> None:
        """Take in the features of one tick of ``tick`` s."""
        here = ~np.isnan(x)
        if here.any() or self.past[0] > 0:  # it begins with the first feature there is
            self.past[0] += tick
        self.total[here] += x[here] * tick
        self.seconds[here] += tick


def transform(x: Array, how: Sequence[str]) -> Array:
    """Return features on the scales on which participants vary alike.

    Parameters
    ----------
    x
        Features, shape (..., f).
    how
        Of each: ``raw``; ``sqrt``, for rates of events; or ``log``, for what is
        positive and skewed (below 1e-6 it counts as 1e-6).
    """
    y = x.copy()
    for i, kind in enumerate(how):
        v = x[..., i]
        if kind == "sqrt":
            y[..., i] = np.where(np.isnan(v), v, np.sqrt(np.maximum(v, 0)))
        elif kind == "log":
            y[..., i] = np.where(np.isnan(v), v, np.log(np.maximum(v, 1e-6)))
        elif kind != "raw":
            raise ValueError(f"features are read raw, sqrt or log, not {kind!r}")
    return y
