"""Four laboratories with wristbands, as recordings with rest and stress as events."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import pandas as pd

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events, natural_sorted
from physio.datasets.stress_predict import StressPredict
from physio.datasets.wesad import OFFSETS, Wesad
from physio.io import empatica

DEVICE_RATE: Final = "band.hr"
"""Stream of the heart rate that a device computed itself (1/min)."""

_EXCLUDED: Final = ("S06",)
"""Participants of Stress-Predict whose labels disagree with their own tags."""

_RATES: Final = {"BVP": 64, "EDA": 4, "TEMP": 4, "HR": 1}
_STREAMS: Final = {
    "EDA": ("e4.eda", Channel("eda", "gsr", "uS")),
    "BVP": ("e4.bvp", Channel("bvp", "bio")),
    "TEMP": ("e4.temp", Channel("temp", "temperature", "degC")),
    "HR": (DEVICE_RATE, Channel("hr", "misc", "1/min")),
}


@dataclass(frozen=True)
class WesadBands(Wesad):
    """WESAD, with the heart rate of the band's maker."""

    name: ClassVar[str] = "WESAD"

    def load(self, trial: Trial) -> Recording:
        """Return a participant's recording, with the stream `DEVICE_RATE`."""
        recording = super().load(trial)
        folder = self.root / trial.subject
        whole = empatica.read(folder / f"{trial.subject}_E4_Data.zip")
        spans = json.loads((self.root / OFFSETS).read_text("utf-8"))
        offset = float(spans[trial.subject]["acc_off_s"])
        (rate,) = whole.streams["e4.hr"]
        moved = replace(rate, t0=rate.t0 - offset, info=_renamed(rate.info))
        streams = {**recording.streams, DEVICE_RATE: (moved,)}
        return replace(recording, streams=streams)


@dataclass(frozen=True)
class StressPredictBands(StressPredict):
    """Stress-Predict, with the heart rate of the band's maker."""

    def trials(self) -> tuple[Trial, ...]:
        """Return the participants whose labels can be used."""
        return tuple(
            t
            for t in super().trials()
            if t.subject not in _EXCLUDED and self._labels(t.subject)
        )

    def load(self, trial: Trial) -> Recording:
        """Return a participant's recording, with the stream `DEVICE_RATE`."""
        recording = super().load(trial)
        whole = empatica.read(self.root / "raw" / f"{trial.subject}.zip")
        (rate,) = whole.streams["e4.hr"]
        streams = {
            **recording.streams,
            DEVICE_RATE: (replace(rate, info=_renamed(rate.info)),),
        }
        return replace(recording, streams=streams)


@dataclass(frozen=True)
class EmoPair:
    """EmoPairCompete: wristbands during four rounds of rest, competition and rest.

    One trial per round and phase. No acceleration.

    Parameters
    ----------
    root
        Folder with ``emopair_e4.npz`` and ``records.csv``.
    """

    root: Path

    name: ClassVar[str] = "EmoPairCompete"
    citation: ClassVar[str] = (
        "Das et al. (2024): EmoPairCompete. ICLR 2024 workshop on learning from time "
        "series for health"
    )
    licence: ClassVar[str] = "unknown: measured only, no weights are made of it"

    def trials(self) -> tuple[Trial, ...]:
        """Return the phases of each participant."""
        rows = self._records
        names = zip(rows["person"], rows["round"], rows["phase"], strict=True)
        return tuple(sorted(Trial(str(a), str(b), str(c)) for a, b, c in names))

    def load(self, trial: Trial) -> Recording:
        """Return a phase: rest, or the competition as stress."""
        key = "/".join(trial)
        rows = self._records
        at = (rows["person"] == trial.subject) & (rows["round"] == int(trial.session))
        start = float(rows["start_s"][at & (rows["phase"] == int(trial.trial))].iloc[0])
        with np.load(self.root / "emopair_e4.npz", allow_pickle=False) as file:
            parts = {k: file[f"{key}/{k}"] for k in _RATES}
        streams = dict(_stream(k, x, _RATES[k], start) for k, x in parts.items())
        end = start + min(len(x) / _RATES[k] for k, x in parts.items())
        label = "stress" if trial.trial == "2" else "rest"
        spans = [ConditionSpan(label, start, end)]
        return _recording(streams, spans, trial.subject, self, start, end)

    @cached_property
    def _records(self) -> pd.DataFrame:
        return pd.read_csv(self.root / "records.csv")


