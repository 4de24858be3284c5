"""Sink that serves a session to other programs, and takes their markers and ratings."""

import asyncio
import json
import re
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from physio.core.block import Block
from physio.core.events import Item
from physio.core.private_file import write_private
from physio.core.protocols import Clock, Command, Sink, WallClock
from physio.core.recording import computed
from physio.sinks.program_messages import description, messages, to_json

if TYPE_CHECKING:
    from physio.view.http_api.api_server import ApiServer
    from physio.view.http_api.program_commands import TimedCommand

ADDRESS: Final = "http.json"
"""File in the session's folder with the address and the tokens."""

_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+")
_MOST: Final = 100  # commands that may wait for the session


@dataclass
class Http(Sink):
    """Server of estimates, features, events and status; off unless a file names it.

    ``GET /latest`` has the newest row of each stream, ``GET /status`` the state of the
    session, ``GET /events`` and ``/socket`` every row and event, as server-sent events
    and over a WebSocket. ``POST /marker`` and ``POST /rating`` send to the session. All
    is JSON, ``null`` for a missing value, with reasons and units. Each request needs a
    token; both tokens are in ``http.json`` in the session's folder, which only its
    owner can read: ``control``, and ``look``, which only reads.

    Parameters
    ----------
    folder, about, clock
        Folder, metadata and clock of the session; set by the session.
    address, port, token, certificate, key
        Address and credentials, as of the dashboard: outside loopback a token of at
        least 32 characters and TLS are required. The token is that of ``control``.
    origins
        Origins of web pages that may use it, as ``"http://127.0.0.1:8000"``.
    """

    folder: Path = Path()
    about: Mapping[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=WallClock)
    address: str = "127.0.0.1"
    port: int = 0
    token: str = field(default="", repr=False)
    certificate: str = ""
    key: str = ""
    origins: tuple[str, ...] = ()
    grace = 5.0

    def __post_init__(self) -> None:
        from physio.view.web.access import ServerAddress

        self.place = ServerAddress(
            self.address, self.port, self.token, self.certificate, self.key
        )
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"origins: {origin!r} must be like 'http://127.0.0.1:8000', "
                    "without a path"
                )
        self._server: ApiServer | None = None
        self._commands: deque[Command] = deque()
        self._notices: deque[str] = deque()
        self._replies: dict[str, asyncio.Future[tuple[str, float]]] = {}
        self._numbers = count(1)
        self._described: set[str] = set()

    def __enter__(self) -> Self:
        from physio.view.http_api.api_server import ApiServer

        tokens = {role: secrets.token_urlsafe(32) for role in ("control", "look")}
        tokens["control"] = self.token or tokens["control"]
        self._server = ApiServer(
            self.place, tokens, self.origins, self.clock, self._session, self._submit
        )
        self._server.start()
        url = self._server.url
        socket = f"ws{url.removeprefix('http')}/socket"
        address = {"url": url, "socket": socket, **tokens}
        write_private(self.folder / ADDRESS, json.dumps(address, indent=1) + "\n")
        text = f"http: serving {url}, tokens in {self.folder / ADDRESS}"
        self._notices.append(text)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.stop()
        (self.folder / ADDRESS).unlink(missing_ok=True)

    def write(self, item: Item) -> None:
        """Pass rows and events on to the server's thread."""
        if self._server is None or (
            isinstance(item, Block) and not computed(item.info.name)
        ):
            return
        name = item.info.name
        parts = [(m["type"], name, to_json(m)) for m in messages(item)]
        if not parts:
            return
        if name not in self._described:
            self._described.add(name)
            parts.insert(0, ("stream", name, json.dumps(description(item.info))))
        self._server.call(self._server.newest.take, parts)

    def end(self, outcome: str) -> None:
        """Tell the programs that the session has ended."""
        if self._server is not None:
            self._server.call(self._server.newest.end, outcome)

    def notices(self) -> Sequence[str]:
        """Return messages about the server since the last call."""
        return [self._notices.popleft() for _ in range(len(self._notices))]

    def commands(self) -> Sequence[Command]:
        """Return the programs' commands since the last call."""
        return [self._commands.popleft() for _ in range(len(self._commands))]

    def reply(self, command: Command, refusal: str) -> None:
        """Report the result of a command to its sender."""
        if self._server is not None:
            self._server.call(self._resolve, command, refusal)

    def _resolve(self, command: Command, refusal: str) -> None:
        future = self._replies.pop(command.sender, None)
        if future is not None and not future.done():
            future.set_result((refusal, command.time))

    def _submit(self, timed: "TimedCommand") -> "asyncio.Future[tuple[str, float]]":
        """Queue a command for the session; runs in the server's thread."""
        for sender in [s for s, f in self._replies.items() if f.done()]:
            del self._replies[sender]
        if len(self._replies) >= _MOST:
            raise ValueError(f"{_MOST} commands wait for the session already")
        sender = str(next(self._numbers))
        future = self._replies[sender] = asyncio.get_running_loop().create_future()
        self._commands.append(timed.command._replace(sender=sender))
        return future

    def _session(self) -> Mapping[str, Any]:
        names = ("participant", "began", "physio-affect")
        return {name: self.about.get(name, "") for name in names}
