"""Learners of the linear models: joint Gaussian, ridge and logistic regression."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression, Ridge

from physio.core.block import Array
from physio.models.gaussian import Gaussian, GaussianConfig, fit, shrunk
from physio.models.linear import Linear, LinearConfig
from physio.training.learner import (
    Progress,
    ProgressOf,
    Rows,
    Samples,
    error_of,
    outputs,
    residual_sd,
    trained_rows,
)

_LEAST: Final = 1e-9  # smallest standard deviation of a feature


@dataclass(frozen=True)
class GaussianLearner:
    """Learner of a joint Gaussian of features and ratings.

    Parameters
    ----------
    shrinks
        Candidates of the shrinkage of correlations, of which held-out participants
        select one; they also give the noise of a new participant.
    """

    shrinks: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)

    def __post_init__(self) -> None:
        _require_positive("shrinks", self.shrinks)

    def fit(self, samples: Samples, progress: ProgressOf) -> Gaussian:
        """Return the fitted model: see `physio.training.learner.Learner`."""
        refuse_classes(samples, "a joint Gaussian")
        samples = _rated(samples)
        config = GaussianConfig(samples.x.shape[1], samples.targets)
        folds = samples.held_out()
        fits = []
        for k, (train, _) in enumerate(folds):
            fits.append(_fit(config, samples.take(train)))
            progress(Progress(k + 1, len(folds) + 1))
        best = -np.inf, self.shrinks[-1], np.zeros(len(samples.targets))
        for shrink in self.shrinks if folds else ():
            scored = self._score(samples, folds, config, fits, shrink)
            best = max(best, scored, key=lambda b: b[0])
        progress(Progress(len(folds) + 1, len(folds) + 1, -best[0], "log loss"))
        return shrunk(config, *_fit(config, samples), best[1], best[2])

    def trained_on(self, samples: Samples) -> str:
        """Return which rows train: see `physio.training.learner.Learner`."""
        return trained_rows(_has_ratings(samples), "all ratings")

    def _score(
        self,
        samples: Samples,
        folds: list[tuple[Rows, Rows]],
        config: GaussianConfig,
        fits: list[tuple[Array, Array]],
        shrink: float,
    ) -> tuple[float, float, Array]:
        """Return log score, shrinkage and noise of one candidate."""
        mean, sd = np.full((2, *np.shape(samples.y)), np.nan)
        for (_, test), fitted in zip(folds, fits, strict=True):
            model = shrunk(config, *fitted, shrink, 0.0)
            mean[test], sd[test] = outputs(model, samples.take(test))
        weights = samples.row_weights[:, None]
        known = np.isfinite(mean)
        weights = np.where(known, weights, 0) / np.maximum(
            np.where(known, weights, 0).sum(axis=0), _LEAST
        )
        errors = np.where(known, (mean - samples.y) ** 2, 0)
        variances = np.where(known, sd**2, 1)
        noise = np.maximum((weights * (errors - variances)).sum(axis=0), 0)
        wide = variances + noise
        score = -0.5 * errors / wide - 0.5 * np.log(2 * np.pi * wide)
        return float((weights * score).sum(axis=0).mean()), shrink, noise


@dataclass(frozen=True)
class RidgeLearner:
    """Learner of a ridge regression of ratings.

    Parameters
    ----------
    penalties
        Candidates of the penalty, of which held-out participants select one.
    """

    penalties: tuple[float, ...] = (1.0, 10.0, 100.0, 1000.0)

    def __post_init__(self) -> None:
        _require_positive("penalties", self.penalties)

    def fit(self, samples: Samples, progress: ProgressOf) -> Linear:
        """Return the fitted model: see `physio.training.learner.Learner`."""
        refuse_classes(samples, "a ridge regression")
        samples = _rated(samples)
        penalty, mean = _selected(samples, self.penalties, _ridge, progress)
        model = _ridge(samples, penalty)
        config, arrays = model.config, model.arrays()
        return Linear(config, **{**arrays, "sd": residual_sd(samples, mean)})

    def trained_on(self, samples: Samples) -> str:
        """Return which rows train: see `physio.training.learner.Learner`."""
        return trained_rows(_has_ratings(samples), "all ratings")


@dataclass(frozen=True)
class LogisticLearner:
    """Learner of a logistic regression of conditions, under equal priors.

    Parameters
    ----------
    penalties
        Candidates of the penalty, 1 / ``C`` of scikit-learn, of which held-out
        participants select one.
    """

    penalties: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)

    def __post_init__(self) -> None:
        _require_positive("penalties", self.penalties)

    def fit(self, samples: Samples, progress: ProgressOf) -> Linear:
        """Return the fitted model: see `physio.training.learner.Learner`."""
        refuse_ratings(samples, "a logistic regression")
        penalty, _ = _selected(samples, self.penalties, _logistic, progress)
        return _logistic(samples, penalty)


def _require_positive(name: str, candidates: Sequence[float]) -> None:
    """Raise ValueError unless there is a candidate, and all are positive."""
    if not candidates or not all(0 < c < np.inf for c in candidates):
        raise ValueError(
            f"{name} = {list(candidates)} must be one or several numbers above 0"
        )


def refuse_classes(samples: Samples, name: str) -> None:
    """Raise ValueError if the target is conditions."""
    if samples.classes:
        raise ValueError(
            f"{name} estimates ratings, and the target is the conditions "
            f"{', '.join(samples.classes)}: choose a classifier"
        )


def refuse_ratings(samples: Samples, name: str) -> None:
    """Raise ValueError if the target is ratings, or a class has no row."""
    if samples.targets:
        raise ValueError(
            f"{name} estimates conditions, and the target is the rating of "
            f"{', '.join(samples.targets)}: choose a regression"
        )
    counts = np.bincount(samples.y, minlength=len(samples.classes))
    if (rows := np.flatnonzero(counts == 0)).size:
        names = ", ".join(samples.classes[k] for k in rows)
        raise ValueError(f"{name} needs rows of all classes; there are none of {names}")


def _has_ratings(samples: Samples) -> npt.NDArray[np.bool_]:
    """Return the mask of the rows with a feature and every rating."""
    known = np.isfinite(samples.y).all(axis=1) & ~np.isnan(samples.x).all(axis=1)
    return np.asarray(known)


def _rated(samples: Samples) -> Samples:
    """Return the rows in which every rating is present."""
    known = _has_ratings(samples)
    if not known.any():
        raise ValueError(
            f"no row has a feature and ratings of {', '.join(samples.targets)}"
        )
    return samples.take(np.flatnonzero(known))


def _fit(config: GaussianConfig, samples: Samples) -> tuple[Array, Array]:
    return fit(config, samples.x, samples.y, samples.trials)


def _selected(
    samples: Samples,
    candidates: tuple[float, ...],
    train: Callable[[Samples, float], Linear],
    progress: ProgressOf,
) -> tuple[float, Array]:
    """Return the best candidate for held-out groups, and its held-out outputs."""
    folds = samples.held_out() if len(candidates) > 1 or samples.targets else []
    width, steps = len(samples.targets or samples.classes), len(candidates)
    best = np.inf, candidates[-1], np.full((len(samples), width), np.nan)
    for k, candidate in enumerate(candidates if folds else ()):
        output = np.full((len(samples), width), np.nan)
        for rows, test in folds:
            part = samples.take(rows)
            if samples.classes and len(np.unique(part.y)) < len(samples.classes):
                continue  # a group without a class cannot train
            output[test] = outputs(train(part, candidate), samples.take(test))[0]
        answered = np.flatnonzero(np.isfinite(output).all(axis=1))
        error = error_of(samples, output, answered) if answered.size else np.inf
        best = min(best, (error, candidate, output), key=lambda b: b[0])
        progress(Progress(k + 1, steps, best[0], "error of held-out groups"))
    return best[1], best[2]


def _ridge(samples: Samples, penalty: float) -> Linear:
    """Return a ridge regression, without a standard deviation."""
    x, center, scale = _standardized(samples)
    model = Ridge(alpha=penalty).fit(x, samples.y, sample_weight=samples.row_weights)
    config = LinearConfig(x.shape[1], samples.targets)
    d = len(samples.targets)
    slope = np.asarray(model.coef_, np.float64).reshape(d, -1)
    intercept = np.asarray(model.intercept_, np.float64).reshape(d)
    return Linear(config, center, scale, slope, intercept, np.ones(d))


def _logistic(samples: Samples, penalty: float) -> Linear:
    """Return a logistic regression of the classes."""
    x, center, scale = _standardized(samples)
    model = LogisticRegression(C=1 / penalty, max_iter=2000)
    model.fit(x, samples.y, sample_weight=samples.row_weights)
    slope, intercept = np.asarray(model.coef_), np.asarray(model.intercept_)
    if len(samples.classes) == 2:  # one logit, of the second class
        slope = np.vstack([np.zeros_like(slope), slope])
        intercept = np.array([0.0, intercept[0]])
    config = LinearConfig(x.shape[1], (), samples.classes)
    return Linear(config, center, scale, slope, intercept, np.empty(0))


def _standardized(samples: Samples) -> tuple[Array, Array, Array]:
    """Return standardized features, 0 where missing, with their mean and deviation."""
    x = np.asarray(samples.x, np.float64)
    if x.ndim != 2:
        raise ValueError(
            f"a linear model reads features, not windows of shape {x.shape[1:]}"
        )
    weights = np.where(np.isnan(x), 0.0, samples.row_weights[:, None])
    total = np.maximum(weights.sum(axis=0), _LEAST)
    center = np.nansum(weights * np.nan_to_num(x), axis=0) / total
    square = (weights * np.nan_to_num(x - center) ** 2).sum(axis=0) / total
    scale = np.where(square > _LEAST**2, np.sqrt(square), 1.0)
    reach = LinearConfig().reach
    standard = np.clip((x - center) / scale, -reach, reach)
    return np.nan_to_num(standard), center, scale
