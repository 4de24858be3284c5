"""Fitting the Gaussian expert: the person's rest, shrinkage, honest noise."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.models.gaussian import Gaussian, GaussianConfig, fit, shrunk
from physio.models.baseline import BaselinePrior, BaselineAccumulator, transform
from physio.training.participants import DIMENSIONS, Person, RatedSegment


@dataclass(frozen=True)
class GaussianRecipe:
    """How a Gaussian expert is fitted.

    Parameters
    ----------
    columns
        The features, and how each is read: ``raw``, ``sqrt`` or ``log``.
    dimensions
        Which ratings it learns.
    rest
        How long a person's rest is (s).
    settle
        How long (s) after its beginning a condition is left out.
    every
        Time (s) between the moments that are learned from.
    shrinks
        Shrinkages to choose from, by leaving one person out within the training people.
    """

    columns: tuple[tuple[str, str], ...]
    dimensions: tuple[str, ...] = ("valence", "arousal")
    rest: float = 300.0
    settle: float = 60.0
    every: float = 5.0
    shrinks: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)

    @property
    def size(self) -> GaussianConfig:
        """The settings of the model."""
        return GaussianConfig(len(self.columns), self.dimensions)

    @property
    def names(self) -> tuple[str, ...]:
        """The features."""
        return tuple(name for name, _ in self.columns)

    @property
    def picks(self) -> list[int]:
        """Where the learned ratings are among all three."""
        return [DIMENSIONS.index(d) for d in self.dimensions]


class TrainingSamples(NamedTuple):
    """A person's moments that can be learned from, and how they rested."""

    code: str
    x: Array  # features, prepared, (n, f)
    ratings: Array  # (n, 3)
    unit: npt.NDArray[np.int_]  # (n,)
    resting: BaselineAccumulator
    over: int  # the first tick after the rest


class FittedGaussian(NamedTuple):
    """What was learned, and how."""

    model: Gaussian
    rest: BaselinePrior
    shrink: float
    noise: Array


def moments(person: Person, recipe: GaussianRecipe) -> TrainingSamples:
    """Return the moments of a person: in units with ratings, after the rest."""
    rate = float(person.rows.info.rate)
    x = transform(person.features(recipe.names), [how for _, how in recipe.columns])
    resting, over = BaselineAccumulator.none(x.shape[1]), len(x) - 1
    for i, row in enumerate(x):
        if resting.past[0] >= recipe.rest:
            over = i
            break
        resting.see(row, 1 / rate)
    parts = []
    for k, at in learned(person, recipe, over):
        ratings = person.units[k].ratings
        parts.append((x[at], np.tile(ratings, (len(at), 1)), np.full(len(at), k)))
    xs, ratings, units = (np.concatenate(p) for p in zip(*parts, strict=True))
    return TrainingSamples(person.code, xs, ratings, units, resting, over)


def learned(
    person: Person, recipe: GaussianRecipe, over: int
) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Yield each unit that is learned from, and its ticks: those from ``over`` on."""
    ticks = np.arange(len(person.rows))
    step = max(round(recipe.every * float(person.rows.info.rate)), 1)
    later = (ticks >= over) & (ticks % step == 0)
    for k, unit in enumerate(person.units):
        if _known(unit, recipe):
            yield k, np.flatnonzero(later & person.within(unit, recipe.settle))


def learn(people: list[TrainingSamples], recipe: GaussianRecipe) -> FittedGaussian:
    """Fit to people; shrinkage and noise by leaving each of them out in turn."""
    folds = []
    for held in people:
        others = [p for p in people if p is not held]
        rest = rests(others, recipe.every)
        folds.append((held, rest, fitted(others, rest, recipe)))
    best = -np.inf, 0.0, np.zeros(len(recipe.dimensions))
    for shrink in recipe.shrinks:
        answers = [
            _answers(held, rest, shrunk(recipe.size, *found, shrink, 0.0), recipe)
            for held, rest, found in folds
        ]
        noise = _noise(answers)
        best = max(best, (_score(answers, noise), shrink, noise), key=lambda b: b[0])
    _, shrink, noise = best
    rest = rests(people, recipe.every)
    found = fitted(people, rest, recipe)
    return FittedGaussian(shrunk(recipe.size, *found, shrink, noise), rest, shrink, noise)


def rests(people: list[TrainingSamples], every: float) -> BaselinePrior:
    """Return how the rests of people differ, and how features fluctuate in them.

    A feature that fewer than two people have at rest, as one that takes a minute to
    warm up, is measured against people's means instead. ``every`` is the time (s)
    between moments.

    Raises
    ------
    ValueError
        If fewer than two people have a feature at all.
    """
    total = np.stack([p.resting.total for p in people])
    seconds = np.stack([p.resting.seconds for p in people])
    seen = seconds > 0
    own = np.divide(total, seconds, out=np.full_like(total, np.nan), where=seen)
    rare = seen.sum(axis=0) < 2
    own[:, rare] = np.stack([_mean(p.x) for p in people])[:, rare]
    if (few := np.isfinite(own).sum(axis=0) < 2).any():
        raise ValueError(
            f"feature number {np.flatnonzero(few)[0]} is missing in all of "
            f"{len(people)} people but one, or in all"
        )
    within, memory = _fluctuation(people, every)
    between = np.maximum(np.nanvar(own, axis=0, ddof=1), 1e-9)
    usual = np.median(seconds, axis=0)
    return BaselinePrior(np.nanmean(own, axis=0), between, within, memory, usual)


def centred(person: TrainingSamples, rest: BaselinePrior) -> tuple[Array, Array]:
    """Return features against the person's own rest, (n, f), and the extra spread."""
    level, spread = rest.level(person.resting.total, person.resting.seconds)
    usual = rest.level(np.zeros(len(level)), rest.seconds)[1]
    return person.x - level, np.maximum(spread - usual, 0)


