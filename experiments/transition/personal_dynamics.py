"""A smoother whose decay and set point are learned during the session."""

from dataclasses import dataclass, field

import numpy as np

from physio.core.block import Array


@dataclass(frozen=True)
class Dynamics:
    """Affect that returns to a set point, seen through noisy observations.

    ``x[t+1] = m + a (x[t] - m) + e``, with ``a = exp(-step / decay)`` and the variance
    ``sd**2`` at rest; ``y[t] = x[t] + noise``.

    Parameters
    ----------
    decay
        Time constant of the return (s): of the typical person.
    decay_spread
        Standard deviation of its logarithm over people.
    set_point
        Set point of the typical person.
    set_point_spread
        Standard deviation of the set point over people.
    sd, noise
        Standard deviation of affect around the set point, and of an observation.
    step
        Time between observations (s).
    """

    decay: float = 60.0
    decay_spread: float = 0.0
    set_point: float = 0.0
    set_point_spread: float = 0.0
    sd: float = 0.3
    noise: float = 0.3
    step: float = 4.0


@dataclass(frozen=True, eq=False)
class PersonalDynamics:
    """Mixture of Kalman filters over hypotheses on decay and set point of a person.

    Each hypothesis is weighted by its prior, which the population gives, and by the
    likelihood of the observations so far. Only the past is used.

    Parameters
    ----------
    dynamics
        The population. Without spread there is one hypothesis: the typical person.
    size
        Number of decays and of set points.
    expected
        Set point expected of each person by covariates, as by a Big-Five score, shape
        (people,); by default the typical one.
    """

    dynamics: Dynamics
    size: int = 11
    expected: Array | None = field(default=None)

    def log_densities(self, y: Array) -> Array:
        """Return the log density of each observation given those before it.

        Parameters
        ----------
        y
            Observations, shape (people, n); NaN where missing, from which nothing is
            learned and whose density is NaN.

        Returns
        -------
        ndarray
            Shape (people, n).
        """
        d = self.dynamics
        decay, point, prior = self._hypotheses(len(y))
        a = np.exp(-d.step / decay)
        mean = np.broadcast_to(point, (len(y), len(decay))).copy()
        var = np.full_like(mean, d.sd**2)
        weight = np.broadcast_to(np.log(prior), mean.shape).copy()
        out = np.full(y.shape, np.nan)
        for t in range(y.shape[1]):
            known = np.isfinite(y[:, t])
            total = var + d.noise**2
            off = np.where(known, y[:, t], 0.0)[:, None] - mean
            density = -0.5 * (np.log(2 * np.pi * total) + off**2 / total)
            joint = weight + density
            top = joint.max(axis=1, keepdims=True)
            evidence = top[:, 0] + np.log(np.exp(joint - top).sum(axis=1))
            out[known, t] = evidence[known]
            gain = np.where(known[:, None], var / total, 0.0)
            weight = np.where(known[:, None], joint - evidence[:, None], weight)
            mean, var = mean + gain * off, var * (1 - gain)
            mean = point + a * (mean - point)
            var = a**2 * var + (1 - a**2) * d.sd**2
        return out

    def _hypotheses(self, people: int) -> tuple[Array, Array, Array]:
        """Return decays (h,), set points (people, h) and prior weights (h,)."""
        d = self.dynamics
        scores = np.linspace(-2.2, 2.2, self.size) if self.size > 1 else np.zeros(1)
        decays = scores if d.decay_spread else np.zeros(1)
        points = scores if d.set_point_spread else np.zeros(1)
        first, second = (g.ravel() for g in np.meshgrid(decays, points))
        prior = np.exp(-0.5 * (first**2 + second**2))
        centre = np.full(people, d.set_point)
        if self.expected is not None:
            centre = np.asarray(self.expected, np.float64)
        return (
            d.decay * np.exp(d.decay_spread * first),
            centre[:, None] + d.set_point_spread * second,
            prior / prior.sum(),
        )
