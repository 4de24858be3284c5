"""From features to how a person would rate their own affect now."""

from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, Info, Origin
from physio.core.events import Events
from physio.core.reason import Reason, why
from physio.core.stage import Stage, State
from physio.models.rest import Resting
from physio.online.expert import DIMENSIONS, Expert, Mind, soonest
from physio.online.fusion import fuse

__all__ = ["DIMENSIONS", "REST", "Estimator", "Expert"]

REST: Final = "rest"
"""Label of the event that begins a new rest."""

_UNTRAINED: Final = Reason.UNTRAINED.nan


@dataclass(frozen=True)
class Estimator(Stage):
    """Valence, arousal and dominance from features, with their uncertainty.

    The estimate is the predictive distribution of the person's own rating (SAM, on
    [-1, 1]) at that moment, label noise included: ``arousal`` is its mean and
    ``arousal.sd`` its standard deviation. Beside stand ``arousal.why`` (a `Reason`, 0
    where there is an estimate); ``support.from`` and ``support.to``: from when to when
    the samples came that it rests on (s, session clock); and what each expert says by
    itself: ``wrist.arousal``, ``wrist.arousal.sd``.

    A person's features are measured against their own rest: the first ``rest`` s in
    which an expert has any feature, or those that follow an event labelled ``rest``.
    Until it is over, what is not yet known of the person widens the estimate. The rest
    is state, as a calibration is: it is not counted in the support.

    Parameters
    ----------
    experts
        What is asked; with several, see `physio.online.fusion.fuse`. An expert trained
        on simulated people is never fused with one trained on measured people: it is
        then seen in its own columns alone.
    rest
        How long the person's rest is (s); by default as long as in the training of each
        expert, which is 300 for the shipped ``wrist``.
    demo_weights
        Whether weights trained on simulated people may answer on measured input.
    """

    experts: tuple[Expert, ...] = ()
    rest: float | None = None
    demo_weights: bool = False

    def __post_init__(self) -> None:
        if self.rest is not None and self.rest <= 0:
            raise ValueError(f"rest must be above 0 s, not {self.rest}")
        names = [e.name for e in self.experts]
        if len(set(names)) != len(names):
            raise ValueError(f"two experts are called alike: {', '.join(names)}")

    def output(self, info: Info) -> Info:
        """Return the columns, or raise what an expert lacks."""
        if info.channels and not any(name.endswith(".to") for name in info.names):
            raise ValueError(
                f"an estimator reads features that a junction has joined, with the "
                f"columns '<chain>.from' and '<chain>.to'; {info.name!r} has none"
            )
        minds = [Mind.of(e, info) for e in self.experts]
        span = max((m.span for m in minds), default=0.0)
        names = [f"{d}{end}" for d in DIMENSIONS for end in ("", ".sd", ".why")]
        told = [Channel(name, span=span) for name in names]
        told += [Channel(f"support.{end}", unit="s") for end in ("from", "to")]
        for mind in minds:
            names = [f"{mind.name}.{d}{end}" for d in DIMENSIONS for end in ("", ".sd")]
            told += [Channel(name, span=mind.span) for name in names]
        heard = [m for m in minds if self._allowed(m, info)]
        demo = any(m.origin is not Origin.MEASURED for m in heard)
        worst = Origin.worst(info.origin, Origin.DEMO) if demo else info.origin
        return replace(info.at(None, *told), origin=worst)

    def begin(self, info: Info) -> State:
        """Return a state: which expert reads what, and each one's view of the rest."""
        minds = tuple(Mind.of(e, info) for e in self.experts)
        allowed = tuple(self._allowed(m, info) for m in minds)
        tick = 1 / float(info.rate) if info.rate else 0.0
        rests = tuple(Resting.none(len(m.at)) for m in minds)
        return _State(_Room(minds, allowed, _together(minds), _ends(info), tick), rests)

    def step(self, state: State, x: Array) -> Array:
        """Estimate at each tick by itself, so that cuts change nothing."""
        room = state.room
        said = np.empty((len(x), len(room.minds), 2, len(DIMENSIONS)))
        for k, (mind, rest) in enumerate(zip(room.minds, state.rests, strict=True)):
            # Prepared at once: what is done to each number does not depend on the rest.
            features = mind.read(x)
            length = self.rest or mind.length
            for i, row in enumerate(features):
                said[i, k] = mind.answer(rest, row, room.tick, length)
            if not room.allowed[k]:
                said[:, k, :, mind.supported] = Reason.DEMO_WEIGHTS.nan
        fused = room.fused(said)
        told = np.stack([fused[:, 0], fused[:, 1], why(fused[:, 0])], axis=2)
        support = room.support(x, said, fused)
        own = said.transpose(0, 1, 3, 2)
        parts = told.reshape(len(x), 9), own.reshape(len(x), 6 * len(room.minds))
        return np.hstack([parts[0], support, parts[1]])

    def hear(self, state: State, events: Events) -> None:
        """Begin a new rest with an event labelled ``rest``."""
        if REST in events.labels:
            for rest in state.rests:
                rest.forget()

    def _allowed(self, mind: "Mind", info: Info) -> bool:
        trusted = mind.origin is Origin.MEASURED or info.origin is not Origin.MEASURED
        return trusted or self.demo_weights


