"""Scores of class odds, participant by participant, both classes of equal weight."""

from typing import Any, Final

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from physio.core.block import Array
from physio.evaluation.statistics import summary

PRIOR: Final = float(np.log(2))
"""Log loss of equal odds (nats)."""

AUC: Final = "AUC"
LOSS: Final = "log loss"
GAIN: Final = "log loss below that of the prior"

_DRAWS: Final = 400


def row_weights(y: Any, participants: Any) -> Array:
    """Return weights by which each class of each participant counts the same."""
    weights = np.zeros(len(y))
    for participant in np.unique(participants):
        for k in (0, 1):
            rows = (participants == participant) & (y == k)
            weights[rows] = 1.0 / max(int(rows.sum()), 1)
    return weights


def score_rows(
    name: str, odds: Array, y: Any, participants: Any, seed: int
) -> list[dict[str, Any]]:
    """Return rows of results: AUC, log loss, and its distance from the prior's.

    Parameters
    ----------
    name
        Name of the model.
    odds
        Probability of a task, shape (n,).
    y, participants
        1 in tasks, and the participant of each row, shape (n,) each.
    seed
        Seed of the bootstrap over participants.
    """
    weights = row_weights(y, participants)
    p = np.clip(odds, 1e-12, 1 - 1e-12)
    losses = -np.where(y == 1, np.log(p), np.log1p(-p))
    auc, loss = {}, {}
    for who in np.unique(participants):
        rows = participants == who
        auc[str(who)] = float(roc_auc_score(y[rows], odds[rows]))
        loss[str(who)] = float(np.average(losses[rows], weights=weights[rows]))
    gain = {who: PRIOR - value for who, value in loss.items()}
    return [
        summary(name, metric, values, seed)
        for metric, values in ((AUC, auc), (LOSS, loss), (GAIN, gain))
    ]


def calibration_slope(
    odds: Array, y: Any, participants: Any, seed: int
) -> dict[str, float]:
    """Return the slope of the true log odds on those given, with its 95 % interval.

    1 is calibrated, 0 carries nothing; bootstrap over participants.
    """
    logits = _logits(odds)[:, None]
    weights = row_weights(y, participants)
    people, codes = np.unique(participants, return_inverse=True)
    rng = np.random.default_rng(seed)

    def slope(counts: Array) -> float:
        model = LogisticRegression(C=1e6).fit(logits, y, weights * counts[codes])
        return float(model.coef_[0, 0])

    n = len(people)
    draws = [
        slope(np.bincount(rng.integers(0, n, n), minlength=n).astype(float))
        for _ in range(_DRAWS)
    ]
    low, high = np.quantile(draws, (0.025, 0.975))
    return {"mean": slope(np.ones(n)), "low": float(low), "high": float(high)}


def observed_shares(
    odds: Array, y: Any, participants: Any, seed: int
) -> list[dict[str, float]]:
    """Return what held-out participants did where the odds were in a range.

    Returns
    -------
    list of dict
        For ranges of a fifth: ``low_odds``, ``high_odds``, the share of the task
        (``mean``), its 95 % interval over participants (``low``, ``high``), and the
        ``participants`` with such moments. Both classes count the same.
    """
    weights = row_weights(y, participants)
    people, codes = np.unique(participants, return_inverse=True)
    rng, n = np.random.default_rng(seed), len(people)
    counts = np.array(
        [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(_DRAWS)]
    )
    table = []
    for k in range(_BINS):
        rows = (odds >= k / _BINS) & (odds < (k + 1) / _BINS + (k == _BINS - 1))
        total = np.bincount(codes[rows], weights[rows], n)
        task = np.bincount(codes[rows], (weights * y)[rows], n)
        drawn = counts @ task / np.maximum(counts @ total, 1e-12)
        present = counts @ total > 0
        low, high = mean = np.full(2, np.nan)
        if present.any() and total.sum() > 0:
            low, high = np.quantile(drawn[present], (0.025, 0.975))
            mean = np.full(2, task.sum() / total.sum())
        table.append(
            {
                "low_odds": k / _BINS,
                "high_odds": (k + 1) / _BINS,
                "mean": float(mean[0]),
                "low": float(low),
                "high": float(high),
                "participants": int((total > 0).sum()),
            }
        )
    return table


_BINS: Final = 5


def _logits(odds: Array) -> Array:
    p = np.clip(odds, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(p) - np.log1p(-p))
