"""From features to how a participant would rate their own affect now."""

from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Channel, Origin, StreamInfo
from physio.core.events import Events
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import CALIBRATION, RATINGS, base_name
from physio.core.stage import Stage, State
from physio.inference.calibration import Calibration, packed
from physio.inference.error_correlations import known_errors
from physio.inference.expert import (
    DIMENSIONS,
    GAUSSIAN,
    LEVELS,
    BoundExpert,
    Expert,
    ExpertState,
    Prediction,
    primary_reason,
)
from physio.inference.forecast import EdaHistory, Forecaster
from physio.inference.self_report import SAM
from physio.models.fusion import fuse
from physio.models.personalization import RatedMoment, personalize

__all__ = ["DIMENSIONS", "REST", "Estimator", "Expert"]

REST: Final = "rest"
"""Label of the event that begins a new rest."""

OVER: Final = "rest over"
"""Label of the event that ends a rest before its time."""

BY: Final = ".contribution."
"""What stands between a dimension and what moved it: ``arousal.contribution.eda.scr_rate``."""

PERSON: Final = "participant"
"""What a participant's own ratings moved an estimate by: ``arousal.contribution.participant``."""

OTHER: Final = "other"
"""What no feature accounts for: what a network says of the rest itself, say."""

HALVES: Final = tuple(
    f"{d}.half{round(100 * level)}" for d in DIMENSIONS for level in LEVELS
)
"""Half of each interval: ratings lie within ``arousal.ci80`` of it 4 times in 5."""

_UNTRAINED: Final = MissingReason.UNTRAINED.nan
_HELD: Final = MissingReason.DEMO_WEIGHTS.nan
_MOST: Final = 64  # ratings that are remembered


