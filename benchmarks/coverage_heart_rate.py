"""Heart rate of a moving wrist: answers and errors, beside peers and ``HR.csv``."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.timing import Row, untimed_row
from experiments.pulse_rate import evaluate
from experiments.pulse_rate.curve import Rates, curve, heartpy, maker, neurokit
from experiments.pulse_rate.evaluate import ANSWER, errors, held_out, tracked
from experiments.pulse_rate.recordings import WristRecording, treadmill, wristband

ANSWERED: Final = 0.9
"""Proportion of the time at which errors are compared."""

_WEIGHTS: Final = Path(evaluate.__file__).parent / "results" / "weights.json"
_EVERY: Final = 5  # one wristband of so many is compared


def rows(data: Path | None) -> list[Row]:
    """Return the proportion of wrong answers, on a treadmill and of wristbands."""
    if data is None:
        return []
    bands = sorted(data.glob("stress_predict/raw/*.zip"))[::_EVERY]
    return [
        *(_treadmill(data) if (data / "troika").exists() else []),
        *(_wristbands(bands) if bands else []),
    ]


def _treadmill(data: Path) -> list[Row]:
    """Return the rows of runs with a chest ECG."""
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


def _wristbands(paths: list[Path]) -> list[Row]:
    """Return the rows of wristbands at the intervals that their maker gives.

    The weights are those of the other laboratory. Peers have no deviation: each of
    their rates is an answer.
    """
    weights = json.loads(_WEIGHTS.read_text("utf-8"))
    figures: dict[str, list[dict[str, float]]] = {}
    for path in paths:
        band = wristband(path)
        rates = {
            "ours": tracked(band, held_out(band, weights)),
            "neurokit2": _certain(neurokit(band)),
            "HR.csv": _certain(maker(path, len(band.reference))),
        }
        for name, table in rates.items():
            figures.setdefault(name, []).append(errors(table, band.reference))
    mean = {
        name: {k: float(np.mean([p[k] for p in parts])) for k in ("answered", "wrong")}
        for name, parts in figures.items()
    }
    work = f"heart rate, {len(paths)} wristbands at their maker's intervals"
    return [
        untimed_row(
            f"{work}: off by more than 5/min",
            name,
            answered=mean["ours"]["answered"],
            ours=mean["ours"]["wrong"],
            theirs_answered=mean[name]["answered"],
            theirs=mean[name]["wrong"],
        )
        for name in ("neurokit2", "HR.csv")
    ]


def _certain(rates: Rates) -> np.ndarray:
    """Return rates with a deviation of 0, or of no answer where they are missing."""
    deviation = np.where(np.isfinite(rates.rate), 0.0, 2 * ANSWER)
    return np.column_stack([np.nan_to_num(rates.rate), deviation])
