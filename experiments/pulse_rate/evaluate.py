"""Errors and coverage of `PulseRateTracker` on recordings that did not train it."""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from experiments.pulse_rate.recordings import (
    RATE,
    WristRecording,
    interval_reference,
    treadmill,
    wristbands,
)
from experiments.pulse_rate.simulation import simulated
from physio.core.block import Array
from physio.core.stage import apply
from physio.features.cardiac.heart_rate import BeatDetection
from physio.features.cardiac.pulse_rate_tracker import PulseRateTracker

ANSWER: Final = 5.0
"""Standard deviation up to which a rate counts as an answer (1/min)."""

WRONG: Final = 5.0
"""Error above which an answer is wrong (1/min)."""

_START: Final = 12  # s, before which nothing is scored
_NORMAL: Final = 1.2816  # half width of an 80 % interval in standard deviations


def tracked(recording: WristRecording) -> Array:
    """Return rate and standard deviation at the end of each second."""
    rates = apply(PulseRateTracker(max_sd=1e9), recording.block)
    return np.asarray(rates.data[1:])  # the first is due with the first sample


def errors(rates: Array, reference: Array) -> dict[str, float]:
    """Return coverage and errors where a reference is known.

    Parameters
    ----------
    rates
        Rate and standard deviation at the end of each second, shape (n, 2).
    reference
        Reference at the end of each second, NaN where unknown.
    """
    n = min(len(rates), len(reference))
    known = np.isfinite(reference[:n]) & (np.arange(n) >= _START)
    rate, sd = rates[:n][known].T
    error = np.abs(rate - reference[:n][known])
    given = sd <= ANSWER
    inside = error <= np.maximum(_NORMAL * sd, 0.5)
    quartile = np.searchsorted(np.quantile(sd, [0.25, 0.5, 0.75]), sd)
    return {
        "windows": int(known.sum()),
        "answered": float(given.mean()),
        "wrong": float((error[given] > WRONG).mean()),
        "wrong_if_all_answered": float((error > WRONG).mean()),
        "mae": float(error[given].mean()),
        "interval_80": float(inside.mean()),
        "mae_lowest_sd_quartile": float(error[quartile == 0].mean()),
        "mae_highest_sd_quartile": float(error[quartile == 3].mean()),
    }


