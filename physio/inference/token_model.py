"""RBTransformer as a model of a session: scaled tokens, ratings or conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np

from physio.core.affect import DIMENSIONS, scale_places
from physio.core.block import Array
from physio.core.missing import MissingReason
from physio.models.base import Arrays, Model
from physio.models.rbtransformer import RBTransformer, RBTransformerConfig

_FARTHEST: Final = 10.0  # largest value of a scaled token


@dataclass(frozen=True)
class TokenModelConfig:
    """Settings of an RBTransformer in a session.

    Parameters
    ----------
    size
        Settings of the network.
    dimensions
        Ratings that it was trained on; empty for conditions.
    classes
        Names of the conditions, whose logits it gives; empty for ratings.
    """

    size: RBTransformerConfig
    dimensions: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


class TokenModel(Model):
    """Ratings or conditions from the differential entropy of electrodes and bands.

    The features are those of one electrode after the other. An electrode without all
    bands is left out.

    Parameters
    ----------
    config
        Settings.
    network
        The network, on standardized tokens.
    center, scale
        Mean and standard deviation of each band in training, shape (bands,) each.
    """

    def __init__(
        self,
        config: TokenModelConfig,
        network: RBTransformer,
        center: Array,
        scale: Array,
    ) -> None:
        self.config, self.network = config, network.eval()
        self.center, self.scale = center, scale
        self._trained = np.isin(range(len(DIMENSIONS)), scale_places(config.dimensions))

    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Return mean and standard deviation of the ratings: see the base class."""
        rating = np.full((2, len(DIMENSIONS)), MissingReason.UNTRAINED.nan)
        if not self._trained.any():
            return rating[0], rating[1]
        out = self._run(z)
        if isinstance(out, float):
            rating[:, self._trained] = out
            return rating[0], rating[1]
        mean, log_sd = out.reshape(2, -1)
        rating[:, self._trained] = np.stack([mean, np.exp(log_sd)])[:, self._trained]
        return rating[0], rating[1]

    def explain(self, z: Array, spread: Array) -> tuple[Array, Array, Array]:
        """Return the results of `predict`, and the contribution of each band.

        See `physio.models.rbtransformer.RBTransformer.explain`.
        """
        mean, sd = self.predict(z, spread)
        parts = np.zeros((len(DIMENSIONS), len(z)))
        if np.isfinite(mean).any():
            parts = self.network.explain(self._tokens(z).ravel(), spread)[2]
            parts[~self._trained] = 0.0
        return mean, sd, parts

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions."""
        return self.config.classes

    def condition_odds(self, z: Array, spread: Array) -> Array:  # noqa: ARG002
        """Return the probability of each condition: see the base class."""
        out = self._run(z)
        if isinstance(out, float):
            return np.full(len(self.config.classes), out)
        odds = np.exp(out - out.max())
        return np.asarray(odds / odds.sum())

    @classmethod
    def fits_any_montage(cls, config: Mapping[str, Any]) -> bool:
        """Return whether electrodes are embedded by their positions."""
        return RBTransformer.fits_any_montage(config["size"])

    def for_montage(self, places: Sequence[Sequence[float]]) -> "TokenModel":
        """Return this model for other electrodes: see the base class."""
        network = self.network.for_montage(places)
        config = replace(self.config, size=network.config)
        return TokenModel(config, network, self.center, self.scale)

    def arrays(self) -> Arrays:
        """Return the parameters by name; those of the network begin with ``net.``."""
        parameters = {f"net.{k}": v for k, v in self.network.arrays().items()}
        return {**parameters, "center": self.center, "scale": self.scale}

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:
        """Return the model from the result of `arrays`."""
        named = TokenModelConfig(
            RBTransformerConfig(**config["size"]),
            tuple(config["dimensions"]),
            tuple(config["classes"]),
        )
        front = "net."
        parameters = {
            k.removeprefix(front): v for k, v in arrays.items() if k.startswith(front)
        }
        network = RBTransformer.restore(config["size"], parameters)
        center, scale = (np.asarray(arrays[k]) for k in ("center", "scale"))
        return cls(named, network, center, scale)

    def _tokens(self, z: Array) -> Array:
        """Return standardized tokens, shape (E, bands)."""
        tokens = z.reshape(self.config.size.electrodes, -1)
        return standardized_tokens(tokens, self.center, self.scale)

    def _run(self, z: Array) -> Array | float:
        """Return the outputs of the network, or the NaN of a missing moment."""
        tokens = self._tokens(z)
        mask: Any = np.isfinite(tokens).all(axis=1)
        if not mask.any():
            return float(z[np.isnan(z)][0])
        x = np.where(mask[:, None], tokens, 0).astype(np.float32)
        return self.network.outputs(x[None], mask[None]).astype(np.float64).ravel()


def standardized_tokens(x: Array, center: Array, scale: Array) -> Array:
    """Return standardized tokens, shape (..., bands), NaN where missing.

    A value counts at most as if it were ten standard deviations from its mean.
    """
    return np.asarray(np.clip((x - center) / scale, -_FARTHEST, _FARTHEST))
