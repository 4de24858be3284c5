"""Compare RMSSD of a pulse wave, and of intervals with an E4's gaps, with an ECG."""

import json
import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

import physio
from experiments.pulse_rate.evaluate import clock_lag, seated
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import Chain, apply
from physio.features.cardiac.beat_to_beat import BeatToBeatVariability
from physio.features.cardiac.heart_rate import BeatDetection

RATE: Final = 130  # Hz, of the pulse wave and of the ECG
WINDOW: Final = 60.0  # s
EVERY: Final = 10.0  # s between compared windows
_PAUSE: Final = 3.0  # s without a signal between two clips
_VARIABILITY: Final = Chain((BeatDetection(), BeatToBeatVariability()))


def rmssd(parts: list[Array], kind: str) -> tuple[Array, Array]:
    """Return RMSSD (ms) every 10 s of clips with pauses, and all accepted intervals."""
    pause = np.full(int(_PAUSE * RATE), MissingReason.NO_SIGNAL.nan)
    x = np.concatenate([v for part in parts for v in (part, pause)])
    info = StreamInfo(f"seated.{kind}", Fraction(RATE), (Channel(kind, kind),))
    block = Block(info, 0, 0.0, np.ascontiguousarray(x[:, np.newaxis]))
    y = apply(_VARIABILITY, block).column("rmssd")
    beats = apply(BeatDetection(), block)
    intervals = beats.column("interval")
    return y[int(4 * WINDOW) :: int(4 * EVERY)], intervals[~np.isnan(intervals)]


def participants(data: Path) -> Iterator[tuple[str, float, Array, Array, Array]]:
    """Yield name, clock lag (s), RMSSD of pulse and ECG (ms), intervals of the ECG."""
    archive = np.load(data / "rcqoea360" / "shimmer_polar.npz")
    for name, clips in seated(data):
        lag, _ = clock_lag(clips)
        pulses, ecgs = [], []
        for clip, _ in clips:
            pulse = archive[f"{clip.name}/ppg"].astype(float)
            ecg = archive[f"{clip.name}/ecg130"].astype(float)
            shift = round(lag * RATE)
            pulse, ecg = pulse[max(-shift, 0) :], ecg[max(shift, 0) :]
            n = min(len(pulse), len(ecg))
            if n > 8 * RATE:
                pulses.append(pulse[:n])
                ecgs.append(ecg[:n])
        ours, _ = rmssd(pulses, "bio")
        truth, intervals = rmssd(ecgs, "ecg")
        yield name, lag, ours, truth, intervals


def covered_time(data: Path) -> list[Array]:
    """Return, for each E4, whether its maker gives an interval, 16 times a second."""
    paths = [*sorted(data.glob("stress_predict/raw/*.zip"))]
    paths += sorted(data.glob("wesad/S*/*_E4_Data.zip"))
    masks = []
    for path in paths:
        recording = physio.read(path)
        given = next(e for n, e in recording.events.items() if n.endswith(".ibi"))
        mask = np.zeros(int(recording.seconds * 16), bool)
        ends = given.times - recording.begin
        for end, interval in zip(ends, given.data[:, 0], strict=True):
            mask[int((end - interval) * 16) : int(end * 16)] = True
        masks.append(mask)
    return masks


def with_gaps(intervals: Array, mask: Array) -> tuple[float, float]:
    """Return RMSSD (ms) of a minute of intervals, whole and with gaps."""
    ends = np.cumsum(intervals)
    begins = np.round((ends - intervals) * 16).astype(int)
    taken = np.array(
        [mask[a : int(b * 16)].all() for a, b in zip(begins, ends, strict=True)]
    )
    return _of(intervals, np.ones(len(intervals), bool)), _of(intervals, taken)


def _of(intervals: Array, taken: Array) -> float:
    """Return RMSSD (ms) by the stage, of intervals of which some are missing."""
    ends = np.cumsum(intervals)
    info = StreamInfo(
        "gaps",
        Fraction(8),
        (
            Channel("event", "event", "s"),
            *(Channel(n) for n in ("interval", "confidence")),
        ),
    )
    x = np.full((int(8 * WINDOW) + 9, 3), np.nan)
    for end, interval, given in zip(ends, intervals, taken, strict=True):
        row = int(np.ceil(end * 8))
        if row < len(x):
            value = interval if given else MissingReason.POOR_QUALITY.nan
            x[row] = end - row / 8, value, 1.0
    y = apply(BeatToBeatVariability(), Block(info, 0, 0.0, x)).column("rmssd")
    return float(y[int(4 * WINDOW)])


def agreement(ours: Array, truth: Array) -> dict[str, float]:
    """Return coverage, relative bias, and the share of windows within 30 %."""
    known = np.isfinite(truth)
    both = known & np.isfinite(ours)
    if not both.any():
        return {"windows": int(known.sum()), "coverage": 0.0}
    ratio = ours[both] / truth[both]
    return {
        "windows": int(known.sum()),
        "coverage": float(both.sum() / known.sum()),
        "bias": float(np.median(ratio) - 1),
        "mean_bias": float(ours[both].mean() / truth[both].mean() - 1),
        "within_30_percent": float(np.mean(np.abs(ratio - 1) <= 0.3)),
    }


def main(data: Path) -> dict[str, Any]:
    """Return the figures of both comparisons."""
    rows, intervals, pairs_of = {}, [], {}
    for name, lag, ours, truth, given in participants(data):
        n = min(len(ours), len(truth))
        rows[name] = {"lag": round(lag, 1), **agreement(ours[:n], truth[:n])}
        pairs_of[name] = ours[:n], truth[:n]
        intervals.append(given)
    rng = np.random.default_rng(0)
    masks = covered_time(data)
    pairs = []
    for series in intervals:
        for _ in range(40):
            start = rng.integers(max(len(series) - 150, 1))
            part = series[start : start + 150]
            part = part[: int(np.searchsorted(np.cumsum(part), WINDOW)) + 1]
            mask = masks[rng.integers(len(masks))]
            first = rng.integers(len(mask) - int(16 * WINDOW) - 32)
            pairs.append(with_gaps(part, mask[first : first + int(16 * WINDOW) + 32]))
    whole, sparse = np.array(pairs).T
    halves = {
        "all": list(pairs_of),
        "odd numbers (the correction was chosen on them)": [
            name for name in pairs_of if int(name[1:]) % 2
        ],
        "even numbers": [name for name in pairs_of if not int(name[1:]) % 2],
    }
    return {
        "pulse wave against ECG (RCQoEA-360VR)": {
            **{
                half: agreement(
                    *(np.concatenate([pairs_of[n][k] for n in names]) for k in (0, 1))
                )
                for half, names in halves.items()
            },
            "participants": rows,
        },
        "ECG intervals with the gaps of E4 wristbands": agreement(sparse, whole),
    }


if __name__ == "__main__":
    folder = Path(os.environ.get("PHYSIO_DATA", "../shared/data"))
    results = main(folder)
    text = json.dumps(results, indent=1) + "\n"
    (Path(__file__).parent / "results" / "rmssd.json").write_text(text, "utf-8")
    sys.stdout.write(text)
