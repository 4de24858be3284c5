"""Stress-Predict: wristbands of 35 participants during three stress tasks."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from physio.core.events import Events
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events, natural_sorted
from physio.io import empatica, xlsx

TESTED_WITH: Final = "11 real participants"
"""Tests behind this reader, for the page of supported formats."""

LABELS: Final = "labels_per_second.csv"
"""The authors' label of each second, from their processed table."""

_FIRST: Final = re.compile(r"[A-Z]+1")
WORDS: Final = {"0": "rest", "1": "stress"}


@dataclass(frozen=True)
class StressPredict:
    """The wristbands of Stress-Predict.

    One trial per participant, the whole wristband recording; second 0 of the session
    clock is the earliest start of a sensor.

    Parameters
    ----------
    root
        The folder with ``raw/S01.zip`` and similar files and, for conditions,
        ``labels_per_second.csv``.

    Notes
    -----
    Conditions are the authors' labels in Unix time. The tags of the wristbands are not
    used (12 hours off in S30, and inconsistent with the labels in S06), nor are the
    written logs (on a 12-hour clock without a.m. or p.m.). Voluntary hyperventilation
    is labelled stress as well. There are no ratings of valence or arousal.
    """

    root: Path

    name: ClassVar[str] = "Stress-Predict"
    citation: ClassVar[str] = (
        "Iqbal, Simpkin, Roshan, Glynn, Killilea, Walsh, Molloy, Ganly, Ryman, Coen, "
        "Elahi, Wijns, Shahzad (2022): Stress monitoring using wearable sensors: a "
        "pilot study and stress-predict dataset. Sensors 22:8135. doi:10.3390/s22218135"
    )
    licence: ClassVar[str] = "MIT"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    def trials(self) -> tuple[Trial, ...]:
        """Return one trial per participant."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}")
        participants = [p.stem for p in (self.root / "raw").glob("S[0-9][0-9].zip")]
        if not participants:
            raise ValueError(
                f"{self.root} is no Stress-Predict folder: it has no raw/S01.zip"
            )
        return tuple(Trial(name) for name in natural_sorted(participants))

    def load(self, trial: Trial) -> Recording:
        """Return the signals of a wristband, with rest and stress as events.

        Streams ``e4.eda``, ``e4.bvp``, ``e4.acc`` and ``e4.temp`` as
        `physio.io.empatica.read` gives them, and its events; tags outside of the
        recording are left out. Events ``study.conditions``: ``rest`` and ``stress``;
        none for a participant without labels.

        Raises
        ------
        FileNotFoundError
            If there is no such participant.
        ValueError
            If a file is damaged or of another format.
        """
        path = self.root / "raw" / f"{trial.subject}.zip"
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.root} has no participant {trial.subject!r} (no file "
                f"raw/{trial.subject}.zip)"
            )
        band = empatica.read(path, participant=trial.subject)
        zero, end = float(band.metadata["begin_unix"]), band.end
        spans = [
            ConditionSpan(name, begin - zero, stop - zero)
            for name, begin, stop in self._labels(trial.subject)
            if begin - zero < end
        ]
        events = {name: _inside(e, end) for name, e in band.events.items()}
        about = {
            **band.metadata,
            "source": "Stress-Predict, Empatica E4",
            "citation": self.citation,
            "licence": self.licence,
        }
        conditions = condition_events(spans, 0, 1, participant=trial.subject, until=end)
        streams = {n: b for n, b in band.streams.items() if n != "e4.hr"}
        return Recording(streams, {**events, **conditions}, (), about)

    def answers(self, subject: str) -> dict[str, tuple[float, ...]]:
        """Return a participant's questionnaires before and after the study.

        Returns
        -------
        dict of tuple
            ``stai.before`` and ``stai.after``, the 40 items of the State-Trait Anxiety
            Inventory in the table's order, 1 to 4; ``pss.before`` and ``pss.after``,
            the ten items of the Perceived Stress Scale, 0 to 4. An item without an
            answer is NaN.

        Raises
        ------
        FileNotFoundError, ValueError
            If ``Questionnaires_scores.xlsx`` is absent or damaged, or does not contain
            that participant.
        """
        path = self.root / "Questionnaires_scores.xlsx"
        results: dict[str, tuple[float, ...]] = {}
        for number, name in ((1, "stai"), (2, "pss")):
            cells = xlsx.read(path, number)
            names = {v: c[:-1] for c, v in cells.items() if _FIRST.fullmatch(c)}
            if subject not in names:
                raise ValueError(f"{path} has no column of {subject!r}")
            before = names[subject]
            for time, column in (("before", before), ("after", _next(before))):
                results[f"{name}.{time}"] = _column(path, cells, column)
        return results

    def _labels(self, subject: str) -> list[tuple[str, float, float]]:
        """Return each run of one label, with its start and end (Unix seconds)."""
        path = self.root / LABELS
        if not path.is_file():
            return []
        runs: list[tuple[str, float, float]] = []
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line, row in enumerate(csv.DictReader(file), start=2):
                try:
                    participant = int(row["Participant"])
                    at, name = float(row["Time(sec)"]), WORDS[row["Label"].strip()]
                except (KeyError, ValueError, TypeError, AttributeError):
                    raise ValueError(
                        f"{path}, line {line}: it must have Participant, Time(sec) and "
                        "a Label of 0 or 1"
                    ) from None
                if f"S{participant:02d}" != subject:
                    continue
                if runs and runs[-1][0] == name and at == runs[-1][2]:
                    runs[-1] = (name, runs[-1][1], at + 1)
                else:
                    runs.append((name, at, at + 1))
        return sorted(runs, key=lambda run: run[1])


def _next(column: str) -> str:
    """Return the name of the next column: AA after Z."""
    head, last = column[:-1], column[-1]
    if last < "Z":
        return head + chr(ord(last) + 1)
    return (_next(head) if head else "A") + "A"


def _column(path: Path, cells: dict[str, str], column: str) -> tuple[float, ...]:
    """Return the answer to each item, from the numbered rows."""
    rows = [c[1:] for c, v in cells.items() if c[0] == "A" and c[1:].isdecimal()
            and v.isdecimal()]  # fmt: skip
    try:
        return tuple(float(cells.get(f"{column}{row}", "nan")) for row in rows)
    except ValueError:
        raise ValueError(
            f"{path}: column {column} has an answer that is no number"
        ) from None


def _inside(events: Events, end: float) -> Events:
    """Return the events during the recording of the wristband."""
    inside = (events.times >= 0) & (events.times <= end)
    labels = events.labels
    if labels:
        labels = tuple(name for name, keep in zip(labels, inside, strict=True) if keep)
    data = np.ascontiguousarray(events.data[inside])
    return Events(events.info, end, events.times[inside], data, labels)
