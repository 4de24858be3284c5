"""Intervals, novelty limits and class reliability from held-out participants.

The unit is the participant: each has a weight of 1, however many moments were rated,
and a level that the number of participants cannot give is refused. All functions are
pure functions of outputs for participants who did not train the model.

Source: conformal prediction in two-layer hierarchical models by repeated subsampling of
one score a participant (Dunn, Wasserman and Ramdas 2022).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.affect import DIMENSIONS, LEVELS, scale_places
from physio.core.block import Array
from physio.evaluation.statistics import ParticipantWeights, bootstrap_ci
from physio.models.error_bars import ErrorBars

_FLOOR: Final = 1e-9  # smallest variance
_FORMS: Final = ("constant", "model")
_STEPS: Final = 21  # most values of a scale in steps
_PARTS: Final = 8  # values within a step of the rating scale
CONFIDENCE: Final = 1.645
"""Standard errors by which a model has to beat the prior: 95 %, one-sided."""

_DRAWS: Final = 200  # of one score a participant
_SEED: Final = 23
_GROUPS: Final = 20  # groups of participants that an estimate of coverage leaves out


@dataclass(frozen=True, eq=False)
class HeldOutRatings:
    """Outputs of a model for participants who did not train it.

    Rows with a missing rating or mean are not counted, dimension by dimension.

    Parameters
    ----------
    mean, y
        Output and rating of each moment, shape (n, d).
    participants
        Participant of each moment, shape (n,).
    sd
        Standard deviation of each output, shape (n, d); None for a model without one.
    targets
        Names of the dimensions.
    step
        Step of the rating scale, such as 0.25 for nine points on [-1, 1]; 0 for a
        continuous one. A rating stands for all values within half a step: an interval
        holds the share of them that is inside.
    """

    mean: Array
    y: Array
    participants: Any
    sd: Array | None = None
    targets: tuple[str, ...] = DIMENSIONS
    step: float = 0.0

    def __post_init__(self) -> None:
        n, d = np.shape(self.y)
        shapes = [np.shape(self.mean), (n, d) if self.sd is None else self.sd.shape]
        if any(s != (n, d) for s in shapes) or len(self.participants) != n:
            raise ValueError(
                f"held-out outputs need means, ratings and sd of one shape, and a "
                f"participant for each row: means {shapes[0]}, ratings {(n, d)}, sd "
                f"{shapes[1]}, participants {len(self.participants)}"
            )
        if len(self.targets) != d:
            raise ValueError(
                f"held-out outputs of {d} dimensions need {d} targets, not "
                f"{', '.join(self.targets)}"
            )

    def continuous(self) -> "HeldOutRatings":
        """Return `_PARTS` rows of equal weight for each, at values within a step."""
        if not self.step:
            return self
        part = self.step * ((np.arange(_PARTS) + 0.5) / _PARTS - 0.5)
        y = (self.y[:, None, :] + part[None, :, None]).reshape(-1, self.y.shape[1])
        sd = None if self.sd is None else np.repeat(self.sd, _PARTS, axis=0)
        people = np.repeat(np.asarray(self.participants), _PARTS)
        mean = np.repeat(self.mean, _PARTS, axis=0)
        return HeldOutRatings(mean, y, people, sd, self.targets)

    def take(self, rows: npt.NDArray[np.bool_]) -> "HeldOutRatings":
        """Return some rows."""
        sd = None if self.sd is None else self.sd[rows]
        people = np.asarray(self.participants)[rows]
        return replace(self, mean=self.mean[rows], y=self.y[rows], participants=people,
                       sd=sd)  # fmt: skip


@dataclass(frozen=True, eq=False)
class FittedErrorBars:
    """Error bars of a model, and the facts that its card states.

    Parameters
    ----------
    bars
        The error bars.
    targets
        Names of the dimensions.
    prior
        Mean and standard deviation of the prior, shape (2, d).
    forms
        Form of each dimension: ``prior`` (the prior only), ``constant`` (the mean of
        the model, one sd) or ``model`` (mean and sd of the model).
    gain
        Mean log score of each dimension less that of the prior (nats), cross-validated
        over participants, and its standard error, shape (2, d); of the best form.
    participants
        Number of participants of each dimension.
    """

    bars: ErrorBars
    targets: tuple[str, ...]
    prior: Array
    forms: tuple[str, ...]
    gain: Array
    participants: tuple[int, ...]

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of weights: ``interval.*``, ``prior.mean``, ``prior.sd``.

        The prior of a dimension that is no target is NaN.
        """
        prior = np.full((2, len(DIMENSIONS)), np.nan)
        prior[:, scale_places(self.targets)] = self.prior
        named = {"prior.mean": prior[0], "prior.sd": prior[1]}
        return self.bars.arrays(self.targets) | named

    def sentences(self) -> tuple[str, ...]:
        """Return what a card says about the intervals, a sentence each."""
        lines = []
        for k, name in enumerate(self.targets):
            n, (gain, error) = self.participants[k], self.gain[:, k]
            if self.forms[k] == "prior":
                lines.append(
                    f"{name}: prior only, with the prior's mean and interval: on {n} "
                    f"held-out participants the model gains {gain:.3f} nat over the "
                    f"mean rating, with a standard error of {error:.3f}"
                )
            missing = [v for v in LEVELS if least_participants(v) > n]
            lines += [f"{name}: {refusal(v, n)}" for v in missing]
        return tuple(lines)


