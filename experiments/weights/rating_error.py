"""Scores of estimates in held-out participants: error, correlation, coverage, skill.

Every experiment that compares estimates with ratings or with simulated affect scores
them here, by `physio.evaluation.metrics` and `physio.evaluation.statistics`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestRegressor

from physio.core.affect import DIMENSIONS, LEVELS
from physio.core.block import Array, Block
from physio.evaluation import metrics
from physio.evaluation.statistics import summary
from physio.training.participant_data import ParticipantData

STRESS: Final = "stress"
_DRAWS: Final = 2000


class HeldOutRatings(NamedTuple):
    """Ratings and estimates of a held-out participant in each unit.

    ``mean`` is the mean of the estimates, ``coverage`` the proportion of ticks whose
    central interval of each of `LEVELS` contains the rating, ``log_density`` the mean
    negative log density (nats) of the rating; shapes (units, 3), (units, 3, levels),
    (units, 3).
    """

    code: str
    units: tuple[str, ...]
    ratings: Array
    mean: Array
    coverage: Array
    log_density: Array


def score(
    participant: ParticipantData, mean: Array, sd: Array, begin: float, settle: float
) -> HeldOutRatings:
    """Compare estimates at each tick with the ratings of a participant.

    Parameters
    ----------
    participant
        Ratings and ticks.
    mean, sd
        Estimates, shape (n, 3) each, NaN where there is none.
    begin
        End of the participant's baseline (s, session clock); earlier ticks are not
        scored.
    settle
        Excluded start of each unit (s).
    """
    scored = participant.rows.times >= begin
    coverage = np.full((len(participant.units), 3, len(LEVELS)), np.nan)
    density = np.full((len(participant.units), 3), np.nan)
    means = np.full_like(density, np.nan)
    for u, unit in enumerate(participant.units):
        inside = scored & participant.within(unit, settle)
        for d, rating in enumerate(unit.ratings):
            output = np.stack([mean[inside, d], sd[inside, d]], axis=1)
            output = output[np.isfinite(output[:, 0])]
            if not len(output):
                continue
            means[u, d] = output[:, 0].mean()
            output = output[np.isfinite(output[:, 1])]
            if not len(output) or np.isnan(rating):
                continue
            y = np.full(len(output), rating)
            density[u, d] = metrics.log_density(y, output)
            coverage[u, d] = [metrics.coverage(y, output, level) for level in LEVELS]
    names = tuple(u.name for u in participant.units)
    ratings = np.array([u.ratings for u in participant.units])
    return HeldOutRatings(participant.code, names, ratings, means, coverage, density)


def estimates(out: Block) -> tuple[Array, Array]:
    """Return mean and standard deviation of the estimates of a run, (n, 3) each."""
    parts = [
        np.stack([out.column(f"{d}{end}") for d in DIMENSIONS], axis=1)
        for end in ("", ".sd")
    ]
    return parts[0], parts[1]


def elapsed(participant: ParticipantData) -> Array:
    """Return the elapsed time at each tick (s), shape (n, 1)."""
    return (participant.rows.times - participant.rows.t0)[:, None]


class ControlRegression:
    """Control that regresses ratings on what is no feature, by default the time.

    A random forest; its standard deviation is that of the training residuals.

    Parameters
    ----------
    participants
        Training participants.
    settle
        Excluded start of each unit (s).
    seed
        Seed of the forest.
    inputs
        Function of a participant that returns its inputs, shape (n, k).
    """

    def __init__(
        self,
        participants: Sequence[ParticipantData],
        settle: float,
        seed: int,
        inputs: Callable[[ParticipantData], Array] = elapsed,
    ) -> None:
        self._inputs = inputs
        x, y, weight = [], [], []
        for participant in participants:
            values = inputs(participant)
            for unit in participant.units:
                part = values[participant.within(unit, settle)][::20]
                x.append(part)
                y.append(np.tile(unit.ratings[:2], (len(part), 1)))
                weight.append(np.full(len(part), 1 / len(part)))
        self._forest = RandomForestRegressor(
            200, min_samples_leaf=20, random_state=seed, n_jobs=1
        )
        given, ratings = np.concatenate(x), np.concatenate(y)
        self._forest.fit(given, ratings, np.concatenate(weight))
        self._sd = np.std(ratings - self._forest.predict(given), axis=0)

    def estimate(self, participant: ParticipantData) -> tuple[Array, Array]:
        """Return mean and standard deviation at each tick, (n, 3) each."""
        given = self._inputs(participant)
        mean = np.full((len(given), 3), np.nan)
        sd = mean.copy()
        mean[:, :2], sd[:, :2] = self._forest.predict(given), self._sd
        return mean, sd


def result_rows(
    model: str, scored: Sequence[HeldOutRatings], seed: int
) -> list[dict[str, Any]]:
    """Return the rows of results of a model: see `physio.evaluation.statistics`.

    Only estimates with a density, and so on the scale of the ratings, have an error.
    """
    scores = {s.code: participant_scores(s) for s in scored}
    shared = [
        m for m in next(iter(scores.values())) if all(m in s for s in scores.values())
    ]
    rows = [
        summary(model, metric, {code: s[metric] for code, s in scores.items()}, seed)
        for metric in shared
    ]
    return [r for r in rows if np.isfinite(r["mean"])]


def participant_scores(scored: HeldOutRatings) -> dict[str, float]:
    """Return the scores of a participant by name; NaN where there is none."""
    scores: dict[str, float] = {}
    if STRESS in scored.units:
        scores["stress highest"] = float(highest_arousal(scored) == STRESS)
    for d, name in enumerate(DIMENSIONS):
        ratings, mean = scored.ratings[:, d], scored.mean[:, d]
        density = _mean(scored.log_density[:, d])
        error = math.nan if math.isnan(density) else known(metrics.mae, ratings, mean)
        scores[f"{name} mean absolute error"] = error
        scores[f"{name} correlation within the participant"] = known(
            metrics.correlation, ratings, mean
        )
        scores[f"{name} negative log density"] = density
        for k, level in enumerate(LEVELS):
            scores[f"{name} coverage of {level:.0%}"] = _mean(scored.coverage[:, d, k])
    return scores


def known(metric: metrics.Measure, y: Array, predicted: Array) -> float:
    """Return a metric over the rows that have a target and an output; NaN of none."""
    rows = np.isfinite(y) & np.isfinite(predicted)
    return metric(y[rows], predicted[rows, None]) if rows.any() else math.nan


def squared_errors(mean: Array, truth: Array, prior: Array) -> tuple[Array, Array]:
    """Return summed squared errors of estimates, and of the prior's mean, (3,) each.

    The prior's mean replaces missing estimates.
    """
    full = np.where(np.isfinite(mean), mean, prior)
    return ((full - truth) ** 2).sum(axis=0), ((prior - truth) ** 2).sum(axis=0)


def skill(errors: Array, seed: int) -> dict[str, float]:
    """Return the skill, 1 less the ratio of summed errors, with its interval.

    Parameters
    ----------
    errors
        Squared errors of the model and of the prior, shape (participants, 2).
    seed
        Seed of the bootstrap over participants.
    """
    drawn = errors[_resampled(len(errors), seed)].sum(axis=1)
    low, high = np.percentile(1 - drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    total = errors.sum(axis=0)
    return {
        "mean": round(float(1 - total[0] / total[1]), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def skill_difference(
    errors: Array, reference: Array, seed: int
) -> tuple[float, float, float]:
    """Return the skill of a model less that of another one, and its paired interval.

    Parameters
    ----------
    errors, reference
        Squared errors of each model and of the prior, shape (participants, 2) each.
    seed
        Seed of the bootstrap over participants.
    """
    gain, base = reference[:, 0] - errors[:, 0], errors[:, 1]
    draws = _resampled(len(errors), seed)
    drawn = gain[draws].sum(axis=1) / base[draws].sum(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    mean = float(gain.sum() / base.sum())
    return round(mean, 4), round(float(low), 4), round(float(high), 4)


def _resampled(participants: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the rows of each bootstrap sample, shape (draws, participants)."""
    rng = np.random.default_rng(seed)
    return rng.integers(participants, size=(_DRAWS, participants))


def highest_arousal(scored: HeldOutRatings) -> str:
    """Return the unit with the highest mean estimate of arousal; "-" for none."""
    arousal = scored.mean[:, 1]
    finite = arousal[np.isfinite(arousal)]
    if not len(finite) or np.ptp(finite) < 1e-9:
        return "-"
    return scored.units[int(np.nanargmax(arousal))]


def highest_arousal_table(models: Mapping[str, Sequence[HeldOutRatings]]) -> str:
    """Return a table of the unit with the highest arousal, by participant and model."""
    highest = {
        name: [highest_arousal(s) for s in scored] for name, scored in models.items()
    }
    codes = [s.code for s in next(iter(models.values()))]
    lines = [["participant", *models]]
    lines += [
        [code, *units] for code, *units in zip(codes, *highest.values(), strict=True)
    ]
    counts = [units.count(STRESS) for units in highest.values()]
    lines.append(["stress", *(f"{n} of {len(codes)}" for n in counts)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [[c.ljust(w) for c, w in zip(r, widths, strict=True)] for r in lines]
    return "\n".join("  ".join(r).rstrip() for r in padded)


def _mean(values: Array) -> float:
    """Return the mean of the finite values; NaN without any."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan
