"""Hidden trajectory of a participant's valence, arousal and dominance."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np

from devices.simulated.noise import SEGMENT, Lag, drift, random_stream
from devices.simulated.participant import Participant
from physio.core.block import Array

Protocol = Literal["wesad", "wesad-stress-last", "wesad-stress-first", "random", "rest"]

GRID: Final = 4
"""Sampling rate of the hidden trajectory (Hz)."""

# Mean SAM rating after each condition over WESAD's participants, (rating - 5) / 4. The
# study did not ask for dominance: those values are assumed.
CONDITION_AFFECT: Final[Mapping[str, tuple[float, float, float]]] = {
    "baseline": (0.4, -0.6, 0.2),
    "amusement": (0.6, -0.5, 0.3),
    "stress": (-0.1, 0.45, -0.4),
    "meditation": (0.4, -0.65, 0.3),
    "rest": (0.35, -0.5, 0.15),
    "random": (0.0, 0.0, 0.0),
}

_LAST: Final = (
    ("baseline", 0.22),
    ("amusement", 0.13),
    ("rest", 0.03),
    ("meditation", 0.14),
    ("rest", 0.04),
    ("stress", 0.24),
    ("rest", 0.04),
    ("meditation", 0.16),
)
_FIRST: Final = (
    ("baseline", 0.22),
    ("stress", 0.24),
    ("rest", 0.04),
    ("meditation", 0.14),
    ("rest", 0.03),
    ("amusement", 0.13),
    ("rest", 0.04),
    ("meditation", 0.16),
)


class TrajectorySegment(NamedTuple):
    """A segment of the trajectory.

    ``rows``: valence, arousal, dominance at 4 Hz, shape (16, 3). ``conditions``: onset
    (s), name and duration (s). ``ratings``: time (s) and the rating of all three.
    """

    rows: Array
    conditions: list[tuple[float, str, float]]
    ratings: list[tuple[float, Array]]


class AffectTrajectory:
    """Trajectory of one participant through a protocol, which repeats without end.

    Within some seconds, a condition moves the three dimensions towards this
    participant's values for it. They vary smoothly about these values.

    Parameters
    ----------
    participant
        The simulated participant.
    protocol
        ``"wesad"``: stress first or last, drawn by the seed with odds of five to seven
        as in the study. ``"random"``: a wide, slow random process, with a rating each
        tenth of the cycle. ``"rest"``: rest throughout.
    cycle
        Duration of the protocol (s).
    steps
        Conditions that replace the protocol, each with its duration (s).
    """

    def __init__(
        self,
        participant: Participant,
        protocol: Protocol,
        cycle: float,
        steps: Sequence[tuple[str, float]] = (),
    ) -> None:
        rng = random_stream(participant.seed, "protocol")
        drawn = "wesad-stress-first" if rng.random() < 5 / 12 else "wesad-stress-last"
        offsets = {k: rng.normal(0.0, 0.15, 3) for k in CONDITION_AFFECT}
        offsets["random"] = np.zeros(3)
        self._felt = {
            k: np.clip(np.add(v, offsets[k]), -0.9, 0.9)
            for k, v in CONDITION_AFFECT.items()
        }
        chosen = drawn if protocol == "wesad" else protocol
        self._parts: tuple[tuple[str, float], ...] = {
            "wesad-stress-last": _LAST,
            "wesad-stress-first": _FIRST,
            "random": (("random", 0.1),) * 10,
            "rest": (("rest", 1.0),),
        }[chosen]
        if steps:
            cycle = sum(seconds for _, seconds in steps)
            self._parts = tuple((name, seconds / cycle) for name, seconds in steps)
        self._edges = np.cumsum([share for _, share in self._parts])
        self._cycle, self._free = cycle, protocol == "random" and not steps
        fade = float(np.clip(cycle / 60, 1, 12))
        tau = float(np.clip(cycle / 12, 4, 40)) if self._free else fade
        self._lag = Lag(0.0 if self._free else fade, GRID)
        self._wander = drift(random_stream(participant.seed, "course"), tau, GRID, 3)
        self._noise = random_stream(participant.seed, "ratings")
        self._round = self._part = self._row = 0
        self._sum, self._count = np.zeros(3), 0

    def advance(self) -> TrajectorySegment:
        """Return the next segment."""
        at = (self._row + np.arange(SEGMENT * GRID)) / GRID
        which = np.searchsorted(self._edges, (at / self._cycle) % 1.0, side="right")
        names = [self._parts[min(i, len(self._parts) - 1)][0] for i in which]
        pulled = self._lag.follow(np.array([self._felt[n] for n in names]))
        z = self._wander.take(len(at))
        if self._free:  # dominance goes with valence, as ratings of it do
            z[:, 2] = 0.5 * z[:, 0] + 0.866 * z[:, 2]
            rows = np.tanh(pulled + 0.6 * z)
        else:
            rows = np.clip(pulled + 0.1 * z, -1.0, 1.0)
        conditions, ratings = self._pass(at, rows)
        self._row += len(at)
        return TrajectorySegment(rows, conditions, ratings)

    def _end(self) -> float:
        """Return the end of the current condition (s)."""
        return self._cycle * (self._round + float(self._edges[self._part]))

    def _pass(
        self, at: Array, rows: Array
    ) -> tuple[list[tuple[float, str, float]], list[tuple[float, Array]]]:
        """Return the conditions that begin, and the ratings, within this segment."""
        conditions, ratings = [], []
        if self._row == 0:
            conditions.append((0.0, self._parts[0][0], self._end()))
        done = 0
        while (end := self._end()) <= at[0] + SEGMENT:
            now = int(np.searchsorted(at, end))
            ratings.append((end, self._rated(rows[done:now])))
            done = now
            self._part += 1
            if self._part == len(self._parts):
                self._round, self._part = self._round + 1, 0
            conditions.append((end, self._parts[self._part][0], self._end() - end))
        self._sum += rows[done:].sum(axis=0)
        self._count += len(rows) - done
        return conditions, ratings

    def _rated(self, rows: Array) -> Array:
        """Return the rating of a condition: its mean plus noise, on nine steps."""
        mean = (self._sum + rows.sum(axis=0)) / max(self._count + len(rows), 1)
        self._sum, self._count = np.zeros(3), 0
        rating = np.clip(mean + self._noise.normal(0.0, 0.2, 3), -1.0, 1.0)
        return np.asarray(np.round(rating * 4) / 4)
