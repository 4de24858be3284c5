"""The process that serves a dashboard: started by `physio.view.dashboard.sink`."""

import asyncio
import secrets
import socket
import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.web import OutputTransform

from physio.core.block import Block, StreamInfo
from physio.core.protocols import Command
from physio.view.dashboard.access import (
    ROLES,
    SECURITY_HEADERS,
    AccessControl,
    ServerAddress,
)
from physio.view.dashboard.codec import Decoder
from physio.view.dashboard.document import ViewerPage
from physio.view.dashboard.figures.theme import THEMES
from physio.view.dashboard.participant import Participant
from physio.view.dashboard.session_state import SessionState

VIEWERS: Final = 8
"""How many may look at a session at once."""

_LARGEST: Final = 64 * 1024  # bytes that a page may send at once
_IDLE: Final = 5_000  # ms after which a page that does not come is forgotten
_SLICE: Final = 200  # messages taken in before others have their turn


class _SecureHeaders(OutputTransform):
    """Puts the safe headers onto all that Bokeh answers."""

    def __init__(self, request: HTTPServerRequest) -> None:
        self.request = request

    def transform_first_chunk(
        self,
        status_code: int,
        headers: HTTPHeaders,
        chunk: bytes,
        finishing: bool,  # noqa: ARG002, FBT001 tornado's
    ) -> tuple[int, HTTPHeaders, bytes]:
        host = self.request.host
        for name, value in SECURITY_HEADERS.items():
            headers[name] = value
        scheme = "wss" if self.request.protocol == "https" else "ws"
        policy = SECURITY_HEADERS["Content-Security-Policy"]
        headers["Content-Security-Policy"] = policy.replace(
            "connect-src 'self'", f"connect-src 'self' {scheme}://{host}"
        )
        if "/static/" in (self.request.path or ""):
            headers["Cache-Control"] = "private, max-age=3600"
        return status_code, headers, chunk


@dataclass
class DashboardServer:
    """The pages of one session, for each kind of viewer.

    Parameters
    ----------
    session
        What there is to see.
    wish
        What becomes of a wish.
    """

    session: SessionState
    submit: Callable[[Command], None]
    pages: set[int] = field(default_factory=set)
    rating_requests: int = 0

    def applications(self) -> dict[str, Application]:
        """Return Bokeh's applications by path."""
        return {
            f"/{role}": Application(FunctionHandler(self._maker(role)))
            for role in ROLES
        }

    def _maker(self, role: str) -> Callable[[Document], None]:
        def make(document: Document) -> None:
            self.open_page(document, role)

        return make

    def open_page(self, document: Document, role: str) -> None:
        """Fill a viewer's document."""
        if len(self.pages) >= VIEWERS:
            document.template = _page(
                f"{VIEWERS} viewers look at this session already: close one."
            )
            return
        if not self.session.sources:
            document.template = _page(
                '<meta http-equiv="refresh" content="1">The session begins.'
            )
            return
        self.pages.add(id(document))

        def closed(_context: Any) -> None:
            self.pages.discard(id(document))

        document.on_session_destroyed(closed)
        theme = THEMES.get(_argument(document, "theme"), THEMES["light"])
        if role == "participant":
            code = _argument(document, "participant")
            page = Participant(
                document, self.session, self.submit_command, theme, self, code
            )
            page.open()
            return
        if self.session.at is not None:  # a recording: there is nothing to steer
            begin, end = self.session.begin, self.session.end
            first = begin + min(30.0, (end - begin) / 2)
            ViewerPage(document, self.session, "look", None, theme, at=first).open()
            return
        wish = self.submit_command if role == "control" else None
        ViewerPage(document, self.session, role, wish, theme).open()

    def submit_command(self, wish: Command) -> None:
        """Do what is wished."""
        if wish.kind == "ask":
            self.rating_requests += 1
            return
        self.submit(wish)


def _page(text: str) -> str:
    return f"<!DOCTYPE html><title>physio</title><p>{text}"


