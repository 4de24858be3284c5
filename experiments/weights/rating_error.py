"""Errors of estimated ratings in held-out participants, beside simple baselines."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.stats import norm
from sklearn.ensemble import RandomForestRegressor

from physio.core.affect import DIMENSIONS, LEVELS
from physio.core.block import Array, Block
from physio.evaluation.statistics import summary
from physio.training.participant_data import Participant

"""How often central intervals should hold what was rated."""

STRESS: Final = "stress"


class HeldOutRatings(NamedTuple):
    """What was estimated for a participant in each unit, beside what they rated.

    ``mean`` is the mean of the estimates, ``within`` the share of moments whose central
    interval of each of `LEVELS` held the rating, ``nll`` the mean negative log density
    (nats) of the rating; shapes (units, 3), (units, 3, levels), (units, 3).
    """

    code: str
    units: tuple[str, ...]
    ratings: Array
    mean: Array
    within: Array
    nll: Array


def judge(
    participant: Participant, mean: Array, sd: Array, over: float, settle: float
) -> HeldOutRatings:
    """Compare estimates at each tick with the ratings.

    Parameters
    ----------
    participant
        Whose they are.
    mean, sd
        The estimates, shape (n, 3) each, NaN where there is none.
    over
        When the participant's rest was over (s, session clock): what was before is left
        out.
    settle
        How long (s) after its beginning a condition is left out.
    """
    later = participant.rows.times >= over
    parts = []
    for unit in participant.units:
        inside = later & participant.within(unit, settle)
        off = (unit.ratings - mean[inside]) / sd[inside]
        missing = np.isnan(off)
        held = [np.where(missing, np.nan, np.abs(off) <= _width(p)) for p in LEVELS]
        nll = 0.5 * off**2 + np.log(sd[inside]) + 0.5 * np.log(2 * np.pi)
        parts.append(
            (_mean(mean[inside]), np.stack([_mean(h) for h in held], 1), _mean(nll))
        )
    means, within, nlls = (np.array(p) for p in zip(*parts, strict=True))
    names = tuple(u.name for u in participant.units)
    ratings = np.array([u.ratings for u in participant.units])
    return HeldOutRatings(participant.code, names, ratings, means, within, nlls)


def estimates(out: Block) -> tuple[Array, Array]:
    """Return mean and standard deviation of what an estimator told, (n, 3) each."""
    parts = [
        np.stack([out.column(f"{d}{end}") for d in DIMENSIONS], axis=1)
        for end in ("", ".sd")
    ]
    return parts[0], parts[1]


class TimeOnlyRegression:
    """Ratings guessed from the seconds since the beginning alone: no physiology.

    A forest, as flexible as the clock can be used; in its spread the error it made in
    training is counted as that of its leaves.
    """

    def __init__(
        self, participants: Sequence[Participant], settle: float, seed: int
    ) -> None:
        t, y, weight = [], [], []
        for participant in participants:
            for unit in participant.units:
                times = participant.rows.times[participant.within(unit, settle)][::20]
                t.append(times - participant.rows.t0)
                y.append(np.tile(unit.ratings[:2], (len(times), 1)))
                weight.append(np.full(len(times), 1 / len(times)))
        self._forest = RandomForestRegressor(
            200, min_samples_leaf=20, random_state=seed, n_jobs=1
        )
        seconds, ratings = np.concatenate(t)[:, None], np.concatenate(y)
        self._forest.fit(seconds, ratings, np.concatenate(weight))
        self._sd = np.std(ratings - self._forest.predict(seconds), axis=0)

    def estimate(self, rows: Block) -> tuple[Array, Array]:
        """Return mean and standard deviation at each tick, (n, 3) each."""
        seconds = (rows.times - rows.t0)[:, None]
        mean = np.full((len(rows), 3), np.nan)
        sd = mean.copy()
        mean[:, :2], sd[:, :2] = self._forest.predict(seconds), self._sd
        return mean, sd


def rows(
    model: str, judged: Sequence[HeldOutRatings], seed: int
) -> list[dict[str, Any]]:
    """Return all rows of results of a model."""
    results = []
    if all(STRESS in j.units for j in judged):
        results = [
            summary(
                model, "stress highest", _per_participant(judged, _stress_highest), seed
            )
        ]
    for d, name in enumerate(DIMENSIONS):
        if any(np.isfinite(j.nll[:, d]).any() for j in judged):  # on a rating's scale
            off = {
                j.code: float(_mean(np.abs(j.mean - j.ratings)[:, d])) for j in judged
            }
            results.append(summary(model, f"{name} mean absolute error", off, seed))
        corr = {j.code: _correlation(j.mean[:, d], j.ratings[:, d]) for j in judged}
        results.append(
            summary(model, f"{name} correlation within the participant", corr, seed)
        )
        nll = {j.code: float(_mean(j.nll[:, d])) for j in judged}
        results.append(summary(model, f"{name} negative log density", nll, seed))
        for k, p in enumerate(LEVELS):
            held = {j.code: float(_mean(j.within[:, d, k])) for j in judged}
            results.append(summary(model, f"{name} coverage of {p:.0%}", held, seed))
    return [r for r in results if np.isfinite(r["mean"])]


def highest(judged: HeldOutRatings) -> str:
    """Return in which condition the mean estimated arousal is highest; "-" for none."""
    arousal = judged.mean[:, 1]
    known = arousal[np.isfinite(arousal)]
    if not len(known) or np.ptp(known) < 1e-9:
        return "-"
    return judged.units[int(np.nanargmax(arousal))]


def table(models: Mapping[str, Sequence[HeldOutRatings]]) -> str:
    """Return a table: for each participant, where arousal was highest by each model."""
    names = list(models)
    codes = [j.code for j in models[names[0]]]
    lines = [["participant", *names]]
    for i, code in enumerate(codes):
        lines.append([code, *(highest(models[name][i]) for name in names)])
    counts = [sum(highest(j) == STRESS for j in models[name]) for name in names]
    lines.append(["stress", *(f"{n} of {len(codes)}" for n in counts)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [[c.ljust(w) for c, w in zip(r, widths, strict=True)] for r in lines]
    return "\n".join("  ".join(r).rstrip() for r in padded)


def _per_participant(
    judged: Sequence[HeldOutRatings], measure: Callable[[HeldOutRatings], float]
) -> dict[str, float]:
    return {j.code: float(measure(j)) for j in judged}


def _stress_highest(judged: HeldOutRatings) -> float:
    return float(highest(judged) == STRESS)


def _correlation(a: Array, b: Array) -> float:
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < 3 or np.std(a[known]) < 1e-9 or np.std(b[known]) < 1e-9:
        return float("nan")
    return float(np.corrcoef(a[known], b[known])[0, 1])


def _mean(values: Array) -> Any:
    """Return the mean over the first axis of what is there."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def _width(share: float) -> float:
    """Return how many standard deviations a central interval reaches."""
    return float(norm.ppf(0.5 + share / 2))
