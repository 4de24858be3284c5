"""WESAD: wristbands during rest, a stress test, amusement and meditation."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Block, Channel
from physio.core.events import Events, event_stream
from physio.core.recording import Recording
from physio.datasets.base import Trial, natural_sorted
from physio.datasets.wesad_questionnaires import SAM, QuestionnaireCondition, conditions
from physio.io import empatica

TESTED_WITH: Final = "12 real participants"
"""Tests behind this reader, for the page of supported formats."""

LABELS: Final = ("undefined", "baseline", "stress", "amusement", "meditation")
"""Meanings of the codes 0 to 4 of `Wesad.labels`; codes 5 to 7 must be ignored."""

OFFSETS: Final = "e4_to_sync_offsets.json"

_LARGEST: Final = 1e9  # largest number in that file


@dataclass(frozen=True)
class Wesad:
    """The wristband recordings of WESAD.

    One trial per participant: the whole span, about 100 minutes, for which the study's
    synchronised file contains the wristband's signals. Second 0 of the session clock is
    the begin of that span.

    Parameters
    ----------
    root
        The folder with one folder per participant (``S2/S2_E4_Data.zip``,
        ``S2/S2_quest.csv``) and ``e4_to_sync_offsets.json``: start of the synchronised
        span within each wristband session.

    Notes
    -----
    Condition and time are confounded: five of the twelve available participants had the
    stress test first, seven had it last. Compare results with a model of time alone,
    and hold out whole orders (`order`).
    """

    root: Path

    name: ClassVar[str] = "WESAD"
    citation: ClassVar[str] = (
        "Schmidt, Reiss, Duerichen, Marberger, Van Laerhoven (2018): Introducing "
        "WESAD, a multimodal dataset for wearable stress and affect detection. ICMI. "
        "doi:10.1145/3242969.3242985"
    )
    licence: ClassVar[str] = "CC BY 4.0"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    @property
    def participants(self) -> tuple[str, ...]:
        """The codes of all participants in the folder."""
        return tuple(trial.subject for trial in self.trials())

    def trials(self) -> tuple[Trial, ...]:
        """Return one trial per participant."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}")
        participants = [p.name for p in self.root.iterdir() if is_participant(p)]
        if not participants:
            raise ValueError(
                f"{self.root} is no WESAD folder: it has no S2/S2_E4_Data.zip or alike"
            )
        return tuple(Trial(name) for name in natural_sorted(participants))

    def load(self, trial: Trial) -> Recording:
        """Return the recorded signals of a participant, cut to the synchronised span.

        Streams ``e4.eda``, ``e4.bvp``, ``e4.acc`` and ``e4.temp`` at their full rates.
        The span begins between two samples of the slower ones: their first one lies up
        to 0.25 s before second 0. Events ``study.conditions`` (the label names the
        condition, with a channel ``end``) and, at the end of each, ``study.ratings``
        (``valence`` and ``arousal`` on [-1, 1]; ``valence.sam`` and ``arousal.sam`` as
        answered, 1 to 9).

        Raises
        ------
        FileNotFoundError
            If the participant's files are not there.
        ValueError
            If a file is damaged or of another format.
        """
        subject = self._known(trial.subject)
        offset, n = _span(self.root / OFFSETS, subject)
        export = _export(self.root / subject) or self.root / subject
        whole = empatica.read(export, participant=subject)
        streams = {
            name: (_cut(block, offset, n, subject),)
            for name, (block,) in whole.streams.items()
            if name != "e4.hr"
        }
        about = {
            "source": "WESAD, Empatica E4",
            "citation": self.citation,
            "licence": self.licence,
            "participant": subject,
            "begin": "0.0",
            "begin_unix": repr(float(whole.metadata["begin_unix"]) + offset),
        }
        return Recording(streams, self._events(subject, n / 4), (), about)

    def participant(self, subject: str) -> Recording:
        """Load a participant by code, such as ``"S10"``."""
        return self.load(Trial(subject))

    def labels(self, subject: str) -> npt.NDArray[np.int8]:
        """Return the study's label at 4 Hz, shape (n,): see `LABELS`.

        Label i is for the time i / 4 s. The labels exclude the first and the last 10 s
        of each condition.
        """
        path = self.root / self._known(subject) / f"{subject}_wrist.npz"
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        with np.load(path, allow_pickle=False) as file:
            return file["label"].astype(np.int8)

    def conditions(self, subject: str) -> tuple[QuestionnaireCondition, ...]:
        """Return the parts of the protocol in the order of this participant."""
        path = self.root / self._known(subject) / f"{subject}_quest.csv"
        begin = _number(self.root / OFFSETS, subject, "crop_s")
        return tuple(conditions(path, begin))

    def order(self, subject: str) -> str:
        """Return the first of the two conditions, ``"stress"`` or ``"amusement"``."""
        names = [condition.name for condition in self.conditions(subject)]
        return min("stress", "amusement", key=names.index)

    def _known(self, subject: str) -> str:
        if not is_participant(self.root / subject):
            raise FileNotFoundError(
                f"{self.root} has no participant {subject!r} (no file "
                f"{subject}/{subject}_E4_Data.zip)"
            )
        return subject

    def _events(self, subject: str, until: float) -> dict[str, Events]:
        parts = self.conditions(subject)
        names = tuple(c.name for c in parts)
        conditions = event_stream("study.conditions", Channel("end", "misc", "s"))
        channels = [Channel(c) for c in (*SAM, *(f"{c}.sam" for c in SAM))]
        rated = event_stream("study.ratings", *channels)
        ratings = [(*c.affect[:2], *c.sam.values()) for c in parts]
        begins, ends = (np.array([c[i] for c in parts]) for i in (1, 2))
        rows = np.array(ratings, np.float64)
        spans = ends[:, None].copy()
        conditions, rated = (
            replace(info, participant=subject) for info in (conditions, rated)
        )
        return {
            conditions.name: Events(conditions, until, begins, spans, names),
            rated.name: Events(rated, until, ends, rows, names),
        }


