"""EEG at rest and during mental arithmetic, of 36 participants."""

import csv
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events
from physio.io import edf, npz_arrays

TESTED_WITH: Final = "2 and 24 real participants"
"""Tests behind this reader, for the page of supported formats."""

EEG: Final = (
    *("Fp1", "Fp2", "F3", "F4", "F7", "F8", "T3", "T4", "C3", "C4", "T5", "T6"),
    *("P3", "P4", "O1", "O2", "Fz", "Cz", "Pz"),
)
"""The electrodes, in the order of the files; ``A2-A1`` and the ECG come after."""

CONDITIONS: Final = ("rest", "arithmetic")
"""Parts, in the order of the experiment."""

COMPACT: Final = "compact128"
"""Folder with the last minute of rest and the first of arithmetic, at 128 Hz."""


@dataclass(frozen=True)
class Eegmat:
    """EEG before and during the serial subtraction of numbers: workload, not emotion.

    Two trials per participant, ``rest`` and ``arithmetic``, each in its own file.
    Second 0 of the session clock is the begin of the file.

    Parameters
    ----------
    root
        The folder with ``Subject00_1.edf`` (rest) and ``Subject00_2.edf``, or with the
        folder ``compact128``.
    compact
        Read the folder ``compact128``; by default True if it is present, because mixing
        the two would mix sampling rates.

    Notes
    -----
    Rest came first for all participants, so the condition is confounded with time. The
    derivation ``A2-A1`` and the ECG are separate streams, although the files also label
    the derivation as EEG.
    """

    root: Path
    compact: bool | None = None

    name: ClassVar[str] = "eegmat"
    citation: ClassVar[str] = (
        "Zyma, Tukaev, Seleznov, Kiyono, Popov, Chernykh, Shpenkov (2019): "
        "Electroencephalograms during mental arithmetic task performance. Data 4:14. "
        "doi:10.3390/data4010014; PhysioNet eegmat 1.0.0"
    )
    licence: ClassVar[str] = "ODC-By 1.0"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    def trials(self) -> tuple[Trial, ...]:
        """Return two trials per participant, ``arithmetic`` and ``rest``."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}")
        if self._compact:
            participants = {p.stem for p in (self.root / COMPACT).glob("Subject*.npz")}
        else:
            first = {p.stem[:-2] for p in self.root.glob("Subject*_1.edf")}
            participants = first & {
                p.stem[:-2] for p in self.root.glob("Subject*_2.edf")
            }
        if not participants:
            raise ValueError(
                f"{self.root} is no eegmat folder: it has neither Subject00_1.edf and "
                f"Subject00_2.edf nor {COMPACT}/Subject00.npz"
            )
        return tuple(sorted(Trial(p, "", c) for p in participants for c in CONDITIONS))

    def load(self, trial: Trial) -> Recording:
        """Return the signals of a participant in a condition.

        Streams ``neurocom.eeg``, ``neurocom.ref`` (``A2-A1``) and ``neurocom.ecg``
        (uV), at 128 Hz if compact, else at 500 Hz; events ``study.conditions``.
        ``about`` has the participant's age, gender, and the number of subtractions.

        Raises
        ------
        FileNotFoundError
            If there are no files of that participant.
        ValueError
            If there is no such condition, or a file is damaged.
        """
        if trial.trial not in CONDITIONS:
            raise ValueError(
                f"eegmat has {' and '.join(CONDITIONS)}, but no {trial.trial!r}"
            )
        number = CONDITIONS.index(trial.trial)
        if self._compact:
            path = self.root / COMPACT / f"{trial.subject}.npz"
            data, rate = _compact(path, number)
        else:
            path = self.root / f"{trial.subject}_{number + 1}.edf"
            data, rate = _whole(path)
        streams: dict[str, tuple[Block, ...]] = {}
        for name, first, channels in (
            ("eeg", 0, tuple(Channel(c, "eeg", "uV") for c in EEG)),
            ("ref", len(EEG), (Channel("A2-A1", "misc", "uV"),)),
            ("ecg", len(EEG) + 1, (Channel("ecg", "ecg", "uV"),)),
        ):
            info = StreamInfo(
                f"neurocom.{name}", rate, channels, participant=trial.subject
            )
            part = np.ascontiguousarray(data[:, first : first + len(channels)])
            streams[info.name] = (Block(info, 0, 0.0, part),)
        seconds = len(data) / float(rate)
        events = condition_events(
            [ConditionSpan(trial.trial, 0.0, seconds)],
            0,
            1,
            participant=trial.subject,
            until=seconds,
        )
        about = {
            "source": "eegmat",
            "citation": self.citation,
            "licence": self.licence,
            "participant": trial.subject,
            "begin": "0.0",
            **self._participant(trial.subject),
        }
        return Recording(streams, events, (), about)

    @property
    def _compact(self) -> bool:
        there = (self.root / COMPACT).is_dir()
        return there if self.compact is None else self.compact

    def _participant(self, subject: str) -> dict[str, str]:
        """Return the participant's entry in ``subject-info.csv``, if there is one."""
        path = self.root / "subject-info.csv"
        if not path.is_file():
            return {}
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = {row.get("Subject", ""): row for row in csv.DictReader(file)}
        entry = rows.get(subject, {})
        keys = {
            "Age": "age",
            "Gender": "gender",
            "Number of subtractions": "subtractions",
        }
        return {
            ours: entry[theirs] for theirs, ours in keys.items() if entry.get(theirs)
        }


def _compact(path: Path, number: int) -> tuple[Array, Fraction]:
    """Return one part of a participant (uV), shape (n, 21), and its rate."""
    data, scale, sfreq = npz_arrays.load(path, "data", "scale_uV", "sfreq")
    columns = len(EEG) + 2
    if sfreq.size != 1 or sfreq.dtype.kind not in "iuf" or sfreq.item() <= 0:
        raise ValueError(f"{path}: 'sfreq' is {sfreq.tolist()}, no rate")
    if data.shape[:2] != (len(CONDITIONS), columns) or scale.shape != (columns,):
        raise ValueError(
            f"{path}: 'data' has shape {data.shape}, not (2, {columns}, n)"
        )
    return data[number].T * scale.astype(np.float64), Fraction(sfreq.item())


def _whole(path: Path) -> tuple[Array, Fraction]:
    """Return the recorded signals of a file (uV), shape (n, 21), and its rate."""
    streams = edf.read(path).streams
    (eeg,) = streams.get("eeg.eeg", (None,))
    (ecg,) = streams.get("eeg.ecg", (None,))
    if eeg is None or ecg is None or eeg.info.names != (*EEG, "A2-A1"):
        raise ValueError(f"{path} has not the 21 channels of eegmat")
    return np.hstack([eeg.data, ecg.data]), eeg.info.rate
