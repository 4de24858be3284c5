"""A sink that shows the session in a browser, and hears what participants want there."""

import json
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Thread
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from physio.core.block import Block, StreamInfo
from physio.core.events import Item
from physio.core.protocols import Clock, Command, Sink, WallClock
from physio.core.recording import computed
from physio.view.dashboard.codec import Encoder

_CLOCK: Final = 0.5  # s between two comparisons of clocks
_BUFFER: Final = 1 << 18  # bytes under way
_STALE: Final = 2.0  # s that samples may wait before they are left out of the view
_GRACE: Final = 5.0  # s that the other process has to end by itself


@dataclass
class Dashboard(Sink):
    """A page in the browser: signals, estimates and what they rest on, controls.

    It is served by a process of its own. What that process cannot take in time is left
    out of the view and counted; nothing here ever waits, and what is shown, hidden or
    dead in a browser makes no difference to what is acquired, computed or recorded.

    Parameters
    ----------
    folder, about, clock
        The session's; filled in by the session.
    address, port, token, certificate, key
        Where it is served: see `physio.view.dashboard.access.ServerAddress`.
    capacity
        How many items may wait to be sent.
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
    threaded = True
    dropped: int = field(default=0, init=False)
    urls: Mapping[str, str] = field(default_factory=dict, init=False, repr=False)
    """Where each kind of viewer looks: ``control``, ``look``, ``participant``."""

    def __post_init__(self) -> None:
        from physio.view.dashboard.access import ServerAddress

        self.place = ServerAddress(
            self.address, self.port, self.token, self.certificate, self.key
        )

    def __enter__(self) -> Self:
        self._queue: Queue[tuple[Item, float, int] | dict[str, Any] | None]
        self._queue = Queue(self.capacity)
        self._commands: deque[Command] = deque(maxlen=1000)
        self._notices: deque[str] = deque()
        self._compute: deque[float] = deque(maxlen=400)
        self._last_write, self._skipped = 0.0, 0
        self._start()
        self._threads = [
            Thread(target=work, name="dashboard", daemon=True)
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
        self._put(None, insist=True)
        self._threads[0].join(_GRACE)
        self._link.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._threads[1].join(_GRACE)
        self._link.close()
        self._pipe.close()

    @property
    def page(self) -> str:
        """The address that gives control."""
        return self.urls["control"]

    @property
    def process(self) -> int:
        """The number of the process that serves."""
        return self._process.pid

    def open_streams(self, streams: Sequence[StreamInfo]) -> None:
        """Hear what flows."""
        about = session_about(self.about, self.clock.now())
        recorded = self._recording_path(json.loads(self.about.get("config", "{}")))
        self._put({**about, "recorded_at": recorded, "streams": list(streams)})

    def write(self, item: Item) -> None:
        """Hand an item over, or count it as dropped."""
        now = time.perf_counter()
        kind = computed(item.info.name)
        if kind == "estimates":
            self._compute.append(1e3 * (now - self._last_write))
        elif not kind:
            self._last_write = now
        skipped, self._skipped = self._skipped, 0
        self._put((item, self.clock.now(), skipped))
        if self._skipped:  # this one as well
            self._skipped += skipped

    def end(self, outcome: str) -> None:
        """Hear how the session ended."""
        self._put({"ended": outcome or "ended"}, insist=True)

    def notices(self) -> list[str]:
        """Return what there is to say of the dashboard since the last call."""
        return [self._notices.popleft() for _ in range(len(self._notices))]

    def commands(self) -> list[Command]:
        """Return what participants wanted since the last call."""
        return [self._commands.popleft() for _ in range(len(self._commands))]

    def reply(self, command: Command, refusal: str) -> None:
        """Tell the viewer who sent a command of its result."""
        self._put({"reply": [command.sender, refusal]})

    def _start(self) -> None:
        from physio.view.dashboard.access import new_tokens

        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        listening = socket.create_server((self.address, self.port), family=family)
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        port = listening.getsockname()[1]
        tokens = new_tokens() | ({"control": self.token} if self.token else {})
        host = sorted(self.place.hosts(port))[0]
        at = f"{self.place.scheme}://{host}/?token="
        self.urls = {role: at + token for role, token in tokens.items()}
        fds = listening.fileno(), theirs.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "physio.view.dashboard.server", *map(str, fds)],
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the session's
        )
        listening.close()
        theirs.close()
        self._link = ours
        self._pipe = Connection(os.dup(ours.fileno()))
        self._packer = Encoder()
        first = {"place": asdict(self.place), "tokens": tokens}
        self._pipe.send_bytes(self._packer.note(**first))

    def _put(self, message: Any, *, insist: bool = False) -> None:
        try:
            self._queue.put(message, block=insist, timeout=1.0 if insist else None)
        except Full:
            self.dropped += 1
            self._skipped += 1

    def _send(self) -> None:
        """Send what waits, and now and then what time it is."""
        compared, stale = -np.inf, 0
        try:
            while True:
                try:
                    what = self._queue.get(timeout=_CLOCK)
                except Empty:
                    what = {}
                if what is None:
                    return
                if time.monotonic() - compared >= _CLOCK:
                    compared = time.monotonic()
                    self._pipe.send_bytes(self._packer.note(**self._clock()))
                if isinstance(what, dict):
                    streams = what.pop("streams", ())
                    messages = [m for info in streams for m in self._packer.info(info)]
                    messages.append(self._packer.note(**what))
                elif self._stale(*what[:2]):
                    self.dropped += 1
                    stale += 1
                    continue
                else:
                    item, at, skipped = what
                    messages = self._packer.item(item, at, skipped + stale)
                    stale = 0
                for message in messages:
                    self._pipe.send_bytes(message)
        except (OSError, ValueError) as error:
            self._notices.append(
                f"the dashboard is gone ({error}); the session goes on"
            )
            while self._queue.get() is not None:
                pass

    def _stale(self, item: Item, at: float) -> bool:
        """Tell whether samples have waited so long that newer ones matter more."""
        speed = self.clock.speed
        return isinstance(item, Block) and self.clock.now() - at > _STALE * speed

    def _clock(self) -> dict[str, Any]:
        speed = self.clock.speed
        about: dict[str, Any] = {"clock": (self.clock.now(), time.monotonic(), speed)}
        recent = list(islice(reversed(tuple(self._compute)), 400))
        if recent:
            about["compute"] = np.percentile(recent, [50, 99]).tolist()
        return about | {"dropped": self.dropped}

    def _receive(self) -> None:
        """Hear what participants want, as long as the other process lives."""
        try:
            while True:
                kind, at, label, values, who = json.loads(self._pipe.recv_bytes())
                self._wishes.append(Command(kind, at, label, tuple(values), who))
        except (EOFError, OSError, ValueError, TypeError):
            return

    def _recording_path(self, config: Mapping[str, Any]) -> str:
        """Return where the session is recorded; empty if it is not."""
        uses = [str(sink.get("use", "")) for sink in config.get("sinks", {}).values()]
        has_xdf = any(use.endswith("xdf:Xdf") for use in uses)
        return str(self.folder / "recording.xdf") if has_xdf else ""


def session_about(about: Mapping[str, str], now: float) -> dict[str, Any]:
    """Return what a session is told of a session that begins."""
    config = json.loads(about.get("config", "{}"))
    return {
        "begin": float(about.get("begin", now)),
        "participant": about.get("participant", ""),
        "config": {key: config.get(key, {}) for key in ("chains", "estimator")},
    }
