"""Confound card: scores of rivals of the physiology, for each target of a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from physio.core.block import Array
from physio.datasets import feature_table
from physio.datasets.feature_table import LABEL, RATING, VALID_FRACTION
from physio.evaluation.row_index import Codes, RowIndex, Table
from physio.evaluation.statistics import bootstrap_ci

_GROUPS: Final = 5  # groups of participants that are left out in turn
_TREES: Final = 50
_LEAF: Final = 20  # least number of rows in a leaf, as of the time-only control
_FEWEST: Final = 3  # participants
_SEED: Final = 23

_MOTION: Final = ("motion", "acc", "accelerometer", "actigraphy", "movement", "gyro")
"""First parts of the names of columns of movement."""

_LEVELS: Final = ("amplitude", "rms", "tonic", "level", "power", "range")
"""Words in names of columns that hold the size of a signal."""

PARTICIPANT: Final = "participant"
BALANCED: Final = "balanced accuracy"
REMOVED: Final = "share of the squared error removed"


class Rival(NamedTuple):
    """Score of a rival of the physiology.

    ``name``; ``inputs``, a description; ``value``, mean over participants, with ``low``
    and ``high`` (95 % bootstrap over participants); ``per_participant``.
    """

    name: str
    inputs: str
    value: float
    low: float
    high: float
    per_participant: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class TargetCard:
    """Scores of the rivals for one target.

    Parameters
    ----------
    target
        Name of the column.
    metric, chance
        Name of the score, and its value without any information.
    rivals
        The rivals; the last one, ``all features``, is the comparison.
    absent
        Rivals that the table has no column for, and the reason.
    """

    target: str
    metric: str
    chance: float
    rivals: tuple[Rival, ...]
    absent: Mapping[str, str]

    @property
    def confounds(self) -> tuple[str, ...]:
        """Names of rivals above chance on held-out participants, by their interval."""
        held_out = [r for r in self.rivals[:-1] if r.name != PARTICIPANT]
        return tuple(r.name for r in held_out if r.low > self.chance)

    @property
    def text(self) -> str:
        """Interpretation, in a sentence or two."""
        if not self.confounds:
            return f"{self.target}: no rival reaches more than chance."
        listed = ", ".join(
            f"{r.name} {r.value:.2f} [{r.low:.2f}, {r.high:.2f}]"
            for r in self.rivals
            if r.name in self.confounds
        )
        return (
            f"{self.target}: above chance ({self.chance:.2f}) are {listed}. A model "
            f"says something of {self.target} only as far as it is better than these."
        )


@dataclass(frozen=True, eq=False)
class ConfoundCard:
    """Confounds of each target of a table.

    ``dataset``, its name; ``participants``, how many; ``targets``, a card of each.
    """

    dataset: str
    participants: int
    targets: tuple[TargetCard, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the card as a JSON object."""
        return {
            "dataset": self.dataset,
            "participants": self.participants,
            "targets": [
                {
                    "target": t.target,
                    "metric": t.metric,
                    "chance": t.chance,
                    "rivals": [r._asdict() for r in t.rivals],
                    "absent": dict(t.absent),
                    "confounds": list(t.confounds),
                    "text": t.text,
                }
                for t in self.targets
            ],
        }


