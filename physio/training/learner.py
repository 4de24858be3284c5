"""Learners: what they learn from, and the one protocol of all kinds of models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from physio.core.affect import DIMENSIONS, scale_places
from physio.core.block import Array
from physio.evaluation.models.baselines import FoldData, SklearnModel, select_features
from physio.models.base import Model, Numbers

Rows = npt.NDArray[np.intp]
Codes = npt.NDArray[Any]

GROUPS: Final = 5
"""Groups of participants that are left out in turn to measure a learner's errors."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Labelled moments of several participants: all that a learner reads.

    Parameters
    ----------
    x
        Features, shape (n, f), after the transforms of the card and relative to the
        participant's baseline; or windows of a signal, shape (n, channels, samples).
        NaN is missing.
    y
        Ratings on the scale, shape (n, d), NaN where missing; or class numbers, shape
        (n,).
    participants
        Code of each row's participant, shape (n,).
    units
        Number of the trial or segment of each row, shape (n,): its rows are never
        divided between training and validation.
    sessions
        Name of each row's session, shape (n,).
    times
        Time of each row (s), shape (n,).
    columns
        Names of the features with their transforms; of windows, of the channels.
    targets
        Names of the ratings; empty for classes.
    classes
        Names of the classes; empty for ratings.
    rate
        Samples a second of windows (Hz).
    seed
        Seed of all random numbers.
    trace
        Skin conductance (uS), 4 a second, from a minute before each row to 30 s after
        it, shape (n, 360), NaN where missing; None without it.
    """

    x: Array
    y: Numbers
    participants: Codes
    units: npt.NDArray[np.int_]
    sessions: Codes
    times: Array
    columns: tuple[tuple[str, str], ...] = ()
    targets: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    rate: float = 0.0
    seed: int = 0
    trace: Array | None = None

    def __post_init__(self) -> None:
        n = len(self.x)
        if bool(self.targets) == bool(self.classes):
            raise ValueError("samples have either ratings or classes as their target")
        for name in ("y", "participants", "units", "sessions", "times"):
            if len(getattr(self, name)) != n:
                raise ValueError(
                    f"samples have {n} rows and {len(getattr(self, name))} {name}"
                )

    def __len__(self) -> int:
        return len(self.x)

    @property
    def trials(self) -> Codes:
        """Number of each row's trial, unique among all participants, shape (n,)."""
        names = np.stack(
            [np.asarray(v).astype(np.str_) for v in (self.participants, self.sessions)]
        )
        _, of = np.unique(names, axis=1, return_inverse=True)
        pairs = np.stack([of.ravel(), np.asarray(self.units, np.int64)])
        _, trials = np.unique(pairs, axis=1, return_inverse=True)
        return np.asarray(trials.ravel())

    @property
    def row_weights(self) -> Array:
        """Weight of each row: all trials, and then all classes, count the same."""
        _, of, count = np.unique(self.trials, return_inverse=True, return_counts=True)
        weights = np.asarray(1.0 / count[of])
        if self.classes:
            total = np.bincount(self.y, weights, minlength=len(self.classes))
            weights = weights / np.maximum(total, 1e-300)[self.y]
        return np.asarray(weights * (len(weights) / weights.sum()))

    def take(self, rows: Rows) -> "Samples":
        """Return some of the rows."""
        parts = (self.x, self.y, self.participants, self.units)
        x, y, participants, units = (np.asarray(v)[rows] for v in parts)
        return Samples(
            x,
            y,
            participants,
            units,
            np.asarray(self.sessions)[rows],
            self.times[rows],
            self.columns,
            self.targets,
            self.classes,
            self.rate,
            self.seed,
            None if self.trace is None else self.trace[rows],
        )

    def held_out(self, groups: int = GROUPS) -> list[tuple[Rows, Rows]]:
        """Return training and validation rows of groups that are left out in turn.

        Participants are left out; of a single participant, the sessions; of a single
        session, blocks of consecutive trials.
        """
        codes = self.participants
        if len(np.unique(codes)) < 2:
            codes = self.sessions
        if len(np.unique(codes)) < 2:
            codes = self._blocks(groups)
        names = np.unique(codes)
        count = min(groups, len(names))
        if count < 2:
            return []
        order = np.random.default_rng(self.seed).permutation(len(names)) % count
        of = order[np.searchsorted(names, codes)]
        return [
            (np.flatnonzero(of != g), np.flatnonzero(of == g)) for g in range(count)
        ]

    def _blocks(self, groups: int) -> Codes:
        """Return the block of consecutive trials of each row of a single session."""
        trials = self.trials
        first = {t: float(self.times[trials == t].min()) for t in np.unique(trials)}
        order = sorted(first, key=lambda t: first[t])
        at = {t: i * groups // len(order) for i, t in enumerate(order)}
        return np.array([at[t] for t in trials])


class Progress(NamedTuple):
    """Progress of a learner.

    ``step`` of ``steps`` is done; ``figure``, the present loss (NaN if there is none),
    whose kind is ``name``.
    """

    step: int
    steps: int
    figure: float = float("nan")
    name: str = "loss"


class Stopped(Exception):  # noqa: N818  no error: the user stopped the learner
    """Raised by a progress callback to stop a learner."""


ProgressOf = Callable[[Progress], None]
"""Callback of a learner; it may raise `Stopped`."""


@runtime_checkable
class Learner(Protocol):
    """Settings of a model and of its fit; a frozen dataclass.

    A learner knows nothing of folds or cards. It may be stopped between two steps, by a
    callback that raises `Stopped`. Three parts are optional: a class variable
    ``files`` names the settings that are files, relative to the training file; a method
    ``trained_on(samples)`` returns the sentence of the card on the rows that train; a
    method ``resuming(folder)`` returns a copy that resumes a stopped fit from there.
    """

    def fit(self, samples: Samples, progress: ProgressOf) -> Model:
        """Return a model that was fitted to the samples."""


def trained_rows(used: npt.NDArray[np.bool_], needed: str) -> str:
    """Return the sentence of a card on a learner that trains on some rows.

    Parameters
    ----------
    used
        Mask of the rows that train, shape (n,).
    needed
        What these rows have, for the sentence.
    """
    if used.all():
        return "All moments train the stored weights."
    return (
        f"{used.sum()} of {len(used)} moments had {needed}, and train the stored "
        "weights."
    )


def silent(progress: Progress) -> None:
    """Ignore the progress of a learner."""


class HeldOut(NamedTuple):
    """Outputs for participants that did not train: see `held_out_outputs`.

    ``mean``, shape (n, d), or odds, shape (n, classes); NaN in rows without a fold.
    ``sd``, shape (n, d), empty for classes.
    """

    mean: Array
    sd: Array


def held_out_outputs(
    learner: Learner, samples: Samples, progress: ProgressOf = silent
) -> HeldOut:
    """Return the outputs of a learner for groups that are left out in turn."""
    width = len(samples.targets or samples.classes)
    mean, sd = np.full((2, len(samples), width), np.nan)
    folds = samples.held_out()
    for k, (train, test) in enumerate(folds):
        model = learner.fit(samples.take(train), silent)
        mean[test], sd[test] = outputs(model, samples.take(test))
        progress(Progress(k + 1, len(folds), error_of(samples, mean, test)))
    return HeldOut(mean, sd)


def outputs(model: Model, samples: Samples) -> tuple[Array, Array]:
    """Return mean and sd of each row's ratings, or its odds and 0.

    Returns
    -------
    first, second
        Shape (n, d) or (n, classes) each; NaN where there is no output.
    """
    width = len(samples.targets or samples.classes)
    first, second = np.full((2, len(samples), width), np.nan)
    picks = scale_places(samples.targets)
    spread = np.zeros(samples.x.shape[1])
    for i, row in enumerate(np.asarray(samples.x, np.float64)):
        if samples.classes:
            first[i] = model.condition_odds(row, spread)
            second[i] = 0.0
        else:
            mean, sd = model.predict(row, spread)
            first[i], second[i] = mean[picks], sd[picks]
    return first, second


def error_of(samples: Samples, output: Array, rows: Rows) -> float:
    """Return the mean squared error of rows, or the log loss of their classes."""
    if samples.classes:
        odds = output[rows, np.asarray(samples.y)[rows]]
        return float(-np.nanmean(np.log(np.maximum(odds, 1e-6))))
    return float(np.nanmean((output[rows] - samples.y[rows]) ** 2))


def residual_sd(samples: Samples, output: Array) -> Array:
    """Return the root mean square error of each rating, all trials alike, shape (d,).

    Parameters
    ----------
    samples
        The samples.
    output
        Held-out means, shape (n, d). A rating without any has the sd of the samples:
        nothing is known of its errors.
    """
    weights, square = samples.row_weights[:, None], (output - samples.y) ** 2
    known = np.isfinite(square)
    total = np.where(known, weights, 0).sum(axis=0)
    mean = np.where(known, weights * square, 0).sum(axis=0) / np.maximum(total, 1e-300)
    spread = np.nanstd(samples.y, axis=0)
    return np.asarray(np.maximum(np.sqrt(np.where(total > 0, mean, spread**2)), 1e-6))


@dataclass(frozen=True, eq=False)
class LearnerModel:
    """A learner as a model of an evaluation: fitted anew in each fold.

    Parameters
    ----------
    learner
        The learner.
    features
        Columns of the table, or prefixes of their names before a dot; by default all
        features, or the windows, of the evaluation.
    """

    learner: Any
    features: tuple[str, ...] = ()

    def trusting(self, packages: Sequence[str]) -> "LearnerModel":
        """Return a copy whose learner trusts ``packages``."""
        if not hasattr(self.learner, "trusting"):
            return self
        return replace(self, learner=self.learner.trusting(packages))

    def __call__(self, given: FoldData) -> Array:
        """Return probabilities of the test rows, or mean and standard deviation."""
        x = select_features(given, self.features)
        of_rows = _samples(given, x)
        train, test = given.fold.train, given.fold.test
        model = as_learner(self.learner).fit(of_rows.take(train), silent)
        first, second = outputs(model, of_rows.take(test))
        return first if given.classes else np.hstack([first, second])


def as_learner(model: Any) -> Learner:
    """Return a learner; an estimator of scikit-learn as a `SklearnLearner`.

    Raises
    ------
    ValueError
        If it is neither, or selects features or weights rows itself.
    """
    from physio.training.sklearn_learner import SklearnLearner

    if isinstance(model, LearnerModel | SklearnModel):
        for name in ("features", "sample_weight"):
            if given := getattr(model, name, None):
                raise ValueError(
                    f"{name} = {given!r} is no setting of a learner: choose columns in "
                    "features.columns; all trials, and all classes, count the same"
                )
    if isinstance(model, LearnerModel):
        return as_learner(model.learner)
    if isinstance(model, SklearnModel):
        return SklearnLearner(model.estimator)
    if isinstance(model, Learner):
        return model
    if hasattr(model, "get_params"):
        return SklearnLearner(model)
    raise ValueError(
        f"{type(model).__name__} cannot be trained for a session: it has no method "
        "fit(samples, progress), as physio.training.learner.Learner describes"
    )


def _samples(given: FoldData, x: Array) -> Samples:
    """Return the rows of an evaluation as samples; test rows have no target."""
    rows, table = given.rows, given.table
    _, units = np.unique(rows.segments, return_inverse=True)
    end = "end_s" if "end_s" in table.columns else "start_s"
    y = np.asarray(given.y)
    return Samples(
        x=x,
        y=y if given.classes else np.asarray(y, np.float64).reshape(len(y), -1),
        participants=rows.participants,
        units=units,
        sessions=rows.ids("dataset", "subject", "session"),
        times=table[end].to_numpy(np.float64),
        columns=tuple((str(k), "raw") for k in range(x.shape[1])),
        targets=() if given.classes else DIMENSIONS[1:2],
        classes=given.classes,
        rate=_rate(given, x),
        seed=given.seed,
    )


def _rate(given: FoldData, x: Array) -> float:
    """Return the samples a second of windows, from the times of the table."""
    if x.ndim < 3:
        return 0.0
    spans = given.table["end_s"] - given.table["start_s"]
    return float(round(x.shape[2] / float(np.median(spans)), 6))


def in_batches(count: int, batch: int) -> list[slice]:
    """Return slices of ``batch`` rows each, the last with the remaining rows."""
    ends = [*range(0, count, batch), count]
    return [slice(a, b) for a, b in pairwise(ends)]
