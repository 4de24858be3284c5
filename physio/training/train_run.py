"""Training by a general file: features, audited evaluation, weights with a card."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeCV

from physio.core.affect import DIMENSIONS, scale_places
from physio.core.block import Origin
from physio.core.counted_nouns import counted
from physio.datasets.base import ConditionSpan, natural
from physio.evaluation import results
from physio.evaluation.evaluate import (
    Evaluation,
    EvaluationOptions,
    Task,
    evaluate,
    together,
)
from physio.evaluation.models.baselines import (
    MajorityClass,
    SklearnModel,
    TimeOnly,
)
from physio.evaluation.models.baselines import Model as EvaluatedModel
from physio.training.code_marks import learner_mark
from physio.training.fold_fits import FoldFits, RelativeModel
from physio.training.learner import Learner, Progress
from physio.training.live_ticks import LabelledTicks, TickReader
from physio.training.moment_set import MomentSet
from physio.training.moments import moments_of, shared_columns
from physio.training.recording_labels import rating_names
from physio.training.sources import LabelledData, RecordingEntry, open_source
from physio.training.train_file import TrainingFile

WORK: Final = ".work"
"""Suffix of the folder with what a run that was stopped goes on from."""

CONTROLS: Final = ("prior", "clock", "motion", "linear")
_MOTION: Final = ("motion", "head_motion")


class RunProgress(NamedTuple):
    """Progress of a training run.

    Parameters
    ----------
    text
        Description of the present work.
    done, total
        Number of parts that are done, and of all.
    figure
        Present validation figure in words; empty for none.
    """

    text: str
    done: int
    total: int
    figure: str = ""


OnProgress = Callable[[RunProgress], None]


class PreparedTraining(NamedTuple):
    """A training file and the recordings that it names; no signal is read.

    Parameters
    ----------
    file
        The file.
    data
        The recordings of each of its sources.
    out
        Folder for the weights.
    """

    file: TrainingFile
    data: tuple[LabelledData, ...]
    out: Path

    @property
    def entries(self) -> list[RecordingEntry]:
        """All recordings."""
        return [entry for part in self.data for entry in part.entries]

    @property
    def work(self) -> Path:
        """Folder of the stored features and fits."""
        return self.out.with_name(self.out.name + WORK)

    def cost(self) -> str:
        """Return what the run will do, in a sentence."""
        reader = self.reader()
        stored = sum(reader.stored(e) for e in self.entries)
        codes = {(e.dataset, e.participant) for e in self.entries if e.participant}
        people = counted(len(codes), "participant") if codes else "participants unknown"
        fits = self.file.protocol.by
        return (
            f"{counted(len(self.entries), 'recording')} of {people}, features of "
            f"{stored} of them stored; then a fit for each fold of {fits}, the "
            "controls, and the weights"
        )

    def reader(self) -> TickReader:
        """Return the reader of the recordings."""
        file = self.file
        return TickReader(
            file.chains, self.work / "features", file.trust, file.features.lookback
        )


class TrainingOutcome(NamedTuple):
    """Result of a training run.

    Parameters
    ----------
    moments
        The moments that were learned from.
    evaluation
        The evaluation on held-out participants, sessions or blocks.
    fits
        The answers of the model in each fold.
    origin
        Origin of the recordings.
    notes
        Sentences on recordings that were left out.
    seconds
        Duration of the run (s).
    """

    moments: MomentSet
    evaluation: Evaluation
    fits: FoldFits
    origin: Origin
    notes: tuple[str, ...]
    seconds: float


def prepare(file: TrainingFile, root: Path | None, out: Path) -> PreparedTraining:
    """Return what a training file names, after checks that read no signal.

    Parameters
    ----------
    file
        The training file.
    root
        Parent of the folders of the data; by default that of the file.
    out
        Parent of the folder for the weights.

    Raises
    ------
    FileNotFoundError, ValueError
        If data are missing, are of a whole-record analysis, or the weights exist
        already.
    """
    folder = out / file.output.name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        kind = "weights" if (folder / "card.json").exists() else "other files"
        raise ValueError(
            f"{folder} holds {kind} already: choose another output.name, another "
            "--out or remove them; nothing was changed"
        )
    roots = [r for r in (root, file.path.parent, Path()) if r is not None]
    data = tuple(open_source(s, roots, file.trust) for s in file.sources)
    if all(entry.participant for part in data for entry in part.entries):
        _require_participants(file, [set(part.participants) for part in data])
    return PreparedTraining(file, data, folder)


def evaluate_training(
    prepared: PreparedTraining, on_progress: OnProgress
) -> TrainingOutcome:
    """Compute features, and evaluate the model beside its controls on held-out data.

    Raises
    ------
    ValueError
        If no recording has labels and features, or the split leaks.
    """
    began = time.monotonic()
    file = prepared.file
    ticks, notes = _ticks(prepared, on_progress)
    if not file.features.columns:
        file = file.with_columns(shared_columns(ticks, file.features))
    if not file.features.columns:
        raise ValueError(
            f"{file.path.name}: the recordings share no feature (or, for windows, no "
            "chain that ends with NewestSamples; for tokens, no differential entropy "
            "of EEG): name features in features.columns, or chains in features.session"
        )
    moments, more = _moment_set(file, ticks)
    evaluation, fits = _evaluated(prepared, file, moments, on_progress)
    origins = [t.rows.info.origin for t in ticks]
    return TrainingOutcome(
        moments, evaluation, fits, Origin.worst(*origins), (*notes, *more),
        time.monotonic() - began,
    )  # fmt: skip


def _ticks(
    prepared: PreparedTraining, on_progress: OnProgress
) -> tuple[list[LabelledTicks], list[str]]:
    """Return features and labels of all usable recordings, and why others are not."""
    file, reader = prepared.file, prepared.reader()
    entries = prepared.entries
    usable: list[LabelledTicks] = []
    notes = []
    codes = [set(part.participants) for part in prepared.data]
    owners = [k for k, part in enumerate(prepared.data) for _ in part.entries]
    for i, (entry, k) in enumerate(zip(entries, owners, strict=True)):
        on_progress(RunProgress(f"features of {entry.name}", i, len(entries)))
        try:
            ticks = reader.read(entry)
        except (ValueError, OSError) as error:
            notes.append(f"{entry.name} is left out: {' '.join(str(error).split())}")
            continue
        codes[k].add(ticks.participant)
        source = file.sources[k]
        if not source.selects(ticks.participant):
            continue
        if ticks.participant in file.protocol.held_out:
            continue  # nor do they select features
        if source.conditions:
            spans = tuple(s for s in ticks.spans if s.name in source.conditions)
            ticks = ticks._replace(spans=spans)
        usable.append(ticks)
    on_progress(RunProgress("features", len(entries), len(entries)))
    _require_participants(file, codes)
    if not usable:
        raise ValueError(
            f"{file.path.name}: no recording gives features: "
            f"{notes[0] if notes else 'no participant is selected'}"
        )
    return usable, notes


def _require_participants(file: TrainingFile, codes: Sequence[set[str]]) -> None:
    """Raise ValueError if nobody has a code of ``excluded`` or ``held_out``.

    ``codes``: those of the recordings of each source.
    """
    named = [
        ("data.excluded", source.excluded, known)
        for source, known in zip(file.sources, codes, strict=True)
    ]
    named.append(("protocol.held_out", file.protocol.held_out, set().union(*codes)))
    for key, wanted, known in named:
        if unknown := [code for code in wanted if code not in known]:
            there = ", ".join(sorted(known - {""}, key=natural)) or "none"
            raise ValueError(
                f"{file.path.name}: {key} names {', '.join(map(repr, unknown))}, and "
                f"no recording is of this participant; the participants are {there}"
            )


def _moment_set(
    file: TrainingFile, ticks: Sequence[LabelledTicks]
) -> tuple[MomentSet, list[str]]:
    """Return the moments of the recordings with their targets, and notes."""
    recordings, targets, notes = [], [], []
    for part in ticks:
        labels = [_label(span, file) for span in part.spans]
        usable = [label is not None for label in labels]
        if not any(usable):
            notes.append(f"{part.name} is left out: {_no_label(file, part.spans)}")
            continue
        moments = moments_of(part, file.features, usable)
        if not len(moments.at):
            notes.append(f"{part.name} is left out: {_no_moment(file)}")
            continue
        recordings.append(moments)
        targets += [labels[k] for k in moments.span]
    if not recordings:
        raise ValueError(f"{file.path.name}: nothing to learn from: {notes[0]}")
    classes = tuple(file.target.classes)
    y = np.array(targets, np.intp if classes else np.float64)
    dimensions = () if classes else tuple(file.target.columns)
    if not any(r.settled.any() for r in recordings):
        raise ValueError(f"{file.path.name}: {_no_test(file, recordings[0].memory)}")
    moments_set = MomentSet(
        tuple(recordings), y, file.features, dimensions, classes, file.output.seed
    )
    return moments_set, notes


def _label(span: ConditionSpan, file: TrainingFile) -> Any:
    """Return the class number or the ratings of a span; None where it has none."""
    if file.target.conditions:
        for k, names in enumerate(file.target.classes.values()):
            if span.name in names:
                return k
        return None
    ratings = [
        file.target.scaled(span.answers.get(column, np.nan))
        for column in file.target.columns.values()
    ]
    outside = [r for r in ratings if abs(r) > 1 + 1e-9]
    if outside:
        low, high = file.target.scale
        raise ValueError(
            f"{file.path.name}: a rating of {span.name!r} lies outside of {low:g} to "
            f"{high:g}: state target.scale = [lowest, highest] of the data"
        )
    return ratings if np.isfinite(ratings).any() else None


def _no_label(file: TrainingFile, spans: Sequence[ConditionSpan]) -> str:
    if file.target.conditions:
        names = ", ".join(dict.fromkeys(s.name for s in spans)) or "none"
        return f"none of the conditions is in it; it has {names}"
    known = ", ".join(rating_names(tuple(spans))) or "none"
    wanted = ", ".join(file.target.columns.values())
    return f"it has no rating of {wanted}; its ratings are {known}"


def _no_moment(file: TrainingFile) -> str:
    return (
        "no labelled moment has a feature and lies later than the baseline of "
        f"{file.features.baseline_seconds:g} s: choose a shorter baseline_seconds "
        "(0 for none), or features with shorter windows"
    )


def _no_test(file: TrainingFile, memory: float) -> str:
    return (
        "no moment can test a model, as none lies later than the baseline of "
        f"{file.features.baseline_seconds:g} s by the longest window of the features "
        f"({memory:g} s): choose features with shorter windows, or a shorter "
        "baseline_seconds (0 for none)"
    )


def _evaluated(
    prepared: PreparedTraining,
    file: TrainingFile,
    moments: MomentSet,
    on_progress: OnProgress,
) -> tuple[Evaluation, FoldFits]:
    """Return the evaluation of the model and of its controls."""
    name = file.output.name
    split = file.protocol.protocol(len(set(moments.participants)))
    # The table too: the text of a long pipeline is shortened by scikit-learn.
    mark = repr((file.tables.get("model"), learner_mark(file.learner, file.trust)))
    counter = _Counter(on_progress, name)
    fits = FoldFits(moments, resuming(prepared), mark, prepared.work, counter.learner)
    models = dict(_controls(moments)) if file.output.controls else {}
    options = EvaluationOptions(
        metric_names=() if moments.classes else _METRICS,
        reference=name if models else "",
        per_segment=not moments.classes,
        seed=file.output.seed,
    )
    evaluations = {}
    for k, target in enumerate(moments.targets or ("conditions",)):
        counter.target = target
        evaluations[target] = evaluate(
            _task(moments, k), split, {name: fits.target(k), **models}, options,
            config=dict(file.tables), on_progress=counter.fold,
        )  # fmt: skip
    if len(evaluations) == 1:
        return next(iter(evaluations.values())), fits
    return together(evaluations, dict(file.tables)), fits


_METRICS: Final = ("RMSE", "r", "CCC", "negative log density")


class _Counter:
    """Progress over the folds of all models, and of the learner within a fold."""

    def __init__(self, on_progress: OnProgress, name: str) -> None:
        self._report, self._name = on_progress, name
        self.target, self._folds, self._text = "", 0, ""

    def fold(self, model: str, fold: str) -> None:
        """Report the begin of a fold."""
        self._folds += 1
        self._text = f"{self.target}: {model}, {fold} held out"
        self._report(RunProgress(self._text, self._folds, 0))

    def learner(self, progress: Progress) -> None:
        """Report the progress of the learner."""
        figure = ""
        if np.isfinite(progress.figure):
            figure = f"{progress.name} {progress.figure:.3f}"
        self._report(RunProgress(self._text, progress.step, progress.steps, figure))


def _task(moments: MomentSet, k: int) -> Task:
    """Return the task of a rating, or of the classes."""
    table = moments.table
    number = table["moment"].to_numpy(np.intp)
    rest = number < 0
    names = list(moments.settings.features)
    datasets = " + ".join(dict.fromkeys(r.names[0] for r in moments.recordings))
    common: dict[str, Any] = {
        "columns": names, "calibration": rest, "dataset": datasets,
        "testable": table["settled"].to_numpy(np.bool_),
    }  # fmt: skip
    if moments.classes:
        label = np.array([*moments.classes, ""], object)
        y = np.where(rest, -1, moments.y[np.maximum(number, 0)])
        table = table.assign(label=label[y])
        return Task(table, {c: (c,) for c in moments.classes}, **common)
    y = np.where(rest, np.nan, moments.y[np.maximum(number, 0), k])
    return Task(table, y=y, **common)


def _controls(moments: MomentSet) -> Iterator[tuple[str, EvaluatedModel]]:
    """Yield the rivals of a model: prior, clock, motion alone, a linear regression."""
    yield "prior", MajorityClass()
    yield "clock", TimeOnly()
    names = moments.settings.features
    if not names:
        return
    linear: Any = RidgeCV(np.logspace(0, 4, 9))
    if moments.classes:
        linear = LogisticRegression(class_weight="balanced", max_iter=2000)
    motion = [i for i, n in enumerate(names) if n.partition(".")[0] in _MOTION]
    if motion and len(motion) < len(names):
        yield "motion", RelativeModel(moments, SklearnModel(linear), tuple(motion))
    title = "logistic regression" if moments.classes else "ridge regression"
    every = tuple(range(len(names)))
    yield title, RelativeModel(moments, SklearnModel(linear), every)


def resuming(prepared: PreparedTraining) -> Learner:
    """Return the learner, which resumes a fit that was stopped if it can."""
    learner: Any = prepared.file.learner
    given = getattr(learner, "resuming", None)
    resumed: Learner = learner if given is None else given(prepared.work)
    return resumed


def write_results(outcome: TrainingOutcome, folder: Path) -> None:
    """Write the results page and figures of a run into a folder."""
    notes = (*outcome.evaluation.notes, *outcome.notes)
    results.save(replace(outcome.evaluation, notes=notes), folder)


def rating_prior(moments: MomentSet) -> Mapping[str, Any]:
    """Return mean and standard deviation of the ratings, each participant alike, (3,).

    NaN for a place without a target.
    """
    mean, sd = np.full((2, len(DIMENSIONS)), np.nan)
    for k, at in enumerate(scale_places(moments.targets)):
        y = moments.y[:, k]
        known = np.isfinite(y)
        _, of, count = np.unique(
            moments.participants[known], return_inverse=True, return_counts=True
        )
        weight = 1 / (count[of] * len(count))
        middle = float(weight @ y[known])
        mean[at] = middle
        sd[at] = max(float(np.sqrt(weight @ (y[known] - middle) ** 2)), 1e-3)
    return {"mean": mean, "sd": sd}
