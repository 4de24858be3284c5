"""SEED-V: EEG of 16 participants who watched 15 film clips of five emotions."""

import re
import warnings
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events
from physio.datasets.seed import EEG

TESTED_WITH: Final = "a file assembled for the tests after the published format"
"""Tests behind this reader, for the page of supported formats."""

WORDS: Final = ("disgust", "fear", "sad", "neutral", "happy")

_LATER: Final = (2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0)
LABELS: Final = ((4, 1, 3, 2, 0) * 3, _LATER, _LATER)
"""Emotion of each film, as a number of `WORDS`, in each session."""

SPANS: Final = (
    (
        *((30, 102), (132, 228), (287, 524), (555, 742), (773, 920), (982, 1240)),
        *((1271, 1568), (1628, 1697), (1730, 1994), (2025, 2166), (2227, 2401)),
        *((2435, 2607), (2667, 2901), (2932, 3172), (3204, 3359)),
    ),
    (
        *((30, 267), (299, 488), (548, 614), (646, 773), (836, 967), (1000, 1059)),
        *((1091, 1331), (1392, 1622), (1657, 1777), (1809, 1908), (1966, 2153)),
        *((2186, 2302), (2333, 2428), (2490, 2709), (2741, 2817)),
    ),
    (
        *((30, 321), (353, 418), (478, 643), (674, 764), (825, 877), (908, 1147)),
        *((1200, 1284), (1346, 1418), (1451, 1679), (1711, 1996), (2055, 2275)),
        *((2307, 2425), (2457, 2664), (2726, 2857), (2888, 3066)),
    ),
)
"""Begin and end of each film in each session (s)."""

_EYES: Final = ("VEO", "HEO")
_FILE: Final = re.compile(r"(\d{1,2})_([123])_\d{8}\.cnt")


@dataclass(frozen=True)
class SeedV:
    """The raw EEG of SEED-V, one trial for each participant, session and film.

    Parameters
    ----------
    root
        The folder with ``1_1_20180804.cnt`` and similar files, ``EEG_raw``.

    Notes
    -----
    The label is the emotion for which the authors chose the film, the same for all
    participants. Only the span of a film is read from the file of a session. The
    mastoids M1 and M2 are left out.
    """

    root: Path

    name: ClassVar[str] = "SEED-V"
    citation: ClassVar[str] = (
        "Liu, Qiu, Zheng, Lu (2021): Comparing recognition performance and robustness "
        "of multimodal deep learning models for multimodal emotion recognition. IEEE "
        "Transactions on Cognitive and Developmental Systems 14:715-729"
    )
    licence: ClassVar[str] = "SEED licence agreement (academic use)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    def trials(self) -> tuple[Trial, ...]:
        """Return one trial for each participant, session and film."""
        return tuple(
            sorted(
                Trial(who, session, str(k + 1))
                for who, session in self._files
                for k in range(len(WORDS) * 3)
            )
        )

    def load(self, trial: Trial) -> Recording:
        """Return the EEG of a participant during a film.

        Streams ``neuroscan.eeg`` and ``neuroscan.eog`` (uV); events
        ``study.conditions``.

        Raises
        ------
        FileNotFoundError
            If there is no such participant or session.
        ValueError
            If there is no such film, or the file is damaged or ends before it.
        """
        path = self._files.get((trial.subject, trial.session))
        if path is None:
            raise FileNotFoundError(
                f"{self.root} has no file of participant {trial.subject!r}, session "
                f"{trial.session!r}"
            )
        session = int(trial.session) - 1
        if trial.trial not in map(str, range(1, len(SPANS[session]) + 1)):
            raise ValueError(f"SEED-V has films 1 to 15, but no {trial.trial!r}")
        film = int(trial.trial) - 1
        rate, names, data = _span(path, *SPANS[session][film])
        streams: dict[str, tuple[Block, ...]] = {}
        for name, kind, wanted in (("eeg", "eeg", EEG), ("eog", "eog", _EYES)):
            columns = [names.index(c) for c in wanted]
            info = StreamInfo(
                f"neuroscan.{name}",
                rate,
                tuple(Channel(c, kind, "uV") for c in wanted),
                participant=trial.subject,
            )
            part = np.ascontiguousarray(data[:, columns])
            streams[info.name] = (Block(info, 0, 0.0, part),)
        seconds = len(data) / float(rate)
        word = WORDS[LABELS[session][film]]
        events = condition_events(
            [ConditionSpan(word, 0.0, seconds)],
            -1,
            1,
            participant=trial.subject,
            until=seconds,
        )
        about = {
            "source": "SEED-V, EEG_raw",
            "citation": self.citation,
            "licence": self.licence,
            "participant": trial.subject,
            "begin": "0.0",
        }
        return Recording(streams, events, (), about)

    @cached_property
    def _files(self) -> dict[tuple[str, str], Path]:
        """Return the file of each participant and session."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}")
        files: dict[tuple[str, str], Path] = {}
        for path in sorted(self.root.iterdir()):
            if match := _FILE.fullmatch(path.name):
                key = match[1], match[2]
                if key in files:
                    raise ValueError(
                        f"{files[key].name} and {path.name} are one session"
                    )
                files[key] = path
        if not files:
            raise ValueError(
                f"{self.root} is no SEED-V folder: it has no 1_1_20180804.cnt or alike"
            )
        return files


def _span(path: Path, begin: int, end: int) -> tuple[Fraction, list[str], Array]:
    """Return rate, names and samples (uV, shape (n, channels)) of a part of a file."""
    import mne

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw: Any = mne.io.read_raw_cnt(path, preload=False, verbose="error")
        rate = Fraction(raw.info["sfreq"]).limit_denominator(1000)
        first, last = int(begin * rate), int(end * rate)
        names = [str(name).upper() for name in raw.ch_names]
        data = raw.get_data(start=first, stop=last) if raw.n_times >= last else None
    except (ValueError, OSError, RuntimeError, TypeError, IndexError) as error:
        text = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} cannot be read: {text}") from None
    if data is None:
        raise ValueError(
            f"{path} ends at {raw.n_times / float(rate):.0f} s, before the film that "
            f"lasts to {end} s"
        )
    if lacking := [c for c in (*EEG, *_EYES) if c not in names]:
        raise ValueError(f"{path} has no channel {lacking[0]}, as SEED-V has")
    return rate, names, np.ascontiguousarray(data.T) * 1e6
