"""Calibration of class probabilities on held-out participants."""

from typing import Any, Final, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from physio.core.block import Array
from physio.models.error_bars import ClassReliability
from physio.training.intervals import ParticipantWeights

_LEAST: Final = 1e-12  # smallest probability


class FittedReliability(NamedTuple):
    """Calibration of class probabilities, and the facts that its card states.

    ``calibration`` is the map. ``gain``: log score less that of the frequencies of the
    classes (nats), cross-validated over participants, with its standard ``error``.
    """

    calibration: ClassReliability
    gain: float
    error: float
    participants: int

    def sentences(self) -> tuple[str, ...]:
        """Return what a card says about the probabilities."""
        if not self.calibration.prior_only:
            return ()
        return (
            "prior only, with the frequencies of the classes: on "
            f"{self.participants} held-out participants the model gains "
            f"{self.gain:.3f} nat over them, with a standard error of {self.error:.3f}",
        )


def fit_reliability(odds: Array, y: Any, participants: Any) -> FittedReliability:
    """Fit the calibration of class probabilities of held-out participants.

    The mean log score over participants is maximized, each participant of weight 1. A
    model that does not gain more than a standard error over the frequencies of the
    classes, left-out participant by left-out participant, gets these frequencies.

    Parameters
    ----------
    odds
        Probabilities, shape (n, classes), of a model that these participants did not
        train; rows with NaN are not counted.
    y
        Class of each row, shape (n,), from 0; -1 where unknown.
    participants
        Participant of each row, shape (n,).

    Raises
    ------
    ValueError
        If fewer than two participants have a row.
    """
    y = np.asarray(y, np.intp)
    known = np.isfinite(odds).all(axis=1) & (y >= 0)
    people = ParticipantWeights.of(np.asarray(participants)[known])
    k = len(people.names)
    if k < 2:
        raise ValueError(
            f"class reliability needs at least 2 held-out participants, and there are "
            f"{k}"
        )
    logs = np.log(np.maximum(odds[known], _LEAST))
    y = y[known]
    gains = np.empty(k)
    for participant in range(k):
        rows = people.codes == participant
        train = ~rows
        weight = 1 / people.rows[people.codes[train]]
        fitted = _fit(logs[train], y[train], weight)
        plain = _frequencies(y[train], weight, logs.shape[1])
        gains[participant] = np.mean(
            _log_score(fitted, logs[rows], y[rows]) - plain.intercept[y[rows]]
        )
    mean, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(k))
    weight = 1 / people.rows[people.codes]
    best = _fit(logs, y, weight)
    if mean <= error or best.slope <= 0:
        best = _frequencies(y, weight, logs.shape[1])
    return FittedReliability(best, mean, error, k)


def _fit(logs: Array, y: Any, weight: Array) -> ClassReliability:
    """Return the calibration with the best weighted log score."""
    n, c = logs.shape
    share = weight / weight.sum()
    hit = np.eye(c)[y]

    def loss(x: Array) -> tuple[float, Array]:
        z = np.concatenate([[0.0], x[1:]]) + x[0] * logs
        norm = logsumexp(z, axis=1)
        off = (np.exp(z - norm[:, None]) - hit) * share[:, None]
        grad = np.concatenate([[np.sum(off * logs)], off[:, 1:].sum(axis=0)])
        return float(share @ (norm - z[np.arange(n), y])), grad

    start = np.concatenate([[1.0], np.zeros(c - 1)])
    bounds = [(0.0, 10.0)] + [(-10.0, 10.0)] * (c - 1)
    x = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return ClassReliability(float(x[0]), np.concatenate([[0.0], x[1:]]))


def _frequencies(y: Any, weight: Array, classes: int) -> ClassReliability:
    """Return the calibration that says the frequencies of the classes alone."""
    share = np.maximum(np.bincount(y, weight, classes) / weight.sum(), 1e-3)
    return ClassReliability(0.0, np.log(share / share.sum()))


def _log_score(calibration: ClassReliability, logs: Array, y: Any) -> Array:
    """Return the log probability of the true class (nats), shape (n,)."""
    z = calibration.intercept + calibration.slope * logs
    scores: Array = z[np.arange(len(y)), y] - logsumexp(z, axis=1)
    return scores
