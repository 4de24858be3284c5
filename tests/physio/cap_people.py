"""People with a cap of six electrodes, whose occipital alpha falls in a task."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar
from zlib import crc32

import numpy as np

from physio.core.block import Block, Channel, StreamInfo
from physio.core.recording import Recording
from physio.datasets.base import ConditionSpan, Trial, condition_events

RATE, PART, REST = 128, 12.0, 16.0
CAP = ("Fz", "C3", "C4", "Pz", "O1", "O2")


def eeg(trial: Trial, cap: tuple[str, ...] = CAP) -> Recording:
    """Return a recording whose occipital alpha is small in the task."""
    rng = np.random.default_rng(crc32(trial.subject.encode()))
    info = StreamInfo(
        "cap.eeg", Fraction(RATE), tuple(Channel(c, "eeg", "uV") for c in cap),
        participant=trial.subject,
    )  # fmt: skip
    spans, size = [], []
    for k in range(4):
        name = ("rest", "task")[k % 2]
        begin = REST + PART * k
        answers = {"arousal": float(np.clip(0.6 * (k % 2) + rng.normal(0, 0.1), -1, 1))}
        spans.append(ConditionSpan(name, begin, begin + PART, answers))
        size += [1.0 - 0.75 * (k % 2)] * round(PART * RATE)
    alpha = np.concatenate([np.ones(round(REST * RATE)), size])
    t = np.arange(len(alpha)) / RATE
    x = rng.normal(0, 4, (len(alpha), len(cap)))
    level = np.array([1.0 if c[0] in "PO" else 0.2 for c in cap])
    wave = alpha * np.sin(2 * np.pi * 10 * t + rng.uniform(0, 6))
    x += rng.uniform(8, 14) * wave[:, None] * level
    events = condition_events(
        spans, -1, 1, participant=trial.subject, until=float(t[-1])
    )
    about = {"begin": "0.0", "participant": trial.subject}
    return Recording({info.name: (Block(info, 0, 0.0, x),)}, events, (), about)


@dataclass(frozen=True)
class Cap:
    """Eight people with a cap of six electrodes."""

    root: Path
    name: ClassVar[str] = "Cap"
    citation: ClassVar[str] = "made for the tests"
    licence: ClassVar[str] = "CC0"

    def trials(self) -> tuple[Trial, ...]:
        return tuple(Trial(f"P{k}") for k in range(1, 9))

    def load(self, trial: Trial) -> Recording:
        return eeg(trial)
