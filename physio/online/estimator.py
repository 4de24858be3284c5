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
        width = 3 * len(DIMENSIONS) + 2 + 2 * len(DIMENSIONS) * len(self.experts)
        y = np.empty((len(x), width))
        for i, row in enumerate(x):
            y[i] = self._tick(state, row)
        return y

    def hear(self, state: State, events: Events) -> None:
        """Begin a new rest with an event labelled ``rest``."""
        if REST in events.labels:
            for rest in state.rests:
                rest.forget()

    def _allowed(self, mind: "Mind", info: Info) -> bool:
        trusted = mind.origin is Origin.MEASURED or info.origin is not Origin.MEASURED
        return trusted or self.demo_weights

    def _tick(self, state: "_State", row: Array) -> Array:
        room = state.room
        said = np.empty((len(room.minds), 2, len(DIMENSIONS)))
        used = np.zeros(len(row), np.bool_)
        for k, (mind, rest) in enumerate(zip(room.minds, state.rests, strict=True)):
            said[k] = mind.answer(rest, row, room.tick, self.rest or mind.length)
            if not room.allowed[k]:
                said[k, :, mind.supported] = Reason.DEMO_WEIGHTS.nan
            elif k in room.together and np.isfinite(said[k]).any():
                used |= mind.touched(row)
        fused = room.fused(said)
        told = np.column_stack([fused.T, why(fused[0])]).ravel()
        own = said.transpose(0, 2, 1).ravel()
        return np.concatenate([told, room.support(row, used, fused[0]), own])


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
        """Return what the experts say together, shape (2, 3)."""
        rows = list(self.together)
        mean, sd = said[rows, 0], said[rows, 1]
        prior = np.array([self.minds[k].prior for k in rows]).reshape(-1, 2, 3)
        out = fuse(mean, sd, prior[:, 0], prior[:, 1])
        for d in np.flatnonzero(np.isnan(out[0])):
            out[:, d] = soonest(mean[:, d]) if rows else Reason.UNTRAINED.nan
        return out

    def support(self, row: Array, used: npt.NDArray[np.bool_], fused: Array) -> Array:
        """Return from when to when the samples came that were used."""
        at = self.ends[used & (self.ends[:, 0] >= 0)]
        times = row[at[:, 0]], row[at[:, 1]]
        if not len(at) or np.isnan(times).all():
            missing = np.isnan(fused)
            nothing = soonest(fused[missing]) if missing.all() else np.nan
            return np.full(2, nothing)
        return np.array([np.nanmin(times[0]), np.nanmax(times[1])])


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
