"""Polar H10 chest strap, over Bluetooth Low Energy."""

from dataclasses import dataclass, field
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self

from devices.polar import bleak_adapter
from devices.polar.ble_connection import STATUS, BleConnection, Gatt
from devices.polar.messages import ACC, ECG, Strap
from devices.polar.mock_strap import MockStrap
from physio.core.block import Origin, StreamInfo
from physio.core.events import Item
from physio.core.protocols import Clock, Device, WallClock

__all__ = ["H10", "MockStrap", "discover"]

TESTED_WITH: Final = "a mock of the strap; no hardware"
"""Tests behind this device, for the page of supported devices."""

discover = bleak_adapter.discover

_CONNECTING: Final = Lock()  # one search at a time: some adapters refuse a second


@dataclass
class H10(Device):
    """A Polar H10: electrocardiogram, heart rate and the intervals between beats.

    Its streams are ``<name>.ecg`` (130 Hz, uV), if wanted ``<name>.acc`` (200 Hz, g),
    and the events ``.hr`` (with skin contact), ``.ibi`` (s, at the beat that ends each)
    and ``.status``, messages about the connection. A lost connection is retried after
    1 s, 2 s, 4 s up to 30 s; the streams then continue after a gap.

    Not tested on hardware: it follows the published protocol and is tested with
    `MockStrap`.

    Parameters
    ----------
    address
        The strap's address, or the eight characters on it, as ``"8B3F2A1C"``; the first
        H10 that answers by default.
    acc
        Whether to read its acceleration too.
    timeout
        Time to search for the strap (s).
    twin
        Data source of a mock strap that replaces the hardware; its data are labelled as
        simulated. ``{ use = "devices.simulated:Chest", rate = 130 }`` in a session
        file, or a `MockStrap`.
    name, participant, clock
        Set by the session.

    Notes
    -----
    Each frame carries the time of the strap's clock, which determines losses exactly.
    The least delayed frames determine its offset to the session clock, so that a
    constant delay of transmission remains, but not the duration of a frame.
    """

    address: str = ""
    acc: bool = False
    timeout: float = 20.0
    twin: Any = None
    name: str = "h10"
    participant: str = ""
    clock: Clock = field(default_factory=WallClock)
    _link: BleConnection | None = field(
        default=None, init=False, repr=False, compare=False
    )
    _strap: Strap | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.timeout <= 0:
            raise ValueError(f"timeout must be above 0 s, not {self.timeout}")

    def __enter__(self) -> Self:
        kinds = (ECG, ACC) if self.acc else (ECG,)
        origin = Origin.MEASURED if self.twin is None else Origin.SIMULATED
        self._worn = self._twin()
        if self._worn is None:
            bleak_adapter.bleak()
        self._strap = Strap(self.name, self.participant, kinds, origin)
        with _CONNECTING:
            self._link = BleConnection(self._find, kinds, self.clock.now)
            try:
                self._link.open(self.timeout + min(5.0, self.timeout))
            except BaseException:
                self._close()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Streams of the strap."""
        return () if self._strap is None else self._strap.streams

    @property
    def ended(self) -> bool:
        """True once closed; the driver waits for a lost strap."""
        return self._link is None

    def read(self) -> list[Item]:
        """Return the items since the last call."""
        if self._link is None or self._strap is None:
            return []
        items: list[Item] = []
        for notification in self._link.notifications():
            if notification.characteristic == STATUS:
                items.append(
                    self._strap.say(notification.raw.decode(), notification.time)
                )
            else:
                items += self._strap.take(
                    notification.characteristic, notification.raw, notification.time
                )
        return [*items, *self._strap.due(self.clock.now())]

    async def _find(self, gone: Any) -> Gatt:
        if self._worn is not None:
            return await self._worn.find(gone)
        return await bleak_adapter.strap(self.address, self.timeout, gone)

    def _twin(self) -> MockStrap | None:
        if self.twin is None or isinstance(self.twin, MockStrap):
            return self.twin
        self.twin.clock = self.clock
        return MockStrap(self.twin, clock=self.clock)

    def _close(self) -> None:
        link, self._link, self._strap = self._link, None, None
        if link is not None:
            link.close()
        if self._worn is not None:
            self._worn.end()
