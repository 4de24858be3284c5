"""Triggers of a serial port, as USB trigger boxes and stimulus computers send them."""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from physio.core.block import Channel, StreamInfo
from physio.core.events import Events, event_stream, single_event
from physio.core.installation import install_hint
from physio.core.protocols import Clock, Device, WallClock

__all__ = ["Triggers"]

TESTED_WITH: Final = "a pseudo-terminal; no trigger box"
"""Tests behind this device, for the page of supported devices."""

_TIMEOUT: Final = 0.1  # s that the reading thread waits for a byte
_MOST: Final = 10_000  # codes that wait to be read by the session


@dataclass
class Triggers(Device):
    """Bytes of a serial port as events; 0, the end of a pulse, is none.

    Its stream is ``<name>.markers``: the label is the name of the code or its number,
    the value the code. The time is that at which a thread received the byte.

    Parameters
    ----------
    port
        Name of the port: ``"/dev/ttyUSB0"``, ``"COM3"``.
    baud
        Rate of the port (bit/s).
    labels
        Names of codes, as ``{ 1 = "calm film" }``.
    name, participant, clock
        Set by the session.
    """

    port: str
    baud: int = 115200
    labels: Mapping[str, str] = field(default_factory=dict)
    name: str = "triggers"
    participant: str = ""
    clock: Clock = field(default_factory=WallClock)
    _serial: Any = field(default=None, init=False, repr=False, compare=False)
    _codes: deque[tuple[float, int]] = field(
        default_factory=lambda: deque(maxlen=_MOST),
        init=False,
        repr=False,
        compare=False,
    )

    def __post_init__(self) -> None:
        if not self.port:
            raise ValueError("port is the name of a serial port, such as /dev/ttyUSB0")
        codes = {str(code) for code in range(1, 256)}
        if wrong := [code for code in self.labels if code not in codes]:
            raise ValueError(f"labels: a code is from 1 to 255, not {wrong[0]!r}")

    def __enter__(self) -> Self:
        try:
            import serial
        except ModuleNotFoundError:
            raise ValueError(
                f"a serial port needs pyserial, which is not installed"
                f"{install_hint('pyserial')}"
            ) from None
        try:
            self._serial = serial.Serial(self.port, self.baud, timeout=_TIMEOUT)
        except (serial.SerialException, ValueError) as error:
            raise OSError(
                f"the serial port {self.port!r} of the triggers cannot be opened: "
                f"{error}"
            ) from None
        self._error: Exception | None = None
        self._is_open = True
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_open = False
        if self._serial is not None:
            self._thread.join()
            self._serial.close()
            self._serial = None

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """The stream of triggers."""
        return (event_stream(f"{self.name}.markers", Channel("code")),)

    @property
    def ended(self) -> bool:
        """Always true: triggers alone keep no session running."""
        return True

    def read(self) -> Sequence[Events]:
        """Return the triggers received since the last call.

        Raises
        ------
        OSError
            If the port was lost.
        """
        (info,) = self.streams
        events = []
        for _ in range(len(self._codes)):
            at, code = self._codes.popleft()
            label = self.labels.get(str(code), str(code))
            events.append(single_event(info, at, label, float(code)))
        if not events and self._serial is not None and self._error is not None:
            raise OSError(f"the serial port {self.port!r} was lost: {self._error}")
        return events

    def _receive(self) -> None:
        """Receive bytes until the port is closed or lost."""
        try:
            while self._is_open:
                data = self._serial.read(1)
                now = self.clock.now()
                data += self._serial.read(self._serial.in_waiting)
                self._codes.extend((now, code) for code in data if code)
        except Exception as error:  # raised by `read`
            self._error = error
