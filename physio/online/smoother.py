"""A state that moves slowly, seen through experts whose errors last."""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array, Info
from physio.core.stage import Stage, State

DIMENSIONS: Final = ("valence", "arousal", "dominance")
_LEAST: Final = 1e-4  # of the prior's precision: who gained less says nothing
_NEW: Final = 0.02  # least share of an error's variance that is new at each tick


@dataclass(frozen=True)
class Source:
    """How the errors of one expert last.

    Parameters
    ----------
    expert
        Its name; empty for the estimates themselves.
    memory
        For how long an error lasts (s), in each dimension.
    lasting, stays
        Shares of an error's variance that last ``memory`` s, and for good: the person
        answers otherwise than others.
    usual
        The precision that it usually adds to the prior, in each dimension. Where it
        adds less, as with features missing, the rest of the error is another one that
        lasts as long. At 0 whatever it adds is usual.
    """

    expert: str = ""
    memory: tuple[float, ...] = (20.0, 20.0, 20.0)
    lasting: tuple[float, ...] = (0.5, 0.5, 0.5)
    stays: tuple[float, ...] = (0.2, 0.2, 0.2)
    usual: tuple[float, ...] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        parts = zip(self.lasting, self.stays, strict=True)
        if min(self.memory) <= 0 or any(min(a, b) < 0 or a + b > 1 for a, b in parts):
            raise ValueError(
                f"an error of {self.expert or 'an estimate'!r} has a memory above 0 s, "
                "and shares lasting and stays that are 0 or more and 1 at most together"
            )


