"""The laws of a device, in `physio.testing`, on every device there is."""

import importlib
import inspect
import pkgutil
import threading
import time
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import devices
from devices.fault_injection import Fault, FaultInjector
from devices.replay import Replay
from devices.simulated import Wristband
from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, Item, event_stream
from physio.core.protocols import Clock, Device
from physio.core.recording import Arrival, Recording
from physio.testing.device_laws import BEGIN, Builder, DeviceLaws, GuardedClock

WIRED = {
    "Board": "test_board_live.py",
    "E4": "test_empatica_live.py",
    "H10": "test_polar_live.py",
    "Inlet": "test_lsl_live.py",
    "Triggers": "../devices/test_serial_port.py",
    "VeritySense": "test_polar_live.py",
}
"""Devices of hardware or networks, and the tests in real time that hold them to law."""


def classes() -> list[type]:
    """Return every class that is a device: it streams, reads, opens and closes."""
    found: set[type] = set()
    for module in pkgutil.walk_packages(devices.__path__, "devices."):
        for _, cls in inspect.getmembers(importlib.import_module(module.name)):
            known = inspect.isclass(cls) and cls.__module__.startswith("devices.")
            if known and is_dataclass(cls) and not inspect.isabstract(cls):
                parts = ("streams", "ended", "read", "__enter__", "__exit__")
                if all(hasattr(cls, part) for part in parts):
                    found.add(cast(type, cls))
    return sorted(found, key=lambda cls: cls.__name__)


def recording(timeline: bool) -> Recording:
    """Return 25 s of EEG and skin conductance, with losses and a marker each second."""
    eeg = StreamInfo("headset.eeg", Fraction(250), (Channel("Fz", "eeg", "uV"),))
    eda = StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),))
    tags = event_stream("band.tags")
    n = 25
    streams = {
        eeg.name: tuple(
            Block(eeg, k * 250, BEGIN + k * 1e-5, np.full((225, 1), float(k)))
            for k in range(n)
        ),
        eda.name: tuple(
            Block(eda, k * 4, BEGIN, np.full((4, 1), float(k))) for k in range(n)
        ),
    }
    at = BEGIN + 0.5 + np.arange(n)
    events = {
        tags.name: Events(tags, at[-1], at, np.empty((n, 0)), ("tag",) * n),
    }
    order = tuple(
        arrival
        for k in range(n)
        for arrival in (
            Arrival(tags.name, k, 1, at[k]),
            Arrival(eeg.name, k * 250, 225, BEGIN + k * 1e-5),
            Arrival(eda.name, k * 4, 4, BEGIN),
        )
    )
    return Recording(streams, events, order if timeline else ())


def faulty(clock: Clock, wrap: int) -> Device:
    """Return a wristband on a bad line."""
    faults = [Fault("unplug", 5.0, 3.0), Fault("stall", 11.0, 1.0)]
    if wrap:
        faults += [Fault("drop"), Fault("duplicate"), Fault("reorder")]
    band = Wristband(clock=clock, ground_truth=False)
    return FaultInjector(
        band, tuple(faults), wrap=wrap, name="it", participant="p07", clock=clock
    )


def made() -> Iterator[Any]:
    """Yield every device that runs here, as it is and with what can befall it."""
    for cls in classes():
        if cls.__name__ in WIRED:
            continue
        if cls is Replay:
            for timeline in (False, True):
                name = f"Replay-{'timeline' if timeline else 'merged'}"
                yield pytest.param(
                    lambda clock, t=timeline: Replay(recording(t), clock), id=name
                )
            continue
        if cls is FaultInjector:
            for wrap in (256, 0):
                yield pytest.param(lambda clock, w=wrap: faulty(clock, w), id=f"{wrap}")
            continue
        known = {f.name for f in fields(cls)}
        troubles: dict[str, Any] = {"loss": 0.1, "gaps": ((5.0, 8.0),)}
        for settings in ({}, {k: v for k, v in troubles.items() if k in known}):
            name = "-".join([cls.__name__, *settings])

            def build(clock: Clock, c: type = cls, s: Any = settings) -> Device:
                device = c(name="it", participant="p07", clock=clock, **s)
                return cast(Device, device)

            yield pytest.param(build, id=name)


each = pytest.mark.parametrize("build", list(made()))


def test_devices_are_found() -> None:
    names = {cls.__name__ for cls in classes()}
    assert names >= {"Replay", "Board", "Inlet", "Headset", "Wristband", "Chest"}


def test_what_is_wired_is_tested_in_real_time() -> None:
    folder = Path(__file__).parents[1] / "realtime"
    for name, file in WIRED.items():
        assert name in (folder / file).read_text(encoding="utf-8")


@each
def test_order_times_and_promises(build: Builder) -> None:
    DeviceLaws(build).order()


@each
def test_lost_samples_are_counted(build: Builder) -> None:
    DeviceLaws(build).losses()


@each
def test_reading_waits_for_nothing(build: Builder) -> None:
    DeviceLaws(build).waiting()


@each
def test_what_was_read_does_not_come_again(build: Builder) -> None:
    DeviceLaws(build).repeats()


@each
def test_nothing_runs_once_it_is_closed(build: Builder) -> None:
    DeviceLaws(build).closing()


class Forgetful(Replay):
    """A device that does not count what it loses."""

    def read(self) -> list[Item]:
        items = []
        for item in super().read():
            if isinstance(item, Block):
                seen = self.__dict__.setdefault("seen", {})
                start = seen.get(item.info.name, 0)
                seen[item.info.name] = start + len(item)
                item = replace(item, start=start)
            items.append(item)
        return items


class Rewinding(Replay):
    """A device that gives its newest block again."""

    def read(self) -> list[Item]:
        return [again for item in super().read() for again in (item, item)]


class Hasty(Replay):
    """A device that is ahead of the clock."""

    def read(self) -> list[Item]:
        assert self._waiting is not None
        return list(self._waiting.due(self.clock.now() + 5.0))


class Repeating(Replay):
    """A device that gives at every read all that it has given so far."""

    def read(self) -> list[Item]:
        items: list[Item] = self.__dict__.setdefault("items", [])
        items += super().read()
        return items


class Sleepy(Replay):
    """A device that waits for its data."""

    def read(self) -> list[Item]:
        time.sleep(0.01)
        return list(super().read())


class Restless(Replay):
    """A device whose thread outlives it."""

    def __enter__(self) -> "Restless":
        self._stop = threading.Event()
        threading.Thread(target=self._stop.wait, args=(5.0,), daemon=True).start()
        super().__enter__()
        return self


def test_the_laws_bite() -> None:
    def law(cls: type[Replay]) -> DeviceLaws:
        return DeviceLaws(lambda clock: cls(recording(True), clock))

    with pytest.raises(AssertionError, match=r"Rewinding breaks law 8.*it went back"):
        law(Rewinding).order()
    with pytest.raises(AssertionError, match="it came from the future"):
        law(Hasty).order()
    with pytest.raises(AssertionError, match="are numbered up to"):
        law(Forgetful).losses()
    with pytest.raises(AssertionError, match=r"it called time\.sleep"):
        law(Sleepy).waiting()
    with pytest.raises(AssertionError, match="a second read at the same time gave"):
        law(Repeating).repeats()
    with pytest.raises(AssertionError, match="1 of its threads still run"):
        law(Restless).closing()
    with pytest.raises(AssertionError, match=r"a device waited for 0.1 s"):
        GuardedClock(BEGIN).wait(0.1)
