"""Eleven troubles of sensors, on every feature: none is confidently wrong.

What a feature says in trouble must be missing, or be what it says of the same body
without the trouble; or else a figure of quality beside it says that it is no good.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import pytest

from experiments.weights.demo import record
from physio import config
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import Chain, MaskBadSamples, Stage, apply
from physio.dsp.spectrum import Spectrum
from physio.features.cardiac.heart_rate import BeatDetection
from physio.features.cardiac.hrv import HRV
from physio.features.eeg.asymmetry import Asymmetry
from physio.features.eeg.band_power import BandPower
from physio.features.eeg.differential_entropy import BANDS, DifferentialEntropy
from physio.features.eeg.hjorth import Hjorth, SpectralEntropy
from physio.online.shipped_chains import CHAINS
from physio.quality.channel_status import CONDITIONS, ChannelStatus
from physio.quality.range_checks import EegQuality
from physio.quality.spike_detection import SpikeDetection

SECONDS: Final = 180
LOST: Final = MissingReason.NO_SIGNAL.nan
STEPS: Final = 5.0, 95.0  # between which seconds steps and spikes come
SIZE: Final = {
    "gsr": 1.5, "bio": 1000, "ecg": 3, "resp": 4, "misc": 3, "temperature": 30,
    "eeg": 1000,
}  # fmt: skip
"""What a plug that is touched does: larger than what the sensor sees of a body."""


class Source(NamedTuple):
    """A chain, and what it reads of a simulated participant."""

    stage: Stage
    device: str
    stream: str


def shipped(name: str) -> Stage:
    """Return the stages of a chain that sessions take by default."""
    stages = config.read(CHAINS)[name]["stages"]
    return Chain(tuple(config.build(s, name) for s in stages))


GOOD: Final = MaskBadSamples(quality=EegQuality())
WAVE: Final = MaskBadSamples(quality=SpikeDetection())
FEATURES: Final[dict[str, Source]] = {
    "eda": Source(shipped("eda"), "Wristband", "eda"),
    "pulse": Source(shipped("heart"), "Wristband", "bvp"),
    "ecg": Source(shipped("heart"), "Chest", "ecg"),
    "variability": Source(Chain((WAVE, BeatDetection(), HRV())), "Chest", "ecg"),
    "resp": Source(shipped("resp"), "Chest", "resp"),
    "motion": Source(shipped("motion"), "Wristband", "acc"),
    "temperature": Source(shipped("temperature"), "Wristband", "temp"),
    "entropy": Source(shipped("eeg"), "Headset", "eeg"),
    "power": Source(Chain((GOOD, BandPower())), "Headset", "eeg"),
    "relative": Source(Chain((GOOD, BandPower(relative=True))), "Headset", "eeg"),
    "asymmetry": Source(
        Chain((GOOD, DifferentialEntropy(), Asymmetry())), "Headset", "eeg"
    ),
    "hjorth": Source(Chain((GOOD, Hjorth())), "Headset", "eeg"),
    "spectral": Source(Chain((GOOD, Spectrum(), SpectralEntropy())), "Headset", "eeg"),
    "paper": Source(Chain((GOOD, DifferentialEntropy(mode="paper"))), "Headset", "eeg"),
}


def gap(x: Array, rate: float, seconds: float) -> Array:
    x[int(60 * rate) : int(60 * rate) + max(int(seconds * rate), 1)] = LOST
    return x


def now_and_then(x: Array, rate: float) -> Array:
    """Return four moments, each on one channel: 0 but where something happens."""
    y = np.zeros_like(x)
    rng = np.random.default_rng(6)
    for k, t in enumerate(np.linspace(*STEPS, 4)):
        y[int(t * rate), rng.integers(x.shape[1])] = (-1) ** k
    return y


def hum(x: Array, rate: float, size: float) -> Array:
    t = np.arange(len(x))[:, None] / rate
    return np.zeros_like(x) + size * np.sin(2 * np.pi * 50 * t)


Trouble = Callable[[Array, float, float], Array]
DEAD: Final[dict[str, Trouble]] = {
    "white noise": lambda x, _, z: (
        0.1 * z * np.random.default_rng(4).standard_normal(x.shape)
    ),
    "flat": lambda x, _, __: np.zeros_like(x),
    "railed": lambda x, _, __: np.full_like(x, 1e6),
    "hum": hum,
    "disconnected": lambda x, _, __: np.full_like(x, LOST),
}
HURT: Final[dict[str, Trouble]] = {
    "a sample lost": lambda x, rate, _: gap(x, rate, 0),
    "a second lost": lambda x, rate, _: gap(x, rate, 1),
    "a minute lost": lambda x, rate, _: gap(x, rate, 60),
    "1 % lost": lambda x, _, __: np.where(
        np.random.default_rng(5).random((len(x), 1)) < 0.01, LOST, x
    ),
    "steps": lambda x, rate, z: x + z * np.cumsum(now_and_then(x, rate), axis=0),
    "spikes": lambda x, rate, z: x + 3 * z * now_and_then(x, rate),
}


@cache
def lived(device: str) -> Any:
    participant = {"use": f"devices.simulated:{device}", "seed": 33}
    return record(config.build(participant, "here"), float(SECONDS))


@cache
def whole(name: str) -> Block:
    source = FEATURES[name]
    streams = lived(source.device).streams[f"participant.{source.stream}"]
    blocks = [b for b in streams if len(b)]
    return Block(blocks[0].info, 0, 0.0, np.concatenate([b.data for b in blocks]))


@cache
def clean(name: str) -> Block:
    return apply(FEATURES[name].stage, whole(name))


def troubled(name: str, trouble: Trouble) -> Block:
    body = whole(name)
    size = SIZE[body.info.channels[0].kind]
    x = trouble(body.data.copy(), float(body.info.rate), size)
    return apply(
        FEATURES[name].stage, Block(body.info, 0, 0.0, np.ascontiguousarray(x))
    )


def told(block: Block, *left_out: str) -> Array:
    """Return the columns of features, and not those of quality."""
    return np.array(
        [
            c.kind != "quality" and not c.name.startswith(left_out)
            for c in block.info.channels
        ]
    )


BODY: Final = [n for n in FEATURES if FEATURES[n].stream != "eeg" and n != "motion"]


@pytest.mark.parametrize("trouble", DEAD)
@pytest.mark.parametrize("name", BODY)
def test_no_body_is_made_of_nothing(name: str, trouble: str) -> None:
    out = troubled(name, DEAD[trouble])
    # How many intervals were put right is a figure of quality: all of them.
    data = out.data[:, told(out, "corrected")]
    assert np.isfinite(data).mean() < 0.02
    for c in out.info.channels:
        is_quality = c.kind == "quality" and c.name not in {"artifacts", "dry"}
        if is_quality and trouble != "disconnected":
            said = out.column(c.name)
            assert np.nanmedian(said) < 0.6


@pytest.mark.parametrize("trouble", ["flat", "railed", "disconnected", "hum"])
@pytest.mark.parametrize("name", [n for n in FEATURES if n not in BODY])
def test_no_head_and_no_arm_is_made_of_nothing(name: str, trouble: str) -> None:
    if name == "motion" and trouble == "hum":
        pytest.skip("an arm that is shaken at 50 Hz has no other accelerometer")
    out = troubled(name, DEAD[trouble])
    # An open input's hum, 1 mV, has ranged too far after a tenth of its period.
    assert np.isnan(out.data[out.times > 2]).all()


def test_noise_of_an_amplifier_has_the_entropy_of_that_noise() -> None:
    """Of noise in the range of EEG, entropy is what its formula gives."""
    rate, sd = 250, 20.0
    x = sd * np.random.default_rng(7).standard_normal((60 * rate, 2))
    info = StreamInfo(
        "a.eeg", Fraction(rate), tuple(Channel(c, "eeg", "uV") for c in "ab")
    )
    stages = Chain((GOOD, DifferentialEntropy()))  # without the mask of white noise
    out = apply(stages, Block(info, 0, 0.0, x))
    for band, low, high in BANDS:
        power = sd**2 * (high - low) / (rate / 2)
        true = 0.5 * np.log2(2 * np.pi * np.e * power)
        got = np.nanmedian(out.column(f"de.{band}.a"))
        # Butterworth bands of order 4 are a few per cent wider than their edges.
        assert got == pytest.approx(true, abs=0.12)


def test_hum_on_a_head_is_told_and_spares_what_is_below_it() -> None:
    """Beside 50 Hz at three times the EEG, all but the highest band is as before."""
    body = whole("entropy")
    x = body.data + hum(body.data, float(body.info.rate), 40.0)
    source = Block(body.info, 0, 0.0, np.ascontiguousarray(x))
    got, expected = apply(shipped("eeg"), source), clean("entropy")
    for i, c in enumerate(got.info.channels):
        off = np.abs(got.data[20:, i] - expected.data[20:, i])
        if not c.name.startswith(("de.gamma", "de.beta")):
            assert np.nanquantile(off, 0.95) < 0.1
    judged = apply(ChannelStatus(), source)
    n = len(body.info.channels)
    assert np.all(judged.data[5:, :n] == CONDITIONS.index("line noise"))


# What is compared, of each chain: how far it may be off, in 95 of 100 moments in which
# both say something. Features that look back 60 s or more see a gap of a minute as
# another window: what is left of it. In standard deviations of the clean feature, or
# its unit where that is named.
NEAR: Final[dict[str, float]] = {
    "tonic": 0.05, "phasic": 0.05, "rate": 3.0, "scr_rate": 3.0,
    "scr_amplitude": 0.4, "phasic_power": 0.01,
    "slope": 0.3, "log_slope": 0.04, "rmssd": 12.0, "irregular": 0.15,
    "edr_rate": 3.0, "sdnn": 15.0, "hf": 250.0, "lf": 600.0,
    "amplitude": 0.5, "phase": 0.35, "activity": 0.02, "posture": 6.0, "level": 0.1,
}  # fmt: skip
EEG_NEAR: Final[dict[str, float]] = {
    "de": 0.6, "power": 8.0, "relative": 0.15, "dasm": 0.8, "rasm": 0.3, "dcau": 0.8,
    "frontal": 0.8, "activity": 40.0, "mobility": 15.0, "complexity": 0.8,
    "entropy": 0.12,
}  # fmt: skip


@pytest.mark.parametrize("trouble", HURT)
@pytest.mark.parametrize("name", FEATURES)
def test_what_is_said_in_trouble_is_what_is_said_without(
    name: str, trouble: str
) -> None:
    if name == "motion" and trouble in {"steps", "spikes"}:
        pytest.skip("a jerk of 3 g and a turned arm are what an accelerometer measures")
    if name == "paper" and trouble == "steps":
        pytest.skip("the published normalisation is over all electrodes' offsets")
    got, expected = troubled(name, HURT[trouble]), clean(name)
    steady = [c.name for c in got.info.channels if c.name == "stability"]
    known = NEAR if FEATURES[name].stream != "eeg" else EEG_NEAR
    for i in np.flatnonzero(told(got, "corrected")):
        what = got.info.channels[i].name
        near = known.get(what) or known[what.partition(".")[0]]
        a, b = got.data[:, i], expected.data[:, i]
        both = np.isfinite(a) & np.isfinite(b)
        if steady:  # an electrode that jumped in what a value rests on says so
            reach = int(got.info.channels[i].memory)
            bad = np.nan_to_num(got.column("stability"), nan=1.0) < 1
            both &= np.convolve(bad, np.ones(reach + 1))[: len(bad)] == 0
        off = np.abs(a - b)[both]
        if what == "phase":
            off = np.minimum(off, 1 - off)
        if len(off):
            assert np.quantile(off, 0.95) <= near, what
    if trouble in {"a sample lost", "1 % lost"} and name not in {"paper", "spectral"}:
        kept = np.isfinite(got.data).sum() / np.isfinite(expected.data).sum()
        assert kept > 0.8  # and so little takes little away
