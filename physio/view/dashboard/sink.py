"""Sink that shows a session in a browser, and receives the viewers' commands."""

import json
import socket
import subprocess
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from physio.core.block import Block, StreamInfo
from physio.core.events import Item
from physio.core.json_table import stored_config
from physio.core.private_file import write_private
from physio.core.protocols import Clock, Command, Sink, WallClock
from physio.core.recording import computed
from physio.view.dashboard import server_link
from physio.view.dashboard.codec import Encoder

if TYPE_CHECKING:
    from physio.view.web.access import ServerAddress

ADDRESSES: Final = "dashboard.txt"
"""File in the session folder with the addresses, while the session runs."""

_CLOCK: Final = 0.5  # s between two comparisons of clocks
_BUFFER: Final = 1 << 18  # bytes in transit to the server
_STALE: Final = 2.0  # s in the queue after which samples are not shown any more
_GRACE: Final = 5.0  # s for the server to end by itself


class ServerProcess:
    """The process that serves the pages, and its link to the session.

    Parameters
    ----------
    place
        Address and credentials.
    """

    def __init__(self, place: "ServerAddress") -> None:
        from physio.view.dashboard.commands import ROLES
        from physio.view.web.access import new_tokens

        family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
        listening = socket.create_server((place.address, place.port), family=family)
        port = listening.getsockname()[1]
        tokens = new_tokens(ROLES) | ({"control": place.token} if place.token else {})
        root = f"{place.scheme}://{sorted(place.hosts(port))[0]}/?token="
        self.urls = {role: root + token for role, token in tokens.items()}
        self.process, self._link = server_link.start(listening)
        self._link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._pipe = Connection(self._link.dup().detach())
        self.encoder = Encoder()
        self.send([self.encoder.note(place=asdict(place), tokens=tokens)])

    def send(self, messages: Iterable[bytes]) -> None:
        """Send messages to the server; raises OSError if it has ended."""
        for message in messages:
            self._pipe.send_bytes(message)

    def receive(self) -> bytes:
        """Return the next message of the server; raises EOFError if it has ended."""
        return self._pipe.recv_bytes()

    def stop(self) -> None:
        """Close the link, and wait until the process has ended."""
        with suppress(OSError):  # it is stopped already
            self._link.shutdown(socket.SHUT_RDWR)
        try:
            self.process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        """Release the link."""
        self._link.close()
        self._pipe.close()


class Outbox:
    """Bounded queue of messages to the server; messages that do not fit are dropped.

    Parameters
    ----------
    capacity
        Maximum number of messages.
    """

    def __init__(self, capacity: int) -> None:
        self._queue: Queue[Any] = Queue(capacity)
        self.dropped = 0
        self._skipped = 0

    def put(self, message: Any, *, insist: bool = False) -> bool:
        """Add a message, waiting up to 1 s if ``insist``; return False if dropped."""
        try:
            self._queue.put(message, block=insist, timeout=1.0 if insist else None)
        except Full:
            self.dropped += 1
            self._skipped += 1
            return False
        return True

    def put_item(self, item: Item, at: float) -> None:
        """Add an item that arrived at ``at`` (s); send the number dropped before it."""
        skipped = self._skipped
        if self.put((item, at, skipped)):
            self._skipped -= skipped

    def get(self, timeout: float | None = None) -> Any:
        """Return the next message, or ``{}`` after ``timeout`` (s)."""
        try:
            return self._queue.get(timeout=timeout)
        except Empty:
            return {}


