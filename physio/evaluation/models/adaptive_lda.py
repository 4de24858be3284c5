"""Discriminant analysis whose threshold adapts to the participant."""

from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from physio.core.block import Array
from physio.evaluation.models.baselines import UNKNOWN, FoldData, select_features
from physio.evaluation.row_index import named, numbers

_LEAST: Final = 1e-3


class Learned(NamedTuple):
    """Distribution of discriminant scores of held-out training participants.

    ``means`` are the class means, shape (k, d); ``within`` is the covariance of a
    participant's scores in a class, ``between`` the covariance of participants'
    offsets, shape (d, d) each.
    """

    means: Array
    within: Array
    between: Array


@dataclass(frozen=True)
class AdaptiveThresholdLDA:
    """Discriminant analysis with a filter that tracks the participant's threshold.

    A discriminant ranks the windows of a new participant almost correctly, but its
    threshold does not fit, because participants differ by an offset. The offset is
    assumed to be Gaussian among participants, and its distribution is estimated on
    held-out training participants. For a new participant, offset and class are inferred
    jointly, window by window, from the past windows. The only label used is the label
    of the calibration windows as baseline; time enters only through the persistence of
    states.

    Parameters
    ----------
    features
        Columns, as in `physio.evaluation.models.baselines.select_features`; relative to
        the participant's baseline. A missing value counts as 0, the baseline value.
    baseline_label
        Class of the windows that calibrate a participant; empty if it is unknown.
    state_duration
        Mean duration of a state (s).

    Notes
    -----
    Overlapping windows are not independent: each window is weighted by the proportion
    of its samples that are new. The posterior of the offset is approximated by one
    Gaussian over all classes (a generalised pseudo-Bayesian filter of first order). The
    calibration windows are treated as observed rest windows. As features are relative
    to these windows, the filter slightly underestimates the uncertainty of the offset.
    """

    features: tuple[str, ...] = ()
    baseline_label: str = ""
    state_duration: float = 900.0

    def __call__(self, given: FoldData) -> Array:
        if not given.classes:
            raise ValueError("thresholds are placed between classes, not of numbers")
        x = np.nan_to_num(
            select_features(given, self.features).reshape(len(given.x), -1)
        )
        participants = given.rows.participants
        scores, learned = _scores(x, participants, given)
        return self._followed(scores, learned, given)

    def _followed(self, scores: Array, learned: Learned, given: FoldData) -> Array:
        """Return class probabilities of test rows, each from the windows so far."""
        begin, end = (numbers(given.table, k) for k in ("start_s", "end_s"))
        recordings = given.rows.recordings
        calm = np.zeros(len(scores), np.bool_)
        calm[given.fold.calibration] = True
        rest = (
            given.classes.index(self.baseline_label)
            if self.baseline_label in given.classes
            else -1
        )
        output = np.full((len(scores), len(given.classes)), np.nan)
        for recording in np.unique(recordings[given.fold.test]):
            rows = np.flatnonzero(recordings == recording)
            rows = rows[np.argsort(begin[rows], kind="stable")]
            width = float(np.median(end[rows] - begin[rows]))
            gaps = np.diff(begin[rows], prepend=begin[rows[0]] - width)
            known = np.where(calm[rows], rest, -1)
            output[rows] = follow(
                scores[rows], gaps, known, learned, width, self.state_duration
            )
        return output[given.fold.test]


def follow(
    scores: Array, gaps: Array, known: Any, learned: Learned, width: float, lasts: float
) -> Array:
    """Return the probability of each class given the windows so far, shape (n, k).

    Parameters
    ----------
    scores
        Discriminant scores in order of time, shape (n, d).
    gaps
        Time between the starts of a window and its predecessor (s), shape (n,).
    known
        Class of a window, -1 where unknown, shape (n,).
    learned
        Distribution of the scores.
    width
        Duration of a window (s).
    lasts
        Mean duration of a state (s).
    """
    means, within, between = learned
    k, d = means.shape
    p = np.full(k, 1 / k)
    offset, spread = np.zeros(d), between.copy()
    output = np.empty((len(scores), k))
    for i, score in enumerate(scores):
        stay = np.exp(-gaps[i] / lasts) if i else 1.0
        p = stay * p + (1 - stay) * (1 - p) / max(k - 1, 1)
        noise = within / min(gaps[i] / width, 1.0)
        total = spread + noise
        gain = np.linalg.solve(total, spread).T
        misses = score - means - offset  # (k, d)
        logs = -0.5 * np.einsum("kd,kd->k", misses @ np.linalg.inv(total), misses)
        p = p * np.exp(logs - logs.max())
        if known[i] >= 0:
            p = np.where(np.arange(k) == known[i], p + _LEAST, 0.0)
        p = p / p.sum()
        offsets = offset + misses @ gain.T  # offset given class k
        offset = p @ offsets
        off = offsets - offset
        spread = spread - gain @ spread + (off * p[:, None]).T @ off
        output[i] = p
    return output