def rating_step(y: Array) -> float:
    """Return the step of a rating scale: the least gap of at most 21 values, else 0."""
    values = np.unique(np.round(y[np.isfinite(y)], 6))
    if not 1 < len(values) <= _STEPS:
        return 0.0
    return float(np.diff(values).min())


def least_participants(level: float) -> int:
    """Return the number of participants that an interval of this level needs."""
    return max(ceil(level / (1 - level) - 1e-9), 1)


def refusal(level: float, participants: int) -> str:
    """Return the sentence that refuses a level to so few participants."""
    return (
        f"an interval of {level:.0%} needs {least_participants(level)} held-out "
        f"participants, and there are {participants}"
    )


def participant_quantile(
    scores: Array,
    participants: ParticipantWeights,
    level: float,
    draws: int = _DRAWS,
    seed: int = _SEED,
) -> float:
    """Return the score that a new participant's moment stays below at a level.

    In each draw, each of k participants gives one score at random. The sorted scores
    have the probabilities ``1 / (k + 1)`` to ``k / (k + 1)`` of being above that of a
    new participant who is exchangeable with these, whatever the distribution; between
    two, the score is interpolated (Beran and Hall 1993). The result is the mean over
    the draws.

    Parameters
    ----------
    scores
        Scores, shape (n,), such as the absolute error over the sd.
    participants
        Participants of the scores.
    level
        Probability, between 0 and 1.
    draws, seed
        Number of draws, and seed of them.

    Raises
    ------
    ValueError
        If there are too few participants for this level.
    """
    k = len(participants.names)
    if not 0 < level < 1:
        raise ValueError(f"a level of an interval is between 0 and 1, not {level}")
    if k < least_participants(level):
        raise ValueError(refusal(level, k))
    order = np.argsort(participants.codes, kind="stable")
    rows = participants.rows.astype(np.int_)
    first = np.cumsum(rows) - rows
    drawn = np.random.default_rng(seed).integers(rows, size=(draws, k)) + first
    sample = np.sort(scores[order][drawn], axis=1)
    place = min(max(level * (k + 1) - 1, 0.0), k - 1.0)
    below = int(place)
    above = min(below + 1, k - 1)
    part = place - below
    picked = (1 - part) * sample[:, below] + part * sample[:, above]
    return float(picked.mean())


def fit_error_bars(
    held_out: HeldOutRatings, levels: Sequence[float] = LEVELS
) -> FittedErrorBars:
    """Fit error bars to outputs for held-out participants.

    In each dimension, the step from the prior is shrunk to what held-out participants
    confirm. The variance is one number or follows the model's sd, whichever has the
    better log score, left-out participant by left-out participant. A model whose log
    score is not better than the prior's, one-sided at 95 %, gets the prior.

    Raises
    ------
    ValueError
        If fewer than two participants have a rating and an output.
    """
    held_out = held_out.continuous()
    fits = [_fit_dimension(held_out, k, levels) for k in range(len(held_out.targets))]
    names = ("prior", "center", "slope", "variance", "gain", "widths")
    bars = ErrorBars(*(np.stack([getattr(f, name) for f in fits]) for name in names))
    return FittedErrorBars(
        bars,
        held_out.targets,
        np.stack([bars.prior, np.array([f.prior_sd for f in fits])]),
        tuple(f.form for f in fits),
        np.array([f.better for f in fits]).T,
        tuple(f.participants for f in fits),
    )


