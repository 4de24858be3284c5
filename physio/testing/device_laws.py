"""Laws of a device: order, times, counted losses, no waiting, clean closing."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import pairwise
from typing import Any, Final
from unittest import mock

import numpy as np

from physio.core.block import Block
from physio.core.events import Item
from physio.core.protocols import Clock, Device, FastClock, WallClock
from physio.testing.violation import require

BEGIN: Final = 1000.0
"""Time at which a device under test is opened (s, session clock)."""

SECONDS: Final = 20.0
"""Time for which a device is read by default (s)."""

ORDER: Final = "law 8 (a device never goes back)"
TIMES: Final = "law 8 (times rise, and complete_until is kept)"
LOSSES: Final = "law 8 (a device counts lost samples)"
WAITING: Final = "law 8 (read never waits)"
REPEATS: Final = "law 8 (no item comes twice)"
CLOSING: Final = "law 8 (nothing runs once a device is closed)"

_STEPS: Final = (0.0, 0.004, 0.02, 0.1, 0.7)  # s between two reads
_SLOWEST: Final = 0.5  # s that a read may take

Builder = Callable[[Clock], Device]


class GuardedClock(FastClock):
    """A clock that only the test moves."""

    def wait(self, seconds: float) -> None:
        """Refuse: devices do not wait."""
        raise AssertionError(
            f"a device breaks {WAITING}: a device waited for {seconds} s"
        )

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.time += seconds


class RealtimeClock(WallClock):
    """The computer's clock, on which the test waits, for devices of hardware."""

    def advance(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


@dataclass(frozen=True)
class DeviceLaws:
    """The laws of a device; each opens it anew and raises AssertionError.

    Parameters
    ----------
    build
        Function of the session clock that returns the device, not yet open.
    realtime
        Whether it is tested on the computer's clock, as hardware must be.
    seconds
        Time for which it is read (s).
    """

    build: Builder
    realtime: bool = False
    seconds: float = SECONDS

    def order(self) -> None:
        """Blocks and events are in order, as promised, never from the future."""
        with self._open() as (device, clock):
            items = self.run(device, clock)
            sent = {item.info.name for item in items if isinstance(item, Block)}
            regular = {info.name for info in device.streams if info.rate}
            text = f"of the streams {_list(regular)} it sent {_list(sent)}"
            require(sent == regular, _name(device), ORDER, text)

    def losses(self) -> None:
        """Lost samples leave a hole in the numbers, and times are not moved.

        Numbers and time agree to 2 s: the longest pause between two reads and, where a
        recording has blocks of 1 s, one that is not yet due.
        """
        with self._open() as (device, clock):
            begin = clock.now()
            items = self.run(device, clock)
            elapsed = clock.now() - begin
            for info in (i for i in device.streams if i.rate):
                blocks = [i for i in items if isinstance(i, Block) and i.info == info]
                text = f"{info.name!r} sent nothing in {elapsed:g} s"
                require(blocks, _name(device), LOSSES, text)
                rate, stop = float(info.rate), blocks[-1].stop
                expected = elapsed * rate
                text = (
                    f"after {elapsed:g} s at {rate:g} Hz the samples of {info.name!r} "
                    f"are numbered up to {stop}, not about {expected:.0f}"
                )
                within = expected - 2 * rate < stop <= expected + 1
                require(within, _name(device), LOSSES, text)
                backward = any(b.start < a.stop for a, b in pairwise(blocks))
                text = f"blocks of {info.name!r} overlap"
                require(not backward, _name(device), LOSSES, text)

    def waiting(self) -> None:
        """Reading takes no time, and gives what is due after 2 s."""
        with self._open() as (device, clock), self._no_sleep() as sleep:
            before = clock.now()
            for _ in range(3):
                self._read(device)
            if not self.realtime:
                text = "it moved the session clock"
                require(clock.now() == before, _name(device), WAITING, text)
            require(not sleep.called, _name(device), WAITING, "it called time.sleep")
            self._advance(clock, 2.0)
            text = "2 s after it was opened there is still nothing to read"
            some = any(len(item) for item in self._read(device))
            require(some, _name(device), WAITING, text)

    def repeats(self) -> None:
        """Two reads at one time do not give the same items."""
        with self._open() as (device, clock):
            self._advance(clock, 3.0)
            device.read()
            again = [item.info.name for item in device.read() if len(item)]
            if not self.realtime:
                text = f"a second read at the same time gave {_list(set(again))}"
                require(not again, _name(device), REPEATS, text)

    def closing(self) -> None:
        """Once closed, a device has no threads and gives nothing."""
        threads = threading.active_count()
        with self._open() as (device, clock):
            self._advance(clock, 1.0)
            device.read()
        self._advance(clock, 1.0 if self.realtime else 5.0)
        text = "read still returns items"
        require(list(device.read()) == [], _name(device), CLOSING, text)
        running = threading.active_count() - threads
        text = f"{running} of its threads still run"
        require(running == 0, _name(device), CLOSING, text)

    def all(self) -> None:
        """Check every law."""
        self.order()
        self.losses()
        self.waiting()
        self.repeats()
        self.closing()

    def run(self, device: Device, clock: Any) -> list[Item]:
        """Return the items of uneven reads, each checked when it comes."""
        rng = np.random.default_rng(5)
        items: list[Item] = []
        infos = {info.name: info for info in device.streams}
        until = dict.fromkeys(infos, -np.inf)
        stop = dict.fromkeys(infos, 0)
        end = clock.now() + self.seconds
        subject = _name(device)
        while clock.now() < end:
            self._advance(clock, float(rng.choice(_STEPS)))
            for item in device.read():
                name = item.info.name
                text = f"an item of {name!r}, which is not among its streams"
                require(item.info == infos.get(name), subject, ORDER, text)
                if isinstance(item, Block):
                    text = (
                        f"it went back: sample {item.start} of {name!r} came after "
                        f"sample {stop[name] - 1}"
                    )
                    require(item.start >= stop[name], subject, ORDER, text)
                    stop[name] = item.stop
                if not len(item):
                    continue
                self._check_times(item, until[name], clock.now(), subject)
                until[name] = max(until[name], float(item.complete_until))
                items.append(item)
        return items

    @staticmethod
    def _check_times(item: Item, until: float, now: float, subject: str) -> None:
        name, first, last = item.info.name, item.times[0], item.times[-1]
        text = (
            f"times fell, or complete_until was wrong: {name!r} was complete until "
            f"{until:.6f} s, and an item at {first:.6f} s followed"
        )
        require(first >= until, subject, TIMES, text)
        if isinstance(item, Block):
            text = f"two samples of {name!r} at {first:.6f} s"
            require(first > until, subject, TIMES, text)
        text = (
            f"it came from the future: a sample of {name!r} has the time {last:.6f} s "
            f"at {now:.6f} s"
        )
        require(last <= now, subject, TIMES, text)

    @contextmanager
    def _open(self) -> Iterator[tuple[Device, Any]]:
        clock = RealtimeClock() if self.realtime else GuardedClock(BEGIN)
        with self.build(clock) as device:
            yield device, clock

    @contextmanager
    def _no_sleep(self) -> Iterator[mock.Mock]:
        """Replace time.sleep, except on hardware, whose threads may need it."""
        if self.realtime:
            yield mock.Mock()
            return
        with mock.patch.object(time, "sleep") as sleep:
            yield sleep

    @staticmethod
    def _advance(clock: Any, seconds: float) -> None:
        clock.advance(seconds)

    @staticmethod
    def _read(device: Device) -> list[Item]:
        began = time.monotonic()
        items = list(device.read())
        took = time.monotonic() - began
        text = f"a read took {took:.2f} s"
        require(took < _SLOWEST, _name(device), WAITING, text)
        return items


def builder(device: Device) -> Builder:
    """Return a function that makes a device like this one, on a clock.

    As in a session, the fields ``name``, ``participant`` and ``clock`` are set.

    Raises
    ------
    TypeError
        If the class of the device is no dataclass, or does not derive from `Device`.
    """
    if not is_dataclass(device) or not isinstance(device, Device):
        raise TypeError(
            f"{type(device).__name__} must be a dataclass that derives from "
            "physio.core.protocols.Device"
        )
    names = {field.name for field in fields(device) if field.init}
    template: Any = device

    def build(clock: Clock) -> Device:
        session = {"name": "device", "participant": "p1", "clock": clock}
        settings = {k: v for k, v in session.items() if k in names}
        copy: Device = replace(template, **settings)
        return copy

    return build


def _name(device: Device) -> str:
    return type(device).__name__


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