def _scores(x: Array, participants: Any, given: FoldData) -> tuple[Array, Learned]:
    """Return the scores of all rows, and their held-out distribution."""
    train = given.fold.train
    scores = _discriminant(x, given.y, train)(x)
    codes = np.unique(participants[train])
    if len(codes) < 3:
        raise ValueError(
            f"an offset between participants takes 3 who train, not {len(codes)}"
        )
    out = np.full_like(scores, np.nan)
    for code in codes:
        rows = train[participants[train] == code]
        others = np.setdiff1d(train, rows)
        out[rows] = _discriminant(x, given.y, others)(x[rows])
    k = len(given.classes)
    cells = np.full((len(codes), k, scores.shape[1]), np.nan)
    within = []
    for i, code in enumerate(codes):
        for c in range(k):
            rows = train[(participants[train] == code) & (given.y[train] == c)]
            if len(rows):
                cells[i, c] = out[rows].mean(axis=0)
                within.append(out[rows] - cells[i, c])
    means = np.nanmean(cells, axis=0)
    offsets = np.nanmean(cells - means, axis=1)
    rows = np.concatenate(within)
    floor = _LEAST * np.eye(scores.shape[1])
    cov = np.atleast_2d(np.cov(offsets.T)) + floor
    return scores, Learned(means, rows.T @ rows / len(rows) + floor, cov)


def _discriminant(x: Array, y: Any, rows: Any) -> Any:
    """Return a function of log odds of classes versus the first, shape (n, k - 1)."""
    scale = x[rows].std(axis=0) + 1e-12
    k = int(y[rows].max()) + 1
    model = LinearDiscriminantAnalysis(
        solver="lsqr", shrinkage="auto", priors=np.full(k, 1 / k)
    )
    model.fit(x[rows] / scale, y[rows])

    def scored(values: Array) -> Array:
        logs = model.decision_function(values / scale)
        scores: Array = logs[:, None] if logs.ndim == 1 else logs[:, 1:] - logs[:, :1]
        return scores

    return scored


@dataclass(frozen=True, eq=False)
class ConditionOracle:
    """Oracle of the condition: predicts the mean rating of the training participants.

    Its score is the upper limit for models that identify the condition but do not model
    differences between participants.

    Parameters
    ----------
    labels
        Condition of each row of the table, shape (n,).
    """

    labels: Any

    def __call__(self, given: FoldData) -> Array:
        train, test = given.fold.train, given.fold.test
        participants = named(given.table, "subject")
        means = {}
        for label in np.unique(self.labels[train]):
            rows = train[self.labels[train] == label]
            per_participant = [
                given.y[rows][participants[rows] == p].mean()
                for p in np.unique(participants[rows])
            ]
            means[label] = float(np.mean(per_participant))
        return np.array([means.get(label, np.nan) for label in self.labels[test]])


@dataclass(frozen=True, eq=False)
class ConditionMeanRating:
    """Mean rating of the conditions, weighted by a classifier's probabilities.

    A classifier estimates the probability of each condition. The prediction is the sum
    of the training participants' mean ratings of the conditions, weighted by these
    probabilities.

    Parameters
    ----------
    model
        Classifier of `physio.evaluation.models.baselines`.
    labels
        Condition of each row of the table, shape (n,); only those of training rows are
        read.
    """

    model: Any
    labels: Any

    def __call__(self, given: FoldData) -> Array:
        train = given.fold.train
        names = tuple(np.unique(self.labels[train]).tolist())
        y = np.full(len(given.y), UNKNOWN[True], np.intp)
        y[train] = np.searchsorted(names, self.labels[train])
        odds = self.model(given._replace(y=y, classes=names))
        rated = [float(given.y[train][y[train] == c].mean()) for c in range(len(names))]
        return np.asarray(odds @ np.array(rated))


@dataclass(frozen=True)
class MatchedOnCovariate:
    """Model restricted to windows whose covariate lies in the range of all classes.

    Windows train and test only where the covariate lies between the 10 % and the 90 %
    quantile of every class, as estimated on the training participants. The covariate
    then contributes little to the classification.

    Parameters
    ----------
    model
        The model.
    column
        Column of the covariate, as ``motion.activity``.
    """

    model: Any
    column: str

    def __call__(self, given: FoldData) -> Array:
        values = numbers(given.table, self.column)
        train, test = given.fold.train, given.fold.test
        ends = np.array(
            [
                np.nanquantile(values[train][given.y[train] == c], [0.1, 0.9])
                for c in range(len(given.classes))
            ]
        )
        inside = (values >= ends[:, 0].max()) & (values <= ends[:, 1].min())
        selected, asked = train[inside[train]], test[inside[test]]
        output = np.full((len(test), len(given.classes)), np.nan)
        present = set(given.y[selected].tolist())
        if not len(asked) or len(present) < len(given.classes):
            return output
        y = np.full_like(given.y, UNKNOWN[True])
        y[selected] = given.y[selected]
        fold = replace(given.fold, train=selected, test=asked, inner=())
        output[inside[test]] = self.model(given._replace(y=y, fold=fold))
        return output
