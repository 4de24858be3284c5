"""Fit of the Gaussian expert: resting baseline, shrinkage, held-out noise."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.affect import DIMENSIONS
from physio.core.block import Array
from physio.models.baseline import BaselineAccumulator, BaselinePrior, transform
from physio.models.gaussian import Gaussian, GaussianConfig, fit, shrunk
from physio.training.participant_data import ParticipantData, RatedSegment


@dataclass(frozen=True)
class GaussianRecipe:
    """Settings of the fit of a Gaussian expert.

    Parameters
    ----------
    columns
        Features, each with its transform: ``raw``, ``sqrt`` or ``log``.
    dimensions
        Ratings that the model is trained on.
    rest
        Duration of a participant's resting baseline (s).
    settle
        Time excluded after the beginning of a condition (s).
    every
        Time between the training samples (s).
    shrinks
        Candidates of the shrinkage, selected by cross-validation within the training
        participants.
    groups
        Number of groups of participants that the cross-validation leaves out in turn;
        0: each participant.
    sd_limits
        Limit of the standard deviation of features: see `physio.models.sd_limits`.
    """

    columns: tuple[tuple[str, str], ...]
    dimensions: tuple[str, ...] = ("valence", "arousal")
    rest: float = 300.0
    settle: float = 60.0
    every: float = 5.0
    shrinks: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
    groups: int = 0
    sd_limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def size(self) -> GaussianConfig:
        """The settings of the model."""
        return GaussianConfig(len(self.columns), self.dimensions)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(name for name, _ in self.columns)

    @property
    def picks(self) -> list[int]:
        """Indices of the trained ratings among all three."""
        return [DIMENSIONS.index(d) for d in self.dimensions]


class TrainingSamples(NamedTuple):
    """Training samples of a participant, with sums over the resting baseline."""

    code: str
    x: Array  # features, prepared, (n, f)
    ratings: Array  # (n, 3)
    unit: npt.NDArray[np.int_]  # (n,)
    resting: BaselineAccumulator
    over: int  # first tick after the baseline


class FittedGaussian(NamedTuple):
    """Fitted Gaussian expert."""

    model: Gaussian
    rest: BaselinePrior
    shrink: float
    noise: Array


def moments(participant: ParticipantData, recipe: GaussianRecipe) -> TrainingSamples:
    """Return training samples of a participant: rated units after the baseline."""
    rate = float(participant.rows.info.rate)
    transforms = [transform_name for _, transform_name in recipe.columns]
    x = participant.features(recipe.names, recipe.sd_limits)
    x = transform(x, transforms)
    resting, over = BaselineAccumulator.empty(x.shape[1]), len(x) - 1
    for i, row in enumerate(x):
        if resting.past[0] >= recipe.rest:
            over = i
            break
        resting.add(row, 1 / rate)
    parts = []
    for k, at in learned(participant, recipe, over):
        ratings = participant.units[k].ratings
        parts.append((x[at], np.tile(ratings, (len(at), 1)), np.full(len(at), k)))
    xs, ratings, units = (np.concatenate(p) for p in zip(*parts, strict=True))
    return TrainingSamples(participant.code, xs, ratings, units, resting, over)


def learned(
    participant: ParticipantData, recipe: GaussianRecipe, over: int
) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Yield each training unit and its sampled ticks, from tick ``over`` on."""
    ticks = np.arange(len(participant.rows))
    step = max(round(recipe.every * float(participant.rows.info.rate)), 1)
    later = (ticks >= over) & (ticks % step == 0)
    for k, unit in enumerate(participant.units):
        if _known(unit, recipe):
            yield k, np.flatnonzero(later & participant.within(unit, recipe.settle))


def learn(
    participants: list[TrainingSamples], recipe: GaussianRecipe
) -> FittedGaussian:
    """Fit to participants; shrinkage and noise by cross-validation among them."""
    count = recipe.groups or len(participants)
    folds = []
    for group in (participants[k::count] for k in range(min(count, len(participants)))):
        others = [p for p in participants if all(p is not held for held in group)]
        rest = rests(others, recipe.every)
        model = fitted(others, rest, recipe)
        folds += [(held, rest, model) for held in group]
    best = -np.inf, 0.0, np.zeros(len(recipe.dimensions))
    for shrink in recipe.shrinks:
        answers = [
            _answers(held, rest, shrunk(recipe.size, *model, shrink, 0.0), recipe)
            for held, rest, model in folds
        ]
        noise = _noise(answers)
        best = max(best, (_score(answers, noise), shrink, noise), key=lambda b: b[0])
    _, shrink, noise = best
    rest = rests(participants, recipe.every)
    model = fitted(participants, rest, recipe)
    return FittedGaussian(
        shrunk(recipe.size, *model, shrink, noise), rest, shrink, noise
    )


