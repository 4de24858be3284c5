"""Beats beside neurokit2: the same ones, and how much faster."""

import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from physio.bench.measure import Row, interleaved, row
from physio.core.block import Array, Block, Channel, Info
from physio.core.events import points
from physio.core.stage import Flow
from physio.features.heart import Beats

CLOSE: Final = 0.05
"""Two beats as close (s) are the same."""


def rows(data: Path | None) -> list[Row]:
    """Return a row for ECG and one for PPG: real, at rest, 5 minutes, 100 Hz."""
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
    ]


def f1(found: Array, true: Array) -> float:
    """Return the harmonic mean of precision and recall, a beat within 50 ms."""
    near = np.abs(found[:, None] - true) <= CLOSE
    precision, recall = near.any(1).mean(), near.any(0).mean()
    return float(2 * precision * recall / (precision + recall))


def _row(kind: str, x: Array, process: Callable[..., Any], key: str) -> Row:
    info = Info(f"bench.{kind}", Fraction(100), (Channel(kind, kind, "1"),))
    flow = Flow(Beats(), info)
    block = Block(info, 0, 0.0, np.ascontiguousarray(x[:, None]))
    known: list[Array] = []

    def ours() -> Block:
        flow.reset()
        return flow.push(block)

    def peer() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, told = process(x, sampling_rate=100)
        known.append(np.asarray(told[key], np.float64) / 100)

    fast, slow = interleaved(ours, peer, 3)
    mine = points(ours()).times
    true = known[0]
    inside = (true > 5) & (true < len(x) / 100 - 2)  # warm, and told
    mine = mine[(mine > 5) & (mine < len(x) / 100 - 2)]
    name = f"neurokit2 {'ecg' if kind == 'ecg' else 'ppg'}_process"
    work = f"beats, 5 min of {'ECG' if kind == 'ecg' else 'PPG'} at 100 Hz"
    return row(work, name, fast, slow, f1=f1(mine, true[inside]))