class _Room(NamedTuple):
    """What never changes while an estimator runs."""

    minds: tuple[Mind, ...]
    allowed: tuple[bool, ...]
    together: tuple[int, ...]  # the experts that are fused
    ends: npt.NDArray[np.int_]  # of each column, where its chain's from and to are
    tick: float  # s

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Room":
        return self

    def fused(self, said: Array) -> Array:
        """Return what the experts say together, shape (n, 2, 3)."""
        rows = list(self.together)
        if len(rows) == 1:
            return said[:, rows[0]]
        prior = np.array([self.minds[k].prior for k in rows]).reshape(-1, 2, 3)
        out = np.empty((len(said), 2, len(DIMENSIONS)))
        for i, each in enumerate(said[:, rows]):
            out[i] = fuse(each[:, 0], each[:, 1], prior[:, 0], prior[:, 1])
            for d in np.flatnonzero(np.isnan(out[i, 0])):
                out[i, :, d] = soonest(each[:, 0, d]) if rows else _UNTRAINED
        return out

    def support(self, x: Array, said: Array, fused: Array) -> Array:
        """Return from when to when the samples came that were used, shape (n, 2)."""
        used = np.zeros(x.shape, np.bool_)
        for k in self.together:
            speaks = np.isfinite(said[:, k, 0]).any(axis=1, keepdims=True)
            used |= speaks & self.minds[k].touched(x)
        silent = ~np.isfinite(fused[:, 0]).any(axis=1)
        reasons = [soonest(row) for row in fused[silent, 0]]
        ends = []
        for end, pick, none in ((0, np.min, np.inf), (1, np.max, -np.inf)):
            at = self.ends[:, end]
            times = np.where(used & (at >= 0) & ~np.isnan(x[:, at]), x[:, at], none)
            found = pick(times, axis=1, initial=none)
            found[np.isinf(found)] = np.nan
            found[silent] = reasons
            ends.append(found)
        return np.column_stack(ends)


class _State(NamedTuple):
    room: _Room
    rests: tuple[Resting, ...]


def _together(minds: tuple[Mind, ...]) -> tuple[int, ...]:
    """Return which experts are fused: those of measured people, if there are any."""
    measured = [k for k, m in enumerate(minds) if m.origin is Origin.MEASURED]
    return tuple(measured or range(len(minds)))


def _ends(info: Info) -> npt.NDArray[np.int_]:
    """Return for each column where its chain's ends of support are; -1 for none."""
    at = {name: i for i, name in enumerate(info.names)}
    chains = [name.partition(".")[0] for name in info.names]
    found = [[at.get(f"{c}.{end}", -1) for end in ("from", "to")] for c in chains]
    return np.array(found, np.int_).reshape(-1, 2)