def is_participant(path: Path) -> bool:
    """Return whether a folder is a WESAD participant's: ``S2/S2_E4_Data.zip``."""
    return _export(path) is not None


def _export(path: Path) -> Path | None:
    """Return the export of a participant, as a zip file or unpacked; None for none."""
    folder = path / f"{path.name}_E4_Data"
    if folder.with_suffix(".zip").is_file():
        return folder.with_suffix(".zip")
    return folder if folder.is_dir() and empatica.is_export(folder) else None


def read(path: str | Path) -> Recording:
    """Load a participant's folder, as `Wesad.load` does."""
    path = Path(path).resolve()
    return Wesad(path.parent).participant(path.name)


def _cut(block: Block, offset: float, n: int, subject: str) -> Block:
    """Return the samples of a span of ``n / 4`` s that begins at ``offset`` s."""
    rate = block.info.rate
    first = int((offset - block.t0) * float(rate))  # the sample at, or just before
    rows = int(n * rate / 4)
    if first < 0 or first + rows > len(block):
        raise ValueError(
            f"{block.info.name} of {subject} has {len(block)} samples, but the "
            f"synchronised span goes from {first} to {first + rows}: {OFFSETS} is of "
            "another recording"
        )
    epoch = block.t0 + first / float(rate) - offset
    return Block(block.info, 0, epoch, block.data[first : first + rows].copy())


def _span(path: Path, subject: str) -> tuple[float, int]:
    """Return the start of the span in the session (s), and its number of 0.25 s."""
    return _number(path, subject, "acc_off_s"), int(_number(path, subject, "n4"))


def _number(path: Path, subject: str, key: str) -> float:
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {path}: it holds the start of the synchronised span "
            "in each wristband session"
        )
    try:
        number = float(json.loads(path.read_text("utf-8"))[subject][key])
        if abs(number) < _LARGEST:
            return number
        raise ValueError
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise ValueError(f"{path} has no number {key!r} for {subject!r}") from None
