"""WESAD as synchronised by its authors: chest and wrist in one file per participant."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events, natural_sorted
from physio.datasets.wesad_questionnaires import conditions
from physio.io import safe_pickle

TESTED_WITH: Final = "a file assembled for the tests after the published format"
"""Tests behind this reader, for the page of supported formats."""

CHEST: Final = 700
"""Sampling rate of the chest strap and of the label (Hz)."""

_AXES: Final = tuple(Channel(f"acc.{a}", "misc", "g") for a in "xyz")
_SIGNALS: Final = {
    "chest": {
        "ACC": ("acc", CHEST, _AXES, 1.0),
        "ECG": ("ecg", CHEST, (Channel("ecg", "ecg", "mV"),), 1.0),
        "EMG": ("emg", CHEST, (Channel("emg", "emg", "mV"),), 1.0),
        "EDA": ("eda", CHEST, (Channel("eda", "gsr", "uS"),), 1.0),
        "Temp": ("temp", CHEST, (Channel("temp", "temperature", "degC"),), 1.0),
        "Resp": ("resp", CHEST, (Channel("resp", "resp", "%"),), 1.0),
    },
    "wrist": {
        "ACC": ("acc", 32, _AXES, 1 / 64),
        "BVP": ("bvp", 64, (Channel("bvp", "bio", "1"),), 1.0),
        "EDA": ("eda", 4, (Channel("eda", "gsr", "uS"),), 1.0),
        "TEMP": ("temp", 4, (Channel("temp", "temperature", "degC"),), 1.0),
    },
}
"""Stream, rate (Hz), channels and factor of each signal."""

_DEVICES: Final = {"chest": "respiban", "wrist": "e4"}
_PARTS: Final = {1: "baseline", 2: "stress", 3: "amusement", 4: "meditation"}


@dataclass(frozen=True)
class WesadChest:
    """The synchronised signals of WESAD, chest strap and wristband.

    One trial per participant. Second 0 of the session clock is the begin of the file.

    Parameters
    ----------
    root
        The folder with one folder per participant: ``S2/S2.pkl`` and, for ratings,
        ``S2/S2_quest.csv``.

    Notes
    -----
    Times of conditions are those of the file's label, which excludes some seconds at
    their ends; ratings are assigned to conditions in order. According to the authors,
    label 0 is the time between conditions, and labels 5 to 7 have no meaning. For the
    confounding of time and condition see `physio.datasets.wesad`.
    """

    root: Path

    name: ClassVar[str] = "WESAD chest and wrist"
    citation: ClassVar[str] = (
        "Schmidt, Reiss, Duerichen, Marberger, Van Laerhoven (2018): Introducing "
        "WESAD, a multimodal dataset for wearable stress and affect detection. ICMI. "
        "doi:10.1145/3242969.3242985"
    )
    licence: ClassVar[str] = "CC BY 4.0"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    def trials(self) -> tuple[Trial, ...]:
        """Return one trial per participant."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}")
        participants = [
            p.name for p in self.root.iterdir() if (p / f"{p.name}.pkl").is_file()
        ]
        if not participants:
            raise ValueError(
                f"{self.root} is no folder of WESAD's synchronised files: it has no "
                "S2/S2.pkl or alike"
            )
        return tuple(Trial(name) for name in natural_sorted(participants))

    def load(self, trial: Trial) -> Recording:
        """Return the signals of a participant, with conditions and ratings.

        Streams of the chest at 700 Hz: ``respiban.acc`` (g), ``.ecg`` and ``.emg``
        (mV), ``.eda`` (uS), ``.temp`` (degC), ``.resp`` (%); of the wrist ``e4.acc``
        (g, 32 Hz), ``e4.bvp`` (64 Hz), ``e4.eda`` and ``e4.temp`` (4 Hz). Events
        ``study.conditions`` and ``study.ratings`` as
        `physio.datasets.base.condition_events` has them, the latter where there is a
        questionnaire.

        Raises
        ------
        FileNotFoundError
            If there is no file of that participant.
        ValueError
            If it is damaged or of another format; the message names the part.
        """
        path = self.root / trial.subject / f"{trial.subject}.pkl"
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.root} has no participant {trial.subject!r} (no file "
                f"{trial.subject}/{trial.subject}.pkl)"
            )
        content = _mapping(path, safe_pickle.load(path), "the whole")
        if content.get("subject") != trial.subject:
            raise ValueError(
                f"{path}: 'subject' is {content.get('subject')!r}, not "
                f"{trial.subject!r}: the file is another participant's"
            )
        label = content.get("label")
        if not isinstance(label, np.ndarray) or label.dtype.kind not in "iu":
            raise ValueError(f"{path}: 'label' is no row of whole numbers")
        label = label.reshape(-1)
        streams = _streams(path, _mapping(path, content.get("signal"), "'signal'"))
        _check_lengths(path, streams, len(label))
        about = {
            "source": "WESAD, synchronised",
            "citation": self.citation,
            "licence": self.licence,
            "participant": trial.subject,
            "begin": "0.0",
        }
        return Recording(streams, self._events(path, label), (), about)

    def _events(self, path: Path, label: npt.NDArray[Any]) -> dict[str, Events]:
        parts = _runs(label)
        participant, quest = path.stem, path.with_name(f"{path.stem}_quest.csv")
        if quest.is_file():
            asked = list(conditions(quest, 0.0))
            names = [c.name.split(" ")[0] for c in asked]
            if names != [part.name for part in parts]:
                raise ValueError(
                    f"{path}: 'label' has {', '.join(p.name for p in parts)}, but "
                    f"{quest.name} has {', '.join(names)}"
                )
            parts = [
                ConditionSpan(c.name, part.begin, part.end, c.sam)
                for c, part in zip(asked, parts, strict=True)
            ]
        return condition_events(
            parts, 1, 9, participant=participant, until=len(label) / CHEST
        )


