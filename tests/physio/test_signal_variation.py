"""A pulse, an accelerometer and an electrode that give no signal of a body."""

from fractions import Fraction

import numpy as np
import pytest

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import Chain, MaskBadSamples, apply
from physio.features.eeg.differential_entropy import DifferentialEntropy
from physio.quality.eeg_spectrum import EegSpectrum
from physio.quality.signal_variation import SignalVariation
from physio.quality.spike_detection import SpikeDetection

PULSE = SignalVariation()
MOTION = SignalVariation("misc", together=True, least=0.02)
EEG = SignalVariation("eeg", window=10.0, lag=0.001, ratio=1.8, most=2.2)
UNITS = {"bio": "1", "misc": "g", "eeg": "uV"}
SECONDS = 100


def verdict(stage: SignalVariation, x: Array, rate: float) -> Array:
    names = [f"c{i}" for i in range(x.shape[1])]
    channels = tuple(Channel(n, stage.kind, UNITS[stage.kind]) for n in names)
    info = StreamInfo("band.x", Fraction(str(rate)), channels)
    return apply(stage, Block(info, 0, 0.0, np.ascontiguousarray(x))).data


def body(kind: str, rate: float) -> Array:
    """Return a signal of a body: a pulse, an arm that moves now and then, EEG."""
    rng = np.random.default_rng(5)
    t = np.arange(int(SECONDS * rate)) / rate
    noise = rng.standard_normal((len(t), 3))
    if kind == "bio":
        return (50 * np.sin(2 * np.pi * 1.2 * t) ** 3)[:, None] + noise[:, :1]
    if kind == "misc":
        moves = np.clip(np.sin(2 * np.pi * t / 25), 0, None) * np.sin(9 * t)
        return np.array([0.6, 0.0, 0.8]) + 0.2 * moves[:, None] + 0.008 * noise
    slow = np.cumsum(noise[:, :2], axis=0)
    return slow + 10 * np.sin(2 * np.pi * 10 * t)[:, None] + 2 * noise[:, :2]


GARBAGE = {
    "white noise": lambda x, _t, rng: (
        x.mean(0) + x.std(0) * rng.standard_normal(x.shape)
    ),
    "constant": lambda x, _t, _rng: np.tile(np.median(x, axis=0), (len(x), 1)),
    "mains": lambda x, t, _rng: (
        x.mean(0) + 1.4 * x.std(0) * np.sin(2 * np.pi * 50 * t + 0.3)[:, None]
    ),
}
CASES = [
    *((PULSE, r) for r in (32.0, 64.0, 250.0)),
    *((MOTION, r) for r in (32.0, 52.0)),
    *((EEG, r) for r in (128.0, 250.0, 500.0, 1000.0)),
]


@pytest.mark.parametrize(("stage", "rate"), CASES)
def test_a_body_passes_and_garbage_does_not(
    stage: SignalVariation, rate: float
) -> None:
    x = body(stage.kind, rate)
    assert verdict(stage, x, rate).all()
    t = np.arange(len(x)) / rate
    at = int(40 * rate)
    for name, garbage in GARBAGE.items():
        if name != "white noise" and stage is EEG:
            continue  # the range and the spectrum judge those
        if name == "mains" and rate == 52.0:
            continue  # 2 Hz there, as a movement
        y = x.copy()
        y[at:] = garbage(x[at:], t[at:], np.random.default_rng(2))
        good = verdict(stage, y, rate)
        assert good[:at].all(), name
        assert not good[at + int((stage.window + 6) * rate) :].any(), name


def test_one_live_axis_is_enough_and_a_still_sensor_is_no_noise() -> None:
    x = body("misc", 32.0)
    x[:, :2] = 0.5
    assert verdict(MOTION, x, 32.0).all()
    still = 0.01 * np.random.default_rng(1).standard_normal((3200, 3))
    assert verdict(MOTION, still, 32.0).all()


def test_a_slow_stream_is_only_judged_by_whether_it_is_constant() -> None:
    noise = np.random.default_rng(1).standard_normal((800, 3))
    assert verdict(MOTION, noise, 8.0).all()
    assert not verdict(MOTION, np.ones((800, 3)), 8.0)[400:].any()


def test_mains_without_eeg_have_no_entropy_and_hum_on_eeg_has() -> None:
    rate = 250
    info = StreamInfo(
        "h.eeg",
        Fraction(rate),
        (Channel("F3", "eeg", "uV"), Channel("F4", "eeg", "uV")),
    )
    x = body("eeg", rate)
    t = np.arange(len(x)) / rate
    hum = 17 * np.sin(2 * np.pi * 50 * t)
    x[:, 0] = hum
    x[:, 1] += hum
    chain = Chain((DifferentialEntropy(), MaskBadSamples(Chain(), EegSpectrum())))
    out = apply(chain, Block(info, 0, 0.0, x))
    assert np.isnan(out.data[40:, ::2]).all()
    assert np.isfinite(out.data[40:, 1::2]).all()


@pytest.mark.parametrize(("kind", "rate"), [("eeg", 250), ("misc", 32)])
def test_a_spike_and_an_infinite_sample_cost_one_sample(kind: str, rate: int) -> None:
    x = body(kind, rate)
    expected = np.ones_like(x)
    for at, value in ((10 * rate, 20 * x.std()), (50 * rate, np.inf)):
        x[at] += value
        expected[at] = 0.0
    channels = tuple(Channel(f"c{i}", kind, UNITS[kind]) for i in range(x.shape[1]))
    info = StreamInfo("band.x", Fraction(rate), channels)
    stage = SpikeDetection(hold=0.02, kinds=(kind,))
    y = apply(stage, Block(info, 0, 0.0, x)).data
    assert not y[expected == 0].any()
    assert (y != expected).mean() < 0.01  # and few at the begin of a movement
    lost = x.copy()
    lost[: 20 * rate] = MissingReason.NO_SIGNAL.nan
    assert np.isnan(apply(stage, Block(info, 0, 0.0, lost)).data[: 20 * rate]).all()


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (SignalVariation("gsr"), "^the variation of gsr is judged, but 'b.x' has bio$"),
        (SignalVariation(ratio=5.0), "needs a window of at least 1 s"),
    ],
)
def test_settings_that_cannot_be(stage: SignalVariation, message: str) -> None:
    info = StreamInfo("b.x", Fraction(64), (Channel("bvp", "bio", "1"),))
    with pytest.raises(ValueError, match=message):
        stage.output_info(info)
