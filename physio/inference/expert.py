"""Expert: trained weights on the features of a session, with the baseline as state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from physio.core.affect import DIMENSIONS, LEVELS
from physio.core.block import Array, Origin, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.inference.calibration import ExpertBaseline
from physio.inference.feature_history import FeatureHistory
from physio.inference.montage_adaptation import Columns, adapt_to_montage, read
from physio.inference.named_scales import NamedScales
from physio.inference.slow_expert import AnswerQueue, Worker
from physio.inference.window_buffer import WindowBuffer
from physio.models import model_card
from physio.models.base import Lookback, Model
from physio.models.baseline import BaselineAccumulator, BaselinePrior, transform
from physio.models.error_bars import GAUSSIAN, ClassReliability, ErrorBars
from physio.models.feature_density import FeatureDensity
from physio.models.fusion import shrink_to_prior
from physio.models.sd_limits import SdLimits
from physio.models.shapley import GroupReasons, ReasonsProgress

__all__ = ["DIMENSIONS", "LEVELS", "BoundExpert", "Expert", "ExpertState"]

_LISTED: Final = 4  # names of columns in a message
_LONGEST_DELAY: Final = 1200  # ticks

_PRIORITY: Final = (  # the most temporary of several reasons is reported
    MissingReason.WARMING_UP,
    MissingReason.TOO_SHORT,
    MissingReason.POOR_QUALITY,
    MissingReason.ARTIFACT,
    MissingReason.MARKED_BAD,
    MissingReason.OUT_OF_DISTRIBUTION,
    MissingReason.NO_SIGNAL,
    MissingReason.LATE,
    MissingReason.FAILED,
    MissingReason.DEMO_WEIGHTS,
    MissingReason.UNTRAINED,
)

_NOTHING: Final = MissingReason.NO_SIGNAL.nan
_RANKS: Final = np.full(128, len(_PRIORITY))  # place of each code in the priority
_RANKS[[int(reason) for reason in _PRIORITY]] = np.arange(len(_PRIORITY))
_BY_RANK: Final = np.array([*(reason.nan for reason in _PRIORITY), _NOTHING])
_NO_ODDS: Final = np.empty(0)
_NO_SUPPORT: Final = np.full(2, np.nan)
_NO_SCALES: Final = NamedScales()
_UNTRAINED: Final = MissingReason.UNTRAINED.nan

_Estimate = tuple[Array, Array, Array]


@dataclass(frozen=True)
class Expert:
    """Trained weights, and the chains they read.

    Parameters
    ----------
    weights
        Name of shipped weights, or the path of a folder; its last part is the name of
        the expert.
    features
        Names of the chains that are read, as on the weights' card; by default all of
        them. The features of other chains count as missing.
    in_fusion
        Whether the expert contributes to the fused estimate; otherwise it provides only
        its own columns, its forecast and its conditions.
    delay
        For a slow model: time from its input to its estimate (ticks), in which a worker
        computes it, while the session goes on. An estimate then holds for as many
        ticks. One that is not ready in time is missing (reason: late), and missing in
        every replay. 0: the model is computed at each tick.
    """

    weights: str
    features: tuple[str, ...] = ()
    in_fusion: bool = True
    delay: int = 0
    _trust: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.delay <= _LONGEST_DELAY:
            raise ValueError(
                f"delay = {self.delay} must be from 0 to {_LONGEST_DELAY} ticks"
            )

    @property
    def name(self) -> str:
        """Name of the expert, the first part of its columns."""
        return self.weights.rstrip("/").rpartition("/")[2]

    def trusting(self, packages: Sequence[str]) -> Self:
        """Return a copy that trusts ``packages`` for the model of the weights.

        Trust is not a setting: a file cannot extend the trust given by the user.
        """
        return replace(self, _trust=tuple(packages))

    @property
    def trust(self) -> tuple[str, ...]:
        """Packages, beside this library, that may define the model."""
        return self._trust


@dataclass(frozen=True, eq=False)
class FeatureBinding:
    """Columns of a tick's row that an expert reads; immutable.

    Parameters
    ----------
    names, transforms
        Features, and the transform of each: see `physio.models.baseline.transform`.
    index
        Column of each feature in the row, -1 for a feature not read, shape (f,).
    memory
        Window of each feature (s), shape (f,).
    chain
        Index of the chain of each feature, shape (f,).
    chain_memory
        Longest window of each chain (s), shape (chains,).
    is_motion
        Mask of the features of movement, shape (f,).
    limits
        Standard deviations above which a value is no feature.
    """

    names: tuple[str, ...]
    transforms: tuple[str, ...]
    index: npt.NDArray[np.int_]
    memory: Array
    chain: npt.NDArray[np.int_]
    chain_memory: Array
    is_motion: npt.NDArray[np.bool_]
    limits: SdLimits

    @classmethod
    def bind(
        cls,
        expert: Expert,
        columns: Columns,
        info: StreamInfo,
        sd_limits: Mapping[str, float] = MappingProxyType({}),
    ) -> Self:
        """Return the columns of ``info`` that an expert reads.

        Raises
        ------
        ValueError
            If the expert asks for a chain that its weights do not know, or a column is
            missing.
        """
        names = tuple(name for name, _ in columns)
        of_chain = [name.partition(".")[0] for name in names]
        chains = tuple(dict.fromkeys(of_chain))
        selected = expert.features or chains
        if unknown := [chain for chain in selected if chain not in chains]:
            raise ValueError(
                f"the weights {expert.name!r} read {', '.join(chains)}, "
                f"not {', '.join(unknown)}"
            )
        pairs = zip(names, of_chain, strict=True)
        needed = [name for name, chain in pairs if chain in selected]
        if any(name not in info.names for name in needed):
            ends = (".window_start", ".window_end", ".missing")
            given = [name for name in info.names if not name.endswith(ends)]
            lacking = [name for name in needed if name not in given]
            raise ValueError(
                f"the weights {expert.name!r} want {_first(needed)}; given are "
                f"{_first(given)}, without {_first(lacking)}: train weights on "
                "features that this device gives"
            )
        index = [info.names.index(n) if n in needed else -1 for n in names]
        memory = np.array([info.channels[i].memory if i >= 0 else 0.0 for i in index])
        chain = np.array([chains.index(c) for c in of_chain])
        return cls(
            names=names,
            transforms=tuple(scale for _, scale in columns),
            index=np.array(index),
            memory=memory,
            chain=chain,
            chain_memory=np.array(
                [memory[chain == k].max() for k in range(len(chains))]
            ),
            is_motion=np.array([c == "motion" for c in of_chain]),
            limits=SdLimits.of(sd_limits, info.names),
        )

    @property
    def longest(self) -> float:
        """Longest window of the features that are read (s)."""
        return float(self.memory[self.index >= 0].max())

    def read(self, x: Array) -> Array:
        """Return the features in rows, transformed, shape (n, f)."""
        certain = self.limits.apply(x)[:, self.index]
        selected = np.where(self.index >= 0, certain, _NOTHING)
        return transform(selected, self.transforms)

    def used(self, x: Array) -> npt.NDArray[np.bool_]:
        """Return the mask of the cells of rows that are read, shape (n, columns)."""
        mask = np.zeros(x.shape[1], np.bool_)
        mask[self.index[self.index >= 0]] = True
        return mask & ~np.isnan(self.limits.apply(x))

    def refill(self, debt: Array, x: Array, tick: float) -> Array:
        """Return the proportion of each feature's window that has data again, (f,).

        After a loss, a window contains only the samples since then. It counts as full
        when the missing duration has passed; until then, the feature contributes to the
        estimate by at most that proportion. After the loss of a whole sensor, the
        longest window of its features determines the duration. A feature that was not
        present before has no debt: it is missing until its window is full enough.

        Parameters
        ----------
        debt
            See `ExpertState`; changed in place.
        x
            Features of a tick, shape (f,).
        tick
            Duration of a tick (s).
        """
        f, chains = len(x), len(self.chain_memory)
        present = ~np.isnan(x)
        if present.all() and not debt.any():
            return np.ones(f)
        any_present = np.zeros(chains, np.bool_)
        np.logical_or.at(any_present, self.chain, present)
        gone = np.ones(chains, np.bool_)
        no_signal = missing_reason(x) == MissingReason.NO_SIGNAL
        np.logical_and.at(gone, self.chain, no_signal)
        memory = np.concatenate([self.memory, self.chain_memory])
        back = np.concatenate([present, any_present])
        lost = np.concatenate([~present, gone])
        debt[back] = np.maximum(debt[back] - tick, 0.0)
        lost &= debt >= 0
        debt[lost] = np.minimum(debt[lost] + tick, memory[lost])
        share = 1 - np.maximum(debt, 0.0) / np.maximum(memory, tick)
        return np.asarray(np.minimum(share[:f], share[f:][self.chain]))

    def only_motion(self, x: Array) -> bool:
        """Return whether only movement is present although other features are read.

        A band that is not worn moves too, and a model of several sensors knows
        movement as their companion: alone, it is no estimate.
        """
        others = (self.index >= 0) & ~self.is_motion
        return bool(others.any() and np.isnan(x[others]).all())


@dataclass(frozen=True, eq=False)
class FeatureGroups:
    """Features whose contributions are reported together; immutable.

    ``names`` of the groups; ``index``, the group of each feature, shape (f,).
    """

    names: tuple[str, ...]
    index: npt.NDArray[np.int_]

    @classmethod
    def of(cls, features: Sequence[str]) -> Self:
        """Return one group per feature; the electrodes of a band share one group."""
        groups = [_group(name) for name in features]
        names = tuple(dict.fromkeys(groups))
        return cls(names, np.array([names.index(g) for g in groups]))

    @classmethod
    def at_most(cls, features: Sequence[str], count: int) -> Self:
        """Return at most ``count`` groups: of names that begin alike, else of chains.

        Chains beyond the count share the last group.
        """
        for depth in (3, 2, 1):
            groups = [".".join(name.split(".")[:depth]) for name in features]
            names = tuple(dict.fromkeys(groups))
            if len(names) <= count:
                break
        index = [min(names.index(g), count - 1) for g in groups]
        return cls.labelled(features, np.array(index))

    @classmethod
    def labelled(cls, features: Sequence[str], index: npt.NDArray[np.int_]) -> Self:
        """Return groups given by number, each named by the beginning of its names."""
        names = []
        for group in range(int(index.max()) + 1):
            members = np.flatnonzero(index == group).tolist()
            parts = [features[i].split(".") for i in members]
            same = zip(*parts, strict=False)
            common = [p[0] for p in takewhile(lambda p: len(set(p)) == 1, same)]
            names.append(".".join(common) or f"{parts[0][0]} and others")
        return cls(tuple(names), index)

    def total(self, parts: Array) -> Array:
        """Return the sums in each group, (..., 3, groups), of (..., 3, f)."""
        out = np.zeros((*parts.shape[:-1], len(self.names)))
        np.add.at(np.moveaxis(out, -1, 0), self.index, np.moveaxis(parts, -1, 0))
        return out


@dataclass(frozen=True, eq=False)
class RatingModel:
    """Distribution of ratings as described by the weights; immutable.

    Parameters
    ----------
    prior
        Mean and standard deviation without any feature, shape (2, 3).
    supported
        Mask of valence, arousal and dominance, as far as they were trained, shape (3,).
    widths
        Half-widths of the intervals at `LEVELS` (standard deviations), shape (3,
        levels).
    participant
        Covariance of the participants' offset and slope, shape (3, p, p): see
        `physio.models.personalization.personalize`.
    novelty_limit
        Limit of the novelty: see `familiar`.
    bars
        Map from outputs of the model to calibrated ones; None: they are as they are.
    reliability
        Map from probabilities of conditions to calibrated ones; None: likewise.
    scales
        Further scales, at places that no dimension has.
    """

    prior: Array
    supported: npt.NDArray[np.bool_]
    widths: Array
    participant: Array
    novelty_limit: float
    bars: ErrorBars | None = None
    reliability: ClassReliability | None = None
    scales: NamedScales = _NO_SCALES

    @classmethod
    def of(cls, stored: model_card.Weights) -> Self:
        """Return the rating model of stored weights."""
        arrays, d = stored.arrays, len(DIMENSIONS)
        widths = arrays.get("interval.widths", np.tile(GAUSSIAN, (d, 1)))
        return cls(
            prior=np.stack([arrays["prior.mean"], arrays["prior.sd"]]),
            supported=np.isin(DIMENSIONS, stored.card.supports),
            widths=np.where(np.isnan(widths), _UNTRAINED, widths),
            participant=arrays.get("participant.cov", np.zeros((d, 1, 1))),
            novelty_limit=float(arrays.get("density.limit", np.array([np.inf]))[0]),
            bars=ErrorBars.restore(arrays),
            reliability=ClassReliability.restore(arrays),
            scales=NamedScales.of(stored.card),
        )

    def calibrated(self, estimate: _Estimate) -> _Estimate:
        """Return mean, sd and contributions with the error bars of the weights."""
        if self.bars is None:
            return estimate
        mean, sd, parts = estimate
        mean, sd = self.bars.apply(mean, sd)
        return mean, sd, self.bars.slope[:, None] * parts

    def familiar(self, novelty: float) -> float:
        """Return the share of the step from the prior to an estimate that counts.

        It is 1 up to the limit of novelty, and then falls with its square: what differs
        from all training data moves the estimate little, without a jump.
        """
        if not novelty > self.novelty_limit:
            return 1.0
        return float((max(self.novelty_limit, 0.0) / novelty) ** 2)


class ExpertState(NamedTuple):
    """State of an expert for one participant; changed in place.

    Parameters
    ----------
    baseline
        Sums over the participant's baseline.
    debt
        Missing duration (s) of the window of each feature after the loss of the
        feature, followed by the missing duration of the longest window of each chain
        after the loss of the chain. -1 before any data. Shape (f + chains,).
    over
        Whether the baseline was ended early, shape (1,).
    failed
        Whether the model raised an error and was given up, shape (1,).
    past
        Features of the last ticks, for a model with a `Model.lookback`.
    window
        Newest samples, for a model with a `Model.window`.
    queue
        Answers that are due later, of a slow model.
    reasons
        Contributions being computed, for a model that does not explain itself.
    """

    baseline: BaselineAccumulator
    debt: Array
    over: npt.NDArray[np.bool_]
    failed: npt.NDArray[np.bool_]
    past: FeatureHistory | None = None
    window: WindowBuffer | None = None
    queue: "AnswerQueue[Prediction] | None" = None
    reasons: ReasonsProgress | None = None

    @classmethod
    def initial(
        cls, expert: "BoundExpert", tick: float, worker: Worker | None = None
    ) -> Self:
        """Return the state for a participant without any data.

        ``worker`` computes the answers of a slow model in a live session.
        """
        features = len(expert.features.index)
        chains = len(expert.features.chain_memory)
        past = None
        if (lookback := expert.model.lookback) is not None:
            past = _empty_history(lookback, tick, features)
        spec = expert.model.window
        queue = None
        if expert.delay:
            begin, late = (
                expert.missing(reason.nan)
                for reason in (MissingReason.WARMING_UP, MissingReason.LATE)
            )
            queue = AnswerQueue(expert.delay, begin, late, worker)
        return cls(
            BaselineAccumulator.empty(features),
            np.full(features + chains, -1.0),
            np.zeros(1, np.bool_),
            np.zeros(1, np.bool_),
            past,
            None if spec is None else WindowBuffer.empty(spec),
            queue,
            expert.reasons.initial_state() if expert.reasons else None,
        )

    def begin(self) -> None:
        """Begin a new baseline."""
        self.baseline.reset()
        self.over[0] = False

    def end(self) -> None:
        """End the baseline early."""
        self.over[0] = True

    def expert_baseline(self, expert: "BoundExpert") -> ExpertBaseline:
        """Return the baseline in the format of a calibration."""
        total, seconds = (tuple(v.tolist()) for v in self.baseline[:2])
        past = float(self.baseline.past[0])
        return ExpertBaseline(
            expert.name, expert.sha256, expert.features.names, total, seconds, past
        )

    def restore(self, stored: ExpertBaseline) -> None:
        """Restore the baseline of a calibration."""
        self.baseline.total[:] = stored.total
        self.baseline.seconds[:] = stored.seconds
        self.baseline.past[:], self.over[:] = stored.past, True


class Prediction(NamedTuple):
    """Estimate of an expert at one tick.

    ``mean`` and ``sd``, shape (3,); ``parts``, the contribution of each feature to the
    difference from the prior's mean, shape (3, f), 0 where the model has none;
    ``odds``, the probabilities of its conditions, shape (conditions,); ``scales``, the
    columns of its further scales: see `physio.inference.named_scales`; ``support``, the
    first and last time of the samples that it rests on (s, session clock), shape (2,).
    """

    mean: Array
    sd: Array
    parts: Array
    odds: Array = _NO_ODDS
    scales: Array = _NO_ODDS
    support: Array = _NO_SUPPORT


class ModelInput(NamedTuple):
    """All that the answer of a model at one tick depends on.

    Parameters
    ----------
    z, extra
        Features relative to the baseline, and their excess variance, shape (f,); or a
        window, shape (channels, samples).
    share
        Completed proportion of the baseline.
    filling, fill
        Mask of the features whose windows fill again, and their smallest proportion.
    past, before
        Moments of a model with a lookback, and the same without features that fill.
    """

    z: Array
    extra: Array
    share: float = 1.0
    filling: npt.NDArray[np.bool_] = np.empty(0, np.bool_)
    fill: float = 1.0
    past: Array | None = None
    before: Array | None = None


@dataclass(frozen=True, eq=False)
class BoundExpert:
    """Expert bound to the columns of a session's features; immutable.

    Parameters
    ----------
    name, sha256, origin
        Name of the weights, hash of their file, and origin of their training data.
    in_fusion
        Whether it contributes to the fused estimate.
    model
        Model, adapted to the electrodes of the headset.
    features, groups
        Columns that are read, and the groups of their contributions.
    ratings
        Prior, intervals and differences between participants.
    baseline
        Distribution of the participants' baselines.
    baseline_seconds
        Duration of the baseline in training (s).
    residual
        Variance of the level after a baseline as long as in training, shape (f,).
    delay
        Delay of a slow model (ticks); 0 for others.
    density
        Density of the features, in place of the model's `Model.novelty`; None: that.
    reasons
        Contributions in place of those of `Model.explain`; None: those.
    """

    name: str
    sha256: str
    origin: Origin
    in_fusion: bool
    model: Model
    features: FeatureBinding
    groups: FeatureGroups
    ratings: RatingModel
    baseline: BaselinePrior
    baseline_seconds: float
    residual: Array
    delay: int = 0
    density: FeatureDensity | None = None
    reasons: GroupReasons | None = None

    @classmethod
    def bind(cls, expert: Expert, info: StreamInfo) -> Self:
        """Bind an expert to the features of ``info``.

        Raises
        ------
        ValueError
            If the weights are missing or damaged, their model is not trusted, they are
            another participant's, or a column is missing.
        """
        stored = model_card.load(expert.weights)
        card = stored.card
        _refuse_others(card, expert.name, info)
        columns = read(stored, info.names, expert.trust)
        features = FeatureBinding.bind(expert, columns, info, card.sd_limits)
        _, model, baseline, index = adapt_to_montage(stored, info.names, expert.trust)
        _check_window(expert.name, model, columns, info)
        groups = FeatureGroups.of(features.names)
        if (reasons := GroupReasons.restore(stored.arrays)) is not None:
            groups = FeatureGroups.labelled(features.names, reasons.index)
        density = FeatureDensity.restore(stored.arrays)
        if density is not None and index is not None:
            density = density.for_features(index)
        return cls(
            name=expert.name,
            sha256=card.sha256,
            origin=card.origin,
            in_fusion=expert.in_fusion,
            model=model,
            features=features,
            groups=groups,
            ratings=RatingModel.of(stored),
            baseline=baseline,
            baseline_seconds=card.baseline,
            residual=baseline.level(np.zeros(len(columns)), baseline.seconds)[1],
            delay=expert.delay,
            density=density,
            reasons=reasons,
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "BoundExpert":
        return self

    def predict(
        self,
        state: ExpertState,
        x: Array,
        tick: float,
        length: float,
        support: Array = _NO_SUPPORT,
    ) -> Prediction:
        """Return the estimate at a tick.

        Parameters
        ----------
        state
            State of the expert for the participant, updated by ``x``.
        x
            Features of the tick, as `FeatureBinding.read` returns them, shape (f,).
        tick, length
            Duration of a tick and of a baseline (s).
        support
            First and last time of the samples of ``x``, shape (2,): a slow model
            answers with that of its input.
        """
        given = self._input(state, x, tick, length)

        def answer() -> Prediction:
            return self._answer(given, state.reasons)._replace(support=support)

        return answer() if state.queue is None else state.queue.step(answer)

    def support(self, x: Array, ends: npt.NDArray[np.int_]) -> Array:
        """Return first and last time of the samples of rows that it reads, (n, 2).

        Parameters
        ----------
        x
            Rows of all features, shape (n, columns).
        ends
            Columns of begin and end of the window of each column, -1 for none, shape
            (columns, 2).
        """
        used, times = self.features.used(x), []
        for end, pick, none in ((0, np.min, np.inf), (1, np.max, -np.inf)):
            at = ends[:, end]
            given = np.where(used & (at >= 0) & ~np.isnan(x[:, at]), x[:, at], none)
            times.append(pick(given, axis=1, initial=none))
        if (spec := self.model.window) is not None:
            step = (len(self.features.index) - 1) // len(spec.channels)
            times[0] = times[0] - (spec.samples - step) / spec.rate
        support = np.column_stack(times)
        support[np.isinf(support)] = np.nan
        return support

    def missing(self, reason: npt.ArrayLike) -> Prediction:
        """Return a missing estimate, for a reason given as its NaN."""
        rating = np.full((2, len(DIMENSIONS)), _UNTRAINED)
        rating[:, self.ratings.supported] = reason
        parts = np.zeros((len(DIMENSIONS), len(self.features.index)))
        odds = np.full(len(self.model.conditions), reason)
        scales = np.full(self.ratings.scales.width, reason)
        return Prediction(rating[0], rating[1], parts, odds, scales)

    def _input(
        self, state: ExpertState, x: Array, tick: float, length: float
    ) -> ModelInput | Prediction:
        """Return the input of the model, or the estimate where it is missing."""
        if state.window is not None:
            state.window.append(x)
            window = state.window.whole()
            if isinstance(window, float):
                return self.missing(window)
            return ModelInput(window, np.zeros(len(x)))
        baseline = state.baseline
        if baseline.past[0] < length and not state.over[0]:
            baseline.add(x, tick)
        fill = self.features.refill(state.debt, x, tick)
        filling = ~np.isnan(x) & (fill < 1)
        least = fill[filling].min(initial=1.0)
        if state.past is not None:
            given = ModelInput(x, x, 1.0, filling, float(least))
            return self._moments(state.past, fill, given)
        if np.isnan(x).all():
            motion = self.features.is_motion
            return self.missing(primary_reason(x if motion.all() else x[~motion]))
        level, spread = self.baseline.level(baseline.total, baseline.seconds)
        # Training data already include the uncertainty after a full baseline.
        extra = np.maximum(spread - self.residual, 0)
        share = min(1.0, float(baseline.past[0]) / length) if length > 0 else 1.0
        return ModelInput(x - level, extra, share, filling, float(least))

    def _moments(
        self, past: FeatureHistory, fill: Array, given: ModelInput
    ) -> ModelInput | Prediction:
        """Return the input of a model that reads the last minutes."""
        x = given.z
        # A moment unlike the training data counts as one at their limit.
        limit = self.ratings.novelty_limit
        novel = limit < np.inf and self.model.novelty(x, x) > limit
        past.append(self.model.clamped(x, limit) if novel else x, fill < 1)
        if np.isnan(x).all():
            return self.missing(primary_reason(x))
        before = past.moments(given.filling) if given.filling.any() else None
        return given._replace(past=past.moments(), before=before)

    def _answer(
        self, given: ModelInput | Prediction, reasons: ReasonsProgress | None
    ) -> Prediction:
        """Return the estimate for an input."""
        if isinstance(given, Prediction):
            return given
        if given.past is not None:
            mean, sd, parts = self.ratings.calibrated(self.model.history(given.past))
            if given.before is not None:
                before = self.ratings.calibrated(self.model.history(given.before))
                mean, sd, parts = _blend((mean, sd, parts), before, given.fill)
            familiar = self.ratings.familiar(self.model.novelty(given.z, given.z))
            mean, sd, parts = self._toward_prior(mean, sd, parts, familiar, given)
            return self._supported(mean, sd, parts)
        familiar = self.ratings.familiar(self._novelty(given))
        if self.model.window is not None:
            rating = self.model.predict(given.z, given.extra)
            parts = np.zeros((len(DIMENSIONS), len(given.extra)))
            mean, sd, parts = self.ratings.calibrated((*rating, parts))
            mean, sd, parts = self._toward_prior(mean, sd, parts, familiar)
            return self._supported(mean, sd, parts, self._odds(given, familiar))
        odds = self._odds(given, given.share * familiar)
        if self.features.only_motion(given.z):
            other = given.z[~self.features.is_motion]
            return self.missing(primary_reason(other))._replace(odds=odds)
        mean, sd, parts = self._explain(given.z, given, reasons)
        if given.filling.any():
            before = self._without(given)
            mean, sd, parts = _blend((mean, sd, parts), before, given.fill)
        mean, sd, parts = self._toward_prior(mean, sd, parts, familiar, given)
        return self._supported(mean, sd, parts, odds)

    def _toward_prior(
        self,
        mean: Array,
        sd: Array,
        parts: Array,
        share: float,
        given: ModelInput | None = None,
    ) -> tuple[Array, Array, Array]:
        """Return ``share`` of the step from the prior to an estimate.

        The step back is a contribution of the features that make the moment unlike the
        training data; without ``given``, of all in proportion.
        """
        if share == 1:
            return mean, sd, parts
        prior = self.ratings.prior
        start = prior[0], prior[1], np.zeros_like(parts)
        mean, sd, less = _blend((mean, sd, parts), start, share)
        source = self._distance_source
        odd = source.novelty_shares(given.z, given.extra) if given else None
        if odd is None:
            return mean, sd, less
        lost = (parts - less).sum(axis=1)
        return mean, sd, parts - lost[:, None] * odd

    @property
    def _distance_source(self) -> Model | FeatureDensity:
        """Measure of how unlike a moment is: the density, or the model."""
        return self.model if self.density is None else self.density

    def _novelty(self, given: ModelInput) -> float:
        """Return the distance of a moment from the training data."""
        return self._distance_source.novelty(given.z, given.extra)

    def _odds(self, given: ModelInput, share: float) -> Array:
        """Return the probabilities of the conditions, shrunk to equal ones.

        ``share`` is the proportion of the step from equal probabilities that counts.
        """
        if not self.model.conditions:
            return np.empty(0)
        odds = self.model.condition_odds(given.z, given.extra)
        if self.ratings.reliability is not None and not np.isnan(odds).any():
            odds = self.ratings.reliability.apply(odds)
        return share * odds + (1 - share) / len(odds)

    def _supported(
        self, mean: Array, sd: Array, parts: Array, odds: Array = _NO_ODDS
    ) -> Prediction:
        """Return an estimate of the trained dimensions alone, within the scale."""
        rating = np.full((2, len(DIMENSIONS)), _UNTRAINED)
        trained = self.ratings.supported
        rating[:, trained] = on_scale(mean[trained]), sd[trained]
        scales = self.ratings.scales.values(on_scale(mean), sd, self.ratings.widths)
        return Prediction(rating[0], rating[1], parts, odds, scales)

    def _explain(
        self, z: Array, given: ModelInput, reasons: ReasonsProgress | None = None
    ) -> _Estimate:
        """Return mean, sd and contributions, shrunk until the baseline is over."""
        mean, sd, parts = self.model.explain(z, given.extra)
        prior = self.ratings.prior
        if self.reasons is not None and reasons is not None:
            moment = z, given.extra
            parts = self.reasons.step(reasons, self.model.predict, moment, prior[0])
        mean, sd, parts = self.ratings.calibrated((mean, sd, parts))
        if self.model.uses_baseline_uncertainty:
            return mean, sd, parts
        shrunk, wide = shrink_to_prior(mean, sd, prior[0], prior[1], given.share)
        step = mean - prior[0]
        part = np.divide(shrunk - prior[0], step, out=np.ones(3), where=step != 0)
        return shrunk, wide, part[:, None] * parts

    def _without(self, given: ModelInput) -> _Estimate:
        """Return the estimate without the features whose windows fill again."""
        z = np.where(given.filling, _NOTHING, given.z)
        mean, sd, parts = self._explain(z, given)
        missing = np.isnan(mean)
        prior = self.ratings.prior
        mean = np.where(missing, prior[0], mean)
        return mean, np.where(missing, prior[1], sd), parts


def _refuse_others(card: model_card.ModelCard, name: str, info: StreamInfo) -> None:
    """Refuse the weights of one participant in a session of another."""
    if card.participant and info.channels and card.participant != info.participant:
        whose = repr(info.participant) if info.participant else "nobody by name"
        raise ValueError(
            f"the weights {name!r} are personal, of {card.participant!r}, and this "
            f"session is of {whose}: use weights of this participant or general ones, "
            f"or start the session with --participant {card.participant}"
        )


def _check_window(name: str, model: Model, columns: Columns, info: StreamInfo) -> None:
    """Raise ValueError unless the rows of a chain have the rate of a window."""
    if (spec := model.window) is None or not info.rate:
        return
    step = (len(columns) - 1) // len(spec.channels)
    front = columns[0][0].rpartition(".")[0]
    if f"{front}.{step}" in info.names:
        raise ValueError(
            f"the weights {name!r} read {step} samples a tick, {spec.rate:g} Hz, and "
            f"{front.partition('.')[0]} has more: put {{ use = "
            f'"physio.dsp.resample:Resample", rate = {spec.rate:g} }} before the '
            "newest samples of this chain"
        )
    if step * float(info.rate) != spec.rate:
        raise ValueError(
            f"the weights {name!r} read {len(spec.channels)} channels at "
            f"{spec.rate:g} Hz, {step} samples a tick; at {float(info.rate):g} ticks a "
            f"second that is {step * float(info.rate):g} Hz: give [session] rate = "
            f"{spec.rate / step:g}"
        )


def on_scale(mean: Array) -> Array:
    """Return estimates on the scale of ratings, from -1 to 1; NaN as it is."""
    return np.where(np.abs(mean) > 1, np.sign(mean), mean)


def primary_reason(values: Array) -> Array:
    """Return the NaN whose reason is the most temporary, along the last axis."""
    ranks = _RANKS[missing_reason(values)]
    return np.asarray(_BY_RANK[ranks.min(axis=-1, initial=len(_PRIORITY))])


def _empty_history(lookback: Lookback, tick: float, features: int) -> FeatureHistory:
    return FeatureHistory.empty(lookback.moments, lookback.spacing, tick, features)


def _blend(new: _Estimate, old: _Estimate, share: float) -> _Estimate:
    """Return ``share`` of the step from an old estimate to a new one."""
    mean, wide = shrink_to_prior(new[0], new[1], old[0], old[1], float(share))
    step = new[0] - old[0]
    part = np.divide(mean - old[0], step, out=np.ones(3), where=step != 0)
    return mean, wide, old[2] + part[:, None] * (new[2] - old[2])


def _group(column: str) -> str:
    """Return the group of a feature: electrodes of a band have one."""
    parts = column.split(".")
    return ".".join(parts[:3] if len(parts) > 3 else parts)


def _first(names: Sequence[str]) -> str:
    """Return the first few names, and the number of the others."""
    more = len(names) - _LISTED
    listed = ", ".join(names[:_LISTED]) or "none"
    return f"{listed} and {more} more" if more > 0 else listed
