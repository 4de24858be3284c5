"""Estimator: valence, arousal and dominance from features, with their uncertainty."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from physio.core.affect import DIMENSIONS, LEVELS
from physio.core.block import Array, Channel, Origin, StreamInfo
from physio.core.events import Events
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import (
    BASELINE_START,
    CALIBRATION,
    MISSES,
    RATINGS,
    STATUS,
    base_name,
    baseline_marker,
)
from physio.core.stage import Stage, State
from physio.inference.calibration import Calibration, packed
from physio.inference.condition_odds import condition_channels
from physio.inference.contributions import MIDDLE
from physio.inference.error_correlations import known_errors
from physio.inference.expert import (
    BoundExpert,
    Expert,
    ExpertState,
    Prediction,
    on_scale,
    primary_reason,
)
from physio.inference.forecast import EdaHistory, Forecaster
from physio.inference.named_scales import scale_channels
from physio.inference.self_report import SAM
from physio.inference.slow_expert import Worker
from physio.models.error_bars import GAUSSIAN
from physio.models.fusion import fuse_rows
from physio.models.personalization import RatedMoment, personalize

__all__ = ["Estimator", "Expert"]

PARTICIPANT: Final = "participant"
"""Contribution of the participant's own ratings."""

OTHER: Final = "other"
"""Contribution of no feature, as a network's output at the baseline."""

INTERVALS: Final = tuple(
    f"{d}.ci{round(100 * level)}" for d in DIMENSIONS for level in LEVELS
)
"""Half-widths of the intervals: 80 % of ratings lie within ``arousal.ci80`` of it."""

_UNTRAINED: Final = MissingReason.UNTRAINED.nan
_DEMO: Final = MissingReason.DEMO_WEIGHTS.nan
_MOST: Final = 64  # stored ratings


