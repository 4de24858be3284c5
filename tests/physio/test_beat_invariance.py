"""Beats depend on no sign, sampling rate, scale, drift or mains, nor on the rhythm."""

from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events, events_from_grid
from physio.core.stage import Chain, Fork, StageRunner, apply
from physio.features.cardiac.beat_to_beat import BeatToBeatVariability
from physio.features.cardiac.heart_rate import BeatDetection, HeartRate

SECONDS = 60
HEART = Chain(
    (BeatDetection(), Fork((HeartRate(accepted=0.8), BeatToBeatVariability())))
)

# Amplitude, time from the R wave (s) and width (s) of each wave of a beat.
ECG = {
    "qR": ((0.1, -0.18, 0.025), (-0.1, -0.03, 0.01), (1.0, 0.0, 0.012),
           (0.3, 0.28, 0.05)),
    "rS": ((0.1, -0.18, 0.025), (0.2, -0.03, 0.010), (-1.0, 0.0, 0.014),
           (-0.2, 0.28, 0.05)),
    "biphasic": ((0.1, -0.18, 0.025), (0.75, -0.016, 0.009), (-0.6, 0.016, 0.009),
                 (0.15, 0.28, 0.05)),
}  # fmt: skip
PPG = ((1.0, 0.0, 0.08), (0.45, 0.26, 0.11))
WIDE = ((-0.9, 0.02, 0.035), (1.1, -0.03, 0.03), (-0.4, 0.3, 0.06))  # ventricular
UNITS = {"uV": (1000.0, 0.0), "mV": (1.0, 0.0), "counts": (8000.0, 172_000.0)}


def beat_times(rate: float = 72.0, seconds: float = SECONDS) -> Array:
    rng = np.random.default_rng(4)
    n = int(seconds * rate / 60) + 9
    change = 0.02 * np.sin(np.arange(n) / 2.5) + rng.normal(0, 0.01, n)
    return 0.7 + np.cumsum(60 / rate * (1 + change))


def wave(
    shape: tuple[tuple[float, float, float], ...],
    times: Array,
    rate: int,
    seconds: float = SECONDS,
    squeeze: float = 1.0,
) -> Array:
    x = np.zeros(int(seconds * rate))
    t = np.arange(len(x)) / rate
    for height, late, width in shape:
        for at in times + squeeze * late:
            a, b = np.searchsorted(t, [at - 6 * width, at + 6 * width])
            x[a:b] += height * np.exp(-0.5 * ((t[a:b] - at) / (squeeze * width)) ** 2)
    return x


def disturbed(x: Array, rate: int) -> Array:
    """Add a drift, mains and a little noise."""
    t = np.arange(len(x)) / rate
    rng = np.random.default_rng(5)
    drift = 0.5 * np.sin(2 * np.pi * 0.1 * t)
    return x + drift + 0.05 * np.sin(2 * np.pi * 50 * t) + rng.normal(0, 0.01, len(x))


def block(x: Array, rate: int, kind: str) -> Block:
    info = StreamInfo(f"a.{kind}", Fraction(rate), (Channel(kind, kind, "1"),))
    return Block(info, 0, 0.0, np.array(x, np.float64).reshape(-1, 1))


def beats(x: Array, rate: int, kind: str) -> Events:
    return events_from_grid(apply(BeatDetection(), block(x, rate, kind)))


def jitter(found: Array, true: Array) -> Array:
    """Return the distance of each true beat from its own, less the usual distance."""
    inside = true[(true > 8) & (true < SECONDS - 3)]
    apart = found[np.abs(found - inside[:, np.newaxis]).argmin(axis=1)] - inside
    assert len(inside) > 40
    return np.abs(apart - np.median(apart))


@cache
def signal(kind: str, shape: str, rate: int) -> Array:
    waves = ECG[shape] if kind == "ecg" else PPG
    return disturbed(wave(waves, beat_times(), rate), rate)


CASES = [
    *(("ecg", shape, rate) for shape in ECG for rate in (100, 130, 500, 2000)),
    *(("bio", "pulse", rate) for rate in (25, 64, 500, 2000)),
]


@pytest.mark.parametrize(("kind", "shape", "rate"), CASES)
def test_the_same_beats_at_any_rate_and_shape(kind: str, shape: str, rate: int) -> None:
    x, true = signal(kind, shape, rate), beat_times()
    found = beats(x, rate, kind)
    assert jitter(found.times, true).max() <= max(1 / rate, 0.01)
    counted = np.sum((found.times > 8) & (found.times < 56))
    assert abs(counted - np.sum((true > 8) & (true < 56))) <= 1
    y = apply(HEART, block(x, rate, kind)).data[72:, 0]
    assert np.isfinite(y).mean() > 0.95
    assert np.nanmean(y) == pytest.approx(
        60 / np.diff(true[true < 60]).mean(), rel=0.01
    )


@pytest.mark.parametrize(("kind", "shape", "rate"), CASES)
def test_the_negative_signal_has_the_same_bits(
    kind: str, shape: str, rate: int
) -> None:
    x = signal(kind, shape, rate)[: 25 * rate]
    ours = apply(BeatDetection(), block(x, rate, kind))
    other = apply(BeatDetection(), block(-x, rate, kind))
    assert ours.data.tobytes() == other.data.tobytes()
    assert np.isfinite(ours.data[:, 0]).sum() > 20


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(("kind", "shape"), [("ecg", "rS"), ("bio", "pulse")])
def test_units_do_not_matter(kind: str, shape: str, unit: str) -> None:
    x = signal(kind, shape, 130)
    factor, offset = UNITS[unit]
    found, usual = beats(factor * x + offset, 130, kind), beats(x, 130, kind)
    a, b = found.times[found.times > 8], usual.times[usual.times > 8]
    np.testing.assert_allclose(a, b, atol=1e-3)


