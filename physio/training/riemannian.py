"""Riemannian classifier on windows of EEG, a baseline beside networks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.signal import butter, sosfiltfilt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from physio.core.block import Array
from physio.evaluation.models.baselines import FoldData


@dataclass(frozen=True)
class RiemannianClassifier:
    """Logistic regression in the tangent space of covariances between electrodes.

    Covariances of the band-passed window, shrunk by the oracle approximation, are
    projected to the tangent space at their Riemannian mean over the training rows [1]_.

    Parameters
    ----------
    low, high
        Band (Hz) of the windows.
    rate
        Sampling rate of the windows (Hz).
    C
        Inverse of the penalty.

    Notes
    -----
    `FoldData.x` must be windows, shape (n, channels, samples). The filter has no phase:
    windows are whole, and only evaluations use it.

    References
    ----------
    .. [1] Barachant, Bonnet, Congedo & Jutten, Classification of covariance matrices
       using a Riemannian-based kernel for BCI applications, Neurocomputing 112, 2013.
    """

    low: float = 4.0
    high: float = 40.0
    rate: float = 128.0
    C: float = 0.1

    def __call__(self, given: FoldData) -> Array:
        """Return the probabilities of the classes, shape (test rows, classes)."""
        if not given.classes or np.ndim(given.x) != 3:
            raise ValueError(
                "a Riemannian classifier reads windows of the signal, channels by "
                f"samples, and classes, not rows of shape {np.shape(given.x)[1:]}"
            )
        train, test = given.fold.train, given.fold.test
        covariances = self._covariances(np.asarray(given.x, np.float64))
        model = make_pipeline(
            _tangent_space(),
            StandardScaler(),
            LogisticRegression(C=self.C, class_weight="balanced", max_iter=2000),
        )
        model.fit(covariances[train], given.y[train])
        odds = np.zeros((len(test), len(given.classes)))
        odds[:, model.classes_] = model.predict_proba(covariances[test])
        return odds

    def _covariances(self, x: Array) -> Any:
        """Return the covariance between channels in each window."""
        try:
            from pyriemann.estimation import Covariances
        except ImportError:
            raise ValueError(
                "a Riemannian classifier needs pyriemann: pip install "
                "'physio-affect[train]'"
            ) from None
        sos = butter(4, (self.low, self.high), "bandpass", fs=self.rate, output="sos")
        return Covariances("oas").fit_transform(sosfiltfilt(sos, x, axis=-1))


def _tangent_space() -> Any:
    from pyriemann.tangentspace import TangentSpace

    return TangentSpace(metric="riemann")