class ComputeTimer:
    """Time from the last raw item to each estimate (ms), of the newest 400."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=400)
        self._last_raw = 0.0

    def add(self, item: Item) -> None:
        """Record the present time for an item."""
        now = time.perf_counter()
        kind = computed(item.info.name)
        if kind == "estimates":
            self._times.append(1e3 * (now - self._last_raw))
        elif not kind:
            self._last_raw = now

    def percentiles(self) -> dict[str, list[float]]:
        """Return median and 99th percentile as ``compute``; empty without any."""
        recent = tuple(self._times)
        if not recent:
            return {}
        return {"compute": np.percentile(recent, [50, 99]).tolist()}


@dataclass
class Dashboard(Sink):
    """A page in the browser: signals, estimates with their basis, and controls.

    A separate process serves the page. Items that this process cannot receive in time
    are counted and not shown. The sink never waits, and the state of a browser has no
    effect on acquisition, computation or recording.

    Parameters
    ----------
    folder, about, clock, server
        Folder, metadata and clock of the session, and a server that was started before
        it; set by the session.
    address, port, token, certificate, key
        Address and credentials: see `physio.view.web.access.ServerAddress`.
    capacity
        Maximum number of items that wait to be sent.
    """

    folder: Path = Path()
    about: Mapping[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=WallClock)
    address: str = "127.0.0.1"
    port: int = 0
    token: str = field(default="", repr=False)
    certificate: str = ""
    key: str = ""
    capacity: int = 2048
    server: ServerProcess | None = field(default=None, repr=False, compare=False)
    threaded = True

    def __post_init__(self) -> None:
        from physio.view.web.access import ServerAddress

        self.place = ServerAddress(
            self.address, self.port, self.token, self.certificate, self.key
        )
        self._server = self.server
        self._outbox = Outbox(self.capacity)
        self._timer = ComputeTimer()
        self._commands: deque[Command] = deque(maxlen=1000)
        self._notices: deque[str] = deque()
        self._threads: list[Thread] = []

    def __enter__(self) -> Self:
        server = self.start()
        self._threads = [
            Thread(target=work, args=(server,), name="dashboard", daemon=True)
            for work in (self._send, self._receive)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is None:
            return
        (self.folder / ADDRESSES).unlink(missing_ok=True)
        self._outbox.put(None, insist=True)
        self._threads[0].join(_GRACE)
        self._server.stop()
        self._threads[1].join(_GRACE)
        self._server.close()

    def start(self) -> ServerProcess:
        """Start the server before the session, unless it is there; return it."""
        if self._server is None:
            self._server = ServerProcess(self.place)
        return self._server

    def show_progress(self, text: str) -> None:
        """Show what the session waits for, until its streams are known."""
        if self._server is not None:
            with suppress(OSError):
                self._server.send([self._server.encoder.note(progress=text)])

    def cancel(self) -> None:
        """Stop a server whose session did not begin."""
        if self._server is not None and not self._threads:
            (self.folder / ADDRESSES).unlink(missing_ok=True)
            self._server.stop()
            self._server.close()
            self._server = None

    @property
    def urls(self) -> Mapping[str, str]:
        """Address for each role: ``control``, ``look``, ``participant``."""
        return self._server.urls if self._server is not None else {}

    @property
    def page(self) -> str:
        """Address of the page with controls."""
        return self.urls["control"]

    def write_addresses(self) -> Path:
        """Write the addresses, which hold the tokens, to a file for the owner alone."""
        path = self.folder / ADDRESSES
        write_private(path, "".join(f"{r}: {url}\n" for r, url in self.urls.items()))
        return path

    @property
    def process_id(self) -> int:
        """Identifier of the server process; 0 before it is started."""
        return self._server.process.pid if self._server is not None else 0

    @property
    def dropped(self) -> int:
        """Number of items that were not shown."""
        return self._outbox.dropped

    def open_streams(self, streams: Sequence[StreamInfo]) -> None:
        """Announce the streams of the devices to the server."""
        about = session_about(self.about, self.clock.now())
        path = self._recording_path(stored_config(self.about))
        self._outbox.put({**about, "recorded_at": path, "streams": list(streams)})

    def write(self, item: Item) -> None:
        """Queue an item, or count it as dropped."""
        self._timer.add(item)
        self._outbox.put_item(item, self.clock.now())

    def end(self, outcome: str) -> None:
        """Show the outcome of the session."""
        self._outbox.put({"ended": outcome or "ended"}, insist=True)

    def notices(self) -> list[str]:
        """Return messages about the dashboard since the last call."""
        return [self._notices.popleft() for _ in range(len(self._notices))]

    def commands(self) -> list[Command]:
        """Return the viewers' commands since the last call."""
        return [self._commands.popleft() for _ in range(len(self._commands))]

    def reply(self, command: Command, refusal: str) -> None:
        """Report the result of a command to its sender."""
        self._outbox.put({"reply": [command.sender, refusal]})

    def _send(self, server: ServerProcess) -> None:
        """Send the queued messages and, every 0.5 s, the session clock."""
        compared, stale = -np.inf, 0
        try:
            while (message := self._outbox.get(_CLOCK)) is not None:
                if time.monotonic() - compared >= _CLOCK:
                    compared = time.monotonic()
                    server.send([server.encoder.note(**self._clock_note())])
                if isinstance(message, dict):
                    server.send(self._encoded_note(server.encoder, message))
                    continue
                item, at, skipped = message
                if self._is_stale(item, at):
                    self._outbox.dropped += 1
                    stale += 1
                    continue
                server.send(server.encoder.item(item, at, skipped + stale))
                stale = 0
        except (OSError, ValueError) as error:
            self._notices.append(
                f"the dashboard has stopped ({error}); the session continues"
            )
            while self._outbox.get() is not None:
                pass

    @staticmethod
    def _encoded_note(encoder: Encoder, note: dict[str, Any]) -> list[bytes]:
        streams = note.pop("streams", ())
        messages = [m for info in streams for m in encoder.info(info)]
        return [*messages, encoder.note(**note)]

    def _is_stale(self, item: Item, at: float) -> bool:
        """Return whether samples have waited too long to be shown."""
        speed = self.clock.speed
        return isinstance(item, Block) and self.clock.now() - at > _STALE * speed

    def _clock_note(self) -> dict[str, Any]:
        speed = self.clock.speed
        clock = (self.clock.now(), time.monotonic(), speed)
        return {"clock": clock, "dropped": self.dropped, **self._timer.percentiles()}

    def _receive(self, server: ServerProcess) -> None:
        """Queue the viewers' commands until the server ends."""
        try:
            while True:
                kind, at, label, values, *rest = json.loads(server.receive())
                self._commands.append(Command(kind, at, label, tuple(values), *rest))
        except (EOFError, OSError, ValueError, TypeError):
            return

    def _recording_path(self, config: Mapping[str, Any]) -> str:
        """Return the path of the session's recording; empty if there is none."""
        uses = [str(sink.get("use", "")) for sink in config.get("sinks", {}).values()]
        has_xdf = any(use.endswith("xdf:Xdf") for use in uses)
        return str(self.folder / "recording.xdf") if has_xdf else ""


def session_about(about: Mapping[str, str], now: float) -> dict[str, Any]:
    """Return the description of a session that `SessionState.update` takes."""
    config = stored_config(about)
    return {
        "begin": float(about.get("begin", now)),
        "participant": about.get("participant", ""),
        "config": {key: config.get(key, {}) for key in ("chains", "estimator")},
    }
