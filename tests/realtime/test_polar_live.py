"""The drivers on their twins: through the thread, the loop and every byte."""

import re
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from devices.polar import H10, MockStrap, VeritySense
from devices.polar.messages import (
    ACC,
    CONTROL,
    ECG,
    PPG,
    PPI,
    START,
    STOP,
    VERITY_MODEL,
    VERITY_START,
)
from devices.simulated import Chest, Wristband
from physio.core.block import Block, Origin
from physio.core.events import Events, Item
from physio.core.protocols import Device, FastClock, WallClock
from physio.online.session_config import SessionConfig

SPEED = 4.0


def worn(**settings: Any) -> tuple[H10, MockStrap]:
    clock = WallClock(SPEED)
    chest = Chest(name="x", clock=clock, rate=130, seed=3)
    twin = MockStrap(chest, clock=clock, **settings)
    return H10(twin=twin, name="belt", participant="p1", clock=clock), twin


def gather(
    device: Device, then: Callable[[list[Item]], bool], seconds: float = 30.0
) -> list[Item]:
    items: list[Item] = []
    end = time.monotonic() + seconds
    while not then(items):
        assert time.monotonic() < end, "it did not come"
        began = time.monotonic()
        items += device.read()
        assert time.monotonic() - began < 0.2, "it waited"
        time.sleep(0.005)
    return items


def blocks(items: list[Item]) -> list[Block]:
    return [i for i in items if isinstance(i, Block) and i.info.name == "belt.ecg"]


def samples(items: list[Item]) -> int:
    return sum(map(len, blocks(items)))


def labels(items: list[Item]) -> list[str]:
    events = (i for i in items if i.info.name == "belt.status")
    return [label for e in events if isinstance(e, Events) for label in e.labels]


def test_a_strap_gives_what_it_sensed() -> None:
    device, twin = worn()
    threads = threading.active_count()
    with device:
        names = [i.name for i in device.streams]
        assert names == ["belt.ecg", "belt.hr", "belt.ibi", "belt.status"]
        assert {i.participant for i in device.streams} == {"p1"}
        assert {i.origin for i in device.streams} == {Origin.SIMULATED}
        items = gather(device, lambda i: samples(i) >= 130 * 6)
    assert (device.read(), device.ended) == ([], True)
    assert threading.active_count() == threads
    assert twin.written == [(CONTROL, START[ECG]), (CONTROL, STOP[ECG])]
    clock = FastClock()
    with Chest(name="x", clock=clock, rate=130, seed=3) as sensed:
        clock.wait(30.0)
        known = list(sensed.read())
    ecg = np.concatenate([b.data[:, 0] for b in blocks(items)])
    was = np.concatenate([i.data[:, 0] for i in known if i.info.name == "x.ecg"])
    np.testing.assert_allclose(ecg, 1000 * was[: len(ecg)], rtol=0, atol=0.5)
    whole = np.concatenate([np.arange(b.start, b.stop) for b in blocks(items)])
    np.testing.assert_array_equal(whole, np.arange(len(ecg)))
    beats = np.concatenate([i.times for i in known if i.info.name == "x.beats"])
    told = [float(i.data[0, 0]) for i in items if i.info.name == "belt.ibi"]
    # An interval is told in 1024ths of a second.
    np.testing.assert_allclose(told, np.diff(beats)[: len(told)], rtol=0, atol=0.001)
    assert len(told) >= 4
    assert labels(items) == []


def test_out_of_reach_is_a_gap_and_the_strap_is_sought() -> None:
    device, _ = worn(lost=((4.0, 9.0),))
    with device:
        items = gather(device, lambda i: samples(i) > 130 * 8)
    told = labels(items)
    assert told[0] == "connection lost: the strap is out of reach; next try in 1 s"
    assert told[-1].startswith("connection re-established (try ")
    assert (
        "connection lost: no Polar H10 answers: it is out of reach; next try in 2 s"
        in told
    )
    found = blocks(items)
    lost = found[-1].stop - samples(items)
    # 5 s and the way back; whole frames of 73 samples were lost, and no other.
    assert lost >= 5 * 130 - 73
    assert lost % 73 in {0, 1, 72}
    times = np.concatenate([b.times for b in found])
    assert (np.diff(times) > 0).all()
    assert found[-1].complete_until == pytest.approx(device.clock.now(), abs=4.0)


def test_a_strap_that_refuses_says_why() -> None:
    device, _ = worn(refuses=10)
    with device:
        items = gather(device, lambda i: bool(labels(i)))
    assert labels(items) == [
        "the strap refused a measurement: the strap must be on the skin"
    ]
    assert samples(items) == 0


