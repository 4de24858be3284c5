"""Mock of Empatica's streaming server, for tests without hardware."""

import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

from devices.empatica.messages import Splitter
from physio.core.block import Block
from physio.core.events import Events
from physio.core.protocols import Clock, Device, WallClock

STEP: Final = 0.01  # s between two polls of devices and connections
OFFSET: Final = 1.7e9  # Unix time of its stamps minus the session clock (s)
WORDS: Final = {"bvp": "E4_Bvp", "eda": "E4_Gsr", "acc": "E4_Acc", "temp": ""}
KEYS: Final = {"bvp": "bvp", "eda": "gsr", "acc": "acc", "temp": "tmp"}


@dataclass
class MockServer:
    """E4 streaming server on this machine alone, in a thread.

    It implements the whole protocol: listing, connection, subscription, pause, loss and
    return of a wristband, button presses. The data come from other devices, such as
    simulated ones, with streams ``.eda``, ``.bvp``, ``.acc``, ``.temp``.

    Parameters
    ----------
    wristbands
        Device for each serial.
    port
        Port on 127.0.0.1; 0 for any free port.
    comma
        Whether numbers have a decimal comma, as in some Windows locales.
    temperature
        First word of a line of temperature, one of two.
    piece
        Number of bytes sent at once, so that lines are split; 0 for no limit.
    lost
        Intervals in which the wristbands are out of reach (s since the start).
    tags
        Times at which the button is pressed (s since the start).
    off
        Time at which the wristbands are turned off by their button (s since the start).
    clock
        Clock of the wristbands and the stamps.
    """

    wristbands: Mapping[str, Device]
    port: int = 0
    comma: bool = False
    temperature: str = "E4_Temperature"
    piece: int = 0
    lost: tuple[tuple[float, float], ...] = ()
    tags: tuple[float, ...] = ()
    off: float = float("inf")
    clock: Clock = field(default_factory=WallClock)
    _stop: Event = field(default_factory=Event, init=False, repr=False, compare=False)

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        for device in self.wristbands.values():
            self._stack.enter_context(device)
        self._begin = self.clock.now()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.settimeout(0)
        self.port = self._listener.getsockname()[1]
        self._clients: list[_Client] = []
        self._away, self._pressed = False, 0
        self._stop.clear()
        self._thread = Thread(target=self._run, name="e4-twin", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        for client in self._clients:
            client.socket.close()
        self._listener.close()
        self._stack.close()

    def hang_up(self) -> None:
        """Close every connection, as when the server is closed."""
        for client in self._clients:
            client.open = False

    def _run(self) -> None:
        while not self._stop.wait(STEP):
            try:
                link, _ = self._listener.accept()
                link.settimeout(0)
                self._clients.append(_Client(link))
            except BlockingIOError:
                pass
            for client in self._clients:
                for line in client.received():
                    client.say(*self._answers(client, line))
            self._sense(self.clock.now() - self._begin)
            for client in self._clients:
                client.flush(self.piece)
                if not client.open:
                    client.socket.close()
            self._clients = [c for c in self._clients if c.open]

    def _sense(self, passed: float) -> None:
        """Send the data of the wristbands, and their changes of state."""
        away = any(a <= passed < b for a, b in self.lost) or passed >= self.off
        if away != self._away:
            self._away = away
            self._send_status(off=passed >= self.off)
        pressed = sum(t <= passed for t in self.tags)
        for serial, device in self.wristbands.items():
            lines = [(_key(i), line) for i in device.read() for line in self._lines(i)]
            lines += [("tag", self._line("E4_Tag", self.clock.now()))] * (
                pressed - self._pressed
            )
            for client in self._clients if not away else ():
                if client.serial == serial and not client.paused:
                    client.say(*(text for key, text in lines if key in client.wants))
        self._pressed = pressed

    def _send_status(self, *, off: bool) -> None:
        for client in self._clients:
            if client.serial and off:
                client.say(f"R device {client.serial} turned off via button")
            elif client.serial:
                change = "lost" if self._away else "re-established"
                client.say(f"R connection {change} to device {client.serial}")

    def _lines(self, item: Block | Events) -> list[str]:
        word = WORDS.get(item.info.name.rpartition(".")[2])
        if word is None or not isinstance(item, Block):
            return []
        rows = item.data
        if word == "E4_Acc":
            rows = (64 * rows).round()
        times = zip(item.times.tolist(), rows.tolist(), strict=True)
        return [self._line(word or self.temperature, t, *row) for t, row in times]

    def _line(self, word: str, time: float, *values: float) -> str:
        stamp = f"{OFFSET + time:.6f}"
        text = " ".join([word, stamp, *(f"{value:.9g}" for value in values)])
        return text.replace(".", ",") if self.comma else text

    def _answers(self, client: "_Client", line: str) -> list[str]:
        words = line.split()
        name, *arguments = words or [""]
        if name in {"device_list", "device_discover_list"}:
            allowed = " allowed" if name == "device_discover_list" else ""
            there = [f"{serial} Empatica_E4{allowed}" for serial in self.wristbands]
            return [" | ".join([f"R {name} {len(there)}", *there])]
        if name in {"device_connect_btle", "device_disconnect_btle", "device_connect"}:
            if not arguments or arguments[0] not in self.wristbands:
                return [f"R {name} ERR The requested device is not available"]
            if name == "device_connect":
                client.serial, client.wants = arguments[0], set()
            return [f"R {name} OK"]
        if name == "server_status":
            return ["R server_status OK"]
        if not client.serial:
            return [f"R {name} ERR You are not connected to any device"]
        return self._asked(client, name, arguments)

    def _asked(self, client: "_Client", name: str, arguments: list[str]) -> list[str]:
        """Answer commands that only a client with a wristband may send."""
        on = arguments[-1:] == ["ON"]
        if name == "device_subscribe" and len(arguments) == 2:
            if arguments[0] not in {"acc", "bvp", "gsr", "ibi", "tmp", "bat", "tag"}:
                return [f"R device_subscribe {arguments[0]} ERR unknown stream"]
            (client.wants.add if on else client.wants.discard)(arguments[0])
            return [f"R device_subscribe {arguments[0]} OK"]
        if name == "pause" and arguments:
            client.paused = on
            return [f"R pause {arguments[0]}"]
        if name == "device_disconnect":
            client.open = False
            return ["R device_disconnect OK"]
        return [f"R {name} ERR unknown command"]


class _Client:
    """A connected program."""

    def __init__(self, link: socket.socket) -> None:
        self.socket = link
        self.serial, self.open, self.paused = "", True, False
        self.wants: set[str] = set()
        self._splitter, self._out = Splitter(), b""

    def received(self) -> list[str]:
        """Return the complete lines received."""
        raw = b""
        try:
            while part := self.socket.recv(4096):
                raw += part
            self.open = False
        except BlockingIOError:
            pass
        except OSError:
            self.open = False
        return self._splitter.push(raw)

    def say(self, *lines: str) -> None:
        """Add lines to the output."""
        self._out += "".join(f"{line}\r\n" for line in lines).encode()

    def flush(self, piece: int) -> None:
        """Send as much as possible, in pieces of ``piece`` bytes."""
        try:
            while self._out:
                size = piece or len(self._out)
                sent = self.socket.send(self._out[:size])
                self._out = self._out[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self.open = False


def _key(item: Block | Events) -> str:
    return KEYS.get(item.info.name.rpartition(".")[2], "")