def warm_up() -> None:
    """Load and compile what the first viewer would otherwise wait for."""
    from fractions import Fraction

    from physio.core.block import Channel
    from physio.view.dashboard.figures.topomap import electrode_positions

    electrode_positions()
    session = SessionState()
    info = StreamInfo("warm.eeg", Fraction(256), (Channel("Cz", "eeg", "uV"),))
    session.add_stream(info)
    session.take(Block(info, 0, 0.0, np.zeros((512, 1))), 2.0)
    ViewerPage(Document(), session).open()


def _argument(document: Document, name: str) -> str:
    context = document.session_context
    values = context.request.arguments.get(name, [b""]) if context else [b""]
    return values[0].decode("utf-8", "replace")


def create_server(
    dashboard: DashboardServer,
    address: ServerAddress,
    tokens: Mapping[str, str],
    listening: socket.socket,
) -> BaseServer:
    """Return a server on a socket that listens already, not started yet."""
    port = listening.getsockname()[1]
    hosts = address.hosts(port)
    app = BokehTornado(
        dashboard.applications(),
        extra_websocket_origins=sorted(hosts),
        secret_key=secrets.token_bytes(32),
        sign_sessions=True,
        use_index=False,
        redirect_root=False,
        keep_alive_milliseconds=5_000,
        check_unused_sessions_milliseconds=1_000,
        unused_session_lifetime_milliseconds=_IDLE,
        websocket_max_message_size_bytes=_LARGEST,
        include_headers=["none"],
        include_cookies=["none"],
    )
    app.add_transform(_SecureHeaders)
    context = None
    if address.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(address.certificate, address.key)
    http = HTTPServer(
        AccessControl(app, tokens, hosts, address.scheme, port),
        ssl_options=context,
        max_header_size=16 * 1024,
        max_body_size=_LARGEST,
        idle_connection_timeout=60,
    )
    # Frames of several small parts must not wait for one another's receipts.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setblocking(False)  # noqa: FBT003 the standard library's
    http.add_sockets([listening])
    return BaseServer(IOLoop.current(), app, http)


class SessionFeed:
    """Takes in what the session sends, as it comes."""

    def __init__(self, pipe: Connection, session: SessionState, loop: IOLoop) -> None:
        self.pipe, self.session, self.loop = pipe, session, loop
        self._unpack = Decoder()
        loop.add_handler(pipe.fileno(), self._ready, loop.READ)

    def _ready(self, *_: Any) -> None:
        try:
            for _turn in range(_SLICE):
                if not self.pipe.poll():
                    return
                self.take(self.pipe.recv_bytes())
        except (EOFError, OSError):
            self.loop.remove_handler(self.pipe.fileno())
            gone = "the session's own process is gone"
            self.session.ended = self.session.ended or gone
            self.loop.call_later(2.0, self.loop.stop)

    def take(self, message: bytes) -> None:
        """Put a message into the session."""
        content, at = self._unpack.read(message)
        if isinstance(content, dict):
            self.session.update(content)
        elif isinstance(content, StreamInfo):
            self.session.add_stream(content)
        else:
            self.session.take(content, at)


def main(listening: int, pipe: int) -> None:
    """Serve until the session is over."""
    asyncio.set_event_loop(asyncio.new_event_loop())
    loop = IOLoop.current()
    link = Connection(pipe)
    first, _ = Decoder().read(link.recv_bytes())
    if not isinstance(first, dict):
        raise TypeError("the first message says where to serve, and to whom")
    address, tokens = ServerAddress(**first["place"]), first["tokens"]
    session = SessionState()

    def submit(wanted: Command) -> None:
        link.send_bytes(_json(wanted))

    dashboard = DashboardServer(session, submit)
    http_server = create_server(
        dashboard, address, tokens, socket.socket(fileno=listening)
    )
    SessionFeed(link, session, loop)
    http_server.start()
    warm_up()
    try:
        loop.start()
    except KeyboardInterrupt:  # Ctrl-C goes to all: the session ends it in order
        loop.start()


def _json(wish: Command) -> bytes:
    import json

    return json.dumps(wish).encode()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
