"""Codes of rules on a serial port, as for a trigger box."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import sleep
from types import TracebackType
from typing import Any, Self

from physio.core.events import Events, Item
from physio.core.installation import install_hint
from physio.core.protocols import Sink
from physio.core.recording import RULES, base_name


@dataclass
class Ttl(Sink):
    """Sink that writes a byte to a serial port when a rule with a code fires.

    USB trigger boxes that are serial ports set their TTL lines to that byte. It has the
    delay of the estimates, and the port's own, which your oscilloscope measures.

    Parameters
    ----------
    port
        Name of the port: ``"/dev/ttyUSB0"``, ``"COM3"``.
    baud
        Rate of the port (bit/s).
    pulse
        Duration after which 0 is written (s); 0 leaves the code standing.
    """

    port: str
    baud: int = 115200
    pulse: float = 0.01
    grace = 5.0
    _serial: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.port:
            raise ValueError("port is the name of a serial port, such as /dev/ttyUSB0")
        if not 0 <= self.pulse <= 1:
            raise ValueError(f"pulse is a time from 0 to 1 s, not {self.pulse:g}")

    def __enter__(self) -> Self:
        try:
            import serial
        except ModuleNotFoundError:
            raise ValueError(
                f"a serial port needs pyserial, which is not installed"
                f"{install_hint('pyserial')}"
            ) from None
        try:
            self._serial = serial.Serial(self.port, self.baud, write_timeout=1.0)
        except (serial.SerialException, ValueError) as error:
            raise ValueError(
                f"the serial port {self.port!r} of the TTL output cannot be opened: "
                f"{error}"
            ) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._serial.close()

    def write(self, item: Item) -> None:
        """Write the codes of rules that fired; ignore other items."""
        if not isinstance(item, Events) or base_name(item.info.name) != RULES:
            return
        codes: Sequence[float] = item.data[:, 0].tolist()
        for code in (int(c) for c in codes if c):
            self._serial.write(bytes([code]))
            if self.pulse:
                sleep(self.pulse)
                self._serial.write(b"\0")
