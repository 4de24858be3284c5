"""Compare the heart rate of an ECG in added noise with that of the clean ECG.

``python -m experiments.ecg_noise.evaluate --data DATA --out OUT.json``
"""

import argparse
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.signal import butter, sosfiltfilt

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.stage import apply
from physio.features.cardiac.heart_rate import BeatDetection, HeartRate

RATE: Final = 130  # Hz
LIMITS: Final = 0.3, 0.5, 0.6, 0.7, 0.8, 0.9
"""Compared proportions of beats whose interval must be accepted."""

RATIOS: Final = 12, 6, 0, -6
"""Power of the ECG (1 to 40 Hz) over that of the noise (dB)."""

WRONG: Final = 5.0  # 1/min
_WINDOW: Final = 10.0  # s
_START: Final = 12.0  # s, before which nothing is scored
_INFO: Final = StreamInfo("noisy.ecg", Fraction(RATE), (Channel("ecg", "ecg", "1"),))


def white(n: int, rng: np.random.Generator) -> Array:
    """Return white noise."""
    return rng.standard_normal(n)


def muscle(n: int, rng: np.random.Generator) -> Array:
    """Return noise of 15 to 60 Hz whose strength changes each second."""
    strength = np.repeat(rng.uniform(0, 2, n // RATE + 1), RATE)[:n]
    return _band(n, (15, 60), rng) * strength


def electrode(n: int, rng: np.random.Generator) -> Array:
    """Return noise of 1 to 10 Hz in bursts of 2 s, as of a moved electrode."""
    strength = np.repeat(rng.exponential(1, n // (2 * RATE) + 1) ** 2, 2 * RATE)[:n]
    return _band(n, (1, 10), rng) * strength


NOISES: Final = {"white": white, "muscle": muscle, "moved electrode": electrode}


def _band(n: int, band: tuple[float, float], rng: np.random.Generator) -> Array:
    sos = butter(2, band, "bandpass", fs=RATE, output="sos")
    return np.asarray(sosfiltfilt(sos, rng.standard_normal(n)))


def clips(data: Path) -> Iterator[tuple[str, Array, Array]]:
    """Yield participant, ECG, and R peaks (s) of every third clip."""
    import neurokit2 as nk

    archive = np.load(data / "rcqoea360" / "shimmer_polar.npz")
    for name in sorted({key.rpartition("/")[0] for key in archive.files})[::3]:
        ecg = archive[f"{name}/ecg130"].astype(float)
        clean = nk.ecg_clean(ecg, sampling_rate=RATE)
        peaks = nk.ecg_peaks(clean, sampling_rate=RATE)[1]["ECG_R_Peaks"]
        yield name.partition("/")[0], ecg - np.median(ecg), peaks / RATE


def rates(x: Array, peaks: Array) -> tuple[Array, dict[float, Array]]:
    """Return the true rate every 2 s, and the given one by limit (1/min)."""
    beats = apply(BeatDetection(), Block(_INFO, 0, 0.0, x[:, np.newaxis].copy()))
    late = beats.info.channels[0].delay
    given, true = {}, np.empty(0)
    for limit in LIMITS:
        y = apply(HeartRate(accepted=limit), beats)
        ends = y.times - late
        scored = np.flatnonzero((ends >= _START) & (ends <= len(x) / RATE))[::8]
        if not len(true):
            inside = [peaks[(peaks > t - _WINDOW) & (peaks <= t)] for t in ends[scored]]
            true = np.array(
                [60 / np.diff(p).mean() if len(p) > 3 else np.nan for p in inside]
            )
        given[limit] = y.data[scored, 0]
    return true, given


def evaluate(data: Path) -> dict[str, Any]:
    """Return answers and errors by half, noise, ratio and limit."""
    parts: dict[tuple[str, str, int, float], list[tuple[Array, Array]]] = {}
    ecg_power = butter(2, (1, 40), "bandpass", fs=RATE, output="sos")
    for k, (participant, ecg, peaks) in enumerate(clips(data)):
        half = "odd" if int(participant[1:]) % 2 else "even"
        size = sosfiltfilt(ecg_power, ecg).std()
        for kind, make in NOISES.items():
            noise = make(len(ecg), np.random.default_rng(k))
            for ratio in RATIOS:
                scale = size / noise.std() * 10 ** (-ratio / 20)
                true, given = rates(ecg + scale * noise, peaks)
                for limit, rate in given.items():
                    key = half, kind, ratio, limit
                    parts.setdefault(key, []).append((true, rate))
    table: dict[str, Any] = {}
    for (half, kind, ratio, limit), pairs in parts.items():
        true, rate = (np.concatenate([p[i] for p in pairs]) for i in (0, 1))
        known = np.isfinite(true)
        answer = known & np.isfinite(rate)
        off = np.abs(rate - true)[answer] > WRONG
        table.setdefault(half, {}).setdefault(f"{kind}, {ratio} dB", {})[limit] = {
            "windows": int(known.sum()),
            "answered": round(float(answer.sum() / known.sum()), 3),
            "wrong": round(float(off.mean()), 4) if len(off) else None,
        }
    return table


def main() -> None:
    """Write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    text = json.dumps(evaluate(options.data), indent=1) + "\n"
    options.out.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
