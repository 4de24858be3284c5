"""Calibration of class probabilities on held-out participants."""

from typing import Any, NamedTuple

import numpy as np

from physio.core.block import Array
from physio.evaluation.class_calibration import calibrate, log_odds, log_score
from physio.evaluation.statistics import ParticipantWeights
from physio.models.error_bars import ClassReliability
from physio.training.intervals import CONFIDENCE


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


def fit_reliability(
    odds: Array, y: Any, participants: Any, *, equal_priors: bool = True
) -> FittedReliability:
    """Fit the calibration of class probabilities of held-out participants.

    The mean log score over participants is maximized, each participant of weight 1. A
    model that does not gain over the frequencies of the classes, left-out participant
    by left-out participant, one-sided at 95 %, gets these frequencies.

    Parameters
    ----------
    odds
        Probabilities, shape (n, classes), of a model that these participants did not
        train; rows with NaN are not counted.
    y
        Class of each row, shape (n,), from 0; -1 where unknown.
    participants
        Participant of each row, shape (n,).
    equal_priors
        Whether all classes count the same, as in the odds of live conditions;
        otherwise as often as they occur.

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
    logs, y = log_odds(odds[known]), y[known]
    weight = _weights(y, people, logs.shape[1], equal_priors=equal_priors)
    gains = np.empty(k)
    for participant in range(k):
        rows = people.codes == participant
        fitted = calibrate(logs[~rows], y[~rows], weight[~rows])
        plain = _frequencies(y[~rows], weight[~rows], logs.shape[1])
        gained = log_score(fitted, logs[rows], y[rows]) - plain.intercept[y[rows]]
        gains[participant] = weight[rows] @ gained
    mean, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(k))
    best = calibrate(logs, y, weight)
    if mean <= CONFIDENCE * error or best.slope <= 0:
        best = _frequencies(y, weight, logs.shape[1])
    return FittedReliability(best, mean, error, k)


def _frequencies(y: Any, weight: Array, classes: int) -> ClassReliability:
    """Return the calibration that says the frequencies of the classes alone."""
    share = np.maximum(np.bincount(y, weight, classes) / weight.sum(), 1e-3)
    return ClassReliability(0.0, np.log(share / share.sum()))


def _weights(
    y: Any, people: ParticipantWeights, classes: int, *, equal_priors: bool
) -> Array:
    """Return the weight of each row: its participant's, times that of its class."""
    weight = 1 / people.rows[people.codes]
    if equal_priors:
        share = np.bincount(y, weight, classes) / weight.sum()
        weight = weight / np.maximum(share * classes, 1e-3)[y]
    return np.asarray(weight)
