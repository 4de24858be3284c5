"""Detection of beats, SCRs and breaths of simulated participants in added noise."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.ndimage
import scipy.signal

from benchmarks.timing import Row, untimed_row
from experiments.weights.demo import record
from physio import config
from physio.core.block import Array, Block
from physio.core.events import events_from_grid
from physio.core.recording import Recording
from physio.core.stage import apply
from physio.features.cardiac.heart_rate import BeatDetection
from physio.features.eda.scr_detection import ScrDetection
from physio.features.respiration.respiration_belt import RespirationBelt

PEER: Final = "the simulated truth"
PEOPLE: Final = (31, 32, 33, 34)
LENGTH: Final = 300.0  # s of each recording
RELATIVE: Final = (0.0, 0.1, 0.2, 0.5, 1.0)
"""Noise, as standard deviations of the signal."""

SKIN: Final = (0.0, 0.002, 0.005, 0.01, 0.02)
"""Noise of skin conductance (uS); a good sensor at rest has 0.001 or less."""

_SURE: Final = 0.7  # confidence of a beat that counts
_LEAST: Final = 0.02  # uS, smallest SCR to detect
_BEATS: Final = 21  # over which the pulse transit time is constant
_EDGES: Final = 45.0, 20.0  # s excluded: windows fill; the last events are delayed


@dataclass(frozen=True)
class Trial:
    """A kind of event: its stream, detector, and tolerance of a match (s)."""

    work: str
    device: str
    stream: str
    find: Callable[[Block], Array]
    true: Callable[[Recording], Array]
    close: float
    levels: tuple[float, ...] = RELATIVE
    unit: str = "of its spread"
    steady: int = 1


def rows(data: Path | None) -> list[Row]:  # noqa: ARG001 every bench is called alike
    """Return precision, recall and timing error of each kind, by level of noise."""
    return [_row(trial, level) for trial in TRIALS for level in trial.levels]


def _row(trial: Trial, level: float) -> Row:
    scores = [_score(trial, level, seed) for seed in PEOPLE]
    true, detected, hits = (sum(len(s[k]) for s in scores) for k in range(3))
    late = np.concatenate([s[2] for s in scores])
    off = np.concatenate([s[3] for s in scores])
    return untimed_row(
        f"{trial.work}, {len(PEOPLE)} simulated participants, noise {level:g} "
        f"{trial.unit}",
        PEER,
        noise=level,
        true=true,
        precision=hits / detected if detected else None,
        recall=hits / true,
        late_ms=1e3 * float(np.median(late)) if hits else None,
        timing_ms=1e3 * float(off.std()) if hits else None,
    )


def _score(trial: Trial, level: float, seed: int) -> tuple[Array, Array, Array, Array]:
    """Return true and detected events, delays of the hits, and their jitter (s)."""
    block = whole(_lived(trial.device, seed), trial.stream)
    rng = np.random.default_rng(seed)
    size = level * (block.data.std() if trial.levels is RELATIVE else 1.0)
    data = block.data + size * rng.standard_normal(block.data.shape)
    noisy = Block(block.info, 0, block.t0, np.ascontiguousarray(data))
    inside = block.t0 + _EDGES[0], block.t0 + LENGTH - _EDGES[1]
    true = _between(trial.true(_lived(trial.device, seed)), inside)
    detected = _between(trial.find(noisy), inside)
    late = matched(detected, true, trial.close)
    usual = scipy.ndimage.median_filter(late, trial.steady, mode="nearest")
    middle = np.median(late) if len(late) else 0.0
    return true, detected, late, late - (usual if trial.steady > 1 else middle)


def _between(times: Array, limits: tuple[float, float]) -> Array:
    return times[(times > limits[0]) & (times < limits[1])]


def matched(detected: Array, true: Array, close: float) -> Array:
    """Return the delay of each detected event with a true event of its own (s).

    A common delay, such as the pulse transit time, does not prevent a match: the median
    distance to the nearest true event is subtracted before matching.
    """
    if not len(detected) or not len(true):
        return np.empty(0)
    apart = detected[:, None] - true
    nearest = apart[np.arange(len(detected)), np.abs(apart).argmin(axis=1)]
    shift = float(np.median(nearest))
    late, taken = [], np.zeros(len(true), bool)
    for row in apart:
        away = np.where(taken, np.inf, np.abs(row - shift))
        best = int(away.argmin())
        if away[best] <= close:
            taken[best] = True
            late.append(row[best])
    return np.array(late)


@cache
def _lived(device: str, seed: int) -> Recording:
    table: dict[str, Any] = {"use": f"devices.simulated:{device}", "seed": seed}
    return record(config.build(table, "bench"), LENGTH)


def whole(recording: Recording, stream: str) -> Block:
    """Return a stream of a participant in one block."""
    blocks = [b for b in recording.streams[f"participant.{stream}"] if len(b)]
    data = np.concatenate([b.data for b in blocks])
    return Block(blocks[0].info, 0, blocks[0].t0, data)


def _beats(block: Block) -> Array:
    beats = events_from_grid(apply(BeatDetection(), block))
    return beats.times[beats.data[:, 1] >= _SURE]


def _heart(recording: Recording) -> Array:
    return recording.events["participant.beats"].times


def _bursts(block: Block) -> Array:
    return events_from_grid(apply(ScrDetection(), block)).times


def _answers(recording: Recording) -> Array:
    responses = recording.events["participant.responses"]
    return responses.times[responses.data[:, 0] >= _LEAST]


def _breaths(block: Block) -> Array:
    """Return the times at which the phase passes the peak of a breath (s)."""
    belt = apply(RespirationBelt(), block)
    phase = belt.column("phase")
    rise = np.flatnonzero((phase[:-1] < 0.5) & (phase[1:] >= 0.5))
    part = (0.5 - phase[rise]) / (phase[rise + 1] - phase[rise])
    step = 1 / float(belt.info.rate)
    return belt.times[rise] + part * step - belt.info.channels[2].delay


def _peaks(recording: Recording) -> Array:
    """Return the times of the peaks of the noise-free girth (s)."""
    block = whole(recording, "resp")
    girth = scipy.ndimage.gaussian_filter1d(block.data[:, 0], 5)  # 0.2 s
    return block.times[scipy.signal.find_peaks(girth, prominence=0.6)[0]]


TRIALS: Final = (
    Trial("beats in ECG", "Chest", "ecg", _beats, _heart, 0.05),
    Trial("beats in PPG", "Wristband", "bvp", _beats, _heart, 0.10, steady=_BEATS),
    Trial("skin responses", "Wristband", "eda", _bursts, _answers, 2.0, SKIN, "uS"),
    Trial("breaths in a belt", "Chest", "resp", _breaths, _peaks, 0.75),
)