def _streams(path: Path, signal: Mapping[str, Any]) -> dict[str, tuple[Block, ...]]:
    """Return all signals of the chest and the wrist."""
    streams: dict[str, tuple[Block, ...]] = {}
    for part, signals in _SIGNALS.items():
        given = _mapping(path, signal.get(part), f"'{part}'")
        for key, (stream, rate, channels, scale) in signals.items():
            values = _table(path, given, part, key, len(channels))
            info = StreamInfo(
                f"{_DEVICES[part]}.{stream}", Fraction(rate), channels,
                participant=path.stem, site=part,
            )  # fmt: skip
            data = np.array(values, np.float64, order="C") * scale
            streams[info.name] = (Block(info, 0, 0.0, data),)
    return streams


def _runs(label: npt.NDArray[Any]) -> list[ConditionSpan]:
    """Return the span of each condition, from the label of each sample."""
    cuts = [0, *(np.flatnonzero(np.diff(label)) + 1).tolist(), len(label)]
    return [
        ConditionSpan(_PARTS[int(label[a])], a / CHEST, b / CHEST)
        for a, b in pairwise(cuts)
        if a < b and int(label[a]) in _PARTS
    ]


def _mapping(path: Path, value: Any, quantity: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(
            f"{path}: {quantity} is no table of names; WESAD's files have 'subject', "
            "'signal' (of 'chest' and 'wrist') and 'label'"
        )
    return value


def _table(
    path: Path, given: Mapping[str, Any], part: str, key: str, width: int
) -> Array:
    values = given.get(key)
    if not isinstance(values, np.ndarray) or values.size != len(values) * width:
        raise ValueError(
            f"{path}: {part} {key!r} is missing or has not {width} "
            f"{'column' if width == 1 else 'columns'}; the {part} has "
            f"{', '.join(_SIGNALS[part])}"
        )
    return values.reshape(-1, width)


def _check_lengths(
    path: Path, streams: Mapping[str, tuple[Block, ...]], label: int
) -> None:
    """Refuse signals that differ in duration from the label by more than a second."""
    for name, (block,) in streams.items():
        seconds = len(block) / float(block.info.rate)
        if abs(seconds - label / CHEST) > 1:
            raise ValueError(
                f"{path}: {name} lasts {seconds:.1f} s, but 'label' lasts "
                f"{label / CHEST:.1f} s"
            )