class _Dimension(NamedTuple):
    """Error bars of one dimension, as of `ErrorBars` and `FittedErrorBars`."""

    prior: Array
    center: Array
    slope: Array
    variance: Array
    gain: Array
    widths: Array
    prior_sd: float
    form: str
    better: tuple[float, float]
    participants: int


def _fit_dimension(
    held_out: HeldOutRatings, k: int, levels: Sequence[float]
) -> _Dimension:
    """Return the error bars of a dimension."""
    m, y = held_out.mean[:, k], held_out.y[:, k]
    known = np.isfinite(m) & np.isfinite(y)
    people = ParticipantWeights.of(np.asarray(held_out.participants)[known])
    count = len(people.names)
    if count < 2:
        raise ValueError(
            f"error bars of {held_out.targets[k]} need ratings and outputs of at least "
            f"2 held-out participants, and there are {count}"
        )
    m, y = m[known], y[known]
    prior, center = _ParticipantMean.of(y, people), _ParticipantMean.of(m, people)
    slope = _slopes(m, y, people)
    step = m - center.held[people.codes]
    missed = y - prior.held[people.codes]
    off = {"prior": missed, "constant": missed - slope.held[people.codes] * step}
    scale = dict.fromkeys(off, np.ones(len(y)))
    if held_out.sd is not None and np.isfinite(held_out.sd[known, k]).all():
        off["model"] = off["constant"]
        scale["model"] = np.maximum(held_out.sd[known, k], 1e-6)
    # Sizes of errors, without the participant whose errors they are used for.
    size = {f: _ParticipantMean.size(off[f] / scale[f], people) for f in off}
    spread = {f: scale[f] * np.sqrt(size[f].held[people.codes]) for f in off}
    logs = {f: people.means(_log_density(off[f], spread[f] ** 2)) for f in off}
    gains = {f: logs[f] - logs["prior"] for f in off if f != "prior"}
    best = max(gains, key=lambda f: float(gains[f].mean()))
    mean = float(gains[best].mean())
    error = float(gains[best].std(ddof=1) / np.sqrt(count))
    form = best if mean > CONFIDENCE * error and slope.whole > 0 else "prior"
    scores = np.abs(off[form]) / spread[form]
    widths = [
        np.nan
        if least_participants(v) > count
        else participant_quantile(scores, people, v)
        for v in levels
    ]
    whole = size[form].whole
    return _Dimension(
        prior=np.array(prior.whole),
        center=np.array(center.whole),
        slope=np.array(0.0 if form == "prior" else slope.whole),
        variance=np.array(0.0 if form == "model" else whole),
        gain=np.array(whole if form == "model" else 0.0),
        widths=np.array(widths),
        prior_sd=float(np.sqrt(size["prior"].whole)),
        form=form,
        better=(mean, error),
        participants=count,
    )


class _ParticipantMean(NamedTuple):
    """Statistic of all participants, and without each of them, shape (k,)."""

    whole: float
    held: Array

    @classmethod
    def of(cls, values: Array, people: ParticipantWeights) -> "_ParticipantMean":
        """Return the mean over participants of the means within them."""
        means = people.means(values)
        return cls(float(means.mean()), (means.sum() - means) / (len(means) - 1))

    @classmethod
    def size(cls, values: Array, people: ParticipantWeights) -> "_ParticipantMean":
        """Return the mean of squares, at least `_FLOOR`."""
        whole, without = cls.of(values**2, people)
        return cls(max(whole, _FLOOR), np.maximum(without, _FLOOR))


def _slopes(m: Array, y: Array, people: ParticipantWeights) -> _ParticipantMean:
    """Return the slope of ratings on outputs, from 0 to 1."""
    means = np.stack([people.means(v) for v in (m, y, m * m, m * y)])
    total = means.sum(axis=1, keepdims=True)
    held = (total - means) / (means.shape[1] - 1)

    def slope(values: Array) -> Array:
        u, v, uu, uv = values
        return np.clip((uv - u * v) / np.maximum(uu - u * u, 1e-12), 0.0, 1.0)

    return _ParticipantMean(float(slope(means.mean(axis=1))), slope(held))


def _log_density(off: Array, variance: Array) -> Array:
    """Return the log density of a normal distribution at an error (nats)."""
    return -0.5 * (off**2 / variance + np.log(2 * np.pi * variance))


