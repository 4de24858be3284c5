"""Errors and coverage of `PulseRateTracker` on participants who did not train it."""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from experiments.pulse_rate.mixtures import RATIOS, mixed
from experiments.pulse_rate.recordings import (
    RATE,
    WristRecording,
    gap_reference,
    interval_reference,
    laboratory,
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
_CONDITIONS: Final = "baseline", "stress", "amusement", "meditation"  # labels 1 to 4
_SHIPPED: Final = PulseRateTracker(max_sd=1e9)


Weights = Mapping[str, Mapping[str, list[float]]]
"""By name: ``rate`` and ``absence``, as `experiments.pulse_rate.train` prints them."""


def tracked(recording: WristRecording, tracker: PulseRateTracker = _SHIPPED) -> Array:
    """Return rate and standard deviation at the end of each second."""
    rates = apply(tracker, recording.block)
    return np.asarray(rates.data[1:])  # the first is due with the first sample


def held_out(recording: WristRecording, weights: Weights) -> PulseRateTracker:
    """Return the tracker trained without the laboratory of a wristband."""
    part = weights[f"without {laboratory(recording)}"]
    return replace(
        _SHIPPED,
        rate_weights=tuple(part["rate"]),
        absence_weights=tuple(part["absence"]),
    )


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
        **{
            f"mae_sd_quartile_{q + 1}": float(error[quartile == q].mean())
            for q in range(4)
            if (quartile == q).any()
        },
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


def seated_errors(data: Path, worn: Sequence[WristRecording]) -> dict[str, Any]:
    """Return the errors on seated participants, alone and with others' artifacts."""
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for i, (participant, clips) in enumerate(seated(data)):
        lag, misfit = clock_lag(clips)
        parts: dict[str, list[tuple[Array, Array]]] = {}
        for j, (clip, peaks) in enumerate(clips):
            rates = tracked(clip)
            for name, shift in (("as dated", 0.0), ("aligned", lag)):
                pairs = np.column_stack([peaks[1:] - shift, np.diff(peaks)])
                reference = interval_reference(pairs, len(rates))
                reference[:_START] = np.nan
                parts.setdefault(name, []).append((rates, reference))
            for ratio in RATIOS:
                other = worn[(i + j) % len(worn)]
                noisy = mixed(clip, other, ratio, seed=1000 * i + j)
                pair = tracked(noisy), reference
                parts.setdefault(f"artifacts at {ratio:+g} dB", []).append(pair)
                parts.setdefault("artifacts at all ratios", []).append(pair)
        for name, pairs_of in parts.items():
            rows.setdefault(name, {})[participant] = {
                **_pooled(pairs_of), "lag": lag, "misfit": misfit
            }  # fmt: skip
    return {name: summary(part) for name, part in rows.items()}


def _pooled(parts: Sequence[tuple[Array, Array]]) -> dict[str, float]:
    """Return the errors over the clips of a participant."""
    padding = np.full((_START, 2), np.nan)
    n = [min(len(rates), len(reference)) for rates, reference in parts]
    rates = [r[:k] for (r, _), k in zip(parts, n, strict=True)]
    references = [r[:k] for (_, r), k in zip(parts, n, strict=True)]
    return errors(
        np.vstack([padding, *rates]), np.concatenate([padding[:, 0], *references])
    )


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


def cadences(recording: WristRecording) -> Array:
    """Return the strongest rhythm of the acceleration at the end of each second."""
    strongest = np.full(len(recording.pulse) // RATE, np.nan)
    frequency = 60 * np.fft.rfftfreq(64 * RATE, 1 / RATE)
    inside = (frequency > 30) & (frequency < 220)
    for second in range(8, len(strongest) + 1):
        part = recording.acceleration[(second - 8) * RATE : second * RATE]
        shaped = (part - part.mean(axis=0)) * np.hanning(len(part))[:, np.newaxis]
        power = np.abs(np.fft.rfft(shaped, 64 * RATE, axis=0)) ** 2
        strongest[second - 1] = frequency[inside][power.sum(axis=1)[inside].argmax()]
    return strongest


def follows_cadence(recording: WristRecording, rates: Array) -> float:
    """Return the proportion of answers that are the cadence instead of the pulse.

    They lie within 3/min of the cadence, its half or its double, while the reference is
    more than 8/min away from the answer.
    """
    n = min(len(rates), len(recording.reference))
    rate, sd = rates[:n].T
    reference, cadence = recording.reference[:n], cadences(recording)[:n]
    counted = (sd <= ANSWER) & np.isfinite(reference) & (np.arange(n) >= _START)
    near = [np.abs(rate - factor * cadence) < 3 for factor in (0.5, 1.0, 2.0)]
    wrong = np.any(near, axis=0) & (np.abs(rate - reference) > 8)
    return float(wrong[counted].mean())


def strangers(worn: Sequence[WristRecording]) -> dict[str, dict[str, float]]:
    """Return answers where the acceleration is not that of the pulse wave.

    The acceleration is that of another participant, or of ten minutes earlier.
    """
    rows: dict[str, list[dict[str, float]]] = {}
    for i, recording in enumerate(worn):
        other = worn[(i + 1) % len(worn)].acceleration
        n = min(len(recording.pulse), len(other))
        axes_worn = recording.acceleration
        for name, axes, m in (
            ("the same", axes_worn, len(axes_worn)),
            ("of another participant", other, n),
            (
                "of ten minutes earlier",
                np.roll(axes_worn, 600 * RATE, axis=0),
                len(axes_worn),
            ),
        ):
            moved = replace(recording, pulse=recording.pulse[:m], acceleration=axes[:m])
            row = errors(y := tracked(moved), recording.reference)
            row["answered"] = float(np.mean(y[_START:, 1] <= ANSWER))
            rows.setdefault(name, []).append(row)
    return {
        name: {k: float(np.mean([r[k] for r in part])) for k in ("answered", "wrong")}
        for name, part in rows.items()
    }


def coverage(recording: WristRecording, rates: Array) -> list[float]:
    """Return the proportion of answers in each quartile of movement."""
    n = len(rates)
    samples = recording.acceleration[: n * RATE].reshape(n, RATE, 3)
    moved = np.sqrt(samples.var(axis=1).sum(axis=1))
    smooth = np.convolve(moved, np.ones(8) / 8)[:n]
    quartile = np.searchsorted(np.quantile(smooth, [0.25, 0.5, 0.75]), smooth)
    given = rates[:, 1] <= ANSWER
    return [float(given[quartile == q].mean()) for q in range(4)]


def by_condition(data: Path, rates: Mapping[str, Array]) -> dict[str, Any]:
    """Return the proportion of answers in each condition of WESAD, by participant."""
    offsets = json.loads(
        (data / "wesad" / "e4_to_sync_offsets.json").read_text("utf-8")
    )
    rows: dict[str, dict[str, float]] = {name: {} for name in _CONDITIONS}
    for name, y in rates.items():
        code = name.partition("_")[0]
        path = data / "wesad" / code / f"{code}_wrist.npz"
        if not path.exists():
            continue
        labels = np.load(path)["label"][::4]  # 4 Hz
        seconds = np.arange(len(labels)) + round(offsets[code]["acc_off_s"])
        inside = seconds < len(y)
        given = y[seconds[inside], 1] <= ANSWER
        for k, condition in enumerate(_CONDITIONS, start=1):
            rows[condition][code] = float(given[labels[inside] == k].mean())
    return {
        c: {"mean": float(np.mean(list(r.values()))), "participants": r}
        for c, r in rows.items()
    }


def _by_recording(recordings: Iterable[WristRecording]) -> dict[str, Any]:
    rows = {}
    for recording in recordings:
        rates = tracked(recording)
        row = errors(rates, recording.reference)
        rows[recording.name] = row | {"cadence": follows_cadence(recording, rates)}
    return summary(rows)


def evaluate(data: Path, weights: Weights) -> dict[str, Any]:
    """Return all figures on the data sets in a folder."""
    worn = list(wristbands(data))
    rates = {r.name: tracked(r, held_out(r, weights)) for r in worn}
    known = [r for r in worn if np.isfinite(r.reference).sum() > 60]
    gaps = {r.name: errors(rates[r.name], gap_reference(r.reference)) for r in known}
    moved = {r.name: coverage(r, rates[r.name]) for r in worn}
    return {
        "treadmill, chest ECG (TROIKA)": _by_recording(treadmill(data)),
        "seated, ECG (RCQoEA-360VR)": seated_errors(data, worn),
        "wristbands, maker's intervals": summary(
            {r.name: errors(rates[r.name], r.reference) for r in known}
        ),
        "wristbands, gaps of the maker's intervals": summary(gaps),
        "simulated, new seeds": _by_recording(simulated(3000 + i) for i in range(30)),
        "answered on wristbands": {
            r.name: float(np.mean(rates[r.name][_START:, 1] <= ANSWER)) for r in worn
        },
        "answered on wristbands by quartile of movement": {
            "mean": np.mean(list(moved.values()), axis=0).tolist(),
            "participants": moved,
        },
        "answered on wristbands of WESAD by condition": by_condition(
            data, {n: y for n, y in rates.items() if n.endswith("_E4_Data")}
        ),
        "answered with an acceleration that is": strangers(
            [r for r in worn if laboratory(r) == "stress_predict"][:3]
        ),
        "answered without a pulse": controls(),
    }


def main() -> None:
    """Evaluate, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--weights", type=Path, required=True, help="output of train")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    weights = json.loads(options.weights.read_text("utf-8"))
    figures = evaluate(options.data, weights)
    options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
