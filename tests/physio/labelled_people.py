"""People in small recordings, whose skin temperature and movement go with arousal."""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar
from zlib import crc32

import numpy as np

from physio.core.block import Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events

PARTS = ("calm", "task", "film", "calm", "task", "film")
PART, REST = 24.0, 40.0
"""Durations of each part, and of the rest before (s)."""

TEMP = StreamInfo("band.temp", Fraction(4), (Channel("temp", "temperature", "degC"),))
ACC = StreamInfo("band.acc", Fraction(16), tuple(
    Channel(axis, "misc", "g") for axis in ("x", "y", "z")
))  # fmt: skip


@dataclass(frozen=True)
class People:
    """Six participants, two sessions each: a rest, and six parts with ratings."""

    root: Path
    name: ClassVar[str] = "People"
    citation: ClassVar[str] = "made for the tests"
    licence: ClassVar[str] = "CC0"

    def trials(self) -> tuple[Trial, ...]:
        return tuple(Trial(f"P{k}", s) for k in range(1, 7) for s in ("1", "2"))

    def load(self, trial: Trial) -> Recording:
        rng = np.random.default_rng(crc32("/".join(trial).encode()))
        order = rng.permutation(len(PARTS))
        seconds = REST + PART * len(PARTS)
        arousal = np.zeros(int(seconds))
        spans = []
        for i, k in enumerate(order):
            begin = REST + PART * i
            base = {"calm": -0.5, "task": 0.6, "film": 0.0}[PARTS[k]]
            felt = float(np.clip(base + rng.normal(0, 0.15), -1, 1))
            arousal[int(begin) : int(begin + PART)] = felt
            answers = {"valence": float(np.clip(rng.normal(0, 0.4), -1, 1))}
            answers["arousal"] = felt
            spans.append(ConditionSpan(PARTS[k], begin, begin + PART, answers))
        streams = {}
        for info in (replace(TEMP, participant=trial.subject),
                     replace(ACC, participant=trial.subject)):  # fmt: skip
            n = int(seconds * info.rate)
            felt_at = np.interp(np.arange(n) / float(info.rate),
                                np.arange(len(arousal)), arousal)  # fmt: skip
            if info.name == TEMP.name:
                level = 33 + rng.normal(0, 0.5) - 0.6 * felt_at
                data = (level + rng.normal(0, 0.05, n))[:, None]
            else:
                size = np.exp(-3 + 0.7 * felt_at + rng.normal(0, 0.2))
                data = rng.normal(0, 1, (n, 3)) * size[:, None] + [0, 0, 1]
            streams[info.name] = (Block(info, 0, 0.0, data),)
        events = condition_events(
            spans, -1, 1, participant=trial.subject, until=seconds
        )
        return Recording(
            streams, events, (), {"begin": "0.0", "participant": trial.subject}
        )


class StillP6(People):
    """The same people; the device of P6 does not measure movement."""

    def load(self, trial: Trial) -> Recording:
        recording = super().load(trial)
        if trial.subject != "P6":
            return recording
        streams = {k: v for k, v in recording.streams.items() if k != ACC.name}
        return replace(recording, streams=streams)


class OutOfTen(People):
    """The same people, whose arousal is a rating ``ten`` from 0 to 10."""

    def load(self, trial: Trial) -> Recording:
        recording = super().load(trial)
        rated = recording.events["study.ratings"]
        ten = 5 + 5 * rated.data[:, [rated.info.names.index("arousal")]]
        info = rated.info.with_channels(None, Channel("ten"))
        events = {**recording.events, rated.info.name: replace(
            rated, info=info, data=ten
        )}  # fmt: skip
        return replace(recording, events=events)
