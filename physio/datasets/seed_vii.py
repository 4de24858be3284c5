"""SEED-VII: EEG of 20 participants who watched 80 film clips of seven emotions."""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from physio.core.block import Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events, natural_sorted
from physio.datasets.seed import EEG
from physio.io import matlab

TESTED_WITH: Final = "a file assembled for the tests after the published format"
"""Tests behind this reader, for the page of supported formats."""

_HALVES: Final = (
    ("happy", "neutral", "disgust", "sad", "anger"),
    ("anger", "sad", "fear", "neutral", "surprise"),
    ("happy", "surprise", "disgust", "fear", "anger"),
    ("disgust", "sad", "fear", "surprise", "happy"),
)

EMOTIONS: Final = tuple(
    emotion for half in _HALVES for emotion in (*half, *reversed(half)) * 2
)
"""Emotion of each film: five forwards and backwards, twice in each session."""

SESSION: Final = 20
"""Films of a session."""

RATE: Final = 200

_FILE: Final = re.compile(r"\d{1,2}\.mat")


@dataclass(frozen=True)
class SeedVii:
    """The preprocessed EEG of SEED-VII, one trial for each participant and film.

    Parameters
    ----------
    root
        The folder with ``1.mat`` to ``20.mat``, ``EEG_preprocessed``.

    Notes
    -----
    The label is the emotion for which the authors chose the film, the same for all
    participants. The continuous self-assessment in ``continuous_labels`` is not read.
    The authors do not state the unit; values are taken as uV.
    """

    root: Path

    name: ClassVar[str] = "SEED-VII"
    citation: ClassVar[str] = (
        "Jiang, Liu, Zheng, Lu (2025): SEED-VII: a multimodal dataset of six basic "
        "emotions with continuous labels for emotion recognition. IEEE Transactions on "
        "Affective Computing 16:969-985. doi:10.1109/TAFFC.2024.3485057"
    )
    licence: ClassVar[str] = "SEED licence agreement (academic use)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    def trials(self) -> tuple[Trial, ...]:
        """Return one trial for each participant, session and film."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}")
        people = natural_sorted(
            p.stem for p in self.root.iterdir() if _FILE.fullmatch(p.name)
        )
        if not people:
            raise ValueError(f"{self.root} is no SEED-VII folder: it has no file 1.mat")
        return tuple(
            Trial(p, str(k // SESSION + 1), str(k + 1))
            for p in people
            for k in range(len(EMOTIONS))
        )

    def load(self, trial: Trial) -> Recording:
        """Return the EEG of a participant during a film.

        Stream ``neuroscan.eeg`` (uV, 200 Hz); events ``study.conditions``.

        Raises
        ------
        FileNotFoundError
            If there is no such participant.
        ValueError
            If there is no such film, or the file is damaged.
        """
        path = self.root / f"{trial.subject}.mat"
        if not _FILE.fullmatch(path.name) or not path.is_file():
            raise FileNotFoundError(f"{self.root} has no participant {trial.subject!r}")
        films = {str(k + 1): str(k // SESSION + 1) for k in range(len(EMOTIONS))}
        if films.get(trial.trial) != (trial.session or films.get(trial.trial, "-")):
            raise ValueError(
                f"SEED-VII has films 1 to {len(EMOTIONS)}, {SESSION} a session, but no "
                f"{trial.trial!r} in session {trial.session!r}"
            )
        values = matlab.load(path, trial.trial).get(trial.trial, np.empty(0))
        if values.ndim != 2 or values.shape[0] != len(EEG) or values.dtype.kind != "f":
            raise ValueError(
                f"{path}: {trial.trial!r} has shape {values.shape}, not ({len(EEG)}, n)"
            )
        channels = tuple(Channel(c, "eeg", "uV") for c in EEG)
        info = StreamInfo(
            "neuroscan.eeg", Fraction(RATE), channels, participant=trial.subject
        )
        block = Block(info, 0, 0.0, np.array(values.T, np.float64, order="C"))
        seconds = len(block) / RATE
        span = ConditionSpan(EMOTIONS[int(trial.trial) - 1], 0.0, seconds)
        events = condition_events(
            [span], -1, 1, participant=trial.subject, until=seconds
        )
        about = {
            "source": "SEED-VII, EEG_preprocessed",
            "citation": self.citation,
            "licence": self.licence,
            "participant": trial.subject,
            "begin": "0.0",
        }
        return Recording({info.name: (block,)}, events, (), about)
