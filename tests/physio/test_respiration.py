"""Breathing, from a belt and from the beats it moves."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import Chain, Stage, apply
from physio.features.cardiac.heart_rate import BeatDetection
from physio.features.respiration.ecg_derived import EcgDerivedRespiration
from physio.features.respiration.respiration_belt import RespirationBelt


def belt(rate: int = 25, unit: str = "1") -> StreamInfo:
    return StreamInfo("chest.resp", Fraction(rate), (Channel("resp", "resp", unit),))


def read(x: Array, rate: int = 25) -> Block:
    data = np.ascontiguousarray(x, np.float64)[:, None]
    return apply(RespirationBelt(), Block(belt(rate), 0, 0.0, data))


def girth(rate: int, a_minute: float, seconds: int = 120, noise: float = 0.02) -> Array:
    """Return a belt on somebody who breathes evenly, 2 from trough to peak."""
    t = np.arange(seconds * rate) / rate
    own = np.random.default_rng(1).standard_normal(len(t))
    return -np.cos(2 * np.pi * a_minute / 60 * t) + noise * own


@pytest.mark.parametrize("rate", [25, 100])
@pytest.mark.parametrize("a_minute", [7.0, 15.0, 28.0])
def test_rate_depth_and_phase_of_even_breathing(rate: int, a_minute: float) -> None:
    y = read(girth(rate, a_minute), rate)
    told = y.times > 33
    assert np.all(missing_reason(y.data[:127]) == MissingReason.WARMING_UP)
    np.testing.assert_allclose(y.column("rate")[told], a_minute, rtol=0.02)
    # A mean of 0.25 s and one of 0.75 s take sinc(0.25 f) sinc(0.75 f) of the swing.
    f = a_minute / 60
    left = np.sinc(0.25 * f) * np.sinc(0.75 * f)
    np.testing.assert_allclose(y.column("amplitude")[told], 2 * left, rtol=0.08)
    true = (y.times - y.info.channels[2].delay) * f % 1
    off = (y.column("phase")[told] - true[told] + 0.5) % 1 - 0.5
    # Turns lie on values 0.25 s apart, a ninth of the fastest breath here.
    assert abs(off.mean()) < 0.07
    assert np.abs(off).max() < 0.2


def test_neither_drift_nor_scale_matters() -> None:
    x = girth(25, 14.0)
    plain = read(x)
    drifting = read(3000 + 200 * (x + np.arange(len(x)) / 1500))
    told = plain.times > 33
    np.testing.assert_allclose(
        drifting.column("rate")[told], plain.column("rate")[told], rtol=0.03
    )
    np.testing.assert_allclose(
        drifting.column("amplitude")[told],
        200 * plain.column("amplitude")[told],
        rtol=0.05,
    )


def none() -> dict[str, Array]:
    rng, n = np.random.default_rng(3), 25 * 600
    t = np.arange(n) / 25
    return {
        "white noise": rng.standard_normal(n),
        "flat": np.full(n, 0.7),
        "railed": np.full(n, 4095.0),
        "hum": np.sin(2 * np.pi * 10.1 * t),
        "steps": np.cumsum((rng.random(n) < 0.02) * rng.standard_normal(n)),
        "spikes": (rng.random(n) < 0.02) * rng.uniform(1, 50, n),
        "missing": np.full(n, MissingReason.NO_SIGNAL.nan),
    }


@pytest.mark.parametrize("name", none())
def test_no_breath_comes_of_what_is_none(name: str) -> None:
    y = read(none()[name]).data
    # Chance makes an even stretch now and then: never more than one moment in twenty.
    assert np.isfinite(y).mean() < 0.05
    assert np.all(missing_reason(y) != MissingReason.OK) or np.isfinite(y).any()


def test_holding_the_breath_is_no_breathing_and_ends() -> None:
    x = girth(25, 15.0, 200)
    x[25 * 60 : 25 * 100] = -1.0
    y = read(x)
    held = (y.times > 85) & (y.times < 100)
    assert np.isnan(y.column("rate")[held]).all()
    assert np.isfinite(y.column("rate")[y.times > 140]).all()


def test_one_percent_of_loss_and_a_gap() -> None:
    x = girth(25, 15.0, 200)
    lossy = x.copy()
    lossy[np.random.default_rng(4).random(len(x)) < 0.01] = MissingReason.NO_SIGNAL.nan
    a, b = read(x), read(lossy)
    np.testing.assert_allclose(b.column("rate"), a.column("rate"), rtol=0.02)
    x[25 * 80 : 25 * 100] = MissingReason.NO_SIGNAL.nan
    c = read(x)
    assert np.all(missing_reason(c.data[4 * 81 : 4 * 100]) == MissingReason.NO_SIGNAL)
    later = c.times > 100 + c.info.memory
    np.testing.assert_array_equal(c.data[later], a.data[later])


def rest(data: Path) -> Array:
    file = data / "biosignals" / "neurokit_resting_5min_100hz.csv"
    return np.loadtxt(file, delimiter=",", skiprows=1)


def test_a_participant_at_rest(data: Path) -> None:
    y = read(rest(data)[:, 2], 100).column("rate")
    assert np.isfinite(y).mean() > 0.5
    # Counted by eye in the trace: 14 to 18 a minute where it is even.
    assert np.nanmin(y) > 13
    assert np.nanmax(y) < 19.5


@pytest.mark.parametrize(("kind", "column"), [("ecg", 0), ("bio", 1)])
def test_beats_give_the_rate_of_the_belt_away(
    data: Path, kind: str, column: int
) -> None:
    x = rest(data)
    info = StreamInfo(f"a.{kind}", Fraction(100), (Channel(kind, kind, "1"),))
    source = Block(info, 0, 0.0, np.ascontiguousarray(x[:, column : column + 1]))
    y = apply(Chain((BeatDetection(), EcgDerivedRespiration())), source)
    assert y.info.names == ("edr_rate",)
    seen = read(x[:, 2], 100).column("rate")
    off = np.abs(y.data[:, 0] - seen[: len(y)])
    assert np.isfinite(y.data).mean() > 0.25
    # A minute and its last half are not the same breaths.
    assert np.nanmedian(off) < 1.5


@pytest.mark.parametrize(
    ("stage", "source", "message"),
    [
        (
            RespirationBelt(window=10.0),
            belt(),
            "breathing on 'chest.resp' is read from whole seconds, 20 or more, with "
            "min_valid above 0 and at most 1: 10, 0.8",
        ),
        (
            EcgDerivedRespiration(),
            StreamInfo("band.bio", Fraction(64), (Channel("bvp", "bio"),)),
            "breathing is derived from beats, with their interval and height: put "
            "BeatDetection before it; 'band.bio' has bvp",
        ),
        (
            Chain((BeatDetection(), EcgDerivedRespiration(window=20.0))),
            StreamInfo("band.bio", Fraction(64), (Channel("bvp", "bio"),)),
            "breathing is derived from 32 s of beats or more, not 20",
        ),
    ],
)
def test_refuses(stage: Stage, source: StreamInfo, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        stage.output_info(source)
    assert str(caught.value) == message
