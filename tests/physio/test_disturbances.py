"""What sensors give when they give nothing: no feature is confidently wrong."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import Chain, MaskBadSamples, Stage, apply
from physio.features.cardiac.heart_rate import BeatDetection, HeartRate
from physio.features.eeg.asymmetry import Asymmetry
from physio.features.eeg.band_power import BandPower
from physio.features.eeg.differential_entropy import DifferentialEntropy
from physio.features.eeg.hjorth import Hjorth
from physio.quality.range_checks import EegQuality

RATE = 128
SECONDS = 40
GOOD = MaskBadSamples(Chain(()), EegQuality())
EEG: dict[str, Stage] = {
    "entropy": DifferentialEntropy(),
    "paper": DifferentialEntropy(mode="paper"),
    "power": BandPower(),
    "relative": BandPower(relative=True),
    "hjorth": Hjorth(),
    "asymmetry": Chain((DifferentialEntropy(), Asymmetry())),
}
each = pytest.mark.parametrize("name", EEG)


def clean(rate: int = RATE) -> Array:
    rng = np.random.default_rng(3)
    t = np.arange(rate * SECONDS)[:, None] / rate
    noise = rng.standard_normal((len(t), 2))
    return 15 * np.sin(2 * np.pi * 10 * t) + 5 * noise


def run(name: str, x: Array) -> Block:
    info = StreamInfo(
        "headset.eeg",
        Fraction(RATE),
        (Channel("F3", "eeg", "uV"), Channel("F4", "eeg", "uV")),
    )
    return apply(Chain((GOOD, EEG[name])), Block(info, 0, 0.0, x.copy()))


DEAD: dict[str, Callable[[Array], Array]] = {
    "flat": lambda x: np.zeros_like(x),
    "constant offset": lambda x: np.full_like(x, 31234.5),
    "railed": lambda x: np.full_like(x, 187500.0),
    "railed to and fro": lambda x: np.where(x > 0, 187500.0, -187500.0),
    "missing": lambda x: np.full_like(x, MissingReason.NO_SIGNAL.nan),
    "mains of an open input": lambda x: (
        2000 * np.sin(2 * np.pi * 50 * np.arange(len(x))[:, None] / RATE) + 0 * x
    ),
    "infinite": lambda x: np.full_like(x, np.inf),
}


@each
@pytest.mark.parametrize("trouble", DEAD)
def test_a_dead_electrode_has_no_features(name: str, trouble: str) -> None:
    out = run(name, DEAD[trouble](clean())).data
    assert np.isnan(out[20:]).all()
    assert np.all(missing_reason(out) != MissingReason.OK)


@each
@pytest.mark.parametrize("length", [1, 13, 128, 1280])
def test_a_gap_is_over_once_it_is_out_of_memory(name: str, length: int) -> None:
    x = clean()
    expected = run(name, x)
    x[1000 : 1000 + length] = MissingReason.NO_SIGNAL.nan
    got = run(name, x)
    span = got.info.memory
    later = got.times > (1000 + length) / RATE + span
    assert later.sum() > 5
    assert np.isfinite(got.data[later]).all()
    # Filters forget to a thousandth; the features are of size 1 to 100.
    np.testing.assert_allclose(
        got.data[later], expected.data[later], rtol=1e-2, atol=1e-2
    )


@pytest.mark.parametrize("name", ["entropy", "power", "relative", "asymmetry"])
def test_one_percent_of_loss_changes_little(name: str) -> None:
    x = clean()
    expected = run(name, x).data
    x[np.random.default_rng(4).random(len(x)) < 0.01] = MissingReason.NO_SIGNAL.nan
    got = run(name, x).data
    assert np.isfinite(got[40:]).mean() > 0.99
    if name in ("entropy", "asymmetry"):
        # A held sample in a hundred adds noise: theirs to a tenth of a bit.
        off = np.abs(got - expected)[40:, :8]
        assert np.nanmedian(off) < 0.3


@each
def test_a_spike_and_a_step_are_not_brain(name: str) -> None:
    """Both are masked, or over once out of memory; nothing is infinite."""
    x = clean()
    x[1500, 0] += 3000
    x[2500:, 1] += 20000
    out = run(name, x)
    assert not np.isinf(out.data).any()
    bad = out.data[(out.times > 1500 / RATE) & (out.times < 1500 / RATE + 0.5)]
    spared = run(name, clean()).data
    same = spared[(out.times > 1500 / RATE) & (out.times < 1500 / RATE + 0.5)]
    fine = np.isnan(bad) | (np.abs(bad - same) < 0.5 * np.abs(same) + 0.5)
    assert fine.all()


@pytest.mark.parametrize(
    ("kind", "rate"), [("ecg", 250), ("bio", 64)], ids=["ecg", "ppg"]
)
@pytest.mark.parametrize(
    "trouble", ["white noise", "flat", "railed", "hum", "missing", "steps", "spikes"]
)
def test_no_heart_rate_from_what_is_no_heart(
    kind: str, rate: int, trouble: str
) -> None:
    rng = np.random.default_rng(8)
    n = rate * 120
    t = np.arange(n) / rate
    signals = {
        "white noise": rng.standard_normal(n),
        "flat": np.zeros(n),
        "railed": np.full(n, 4.5),
        "hum": np.sin(2 * np.pi * 50 * t),
        "missing": np.full(n, MissingReason.NO_SIGNAL.nan),
        "steps": np.cumsum((rng.random(n) < 0.5 / rate) * rng.standard_normal(n)),
        "spikes": (rng.random(n) < 1 / rate) * rng.uniform(1, 50, n),
    }
    info = StreamInfo(f"band.{kind}", Fraction(rate), (Channel(kind, kind, "1"),))
    block = Block(info, 0, 0.0, signals[trouble][:, None].copy())
    heart = HeartRate(accepted=0.8) if kind == "ecg" else HeartRate()  # as shipped
    out = apply(Chain((BeatDetection(), heart)), block).data
    # Chance may make a few intervals alike: never a rate for more than one in twenty
    # moments of two minutes.
    assert np.isfinite(out).mean(axis=0).max() < 0.05
