"""Heart rate over shapes, signs, rates and rhythms of ECG and pulse, beside peers."""

import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.timing import Row, untimed_row
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.stage import Chain, apply
from physio.features.cardiac.heart_rate import BeatDetection, HeartRate

LENGTH: Final = 60.0  # s of each signal
WINDOW: Final = 10.0  # s
WRONG: Final = 5.0  # 1/min

SHAPES: Final = {
    "qR": ((0.1, -0.18, 0.025), (-0.1, -0.03, 0.01), (1.0, 0.0, 0.012)),
    "rS": ((0.1, -0.18, 0.025), (0.2, -0.03, 0.01), (-1.0, 0.0, 0.014)),
    "biphasic": ((0.1, -0.18, 0.025), (0.75, -0.016, 0.009), (-0.6, 0.016, 0.009)),
}
"""Height, time (s) and width (s) of the waves of a beat in an ECG."""

PULSE: Final = ((1.0, 0.0, 0.08), (0.45, 0.26, 0.11))
"""The same of a pulse wave."""

_CHAIN: Final = Chain((BeatDetection(), HeartRate()))

Method = Callable[[Array, int, str, Array], Array]
"""Rates (1/min) of the windows that end at the given times."""


def rows(data: Path | None) -> list[Row]:  # noqa: ARG001 every bench is called alike
    """Return answers and errors for an ECG and a pulse wave, by method."""
    peers: dict[str, Method] = {"neurokit2": neurokit}
    try:
        import heartpy as installed
    except ImportError:
        installed = None
    if installed is not None:
        peers["HeartPy"] = heartpy
    results = []
    for kind, work in (
        ("ecg", "ECG: 3 shapes, both signs, 125 to 1000 Hz, drift and mains"),
        ("bio", "pulse wave: both signs, 25 to 1000 Hz, drift and mains"),
    ):
        cases = list(signals(kind))
        ours = _score(tracked, cases, kind)
        for name, method in peers.items():
            theirs = _score(method, cases, kind)
            figures = {f"ours_{k}": v for k, v in ours.items()}
            figures |= {f"theirs_{k}": v for k, v in theirs.items()}
            results.append(untimed_row(f"heart rate, {work}", name, **figures))
    return results


def signals(kind: str) -> Iterator[tuple[Array, int, Array]]:
    """Yield signal, sampling rate (Hz) and beats (s) of each condition."""
    shapes = list(SHAPES.values()) if kind == "ecg" else [PULSE]
    rates = (125, 250, 1000) if kind == "ecg" else (25, 64, 250, 1000)
    seed = 0
    for shape in shapes:
        for rate in rates:
            for sign in (1.0, -1.0):
                for mean in (50.0, 72.0, 110.0):
                    seed += 1
                    beats = rhythm(mean, seed)
                    yield sign * signal(shape, beats, rate, seed), rate, beats


def rhythm(mean: float, seed: int) -> Array:
    """Return the times of beats (s), every sixth of them early."""
    rng = np.random.default_rng(seed)
    n = int(LENGTH * mean / 60) + 9
    change = 0.02 * np.sin(np.arange(n) / 2.5) + rng.normal(0, 0.01, n)
    intervals = 60 / mean * (1 + change)
    early = np.arange(5, n - 1, 6)
    intervals[early] *= 0.8
    intervals[early + 1] *= 1.2
    return np.asarray(0.7 + np.cumsum(intervals))


def signal(
    shape: tuple[tuple[float, float, float], ...], beats: Array, rate: int, seed: int
) -> Array:
    """Return beats of a shape with drift, mains and noise."""
    t = np.arange(int(LENGTH * rate)) / rate
    x = np.zeros(len(t))
    for height, late, width in shape:
        for at in beats + late:
            a, b = np.searchsorted(t, [at - 6 * width, at + 6 * width])
            x[a:b] += height * np.exp(-0.5 * ((t[a:b] - at) / width) ** 2)
    noise = np.random.default_rng(seed).normal(0, 0.02, len(t))
    drift = 0.5 * np.sin(2 * np.pi * 0.1 * t)
    return np.asarray(x + drift + 0.05 * np.sin(2 * np.pi * 50 * t) + noise)


def tracked(x: Array, rate: int, kind: str, ends: Array) -> Array:
    """Return the rates of the shipped stages."""
    info = StreamInfo(f"bench.{kind}", Fraction(rate), (Channel(kind, kind, "1"),))
    y = apply(_CHAIN, Block(info, 0, 0.0, np.ascontiguousarray(x[:, None])))
    late = y.info.channels[0].delay
    return np.asarray(np.interp(ends + late, y.times, y.data[:, 0]))


def neurokit(x: Array, rate: int, kind: str, ends: Array) -> Array:
    """Return the rates of neurokit2's beats."""
    import neurokit2 as nk

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind == "ecg":
                clean = nk.ecg_clean(x, sampling_rate=rate)
                beats = nk.ecg_peaks(clean, sampling_rate=rate)[1]["ECG_R_Peaks"]
            else:
                clean = nk.ppg_clean(x, sampling_rate=rate)
                beats = nk.ppg_findpeaks(clean, sampling_rate=rate)["PPG_Peaks"]
    except Exception:  # it raises many types of error where it finds no beats
        return np.full(len(ends), np.nan)
    return _rates(np.asarray(beats) / rate, ends)


def heartpy(x: Array, rate: int, kind: str, ends: Array) -> Array:
    """Return HeartPy's rates of each window, filtered as it proposes."""
    import heartpy as hp

    y = np.full(len(ends), np.nan)
    band = [0.7, 3.5] if kind == "bio" else [3.0, 20.0]
    for i, end in enumerate(ends.tolist()):
        part = x[int((end - WINDOW) * rate) : int(end * rate)]
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                passed = hp.filter_signal(part, band, rate, 3, "bandpass")
                y[i] = hp.process(passed, rate)[1]["bpm"]
        except Exception:  # it raises many types of error where it finds no beats
            continue
    return y


def _rates(beats: Array, ends: Array) -> Array:
    inside = [beats[(beats > end - WINDOW) & (beats <= end)] for end in ends]
    return np.array(
        [60 / np.mean(np.diff(b)) if len(b) > 2 else np.nan for b in inside]
    )


def _score(
    method: Method, cases: list[tuple[Array, int, Array]], kind: str
) -> dict[str, float]:
    """Return the proportion of windows with an answer, and of wrong answers."""
    ends = np.arange(2 * WINDOW, LENGTH - 2, WINDOW / 2)
    off = [
        np.abs(method(x, rate, kind, ends) - _rates(beats, ends))
        for x, rate, beats in cases
    ]
    error = np.concatenate(off)
    given = np.isfinite(error)
    return {
        "answered": float(given.mean()),
        "off_by_5": float(np.mean(error[given] > WRONG)),
    }
