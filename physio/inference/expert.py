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
from physio.models import model_card
from physio.models.base import Lookback, Model
from physio.models.baseline import BaselineAccumulator, BaselinePrior, transform
from physio.models.error_bars import GAUSSIAN, ErrorBars
from physio.models.feature_density import FeatureDensity
from physio.models.fusion import shrink_to_prior
from physio.models.sd_limits import SdLimits
from physio.models.shapley import GroupReasons, ReasonsProgress

__all__ = ["DIMENSIONS", "LEVELS", "BoundExpert", "Expert", "ExpertState"]

_LISTED: Final = 4  # names of columns in a message

_PRIORITY: Final = (  # the most temporary of several reasons is reported
    MissingReason.WARMING_UP,
    MissingReason.TOO_SHORT,
    MissingReason.POOR_QUALITY,
    MissingReason.ARTIFACT,
    MissingReason.MARKED_BAD,
    MissingReason.OUT_OF_DISTRIBUTION,
    MissingReason.NO_SIGNAL,
    MissingReason.DEMO_WEIGHTS,
    MissingReason.UNTRAINED,
)

_NOTHING: Final = MissingReason.NO_SIGNAL.nan
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
        its own columns and its forecast.
    """

    weights: str
    features: tuple[str, ...] = ()
    in_fusion: bool = True
    _trust: tuple[str, ...] = field(default=(), repr=False, compare=False)

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
            raise ValueError(
                f"the weights {expert.name!r} want {_first(needed)}; given are "
                f"{_first(given)}"
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
        """Return the sum of contributions in each group, shape (3, groups)."""
        out = np.zeros((len(DIMENSIONS), len(self.names)))
        np.add.at(out.T, self.index, parts.T)
        return out


@dataclass(frozen=True, eq=False)
class RatingModel:
    """Distribution of ratings as described by the weights; immutable.

    Parameters
    ----------
    prior
        Mean and standard deviation without any feature, shape (2, 3).
    supported
        Mask of the dimensions that were trained, shape (3,).
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
    """

    prior: Array
    supported: npt.NDArray[np.bool_]
    widths: Array
    participant: Array
    novelty_limit: float
    bars: ErrorBars | None = None

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
    past
        Features of the last ticks, for a model with a `Model.lookback`.
    reasons
        Contributions being computed, for a model that does not explain itself.
    """

    baseline: BaselineAccumulator
    debt: Array
    over: npt.NDArray[np.bool_]
    past: FeatureHistory | None = None
    reasons: ReasonsProgress | None = None

    @classmethod
    def initial(cls, expert: "BoundExpert", tick: float) -> Self:
        """Return the state for a participant without any data."""
        features = len(expert.features.index)
        chains = len(expert.features.chain_memory)
        past = None
        if (lookback := expert.model.lookback) is not None:
            past = _empty_history(lookback, tick, features)
        debt = np.full(features + chains, -1.0)
        over = np.zeros(1, np.bool_)
        reasons = expert.reasons.initial_state() if expert.reasons else None
        return cls(BaselineAccumulator.empty(features), debt, over, past, reasons)

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
    difference from the prior's mean, shape (3, f), 0 where the model has none.
    """

    mean: Array
    sd: Array
    parts: Array


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
        _, model, baseline = adapt_to_montage(stored, info.names, expert.trust)
        groups = FeatureGroups.of(features.names)
        if (reasons := GroupReasons.restore(stored.arrays)) is not None:
            groups = FeatureGroups.labelled(features.names, reasons.index)
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
            density=FeatureDensity.restore(stored.arrays),
            reasons=reasons,
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "BoundExpert":
        return self

    def predict(
        self, state: ExpertState, x: Array, tick: float, length: float
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
        """
        baseline = state.baseline
        if baseline.past[0] < length and not state.over[0]:
            baseline.add(x, tick)
        fill = self.features.refill(state.debt, x, tick)
        if state.past is not None:
            return self._from_history(state.past, x, fill)
        if np.isnan(x).all() or self.features.only_motion(x):
            motion = self.features.is_motion
            return self._missing(primary_reason(x if motion.all() else x[~motion]))
        level, spread = self.baseline.level(baseline.total, baseline.seconds)
        # Training data already include the uncertainty after a full baseline.
        extra = np.maximum(spread - self.residual, 0)
        z = x - level
        mean, sd, parts = self._explain(z, extra, baseline, length, state.reasons)
        filling = ~np.isnan(x) & (fill < 1)
        if filling.any():
            before = self._without(
                np.where(filling, _NOTHING, z), extra, baseline, length
            )
            mean, sd, parts = _blend((mean, sd, parts), before, fill[filling].min())
        if (share := self.ratings.familiar(self._novelty(z, extra))) < 1:
            mean, sd, parts = self._toward_prior(mean, sd, parts, share)
        return self._supported(mean, sd, parts)

    def _from_history(self, past: FeatureHistory, x: Array, fill: Array) -> Prediction:
        """Return the estimate of a model that reads the last minutes."""
        # A moment unlike the training data counts as one at their limit.
        novelty = self.model.novelty(x, x)
        share = self.ratings.familiar(novelty)
        limit = self.ratings.novelty_limit
        past.append(self.model.clamped(x, limit) if share < 1 else x, fill < 1)
        if np.isnan(x).all():
            return self._missing(primary_reason(x))
        mean, sd, parts = self.ratings.calibrated(self.model.history(past.moments()))
        filling = ~np.isnan(x) & (fill < 1)
        if filling.any():
            before = self.ratings.calibrated(self.model.history(past.moments(filling)))
            mean, sd, parts = _blend((mean, sd, parts), before, fill[filling].min())
        if share < 1:
            mean, sd, parts = self._toward_prior(mean, sd, parts, share)
        return self._supported(mean, sd, parts)

    def _toward_prior(
        self, mean: Array, sd: Array, parts: Array, share: float
    ) -> tuple[Array, Array, Array]:
        """Return ``share`` of the step from the prior to an estimate."""
        prior = self.ratings.prior
        start = prior[0], prior[1], np.zeros_like(parts)
        return _blend((mean, sd, parts), start, share)

    def _supported(self, mean: Array, sd: Array, parts: Array) -> Prediction:
        """Return an estimate of the trained dimensions alone, within the scale."""
        rating = np.full((2, len(DIMENSIONS)), _UNTRAINED)
        trained = self.ratings.supported
        rating[:, trained] = on_scale(mean[trained]), sd[trained]
        return Prediction(rating[0], rating[1], parts)

    def _missing(self, reason: float) -> Prediction:
        """Return a missing estimate, for a reason given as its NaN."""
        rating = np.full((2, len(DIMENSIONS)), _UNTRAINED)
        rating[:, self.ratings.supported] = reason
        parts = np.zeros((len(DIMENSIONS), len(self.features.index)))
        return Prediction(rating[0], rating[1], parts)

    def _novelty(self, z: Array, extra: Array) -> float:
        """Return the distance of a moment from the training data."""
        source = self.model if self.density is None else self.density
        return source.novelty(z, extra)

    def _explain(
        self,
        z: Array,
        extra: Array,
        baseline: BaselineAccumulator,
        length: float,
        reasons: ReasonsProgress | None = None,
    ) -> _Estimate:
        """Return mean, sd and contributions, shrunk until the baseline is over."""
        mean, sd, parts = self.model.explain(z, extra)
        if self.reasons is not None and reasons is not None:
            prior = self.ratings.prior[0]
            parts = self.reasons.step(reasons, self.model.predict, (z, extra), prior)
        mean, sd, parts = self.ratings.calibrated((mean, sd, parts))
        if self.model.uses_baseline_uncertainty:
            return mean, sd, parts
        share = min(1.0, baseline.past[0] / length) if length > 0 else 1.0
        prior = self.ratings.prior
        shrunk, wide = shrink_to_prior(mean, sd, prior[0], prior[1], share)
        step = mean - prior[0]
        part = np.divide(shrunk - prior[0], step, out=np.ones(3), where=step != 0)
        return shrunk, wide, part[:, None] * parts

    def _without(
        self, z: Array, extra: Array, baseline: BaselineAccumulator, length: float
    ) -> _Estimate:
        """Return the estimate without the features whose windows fill again."""
        mean, sd, parts = self._explain(z, extra, baseline, length)
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


def on_scale(mean: Array) -> Array:
    """Return estimates on the scale of ratings, from -1 to 1; NaN as it is."""
    return np.where(np.abs(mean) > 1, np.sign(mean), mean)


def primary_reason(values: Array) -> float:
    """Return the NaN, among missing values, whose reason is the most temporary."""
    codes = set(missing_reason(values).tolist())
    reasons = (r.nan for r in _PRIORITY if int(r) in codes)
    return next(reasons, MissingReason.NO_SIGNAL.nan)


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