def mahalanobis(person: TrainingSamples, made: FittedGaussian) -> Array:
    """Return how unlike a model's people each moment of a person is, (n,)."""
    z, extra = centred(person, made.rest)
    return np.array([made.model.surprise(row, extra) for row in z])


def _known(unit: RatedSegment, recipe: GaussianRecipe) -> bool:
    return bool(np.isfinite(unit.ratings[recipe.picks]).all())


def _fluctuation(
    people: list[TrainingSamples], every: float, longest: int = 24
) -> tuple[Array, Array]:
    """Return variance within units, and for how long (s) a fluctuation lasts.

    Twice the sum of the autocorrelation, up to where it is first not positive.
    """
    f = people[0].x.shape[1]
    shares, count = np.zeros((longest + 1, f)), np.zeros((longest + 1, f))
    for person in people:
        for k in np.unique(person.unit):
            x = person.x[person.unit == k]
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


def fitted(people: list[TrainingSamples], rest: BaselinePrior, recipe: GaussianRecipe) -> tuple[Array, Array]:
    """Fit to the moments of all people, against each one's own rest."""
    z = np.concatenate([centred(p, rest)[0] for p in people])
    ratings = np.concatenate([p.ratings[:, recipe.picks] for p in people])
    most = 1 + max(int(p.unit.max()) for p in people)
    units = np.concatenate([most * i + p.unit for i, p in enumerate(people)])
    return fit(recipe.size, z, ratings, units)


def _answers(
    person: TrainingSamples, rest: BaselinePrior, model: Gaussian, recipe: GaussianRecipe
) -> tuple[Array, Array]:
    """Return errors and variances of a model on a person, units counting the same.

    Shape (2, d) a unit: mean square error and mean variance.
    """
    z, extra = centred(person, rest)
    said = np.array([model.predict(row, extra) for row in z])[:, :, recipe.picks]
    off = (person.ratings[:, recipe.picks] - said[:, 0]) ** 2
    parts = [
        (np.nanmean(off[here], axis=0), np.nanmean(said[here, 1] ** 2, axis=0))
        for k in np.unique(person.unit)
        if np.isfinite(said[here := person.unit == k]).any()
    ]
    errors, variances = zip(*parts, strict=True)
    return np.array(errors), np.array(variances)


def _noise(answers: list[tuple[Array, Array]]) -> Array:
    """Return the variance by which people left out miss more than was said."""
    errors, variances = (np.concatenate(parts) for parts in zip(*answers, strict=True))
    return np.maximum(errors.mean(axis=0) - variances.mean(axis=0), 0)


def _score(answers: list[tuple[Array, Array]], noise: Array) -> float:
    """Return the mean log density (nats) of the ratings of people left out."""
    errors, variances = (np.concatenate(parts) for parts in zip(*answers, strict=True))
    wide = variances + noise
    return float(np.mean(-0.5 * errors / wide - 0.5 * np.log(2 * np.pi * wide)))


def _mean(x: Array) -> Array:
    """Return the mean of what is there, (f,); NaN where nothing is."""
    count = np.isfinite(x).sum(axis=0).astype(np.float64)
    total: Array = np.nansum(x, axis=0)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
