"""Recordings with known beats, breaths and responses of the skin."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.recording import MARKERS, Recording

BREATHS = 0.25  # Hz


def block(
    name: str, kind: str, unit: str, rate: float, values: np.ndarray, *names: str
) -> Block:
    channels = tuple(Channel(n, kind, unit) for n in names or (kind,))
    info = StreamInfo(name, Fraction(rate), channels)
    data = np.ascontiguousarray(values, float).reshape(len(values), len(channels))
    return Block(info, 0, 0.0, data.copy())


def recording(*blocks: Block) -> Recording:
    return Recording({b.info.name: (b,) for b in blocks})


def skin(onsets: list[float], seconds: float, rate: float = 4.0) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    level = 2.0 + 0.002 * t
    for onset in onsets:
        s = np.maximum(t - onset, 0.0)
        level = level + 0.8 * (np.exp(-s / 2) - np.exp(-s / 0.7))
    return level


def beat_times(seconds: float) -> np.ndarray:
    """Return beats at 66/min whose intervals vary with breathing by 40 ms."""
    times = [0.4]
    while times[-1] < seconds - 0.4:
        times.append(times[-1] + 0.9 + 0.04 * np.sin(2 * np.pi * BREATHS * times[-1]))
    return np.array(times[:-1])


def waves(times: np.ndarray, seconds: float, rate: float, kind: str) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    x = 0.01 * np.random.default_rng(1).standard_normal(len(t))
    for at in times:
        if kind == "ecg":
            x += np.exp(-(((t - at) / 0.012) ** 2))
            x += 0.2 * np.exp(-(((t - at - 0.25) / 0.05) ** 2))
        else:
            s = t - at
            x += np.exp(-((s / np.where(s < 0, 0.07, 0.16)) ** 2))
    return x


ECG, EDA = ("chest.ecg", "ecg"), ("band.eda", "gsr")
TRUE = beat_times(120.0)
"""Beats of `session` (s)."""


def session() -> Recording:
    """A recording of two minutes with two conditions, an ECG and skin conductance."""
    both = recording(
        block(ECG[0], "ecg", "uV", 128, waves(TRUE, 120.0, 128, "ecg")),
        block(EDA[0], "gsr", "uS", 4, skin([20.0, 50.0, 80.0, 105.0], 120.0)),
    )
    labels = ("begin rest", "end rest", "begin task", "end task")
    times = np.array([0.0, 60.0, 60.0, 120.0])
    marks = Events(event_stream(MARKERS), 120.0, times, np.empty((4, 0)), labels)
    about = {"participant": "p07"}
    return replace(both, events={MARKERS: marks}, metadata=about)
