"""Baseline of a participant, by which features are corrected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np

from physio.core.block import Array


@dataclass(frozen=True, eq=False)
class BaselinePrior:
    """Prior of participants' baselines, and its update by a recorded baseline.

    A feature of a participant at rest is a level plus fluctuations. The level is
    Gaussian among participants. The mean over a baseline estimates the level, with an
    error that decreases with the duration of the baseline. Without a baseline, the
    level is the mean over participants, and its uncertainty widens the estimates.

    Parameters
    ----------
    mean, between
        Mean and variance of the level between participants, shape (f,) each.
    within
        Variance of the fluctuations, shape (f,).
    memory
        Correlation time of the fluctuations (s): a baseline of T s counts as
        ``T / memory`` independent samples, shape (f,).
    seconds
        Duration of the participants' baselines in training (s), shape (f,).
    """

    mean: Array
    between: Array
    within: Array
    memory: Array
    seconds: Array

    def level(self, total: Array, seconds: Array) -> tuple[Array, Array]:
        """Return the posterior of a participant's level: mean and variance.

        Parameters
        ----------
        total
            Sum of each feature over the seconds of the baseline, shape (f,).
        seconds
            Duration of the baseline with a value of each feature (s), shape (f,).
        """
        looks = seconds / self.memory / self.within
        observed = np.divide(
            total, seconds, out=np.zeros_like(total), where=seconds > 0
        )
        spread = 1 / (1 / self.between + looks)
        return spread * (self.mean / self.between + looks * observed), spread

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array]) -> Self:
        """Return the prior from the result of `arrays`."""
        return cls(**{f.name: arrays[f.name] for f in fields(cls)})


class BaselineAccumulator(NamedTuple):
    """Sums over a participant's baseline; changed in place.

    Parameters
    ----------
    total
        Sum of each feature over the seconds of the baseline, shape (f,).
    seconds
        Duration of the baseline with a value of each feature (s), shape (f,).
    past
        Elapsed duration of the baseline (s), shape (1,).
    """

    total: Array
    seconds: Array
    past: Array

    @classmethod
    def empty(cls, features: int) -> Self:
        """Return the sums before any baseline."""
        return cls(np.zeros(features), np.zeros(features), np.zeros(1))

    def reset(self) -> None:
        """Begin a new baseline."""
        for part in self:
            part[:] = 0

    def add(self, x: Array, tick: float) -> None:
        """Add the features of a tick of ``tick`` s."""
        present = ~np.isnan(x)
        if present.any() or self.past[0] > 0:  # it begins with the first value
            self.past[0] += tick
        self.total[present] += x[present] * tick
        self.seconds[present] += tick


def transform(x: Array, scales: Sequence[str]) -> Array:
    """Return features on scales with a similar variance in all participants.

    Parameters
    ----------
    x
        Features, shape (..., f).
    scales
        Transform of each feature: ``raw``; ``sqrt``, for rates of events; or ``log``,
        for positive, skewed values (clipped at 1e-6).
    """
    y = x.copy()
    for i, kind in enumerate(scales):
        v = x[..., i]
        if kind == "sqrt":
            y[..., i] = np.where(np.isnan(v), v, np.sqrt(np.maximum(v, 0)))
        elif kind == "log":
            y[..., i] = np.where(np.isnan(v), v, np.log(np.maximum(v, 1e-6)))
        elif kind != "raw":
            raise ValueError(f"a transform is raw, sqrt or log, not {kind!r}")
    return y