def test_no_strap_is_one_sentence() -> None:
    device, twin = worn(lost=((0.0, 1e9),))
    twin.begin()
    device.timeout = 0.1
    threads = threading.active_count()
    with pytest.raises(OSError, match=r".*") as error, device:
        pass
    assert str(error.value) == "no Polar H10 answers: it is out of reach"
    assert threading.active_count() == threads
    twin.end()


def test_without_bleak_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bleak", None)
    with pytest.raises(ValueError, match="Bluetooth needs bleak") as error, H10():
        pass
    assert str(error.value) == "Bluetooth needs bleak: pip install 'physio-affect[ble]'"


def test_where_there_is_no_bluetooth_it_is_one_sentence() -> None:
    pytest.importorskip("bleak")
    with pytest.raises(OSError, match=re.compile(r"^[^\n]+$")), H10(timeout=0.5):
        pass


def test_a_session_file_wears_the_twin() -> None:
    chest = {"use": "devices.simulated:Chest", "rate": 130}
    tables = {"devices": {"belt": {"use": "devices.polar:H10", "twin": chest}}}
    (device,) = SessionConfig(tables).devices(WallClock(SPEED))
    assert isinstance(device, H10)
    with device:
        items = gather(device, lambda i: samples(i) > 130)
    assert {i.info.origin for i in items} == {Origin.SIMULATED}


def test_a_verity_sense_gives_pulse_movement_and_intervals() -> None:
    clock = WallClock(SPEED)
    band = Wristband(name="x", clock=clock, seed=3)
    twin = MockStrap(band, clock=clock, model=VERITY_MODEL, fast=2e-5)
    device = VeritySense(
        twin=twin, acc=True, ppi=True, name="v", participant="p1", clock=clock
    )

    def enough(items: list[Item]) -> bool:
        n = sum(len(i) for i in items if i.info.name == "v.ppg")
        return n >= 55 * 12 and sum(i.info.name == "v.ppi" for i in items) >= 5

    with device:
        names = [i.name for i in device.streams]
        assert names == ["v.ppg", "v.acc", "v.hr", "v.ppi", "v.ibi", "v.status"]
        assert {i.site for i in device.streams} == {"arm"}
        assert {i.origin for i in device.streams} == {Origin.SIMULATED}
        items = gather(device, enough)
    commands = [command for _, command in twin.written]
    assert commands[:3] == [VERITY_START[kind] for kind in (PPG, ACC, PPI)]
    assert commands[3:] == [STOP[kind] for kind in (PPG, ACC, PPI)]
    assert not [i for i in items if i.info.name == "v.status"]
    known = FastClock()
    with Wristband(name="x", clock=known, seed=3) as sensed:
        known.wait(30.0)
        truth = list(sensed.read())

    def joined(found: list[Item], name: str) -> tuple[Any, Any]:
        parts = [i for i in found if isinstance(i, Block) and i.info.name == name]
        times = np.concatenate([b.times for b in parts])
        return times, np.vstack([b.data for b in parts])

    at, light = joined(items, "v.ppg")
    was, pulse = joined(truth, "x.bvp")
    expected = 300_000 + 100 * np.interp(
        was[0] + np.arange(len(at)) / 55, was, pulse[:, 0]
    )
    assert np.ptp(light[:, :3] - light[:, :1]) == 0
    np.testing.assert_allclose(light[:, 0], expected, rtol=0, atol=0.51)
    at, acc = joined(items, "v.acc")
    assert np.abs(np.linalg.norm(acc, axis=1) - 1).max() < 1.5
    was, moved = joined(truth, "x.acc")
    expected = np.column_stack(
        [np.interp(was[0] + np.arange(len(at)) / 52, was, axis) for axis in moved.T]
    )
    np.testing.assert_allclose(acc, expected, rtol=0, atol=2.44e-4)
    ppi = [i.data[0] for i in items if i.info.name == "v.ppi"]
    usable = [i.data[0, 0] for i in items if i.info.name == "v.ibi"]
    assert usable == [row[1] for row in ppi if not row[3]]
    beats = np.concatenate([i.times for i in truth if i.info.name == "x.beats"])
    np.testing.assert_allclose(
        [row[1] for row in ppi], np.diff(beats)[: len(ppi)], rtol=0, atol=0.001
    )


def test_a_verity_sense_without_a_measurement_is_refused() -> None:
    with pytest.raises(ValueError, match="needs ppg, acc or ppi"):
        VeritySense(ppg=False)
