"""FACED: EEG of 123 participants who watched 28 video clips of nine emotions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events, natural_sorted
from physio.io import matlab, safe_pickle

TESTED_WITH: Final = "files assembled for the tests after the authors' description"
"""Tests behind this reader, for the page of supported formats."""

EEG: Final = (
    *("Fp1", "Fp2", "Fz", "F3", "F4", "F7", "F8", "FC1", "FC2", "FC5", "FC6", "Cz"),
    *("C3", "C4", "T7", "T8", "CP1", "CP2", "CP5", "CP6", "Pz", "P3", "P4", "P7"),
    *("P8", "PO3", "PO4", "Oz", "O1", "O2", "A2", "A1"),
)
"""The electrodes, in the order of the processed files (that of the second cohort)."""

EMOTIONS: Final = (
    *("anger",) * 3, *("disgust",) * 3, *("fear",) * 3, *("sadness",) * 3,
    *("neutral",) * 4, *("amusement",) * 3, *("inspiration",) * 3, *("joy",) * 3,
    *("tenderness",) * 3,
)  # fmt: skip
"""Emotion for which the authors chose each video, by its number."""

ITEMS: Final = (
    *("joy", "tenderness", "inspiration", "amusement", "anger", "disgust", "fear"),
    *("sadness", "arousal", "valence", "familiarity", "liking"),
)
"""Items rated after each video, on a scale from 0 to 7, in the order of the files."""

SHAPE: Final = (28, 32, 7500)
"""Videos, electrodes and samples of a file."""

RATE: Final = 250

_FILE: Final = re.compile(r"sub\d{3}\.pkl")


@dataclass(frozen=True)
class Faced:
    """The processed EEG of FACED, one trial for each participant and video.

    Parameters
    ----------
    root
        The folder with ``Processed_data/sub000.pkl`` ... and, for the ratings,
        ``Data/sub000/After_remarks.mat`` ...; or ``Processed_data`` itself.

    Notes
    -----
    A trial is the last 30 s of a video, filtered to 0.05-47 Hz and cleaned by ICA by
    the authors. Trials are numbered by video, not in the order of presentation;
    ``position`` of the metadata is the place in the participant's order. Videos tell
    emotions apart better than the feelings they arouse do: hold out participants and
    videos.
    """

    root: Path

    name: ClassVar[str] = "FACED"
    citation: ClassVar[str] = (
        "Chen, Wang, Huang, Hu, Qin, Zhang (2023): A large finer-grained affective "
        "computing EEG dataset. Scientific Data 10:740. doi:10.1038/s41597-023-02650-w"
    )
    licence: ClassVar[str] = "CC BY 4.0, Synapse syn50614194"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    def trials(self) -> tuple[Trial, ...]:
        """Return one trial for each participant and video."""
        people = natural_sorted(
            p.stem for p in self._signals.iterdir() if _FILE.fullmatch(p.name)
        )
        if not people:
            raise ValueError(
                f"{self.root} is no FACED folder: it has no Processed_data/sub000.pkl "
                "or alike"
            )
        videos = range(1, SHAPE[0] + 1)
        return tuple(Trial(p, "", str(v)) for p in people for v in videos)

    def load(self, trial: Trial) -> Recording:
        """Return the EEG of a participant during a video, with the ratings.

        Stream ``cap.eeg`` (uV, 250 Hz); events ``study.conditions`` (the emotion of the
        video) and, if the file of the ratings is there, ``study.ratings`` (`ITEMS`).

        Raises
        ------
        FileNotFoundError
            If there is no such participant.
        ValueError
            If there is no such video, or a file is damaged or has other content.
        """
        path = self._signals / f"{trial.subject}.pkl"
        if not _FILE.fullmatch(path.name) or not path.is_file():
            raise FileNotFoundError(f"{self.root} has no participant {trial.subject!r}")
        if trial.trial not in map(str, range(1, SHAPE[0] + 1)):
            raise ValueError(
                f"FACED has videos 1 to {SHAPE[0]}, but no {trial.trial!r}"
            )
        video = int(trial.trial)
        state = path.stat()
        data = _videos(path, state.st_mtime_ns, state.st_size)[video - 1]
        info = StreamInfo(
            "cap.eeg",
            Fraction(RATE),
            tuple(Channel(c, "eeg", "uV") for c in EEG),
            participant=trial.subject,
            reference="average",
        )
        block = Block(info, 0, 0.0, np.array(data.T, np.float64, order="C"))
        seconds = len(block) / RATE
        about = {
            "source": "FACED, Processed_data",
            "citation": self.citation,
            "licence": self.licence,
            "participant": trial.subject,
            "begin": "0.0",
        }
        answers, position = self._answers(trial.subject, video)
        if position:
            about["position"] = str(position)
        else:
            about["warnings"] = "no After_remarks.mat of the participant: no ratings"
        span = ConditionSpan(EMOTIONS[video - 1], 0.0, seconds, answers)
        events = condition_events(
            [span], 0, 7, participant=trial.subject, until=seconds
        )
        return Recording({info.name: (block,)}, events, (), about)

    @property
    def _signals(self) -> Path:
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}")
        inside = self.root / "Processed_data"
        return inside if inside.is_dir() else self.root

    def _answers(self, subject: str, video: int) -> tuple[dict[str, float], int]:
        """Return the ratings of a video, and its place in the order; empty without."""
        path = self._signals.parent / "Data" / subject / "After_remarks.mat"
        if not path.is_file():
            return {}, 0
        state = path.stat()
        remarks = _remarks(path, state.st_mtime_ns, state.st_size)
        if video not in remarks:
            raise ValueError(f"{path} has no ratings of video {video}")
        position, scores = remarks[video]
        return dict(zip(ITEMS, scores, strict=True)), position


@lru_cache(maxsize=1)  # all videos of a participant are in one file
def _videos(path: Path, changed: int, size: int) -> npt.NDArray[Any]:  # noqa: ARG001
    content = safe_pickle.load(path)
    if not isinstance(content, np.ndarray) or content.dtype.kind != "f":
        raise ValueError(f"{path} holds no array of numbers, as a file of FACED does")
    if content.shape != SHAPE:
        raise ValueError(f"{path} has shape {content.shape}; FACED's has {SHAPE}")
    return content


@lru_cache(maxsize=4)
def _remarks(
    path: Path, changed: int, size: int  # noqa: ARG001
) -> dict[int, tuple[int, tuple[float, ...]]]:  # fmt: skip
    """Return place in the order, and ratings, of each video."""
    arrays = matlab.load(path, "After_remark")
    remarks = {}
    for place in range(SHAPE[0]):
        score, video = (_field(arrays, place, key) for key in ("score", "vid"))
        if score.size != len(ITEMS) or video.size != 1:
            raise ValueError(
                f"{path}: After_remark({place + 1}) has no score of {len(ITEMS)} items "
                "and vid"
            )
        number = int(video.flat[0])
        if not ((score >= 0) & (score <= 7)).all() or not 1 <= number <= SHAPE[0]:
            raise ValueError(
                f"{path}: After_remark({place + 1}) has a score outside of 0 to 7, or "
                f"the video {number}"
            )
        remarks[number] = (place + 1, tuple(score.ravel().tolist()))
    return remarks


def _field(arrays: Mapping[str, Array], place: int, key: str) -> Array:
    """Return a field of one element of the array of structs."""
    value = arrays.get(f"After_remark/{place}/{key}")
    return np.empty(0) if value is None or value.dtype.kind not in "iuf" else value