@dataclass(frozen=True)
class Estimator(Stage):
    """Valence, arousal and dominance from features, with their uncertainty.

    The estimate is the predictive distribution of the participant's own rating (SAM, on
    [-1, 1]) at that moment, label noise included: ``arousal`` is its mean and
    ``arousal.sd`` its standard deviation. Beside stand ``arousal.missing`` (a
    `MissingReason`, 0 where there is an estimate); ``support.window_start`` and
    ``support.window_end``: from when to when the samples came that it rests on (s,
    session clock); and what each expert says by itself: ``wrist.arousal``,
    ``wrist.arousal.sd``. ``arousal.ci80`` is half of the interval about the mean that
    holds 80 % of ratings, as participants left out of training showed; so with 50 and
    95. ``arousal.contribution.eda.scr_rate`` is by how much that feature moved the mean
    away from what is said of anybody, and ``arousal.contribution.participant`` by how
    much the participant's own ratings did: exactly where the model is linear, by
    Shapley values where it is not. With the prior and ``arousal.contribution.other``
    they add up to the mean. Electrodes of a band are told of together.

    Weights that foretell add what skin conductance will be, ``forecast.5s`` (uS) with
    the ends of a band that holds it four times in five, and how likely each condition
    is, ``condition.stress``: see `physio.inference.forecast`.

    A participant's features are measured against their own rest: the first ``rest`` s
    in which an expert has any feature, or those that follow an event labelled ``rest``.
    Until it is over, what is not yet known of the participant widens the estimate. The
    rest is state, as a calibration is: it is not counted in the support. After a sensor
    was lost, what it says counts the more the more of its window has come again. A
    moment unlike all that was seen in training has no estimate (why: out of
    distribution).

    What is told to the session is heard: the markers ``rest`` and ``rest over``; a
    rating of the last moments (`physio.inference.self_report`), from which the
    participant's own way of rating is learned as far as the weights tell how
    participants differ; and a calibration (`physio.inference.calibration`), which
    stands for an earlier rest and earlier ratings.

    Parameters
    ----------
    experts
        What is asked; with several, see `physio.models.fusion.fuse`. An expert trained
        on simulated participants is never fused with one trained on measured
        participants: it is then seen in its own columns alone.
    rest
        How long the participant's rest is (s); by default as long as in the training of
        each expert, which is 300 for the shipped ``wrist``.
    demo_weights
        Whether weights trained on simulated participants may answer on measured input.
    recall
        How far back a rating of the last moments reaches (s).
    """

    experts: tuple[Expert, ...] = ()
    baseline_seconds: float | None = None
    demo_weights: bool = False
    rating_lookback: float = 30.0

    def __post_init__(self) -> None:
        if self.baseline_seconds is not None and self.baseline_seconds <= 0:
            raise ValueError(f"rest must be above 0 s, not {self.baseline_seconds}")
        if self.rating_lookback <= 0:
            raise ValueError(f"recall must be above 0 s, not {self.rating_lookback}")
        names = [e.name for e in self.experts]
        if len(set(names)) != len(names):
            raise ValueError(f"two experts are called alike: {', '.join(names)}")

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the columns, or raise what an expert lacks."""
        if info.channels and not any(
            name.endswith(".window_end") for name in info.names
        ):
            raise ValueError(
                f"an estimator reads features that a junction has joined, with the "
                f"columns '<chain>.window_start' and '<chain>.window_end'; {info.name!r} has none"
            )
        minds = tuple(BoundExpert.bind(e, info) for e in self.experts)
        span = max((m.span for m in minds), default=0.0)
        names = [f"{d}{end}" for d in DIMENSIONS for end in ("", ".sd", ".missing")]
        told = [Channel(name, memory=span) for name in names]
        told += [
            Channel(f"support.{end}", unit="s")
            for end in ("window_start", "window_end")
        ]
        told += [Channel(name, memory=span) for name in HALVES]
        for mind in minds:
            names = [f"{mind.name}.{d}{end}" for d in DIMENSIONS for end in ("", ".sd")]
            told += [Channel(name, memory=mind.span) for name in names]
        moved = _moved(minds, _together(minds))
        told += [Channel(f"{d}{BY}{g}", memory=span) for d in DIMENSIONS for g in moved]
        ahead = Forecaster.bind(minds, info)
        told += ahead.channels if ahead else ()
        heard = [m for m in minds if self._allowed(m, info)]
        demo = any(m.origin is not Origin.MEASURED for m in heard)
        worst = Origin.worst(info.origin, Origin.DEMO) if demo else info.origin
        return replace(info.with_channels(None, *told), origin=worst)

    def initial_state(self, info: StreamInfo) -> State:
        """Return a state: which expert reads what, and what it knows of the participant."""
        minds = tuple(BoundExpert.bind(e, info) for e in self.experts)
        allowed = tuple(self._allowed(m, info) for m in minds)
        tick = 1 / float(info.rate) if info.rate else 0.0
        room = _Runtime.of(minds, allowed, info, tick)
        seen = tuple(ExpertState.nothing(m, tick) for m in minds)
        recent = np.full(
            (max(round(self.rating_lookback / tick), 1) if tick else 1, 2, 3), np.nan
        )
        told = _RatingHistory([], recent, np.zeros(1, np.int_))
        past = room.ahead.begin() if room.ahead else None
        return _State(room, seen, told, past)

    def process(self, state: State, x: Array) -> Array:
        """Estimate at each tick by itself, so that cuts change nothing."""
        room = state.room
        each = np.empty((len(x), len(room.minds), 2, len(DIMENSIONS)))
        fused = np.empty((len(x), 2, len(DIMENSIONS)))
        moved = np.empty((len(x), len(DIMENSIONS), len(room.moved)))
        ahead = np.empty((len(x), len(room.ahead.channels) if room.ahead else 0))
        # Prepared at once: what is done to each number does not depend on the rest.
        features = [mind.read(x) for mind in room.minds]
        for i in range(len(x)):
            answers = [
                mind.answer(
                    seen, own[i], room.tick, self.baseline_seconds or mind.length
                )
                for mind, seen, own in zip(
                    room.minds, state.seen, features, strict=True
                )
            ]
            for k, (mind, answer) in enumerate(zip(room.minds, answers, strict=True)):
                each[i, k] = answer.mean, answer.sd
                if not room.allowed[k]:
                    each[i, k][:, mind.supported] = MissingReason.DEMO_WEIGHTS.nan
            fused[i], moved[i] = room.fused(each[i], answers, state.told)
            if room.ahead:
                ahead[i] = self._foretold(room, room.ahead, state, x[i], features, i)
        told = np.stack([fused[:, 0], fused[:, 1], missing_reason(fused[:, 0])], axis=2)
        support = room.support(x, each, fused)
        halves = fused[:, 1, :, None] * room.widths
        own = each.transpose(0, 1, 3, 2)
        return np.hstack(
            [
                told.reshape(len(x), 9),
                support,
                halves.reshape(len(x), len(HALVES)),
                own.reshape(len(x), 6 * len(room.minds)),
                moved.reshape(len(x), len(DIMENSIONS) * len(room.moved)),
                ahead,
            ]
        )

    def _foretold(
        self,
        room: "_Runtime",
        ahead: Forecaster,
        state: State,
        row: Array,
        features: list[Array],
        tick: int,
    ) -> Array:
        """Return what the expert that foretells says at a tick, if it may."""
        k = ahead.expert
        rest, length = state.seen[k].rest, self.baseline_seconds or ahead.mind.length
        share = min(1.0, float(rest.past[0]) / length)
        told = ahead.predict(state.past, row, features[k][tick], rest, share)
        return told if room.allowed[k] else np.full_like(told, _HELD)

    def on_events(self, state: State, events: Events) -> None:
        """Take in what is told to the session: see the class."""
        name = base_name(events.info.name)
        if name == RATINGS:
            for row, kind in zip(events.data, events.labels, strict=True):
                if kind == SAM:
                    state.told.label(row)
        elif name == CALIBRATION:
            for text in events.labels:
                self._calibrate(state, text)
        else:
            for label in events.labels:
                if label in {REST, OVER}:
                    for seen in state.seen:
                        seen.begin() if label == REST else seen.end()

    def calibration(self, state: State, participant: str = "") -> Calibration:
        """Return what is known of the participant by now, as a file would hold it."""
        pairs = zip(state.room.minds, state.seen, strict=True)
        experts = tuple(seen.own(mind) for mind, seen in pairs)
        return Calibration(participant, experts, packed(state.told.labels))

    def refusals(self, info: StreamInfo, calibration: Calibration) -> list[str]:
        """Return a sentence on each expert that cannot use a calibration."""
        minds = [BoundExpert.bind(e, info) for e in self.experts]
        return calibration.refusals(minds)

    def _calibrate(self, state: State, text: str) -> None:
        """Begin with a calibration, as far as it is of these experts."""
        try:
            found = Calibration.parse(text)
        except ValueError:
            return  # whoever gave it was told; a recording repeats it
        known = {own.weights: own for own in found.experts}
        same = True
        for mind, seen in zip(state.room.minds, state.seen, strict=True):
            own = known.get(mind.name)
            if own is not None and own.columns == mind.columns:
                seen.restore(own)
            same &= own is not None and own.sha256 == mind.sha256
        if same:
            state.told.labels[:] = found.moments()

    def _allowed(self, mind: "BoundExpert", info: StreamInfo) -> bool:
        trusted = mind.origin is Origin.MEASURED or info.origin is not Origin.MEASURED
        return trusted or self.demo_weights


class _RatingHistory(NamedTuple):
    """What the participant said of themselves, and what was estimated lately."""

    labels: list[RatedMoment]
    recent: Array  # mean and sd at the last ticks, for anybody, (n, 2, 3)
    at: npt.NDArray[np.int_]  # how many ticks there were, (1,)

    def keep(self, fused: Array) -> None:
        """Remember what was estimated at a tick."""
        self.recent[self.at[0] % len(self.recent)] = fused
        self.at[0] += 1

    def label(self, rating: Array) -> None:
        """Learn from a rating of the last moments."""
        here = np.isfinite(self.recent)
        count = here.sum(axis=0)
        total = np.where(here, self.recent, 0).sum(axis=0)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        self.labels.append(RatedMoment(mean[0], mean[1], np.array(rating)))
        del self.labels[:-_MOST]


class _Runtime(NamedTuple):
    """What never changes while an estimator runs."""

    minds: tuple[BoundExpert, ...]
    allowed: tuple[bool, ...]
    together: tuple[int, ...]  # the experts that are fused
    ends: npt.NDArray[np.int_]  # of each column, where its chain's from and to are
    tick: float  # s
    errors: Array | None  # how the errors of those fused go together, (3, k, k)
    participant: Array  # how participants differ, (3, p, p)
    widths: Array  # halves of intervals in standard deviations, (3, levels)
    moved: tuple[str, ...]  # what moves an estimate
    ahead: Forecaster | None

    @classmethod
    def of(
        cls,
        minds: tuple[BoundExpert, ...],
        allowed: tuple[bool, ...],
        info: StreamInfo,
        tick: float,
    ) -> "_Runtime":
        """Return the room of some experts."""
        rows = _together(minds)
        mine = [minds[k] for k in rows]
        names, marks = tuple(m.name for m in mine), tuple(m.sha256 for m in mine)
        errors = known_errors(names, marks) if len(mine) > 1 else None
        sizes = {m.participant.shape for m in mine}
        participant = np.zeros((len(DIMENSIONS), 1, 1))
        if len(sizes) == 1:
            participant = np.mean([m.participant for m in mine], axis=0)
        moved = _moved(minds, rows)
        widths = np.tile(GAUSSIAN, (len(DIMENSIONS), 1))
        if mine:
            widths = np.mean([m.widths for m in mine], axis=0)
        ends, ahead = _ends(info), Forecaster.bind(minds, info)
        return cls(
            minds, allowed, rows, ends, tick, errors, participant, widths, moved, ahead
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Runtime":
        return self

    def fused(
        self, said: Array, answers: list[Prediction], told: _RatingHistory
    ) -> tuple[Array, Array]:
        """Return what the experts say together, (2, 3), and what moved it, (3, g)."""
        rows = list(self.together)
        moved = np.zeros((len(DIMENSIONS), len(self.moved)))
        if not rows:
            told.keep(np.full((2, len(DIMENSIONS)), _UNTRAINED))
            return np.full((2, len(DIMENSIONS)), _UNTRAINED), moved
        prior = np.array([self.minds[k].prior for k in rows])
        each = said[rows]
        made = fuse(each[:, 0], each[:, 1], prior[:, 0], prior[:, 1], self.errors)
        out = np.stack([made.mean, made.sd])
        missing = np.isnan(out[0])
        for d in np.flatnonzero(missing):
            out[:, d] = primary_reason(each[:, 0, d])
        told.keep(out)
        mean, sd = personalize(
            out[0], out[1], made.prior, self.participant, told.labels
        )
        for j, k in enumerate(rows):
            parts = self.minds[k].grouped(answers[k].parts) * made.weight[j][:, None]
            for g, name in enumerate(self.minds[k].groups):
                moved[:, self.moved.index(name)] += parts[:, g]
        moved[:, -2] = out[0] - made.prior - moved.sum(axis=1)
        moved[:, -1] = mean - out[0]
        moved[missing] = out[0, missing, None]
        return np.stack([mean, sd]), moved

    def support(self, x: Array, said: Array, fused: Array) -> Array:
        """Return from when to when the samples came that were used, shape (n, 2)."""
        used = np.zeros(x.shape, np.bool_)
        for k in self.together:
            speaks = np.isfinite(said[:, k, 0]).any(axis=1, keepdims=True)
            used |= speaks & self.minds[k].touched(x)
        silent = ~np.isfinite(fused[:, 0]).any(axis=1)
        reasons = [primary_reason(row) for row in fused[silent, 0]]
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
    room: _Runtime
    seen: tuple[ExpertState, ...]
    told: _RatingHistory
    past: EdaHistory | None


def _together(minds: tuple[BoundExpert, ...]) -> tuple[int, ...]:
    """Return which experts are fused: those of measured participants, if there are any."""
    asked = [k for k, m in enumerate(minds) if m.in_fusion]
    measured = [k for k in asked if minds[k].origin is Origin.MEASURED]
    return tuple(measured or asked)


def _moved(minds: tuple[BoundExpert, ...], rows: tuple[int, ...]) -> tuple[str, ...]:
    """Return what can move an estimate: features, and the participant's own ratings."""
    groups = (g for k in rows for g in minds[k].groups)
    return (*dict.fromkeys(groups), OTHER, PERSON) if rows else ()


def _ends(info: StreamInfo) -> npt.NDArray[np.int_]:
    """Return for each column where its chain's ends of support are; -1 for none."""
    at = {name: i for i, name in enumerate(info.names)}
    chains = [name.partition(".")[0] for name in info.names]
    found = [
        [at.get(f"{c}.{end}", -1) for end in ("window_start", "window_end")]
        for c in chains
    ]
    return np.array(found, np.int_).reshape(-1, 2)
