"""Beat detection beside NeuroKit2: agreement and speed."""

import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.timing import Row, interleaved, row, untimed_row
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import events_from_grid
from physio.core.stage import StageRunner
from physio.features.cardiac.heart_rate import BeatDetection

CLOSE: Final = 0.05
"""Largest distance of two beats that match (s)."""


def rows(data: Path | None) -> list[Row]:
    """Return a row for ECG and one for PPG: real data at rest, 5 minutes, 100 Hz."""
    import neurokit2

    file = None if data is None else data / "biosignals/neurokit_resting_5min_100hz.csv"
    if file is None or not file.is_file():
        return []
    table = np.loadtxt(file, delimiter=",", skiprows=1)
    ecg: Callable[..., Any] = neurokit2.ecg_process
    ppg: Callable[..., Any] = neurokit2.ppg_process
    return [
        _row("ecg", table[:, 0], ecg, "ECG_R_Peaks"),
        _row("bio", table[:, 1], ppg, "PPG_Peaks"),
        _on_waves(table[:, 0]),
        *_growth(),
    ]


def _on_waves(x: Array) -> Row:
    """Return the proportion of each method's beats on an R wave of the raw trace.

    An R wave is a maximum of the unfiltered trace whose height over its surroundings is
    at least half the usual height of the highest maximum of each second.
    """
    import neurokit2
    import scipy.signal

    peaks, properties = scipy.signal.find_peaks(
        x, distance=25, prominence=0.05 * np.ptp(x)
    )
    high = properties["prominences"]
    usual = np.median(np.sort(high)[-int(len(x) / 100) :])
    waves = peaks[high >= 0.5 * usual] / 100
    events = events_from_grid(_detect("ecg", x))
    sure = events.times[events.data[:, 1] >= 0.7]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, process = neurokit2.ecg_process(x, sampling_rate=100)
        _, plain = neurokit2.ecg_peaks(x, sampling_rate=100)
    ways = {
        "ours": events.times,
        "ours_confident": sure,
        "ecg_process": np.asarray(process["ECG_R_Peaks"]) / 100,
        "ecg_peaks": np.asarray(plain["ECG_R_Peaks"]) / 100,
    }
    figures: dict[str, object] = {"raw_maxima": len(waves)}
    for name, beats in ways.items():
        off = np.abs(beats[:, None] - waves).min(axis=1)
        figures[name] = float((off <= 0.02).mean())
        figures[f"{name}_off_it"] = int((off > 0.02).sum())
    work = "beats of the same ECG that lie on a maximum of the raw trace, to 20 ms"
    return untimed_row(work, "raw maxima", **figures)


def _growth() -> list[Row]:
    """Return the growth of time with twice the duration and rate; 2 is linear."""

    def beat_task(rate: int, length: int) -> Callable[[], object]:
        t = np.arange(rate * length) / rate
        noise = np.random.default_rng(1).standard_normal(len(t))
        x = 50 * np.sin(2 * np.pi * 1.2 * t) ** 3 + noise
        return lambda: _detect("bio", x, rate)

    return [
        row(
            f"beats once; the peer has twice the {quantity}: 2 is linear",
            "twice",
            *both,
        )
        for quantity, both in (
            ("rate", interleaved(beat_task(64, 1200), beat_task(128, 1200))),
            ("time", interleaved(beat_task(64, 1200), beat_task(64, 2400))),
        )
    ]


def _detect(kind: str, x: Array, rate: int = 100) -> Block:
    info = StreamInfo(f"bench.{kind}", Fraction(rate), (Channel(kind, kind, "1"),))
    return StageRunner(BeatDetection(), info).push(
        Block(info, 0, 0.0, np.ascontiguousarray(x[:, None]))
    )


def f1(estimated: Array, true: Array) -> float:
    """Return the F1 score of beats, which match within 50 ms."""
    near = np.abs(estimated[:, None] - true) <= CLOSE
    precision, recall = near.any(1).mean(), near.any(0).mean()
    return float(2 * precision * recall / (precision + recall))


def _row(kind: str, x: Array, process: Callable[..., Any], key: str) -> Row:
    info = StreamInfo(f"bench.{kind}", Fraction(100), (Channel(kind, kind, "1"),))
    flow = StageRunner(BeatDetection(), info)
    block = Block(info, 0, 0.0, np.ascontiguousarray(x[:, None]))
    known: list[Array] = []

    def ours() -> Block:
        flow.reset()
        return flow.push(block)

    def peer() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, info = process(x, sampling_rate=100)
        known.append(np.asarray(info[key], np.float64) / 100)

    fast, slow = interleaved(ours, peer, 3)
    mine = events_from_grid(ours()).times
    true = known[0]
    inside = (true > 5) & (true < len(x) / 100 - 2)  # without both edges
    mine = mine[(mine > 5) & (mine < len(x) / 100 - 2)]
    name = f"neurokit2 {'ecg' if kind == 'ecg' else 'ppg'}_process"
    work = f"beats, 5 min of {'ECG' if kind == 'ecg' else 'PPG'} at 100 Hz"
    return row(work, name, fast, slow, f1=f1(mine, true[inside]))
