"""Limit of novelty for any model, with a false-alarm rate for new participants."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.covariance import ledoit_wolf

from physio.core.block import Array
from physio.evaluation.statistics import ParticipantWeights
from physio.models.feature_density import FeatureDensity, window_summary
from physio.training.intervals import (
    least_participants,
    participant_quantile,
)


class NoveltyLimit(NamedTuple):
    """Density of the features, and the limit of novelty.

    ``rate``: false-alarm rate, the share of moments of a new participant beyond the
    limit, at most; ``participants``, how many it rests on.
    """

    density: FeatureDensity
    limit: float
    rate: float
    participants: int

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of weights, ``density.*``."""
        return self.density.arrays(self.limit)

    def sentence(self) -> str:
        """Return what a card says about the limit."""
        return (
            f"of moments of a new participant like the {self.participants} of the "
            f"training data, at most {self.rate:.0%} count as out of distribution"
        )


def fit_density(z: Array, participants: Any) -> FeatureDensity:
    """Return the normal distribution of features, each participant of weight 1.

    The covariance is shrunk (Ledoit and Wolf 2004). A feature that is missing counts as
    at its mean, so that the covariance is too small where much is missing; the limit is
    measured with the same distance.

    Parameters
    ----------
    z
        Features relative to the participants' baselines, shape (n, f), NaN if missing.
    participants
        Participant of each moment, shape (n,).
    """
    people = ParticipantWeights.of(participants)
    share = 1 / (people.rows[people.codes] * len(people.names))
    known = np.isfinite(z)
    weight = share[:, None] * known
    total = np.maximum(weight.sum(axis=0), 1e-12)
    mean = (weight * np.where(known, z, 0.0)).sum(axis=0) / total
    off = np.where(known, z - mean, 0.0)
    sd = np.sqrt(np.maximum((weight * off**2).sum(axis=0) / total, 1e-12))
    scaled = off / sd * np.sqrt(share * len(z))[:, None]
    corr, _ = ledoit_wolf(scaled, assume_centered=True)
    return FeatureDensity(mean, corr * np.outer(sd, sd))


def novelty_limit(z: Array, participants: Any, rate: float = 0.05) -> NoveltyLimit:
    """Return the density of features, and the limit of novelty for a false-alarm rate.

    The novelty of each participant is measured with the density of all others. With too
    few participants for the rate, the rate is the smallest that they can give.
    Windows of a signal, shape (n, channels, samples), are judged by their
    `physio.models.feature_density.window_summary`.

    Raises
    ------
    ValueError
        If there are fewer than two participants, or the rate is not between 0 and 1.
    """
    people = ParticipantWeights.of(participants)
    names = np.asarray(participants)
    k = len(people.names)
    if k < 2:
        raise ValueError(f"a limit of novelty needs 2 participants, and there are {k}")
    if not 0 < rate < 1:
        raise ValueError(f"a false-alarm rate is between 0 and 1, not {rate}")
    if z.ndim > 2:
        z = np.array([window_summary(window) for window in z])
    novelty = np.full(len(z), np.nan)
    for participant in range(k):
        rows = people.codes == participant
        density = fit_density(z[~rows], names[~rows])
        none = np.zeros(z.shape[1])
        novelty[rows] = [density.novelty(row, none) for row in z[rows]]
    known = np.isfinite(novelty)
    scored = ParticipantWeights.of(names[known])
    count = len(scored.names)
    if count < least_participants(1 - rate):
        rate = 1 / (count + 1)
    limit = participant_quantile(novelty[known], scored, 1 - rate)
    return NoveltyLimit(fit_density(z, participants), limit, rate, count)
