"""Polar H10 chest strap and Verity Sense armband, over Bluetooth Low Energy."""

from abc import abstractmethod
from dataclasses import dataclass, field
from threading import Lock
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from devices.polar import bleak_adapter
from devices.polar.ble_connection import STATUS, BleConnection, Gatt
from devices.polar.messages import (
    ACC,
    ECG,
    H10_MODEL,
    PPG,
    PPI,
    VERITY_MODEL,
    PolarModel,
    Strap,
)
from devices.polar.mock_strap import MockStrap
from physio.core.block import Origin, StreamInfo
from physio.core.events import Item
from physio.core.protocols import Clock, Device, WallClock

__all__ = ["H10", "MockStrap", "VeritySense", "discover", "nearby"]

TESTED_WITH: Final = "a mock of the sensor; no hardware"
"""Tests behind this device, for the page of supported devices."""

discover = bleak_adapter.discover
nearby = bleak_adapter.nearby

_CONNECTING: Final = Lock()  # one search at a time: some adapters refuse a second


@dataclass(kw_only=True)
class PolarSensor(Device):
    """A sensor of Polar over Bluetooth: `H10` or `VeritySense`.

    Parameters
    ----------
    address
        The sensor's address, or the eight characters on it, as ``"8B3F2A1C"``; the
        first of its model that answers by default.
    timeout
        Time to search for the sensor (s).
    twin
        Data source of a mock sensor that replaces the hardware; its data are labelled
        as simulated. In a session file ``{ use = "devices.simulated:Chest", rate = 130
        }`` for an H10, ``{ use = "devices.simulated:Wristband" }`` for a Verity Sense;
        or a `MockStrap`.
    name, participant, clock
        Set by the session.
    """

    model: ClassVar[PolarModel]

    address: str = ""
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

    @property
    @abstractmethod
    def measurements(self) -> tuple[int, ...]:
        """Measurements to start."""

    def __enter__(self) -> Self:
        kinds = self.measurements
        origin = Origin.MEASURED if self.twin is None else Origin.SIMULATED
        self._worn = self._twin()
        if self._worn is None:
            bleak_adapter.bleak()
        self._strap = Strap(self.name, self.participant, kinds, origin, self.model)
        with _CONNECTING:
            self._link = BleConnection(self._find, self.model, kinds, self.clock.now)
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
        return await bleak_adapter.peripheral(
            self.model.name, self.address, self.timeout, gone
        )

    def _twin(self) -> MockStrap | None:
        if self.twin is None or isinstance(self.twin, MockStrap):
            return self.twin
        self.twin.clock = self.clock
        return MockStrap(self.twin, clock=self.clock, model=self.model)

    def _close(self) -> None:
        link, self._link, self._strap = self._link, None, None
        if link is not None:
            link.close()
        if self._worn is not None:
            self._worn.end()


@dataclass(kw_only=True)
class H10(PolarSensor):
    """A Polar H10: electrocardiogram, heart rate and the intervals between beats.

    Its streams are ``<name>.ecg`` (130 Hz, uV), if wanted ``<name>.acc`` (200 Hz, g),
    and the events ``.hr`` (with skin contact), ``.ibi`` (s, at the beat that ends each)
    and ``.status``, messages about the connection. A lost connection is retried after
    1 s, 2 s, 4 s up to 30 s; the streams then continue after a gap.

    Not tested on hardware: it follows the published protocol and is tested with
    `MockStrap`.

    Parameters
    ----------
    acc
        Whether to read its acceleration too.

    Notes
    -----
    Each frame carries the time of the strap's clock, which determines losses exactly.
    The least delayed frames determine its offset to the session clock, so that a
    constant delay of transmission remains, but not the duration of a frame.
    """

    model: ClassVar[PolarModel] = H10_MODEL

    acc: bool = False

    @property
    def measurements(self) -> tuple[int, ...]:
        """Electrocardiogram, and acceleration if it is wanted."""
        return (ECG, ACC) if self.acc else (ECG,)


@dataclass(kw_only=True)
class VeritySense(PolarSensor):
    """A Polar Verity Sense: pulse wave, acceleration, and intervals between pulses.

    Its streams are ``<name>.ppg`` (55 Hz, three photodiodes and the ambient light, in
    counts), if wanted ``<name>.acc`` (52 Hz, g), and the events ``.hr``, ``.ibi`` (s)
    and ``.status``. With ``ppi``, ``.ppi`` holds every interval that the sensor
    computed, with heart rate (1/min), error (s), movement and contact, and ``.ibi``
    those that Polar says may be used. A lost connection is retried as by `H10`.

    Not tested on hardware: it follows Polar's public SDK and is tested with
    `MockStrap`.

    Parameters
    ----------
    ppg, acc, ppi
        Whether to read the pulse wave, the acceleration and the intervals. While it
        computes intervals, it gives a heart rate every 5 s only, and the first interval
        after about 25 s; both hold at rest alone.
    name
        Set by the session.

    Notes
    -----
    The contact that it reports is unreliable, by Polar's own account. Compressed frames
    are multiplied by the factor with which the sensor answers the command.
    """

    model: ClassVar[PolarModel] = VERITY_MODEL

    ppg: bool = True
    acc: bool = False
    ppi: bool = False
    name: str = "verity"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.measurements:
            raise ValueError("a Verity Sense needs ppg, acc or ppi, and all are false")

    @property
    def measurements(self) -> tuple[int, ...]:
        """Pulse wave, acceleration and intervals, as far as they are wanted."""
        wanted = ((PPG, self.ppg), (ACC, self.acc), (PPI, self.ppi))
        return tuple(kind for kind, is_wanted in wanted if is_wanted)
