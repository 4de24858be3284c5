"""Heart rate of a moving wrist: answers and errors, beside neurokit2 and HeartPy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.timing import Row, untimed_row
from experiments.pulse_rate.curve import Rates, curve, heartpy, neurokit
from experiments.pulse_rate.evaluate import tracked
from experiments.pulse_rate.recordings import WristRecording, treadmill

ANSWERED = 0.9
"""Proportion of the time at which errors are compared."""


def rows(data: Path | None) -> list[Row]:
    """Return the proportion of wrong answers on a treadmill, against a chest ECG."""
    if data is None or not (data / "troika").exists():
        return []
    runs = list(treadmill(data))
    ours = _wrong(runs, lambda run: Rates(*tracked(run).T))
    peers: dict[str, Callable[[WristRecording], Rates]] = {"neurokit2": neurokit}
    try:
        import heartpy as installed
    except ImportError:
        installed = None
    if installed is not None:
        peers["HeartPy"] = heartpy
    work = f"heart rate, {len(runs)} runs on a treadmill: off by more than 5/min"
    return [
        untimed_row(
            work, name, answered=ANSWERED, ours=ours, theirs=_wrong(runs, method)
        )
        for name, method in peers.items()
    ]


def _wrong(
    runs: list[WristRecording], method: Callable[[WristRecording], Rates]
) -> float:
    """Return the proportion of wrong answers at the compared coverage."""
    table = curve([(method(run), run.reference) for run in runs])
    return float(np.interp(ANSWERED, table["answered"], table["wrong"]))
