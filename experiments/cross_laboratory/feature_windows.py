"""Windows of a minute of four laboratories: live features and plain ones."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.cross_laboratory.laboratories import DEVICE_RATE, laboratories
from physio.core.block import Array
from physio.core.recording import Recording
from physio.datasets.feature_table import LABEL
from physio.offline.extract import Windowed, Windows

WINDOW: Final = 60.0  # s
STEP: Final = 30.0  # s
STRESS: Final = "stress"
REST: Final = ("baseline", "amusement", "rest")
_TASKS: Final = ("Stroop", "interview", "hyperventilation")
CERTAIN: Final = 5.0  # 1/min, deviation of a certain rate
_MOST: Final = 50  # values of the maker's heart rate that a window needs
_RATE: Final = 4  # Hz, of the EDA of the plain features


def windows(root: Path, tables: dict[str, Any] | None = None) -> pd.DataFrame:
    """Return a row per window of a minute, every 30 s, inside one condition.

    Parameters
    ----------
    root
        Folder with ``wesad``, ``stress_predict``, ``emopair`` and ``noneeg``.
    tables
        Chains by laboratory, as of a session file; by default those of a live session.

    Returns
    -------
    DataFrame
        As `physio.datasets.feature_table` describes it; also ``stressed``, ``task``
        (the stressor of Stress-Predict, or the condition), ``heart.certain``
        (`CERTAIN`), ``device.rate`` (mean of the maker's heart rate, 1/min),
        ``plain.slope`` (of the logarithm of skin conductance, 1/s) and
        ``plain.activity`` (logarithm of the deviation of its differences).
    """
    parts = []
    for dataset in laboratories(root):
        windowed = Windowed(
            Windows(WINDOW, STEP, 0.5, (tables or {}).get(dataset.name, {}))
        )
        for trial in dataset.trials():
            recording = dataset.load(trial)
            rows = pd.DataFrame(windowed.of(recording, trial))
            rows["dataset"], rows["subject"] = dataset.name, trial.subject
            rows = rows[rows[LABEL].isin([STRESS, *REST])]
            parts.append(_with_rivals(rows, recording))
    table = _with_heart(pd.concat(parts, ignore_index=True))
    return table.sort_values(["dataset", "subject", "start_s"], ignore_index=True)


def _with_rivals(rows: pd.DataFrame, recording: Recording) -> pd.DataFrame:
    """Return rows with the columns of the plain features and the names of tasks."""
    (rate,), (eda,) = (recording.streams[k] for k in (DEVICE_RATE, "e4.eda"))
    pace = int(eda.info.rate)
    per = pace // _RATE
    values: dict[str, list[float]] = {
        name: [] for name in ("device.rate", "plain.slope", "plain.activity")
    }
    for begin in rows["start_s"]:
        at = round(float(begin - rate.t0) * float(rate.info.rate))
        beat = rate.data[max(at, 0) : at + int(WINDOW), 0]
        values["device.rate"].append(beat.mean() if len(beat) >= _MOST else np.nan)
        at = max(round(float(begin - eda.t0) * pace), 0)
        x = eda.data[at : at + int(WINDOW) * pace, 0]
        slope, activity = plain(x[: len(x) // per * per].reshape(-1, per).mean(axis=1))
        values["plain.slope"].append(slope)
        values["plain.activity"].append(activity)
    kinds = _tasks(recording)
    return rows.assign(
        **values,
        stressed=rows[LABEL] == STRESS,
        task=[kinds.get(k, "") for k in rows["segment"]],
    )


def _tasks(recording: Recording) -> dict[int, str]:
    """Return the condition of each segment; those of Stress-Predict name the task."""
    labels = recording.events["study.conditions"].labels
    named = recording.metadata["source"].startswith("Stress-Predict")
    tasks = iter(_TASKS if named else ())
    return {
        k: next(tasks, label) if label == STRESS else label
        for k, label in enumerate(labels)
    }


def _with_heart(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with ``heart.certain``, and a rate where no pulse wave is.

    Without a pulse wave, the rate of another device is ``heart.rate``; its deviation is
    unknown. ``heart.certain`` lacks rates with a deviation above 5 per minute.
    """
    no_wave = table.groupby("dataset")["heart.rate"].transform("count") == 0
    rate = table["heart.rate"].where(~no_wave, table["device.rate"])
    uncertain = table["heart.rate.sd"] > CERTAIN
    return table.assign(**{"heart.rate": rate, "heart.certain": rate.where(~uncertain)})


def plain(x: Array) -> tuple[float, float]:
    """Return slope and activity of a minute of skin conductance at 4 Hz (uS)."""
    if len(x) < WINDOW * _RATE * 0.9 or not np.isfinite(x).all():
        return np.nan, np.nan
    seconds = np.arange(len(x)) / _RATE
    slope = np.polyfit(seconds, np.log(np.maximum(x, 1e-3)), 1)[0]
    return float(slope), float(np.log(np.std(np.diff(x)) + 1e-4))
