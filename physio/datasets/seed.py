"""SEED: EEG of 15 participants who watched 15 film clips, three times each."""

import re
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events
from physio.io import matlab

TESTED_WITH: Final = "a file assembled for the tests after the published format"
"""Tests behind this reader, for the page of supported formats."""

EEG: Final = (
    *("FP1", "FPZ", "FP2", "AF3", "AF4", "F7", "F5", "F3", "F1", "FZ", "F2", "F4"),
    *("F6", "F8", "FT7", "FC5", "FC3", "FC1", "FCZ", "FC2", "FC4", "FC6", "FT8"),
    *("T7", "C5", "C3", "C1", "CZ", "C2", "C4", "C6", "T8", "TP7", "CP5", "CP3"),
    *("CP1", "CPZ", "CP2", "CP4", "CP6", "TP8", "P7", "P5", "P3", "P1", "PZ", "P2"),
    *("P4", "P6", "P8", "PO7", "PO5", "PO3", "POZ", "PO4", "PO6", "PO8", "CB1", "O1"),
    *("OZ", "O2", "CB2"),
)
"""The electrodes, in the order of the files."""

LABELS: Final = (1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 0, 1, -1)
"""Label of each film: positive (1), neutral (0) or negative (-1)."""

WORDS: Final = {1: "positive", 0: "neutral", -1: "negative"}
RATE: Final = 200
BANDS: Final = ("delta", "theta", "alpha", "beta", "gamma")

_YEARS_OF_SEED_IV: Final = {"2015", "2016"}
_SEED_IV: Final = (
    "its films and labels (neutral, sad, fear, happy) are not those of SEED: give the "
    "folder Preprocessed_EEG of SEED, or read SEED-IV by a data set of your own, as "
    "docs/extend.md shows"
)
_FILE: Final = re.compile(r"(\d+)_(\d{8})\.mat")


@lru_cache(maxsize=64)
def _has_24_films(path: Path, _changed: int) -> bool:
    """Return whether a file has the films of SEED-IV; SEED has 15."""
    try:
        return bool(matlab.load(path, "*_eeg24"))
    except ValueError:  # it has no such variable
        return False