class IntervalCheck(NamedTuple):
    """Intervals of participants for whom they were not fitted, row by row.

    ``inside``: 1 if the rating is inside the interval, 0 outside, a share if only a
    part of its step is inside, NaN where either is missing, shape (n, d, levels).
    ``gain``: log score less that of the prior (nats), shape (n, d).
    """

    inside: Array
    gain: Array


def cross_check(
    held_out: HeldOutRatings, levels: Sequence[float] = LEVELS
) -> IntervalCheck:
    """Return intervals of each participant, fitted without that participant.

    Participants are left out in at most 20 groups.
    """
    people = ParticipantWeights.of(held_out.participants)
    dealt = people.codes % min(len(people.names), _GROUPS)
    d = len(held_out.targets)
    check = IntervalCheck(
        np.full((len(dealt), d, len(levels)), np.nan), np.full((len(dealt), d), np.nan)
    )
    for group in np.unique(dealt):
        rows = dealt == group
        fitted = fit_error_bars(held_out.take(~rows), levels)
        part = check_outside(fitted, held_out.take(rows))
        check.inside[rows], check.gain[rows] = part
    return check


def check_outside(fitted: FittedErrorBars, held_out: HeldOutRatings) -> IntervalCheck:
    """Return fitted intervals of other participants, as of another laboratory."""
    if held_out.step:
        parts = check_outside(fitted, held_out.continuous())
        n, d = held_out.y.shape
        inside, gain = (v.reshape(n, _PARTS, d, -1).mean(axis=1) for v in parts)
        return IntervalCheck(inside, gain[:, :, 0])
    bars, y = fitted.bars, held_out.y
    mean, sd = bars.apply(held_out.mean, held_out.sd)
    off = y - mean
    half = bars.widths * sd[:, :, None]
    known = np.isfinite(off)[:, :, None] & np.isfinite(half)
    inside = np.where(known, np.abs(off)[:, :, None] <= half, np.nan)
    prior = _log_density(y - fitted.prior[0], np.asarray(fitted.prior[1] ** 2))
    return IntervalCheck(inside, _log_density(off, sd**2) - prior)


def coverage_rows(
    check: IntervalCheck,
    held_out: HeldOutRatings,
    groups: Any = None,
    levels: Sequence[float] = LEVELS,
    seed: int = 23,
) -> list[dict[str, Any]]:
    """Return the coverage of intervals: mean over participants, 95 % bootstrap.

    Parameters
    ----------
    check
        Result of `cross_check` or `check_outside` on ``held_out``.
    groups
        Group of each row, such as its condition or device, shape (n,); by default all
        rows are of one group, ``all``.
    levels
        Levels of the check.
    seed
        Seed of the bootstrap over participants.

    Returns
    -------
    list of dict
        ``target``, ``group``, ``level``, ``coverage`` with ``low`` and ``high``,
        ``participants``, and ``contains``, whether the interval contains the level.
    """
    groups = np.full(len(held_out.y), "all") if groups is None else np.asarray(groups)
    out = []
    for group in dict.fromkeys(groups.tolist()):
        for d, target in enumerate(held_out.targets):
            for k, level in enumerate(levels):
                rows = (groups == group) & np.isfinite(check.inside[:, d, k])
                if not rows.any():
                    continue
                people = ParticipantWeights.of(np.asarray(held_out.participants)[rows])
                shares = people.means(check.inside[rows, d, k])
                low, high = bootstrap_ci(shares, seed)
                out.append(
                    {
                        "target": target,
                        "group": str(group),
                        "level": level,
                        "coverage": round(float(shares.mean()), 4),
                        "low": low,
                        "high": high,
                        "participants": len(people.names),
                        "contains": low <= level <= high,
                    }
                )
    return out


def gain_rows(
    check: IntervalCheck, held_out: HeldOutRatings, seed: int = 23
) -> list[dict[str, Any]]:
    """Return the log score less the prior's (nats), mean over participants.

    Keys: ``target``, ``gain`` with ``low`` and ``high`` (95 % bootstrap).
    """
    out = []
    for d, target in enumerate(held_out.targets):
        rows = np.isfinite(check.gain[:, d])
        people = ParticipantWeights.of(np.asarray(held_out.participants)[rows])
        gains = people.means(check.gain[rows, d])
        low, high = bootstrap_ci(gains, seed)
        gain = round(float(gains.mean()), 4)
        out.append({"target": target, "gain": gain, "low": low, "high": high})
    return out