@dataclass(frozen=True)
class Smoother(Stage):
    """Smoothed valence, arousal and dominance beside the estimates: ``arousal.smooth``.

    What is felt is taken to wander smoothly about its mean and to forget within
    ``tau`` s. What an expert says is a measurement of it, with an error of which a part
    stays, a part lasts a while, and the rest is new at each tick. A Kalman filter of
    two numbers for what is felt and two for each expert: the work of a tick does not
    depend on the past.

    Parameters
    ----------
    prior_mean, prior_sd
        What is said of anybody: see the weights' card; (3,) each.
    noise
        Standard deviation of the rating about what is felt: part of each estimate.
    tau
        How fast what is felt wanders (s), (3,).
    sources
        Whom it listens to; by default the estimates themselves.

    Notes
    -----
    The constants are learned where ratings are continuous, as simulated ones are:
    labels that hold for a block would teach the length of the block. Numbers of
    different ticks are never joined: cuts change no bit. What one tick said fades
    within the longest ``memory``, which is added to the span, to less than a hundredth.
    """

    prior_mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    prior_sd: tuple[float, ...] = (0.5, 0.5, 0.5)
    noise: float = 0.2
    tau: tuple[float, ...] = (40.0, 40.0, 40.0)
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        if min(*self.tau, *self.prior_sd) <= 0:
            raise ValueError("tau and prior_sd of a smoother must be above 0")

    @property
    def heard(self) -> tuple[Source, ...]:
        """Whom it listens to."""
        return self.sources or (Source(),)

    def output(self, info: Info) -> Info:
        """Return two columns for each dimension."""
        self._at(info)
        longest = max(max(s.memory) for s in self.heard)
        found = []
        for name in DIMENSIONS:
            channel = info.channels[info.names.index(name)]
            span = channel.span + longest
            ends = (".smooth", ".smooth.sd")
            found += [replace(channel, name=f"{name}{e}", span=span) for e in ends]
        return info.at(None, *found)

    def begin(self, info: Info) -> State:
        """Return a state that knows nothing yet."""
        size = 2 + 2 * len(self.heard)
        tick = 1 / float(info.rate) if info.rate else 0.25
        felt = np.maximum(np.square(self.prior_sd) - self.noise**2, 1e-4)
        move, fresh = np.zeros((3, size, size)), np.zeros((3, size, size))
        cov, new = np.zeros((3, size, size)), np.zeros((len(self.heard), 3))
        p = np.exp(-tick / np.array(self.tau))
        near = felt * 2 * p / (1 + p**2)  # covariance of one tick and the next
        move[:, 0, 0], move[:, 0, 1], move[:, 1, 0] = 2 * p, -(p**2), 1.0
        fresh[:, 0, 0] = felt - 2 * p * near + p**2 * (2 * p * near - p**2 * felt)
        cov[:, 0, 0] = cov[:, 1, 1] = felt
        cov[:, 0, 1] = cov[:, 1, 0] = near
        for k, source in enumerate(self.heard):
            a, b = 2 + 2 * k, 3 + 2 * k
            keep = np.exp(-tick / np.array(source.memory))
            lasting, stays = np.array(source.lasting), np.array(source.stays)
            move[:, a, a], move[:, b, b] = keep, 1.0
            fresh[:, a, a] = lasting * (1 - keep**2)
            cov[:, a, a], cov[:, b, b] = lasting, stays
            new[k] = np.maximum(1 - lasting - stays, _NEW)
        memory = np.array([source.memory for source in self.heard])
        repeats = np.maximum(2 * memory / tick, 1.0)
        room = _Room(*self._at(info), felt, move, fresh, new, repeats)
        return _State(room, np.zeros((3, size)), cov)

    def step(self, state: State, x: Array) -> Array:
        """Move on by a tick for each row, then take in what it says."""
        room, prior = state.room, np.array(self.prior_mean)
        out = np.empty((len(x), 2, 3))
        for i, row in enumerate(x):
            state.mean[:] = (room.move @ state.mean[:, :, None])[:, :, 0]
            state.cov[:] = room.move @ state.cov @ room.move.transpose(0, 2, 1)
            state.cov[:] += room.fresh
            for k in range(len(self.heard)):
                self._hear(state, k, row[room.means[k]] - prior, row[room.sds[k]])
            own = row[room.own]
            missing = np.isnan(own)
            var = np.maximum(state.cov[:, 0, 0], 1e-9) + self.noise**2
            out[i] = prior + state.mean[:, 0], np.sqrt(var)
            out[i][:, missing] = own[missing]
        return out.transpose(0, 2, 1).reshape(len(x), 6)

    def _at(self, info: Info) -> tuple[list[list[int]], list[list[int]], list[int]]:
        """Return where each source's means and deviations are, and the estimates."""
        fronts = [f"{s.expert}." if s.expert else "" for s in self.heard]
        wanted = [
            f"{f}{d}{end}" for f in fronts for d in DIMENSIONS for end in ("", ".sd")
        ]
        if lacking := [n for n in (*DIMENSIONS, *wanted) if n not in info.names]:
            raise ValueError(
                f"a smoother reads estimates, with the column {lacking[0]!r}; "
                f"{info.name!r} has none"
            )
        found = [info.names.index(name) for name in wanted]
        rows = [found[6 * k : 6 * k + 6] for k in range(len(fronts))]
        own = [info.names.index(d) for d in DIMENSIONS]
        return [r[::2] for r in rows], [r[1::2] for r in rows], own

    def _hear(self, state: State, k: int, step: Array, sd: Array) -> None:
        """Take in what a source says of each dimension: step from the prior, and sd."""
        felt = state.room.felt
        var = sd**2 - self.noise**2
        gained = 1 / np.maximum(var, 1e-3) - 1 / felt
        says = np.isfinite(step) & np.isfinite(sd) & (gained > _LEAST / felt)
        if not says.any():
            return
        gained = np.where(says, gained, 1.0)
        source = self.heard[k]
        known = np.minimum(1 / gained, 1 / np.maximum(source.usual, 1e-9))
        # An error that lasts, seen at each tick, tells no more than once in its memory.
        more = (1 / gained - known) * state.room.repeats[k]
        root = np.sqrt(known)
        x = np.where(says, step, 0.0) * (1 / felt + gained) / gained
        h = np.zeros_like(state.mean)
        h[:, 0], h[:, 2 + 2 * k], h[:, 3 + 2 * k] = 1.0, root, root
        cross = (state.cov @ h[:, :, None])[:, :, 0]
        total = np.sum(h * cross, axis=1) + state.room.new[k] * known + more
        gain = np.where(says[:, None], cross / total[:, None], 0.0)
        off = x - np.sum(h * state.mean, axis=1)
        state.mean[:] += gain * off[:, None]
        state.cov[:] -= gain[:, :, None] * cross[:, None, :]


class _Room(NamedTuple):
    """What never changes while a smoother runs."""

    means: list[list[int]]  # columns of each source
    sds: list[list[int]]
    own: list[int]  # of the estimates
    felt: Array  # variance of what is felt, (3,)
    move: Array  # how the numbers go on in a tick, (3, size, size)
    fresh: Array  # covariance that a tick adds
    new: Array  # share of each source's error that is new, (sources, 3)
    repeats: Array  # ticks in the memory of each source's error, (sources, 3)


class _State(NamedTuple):
    room: _Room
    mean: Array  # what is felt less its prior, now and a tick ago; errors; (3, size)
    cov: Array  # (3, size, size)
