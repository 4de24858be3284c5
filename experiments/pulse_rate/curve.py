"""Error against coverage of heart rates from the wrist: this package and peers."""

import argparse
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

import physio
from experiments.pulse_rate.evaluate import Weights, held_out, tracked
from experiments.pulse_rate.recordings import (
    RATE,
    WristRecording,
    gap_reference,
    treadmill,
    wristband,
)
from physio.core.block import Array

COVERAGES: Final = np.arange(0.3, 1.001, 0.05)
"""Proportions of the time at which errors are compared."""

_START: Final = 12  # s, before which nothing is scored
_WINDOW: Final = 8  # s, of the peers' rates
_WRONG: Final = 5.0  # 1/min


class Rates(NamedTuple):
    """Rate (1/min) at the end of each second, and a number that grows with doubt."""

    rate: Array
    doubt: Array


def neurokit(recording: WristRecording) -> Rates:
    """Return neurokit2's rate over the last 8 s; doubt is 1 - its quality."""
    import neurokit2

    wave = recording.pulse[:, 0]
    seconds = len(wave) // RATE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signals, events = neurokit2.ppg_process(wave, sampling_rate=RATE)
        clean = signals["PPG_Clean"].to_numpy()
        peaks = np.asarray(events["PPG_Peaks"])
        quality = neurokit2.ppg_quality(clean, peaks, sampling_rate=RATE)
    rate, doubt = np.full(seconds, np.nan), np.full(seconds, np.inf)
    for second in range(_WINDOW, seconds + 1):
        begin, end = (second - _WINDOW) * RATE, second * RATE
        recent = peaks[(peaks >= begin) & (peaks < end)]
        if len(recent) > 2:
            rate[second - 1] = 60 * RATE / float(np.diff(recent).mean())
            doubt[second - 1] = 1 - float(np.nanmean(np.asarray(quality)[begin:end]))
    return Rates(rate, doubt)


def heartpy(recording: WristRecording) -> Rates:
    """Return HeartPy's rate over the last 8 s; doubt is its part of rejected beats."""
    import heartpy

    wave = recording.pulse[:, 0]
    seconds = len(wave) // RATE
    rate, doubt = np.full(seconds, np.nan), np.full(seconds, np.inf)
    for second in range(_WINDOW, seconds + 1):
        part = wave[(second - _WINDOW) * RATE : second * RATE]
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                passed = heartpy.filter_signal(part, [0.7, 3.5], RATE, 3, "bandpass")
                beats, measures = heartpy.process(passed, RATE)
        except Exception:  # it raises many types of error where it finds no beats
            continue
        rate[second - 1] = measures["bpm"]
        doubt[second - 1] = 1 - float(np.mean(beats["binary_peaklist"]))
    return Rates(rate, doubt)


def maker(path: Path, seconds: int) -> Rates:
    """Return ``HR.csv`` of a wristband, which has no doubt."""
    recording = physio.read(path)
    blocks = recording.streams["e4.hr"]
    times = np.concatenate([b.times for b in blocks]) - recording.begin
    values = np.concatenate([b.data[:, 0] for b in blocks])
    newest = np.searchsorted(times, np.arange(1, seconds + 1), side="right") - 1
    rate = np.where(newest < 0, np.nan, values[np.maximum(newest, 0)])
    return Rates(rate, np.zeros(seconds))


def curve(parts: Sequence[tuple[Rates, Array]]) -> dict[str, list[float]]:
    """Return the proportion of wrong answers at each coverage.

    One limit of the doubt holds for all participants; the proportion is the mean over
    participants. Where answers are missing, the curve ends.

    Parameters
    ----------
    parts
        For each participant, the rates and the reference (NaN where unknown).
    """
    errors, doubts = [], []
    for (rate, doubt), reference in parts:
        n = min(len(rate), len(reference))
        known = np.isfinite(reference[:n]) & (np.arange(n) >= _START)
        error = np.abs(rate[:n] - reference[:n])[known]
        errors.append(error)
        doubts.append(np.where(np.isfinite(error), doubt[:n][known], np.inf))
    every = np.sort(np.concatenate(doubts))
    answered, wrong = [], []
    for coverage in COVERAGES.tolist():
        limit = every[min(int(coverage * len(every)), len(every) - 1)]
        if not np.isfinite(limit):
            break
        given = [d <= limit for d in doubts]
        answered.append(float(np.mean(np.concatenate(given))))
        shares = [
            float(np.mean(e[g] > _WRONG))
            for e, g in zip(errors, given, strict=True)
            if g.any()
        ]
        wrong.append(float(np.mean(shares)))
    return {"answered": answered, "wrong": wrong}


def curves(data: Path, weights: Weights) -> dict[str, dict[str, Any]]:
    """Return the curves on a treadmill, and on four wristbands of Stress-Predict."""
    runs = list(treadmill(data))
    tables: dict[str, dict[str, list[tuple[Rates, Array]]]] = {"treadmill": {}}
    for run in runs:
        for name, rates in (
            ("heart.rate", Rates(*tracked(run).T)),
            ("neurokit2", neurokit(run)),
            ("HeartPy", heartpy(run)),
        ):
            tables["treadmill"].setdefault(name, []).append((rates, run.reference))
    for path in sorted(data.glob("stress_predict/raw/*.zip"))[::3]:
        band = wristband(path)
        seconds = len(band.reference)
        for name, rates in (
            ("heart.rate", Rates(*tracked(band, held_out(band, weights)).T)),
            ("neurokit2", neurokit(band)),
            ("HR.csv", maker(path, seconds)),
        ):
            for where, reference in (
                ("wristband, intervals of the maker", band.reference),
                ("wristband, gaps of these intervals", gap_reference(band.reference)),
            ):
                part = tables.setdefault(where, {}).setdefault(name, [])
                part.append((rates, reference))
    return {
        where: {name: curve(parts) for name, parts in table.items()}
        for where, table in tables.items()
    }


def draw(figures: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw the curves."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(figures), figsize=(10, 3.6), sharey=True, layout="constrained"
    )
    colours = {
        "heart.rate": "#0072b2", "neurokit2": "#d55e00",
        "HeartPy": "#009e73", "HR.csv": "#666666",
    }  # fmt: skip
    for ax, (where, table) in zip(axes, figures.items(), strict=True):
        for name, part in table.items():
            x, y = (100 * np.array(part[k]) for k in ("answered", "wrong"))
            style = "o-" if len(set(x.tolist())) > 1 else "s"
            ax.plot(x, y, style, ms=3, color=colours[name], label=name)
        ax.set(title=where, xlabel="answered (% of the time)", xlim=(25, 102))
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False, fontsize="small")
    axes[0].set_ylabel("off by more than 5/min (% of answers)")
    axes[0].set_ylim(bottom=0)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Compute the curves, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--weights", type=Path, required=True, help="output of train")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--picture", type=Path, required=True, help="PNG to write")
    options = parser.parse_args()
    weights = json.loads(options.weights.read_text("utf-8"))
    figures = curves(options.data, weights)
    options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    draw(figures, options.picture)


if __name__ == "__main__":
    main()
