"""Windows of Non-EEG with its physical stress, and the motion of the last minutes."""

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from experiments.cross_laboratory.feature_windows import STEP, WINDOW
from experiments.cross_laboratory.laboratories import DEVICE_RATE, NonEeg
from physio.core.block import Array
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events
from physio.datasets.feature_table import LABEL
from physio.offline.extract import Windowed, Windows

REST: Final = "rest"
EXERTION: Final = "exertion"
STRESS: Final = ("cognitive", "emotional")
NOW: Final = "motion.now"
BEFORE: Final = "motion.before"
CLOCK: Final = "clock"

_NAMES: Final = {
    "PhysicalStress": EXERTION,
    "CognitiveStress": "cognitive",
    "EmotionalStress": "emotional",
}
_TAU: Final = 120.0  # s, in which the heart recovers from a walk or jog
_LEAST: Final = 1e-3  # g


@dataclass(frozen=True)
class NonEegStages(NonEeg):
    """Non-EEG with each of its stages as a condition: physical stress is exertion."""

    def load(self, trial: Trial) -> Recording:
        """Return a participant's signals, with all stages as events."""
        recording = super().load(trial)
        labels = self._file[f"{trial.subject}/label1"]
        (eda,) = recording.streams["e4.eda"]
        end = min(len(labels), len(eda.data) / float(eda.info.rate))
        edges = [0, *(np.flatnonzero(labels[1:] != labels[:-1]) + 1), len(labels)]
        spans = [
            ConditionSpan(_NAMES.get(str(labels[a]), REST), float(a), min(b, end))
            for a, b in pairwise(edges)
        ]
        events = condition_events(
            spans, 0, 1, participant=trial.subject, until=end
        )  # fmt: skip
        return replace(recording, events=events)


def stage_windows(root: Path) -> pd.DataFrame:
    """Return a row per window of a minute, every 30 s, inside one stage.

    Parameters
    ----------
    root
        Folder with ``noneeg``.

    Returns
    -------
    DataFrame
        As `physio.datasets.feature_table` describes it; also ``heart.rate`` (mean of
        the pulse oximeter, 1/min), `NOW` and `BEFORE` (logarithms of the motion in the
        window, and of that which decays with 120 s until its end; g) and `CLOCK`
        (hours since the first window).
    """
    dataset = NonEegStages(root / "noneeg")
    windowed = Windowed(Windows(WINDOW, STEP, 0.5))
    parts = []
    for trial in dataset.trials():
        recording = dataset.load(trial)
        rows = pd.DataFrame(windowed.of(recording, trial))
        rows = rows[rows[LABEL].isin([REST, EXERTION, *STRESS])]
        parts.append(
            rows.assign(subject=trial.subject, **_device(recording, rows["start_s"]))
        )
    table = pd.concat(parts, ignore_index=True)
    return with_clock(table.sort_values(["subject", "start_s"], ignore_index=True))


def with_clock(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with `CLOCK`, the hours since each person's first window."""
    first = table.groupby("subject")["start_s"].transform("min")
    return table.assign(**{CLOCK: (table["start_s"] - first) / 3600})


def _device(recording: Recording, begins: pd.Series) -> dict[str, list[float]]:
    (rate,), (acc,) = (recording.streams[k] for k in (DEVICE_RATE, "e4.acc"))
    per = int(acc.info.rate)
    now = activity(acc.data, per)
    before = decayed(now)
    columns: dict[str, list[float]] = {"heart.rate": [], NOW: [], BEFORE: []}
    for begin in begins:
        at = slice(round(begin), round(begin + WINDOW))
        columns["heart.rate"].append(float(np.nanmean(rate.data[at, 0])))
        columns[NOW].append(float(np.log(now[at].mean() + _LEAST)))
        columns[BEFORE].append(float(np.log(before[at][-1] + _LEAST)))
    return columns


def activity(acceleration: Array, per: int) -> Array:
    """Return the deviation of the size of acceleration in each second, shape (n,)."""
    size = np.linalg.norm(acceleration, axis=1)
    seconds: Array = size[: len(size) // per * per].reshape(-1, per).std(axis=1)
    return np.nan_to_num(seconds)


def decayed(per_second: Array) -> Array:
    """Return the mean of the past, in which a second counts less by 120 s."""
    keep = np.exp(-1 / _TAU)
    out, level = np.empty(len(per_second)), float(per_second[0])
    for k, value in enumerate(per_second):
        level = keep * level + (1 - keep) * float(value)
        out[k] = level
    return out
