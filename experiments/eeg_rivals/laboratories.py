"""Rows of eegmat, SAM 40 and DASPS: features and windows relative to each person."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.linalg import eigh
from scipy.signal import butter, sosfiltfilt

from experiments.eeg_load.tables import OTHER_NAMES, RESTING, STEP, feature_rows
from physio.core.block import Array
from physio.datasets import dasps, eegmat, sam40
from physio.datasets.base import Dataset, Trial
from physio.datasets.feature_table import LABEL, RATING, features
from physio.evaluation.evaluate import Task

SESSION: Final = Path(__file__).with_name("features.toml")
SECONDS: Final = 4.0
"""Duration of the windows of the signal (s)."""

FEW: Final = (
    *("Fp1", "Fp2", "AF3", "AF4", "C3", "C4", "FC5", "FC6", "T5", "T6", "P7", "P8"),
    *("O1", "O2"),
)
"""Electrodes of which each laboratory has eight.

In so few, covariances have their full rank also where components were removed.
"""

SMALLEST: Final = 4
"""Number of eigenvalues that show which components were removed from a file."""

CLOCK: Final = "clock"
"""Column of the time since the beginning of the experiment, or of the trial (s)."""

RATE: Final = 128
"""Sampling rate of the three data sets (Hz)."""

_REST: Final = 20.0  # s of eegmat's rest that are its baseline
_LEAST: Final = 0.5  # least share of features that a row has
_BAND: Final = (4.0, 40.0)  # Hz, in which windows are recentred

Mask = npt.NDArray[np.bool_]


class Laboratory(NamedTuple):
    """Rows of a data set.

    ``table``, features relative to the participant's baseline, and the logarithms of
    the smallest eigenvalues of each window's covariance, ``rank.<k>``; ``x``, the
    windows of the signal before each row's end, shape (n, electrodes, samples);
    ``recentred``, the same with identity covariance in the participant's baseline;
    ``few``, that on the electrodes `FEW`; ``usable``, the rows that are not the
    baseline itself.
    """

    table: pd.DataFrame
    x: Array
    recentred: Array
    few: Array
    usable: Mask


def load(root: Path, name: str) -> Laboratory:
    """Return the rows of a data set: see `READERS` for the names.

    The baseline is the first 20 s of rest in eegmat, the first trial at rest in SAM 40,
    and in DASPS, which has no rest, all of the participant's situations together.
    """
    dataset, device, electrodes, baseline = READERS[name](root)
    table = feature_rows(dataset, device, SESSION)
    if name == "SAM 40":
        table = table.rename(columns=_renamed)
    names = [n for n in features(table) if n.rpartition(".")[2] in electrodes]
    drop = [n for n in features(table) if n not in names]
    table = table.drop(columns=drop)
    values = table[names].to_numpy(np.float64)
    windows = signal_windows(dataset, table, electrodes)
    known = np.isfinite(values).mean(axis=1) >= _LEAST
    known &= np.isfinite(windows).all(axis=(1, 2)) & (table[LABEL] != "").to_numpy()
    table, values = table[known].reset_index(drop=True), values[known]
    resting, usable = baseline(table)
    x = relative(values, table["subject"].to_numpy(), resting)
    table[names] = x
    windows, people = windows[known], table["subject"].to_numpy()
    clock = table["end_s"] + np.where(table["trial"] == "arithmetic", 60.0, 0.0)
    ranks = smallest_eigenvalues(windows)
    columns = {f"rank.{k}": ranks[:, k] for k in range(SMALLEST)}
    table = table.assign(**{CLOCK: clock}, **columns)
    few = windows[:, [i for i, e in enumerate(electrodes) if e in FEW]]
    return Laboratory(
        table,
        windows,
        recentred(windows, people, resting),
        recentred(few, people, resting),
        usable,
    )


def _eegmat(root: Path) -> tuple[Dataset, str, tuple[str, ...], Any]:
    data = eegmat.Eegmat(root / "eegmat")

    def baseline(table: pd.DataFrame) -> tuple[Mask, Mask]:
        resting = (table[LABEL] == "rest").to_numpy()
        rate = (table["end_sample"] - table["start_sample"]).median() / STEP
        early = (table["end_sample"] <= _REST * rate).to_numpy()
        later = (table["support_start_sample"] >= _REST * rate).to_numpy()
        return resting & early, ~resting | later

    return data, "neurocom", eegmat.EEG, baseline


def _sam40(root: Path) -> tuple[Dataset, str, tuple[str, ...], Any]:
    def baseline(table: pd.DataFrame) -> tuple[Mask, Mask]:
        resting = (table["trial"] == RESTING).to_numpy()
        return resting, ~resting

    return sam40.Sam40(root / "sam40"), "emotiv", eegmat.EEG, baseline


def _dasps(root: Path) -> tuple[Dataset, str, tuple[str, ...], Any]:
    def baseline(table: pd.DataFrame) -> tuple[Mask, Mask]:
        every = np.ones(len(table), np.bool_)
        return every, every

    return dasps.Dasps(root / "dasps"), "emotiv", dasps.EEG, baseline


READERS: Final[Mapping[str, Callable[[Path], Any]]] = {
    "eegmat": _eegmat,
    "SAM 40": _sam40,
    "DASPS": _dasps,
}
"""Data set, device, electrodes and baseline of each laboratory."""


def relative(values: Array, people: Any, resting: Mask) -> Array:
    """Return features less the mean of the participant's baseline; missing ones are 0.

    Parameters
    ----------
    values, people
        Features, shape (n, f), and the participant of each row.
    resting
        Mask of the baseline rows.

    Raises
    ------
    ValueError
        If a participant has no row of baseline.
    """
    out = np.full_like(values, np.nan)
    for who in np.unique(people):
        rows = people == who
        if not (rows & resting).any():
            raise ValueError(f"{who} has no whole window of baseline")
        out[rows] = values[rows] - np.nanmean(values[rows & resting], axis=0)
    return np.nan_to_num(out)


def recentred(windows: Array, people: Any, resting: Mask) -> Array:
    """Return windows whose mean covariance in the participant's baseline is 1.

    Parameters
    ----------
    windows, people
        Windows, shape (n, electrodes, samples) at 128 Hz, and the participant of each.
    resting
        Mask of the baseline windows. Their mean covariance between 4 and 40 Hz, shrunk
        by a hundredth towards its mean variance, is inverted.
    """
    out = np.empty_like(windows)
    for who in np.unique(people):
        rows = people == who
        x = _filtered(windows[rows & resting])
        mean = np.einsum("nct,ndt->cd", x, x) / (len(x) * x.shape[2])
        size = float(np.trace(mean)) / len(mean)
        mean = 0.99 * mean + 0.01 * size * np.eye(len(mean))
        values, vectors = eigh(mean)
        inverse = (vectors / np.sqrt(values)) @ vectors.T
        out[rows] = np.einsum("cd,ndt->nct", inverse, windows[rows])
    return out


def smallest_eigenvalues(windows: Array) -> Array:
    """Return the smallest eigenvalues of each covariance by its trace, log10, (n, 4).

    Components that were removed from a recording leave directions without variance:
    the eigenvalues show the cleaning of a file, whatever the participant does.
    """
    x = _filtered(windows)
    covariances = np.einsum("nct,ndt->ncd", x, x) / x.shape[2]
    values = np.linalg.eigvalsh(covariances)
    shares = values[:, :SMALLEST] / values.sum(axis=1, keepdims=True)
    return np.asarray(np.log10(np.maximum(shares, 1e-9)), np.float64)


def _filtered(windows: Array) -> Any:
    """Return windows between 4 and 40 Hz, without a phase."""
    sos = butter(4, _BAND, "bandpass", fs=float(RATE), output="sos")
    return sosfiltfilt(sos, np.asarray(windows, np.float64), axis=-1)


def signal_windows(
    dataset: Dataset, table: pd.DataFrame, electrodes: tuple[str, ...]
) -> Array:
    """Return 4 s of signal up to each row's end, (n, electrodes, samples), mean 0.

    Rows that are not whole are NaN.
    """
    width = round(SECONDS * RATE)
    shape = len(table), len(electrodes), width
    out: Any = np.full(shape, np.nan, np.float32)
    keys = ["subject", "session", "trial"]
    places: dict[Any, Any] = dict(table.groupby(keys, sort=False).indices)
    for (subject, session, trial), rows in places.items():
        streams = dataset.load(Trial(subject, session, trial)).streams
        (block,) = next(b for name, b in streams.items() if name.endswith(".eeg"))
        names = [OTHER_NAMES.get(n, n) for n in block.info.names]
        if not set(electrodes) <= set(names):
            names = list(block.info.names)
        picks = [names.index(e) for e in electrodes]
        for row in rows:
            stop = int(table["end_sample"].iloc[row])
            if width <= stop <= len(block.data):
                part = block.data[stop - width : stop, picks]
                out[row] = (part - part.mean(axis=0)).T
    return out


def task_of(laboratory: Laboratory, target: str) -> Task:
    """Return the task of a laboratory: ``task`` against rest, or a rating.

    A rating is high if it is above the participant's own mean; participants with equal
    ratings, and trials without one, take no part.
    """
    table, usable = laboratory.table, laboratory.usable
    if target == "task":
        resting = table["trial"].str.lower().str.startswith(("rest", "relax"))
        labels = np.where(resting, "rest", "task")
        classes = {"rest": ("rest",), "task": ("task",)}
    else:
        ratings = table[f"{RATING}{target}"]
        units = table.assign(r=ratings).groupby(["subject", "trial", "segment"])["r"]
        means = units.first().groupby("subject").mean()
        spread = units.first().groupby("subject").std()
        above = ratings > table["subject"].map(means)
        labels = np.where(above, "high", "low")
        rated = ratings.notna() & (table["subject"].map(spread) > 0)
        labels = np.where(rated, labels, "")
        classes = {"low": ("low",), "high": ("high",)}
    names = [n for n in features(table) if n != CLOCK]
    return Task(
        table.assign(**{LABEL: labels}),
        classes,
        x=laboratory.x,
        columns=names,
        included=usable & (labels != ""),
        dataset=str(table["dataset"].iloc[0]),
    )


def _renamed(column: Any) -> str:
    head, dot, electrode = str(column).rpartition(".")
    return f"{head}.{OTHER_NAMES.get(electrode, electrode)}" if dot else str(column)