@dataclass(frozen=True)
class NonEeg:
    """PhysioNet Non-EEG: relaxation and stress, heart rate from a pulse oximeter.

    One trial per participant, without a pulse wave. The index of a sample is its time.
    Physical stress is no condition.

    Parameters
    ----------
    root
        Folder with ``noneeg_wrist.npz``.
    """

    root: Path

    name: ClassVar[str] = "Non-EEG"
    citation: ClassVar[str] = (
        "Birjandtalab, Cogan, Pouyan, Nourani (2016): A non-EEG biosignals dataset for "
        "assessment and visualization of neurological status. IEEE SiPS 110-114"
    )
    licence: ClassVar[str] = "not confirmed: measured only, no weights are made of it"

    def trials(self) -> tuple[Trial, ...]:
        """Return one trial per participant."""
        names = {name.partition("/")[0] for name in self._file.files}
        return tuple(Trial(name) for name in natural_sorted(names))

    def load(self, trial: Trial) -> Recording:
        """Return a participant's signals, with rest and stress as events."""
        part = {
            k: self._file[f"{trial.subject}/{k}"]
            for k in ("eda8", "temp8", "hr1", "label1", "acc8")
        }
        streams = dict(
            _stream(kind, part[k], rate, 0.0)
            for kind, k, rate in (
                ("EDA", "eda8", 8),
                ("TEMP", "temp8", 8),
                ("HR", "hr1", 1),
            )
        )
        axes = tuple(Channel(f"acc.{axis}", "misc", "g") for axis in "xyz")
        info = StreamInfo("e4.acc", Fraction(8), axes)
        data = np.ascontiguousarray(part["acc8"].T, np.float64)
        streams["e4.acc"] = (Block(info, 0, 0.0, data),)
        labels = part["label1"]
        edges = [0, *(np.flatnonzero(labels[1:] != labels[:-1]) + 1), len(labels)]
        end = min(len(labels), len(part["eda8"]) / 8)
        spans = [
            ConditionSpan(
                "rest" if labels[a].startswith("Relax") else "stress",
                float(a),
                float(min(b, end)),
            )
            for a, b in pairwise(edges)
            if labels[a] != "PhysicalStress"
        ]
        return _recording(streams, spans, trial.subject, self, 0.0, end)

    @cached_property
    def _file(self) -> Any:
        return np.load(self.root / "noneeg_wrist.npz", allow_pickle=False)


def laboratories(root: Path) -> Iterator[Any]:
    """Yield the four data sets in the folder of data."""
    yield WesadBands(root / "wesad")
    yield StressPredictBands(root / "stress_predict")
    yield EmoPair(root / "emopair")
    yield NonEeg(root / "noneeg")


def _renamed(info: StreamInfo) -> StreamInfo:
    return replace(info, name=DEVICE_RATE)


def _stream(
    kind: str, x: Array, rate: int, begin: float
) -> tuple[str, tuple[Block, ...]]:
    name, channel = _STREAMS[kind]
    info = StreamInfo(name, Fraction(rate), (channel,))
    data = np.ascontiguousarray(x[:, None], np.float64)
    return name, (Block(info, 0, begin, data),)


def _recording(
    streams: dict[str, tuple[Block, ...]],
    spans: list[ConditionSpan],
    participant: str,
    dataset: Any,
    begin: float,
    end: float,
) -> Recording:
    events = condition_events(spans, 0, 1, participant=participant, until=end)
    about = {
        "source": dataset.name,
        "citation": dataset.citation,
        "licence": dataset.licence,
        "participant": participant,
        "begin": repr(begin),
    }
    owned = {
        name: tuple(
            replace(b, info=replace(b.info, participant=participant)) for b in blocks
        )
        for name, blocks in streams.items()
    }
    return Recording(owned, events, (), about)
