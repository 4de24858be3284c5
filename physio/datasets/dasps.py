"""DASPS: headset EEG of people whom a psychotherapist led through six situations."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events, natural_sorted
from physio.io import csv_rows, npz_arrays

TESTED_WITH: Final = "15 real participants"
"""Tests behind this reader, for the page of supported formats."""

EEG: Final = (
    *("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4"),
    *("F8", "AF4"),
)
"""The electrodes, in the order of the file."""

SIGNALS: Final = "dasps_raw_eeg_128hz.npz"
RATINGS: Final = "ratings.csv"
PARTICIPANTS: Final = "participants.csv"

SITUATIONS: Final = 6
STAGE: Final = 15.0
"""Length of the recitation, and of the recall that follows it (s)."""

QUESTIONS: Final = ("valence", "arousal")
"""Dimensions rated after each situation, on a scale from 1 to 9."""

_EPOC: Final = Fraction(128)
_COLUMNS: Final = (
    *("person", "situation", *QUESTIONS, "recite_start_s", "recall_start_s"),
)


@dataclass(frozen=True)
class Dasps:
    """The raw EEG of DASPS, one trial for each participant.

    Each of six situations is recited to the participant for 15 s and then recalled for
    15 s; the ratings follow. Second 0 of the session clock is the first sample.

    Parameters
    ----------
    root
        The folder with ``dasps_raw_eeg_128hz.npz``, ``ratings.csv`` and
        ``participants.csv``.

    Notes
    -----
    The situations come in the same order for everybody, so the situation is confounded
    with time; there is no rest, and nearly all ratings of valence are low. Electrodes
    have offsets of about 85 or 4200 uV, as the headset sent them: chains remove them.
    """

    root: Path

    name: ClassVar[str] = "DASPS"
    citation: ClassVar[str] = (
        "Baghdadi, Aribi, Fourati, Halouani, Siarry, Alimi (2019): DASPS: a database "
        "for anxious states based on a psychological stimulation. arXiv:1901.02942"
    )
    licence: ClassVar[str] = "IEEE DataPort, open access; the terms are not in the data"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    def trials(self) -> tuple[Trial, ...]:
        """Return one trial for each participant."""
        path = self.root / SIGNALS
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.root} is no DASPS folder: it has no {SIGNALS}"
            )
        rated = self.root / RATINGS
        people = {row["person"] for row in csv_rows.read(rated, *_COLUMNS)}
        if not people:
            raise ValueError(f"{rated} has no rating")
        return tuple(Trial(name) for name in natural_sorted(people))

    def load(self, trial: Trial) -> Recording:
        """Return the EEG of a participant, with situations and ratings as events.

        Stream ``emotiv.eeg`` (uV, 128 Hz); events ``study.conditions`` (``situation 1``
        to ``situation 6``, from the recitation to the end of the recall) and
        ``study.ratings`` (valence, arousal). ``about`` has the scores of the Hamilton
        anxiety rating scale before and after.

        Raises
        ------
        FileNotFoundError
            If there is no such participant or file.
        ValueError
            If a file is damaged, or times or ratings are impossible.
        """
        path = self.root / SIGNALS
        if trial not in self.trials():
            raise FileNotFoundError(f"{path} has no participant {trial.subject!r}")
        who = trial.subject
        electrodes, rate, data, starts = npz_arrays.load(
            path, "channels", "fs", f"{who}_eeg", f"{who}_seg_start"
        )
        signal = _signal(path, who, electrodes, rate, data)
        info = StreamInfo(
            "emotiv.eeg",
            _EPOC,
            tuple(Channel(c, "eeg", "uV") for c in EEG),
            participant=who,
        )
        seconds = len(signal) / float(_EPOC)
        spans = self._spans(who, starts, seconds)
        events = condition_events(spans, 1, 9, participant=who, until=seconds)
        about = {
            "source": "DASPS, raw EEG",
            "citation": self.citation,
            "licence": self.licence,
            "participant": who,
            "begin": "0.0",
            **self._anxiety(who),
        }
        return Recording({info.name: (Block(info, 0, 0.0, signal),)}, events, (), about)

    def _spans(
        self, who: str, starts: npt.NDArray[np.integer], seconds: float
    ) -> list[ConditionSpan]:
        """Return the situations, on which table and samples must agree."""
        path = self.root / RATINGS
        rows = [r for r in csv_rows.read(path, *_COLUMNS) if r["person"] == who]
        try:
            rows.sort(key=lambda row: int(row["situation"]))
            numbers = [int(row["situation"]) for row in rows]
            begins = [float(row["recite_start_s"]) for row in rows]
            recalls = [float(row["recall_start_s"]) for row in rows]
            answers = [{q: float(row[q]) for q in QUESTIONS} for row in rows]
        except ValueError:
            raise ValueError(
                f"{path}: a row of {who} lacks a number in {', '.join(_COLUMNS[1:-1])} "
                f"or {_COLUMNS[-1]}"
            ) from None
        if numbers != list(range(1, SITUATIONS + 1)):
            raise ValueError(
                f"{path} has the situations {numbers} of {who}, not 1 to {SITUATIONS}"
            )
        if not all(1 <= a <= 9 for given in answers for a in given.values()):
            raise ValueError(f"{path} has a rating of {who} outside of 1 to 9")
        if not np.isfinite([*begins, *recalls]).all():
            raise ValueError(f"{path} has a time of {who} that is no number")
        if starts.dtype.kind not in "iu":
            raise ValueError(
                f"{self.root / SIGNALS}: {who}_seg_start is {starts.dtype}, no integers"
            )
        sampled = np.column_stack([begins, recalls]).ravel() * float(_EPOC)
        if starts.shape != sampled.shape or np.abs(starts - sampled).max() > 1:
            raise ValueError(
                f"{path} and {SIGNALS} differ on when the situations of {who} begin"
            )
        if np.diff(begins).min() <= 0 or recalls[-1] >= seconds or begins[0] < 0:
            raise ValueError(
                f"{path}: situations of {who} are outside of the recording"
            )
        return [
            ConditionSpan(
                f"situation {number}", begin, min(recall + STAGE, seconds), given
            )
            for number, begin, recall, given in zip(
                numbers, begins, recalls, answers, strict=True
            )
        ]

    def _anxiety(self, who: str) -> dict[str, str]:
        """Return the scores of the Hamilton anxiety rating scale, if there are any."""
        path = self.root / PARTICIPANTS
        if not path.is_file():
            return {}
        keys = ("hamilton_before", "hamilton_after")
        rows = [r for r in csv_rows.read(path, "person", *keys) if r["person"] == who]
        return {key: row[key] for row in rows for key in keys if row[key]}


def _signal(
    path: Path,
    who: str,
    electrodes: npt.NDArray[np.str_],
    rate: npt.NDArray[np.integer],
    data: npt.NDArray[np.floating],
) -> Array:
    if electrodes.tolist() != list(EEG) or rate.size != 1 or rate.item() != _EPOC:
        raise ValueError(
            f"{path}: 'channels' and 'fs' are not the {len(EEG)} electrodes of an EPOC "
            f"at {_EPOC} Hz"
        )
    if data.ndim != 2 or data.shape[0] != len(EEG) or data.dtype.kind != "f":
        raise ValueError(
            f"{path}: {who}_eeg has shape {data.shape}, not ({len(EEG)}, n)"
        )
    return np.array(data.T, np.float64, order="C")
