"""Data sets with different kinds of labels, as rows with the same inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.literature.wrist_rows import stress_task
from physio.core.block import Array
from physio.evaluation import metrics
from physio.models.baseline import transform

TRANSFORMS: Final[Mapping[str, str]] = {
    "plain.slope": "raw",
    "plain.activity": "raw",
    "device.rate": "raw",
    "eda.scr_rate": "sqrt",
    "eda.tonic": "log",
    "temperature.level": "raw",
}
"""Inputs of the trunk, as changes from a person's beginning."""

POSITIVE: Final = ("alert", "inspired", "determined", "attentive", "active")
NEGATIVE: Final = ("upset", "hostile", "ashamed", "nervous", "afraid")
_FIRST_SONGS: Final = 4
_CLIP: Final = 5.0


@dataclass(frozen=True, eq=False)
class Target:
    """A label of a data set.

    Parameters
    ----------
    name
        Name of the label.
    y
        Number of the class from 0, or a number; NaN where unknown, shape (n,).
    classes
        Number of classes; 0 for a number.
    high
        Class that counts as much stress or arousal.
    """

    name: str
    y: Array
    classes: int = 0
    high: int = 1

    @property
    def outputs(self) -> int:
        """Number of outputs of a model."""
        return self.classes or 1

    def at(self, rows: Any) -> "Target":
        """Return the label of some rows."""
        return replace(self, y=self.y[rows])

    def intensity(self) -> Array:
        """Return the label as a number that rises with stress or arousal, (n,)."""
        known = np.isfinite(self.y)
        as_number = np.where(known, self.y == self.high, np.nan)
        return np.asarray(as_number if self.classes else self.y, np.float64)


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Rows of a data set.

    Parameters
    ----------
    name
        Name of the data set.
    x
        Inputs; NaN where missing, shape (n, f).
    people
        Participant of each row, shape (n,).
    targets
        Labels; the first one is the principal one.
    """

    name: str
    x: Array
    people: Any
    targets: tuple[Target, ...]

    @property
    def outputs(self) -> int:
        """Number of outputs of a model, of all labels."""
        return sum(t.outputs for t in self.targets)

    def at(self, rows: Any) -> "LabelSet":
        """Return some rows."""
        targets = tuple(t.at(rows) for t in self.targets)
        return LabelSet(self.name, self.x[rows], self.people[rows], targets)

    def without(self, people: Sequence[str]) -> "LabelSet":
        """Return the rows of the other participants."""
        return self.at(~np.isin(self.people, people))

    def centred(self) -> "LabelSet":
        """Return the rows with numbers relative to the participant's own mean."""
        targets = tuple(
            t if t.classes else replace(t, y=less_own_mean(t.y, self.people))
            for t in self.targets
        )
        return replace(self, targets=targets)


def less_own_mean(y: Array, people: Any) -> Array:
    """Return numbers less the mean of their participant, shape (n,)."""
    mean = pd.Series(y).groupby(people).transform("mean").to_numpy()
    return np.asarray(y - mean)


def common_scale(sets: Sequence[LabelSet]) -> Array:
    """Return the scale of each input, each data set counting alike, shape (f,)."""
    square, known = np.zeros(sets[0].x.shape[1]), np.zeros(sets[0].x.shape[1])
    for rows in sets:
        for k, column in enumerate(rows.x.T):
            given = column[np.isfinite(column)]
            if len(given) > 1:
                square[k] += given.var()
                known[k] += 1
    scale: Array = np.sqrt(square / np.maximum(known, 1))
    return np.maximum(scale, 1e-9)


def scaled(x: Array, scale: Array) -> Array:
    """Return inputs in units of their scale; missing ones have not changed."""
    return np.clip(np.nan_to_num(x / scale), -_CLIP, _CLIP)


def concordance_score(target: Target, output: Array) -> float:
    """Return the share of pairs of different labels in the right order; NaN without.

    Of classes it is the area under the ROC curve, with more than two the mean of each
    class against the others. ``output`` of the rows, shape (n, outputs).
    """
    known = np.isfinite(target.y)
    y, shown = target.y[known], output[known]
    if len(np.unique(y)) < 2:
        return float("nan")
    if target.classes:
        return metrics.auc(y.astype(np.int64), shown)
    above = y[:, None] > y[None, :]
    off = shown[:, 0][:, None] - shown[:, 0][None, :]
    right = (off > 0) + 0.5 * (off == 0)
    return float(right[above].mean())