def confound_card(
    table: Table,
    targets: Sequence[str] = (),
    stimulus: str = "",
    on_progress: Callable[[str, str], None] | None = None,
) -> ConfoundCard:
    """Train rivals of the physiology on each target; test on held-out participants.

    The rivals are a random forest on the time (``clock``), on the columns of movement,
    on the size of the signals (``amplitude``) and on the pattern of missing values; the
    mean of the other participants for the same ``stimulus`` and for the same place in
    the ``order``. Participants are left out in at most five groups. ``participant`` is
    the participant's own mean, known to a split with a participant on both sides.

    Parameters
    ----------
    table
        The rows, as `physio.datasets.feature_table` describes them.
    targets
        Columns, ``label`` or ``rating.<name>``; by default all with two values.
    stimulus
        Column that identifies the stimulus; by default ``stimulus`` or, if participants
        share its names, ``trial``, or of ratings ``label``.
    on_progress
        Callback before each rival, with the names of the target and the rival.

    Raises
    ------
    ValueError
        If there are fewer than three participants, or no such target or column.
    """
    index = RowIndex.of(table)
    people = len(set(index.participants))
    if people < _FEWEST:
        raise ValueError(
            f"a confound card needs {_FEWEST} participants, and the table has {people}"
        )
    if stimulus and stimulus not in index.table.columns:
        raise ValueError(
            f"the table has no column {stimulus!r}; it has "
            f"{', '.join(map(str, index.table.columns))}"
        )
    cards = [
        _target(index, target, stimulus, on_progress)
        for target in targets or _targets(index)
    ]
    names = index.table.get("dataset", pd.Series([""])).astype(str)
    return ConfoundCard(" and ".join(dict.fromkeys(names)), people, tuple(cards))


