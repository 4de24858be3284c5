"""DEAP: EEG and body signals of 32 participants who watched 40 music videos."""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events, natural_sorted
from physio.io import safe_pickle

TESTED_WITH: Final = "a file assembled for the tests after the published format"
"""Tests behind this reader, for the page of supported formats."""

EEG: Final = (
    *("Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7"),
    *("PO3", "O1", "Oz", "Pz", "Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz"),
    *("C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2"),
)
"""The electrodes, in the order of the files."""

QUESTIONS: Final = ("valence", "arousal", "dominance", "liking")
"""Dimensions rated after each video, on a scale from 1 to 9."""

SHAPE: Final = (40, 40, 8064)
"""Videos, channels and samples of a file."""

RATE: Final = 128
BASELINE: Final = 3.0
"""Length of the recording before each video (s)."""

_SKIN: Final = (1e4, 1e8)
"""Range of skin resistance (Ohm), corresponding to 100 to 0.01 uS."""

_BODY: Final = {
    "eog": (32, (Channel("hEOG", "eog", "uV"), Channel("vEOG", "eog", "uV"))),
    "emg": (34, (Channel("zEMG", "emg", "uV"), Channel("tEMG", "emg", "uV"))),
    "eda": (36, (Channel("eda", "gsr", "uS"),)),
    "resp": (37, (Channel("resp", "resp", "1"),)),
    "bvp": (38, (Channel("bvp", "bio", "1"),)),
    "temp": (39, (Channel("temp", "temperature", "1"),)),
}


@dataclass(frozen=True)
class Deap:
    """The preprocessed signals of DEAP, ``data_preprocessed_python``.

    One trial for each participant and video. Second 0 of the session clock is where the
    video begins; three seconds of rest come before. Trial 7 is the same video for all
    participants, and not the seventh video in the participant's order.

    Parameters
    ----------
    root
        The folder with ``s01.dat`` to ``s32.dat``.

    Notes
    -----
    The authors have filtered the EEG to 4-45 Hz, so there is no delta band, and used
    the common average as reference. Their skin resistance (Ohm) is converted to
    conductance (uS); it is NaN outside of the range of skin. Respiration, pulse and
    temperature have no unit, as the authors state none.
    """

    root: Path

    name: ClassVar[str] = "DEAP"
    citation: ClassVar[str] = (
        "Koelstra, Muehl, Soleymani, Lee, Yazdani, Ebrahimi, Pun, Nijholt, Patras "
        "(2012): DEAP: a database for emotion analysis using physiological signals. "
        "IEEE Transactions on Affective Computing 3:18-31. doi:10.1109/T-AFFC.2011.15"
    )
    licence: ClassVar[str] = "DEAP end user licence agreement (academic use)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    def trials(self) -> tuple[Trial, ...]:
        """Return one trial for each participant and video."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}")
        participants = natural_sorted(p.stem for p in self.root.glob("s[0-9][0-9].dat"))
        if not participants:
            raise ValueError(
                f"{self.root} is no DEAP folder: it has no file s01.dat or alike"
            )
        videos = range(1, SHAPE[0] + 1)
        return tuple(
            Trial(participant, "", str(v))
            for participant in participants
            for v in videos
        )

    def load(self, trial: Trial) -> Recording:
        """Return the signals of a participant during a video, with the ratings.

        Streams ``biosemi.eeg``, ``.eog`` and ``.emg`` (uV), ``biosemi.eda`` (uS), and
        without units ``biosemi.resp``, ``.bvp`` and ``.temp``; all at 128 Hz. Events
        ``study.conditions`` and ``study.ratings`` as
        `physio.datasets.base.condition_events` has them: valence, arousal, dominance
        and liking.

        Raises
        ------
        FileNotFoundError
            If there is no file of that participant.
        ValueError
            If there is no such video, or the file is damaged.
        """
        path = self.root / f"{trial.subject}.dat"
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.root} has no participant {trial.subject!r} (no file "
                f"{path.name})"
            )
        if trial.trial not in map(str, range(1, SHAPE[0] + 1)):
            raise ValueError(f"DEAP has videos 1 to {SHAPE[0]}, but no {trial.trial!r}")
        state = path.stat()
        data, labels = _file(path, state.st_mtime_ns, state.st_size)
        i = int(trial.trial) - 1
        answers = dict(zip(QUESTIONS, labels[i].tolist(), strict=True))
        video = ConditionSpan(f"video {trial.trial}", 0.0, 60.0, answers)
        about = {
            "source": "DEAP, preprocessed",
            "citation": self.citation,
            "licence": self.licence,
            "participant": trial.subject,
            "begin": repr(-BASELINE),
        }
        events = condition_events([video], 1, 9, participant=trial.subject, until=60.0)
        return Recording(_streams(data[i], trial.subject), events, (), about)


def _streams(
    data: npt.NDArray[np.float64], participant: str
) -> dict[str, tuple[Block, ...]]:
    eeg = tuple(Channel(name, "eeg", "uV") for name in EEG)
    parts = {"eeg": (0, eeg), **_BODY}
    streams: dict[str, tuple[Block, ...]] = {}
    for name, (first, channels) in parts.items():
        values = data[first : first + len(channels)].T
        if name == "eda":
            values = _conductance(values)
        reference = "average" if name == "eeg" else ""
        info = StreamInfo(
            f"biosemi.{name}", Fraction(RATE), channels, participant=participant,
            reference=reference,
        )  # fmt: skip
        block = Block(info, 0, -BASELINE, np.array(values, np.float64, order="C"))
        streams[info.name] = (block,)
    return streams


def _conductance(ohm: Array) -> Array:
    """Return conductances (uS) of resistances (Ohm)."""
    low, high = _SKIN
    skin = (ohm >= low) & (ohm <= high)
    missing = np.where(np.isnan(ohm), ohm, MissingReason.POOR_QUALITY.nan)
    return np.where(skin, 1e6 / np.where(skin, ohm, 1.0), missing)


@lru_cache(maxsize=1)  # all forty videos of a participant are in one file
def _file(path: Path, changed: int, size: int) -> tuple[Array, Array]:  # noqa: ARG001
    """Return signals and ratings of a participant, unchanged from the file."""
    content = safe_pickle.load(path)
    if not isinstance(content, dict):
        content = {}
    for key, shape in (("data", SHAPE), ("labels", (SHAPE[0], len(QUESTIONS)))):
        part = content.get(key)
        if not isinstance(part, np.ndarray) or part.shape != shape:
            problem = (
                f"shape {part.shape}" if isinstance(part, np.ndarray) else "no array"
            )
            raise ValueError(f"{path}: {key!r} is {problem}; DEAP's has shape {shape}")
    labels = content["labels"]
    if not ((labels >= 1) & (labels <= 9)).all():
        raise ValueError(f"{path}: 'labels' has a rating outside of 1 to 9")
    return content["data"], labels