def rests(participants: list[TrainingSamples], every: float) -> BaselinePrior:
    """Return the prior of resting baselines, between and within participants.

    If fewer than two participants have a value of a feature at rest, because it needs a
    minute to warm up, the participants' means over all samples are used instead.
    ``every`` is the time between samples (s).

    Raises
    ------
    ValueError
        If fewer than two participants have any value of a feature.
    """
    total = np.stack([p.resting.total for p in participants])
    seconds = np.stack([p.resting.seconds for p in participants])
    levels = seconds > 0
    values = np.divide(total, seconds, out=np.full_like(total, np.nan), where=levels)
    rare = levels.sum(axis=0) < 2
    values[:, rare] = np.stack([_mean(p.x) for p in participants])[:, rare]
    if (few := np.isfinite(values).sum(axis=0) < 2).any():
        raise ValueError(
            f"feature number {np.flatnonzero(few)[0]} is missing in all of "
            f"{len(participants)} participants but one, or in all"
        )
    within, memory = _fluctuation(participants, every)
    between = np.maximum(np.nanvar(values, axis=0, ddof=1), 1e-9)
    usual = np.median(seconds, axis=0)
    return BaselinePrior(np.nanmean(values, axis=0), between, within, memory, usual)


def centred(participant: TrainingSamples, rest: BaselinePrior) -> tuple[Array, Array]:
    """Return baseline-corrected features, (n, f), and the excess variance."""
    level, spread = rest.level(participant.resting.total, participant.resting.seconds)
    usual = rest.level(np.zeros(len(level)), rest.seconds)[1]
    return participant.x - level, np.maximum(spread - usual, 0)


def mahalanobis(participant: TrainingSamples, fitted: FittedGaussian) -> Array:
    """Return the novelty of each sample of a participant under a model, (n,)."""
    z, extra = centred(participant, fitted.rest)
    return np.array([fitted.model.novelty(row, extra) for row in z])


def _known(unit: RatedSegment, recipe: GaussianRecipe) -> bool:
    return bool(np.isfinite(unit.ratings[recipe.picks]).all())


def _fluctuation(
    participants: list[TrainingSamples], every: float, longest: int = 24
) -> tuple[Array, Array]:
    """Return the variance within units, and the correlation time of fluctuations (s).

    The correlation time is the integral of the autocorrelation over positive and
    negative lags, truncated at the first value that is not positive.
    """
    f = participants[0].x.shape[1]
    shares, count = np.zeros((longest + 1, f)), np.zeros((longest + 1, f))
    for participant in participants:
        for k in np.unique(participant.unit):
            x = participant.x[participant.unit == k]
            x = x - _mean(x)
            for lag in range(min(longest + 1, len(x))):
                product = x[: len(x) - lag] * x[lag:]
                shares[lag] += np.nansum(product, axis=0)
                count[lag] += np.isfinite(product).sum(axis=0)
    lags = shares / np.maximum(count, 1)
    within = np.maximum(lags[0], 1e-9)
    corr = np.minimum(lags / within, 1.0)
    alive = np.logical_and.accumulate(corr > 0, axis=0)
    return within, every * (2 * np.sum(corr * alive, axis=0) - 1.0)


def fitted(
    participants: list[TrainingSamples], rest: BaselinePrior, recipe: GaussianRecipe
) -> tuple[Array, Array]:
    """Fit to the baseline-corrected samples of all participants."""
    z = np.concatenate([centred(p, rest)[0] for p in participants])
    ratings = np.concatenate([p.ratings[:, recipe.picks] for p in participants])
    most = 1 + max(int(p.unit.max()) for p in participants)
    units = np.concatenate([most * i + p.unit for i, p in enumerate(participants)])
    return fit(recipe.size, z, ratings, units)


def _answers(
    participant: TrainingSamples,
    rest: BaselinePrior,
    model: Gaussian,
    recipe: GaussianRecipe,
) -> tuple[Array, Array]:
    """Return squared errors and variances of a model on a participant, per unit.

    Both are means over the samples of a unit, shape (units, d), so that all units have
    the same weight.
    """
    z, extra = centred(participant, rest)
    ratings = np.array([model.predict(row, extra) for row in z])[:, :, recipe.picks]
    off = (participant.ratings[:, recipe.picks] - ratings[:, 0]) ** 2
    parts = [
        (np.nanmean(off[rated], axis=0), np.nanmean(ratings[rated, 1] ** 2, axis=0))
        for k in np.unique(participant.unit)
        if np.isfinite(ratings[rated := participant.unit == k]).any()
    ]
    errors, variances = zip(*parts, strict=True)
    return np.array(errors), np.array(variances)


def _noise(answers: list[tuple[Array, Array]]) -> Array:
    """Return the excess of held-out squared error over predicted variance, (d,)."""
    errors, variances = (np.concatenate(parts) for parts in zip(*answers, strict=True))
    return np.maximum(errors.mean(axis=0) - variances.mean(axis=0), 0)


def _score(answers: list[tuple[Array, Array]], noise: Array) -> float:
    """Return the mean log density of the ratings of held-out participants (nats)."""
    errors, variances = (np.concatenate(parts) for parts in zip(*answers, strict=True))
    wide = variances + noise
    return float(np.mean(-0.5 * errors / wide - 0.5 * np.log(2 * np.pi * wide)))


def _mean(x: Array) -> Array:
    """Return the mean of the finite values, (f,); NaN where there are none."""
    count = np.isfinite(x).sum(axis=0).astype(np.float64)
    total: Array = np.nansum(x, axis=0)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
