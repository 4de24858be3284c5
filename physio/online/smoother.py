"""A state that moves slowly, seen through estimates whose errors last."""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array, Info
from physio.core.stage import Stage, State

DIMENSIONS: Final = ("valence", "arousal", "dominance")
_LEAST: Final = 1e-3  # of the prior's precision: an estimate that gained less is none


@dataclass(frozen=True)
class Smoother(Stage):
    """Smoothed valence, arousal and dominance beside the estimates: ``arousal.smooth``.

    What is felt is taken to wander about its mean and to forget within ``tau`` s. An
    estimate is a measurement of it, with an error of which a part stays for good (the
    person answers otherwise than others), a part lasts ``memory`` s (windows overlap,
    bodies wander), and the rest is new at each tick. A Kalman filter with three
    numbers for each dimension: the work of a tick does not depend on the past.

    Parameters
    ----------
    prior_mean, prior_sd
        What is said of anybody: see the weights' card; (3,) each.
    noise
        Standard deviation of the rating about what is felt: part of each estimate.
    tau
        For how long what is felt stays (s), (3,).
    memory
        For how long an error lasts (s), (3,).
    lasting, stays
        Shares of an error's variance that last ``memory`` s, and for good, (3,) each.

    Notes
    -----
    The constants are learned where ratings are continuous, as simulated ones are:
    labels that hold for a block would teach the length of the block. A Kalman filter
    in numbers that are never joined across ticks: cuts change no bit. What one tick
    said fades within ``memory``, which is added to the span; to less than a hundredth.
    """

    prior_mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    prior_sd: tuple[float, ...] = (0.5, 0.5, 0.5)
    noise: float = 0.2
    tau: tuple[float, ...] = (60.0, 60.0, 60.0)
    memory: tuple[float, ...] = (20.0, 20.0, 20.0)
    lasting: tuple[float, ...] = (0.5, 0.5, 0.5)
    stays: tuple[float, ...] = (0.2, 0.2, 0.2)

    def __post_init__(self) -> None:
        if min(*self.tau, *self.memory, *self.prior_sd) <= 0:
            raise ValueError("tau, memory and prior_sd of a smoother must be above 0")
        parts = zip(self.lasting, self.stays, strict=True)
        if any(min(a, b) < 0 or a + b >= 1 for a, b in parts):
            raise ValueError(
                "the shares of a smoother's error, lasting and stays, are 0 or more, "
                "and leave something that is new at each tick"
            )

    def output(self, info: Info) -> Info:
        """Return two columns for each dimension."""
        found = []
        for name in DIMENSIONS:
            if name not in info.names:
                raise ValueError(
                    f"a smoother reads estimates, with the column {name!r}; "
                    f"{info.name!r} has none"
                )
            channel = info.channels[info.names.index(name)]
            ends = (".smooth", ".smooth.sd")
            span = channel.span + max(self.memory)
            found += [replace(channel, name=f"{name}{e}", span=span) for e in ends]
        return info.at(None, *found)

    def begin(self, info: Info) -> State:
        """Return a state that knows nothing yet."""
        at = [info.names.index(n) for n in DIMENSIONS]
        sds = [info.names.index(f"{n}.sd") for n in DIMENSIONS]
        felt = np.maximum(np.square(self.prior_sd) - self.noise**2, 1e-4)
        cov = np.zeros((3, 3, 3))
        cov[:, 0, 0] = felt
        cov[:, 1, 1], cov[:, 2, 2] = self.lasting, self.stays
        tick = 1 / float(info.rate) if info.rate else 0.25
        keep = np.ones((3, 3))
        keep[:, 0] = np.exp(-tick / np.array(self.tau))
        keep[:, 1] = np.exp(-tick / np.array(self.memory))
        still = np.zeros((3, 3))
        still[:, 0], still[:, 1] = felt, self.lasting
        fixed = _Fixed(at, sds, felt, keep, still * (1 - keep**2))
        return _State(fixed, np.zeros((3, 3)), cov)

    def step(self, state: State, x: Array) -> Array:
        """Move on by a tick for each row, then take in what it says."""
        out = np.empty((len(x), 6))
        mean, sd = x[:, state.fixed.at], x[:, state.fixed.sds]
        prior, noise = np.array(self.prior_mean), self.noise**2
        new = np.maximum(1 - np.array(self.lasting) - np.array(self.stays), 1e-3)
        for i in range(len(x)):
            self._move(state)
            for d in range(3):
                m, s = mean[i, d], sd[i, d]
                if np.isfinite(m) and np.isfinite(s):
                    self._see(state, d, m - prior[d], s * s - noise, new[d])
                    out[i, 2 * d] = prior[d] + state.mean[d, 0]
                    out[i, 2 * d + 1] = np.sqrt(state.cov[d, 0, 0] + noise)
                else:
                    out[i, 2 * d : 2 * d + 2] = m
        return out

    def _move(self, state: State) -> None:
        fixed = state.fixed
        state.mean[:] *= fixed.keep
        state.cov[:] *= fixed.keep[:, :, None] * fixed.keep[:, None, :]
        for k in range(2):
            state.cov[:, k, k] += fixed.fresh[:, k]

    def _see(self, state: State, d: int, step: float, var: float, new: float) -> None:
        """Take in an estimate of what is felt: its error has parts that last.

        ``step`` is its mean less the prior's, ``var`` its variance, the rating's own
        noise taken off.
        """
        own, whole = 1 / max(var, 1e-3), 1 / state.fixed.felt[d]
        gained = own - whole
        if gained < _LEAST * whole:
            return
        x, root = step * own / gained, gained**-0.5
        h = np.array([1.0, root, root])
        cov = state.cov[d]
        cross = cov @ h
        gain = cross / (h @ cross + new / gained)
        state.mean[d] += gain * (x - h @ state.mean[d])
        state.cov[d] = cov - np.outer(gain, cross)


class _Fixed(NamedTuple):
    at: list[int]
    sds: list[int]
    felt: Array
    keep: Array  # share of each number that is left after a tick, (3, 3)
    fresh: Array  # variance that a tick adds, (3, 3)


class _State(NamedTuple):
    fixed: _Fixed
    mean: Array  # felt less its prior, lasting error, error for good; (3, 3)
    cov: Array  # (3, 3, 3)
