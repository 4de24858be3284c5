"""REFED: EEG of people who watched 15 videos and rated them by joystick."""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events, natural_sorted
from physio.io import csv_rows, matlab

TESTED_WITH: Final = "files assembled for the tests after the authors' code"
"""Tests behind this reader, for the page of supported formats."""

VIDEOS: Final = 15
ELECTRODES: Final = 64
QUESTIONS: Final = ("valence", "arousal", "dominance")
"""Dimensions rated after each video, on a scale from 1 to 9."""

RATES: Final = (1000, 200)
"""Rates (Hz) of the release and of the copy of a challenge."""

ANNOTATION: Final = "study.annotation"
"""Stream of the ratings during a video, one a second."""

_JOYSTICK: Final = (128.0, 127.0)  # middle and reach of the device's numbers


@dataclass(frozen=True)
class Refed:
    """The EEG of REFED, one trial for each participant and video.

    Second 0 of the session clock is where the video begins; the time before it, if the
    file of the baselines is there, is negative.

    Parameters
    ----------
    root
        The folder with ``data/1/EEG_videos.mat`` ..., ``annotations/1_label.mat`` ...,
        ``SAM_score.csv`` and ``EEG_channels.csv``.

    Notes
    -----
    The files state neither unit nor rate: values are taken as uV, and the rate is that
    of `RATES` at which the EEG is as long as the annotation, one a second. Annotations
    are numbers of a joystick, 1 to 255. The fNIRS is not read.
    """

    root: Path

    name: ClassVar[str] = "REFED"
    citation: ClassVar[str] = (
        "Ning, Wang, Feng, Xin, Zhang, Zhang, Lian, Ding, Lin, Jia (2025): REFED: a "
        "subject real-time dynamic labeled EEG-fNIRS synchronized recorded emotion "
        "dataset. NeurIPS 39"
    )
    licence: ClassVar[str] = "CC BY-NC-SA 4.0"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    def trials(self) -> tuple[Trial, ...]:
        """Return one trial for each participant and video."""
        people = natural_sorted(
            p.parent.name for p in (self.root / "data").glob("*/EEG_videos.mat")
        )
        if not people:
            raise FileNotFoundError(
                f"{self.root} is no REFED folder: it has no data/1/EEG_videos.mat"
            )
        return tuple(Trial(p, "", str(v)) for p in people for v in range(1, VIDEOS + 1))

    def load(self, trial: Trial) -> Recording:
        """Return the EEG of a participant during a video, with both kinds of ratings.

        Stream ``cap.eeg`` (uV); events ``study.conditions`` (``video 1`` ...),
        ``study.ratings`` (valence, arousal, dominance), and ``study.annotation``, the
        joystick's valence and arousal each second, on [-1, 1] and as it is.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such trial, or a file is absent, damaged or has other
            content.
        """
        if trial not in self.trials():
            raise FileNotFoundError(
                f"{self.root} has no video {trial.trial!r} of participant "
                f"{trial.subject!r}"
            )
        key, folder = f"video_{trial.trial}", self.root / "data" / trial.subject
        eeg = _signal(folder / "EEG_videos.mat", key)
        drawn = self._annotation(trial, key)
        rate = _rate(folder / "EEG_videos.mat", key, eeg.shape[1], len(drawn))
        info = StreamInfo(
            "cap.eeg",
            Fraction(rate),
            tuple(Channel(c, "eeg", "uV") for c in self._electrodes()),
            participant=trial.subject,
        )
        before = np.empty((ELECTRODES, 0))
        if (path := folder / "EEG_baselines.mat").is_file():
            before = _signal(path, key)
        rest = before.shape[1]
        blocks = tuple(
            Block(info, start, -rest / rate, np.array(part.T, np.float64, order="C"))
            for start, part in ((0, before), (rest, eeg))
            if part.shape[1]
        )
        seconds = eeg.shape[1] / rate
        answers = self._answers(trial)
        span = ConditionSpan(f"video {trial.trial}", 0.0, seconds, answers)
        events = condition_events(
            [span], 1, 9, participant=trial.subject, until=seconds
        )
        events[ANNOTATION] = _annotated(drawn, trial.subject, seconds)
        about = {
            "source": "REFED",
            "citation": self.citation,
            "licence": self.licence,
            "participant": trial.subject,
            "begin": repr(-rest / rate),
            "warnings": "the files state no unit of the EEG: it is taken as uV",
        }
        return Recording({info.name: blocks}, events, (), about)

    def _annotation(self, trial: Trial, key: str) -> npt.NDArray[np.float64]:
        """Return the joystick's numbers, shape (seconds, 2): valence, arousal."""
        path = self.root / "annotations" / f"{trial.subject}_label.mat"
        values = matlab.load(path, key).get(key, np.empty(0))
        if values.ndim != 2 or 2 not in values.shape or values.dtype.kind not in "iuf":
            raise ValueError(
                f"{path}: {key} has shape {values.shape}, not (seconds, 2)"
            )
        drawn = np.array(values if values.shape[1] == 2 else values.T, np.float64)
        if not ((drawn >= 1) & (drawn <= 255)).all():
            raise ValueError(f"{path}: {key} has a number outside of 1 to 255")
        return drawn

    def _answers(self, trial: Trial) -> dict[str, float]:
        path = self.root / "SAM_score.csv"
        columns = [f"Video_{trial.trial}_{q.capitalize()}" for q in QUESTIONS]
        rows = csv_rows.read(path, "sub_id", *columns)
        row = next((r for r in rows if r["sub_id"] == trial.subject), None)
        try:
            given = [float((row or {})[column]) for column in columns]
        except (KeyError, ValueError):
            given = [0.0]
        if not all(1 <= answer <= 9 for answer in given):
            raise ValueError(
                f"{path} has no ratings from 1 to 9 of participant {trial.subject}, "
                f"video {trial.trial}"
            )
        return dict(zip(QUESTIONS, given, strict=True))

    def _electrodes(self) -> tuple[str, ...]:
        """Return the names of the electrodes: the column whose names are all known."""
        from physio.io.montage import known

        path = self.root / "EEG_channels.csv"
        rows = csv_rows.read(path)
        for column in rows[0] if rows else ():
            names = [row[column] for row in rows]
            if len(names) == ELECTRODES == len(set(names)) and len(known(names)) > 50:
                return tuple(names)
        raise ValueError(
            f"{path} has no column with the {ELECTRODES} electrodes' names"
        )