@dataclass(frozen=True)
class Estimator(Stage):
    """Valence, arousal and dominance from features, with their uncertainty.

    The estimate is the predictive distribution of the participant's own rating (SAM, on
    [-1, 1]) at that moment, label noise included: ``arousal`` is its mean and
    ``arousal.sd`` its standard deviation. The other columns are ``arousal.missing`` (a
    `MissingReason`, 0 where there is an estimate); ``support.window_start`` and
    ``support.window_end``, the first and last time of the samples that it rests on (s,
    session clock; of a slow expert, the samples of its input); and the estimate of
    each expert alone, ``wrist.arousal`` and ``wrist.arousal.sd``. ``arousal.ci80`` is
    the half-width of the interval about the mean that holds 80 % of ratings, calibrated
    on held-out participants; the same for 50 and 95.
    ``arousal.contribution.eda.scr_rate`` is the contribution of that feature
    to the difference from the prior's mean, and
    ``arousal.contribution.participant`` that of the participant's own ratings: exact
    where the model is linear, Shapley values where it is not. With the prior and
    ``arousal.contribution.other`` they add up to the mean. The electrodes of a band
    have one contribution.

    Weights with a forecast add skin conductance ahead, ``forecast.5s`` (uS) with the
    ends of its 80 % interval: see `physio.inference.forecast`. Weights with conditions
    add the probability of each under equal priors, ``condition.stress``, which is equal
    for all of them until the baseline is complete. Weights of a named scale add its
    estimate on its own range, ``scale.stress``, with ``.sd`` and the half-widths of the
    intervals, ``scale.stress.ci80``; ratings during the session do not move it.

    A participant's features are measured against their own baseline: the first
    ``baseline_seconds`` s in which an expert has any feature, or the period after the
    marker ``baseline start``. Until the baseline is complete, the remaining uncertainty
    about the participant widens the estimate. The baseline is state, like a
    calibration, and is not part of the support. After the loss of a sensor, its
    features regain weight as their windows fill again. The more a
    moment differs from all training data, the nearer its estimate is to the prior;
    models of the last minutes remember it as one at the limit of that data. A model
    that raises an error is given up alone (reason: failed).

    The estimator reacts to events of the session: the markers ``baseline start`` and
    ``baseline end``; a rating of the last moments (`physio.inference.self_report`),
    from which the participant's offset and slope are learned as far as the weights
    describe differences between participants; and a calibration
    (`physio.inference.calibration`), which stands for an earlier baseline and earlier
    ratings.

    Parameters
    ----------
    experts
        Experts; with several, see `physio.models.fusion.fuse`. An expert trained on
        simulated participants is never fused with one trained on measured participants:
        its estimates then appear only in its own columns.
    baseline_seconds
        Duration of the participant's baseline (s); by default the duration in the
        training of each expert, which is 300 for the shipped ``wrist``.
    demo_weights
        Whether weights trained on simulated participants may be used on measured input.
    rating_lookback
        Duration of the past that a rating of the last moments refers to (s).
    _is_live
        Whether workers compute slow experts: see `live`.
    """

    experts: tuple[Expert, ...] = ()
    baseline_seconds: float | None = None
    demo_weights: bool = False
    rating_lookback: float = 30.0
    _is_live: bool = field(default=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.baseline_seconds is not None and self.baseline_seconds <= 0:
            raise ValueError(
                f"baseline_seconds must be above 0 s, not {self.baseline_seconds}"
            )
        if self.rating_lookback <= 0:
            raise ValueError(
                f"rating_lookback must be above 0 s, not {self.rating_lookback}"
            )
        names = [e.name for e in self.experts]
        if len(set(names)) != len(names):
            raise ValueError(f"two experts have the same name: {', '.join(names)}")

    def trusting(self, packages: Sequence[str]) -> Self:
        """Return a copy that trusts ``packages`` for the models of its experts."""
        experts = tuple(e.trusting(packages) for e in self.experts)
        return replace(self, experts=experts)

    def live(self) -> Self:
        """Return a copy whose slow experts are computed by workers."""
        return replace(self, _is_live=True)

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """Return the output columns; raise ValueError if an expert lacks an input."""
        experts = self._bind(info)
        tick = _tick(info)
        late = tick * max((experts[k].delay for k in _in_fusion(experts)), default=0)
        channels = _estimate_channels(experts, late)
        channels += _expert_channels(experts, tick)
        channels += _contribution_channels(experts, late)
        if (forecaster := Forecaster.bind(experts, info)) is not None:
            channels += forecaster.channels
        channels += condition_channels(experts, tick)
        channels += scale_channels(experts, tick)
        answering = [e for e in experts if self._allows(e, info)]
        demo = any(e.origin is not Origin.MEASURED for e in answering)
        origin = Origin.worst(info.origin, Origin.DEMO) if demo else info.origin
        return replace(info.with_channels(None, *channels), origin=origin)

    def initial_state(self, info: StreamInfo) -> State:
        """Return the bound experts, and the initial state of the participant."""
        experts = self._bind(info)
        tick = _tick(info)
        allowed = tuple(self._allows(e, info) for e in experts)
        runtime = _Runtime.bind(experts, allowed, info, tick)
        ticks = max(round(self.rating_lookback / tick), 1) if tick else 1
        return _State(
            runtime,
            tuple(
                ExpertState.initial(e, tick, Worker() if self._is_live else None)
                for e in experts
            ),
            _RatingHistory([], np.full((ticks, 2, 3), np.nan), np.zeros(1, np.int_)),
            runtime.forecaster.initial_state() if runtime.forecaster else None,
            [],
        )

    def process(self, state: State, x: Array) -> Array:
        """Estimate tick by tick; block boundaries do not change the result."""
        runtime = state.runtime
        width = len(runtime.forecaster.channels) if runtime.forecaster else 0
        forecast = np.empty((len(x), width))
        # All rows are transformed and fused together; only the experts go row by row.
        features = [expert.features.read(x) for expert in runtime.experts]
        given = [expert.support(x, runtime.ends) for expert in runtime.experts]
        predictions: list[list[Prediction]] = [[] for _ in runtime.experts]
        for i in range(len(x)):
            for k, z in enumerate(features):
                predictions[k].append(self._predict(state, k, z[i], given[k][i]))
            if runtime.forecaster and state.eda:
                k = runtime.forecaster.index
                forecast[i] = self._forecast(state, state.eda, x[i], features[k][i])
        support = np.empty((len(x), len(runtime.experts), 2))
        for k, answers in enumerate(predictions):
            support[:, k] = _rows([p.support for p in answers], 2)
        by_expert = runtime.answers(predictions, len(x))
        odds = runtime.odds_and_scales(predictions, len(x))
        fused, contributions = runtime.fuse(by_expert, predictions, state.ratings)
        rows = [
            np.stack([fused[:, 0], fused[:, 1], missing_reason(fused[:, 0])], axis=2),
            runtime.support(support, by_expert, fused),
            fused[:, 1, :, None] * runtime.widths,
            by_expert.transpose(0, 1, 3, 2),
            contributions,
            forecast,
            odds,
        ]
        return np.hstack([r.reshape(len(x), int(np.prod(r.shape[1:]))) for r in rows])

    def on_events(self, state: State, events: Events) -> None:
        """React to ratings, calibrations and markers: see the class."""
        name = base_name(events.info.name)
        if name == RATINGS:
            for row, kind in zip(events.data, events.labels, strict=True):
                if kind == SAM:
                    state.ratings.learn(row)
        elif name == MISSES:
            self._miss(state, events.labels)
        elif name == CALIBRATION:
            for text in events.labels:
                self._calibrate(state, text)
        else:
            self._mark(state, events.labels)

    def take_messages(self, state: State) -> list[tuple[str, str]]:
        """Return stream and label of each event since the last call.

        They are failures of models, and late answers of slow ones: see `Expert.delay`.
        """
        messages = list(state.messages)
        state.messages.clear()
        for expert, s in zip(state.runtime.experts, state.experts, strict=True):
            if s.queue is not None:
                ticks = s.queue.take_misses()
                messages += [(MISSES, f"{expert.name} {tick}") for tick in ticks]
        return messages

    def calibration(self, state: State, participant: str = "") -> Calibration:
        """Return the present calibration of the participant, for storage in a file."""
        pairs = zip(state.runtime.experts, state.experts, strict=True)
        experts = tuple(s.expert_baseline(expert) for expert, s in pairs)
        return Calibration(participant, experts, packed(state.ratings.labels))

    def refusals(self, info: StreamInfo, calibration: Calibration) -> list[str]:
        """Return a sentence on each expert that cannot use a calibration."""
        return calibration.refusals(self._bind(info))

    def _bind(self, info: StreamInfo) -> tuple[BoundExpert, ...]:
        """Return the experts bound to the features of ``info``."""
        if info.channels and not any(n.endswith(".window_end") for n in info.names):
            raise ValueError(
                f"an estimator reads aligned features, with the columns "
                f"'<chain>.window_start' and '<chain>.window_end'; {info.name!r} has "
                "none"
            )
        return tuple(BoundExpert.bind(e, info) for e in self.experts)

    def _allows(self, expert: BoundExpert, info: StreamInfo) -> bool:
        """Return whether an expert may be used on input of this origin."""
        measured = expert.origin is Origin.MEASURED
        return measured or info.origin is not Origin.MEASURED or self.demo_weights

    def _predict(self, state: "_State", k: int, x: Array, support: Array) -> Prediction:
        """Return the estimate of an expert, which is given up if it raises an error."""
        expert, present = state.runtime.experts[k], state.experts[k]
        if not present.failed[0]:
            try:
                length = self._length(expert)
                tick = state.runtime.tick
                return expert.predict(present, x, tick, length, support)
            except Exception as error:  # the other experts continue without it
                present.failed[0] = True
                text = " ".join(str(error).split())
                state.messages.append(
                    (
                        STATUS,
                        f"the weights {expert.name!r} stopped: "
                        f"{type(error).__name__}: {text}; the others go on",
                    )
                )
        return expert.missing(MissingReason.FAILED.nan)

    def _miss(self, state: "_State", labels: Sequence[str]) -> None:
        """Take over the late answers of a recorded session."""
        for expert, s in zip(state.runtime.experts, state.experts, strict=True):
            if s.queue is not None:
                front = f"{expert.name} "
                texts = [x.removeprefix(front) for x in labels if x.startswith(front)]
                s.queue.miss(texts)

    def _length(self, expert: BoundExpert) -> float:
        """Return the duration of an expert's baseline (s)."""
        return self.baseline_seconds or expert.baseline_seconds

    def _forecast(
        self, state: "_State", past: EdaHistory, row: Array, features: Array
    ) -> Array:
        """Return the forecast at a tick, missing if its expert may not be used."""
        runtime = state.runtime
        forecaster = runtime.forecaster
        if forecaster is None:
            return np.empty(0)
        baseline = state.experts[forecaster.index].baseline
        values = forecaster.predict(past, row, features, baseline)
        answers = runtime.allowed[forecaster.index]
        return values if answers else np.full_like(values, _DEMO)

    def _mark(self, state: "_State", labels: Sequence[str]) -> None:
        """Begin and end baselines at their markers."""
        for label in labels:
            if edge := baseline_marker(label):
                for s in state.experts:
                    s.begin() if edge == BASELINE_START else s.end()

    def _calibrate(self, state: "_State", text: str) -> None:
        """Apply the parts of a calibration that match these experts."""
        try:
            calibration = Calibration.parse(text)
        except ValueError:
            return  # already refused at its source; a recording repeats it
        known = {b.weights: b for b in calibration.experts}
        same = True
        for expert, s in zip(state.runtime.experts, state.experts, strict=True):
            stored = known.get(expert.name)
            if stored is not None and stored.columns == expert.features.names:
                s.restore(stored)
            same &= stored is not None and stored.sha256 == expert.sha256
        if same:
            state.ratings.labels[:] = calibration.moments()


class _RatingHistory(NamedTuple):
    """Ratings of the participant, and the latest estimates without their effect."""

    labels: list[RatedMoment]
    recent: Array  # mean and sd at the last ticks, without ratings, (n, 2, 3)
    at: npt.NDArray[np.int_]  # number of ticks so far, (1,)

    def extend(self, fused: Array) -> None:
        """Add the estimates of ticks, shape (n, 2, 3)."""
        size = len(self.recent)
        at = (self.at[0] + np.arange(len(fused))) % size
        self.recent[at[-size:]] = fused[-size:]
        self.at[0] += len(fused)

    def learn(self, rating: Array) -> None:
        """Learn from a rating of the last moments."""
        present = np.isfinite(self.recent)
        count = present.sum(axis=0)
        total = np.where(present, self.recent, 0).sum(axis=0)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        self.labels.append(RatedMoment(mean[0], mean[1], np.array(rating)))
        del self.labels[:-_MOST]


class _Runtime(NamedTuple):
    """Parts of a running estimator that never change."""

    experts: tuple[BoundExpert, ...]
    allowed: tuple[bool, ...]
    in_fusion: tuple[int, ...]  # the experts that are fused
    ends: npt.NDArray[np.int_]  # window_start and _end of each column's chain
    tick: float  # s
    errors: Array | None  # error correlations of the fused experts, (3, k, k)
    participant: Array  # covariance between participants, (3, p, p)
    widths: Array  # half-widths of intervals in standard deviations, (3, levels)
    groups: tuple[str, ...]  # of contributions
    forecaster: Forecaster | None

    @classmethod
    def bind(
        cls,
        experts: tuple[BoundExpert, ...],
        allowed: tuple[bool, ...],
        info: StreamInfo,
        tick: float,
    ) -> "_Runtime":
        """Return the parts for some experts on the features of ``info``."""
        rows = _in_fusion(experts)
        fused = [experts[k] for k in rows]
        errors = None
        if len(fused) > 1:
            hashes = tuple(e.sha256 for e in fused)
            errors = known_errors(tuple(e.name for e in fused), hashes)
        participant = np.zeros((len(DIMENSIONS), 1, 1))
        if len({e.ratings.participant.shape for e in fused}) == 1:
            participant = np.mean([e.ratings.participant for e in fused], axis=0)
        widths = np.tile(GAUSSIAN, (len(DIMENSIONS), 1))
        if fused:
            widths = np.mean([e.ratings.widths for e in fused], axis=0)
        return cls(
            experts,
            allowed,
            rows,
            _window_ends(info),
            tick,
            errors,
            participant,
            widths,
            _groups(experts),
            Forecaster.bind(experts, info),
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Runtime":
        return self

    def answers(self, predictions: list[list[Prediction]], n: int) -> Array:
        """Return means and deviations, (n, k, 2, 3), of experts that may be used."""
        out = np.empty((n, len(predictions), 2, len(DIMENSIONS)))
        for k, (expert, answers) in enumerate(
            zip(self.experts, predictions, strict=True)
        ):
            pairs = [(p.mean, p.sd) for p in answers]
            out[:, k] = _rows(pairs, 2, len(DIMENSIONS))
            if not self.allowed[k]:
                out[:, k, :, expert.ratings.supported] = _DEMO
        return out

    def odds_and_scales(self, predictions: list[list[Prediction]], n: int) -> Array:
        """Return the odds, then the named scales, of experts that may be used."""
        triples = list(zip(self.experts, self.allowed, predictions, strict=True))
        parts = [np.empty((n, 0))]
        for expert, _, answers in triples:
            width = len(expert.model.conditions)
            parts.append(_rows([p.odds for p in answers], width))
        for expert, _, answers in triples:
            width = expert.ratings.scales.width
            parts.append(_rows([p.scales for p in answers], width))
        for part, allowed in zip(parts[1:], self.allowed * 2, strict=True):
            if not allowed:
                part[:] = _DEMO
        return np.hstack(parts)

    def fuse(
        self,
        answers: Array,
        predictions: list[list[Prediction]],
        ratings: _RatingHistory,
    ) -> tuple[Array, Array]:
        """Return fused estimates, (n, 2, 3), and contributions, (n, 3, groups)."""
        n, rows = len(answers), list(self.in_fusion)
        contributions = np.zeros((n, len(DIMENSIONS), len(self.groups)))
        if not rows:
            out = np.full((n, 2, len(DIMENSIONS)), _UNTRAINED)
            ratings.extend(out)
            return out, contributions
        prior = np.array([self.experts[k].ratings.prior for k in rows])
        mine = answers[:, rows]
        fused = fuse_rows(
            mine[:, :, 0], mine[:, :, 1], prior[:, 0], prior[:, 1], self.errors
        )
        out = np.stack([on_scale(fused.mean), fused.sd], axis=1)
        missing = np.isnan(out[:, 0])
        reasons = primary_reason(mine[:, :, 0].transpose(0, 2, 1))
        out = np.where(missing[:, None], reasons[:, None], out)
        ratings.extend(out)
        final = out.copy()
        for i in range(n if ratings.labels else 0):
            mean, sd = out[i]
            final[i] = personalize(
                mean, sd, fused.prior[i], self.participant, ratings.labels
            )
        final[:, 0] = on_scale(final[:, 0])
        for j, k in enumerate(rows):
            groups = self.experts[k].groups
            shape = len(DIMENSIONS), len(groups.index)
            parts = groups.total(_rows([p.parts for p in predictions[k]], *shape))
            parts *= fused.weight[:, j, :, None]
            for g, name in enumerate(groups.names):
                contributions[:, :, self.groups.index(name)] += parts[:, :, g]
        other = out[:, 0] - fused.prior - contributions.sum(axis=2)
        contributions[:, :, -2] = other
        contributions[:, :, -1] = final[:, 0] - out[:, 0]
        contributions[missing] = out[:, 0][missing][:, None]
        return final, contributions

    def support(self, support: Array, by_expert: Array, fused: Array) -> Array:
        """Return first and last time of the samples that were used, shape (n, 2).

        ``support``: that of the answer of each expert, shape (n, k, 2).
        """
        rows = list(self.in_fusion)
        answers = np.isfinite(by_expert[:, rows, 0]).any(axis=2)
        times = support[:, rows]
        used = answers & np.isfinite(times[:, :, 0])
        silent = ~np.isfinite(fused[:, 0]).any(axis=1)
        reasons = primary_reason(fused[silent, 0])
        ends = []
        for end, pick, none in ((0, np.min, np.inf), (1, np.max, -np.inf)):
            given = np.where(used, times[:, :, end], none)
            extreme = pick(given, axis=1, initial=none)
            extreme[np.isinf(extreme)] = np.nan
            extreme[silent] = reasons
            ends.append(extreme)
        return np.column_stack(ends)


class _State(NamedTuple):
    runtime: _Runtime
    experts: tuple[ExpertState, ...]
    ratings: _RatingHistory
    eda: EdaHistory | None
    messages: list[tuple[str, str]]  # stream and label, not taken yet


def _rows(values: Sequence[Any], *shape: int) -> Array:
    """Return the values of ticks, of this shape each, as one array; also of none."""
    return np.array(values, np.float64).reshape(len(values), *shape)


def _estimate_channels(experts: tuple[BoundExpert, ...], late: float) -> list[Channel]:
    """Return the columns of the estimate, its support and its intervals.

    ``late`` is the largest delay of a fused expert (s).
    """
    span = _longest(experts)
    names = [f"{d}{end}" for d in DIMENSIONS for end in ("", ".sd", ".missing")]
    return [
        *(Channel(name, delay=late, memory=span) for name in names),
        *(
            Channel(f"support.{end}", unit="s")
            for end in ("window_start", "window_end")
        ),
        *(Channel(name, delay=late, memory=span) for name in INTERVALS),
    ]


def _expert_channels(experts: tuple[BoundExpert, ...], tick: float) -> list[Channel]:
    """Return the columns of each expert alone."""
    return [
        Channel(f"{e.name}.{d}{end}", delay=e.delay * tick, memory=e.features.longest)
        for e in experts
        for d in DIMENSIONS
        for end in ("", ".sd")
    ]


def _contribution_channels(
    experts: tuple[BoundExpert, ...], late: float
) -> list[Channel]:
    """Return the columns of contributions, ``late`` (s) as the estimate."""
    span, groups = _longest(experts), _groups(experts)
    return [
        Channel(f"{d}{MIDDLE}{g}", delay=late, memory=span)
        for d in DIMENSIONS
        for g in groups
    ]


def _longest(experts: tuple[BoundExpert, ...]) -> float:
    """Return the longest window of the features of all experts (s)."""
    return max((e.features.longest for e in experts), default=0.0)


def _in_fusion(experts: tuple[BoundExpert, ...]) -> tuple[int, ...]:
    """Return the fused experts: those of measured participants, if there are any."""
    rating = (k for k, e in enumerate(experts) if e.ratings.supported.any())
    fused = [k for k in rating if experts[k].in_fusion]
    measured = [k for k in fused if experts[k].origin is Origin.MEASURED]
    return tuple(measured or fused)


def _groups(experts: tuple[BoundExpert, ...]) -> tuple[str, ...]:
    """Return the groups of contributions: features, the rest, and the ratings."""
    rows = _in_fusion(experts)
    groups = (g for k in rows for g in experts[k].groups.names)
    return (*dict.fromkeys(groups), OTHER, PARTICIPANT) if rows else ()


def _tick(info: StreamInfo) -> float:
    """Return the duration of a tick (s); 0 without a rate."""
    return 1 / float(info.rate) if info.rate else 0.0


def _window_ends(info: StreamInfo) -> npt.NDArray[np.int_]:
    """Return indices of window start and end columns per column, -1 if none, (n, 2)."""
    at = {name: i for i, name in enumerate(info.names)}
    chains = [name.partition(".")[0] for name in info.names]
    ends = [
        [at.get(f"{c}.{end}", -1) for end in ("window_start", "window_end")]
        for c in chains
    ]
    return np.array(ends, np.int_).reshape(-1, 2)
