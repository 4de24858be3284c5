"""Reliability of class probabilities, each participant of weight 1."""

from typing import Any, Final

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from physio.core.block import Array
from physio.evaluation.statistics import ParticipantWeights
from physio.models.error_bars import ClassReliability

BINS: Final = 10
_DRAWS: Final = 200  # of the bootstrap of a slope
_TABLE_DRAWS: Final = 1000  # of that of a frequency
_LEAST: Final = 1e-12  # smallest probability


def log_odds(odds: Array) -> Array:
    """Return the logarithm of probabilities, of at least 1e-12."""
    return np.asarray(np.log(np.maximum(odds, _LEAST)))


def calibrate(logs: Array, y: Any, weight: Array) -> ClassReliability:
    """Return the calibration with the best weighted log score.

    Parameters
    ----------
    logs
        Logarithm of probabilities, shape (n, classes).
    y, weight
        Class number and weight of each row, shape (n,).
    """
    n, c = logs.shape
    share, hit = weight / weight.sum(), np.eye(c)[y]

    def loss(x: Array) -> tuple[float, Array]:
        z = np.concatenate([[0.0], x[1:]]) + x[0] * logs
        norm = logsumexp(z, axis=1)
        off = (np.exp(z - norm[:, None]) - hit) * share[:, None]
        slope = np.concatenate([[np.sum(off * logs)], off[:, 1:].sum(axis=0)])
        return float(share @ (norm - z[np.arange(n), y])), slope

    start = np.concatenate([[1.0], np.zeros(c - 1)])
    bounds = [(0.0, 10.0)] + [(-10.0, 10.0)] * (c - 1)
    x = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return ClassReliability(float(x[0]), np.concatenate([[0.0], x[1:]]))


def log_score(calibration: ClassReliability, logs: Array, y: Any) -> Array:
    """Return the log probability of the true class (nats), shape (n,)."""
    z = calibration.intercept + calibration.slope * logs
    return np.asarray(z[np.arange(len(y)), y] - logsumexp(z, axis=1))


def calibration_slope(
    odds: Array, y: Any, participants: Any, seed: int = 23
) -> tuple[float, float, float]:
    """Return the slope of the log odds, and its 95 % interval over participants.

    1: as sure as right; below 1: too sure. The interval is a bootstrap of 200 draws of
    participants.

    Parameters
    ----------
    odds
        Probabilities, shape (n, classes).
    y, participants
        Class number and participant of each row, shape (n,).
    seed
        Seed of the bootstrap.
    """
    people = ParticipantWeights.of(participants)
    logs, weight = log_odds(odds), 1 / people.rows[people.codes]
    y = np.asarray(y, np.intp)
    k = len(people.names)
    drawn = np.random.default_rng(seed).multinomial(k, np.full(k, 1 / k), _DRAWS)
    slopes = []
    for times in drawn:
        part = np.asarray(weight * times[people.codes])
        rows = part > 0
        if len(np.unique(y[rows])) > 1:
            slopes.append(calibrate(logs[rows], y[rows], part[rows]).slope)
    if not slopes:
        return (float("nan"),) * 3
    low, high = np.quantile(slopes, (0.025, 0.975))
    slope = calibrate(logs, y, weight).slope
    return round(slope, 3), round(float(low), 3), round(float(high), 3)


def reliability_table(
    odds: Array, y: Any, participants: Any, seed: int = 23
) -> list[dict[str, Any]]:
    """Return predicted probability and observed frequency in ten bins.

    Of two classes, the probability of the second counts, of more all probabilities.
    Each participant has the weight 1 in total. Parameters as of `calibration_slope`.

    Returns
    -------
    list of dict
        For each bin that is used: ``predicted``, ``observed`` with ``low`` and
        ``high`` (95 % bootstrap over participants), ``share`` of the weight, and
        ``participants``.
    """
    y = np.asarray(y, np.intp)
    picks = [1] if odds.shape[1] == 2 else list(range(odds.shape[1]))
    p = odds[:, picks]
    hit = (y[:, None] == np.array(picks)).astype(np.float64)
    at = np.minimum((p * BINS).astype(int), BINS - 1)
    people = ParticipantWeights.of(participants)
    weight = 1 / (people.rows[people.codes] * len(people.names) * len(picks))
    weights = np.broadcast_to(weight[:, None], p.shape)
    codes = np.broadcast_to(people.codes[:, None], p.shape)
    out = []
    for k in range(BINS):
        rows = at == k
        if not rows.any():
            continue
        total = weights[rows].sum()
        used, of = np.unique(codes[rows], return_inverse=True)
        share = np.bincount(of, weights[rows])
        hits = np.bincount(of, weights[rows] * hit[rows])
        drawn = np.random.default_rng(seed).multinomial(
            len(used), np.full(len(used), 1 / len(used)), _TABLE_DRAWS
        )
        rates = (drawn @ hits) / (drawn @ share)
        low, high = (round(float(v), 4) for v in np.quantile(rates, (0.025, 0.975)))
        out.append(
            {
                "bin": f"{k / BINS:.1f} to {(k + 1) / BINS:.1f}",
                "predicted": round(float(weights[rows] @ p[rows] / total), 4),
                "observed": round(float(weights[rows] @ hit[rows] / total), 4),
                "low": low,
                "high": high,
                "share": round(float(total), 4),
                "participants": len(used),
            }
        )
    return out


def expected_error(table: list[dict[str, Any]]) -> float:
    """Return the expected calibration error of a reliability table."""
    gaps = (r["share"] * abs(r["predicted"] - r["observed"]) for r in table)
    return round(float(sum(gaps)), 4)