def _signal(path: Path, key: str) -> npt.NDArray[Any]:
    values = matlab.load(path, key).get(key, np.empty(0))
    if values.ndim != 2 or values.shape[0] != ELECTRODES or values.dtype.kind != "f":
        raise ValueError(
            f"{path}: {key} has shape {values.shape}, not ({ELECTRODES}, n)"
        )
    return values


def _rate(path: Path, key: str, samples: int, seconds: int) -> int:
    """Return the rate at which EEG and annotation last as long as each other."""
    for rate in RATES:
        if abs(samples / rate - seconds) <= max(3.0, 0.03 * seconds):
            return rate
    raise ValueError(
        f"{path}: {key} has {samples} samples, and its annotation {seconds} s: that is "
        f"neither of {' and '.join(map(str, RATES))} Hz"
    )


def _annotated(drawn: npt.NDArray[np.float64], participant: str, end: float) -> Events:
    names = ("valence", "arousal", "valence.joystick", "arousal.joystick")
    info = replace(
        event_stream(ANNOTATION, *map(Channel, names)), participant=participant
    )
    times = np.arange(len(drawn), dtype=np.float64)
    inside = times <= end
    middle, reach = _JOYSTICK
    data = np.hstack([(drawn - middle) / reach, drawn])[inside]
    return Events(info, end, times[inside], np.ascontiguousarray(data), ())
