"""Every stage on everything that sensors give when something is wrong with them."""

from collections.abc import Callable

import numpy as np
import pytest
from test_stages import CASES, signal

from physio.core.block import Array, Block, StreamInfo
from physio.core.missing import MissingReason, missing_reason
from physio.core.stage import Stage, apply

SECONDS = 75
LOST = MissingReason.NO_SIGNAL.nan


def gap(x: Array, rate: float, seconds: float) -> Array:
    x[int(5 * rate) : int(5 * rate) + max(int(seconds * rate), 1)] = LOST
    return x


def lossy(x: Array, share: float) -> Array:
    x[np.random.default_rng(5).random(len(x)) < share] = LOST
    return x


def now_and_then(x: Array, rate: float) -> Array:
    return np.random.default_rng(6).random(x.shape) < 0.5 / rate


TROUBLES: dict[str, Callable[[Array, float], Array]] = {
    "white noise": lambda x, _: np.random.default_rng(4).standard_normal(x.shape),
    "flat": lambda x, _: np.zeros_like(x),
    "railed": lambda x, _: np.full_like(x, 187_500.0),
    "hum": lambda x, rate: (
        np.sin(2 * np.pi * 50 * np.arange(len(x))[:, None] / rate) + 0 * x
    ),
    "disconnected": lambda x, _: np.full_like(x, LOST),
    "a sample lost": lambda x, rate: gap(x, rate, 0),
    "a second lost": lambda x, rate: gap(x, rate, 1),
    "a minute lost": lambda x, rate: gap(x, rate, 60),
    "1 % lost": lambda x, _: lossy(x, 0.01),
    "steps": lambda x, rate: x + np.cumsum(100 * now_and_then(x, rate), axis=0),
    "spikes": lambda x, rate: x + 1e4 * now_and_then(x, rate),
}


def troubled(info: StreamInfo, trouble: str) -> Block:
    rate = float(info.rate)
    x = TROUBLES[trouble](signal(info)[: int(SECONDS * rate)].copy(), rate)
    return Block(info, 0, 0.0, np.ascontiguousarray(x))


@pytest.mark.parametrize(
    ("stage", "info"), CASES, ids=lambda v: getattr(v, "name", repr(v))
)
def test_nothing_is_infinite_and_what_is_missing_says_why(
    stage: Stage, info: StreamInfo
) -> None:
    for trouble in TROUBLES:
        source = troubled(info, trouble)
        out = apply(stage, source)
        assert not np.isinf(out.data).any(), trouble
        assert len(out) == stage.schedule(info).count(len(source)), trouble
        events = out.info.channels[:1] and out.info.channels[0].kind == "event"
        if trouble == "disconnected":
            told = [
                not c.name.endswith((".missing", "condition"))
                for c in out.info.channels
            ]
            assert np.isnan(out.data[:, told]).all(), trouble
        if not events:  # where nothing happened a point stream has the plain NaN
            missing = np.isnan(out.data)
            bits = out.data.view(np.uint64) & np.uint64(0x0007_FFFF_FFFF_FFFF)
            assert np.all(bits[missing] != 0), trouble
        assert np.all((missing_reason(out.data) != 0) == np.isnan(out.data)), trouble
