"""DREAMER: headset EEG and ECG of 23 participants who watched 18 film clips."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from physio.core.affect import DIMENSIONS
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events
from physio.io import matlab

TESTED_WITH: Final = "a file assembled for the tests after the published format"
"""Tests behind this reader, for the page of supported formats."""

EEG: Final = (
    *("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4"),
    *("F8", "AF4"),
)
"""The electrodes, in the order of the file."""

PARTICIPANTS: Final = 23
FILMS: Final = 18
TARGETS: Final = (
    *("calmness", "surprise", "amusement", "fear", "excitement", "disgust"),
    *("happiness", "anger", "sadness", "disgust", "calmness", "amusement"),
    *("happiness", "anger", "fear", "excitement", "sadness", "surprise"),
)
"""Target emotion of each film."""

QUESTIONS: Final = DIMENSIONS

_SIGNALS: Final = {
    "eeg": (128, tuple(Channel(name, "eeg", "uV") for name in EEG)),
    "ecg": (256, (Channel("ecg1", "ecg", "1"), Channel("ecg2", "ecg", "1"))),
}
"""Sampling rate (Hz) and channels of each signal."""


@dataclass(frozen=True)
class Dreamer:
    """The recordings of DREAMER, one trial for each participant and film.

    Second 0 of the session clock is where the film begins; the neutral clip before it
    is the time below 0.

    Parameters
    ----------
    root
        The folder with ``DREAMER.mat``.

    Notes
    -----
    The file does not state whether there was a pause between the neutral clip and the
    film: signals before and after second 0 are separate, adjacent blocks. Films differ
    in length. The unit of the ECG is not stated.
    """

    root: Path

    name: ClassVar[str] = "DREAMER"
    citation: ClassVar[str] = (
        "Katsigiannis, Ramzan (2018): DREAMER: a database for emotion recognition "
        "through EEG and ECG signals from wireless low-cost off-the-shelf devices. "
        "IEEE Journal of Biomedical and Health Informatics 22:98-107. "
        "doi:10.1109/JBHI.2017.2688239"
    )
    licence: ClassVar[str] = "DREAMER licence (academic use), zenodo.org/record/546113"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    @property
    def path(self) -> Path:
        """The only file of the data set."""
        return self.root / "DREAMER.mat"

    def trials(self) -> tuple[Trial, ...]:
        """Return one trial for each participant and film of the study."""
        if not self.path.is_file():
            raise FileNotFoundError(f"there is no file {self.path}")
        participants, films = range(1, PARTICIPANTS + 1), range(1, FILMS + 1)
        return tuple(Trial(str(p), "", str(f)) for p in participants for f in films)

    def load(self, trial: Trial) -> Recording:
        """Return the signals before and during a film, with the participant's ratings.

        Streams ``emotiv.eeg`` (uV, 128 Hz) and ``shimmer.ecg`` (no unit, 256 Hz), two
        blocks each: neutral clip and film. Events ``study.conditions`` (the target
        emotion of the film) and ``study.ratings`` as
        `physio.datasets.base.condition_events` has them, from 1 to 5.

        Raises
        ------
        FileNotFoundError
            If there is no file.
        ValueError
            If there is no such trial, or the file is damaged.
        """
        if trial not in self.trials():
            raise ValueError(
                f"DREAMER has participants 1 to {PARTICIPANTS} and films 1 to {FILMS}, "
                f"but no {trial.subject!r}, {trial.trial!r}"
            )
        participant, film = int(trial.subject) - 1, int(trial.trial) - 1
        state = self.path.stat()
        content = _participant(self.path, participant, state.st_mtime_ns, state.st_size)
        streams: dict[str, tuple[Block, ...]] = {}
        for name, device in (("eeg", "emotiv"), ("ecg", "shimmer")):
            rate, channels = _SIGNALS[name]
            info = StreamInfo(
                f"{device}.{name}", Fraction(rate), channels, participant=trial.subject
            )
            parts = [
                _signal(self.path, content, f"{name.upper()}/{part}/{film}", channels)
                for part in ("baseline", "stimuli")
            ]
            rest = len(parts[0])
            streams[info.name] = tuple(
                Block(info, start, -rest / rate, part)
                for start, part in zip((0, rest), parts, strict=True)
            )
        seconds = len(streams["emotiv.eeg"][1]) / _SIGNALS["eeg"][0]
        answers = {q: _score(self.path, content, q, film) for q in QUESTIONS}
        begin = min(blocks[0].t0 for blocks in streams.values())
        about = {
            "source": "DREAMER",
            "citation": self.citation,
            "licence": self.licence,
            "participant": trial.subject,
            "begin": repr(begin),
        }
        span = ConditionSpan(TARGETS[film], 0.0, seconds, answers)
        events = condition_events(
            [span], 1, 5, participant=trial.subject, until=seconds
        )
        return Recording(streams, events, (), about)


def _signal(
    path: Path,
    content: Mapping[str, npt.NDArray[Any]],
    name: str,
    channels: tuple[Channel, ...],
) -> Array:
    values = content.get(name)
    if values is None or values.ndim != 2 or values.shape[1] != len(channels):
        raise ValueError(
            f"{path}: {name} is missing or has not {len(channels)} columns"
        )
    return np.array(values, np.float64, order="C")


def _score(
    path: Path, content: Mapping[str, npt.NDArray[Any]], question: str, film: int
) -> float:
    name = f"Score{question.capitalize()}"
    values = content.get(name)
    if values is None or values.size != FILMS or not 1 <= values.flat[film] <= 5:
        raise ValueError(f"{path}: {name} has no rating from 1 to 5 of film {film + 1}")
    return float(values.flat[film])


@lru_cache(maxsize=1)  # all films of a participant are parsed at once
def _participant(
    path: Path, participant: int, changed: int, size: int  # noqa: ARG001
) -> dict[str, npt.NDArray[Any]]:  # fmt: skip
    """Return all arrays of a participant by path, relative to the participant."""
    within = f"DREAMER/Data/{participant}/"
    arrays = matlab.load(path, "DREAMER", within=within)
    if not arrays:
        raise ValueError(f"{path}: there is no DREAMER.Data({participant + 1})")
    return {name.removeprefix(within): value for name, value in arrays.items()}