def summary(rows: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Return the mean and the worst participant of each figure, and all rows."""
    keys = next(iter(rows.values()))
    mean = {k: float(np.nanmean([r[k] for r in rows.values()])) for k in keys}
    worst = {
        "answered": min(r["answered"] for r in rows.values()),
        "wrong": float(np.nanmax([r["wrong"] for r in rows.values()])),
        "interval_80": min(r["interval_80"] for r in rows.values()),
        "median_mae": float(np.nanmedian([r["mae"] for r in rows.values()])),
    }
    return {"mean": mean, "worst": worst, "participants": dict(rows)}


def seated(data: Path) -> Iterator[tuple[str, list[tuple[WristRecording, Array]]]]:
    """Yield the clips of each participant of RCQoEA-360VR, with the R peaks (s)."""
    import neurokit2 as nk

    archive = np.load(data / "rcqoea360" / "shimmer_polar.npz")
    clips: dict[str, list[tuple[WristRecording, Array]]] = {}
    names = sorted({key.rpartition("/")[0] for key in archive.files})
    for name in names[::3]:
        pulse, axes = archive[f"{name}/ppg"], archive[f"{name}/acc32"] / 9.81
        ecg = archive[f"{name}/ecg130"].astype(float)
        if len(pulse) < 2500 or not np.isfinite(pulse).all():
            continue
        cleaned = nk.ecg_clean(ecg, sampling_rate=130)
        peaks = nk.ecg_peaks(cleaned, sampling_rate=130)[1]["ECG_R_Peaks"] / 130
        n = int(len(pulse) / 130.4 * RATE)
        wave = np.interp(np.arange(n) / RATE, np.arange(len(pulse)) / 130.4, pulse)
        n = min(n, axes.shape[1])
        movement = axes[:, :n].astype(float).T
        clip = WristRecording(name, wave[:n, np.newaxis], movement, np.empty(0))
        clips.setdefault(name.partition("/")[0], []).append((clip, peaks))
    yield from clips.items()


def clock_lag(clips: list[tuple[WristRecording, Array]]) -> tuple[float, float]:
    """Return how much earlier the ECG's clock is than the pulse's (s), and the misfit.

    The lag is where the intervals between beats of the pulse wave agree best with the
    intervals between R peaks (s): the median over clips of their median difference.
    """
    lags = np.arange(-20, 20.05, 0.1)
    misfits = []
    for clip, peaks in clips:
        block = clip.block
        wave = block.info.with_channels(None, block.info.channels[0])
        beats = apply(
            BeatDetection(),
            type(block)(wave, 0, 0.0, np.ascontiguousarray(block.data[:, :1])),
        )
        rows = np.flatnonzero(~np.isnan(beats.data[:, 0]))
        times = beats.times[rows] + beats.data[rows, 0]
        sure = beats.data[rows, 2][1:] > 0.7
        ends, intervals = times[1:][sure], np.diff(times)[sure]
        costs = []
        for lag in lags.tolist():
            inside = (ends + lag > peaks[1]) & (ends + lag < peaks[-1])
            near = np.interp(ends[inside] + lag, peaks[1:], np.diff(peaks))
            difference = np.abs(near - intervals[inside])
            costs.append(np.median(difference) if inside.sum() > 8 else np.nan)
        misfits.append(costs)
    shared = np.nanmedian(misfits, axis=0)
    shared[np.isfinite(misfits).sum(axis=0) < 5] = np.nan
    best = int(np.nanargmin(shared))
    return float(lags[best]), float(shared[best])


def seated_errors(data: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the errors on seated participants, as the clocks say and aligned."""
    raw: dict[str, dict[str, float]] = {}
    aligned: dict[str, dict[str, float]] = {}
    for participant, clips in seated(data):
        lag, misfit = clock_lag(clips)
        for shift, rows in ((0.0, raw), (lag, aligned)):
            rates, references = [], []
            for clip, peaks in clips:
                pairs = np.column_stack([peaks[1:] - shift, np.diff(peaks)])
                rates.append(tracked(clip))
                reference = interval_reference(pairs, len(rates[-1]))
                reference[:_START] = np.nan
                references.append(reference)
            padding = np.full((_START, 2), np.nan)
            row = errors(
                np.vstack([padding, *rates]),
                np.concatenate([padding[:, 0], *references]),
            )
            rows[participant] = {**row, "lag": lag, "misfit": misfit}
    return summary(raw), summary(aligned)


def gap_reference(reference: Array) -> Array:
    """Return the reference inside gaps of 8 to 30 s whose ends agree to 6/min.

    It is interpolated, at least 4 s from both ends, and NaN elsewhere.
    """
    known = np.flatnonzero(np.isfinite(reference))
    inside = np.full(len(reference), np.nan)
    for a, b in zip(known[:-1].tolist(), known[1:].tolist(), strict=True):
        if 8 < b - a <= 30 and abs(reference[a] - reference[b]) <= 6:
            at = np.arange(a + 4, b - 3)
            inside[at] = np.interp(at, [a, b], reference[[a, b]])
    return inside


def controls() -> dict[str, float]:
    """Return the proportion of seconds with an answer where there is no pulse."""
    rng = np.random.default_rng(0)
    n = 600 * RATE
    still = 0.005 * rng.standard_normal((n, 3))
    noise = rng.standard_normal(n)
    signals = {
        "white noise": noise,
        "random walk": np.cumsum(noise),
        "constant": np.full(n, 3.0),
    }
    return {
        name: _answered(WristRecording(name, x[:, np.newaxis], still, np.empty(0)))
        for name, x in signals.items()
    }


def _answered(recording: WristRecording) -> float:
    return float(np.mean(tracked(recording)[_START:, 1] <= ANSWER))


def _by_recording(recordings: Iterable[WristRecording]) -> dict[str, Any]:
    rows = {r.name: errors(tracked(r), r.reference) for r in recordings}
    return summary(rows)


def evaluate(data: Path) -> dict[str, Any]:
    """Return all figures on the data sets in a folder."""
    worn = [(r, tracked(r)) for r in wristbands(data)]
    known = [(r, y) for r, y in worn if np.isfinite(r.reference).sum() > 60]
    raw, aligned = seated_errors(data)
    gaps = {r.name: errors(y, gap_reference(r.reference)) for r, y in known}
    return {
        "treadmill, chest ECG (TROIKA)": _by_recording(treadmill(data)),
        "seated, ECG as dated (RCQoEA-360VR)": raw,
        "seated, ECG aligned by its intervals (RCQoEA-360VR)": aligned,
        "wristbands, maker's intervals (in the training)": summary(
            {r.name: errors(y, r.reference) for r, y in known}
        ),
        "wristbands, gaps of the maker's intervals": summary(gaps),
        "simulated, new seeds": _by_recording(simulated(3000 + i) for i in range(30)),
        "answered on wristbands": {
            r.name: float(np.mean(y[_START:, 1] <= ANSWER)) for r, y in worn
        },
        "answered without a pulse": controls(),
    }


def main() -> None:
    """Evaluate, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    figures = evaluate(options.data)
    options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
