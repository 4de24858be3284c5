"""Skin conductance that does not vary as skin does is found, and skin is not."""

from fractions import Fraction

import numpy as np
import pytest

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.stage import apply
from physio.quality.eda_noise import EdaVariation


def mask(x: Array, rate: float) -> Array:
    channel = Channel("eda", "gsr", "uS")
    info = StreamInfo("band.eda", Fraction(str(rate)), (channel,))
    return apply(EdaVariation(), Block(info, 0, 0.0, x[:, None].copy())).data[:, 0]


def skin(rate: float, seconds: float = 180.0) -> Array:
    """Return a tonic level with a response every 20 s, and a device's noise."""
    t = np.arange(int(seconds * rate)) / rate
    since = t % 20
    response = 0.5 * (np.exp(-since / 4) - np.exp(-since / 0.8))
    noise = 0.002 * np.random.default_rng(4).standard_normal(len(t))
    return 3 + 0.002 * t + response + noise


RATES = (4.0, 15.6, 64.0, 700.0)


@pytest.mark.parametrize("rate", RATES)
def test_skin_passes(rate: float) -> None:
    assert mask(skin(rate), rate).all()


CASES = [(kind, rate) for kind in ("white noise", "constant") for rate in RATES]


@pytest.mark.parametrize(("kind", "rate"), [*CASES, ("mains", 4.0)])
def test_no_skin_is_found_within_its_window(kind: str, rate: float) -> None:
    x = skin(rate)
    at = int(60 * rate)
    n = len(x) - at
    rng = np.random.default_rng(1)
    x[at:] = {
        "white noise": 3 + 0.2 * np.sqrt(rate / 4) * rng.standard_normal(n),
        "constant": np.full(n, 3.0),
        "mains": 3 + 0.3 * np.sin(2 * np.pi * 50 / rate * np.arange(n) + 0.3),
    }[kind]
    y = mask(x, rate)
    assert y[: at + 1].all()
    assert not y[at + int(36 * rate) :].any()


@pytest.mark.parametrize("rate", [700.0, 2000.0])
def test_hum_on_skin_passes(rate: float) -> None:
    x = skin(rate)
    hum = 0.3 * np.sin(2 * np.pi * 50 / rate * np.arange(len(x)) + 0.3)
    assert mask(x + hum, rate).all()


def test_a_quiet_skin_is_not_noise() -> None:
    rng = np.random.default_rng(2)
    assert mask(3 + 0.005 * rng.standard_normal(4 * 300), 4.0).all()


def test_a_signal_that_returns_is_good_within_its_window() -> None:
    x = np.concatenate([skin(4.0), np.full(4 * 120, 3.0), skin(4.0)])
    y = mask(x, 4.0)
    assert not y[4 * 220 : 4 * 295].any()
    assert y[4 * 306 :].all()
