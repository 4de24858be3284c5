"""Empatica E4 wristband, through the manufacturer's streaming server."""

import selectors
import socket
from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Final, Self

from devices.empatica.messages import Splitter, Wrist
from devices.empatica.mock_server import MockServer
from physio.core.block import Origin, StreamInfo
from physio.core.events import Item
from physio.core.protocols import Clock, Device, WallClock

__all__ = ["E4", "MockServer", "discover"]

TESTED_WITH: Final = "a mock of the manufacturer's server; no hardware"
"""Tests behind this device, for the page of supported devices."""

SUBSCRIPTIONS: Final = ("acc", "bvp", "gsr", "ibi", "tmp", "bat", "tag")
LONGEST_PAUSE: Final = 30.0  # s between two tries to reconnect


@dataclass
class E4(Device):
    """Empatica E4 wristband, through the E4 streaming server (TCP).

    Its streams are ``<name>.eda`` (4 Hz, uS), ``.bvp`` (64 Hz), ``.acc`` (32 Hz, g) and
    ``.temp`` (4 Hz), the events ``.ibi``, ``.hr``, ``.battery``, ``.tags``, each with
    the server's time stamp as a channel, and ``.status``, messages about the connection
    and the server.

    The server runs on Windows with the manufacturer's dongle. One connection serves one
    wristband; for two, name two devices with their ``serial``. A lost connection is
    retried after 1 s, 2 s, 4 s up to 30 s; the streams then continue after a gap.

    Parameters
    ----------
    serial
        Serial of the wristband, as ``"9ff167"``; by default the only one connected.
    host, port
        Address of the server.
    btle
        Whether this program requests the Bluetooth connection to the wristband, for a
        server in manual mode; needs a ``serial``.
    timeout
        Time to wait for an answer (s).
    simulated
        Whether the server is a `MockServer`: its data are labelled as simulated.
    name, participant, clock
        Set by the session.

    Notes
    -----
    Losses show only in times of arrival: the server's stamps continue at the nominal
    rate from the time of connection, whatever arrived. Samples that the server delays
    by up to one second are kept; later ones count as lost.
    """

    serial: str = ""
    host: str = "127.0.0.1"
    port: int = 28000
    btle: bool = False
    timeout: float = 5.0
    simulated: bool = False
    name: str = "e4"
    participant: str = ""
    clock: Clock = field(default_factory=WallClock)
    _wrist: Wrist | None = field(default=None, init=False, repr=False, compare=False)
    _line: "_Line | None" = field(default=None, init=False, repr=False, compare=False)
    _pause: float = field(default=0.0, init=False, repr=False, compare=False)
    _again: float = field(default=0.0, init=False, repr=False, compare=False)
    _tries: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.port < 65_536:
            raise ValueError(f"port must be from 1 to 65535, not {self.port}")
        if self.btle and not self.serial:
            raise ValueError("btle = true needs the wristband's serial")

    def __enter__(self) -> Self:
        origin = Origin.SIMULATED if self.simulated else Origin.MEASURED
        self._wrist = Wrist(self.name, self.participant, origin)
        self._line = self._opened()
        limit = monotonic() + self.timeout
        try:
            while not self._line.ready:
                if not self._line.wait(limit - monotonic()):
                    raise OSError(self._line.unanswered)
                self._follow(self._line, self._wrist)
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
        self._wrist = None

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Streams of the wristband."""
        return () if self._wrist is None else self._wrist.streams

    @property
    def ended(self) -> bool:
        """True once closed; the driver waits for a lost wristband."""
        return self._wrist is None

    def read(self) -> list[Item]:
        """Return the items since the last call."""
        if self._wrist is None:
            return []
        now = self.clock.now()
        try:
            if self._line is None and now >= self._again:
                self._tries += 1
                self._line = self._opened()
                self._wrist.say(f"reconnecting (try {self._tries})", now)
            if self._line is not None:
                self._follow(self._line, self._wrist)
                if self._line.ready and self._tries:
                    self._wrist.say("connection re-established", now)
                    self._tries, self._pause = 0, 0.0
        except OSError as error:
            self._drop(str(error), now)
        return self._wrist.due(now)

    def _follow(self, line: "_Line", wrist: Wrist) -> None:
        """Process the lines of the server, and send the next command."""
        for text in line.received():
            now = self.clock.now()
            if not text:
                continue
            if not text.startswith("R "):
                if not wrist.take(text, now):
                    wrist.say(f"not understood: {text[:80]}", now)
            elif status := wristband_status(text):
                wrist.say(status, now)
            else:
                line.on_reply(text.split()[1:])

    def _drop(self, why: str, now: float) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        self._pause = min(max(1.0, 2 * self._pause), LONGEST_PAUSE)
        self._again = now + self._pause
        if self._wrist is not None:
            self._wrist.say(
                f"connection lost: {why}; next try in {self._pause:g} s", now
            )

    def _opened(self) -> "_Line":
        return _Line(self.host, self.port, self.serial, self.timeout, btle=self.btle)

    def _close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.leave()


class _Line:
    """One connection to the server, with its queue of commands."""

    def __init__(
        self, host: str, port: int, serial: str, timeout: float, *, btle: bool
    ) -> None:
        self.where, self.serial = f"{host}:{port}", serial
        self.ready = False
        self._asked = ""
        self._limit = monotonic() + timeout
        self._splitter = Splitter()
        self._questions: deque[str] = deque(["device_list"])
        if btle:
            self._questions.appendleft(f"device_connect_btle {serial}")
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.settimeout(0)
        try:  # a host name is resolved here; an address connects without waiting
            self._socket.connect((host, port))
        except BlockingIOError:
            pass
        except OSError as error:
            self._socket.close()
            raise self._absent(error) from None

    @property
    def unanswered(self) -> str:
        asked = f"did not answer {self._asked!r}" if self._asked else "does not answer"
        return f"the E4 server at {self.where} {asked}"

    def wait(self, seconds: float) -> bool:
        """Wait until data can be received or sent; return whether they can."""
        if seconds <= 0:
            return False
        wanted = selectors.EVENT_READ
        if not self._asked:
            wanted |= selectors.EVENT_WRITE
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, wanted)
            return bool(selector.select(seconds))

    def received(self) -> list[str]:
        """Return the complete lines received; send the first command."""
        raw = b""
        try:
            if not self._asked:
                self._ask()
            while part := self._socket.recv(65_536):
                raw += part
            raise ConnectionError(
                f"the E4 server at {self.where} closed the connection"
            )
        except BlockingIOError:
            pass
        except (ConnectionRefusedError, TimeoutError) as error:
            raise self._absent(error) from None
        if not self.ready and monotonic() > self._limit:
            raise OSError(self.unanswered)
        return self._splitter.push(raw)

    def on_reply(self, words: list[str]) -> None:
        """Process a reply, and send the next command."""
        asked = self._asked.split()
        if not asked or words[:1] not in ([asked[0]], ["device_list"]):
            return
        if "ERR" in words:
            why = " ".join(words[words.index("ERR") + 1 :])
            raise OSError(
                f"the E4 server at {self.where} refused {self._asked!r}: {why}"
            )
        if words[0] == "device_subscribe" and words[1:2] != asked[1:2]:
            return
        if words[0] == "device_list":
            self._chosen(" ".join(words))
        self._ask()

    def leave(self) -> None:
        """Disconnect from the wristband, and close."""
        try:
            if self.ready:
                self._socket.send(b"device_disconnect\r\n")
        except OSError:
            pass  # the connection is closed already
        self.close()

    def close(self) -> None:
        """Close."""
        self._socket.close()

    def _ask(self) -> None:
        if not self._questions:
            self.ready = True
            return
        self._socket.send(
            f"{self._questions[0]}\r\n".encode()
        )  # may not be connected yet
        self._asked = self._questions.popleft()

    def _chosen(self, text: str) -> None:
        """Select the wristband from the server's list."""
        there = [part.split()[0] for part in text.split("|")[1:] if part.split()]
        which = self.serial or (there[0] if len(there) == 1 else "")
        if which not in there or not which:
            wanted = (
                f"no wristband {self.serial!r}" if self.serial else "no one wristband"
            )
            raise OSError(
                f"the E4 server at {self.where} has {wanted}; it has "
                f"{', '.join(there) or 'none at all'}"
            )
        self._questions += [
            f"device_connect {which}",
            "pause ON",
            *(f"device_subscribe {s} ON" for s in SUBSCRIPTIONS),
            "pause OFF",
        ]

    def _absent(self, error: OSError) -> OSError:
        return OSError(
            f"no E4 streaming server answers at {self.where}: is it started, and its "
            f"port the same? ({type(error).__name__})"
        )


def discover(
    host: str = "127.0.0.1", port: int = 28000, timeout: float = 1.0
) -> list[str]:
    """Return the serials of a server's wristbands; none without a server."""
    try:
        with socket.create_connection((host, port), timeout) as link:
            link.sendall(b"device_list\r\n")
            splitter, lines = Splitter(), list[str]()
            while not any(line.startswith("R device_list") for line in lines):
                raw = link.recv(65_536)
                if not raw:
                    return []
                lines += splitter.push(raw)
    except OSError:
        return []
    text = next(line for line in lines if line.startswith("R device_list"))
    return [part.split()[0] for part in text.split("|")[1:] if part.split()]


def wristband_status(text: str) -> str:
    """Return a status message that the server sends unprompted, or ``""``."""
    words = text.removeprefix("R ")
    known = ("connection lost to", "connection re-established to")
    button = words.startswith("device ") and words.endswith("via button")
    return words if words.startswith(known) or button else ""
