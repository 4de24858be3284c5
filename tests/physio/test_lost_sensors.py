"""Estimates go on without a sensor: wider, and with the reason."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import physio
from devices.simulated import Headset, Wristband
from physio.core.block import Block
from physio.core.events import Events, Item
from physio.core.missing import MissingReason, missing_reason
from physio.core.protocols import FastClock
from physio.online.session import Session
from physio.online.session_config import SessionConfig

SECONDS = 240.0
HALF = SECONDS / 2


def run(**band: object) -> tuple[Session, list[Item], tuple[Headset, Wristband]]:
    clock = FastClock()
    headset = Headset(
        name="head", clock=clock, seed=5, seconds=SECONDS, ground_truth=False
    )
    wrist = Wristband(
        name="band", clock=clock, seed=5, seconds=SECONDS, ground_truth=False,
        preset="published", **band,
    )  # fmt: skip
    session = Session(SessionConfig().plan, [headset, wrist], (), clock, poll=0.5)
    with session:
        items = list(session)
    return session, items, (headset, wrist)


def stacked(items: Sequence[Item], name: str) -> Block:
    blocks = [i for i in items if isinstance(i, Block) and i.info.name == name]
    data = np.concatenate([b.data for b in blocks])
    return Block(blocks[0].info, 0, blocks[0].t0, data)


def sd(items: Sequence[Item], start: float, stop: float) -> float:
    estimates = stacked(items, "estimates")
    inside = (estimates.times >= start) & (estimates.times < stop)
    spread = estimates.column("arousal.sd")[inside]
    assert np.isfinite(spread).all()  # the estimates go on
    return float(spread.mean())


@pytest.fixture(scope="module")
def whole() -> list[Item]:
    return run()[1]


def conserved(
    session: Session, devices: Sequence[Headset | Wristband], items: Sequence[Item]
) -> None:
    """Check that what was produced came, was counted as lost, or declared silent."""
    silent = {
        label: until
        for item in items
        if isinstance(item, Events) and item.info.name == "session.stream_timeout"
        for label, until in zip(item.labels, item.times, strict=True)
    }
    for device in devices:
        for name, produced in device.produced.items():
            if name not in session.health:
                continue
            health = session.health[name]
            assert health.samples == device.delivered[name]
            missing = produced - health.samples - health.lost
            if health.silent:
                # From the last sample on, all but what patience still waits for.
                heard = np.nan_to_num(health.received + 1 / float(health.info.rate))
                declared = (silent[name] - heard) * float(health.info.rate)
                assert missing == pytest.approx(
                    declared, abs=2 * float(health.info.rate)
                )
            else:  # a loss is seen with the next sample; one at the very end is not
                assert 0 <= missing <= 8


def test_a_sensor_that_dies_half_way(whole: list[Item]) -> None:
    session, items, devices = run(dies={"eda": HALF})
    conserved(session, devices, items)
    assert session.health["band.eda"].silent
    skin = stacked(items, "features")
    after = skin.times > HALF + 2  # patience and hold
    rate = skin.column("eda.scr_rate")
    assert set(missing_reason(rate[after])) == {MissingReason.NO_SIGNAL}
    # Before: the same. After: wider than with the sensor.
    assert sd(items, 100, HALF - 5) == pytest.approx(sd(whole, 100, HALF - 5), rel=1e-9)
    assert sd(items, HALF + 20, SECONDS - 5) > sd(whole, HALF + 20, SECONDS - 5)
    assert len(stacked(items, "estimates")) >= 4 * SECONDS - 8


def test_a_sensor_that_never_starts(whole: list[Item]) -> None:
    session, items, devices = run(dies={"eda": 0.0})
    conserved(session, devices, items)
    assert session.health["band.eda"].samples == 0
    assert sd(items, 100, SECONDS - 5) > sd(whole, 100, SECONDS - 5)
    rate = stacked(items, "features").column("eda.scr_rate")
    assert set(missing_reason(rate)) == {MissingReason.NO_SIGNAL}


def test_one_percent_of_samples_lost(whole: list[Item]) -> None:
    session, items, devices = run(loss=0.01)
    conserved(session, devices, items)
    lost = {n: h.lost for n, h in session.health.items() if n.startswith("band.")}
    assert lost["band.bvp"] == pytest.approx(0.01 * 64 * SECONDS, rel=0.35)
    assert all(lost.values())
    estimates = stacked(items, "estimates")
    late = estimates.times > 80  # all windows are full
    assert np.isfinite(estimates.column("arousal")[late]).all()
    # 1 % loss costs next to nothing: windows are full enough, and filters hold.
    a, b = estimates.column("arousal"), stacked(whole, "estimates").column("arousal")
    n = min(len(a), len(b))
    assert np.abs(a[320:n] - b[320:n]).max() < 0.35
    assert sd(items, 100, SECONDS - 5) == pytest.approx(sd(whole, 100, 235), rel=0.1)


def test_a_band_on_a_table_is_nobody(data: Path) -> None:
    recording = physio.read(data / "empatica_e4" / "offwrist33s")
    estimates = physio.estimate(recording)
    assert np.isnan(estimates.column("arousal")).all()
    told = set(missing_reason(estimates.column("arousal")).tolist())
    assert told <= {
        MissingReason.WARMING_UP,
        MissingReason.POOR_QUALITY,
        MissingReason.NO_SIGNAL,
    }
