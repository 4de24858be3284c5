"""Linear model of features: ridge regression of ratings, or logistic regression."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from physio.core.affect import DIMENSIONS, scale_places
from physio.core.block import Array
from physio.core.missing import MissingReason
from physio.models.base import Model


@dataclass(frozen=True)
class LinearConfig:
    """Settings of a linear model.

    Parameters
    ----------
    features
        Number of features.
    dimensions
        Ratings that it was trained on; empty for a model of conditions.
    classes
        Names of the conditions; empty for a model of ratings.
    reach
        Limit of a feature's distance from its training mean (standard deviations).
    """

    features: int = 4
    dimensions: tuple[str, ...] = DIMENSIONS
    classes: tuple[str, ...] = ()
    reach: float = 5.0


class Linear(Model):
    """Ratings, or the logits of conditions, as a linear function of the features.

    A missing feature counts as its mean, so that it has no contribution.

    Parameters
    ----------
    config
        Number of features, and the outputs.
    center, scale
        Mean and standard deviation of each feature in training, shape (f,).
    slope
        Coefficients of the standardized features, shape (outputs, f).
    intercept
        Outputs at the mean of all features, shape (outputs,).
    sd
        Standard deviation of the ratings of held-out participants about the estimate,
        shape (d,); empty for conditions.
    """

    def __init__(
        self,
        config: LinearConfig = LinearConfig(),
        center: Array | None = None,
        scale: Array | None = None,
        slope: Array | None = None,
        intercept: Array | None = None,
        sd: Array | None = None,
    ) -> None:
        f, d = config.features, len(config.dimensions)
        size = d or len(config.classes)
        self.config = config
        self.center = np.zeros(f) if center is None else center
        self.scale = np.ones(f) if scale is None else scale
        self.slope = np.zeros((size, f)) if slope is None else slope
        self.intercept = np.zeros(size) if intercept is None else intercept
        self.sd = np.full(d, 0.5) if sd is None else sd
        if self.slope.shape != (size, f) or self.intercept.shape != (size,):
            raise ValueError(
                f"a linear model of {f} features and {size} outputs has coefficients "
                f"of shape ({size}, {f}) and ({size},), not {self.slope.shape} and "
                f"{self.intercept.shape}"
            )
        self._at = scale_places(config.dimensions)

    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of the ratings: see the base class."""
        mean, sd, _ = self.explain(z, spread)
        return mean, sd

    def explain(self, z: Array, spread: Array) -> tuple[Array, Array, Array]:  # noqa: ARG002
        """Return the results of `predict`, and the exact contributions."""
        parts = np.zeros((len(DIMENSIONS), len(z)))
        rating = np.full((2, len(DIMENSIONS)), MissingReason.UNTRAINED.nan)
        if np.isnan(z).all():
            rating[:, self._at] = z[0]
            return rating[0], rating[1], parts
        if self._at:
            moved = self.slope * self._standardized(z)
            parts[self._at] = moved
            rating[0, self._at] = self.intercept + moved.sum(axis=1)
            rating[1, self._at] = self.sd
        return rating[0], rating[1], parts

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions."""
        return self.config.classes

    def condition_odds(self, z: Array, spread: Array) -> Array:  # noqa: ARG002
        """Return the probability of each condition: see the base class."""
        if np.isnan(z).all():
            return np.full(len(self.config.classes), z[0])
        logits = self.intercept + self.slope @ self._standardized(z)
        odds = np.exp(logits - logits.max())
        return np.asarray(odds / odds.sum())

    def _standardized(self, z: Array) -> Array:
        """Return standardized features within reach, 0 where missing."""
        reach = self.config.reach
        standard = np.clip((z - self.center) / self.scale, -reach, reach)
        return np.where(np.isnan(z), 0.0, standard)

    def arrays(self) -> dict[str, Array]:
        """Return the parameters by name."""
        names = ("center", "scale", "slope", "intercept", "sd")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Mapping[str, Array]) -> Self:
        """Return the model from the result of `arrays`."""
        lists = {k: tuple(config[k]) for k in ("dimensions", "classes")}
        return cls(LinearConfig(**{**config, **lists}), **arrays)


class MontageOdds(Linear):
    """Odds of conditions from the electrodes of the training.

    On any other montage it has no odds (reason: untrained), instead of an error.
    """

    answers = True

    @classmethod
    def fits_any_montage(cls, config: Mapping[str, Any]) -> bool:  # noqa: ARG003
        """Return True: see the base class."""
        return True

    def for_montage(self, places: Sequence[Sequence[float]]) -> "MontageOdds":  # noqa: ARG002
        """Return the model without odds, for electrodes that did not train."""
        model = MontageOdds(LinearConfig(0, (), self.config.classes))
        model.answers = False
        return model

    def condition_odds(self, z: Array, spread: Array) -> Array:
        """Return the probability of each condition: see the base class."""
        if self.answers:
            return super().condition_odds(z, spread)
        return np.full(len(self.config.classes), MissingReason.UNTRAINED.nan)
