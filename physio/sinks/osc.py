"""Estimates, features and events as Open Sound Control messages."""

import ipaddress
import math
import re
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any, Final, Self

from physio.core.block import Block, StreamInfo
from physio.core.counted_nouns import counted
from physio.core.events import Item
from physio.core.installation import install_hint
from physio.core.protocols import Sink
from physio.core.recording import COMPUTED, computed
from physio.sinks.program_messages import Message, messages

_DATAGRAM: Final = 1400  # bytes that one network packet carries
_DESCRIBED: Final = 5.0  # s between two messages on columns and units
_RESERVED: Final = re.compile(r"[\s#*,/?\[\]{}]")


@dataclass
class Osc(Sink):
    """Sink that sends rows and events as OSC over UDP; off unless a file names it.

    A row is a bundle: ``/physio/estimates/time`` (s since the first message),
    ``/physio/estimates/arousal.missing`` with the reason, ``"ok"`` for none, and
    ``/physio/estimates/arousal`` with a float, which is not sent where it is missing:
    Pure Data reads NaN as 0. An event is a message such as ``/physio/session.markers``
    with label, values and time. Name and unit of each column are in
    ``/physio/estimates/unit``, every 5 s. UDP tells nobody that a receiver is missing;
    sending never waits.

    Parameters
    ----------
    host, port
        IP address and UDP port of the receiver.
    prefix
        First part of each address.
    streams
        Computed streams that are sent; events always are.
    columns
        Columns that are sent, with ``*`` for any text; by default the estimates with
        their standard deviation, and all features.
    unencrypted
        Must be true for a receiver on another computer: everybody on the way can read
        and forge OSC.
    """

    host: str = "127.0.0.1"
    port: int = 9000
    prefix: str = "/physio"
    streams: tuple[str, ...] = ("estimates",)
    columns: tuple[str, ...] = ()
    unencrypted: bool = False
    grace = 5.0
    _socket: Any = field(default=None, init=False, repr=False, compare=False)
    _chosen: dict[str, tuple[str, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _described: dict[str, float] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    _notices: deque[str] = field(
        default_factory=deque, init=False, repr=False, compare=False
    )
    _lost: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            raise ValueError(
                f"host = {self.host!r} is no IP address: use numbers, as in 127.0.0.1"
            ) from None
        if not 0 < self.port < 65536:
            raise ValueError(f"port is a number from 1 to 65535, not {self.port}")
        if not re.fullmatch(r"(/[^\s#*,/?\[\]{}]+)+", self.prefix):
            raise ValueError(f"prefix = {self.prefix!r} must be like '/physio'")
        if wrong := [s for s in self.streams if s not in COMPUTED]:
            raise ValueError(f"streams are {' or '.join(COMPUTED)}, not {wrong[0]!r}")
        if not address.is_loopback and not self.unencrypted:
            raise ValueError(
                f"OSC to {self.host} leaves this computer without encryption: add "
                "unencrypted = true if everybody on that network may read it"
            )
        self._family = socket.AF_INET6 if address.version == 6 else socket.AF_INET

    def __enter__(self) -> Self:
        try:
            import pythonosc  # noqa: F401 an error here is one at the beginning
        except ModuleNotFoundError:
            raise ValueError(
                f"OSC needs python-osc, which is not installed"
                f"{install_hint('python_osc')}"
            ) from None
        self._socket = socket.socket(self._family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # noqa: FBT003 the standard library's
        self._begin: float | None = None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def notices(self) -> list[str]:
        """Return a sentence once a message could not be sent."""
        return [self._notices.popleft() for _ in range(len(self._notices))]

    def faults(self) -> list[str]:
        """Return the number of messages that could not be sent."""
        if not self._lost:
            return []
        return [f"OSC: {counted(self._lost, 'datagram')} not sent to {self.host}"]

    def write(self, item: Item) -> None:
        """Send the rows or the events of an item."""
        name = item.info.name
        if isinstance(item, Block) and computed(name) not in self.streams:
            return
        for message in messages(item):
            if self._begin is None:
                self._begin = message["time"]
            time = message["time"] - self._begin
            if message["type"] == "event":
                values = message["values"].values()
                numbers = [v if math.isfinite(v) else "missing" for v in values]
                parts = [message["label"], *numbers, time]
                self._send([(self._address(name), parts)])
                continue
            if time >= self._described.get(name, -math.inf):
                self._described[name] = time + _DESCRIBED
                self._send(self._units(item.info))
            self._send(self._row(item.info, message, time))

    def _row(
        self, info: StreamInfo, message: Message, time: float
    ) -> Iterator[tuple[str, list[Any]]]:
        """Yield address and values of each message of a row."""
        yield self._address(info.name, "time"), [time]
        values, reasons = message["values"], message["missing"]
        for column in self._columns(info):
            if info.name.startswith("features") or f"{column}.missing" in info.names:
                reason = reasons.get(column, "ok")
                yield self._address(info.name, f"{column}.missing"), [reason]
            if math.isfinite(values[column]):
                yield self._address(info.name, column), [values[column]]

    def _units(self, info: StreamInfo) -> Iterator[tuple[str, list[Any]]]:
        """Yield address, name and unit of each column that is sent."""
        units = {c.name: c.unit for c in info.channels}
        for column in self._columns(info):
            yield self._address(info.name, "unit"), [column, units[column]]

    def _columns(self, info: StreamInfo) -> tuple[str, ...]:
        if info.name not in self._chosen:
            self._chosen[info.name] = tuple(self._chosen_columns(info))
        return self._chosen[info.name]

    def _chosen_columns(self, info: StreamInfo) -> Iterator[str]:
        for name in info.names:
            if name.endswith((".missing", ".window_start", ".window_end")):
                continue
            if self.columns:
                chosen = any(fnmatchcase(name, pattern) for pattern in self.columns)
            else:
                plain = name.removesuffix(".sd")
                is_estimate = f"{plain}.missing" in info.names
                chosen = is_estimate or computed(info.name) == "features"
            if chosen:
                yield name

    def _address(self, stream: str, column: str = "") -> str:
        parts = [stream, column] if column else [stream]
        return "/".join([self.prefix, *(_RESERVED.sub("_", part) for part in parts)])

    def _send(self, content: Iterator[tuple[str, list[Any]]] | Sequence[Any]) -> None:
        """Send messages in as few datagrams as their size allows."""
        from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
        from pythonosc.osc_message_builder import OscMessageBuilder

        bundle, size = OscBundleBuilder(IMMEDIATELY), 16
        for address, parts in content:
            builder = OscMessageBuilder(address)
            for part in parts:
                builder.add_arg(part, "s" if isinstance(part, str) else "f")
            message = builder.build()
            if size + message.size + 4 > _DATAGRAM and size > 16:
                self._send_datagram(bundle.build().dgram)
                bundle, size = OscBundleBuilder(IMMEDIATELY), 16
            bundle.add_content(message)
            size += message.size + 4
        self._send_datagram(bundle.build().dgram)

    def _send_datagram(self, datagram: bytes) -> None:
        """Send a datagram, or count it as lost; without a receiver it is just gone."""
        try:
            self._socket.sendto(datagram, (self.host, self.port))
        except OSError as error:
            if not self._lost:
                self._notices.append(f"OSC is not sent to {self.host}: {error}")
            self._lost += 1
