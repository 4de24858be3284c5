"""Wristband data sets with labels of different kinds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from experiments.literature.wrist_rows import stress_task
from experiments.unified_labels.label_sets import LabelSet, Target
from physio.core.block import Array
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
_KINDS: Final = ("EDA", "HR", "TEMP")


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
        mask = people == person
        known = np.isfinite(x[mask & first])
        total = np.where(known, x[mask & first], 0).sum(axis=0)
        count = known.sum(axis=0)
        x[mask] -= np.where(count > 0, total / np.maximum(count, 1), np.nan)
    targets = (
        Target("felt arousal", records["arousal"].to_numpy(np.float64)),
        Target("felt valence", records["valence"].to_numpy(np.float64)),
    )
    return LabelSet("HKU956", x, people, targets).at(~first)


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