@pytest.mark.parametrize(("kind", "shape"), [("ecg", "biphasic"), ("bio", "pulse")])
def test_however_a_signal_of_changing_sign_is_cut(kind: str, shape: str) -> None:
    x = signal(kind, shape, 130).copy()
    x[130 * 30 :] *= -1  # the electrodes are changed
    whole = block(x, 130, kind)
    runner = StageRunner(HEART, whole.info)
    cuts = np.sort(np.random.default_rng(6).integers(0, len(x), 40)).tolist()
    parts = [runner.push(part).data for part in whole.split([*cuts, 500, 501])]
    assert np.vstack(parts).tobytes() == apply(HEART, whole).data.tobytes()
    assert np.isfinite(np.vstack(parts)[-8:, 0]).all()


@pytest.mark.parametrize("kind", ["ecg", "bio"])
@pytest.mark.parametrize("rate", [34.0, 100.0, 180.0, 215.0])
def test_slow_and_fast_hearts(kind: str, rate: float) -> None:
    true = beat_times(rate)
    shape = ECG["qR"] if kind == "ecg" else PPG
    squeeze = min(1.0, np.sqrt(72 / rate)) if kind == "ecg" else min(1.0, 72 / rate)
    x = wave(shape, true, 250, squeeze=squeeze)
    y = apply(HEART, block(disturbed(x, 250), 250, kind)).data[80:, 0]
    assert np.isfinite(y).mean() > 0.9
    expected = 60 / np.diff(true[true < SECONDS]).mean()
    assert np.nanmedian(y) == pytest.approx(expected, rel=0.02)


def rhythm(name: str) -> tuple[Array, Array]:
    """Return an ECG of 120 s at 250 Hz and the times of its beats."""
    rng = np.random.default_rng(7)
    cycles = {
        "sinus": [0.8], "bigeminy": [0.5, 1.1], "trigeminy": [0.8, 0.5, 1.1],
        "premature": [0.8] * 8 + [0.6, 1.0],
    }  # fmt: skip
    if name == "fibrillation":
        intervals = np.clip(rng.normal(0.75, 0.17, 220), 0.4, 1.4)
    else:
        cycle = np.array(cycles[name] * (220 // len(cycles[name])))
        intervals = cycle * (1 + rng.normal(0, 0.02, len(cycle)))
    times = 0.7 + np.cumsum(intervals)
    wide = np.zeros(len(times), bool)
    if name in {"bigeminy", "trigeminy"}:
        wide = np.diff(times, prepend=0) < 0.65
    narrow = wave(ECG["qR"], times[~wide], 250, 120)
    return narrow + wave(WIDE, times[wide], 250, 120), times


@pytest.mark.parametrize(
    ("name", "irregular"),
    [
        ("sinus", (0.0, 0.02)), ("bigeminy", (0.95, 1.0)), ("trigeminy", (0.6, 1.0)),
        ("premature", (0.15, 0.35)), ("fibrillation", (0.3, 0.8)),
    ],
)  # fmt: skip
def test_the_rate_is_that_of_all_beats(
    name: str, irregular: tuple[float, float]
) -> None:
    x, true = rhythm(name)
    rng = np.random.default_rng(8)
    y = apply(HEART, block(x + rng.normal(0, 0.02, len(x)), 250, "ecg")).data
    late = np.arange(60, 110, 5)
    for at in late:  # beats are due about 0.9 s after the R wave
        inside = true[(true > at - 11.4) & (true <= at - 0.6)]
        expected = 60 / np.diff(inside).mean()
        assert y[4 * at, 0] == pytest.approx(expected, abs=7)
    assert np.isfinite(y[80:, 0]).mean() > 0.98
    assert np.nanmean(y[80:, 0]) == pytest.approx(60 / np.diff(true).mean(), rel=0.02)
    least, most = irregular
    assert least <= np.nanmedian(y[4 * 90 :, 2]) <= most
    if name in {"sinus", "premature"}:  # an early beat is no variability
        usual = 1000 * 0.8 * 0.02 * np.sqrt(2)
        assert np.nanmedian(y[4 * 90 :, 1]) == pytest.approx(usual, rel=0.25)
    elif name != "trigeminy":
        assert np.isnan(y[4 * 90 :, 1]).all()


def test_a_noisy_ecg_has_few_wrong_rates() -> None:
    """Bursts and bumps like QRS complexes; limits: a twentieth of the rates given."""
    rng = np.random.default_rng(9)
    wrong, given = 0, 0
    for rate in (55.0, 75.0, 110.0):
        for level in (0.2, 0.5, 1.0, 2.0):
            true = beat_times(rate)
            x = wave(ECG["qR"], true, 250)
            burst = np.repeat(rng.random(SECONDS) < 0.4, 250)
            x += level * np.where(burst, 0.4, 0.1) * rng.normal(0, 1, len(x))
            for start in np.flatnonzero(rng.random(len(x)) < level / 1000):
                n = int(rng.uniform(0.06, 0.4) * 250)
                bump = rng.normal(0, 1.2) * np.hanning(n)
                x[start : start + n] += bump[: len(x) - start]
            y = apply(HEART, block(x, 250, "ecg")).data[:, 0]
            for k in np.flatnonzero(np.isfinite(y)):
                t = k / 4
                inside = true[(true > t - 10.7) & (true <= t - 0.5)]
                wrong += abs(y[k] - 60 / np.diff(inside).mean()) > 5
                given += 1
    assert given > 900
    assert wrong <= 0.05 * given
