"""Base class of models that run in a session, from a package or a folder of weights."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np

from physio.core.affect import DIMENSIONS
from physio.core.block import Array

_LEAST: Final = 1e-9  # smallest squared distance

Arrays = Mapping[str, np.ndarray[Any, Any]]
"""Parameters of a model by name."""

Numbers = np.ndarray[Any, Any]
"""An array of any type."""


class Lookback(NamedTuple):
    """Moments of the past that a model reads: see `Model.history`.

    ``moments``, how many; ``spacing``, the time between two of them (s).
    """

    moments: int
    spacing: float


class ForecastSpec(NamedTuple):
    """Input and output of `Model.forecast`.

    ``chain``, the name of the chain whose one column is skin conductance (uS);
    ``samples``, how many of its newest values are read, 4 a second; ``horizons``, how
    far ahead (s) skin conductance is forecast.
    """

    chain: str
    samples: int
    horizons: tuple[float, ...]


class WindowSpec(NamedTuple):
    """Window of a signal that a model reads instead of features: see `Model.window`.

    ``channels``, their names, in order; ``rate`` (Hz); ``samples``, how many of the
    newest samples of each are read.
    """

    channels: tuple[str, ...]
    rate: float
    samples: int


class Forecast(NamedTuple):
    """Forecast of skin conductance.

    ``middle``, ``low`` and ``high``: skin conductance at the horizons (uS), shape
    (horizons,) each; 80 % of values lie between ``low`` and ``high``.
    """

    middle: Array
    low: Array
    high: Array


class OnnxNetwork(NamedTuple):
    """A network as ONNX graphs, and the way from its outputs to a prediction.

    ``masked``: an ONNX model with the inputs ``x`` and ``mask``. ``complete``: the same
    network for moments without missing inputs, with the input ``x`` alone. ``predict``:
    a function of the outputs for ``(x, mask)`` and of one moment's features that
    returns the results of `Model.predict`.
    """

    masked: Any
    complete: Any
    predict: Callable[
        [Callable[[Numbers, Numbers], Numbers], Array], tuple[Array, Array]
    ]


class Model(ABC):
    """A trained model that estimates valence, arousal and dominance.

    A model is built from a frozen dataclass of settings, ``config``, whose values are
    JSON values; `restore` is the inverse of `arrays`. A subclass must define `predict`,
    `arrays` and `restore`; all other methods have a default. A model is immutable while
    it runs: data of a participant are state of the session.

    The card of the weights names the class, ``use = "package.module:Name"``, which must
    belong to this library or to a package that ``--trust`` names.
    """

    config: Any

    uses_baseline_uncertainty: bool = False
    """True if the sd of `predict` grows with ``spread``. Otherwise the estimate is
    shrunk to the prior until the baseline is complete."""

    shared: bool = False
    """True if sessions share one instance, for a model that is slow to build."""

    @abstractmethod
    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of the rating at one moment.

        Parameters
        ----------
        z
            Features relative to the participant's baseline, shape (f,), NaN where
            missing.
        spread
            Variance of each feature due to the uncertain baseline, shape (f,).

        Returns
        -------
        mean, sd
            Shape (3,) each: valence, arousal, dominance on [-1, 1].
        """

    @abstractmethod
    def arrays(self) -> Arrays:
        """Return the parameters by name."""

    @classmethod
    @abstractmethod
    def restore(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:
        """Return the model from the result of `arrays`."""

    def explain(self, z: Array, spread: Array) -> tuple[Array, Array, Array]:
        """Return the results of `predict`, and the contribution of each feature.

        Returns
        -------
        mean, sd
            As `predict`.
        contributions
            Contribution of each feature to the difference between the mean and the
            prior mean, shape (3, f); 0 by default.
        """
        mean, sd = self.predict(z, spread)
        return mean, sd, np.zeros((len(DIMENSIONS), len(z)))

    def novelty(self, z: Array, spread: Array) -> float:  # noqa: ARG002
        """Return the distance of a moment from the training data.

        The distance is about standard normal within the training data and larger
        outside; it is compared with the array ``density.limit`` of the weights. If the
        model has no such distance, it is NaN, the default, and no moment counts as out
        of distribution.
        """
        return float("nan")

    def novelty_shares(self, z: Array, spread: Array) -> Array | None:  # noqa: ARG002
        """Return the share of each feature in `novelty`, shape (f,).

        Shares are 0 or more and add up to 1. If the model has no such distance, it is
        None, the default.
        """
        return None

    def clamped(self, z: Array, limit: float) -> Array:  # noqa: ARG002
        """Return a moment moved toward the training data, to a `novelty` of ``limit``.

        It is called, with a `lookback`, for a moment whose novelty is above the limit;
        by default the moment is returned as it is.
        """
        return z

    @property
    def window(self) -> WindowSpec | None:
        """Window of a signal that is read; None where features are read.

        With a window, ``z`` has shape (channels, samples), none NaN but of a moment
        that is missing as a whole, and no baseline is subtracted. The columns of the
        card are those of `physio.features.newest_samples.NewestSamples`.
        """
        return None

    @property
    def lookback(self) -> Lookback | None:
        """Moments that `history` reads; None where one moment is enough."""
        return None

    def history(self, past: Array) -> tuple[Array, Array, Array]:
        """Return the results of `explain`, from the last moments instead of one.

        It is called instead of `explain` if `lookback` is not None.

        Parameters
        ----------
        past
            Features, not relative to a baseline, newest first, shape (n, f); NaN where
            missing.
        """
        return self.explain(past[0], np.zeros(past.shape[1]))

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions of `condition_odds`; empty where there are none.

        A model of conditions alone has the prediction NaN (reason: untrained) for all
        ratings, and its card supports none of them.
        """
        return ()

    def condition_odds(self, z: Array, spread: Array) -> Array:
        """Return the probability of each condition under equal priors.

        Parameters
        ----------
        z, spread
            As of `predict`.

        Returns
        -------
        Array
            Shape (conditions,); NaN, with its reason, where no feature is present.
        """
        raise NotImplementedError(f"{type(self).__name__} has no conditions")

    @property
    def forecasts(self) -> ForecastSpec | None:
        """Input and output of `forecast`; None where there is no forecast.

        Its ``chain`` is the value of the setting ``trace`` in the card's config.
        """
        return None

    def forecast(self, z: Array, trace: Array) -> Forecast:
        """Return forecast skin conductance.

        Parameters
        ----------
        z
            As of `predict`.
        trace
            Newest skin conductance (uS), oldest first, shape (samples,), NaN where
            missing.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forecast")

    @classmethod
    def fits_any_montage(cls, config: Mapping[str, Any]) -> bool:  # noqa: ARG003
        """Return whether a model of these settings has a `for_montage`."""
        return False

    def for_montage(self, places: Sequence[Sequence[float]]) -> "Model":
        """Return this model for other electrodes, with the same parameters.

        Parameters
        ----------
        places
            Positions of the electrodes: points of the unit sphere (right, front, up).

        Raises
        ------
        ValueError
            If the model is bound to the electrodes that it was trained with.
        """
        raise ValueError(
            f"{type(self).__name__} runs only on the electrodes it was trained with, "
            f"not on {len(places)} others"
        )

    def to_onnx(self) -> OnnxNetwork | None:
        """Return the model as ONNX graphs; None, the default, where it has none.

        Raises
        ------
        ValueError
            If the package ``onnx`` is not installed.
        """
        return None


def distance_shares(off: Array, cov: Array, spread: Array) -> Array | None:
    """Return the share of each value in a squared Mahalanobis distance, shape (n,).

    A value's term is its deviation times that of the inverse covariance's product; a
    term below 0 counts as 0. None without a value.

    Parameters
    ----------
    off
        Deviations from the mean, shape (n,), NaN where missing.
    cov, spread
        Covariance, shape (n, n), and additional variances, shape (n,).
    """
    present = ~np.isnan(off)
    if not present.any():
        return None
    near = cov[np.ix_(present, present)] + np.diag(spread[present])
    terms = np.maximum(off[present] * np.linalg.solve(near, off[present]), 0.0)
    shares = np.zeros(len(off))
    shares[present] = terms / max(float(terms.sum()), _LEAST)
    return shares