@dataclass(frozen=True)
class Seed:
    """The preprocessed EEG of SEED, one trial for each participant, session and film.

    Parameters
    ----------
    root
        The folder with ``1_20131027.mat`` and similar files, ``Preprocessed_EEG``.

    Notes
    -----
    Participants gave no ratings: the label is the emotion for which the authors chose
    the film, the same for all participants. Sessions are numbered from 1 by date. The
    authors do not state the unit; values are taken as uV. The first sample is retained,
    although a public reader drops it.
    """

    root: Path

    name: ClassVar[str] = "SEED"
    citation: ClassVar[str] = (
        "Zheng, Lu (2015): Investigating critical frequency bands and channels for "
        "EEG-based emotion recognition with deep neural networks. IEEE Transactions on "
        "Autonomous Mental Development 7:162-175. doi:10.1109/TAMD.2015.2431497"
    )
    licence: ClassVar[str] = "SEED licence agreement (academic use)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    def trials(self) -> tuple[Trial, ...]:
        """Return one trial for each participant, session and film."""
        films = range(1, len(LABELS) + 1)
        places = sorted(self._files(), key=lambda place: (int(place[0]), place[1]))
        return tuple(Trial(p, s, str(film)) for p, s in places for film in films)

    def load(self, trial: Trial) -> Recording:
        """Return the EEG of a participant during a film.

        Stream ``neuroscan.eeg`` (uV, 200 Hz); events ``study.conditions``: positive,
        neutral or negative.

        Raises
        ------
        FileNotFoundError
            If there is no such participant or session.
        ValueError
            If there is no such film, or the file is damaged.
        """
        path, film = self._find(trial)
        if _has_24_films(path, path.stat().st_mtime_ns):
            raise ValueError(f"{path}: it has 24 films; {_SEED_IV}")
        arrays = matlab.load(path, f"*_eeg{film}")
        ((name, values),) = list(arrays.items())[:1] or [("", np.empty(0))]
        if values.ndim != 2 or values.shape[0] != len(EEG):
            raise ValueError(
                f"{path}: {name or 'eeg'} has shape {values.shape}, not ({len(EEG)}, n)"
            )
        channels = tuple(Channel(c, "eeg", "uV") for c in EEG)
        info = StreamInfo(
            "neuroscan.eeg", Fraction(RATE), channels, participant=trial.subject
        )
        block = Block(info, 0, 0.0, np.array(values.T, np.float64, order="C"))
        seconds = len(block) / RATE
        span = ConditionSpan(WORDS[LABELS[film - 1]], 0.0, seconds)
        about = {
            "source": "SEED, Preprocessed_EEG",
            "citation": self.citation,
            "licence": self.licence,
            "participant": trial.subject,
            "begin": "0.0",
        }
        events = condition_events(
            [span], -1, 1, participant=trial.subject, until=seconds
        )
        return Recording({info.name: (block,)}, events, (), about)

    def features(self, trial: Trial, kind: str = "de_LDS") -> Array:
        """Return the authors' own features of a film, from ``ExtractedFeatures``.

        Parameters
        ----------
        trial
            Participant, session and film.
        kind
            ``"de_LDS"``, ``"de_movingAve"``, ``"psd_LDS"`` or ``"psd_movingAve"``.

        Returns
        -------
        ndarray, shape (windows of 1 s, 62 electrodes, 5 bands)

        Raises
        ------
        FileNotFoundError, ValueError
            As `load` does.
        """
        path, film = self._find(trial)
        (values,) = matlab.load(path, f"{kind}{film}").values()
        if values.ndim != 3 or (values.shape[0], values.shape[2]) != (62, len(BANDS)):
            raise ValueError(
                f"{path}: {kind}{film} has shape {values.shape}, not (62, n, 5)"
            )
        return np.ascontiguousarray(values.transpose(1, 0, 2), np.float64)

    def labels(self) -> npt.NDArray[np.int8]:
        """Return the label of each film from the folder's ``label.mat``.

        Raises
        ------
        ValueError
            If the labels differ from `LABELS`, those of the published data.
        """
        path = self.root / "label.mat"
        values = matlab.load(path, "label")["label"].ravel()
        if values.tolist() != list(LABELS):
            raise ValueError(f"{path}: 'label' is {values.tolist()}, not SEED's")
        return values.astype(np.int8)

    def _find(self, trial: Trial) -> tuple[Path, int]:
        path = self._files().get((trial.subject, trial.session))
        if path is None:
            raise FileNotFoundError(
                f"{self.root} has no file of participant {trial.subject!r}, session "
                f"{trial.session!r}"
            )
        if trial.trial not in map(str, range(1, len(LABELS) + 1)):
            raise ValueError(
                f"SEED has films 1 to {len(LABELS)}, but no {trial.trial!r}"
            )
        return path, int(trial.trial)

    def _files(self) -> dict[tuple[str, str], Path]:
        """Return the file of each participant and session."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}")
        dates = defaultdict(list)
        for path in self.root.iterdir():
            if match := _FILE.fullmatch(path.name):
                dates[match[1]].append((match[2], path))
        recorded = {date[:4] for files in dates.values() for date, _ in files}
        sessions = any(self.root.glob("[123]/*_20[0-9]*.mat"))
        if recorded & _YEARS_OF_SEED_IV or (sessions and not dates):
            raise ValueError(f"{self.root} is a folder of SEED-IV; {_SEED_IV}")
        if not dates:
            raise ValueError(
                f"{self.root} is no SEED folder: it has no file 1_20131027.mat or alike"
            )
        return {
            (participant, str(i)): path
            for participant, files in dates.items()
            for i, (_, path) in enumerate(sorted(files), start=1)
        }