def to_markdown(card: ConfoundCard, picture: str = "") -> str:
    """Return a card as a page of Markdown; ``picture`` is its file, if any."""
    parts = [f"# Confounds of {card.dataset or 'the table'}"]
    parts.append(
        f"Rivals of the physiology, in {card.participants} participants. Each score "
        "is measured on held-out participants: mean over participants [95 % interval, "
        "participants drawn anew]. *participant* is the exception: it knows the "
        "participant's own mean, as every split with a participant on both sides does."
    )
    if picture:
        parts.append(f"![Scores of the rivals by target]({picture})")
    for target in card.targets:
        lines = [f"| rival | {target.metric} | reads |", "|---|---|---|"]
        lines += [
            f"| {r.name} | {r.value:.3f} [{r.low:.3f}, {r.high:.3f}] | {r.inputs} |"
            for r in target.rivals
        ]
        lines += [f"| {name} | - | {why} |" for name, why in target.absent.items()]
        heading = f"## {target.target} (chance: {target.chance:.3f})"
        parts += [heading, target.text, "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _targets(index: RowIndex) -> list[str]:
    """Return the columns of a table that are targets with at least two values."""
    table = index.table
    names = [LABEL] if LABEL in table.columns else []
    ratings = [str(c) for c in table.columns if str(c).startswith(RATING)]
    # A rating on a second scale, rating.arousal.sam, is the same target.
    names += [r for r in ratings if not any(r.startswith(f"{o}.") for o in ratings)]
    targets = [name for name in names if len(np.unique(_known(table, name)[1])) > 1]
    if not targets:
        raise ValueError(
            "the table has no target with two values: neither labels nor ratings"
        )
    return targets


def _known(table: pd.DataFrame, target: str) -> tuple[Any, Any]:
    """Return the mask of rows with a target, and its values in these rows."""
    if target not in table.columns:
        raise ValueError(
            f"the table has no target {target!r}; it has "
            f"{', '.join(str(c) for c in table.columns)}"
        )
    if target == LABEL:
        labels = table[LABEL].fillna("").astype(str).to_numpy()
        return labels != "", labels[labels != ""]
    values = table[target].to_numpy(np.float64)
    return np.isfinite(values), values[np.isfinite(values)]


class _Task(NamedTuple):
    """Rows with a target: values, participants, and groups that are left out."""

    rows: RowIndex
    y: Any  # class numbers, or ratings
    classes: int  # 0 for ratings
    people: Codes
    group: Any


def _target(
    whole: RowIndex,
    target: str,
    stimulus: str,
    on_progress: Callable[[str, str], None] | None,
) -> TargetCard:
    """Return the card of a target."""
    known, y = _known(whole.table, target)
    index = whole.take(np.flatnonzero(known))
    names, people = np.unique(index.participants, return_inverse=True)
    if len(names) < _FEWEST or len(np.unique(y)) < 2:
        raise ValueError(
            f"{target} has {len(np.unique(y))} values in {len(names)} participants; a "
            f"confound card needs two values and {_FEWEST} participants"
        )
    classes = 0
    if target == LABEL:
        levels, y = np.unique(y, return_inverse=True)
        classes = len(levels)
    group = people % min(len(names), _GROUPS)
    task = _Task(index, y, classes, index.participants, group)
    rivals, absent = [], {}
    for name, make in _RIVALS.items():
        if on_progress is not None:
            on_progress(target, name)
        inputs, output = make(task, stimulus)
        if output is None:
            absent[name] = inputs
        else:
            rivals.append(_scored(name, inputs, task, output))
    chance = 1 / classes if classes else 0.0
    metric = BALANCED if classes else REMOVED
    return TargetCard(target, metric, chance, tuple(rivals), absent)


def _scored(name: str, inputs: str, task: _Task, output: Array) -> Rival:
    """Return the score of predictions, participant by participant."""
    scores: dict[str, float] = {}
    plain = _lookup(task, np.zeros(len(task.y)))
    total = float(np.mean((task.y - plain) ** 2))
    for code in dict.fromkeys(task.people.tolist()):
        rows = task.people == code
        if task.classes:
            hits = output[rows] == task.y[rows]
            of = task.y[rows]
            score = float(np.mean([hits[of == c].mean() for c in np.unique(of)]))
        else:
            before = np.mean((task.y[rows] - plain[rows]) ** 2)
            after = np.mean((task.y[rows] - output[rows]) ** 2)
            score = float((before - after) / total)
        scores[code.replace("\x1f", " ").strip()] = round(score, 4)
    values = np.array(list(scores.values()))
    low, high = bootstrap_ci(values, _SEED)
    return Rival(name, inputs, round(float(values.mean()), 4), low, high, scores)


_Output = tuple[str, Array | None]


def _by_group(task: _Task, predict: Callable[[Any, Any], Array]) -> Array:
    """Return predictions of participants that are left out in turn."""
    out = np.full(len(task.y), np.nan)
    for group in np.unique(task.group):
        test = task.group == group
        out[test] = predict(~test, test)[test]
    return out


def _forest(task: _Task, x: Array) -> Array:
    """Return predictions of a random forest, balanced over classes."""
    z = np.where(np.isfinite(x), x, -1e9)
    leaf = max(1, min(_LEAF, len(z) // 20))

    def predict(train: Any, _: Any) -> Array:
        settings = {"min_samples_leaf": leaf, "random_state": _SEED, "n_jobs": 1}
        forest: Any = RandomForestRegressor(_TREES, **settings)
        if task.classes:
            forest = RandomForestClassifier(
                _TREES, class_weight="balanced_subsample", **settings
            )
        forest.fit(z[train], task.y[train])
        return np.asarray(forest.predict(z))

    return _by_group(task, predict)


def _lookup(task: _Task, keys: Any) -> Array:
    """Return the mean, or the most frequent class, of other people with equal keys."""
    _, codes = np.unique(keys, return_inverse=True)
    return _by_group(task, lambda train, _: _means(task, codes, train))


def _means(task: _Task, codes: Any, train: Any) -> Array:
    """Return the mean target of training rows of each row's key."""
    count = int(codes.max()) + 1
    if not task.classes:
        plain = float(task.y[train].mean())
        total = np.bincount(codes[train], task.y[train], count) + plain
        return np.asarray(
            (total / (np.bincount(codes[train], minlength=count) + 1))[codes]
        )
    frequent = np.bincount(task.y[train], minlength=task.classes)
    votes = np.zeros((count, task.classes))
    np.add.at(votes, (codes[train], task.y[train]), 1.0)
    # Weights of the classes as in balanced accuracy; the whole as a tie-break.
    balanced = votes / np.maximum(frequent, 1) + 1e-9 * frequent
    return np.asarray(balanced.argmax(axis=1)[codes])


def _clock(task: _Task, _: str) -> _Output:
    if "start_s" not in task.rows.table.columns:
        return "the table has no column 'start_s'", None
    begins = task.rows.table["start_s"].to_numpy(np.float64)
    first = pd.Series(begins).groupby(task.rows.recordings).transform("min")
    seconds = begins - first.to_numpy()
    return "seconds since the start", _forest(task, seconds[:, None])


def _columns(task: _Task, name: str, chosen: list[str]) -> _Output:
    if not chosen:
        return f"the table has no column of {name}", None
    listed = ", ".join(chosen[:4]) + (" ..." if len(chosen) > 4 else "")
    return listed, _forest(task, task.rows.table[chosen].to_numpy(np.float64))


def _motion(task: _Task, _: str) -> _Output:
    names = feature_table.features(task.rows.table)
    return _columns(task, "movement", [n for n in names if n.split(".")[0] in _MOTION])


def _amplitude(task: _Task, _: str) -> _Output:
    table = task.rows.table
    names = [n for n in feature_table.features(table) if n.split(".")[0] not in _MOTION]
    powers = [n for n in names if n.split(".")[0] == "eeg"]
    sizes = [n for n in names if set(n.replace(".", "_").split("_")) & set(_LEVELS)]
    sizes = [n for n in sizes if n not in powers]
    x = table[sizes].to_numpy(np.float64)
    listed = ", ".join(sizes[:4])
    if powers:
        values = table[powers].to_numpy(np.float64)
        count = np.isfinite(values).sum(axis=1)
        mean = np.nansum(values, axis=1) / np.maximum(count, 1)
        x = np.column_stack([x, np.where(count > 0, mean, np.nan)])
        listed = ", ".join([*sizes[:3], f"the mean of {len(powers)} columns of EEG"])
    if not x.shape[1]:
        return "the table has no column of the size of a signal", None
    return listed, _forest(task, x)


def _missing(task: _Task, _: str) -> _Output:
    table = task.rows.table
    names = feature_table.features(table)
    shares = [str(c) for c in table.columns if str(c).startswith(VALID_FRACTION)]
    gone = np.isnan(table[names].to_numpy(np.float64)).astype(np.float64)
    x = np.column_stack([gone, table[shares].to_numpy(np.float64)])
    x = x[:, [len(np.unique(c)) > 1 for c in x.T]]
    if not x.shape[1]:
        return "nothing is missing anywhere", None
    return "which features are missing, valid fractions", _forest(task, x)


def _stimulus(task: _Task, column: str) -> _Output:
    table = task.rows.table
    if not column:
        column = "stimulus" if "stimulus" in table.columns else "trial"
    if column not in table.columns:
        return "the table has no column of stimuli", None
    names = table[column].astype(str).to_numpy()
    people = pd.Series(task.people).groupby(names).nunique()
    shared = len(people) > 1 and (people > 1).mean() >= 0.5
    if not shared and not task.classes and LABEL in table.columns:
        return _stimulus(task, LABEL)
    if not shared:
        return f"participants share no names in the column {column!r}", None
    return f"mean of others for the same {column}", _lookup(task, names)


def _order(task: _Task, _: str) -> _Output:
    table = task.rows.table
    if not {"segment", "start_s"} <= set(table.columns):
        return "the table has no columns 'segment' and 'start_s'", None
    first = (
        pd.Series(table["start_s"].to_numpy(np.float64))
        .groupby(task.rows.segments)
        .transform("min")
    )
    place = first.groupby(task.people).rank(method="dense").to_numpy()
    if len(np.unique(place)) < 2:
        return "each participant has one segment", None
    return "mean of others for the same place in the order", _lookup(task, place)


def _participant(task: _Task, _: str) -> _Output:
    """Predict the mean, or the most typical class, of the participant's own rows."""
    codes = np.unique(task.people, return_inverse=True)[1]
    output = _means(task, codes, np.ones(len(task.y), np.bool_))
    return "the participant's own mean, tested rows included", output


def _features(task: _Task, _: str) -> _Output:
    names = feature_table.features(task.rows.table)
    x = task.rows.table[names].to_numpy(np.float64)
    return f"all {len(names)} features, for comparison", _forest(task, x)


_RIVALS: Final[dict[str, Callable[[_Task, str], _Output]]] = {
    "clock": _clock,
    "order": _order,
    "motion": _motion,
    "stimulus": _stimulus,
    PARTICIPANT: _participant,
    "amplitude": _amplitude,
    "missingness": _missing,
    "all features": _features,
}