def wrist_sets(table: pd.DataFrame, root: Path) -> tuple[list[LabelSet], LabelSet]:
    """Return WESAD, EmoPairCompete, Non-EEG and HKU956, and Stress-Predict.

    The last one is a laboratory whose labels no head reads.

    Parameters
    ----------
    table
        Windows of the four wrist laboratories: see
        `experiments.cross_laboratory.feature_windows.windows`.
    root
        Folder with ``emopair`` and ``hku956``.
    """
    task = stress_task(table, TRANSFORMS)
    rows = task.table[task.included].reset_index(drop=True)
    rows = rows.assign(stressed=table["stressed"][task.included].to_numpy())
    rows["condition"] = table["label"][task.included].to_numpy()
    parts = dict(iter(rows.groupby("dataset")))
    records = pd.read_csv(root / "emopair" / "records.csv", dtype={"person": str})
    sets = [
        _set(parts["WESAD"], _wesad_targets(parts["WESAD"])),
        _set(
            parts["EmoPairCompete"], _emopair_targets(parts["EmoPairCompete"], records)
        ),
        _set(parts["Non-EEG"], (_stress(parts["Non-EEG"]),)),
        songs(root / "hku956"),
    ]
    other = parts["Stress-Predict"]
    return sets, _set(other, (_stress(other),))


def stressed_rows(table: pd.DataFrame) -> dict[str, Array]:
    """Return stress against rest of the rows of `wrist_sets`, by laboratory."""
    task = stress_task(table, TRANSFORMS)
    used = table[task.included]
    return {
        str(name): part["stressed"].to_numpy(np.float64)
        for name, part in used.groupby("dataset")
    }


def _set(rows: pd.DataFrame, targets: tuple[Target, ...]) -> LabelSet:
    x = rows[list(TRANSFORMS)].to_numpy(np.float64)
    people = rows["subject"].astype(str).to_numpy()
    return LabelSet(str(rows["dataset"].iloc[0]), x, people, targets)


def _stress(rows: pd.DataFrame) -> Target:
    return Target("stress", rows["stressed"].to_numpy(np.float64), 2)


def _wesad_targets(rows: pd.DataFrame) -> tuple[Target, ...]:
    names = ["baseline", "stress", "amusement"]
    codes = np.array([names.index(c) for c in rows["condition"]], np.float64)
    return (
        Target("condition", codes, 3),
        Target("SAM valence", rows["rating.valence"].to_numpy(np.float64)),
        Target("SAM arousal", rows["rating.arousal"].to_numpy(np.float64)),
    )


def _emopair_targets(rows: pd.DataFrame, records: pd.DataFrame) -> tuple[Target, ...]:
    keys = ["person", "round", "phase"]
    asked = records.assign(
        positive=records[list(POSITIVE)].mean(axis=1),
        negative=records[list(NEGATIVE)].mean(axis=1),
    ).set_index(keys)
    at = pd.MultiIndex.from_arrays(
        [
            rows["subject"].astype(str),
            rows["session"].astype(int),
            rows["trial"].astype(int),
        ],
        names=keys,
    )
    given = asked.loc[at]
    return tuple(
        Target(name, given[column].to_numpy(np.float64))
        for name, column in (
            ("frustration", "frustrated"),
            ("PANAS, positive", "positive"),
            ("PANAS, negative", "negative"),
        )
    )


def songs(folder: Path) -> LabelSet:
    """Return HKU956: a row per song, as changes from the person's first four songs."""
    records = pd.read_csv(folder / "records.csv", dtype={"person": str})
    rows = []
    with np.load(folder / "hku956_e4.npz", allow_pickle=False) as file:
        for person, song in zip(records["person"], records["song_no"], strict=True):
            rows.append(_song({k: file[f"{person}/{song}/{k}"] for k in _KINDS}))
    x = transform(np.array(rows), list(TRANSFORMS.values()))
    people = records["person"].to_numpy(str)
    order = records.groupby("person")["song_no"].rank(method="first").to_numpy()
    first = order <= _FIRST_SONGS
    for person in np.unique(people):
        own = people == person
        known = np.isfinite(x[own & first])
        total = np.where(known, x[own & first], 0).sum(axis=0)
        count = known.sum(axis=0)
        x[own] -= np.where(count > 0, total / np.maximum(count, 1), np.nan)
    targets = (
        Target("felt arousal", records["arousal"].to_numpy(np.float64)),
        Target("felt valence", records["valence"].to_numpy(np.float64)),
    )
    return LabelSet("HKU956", x, people, targets).at(~first)


_KINDS: Final = ("EDA", "HR", "TEMP")


def _song(part: Mapping[str, Array]) -> list[float]:
    """Return the inputs of a song; responses are not counted in so short a record."""
    eda = np.asarray(part["EDA"], np.float64)
    seconds = np.arange(len(eda)) / 4
    return [
        float(np.polyfit(seconds, np.log(np.maximum(eda, 1e-3)), 1)[0]),
        float(np.log(np.std(np.diff(eda)) + 1e-4)),
        float(np.mean(part["HR"])),
        float("nan"),
        float(np.mean(eda)),
        float(np.mean(part["TEMP"])),
    ]
