"""Server of a dashboard: its pages, and the messages of its session."""

import secrets
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from jinja2 import Template
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.web import OutputTransform

from physio.core.block import Block, StreamInfo
from physio.core.protocols import Command
from physio.view.dashboard.codec import Decoder
from physio.view.dashboard.commands import ROLES
from physio.view.dashboard.document import ViewerPage, plain_template
from physio.view.dashboard.figures.theme import THEMES, asset
from physio.view.dashboard.opening_page import MAX_MESSAGE, OpeningPage
from physio.view.dashboard.participant import ParticipantPage
from physio.view.dashboard.session_state import SessionState
from physio.view.dashboard.strip import first_view
from physio.view.web.access import SECURITY_HEADERS, ServerAddress

VIEWERS: Final = 8
"""Maximum number of simultaneous viewers of a session."""

_IDLE: Final = 5_000  # ms after which an unused browser session is removed
_SLICE: Final = 200  # messages read before other tasks of the loop run

_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' {}; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)  # what Bokeh needs


class _SecureHeaders(OutputTransform):
    """Adds the security headers to all responses of Bokeh."""

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
        headers["Content-Security-Policy"] = _POLICY.format(f"{scheme}://{host}")
        if "/static/" in (self.request.path or ""):
            headers["Cache-Control"] = "private, max-age=3600"
        return status_code, headers, chunk


@dataclass
class DashboardServer:
    """The pages of one session, for each role.

    Parameters
    ----------
    session
        State of the session.
    submit
        Function that takes the viewers' commands.
    pages
        Identifiers of the open documents.
    rating_requests
        Number of ratings that the experimenter has requested.
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
                f"This session already has {VIEWERS} viewers: close one first."
            )
            return
        if not self.session.sources:
            document.template = _page(
                '<meta http-equiv="refresh" content="1">Waiting for the session.'
            )
            return
        theme_name = _argument(document, "theme") or _argument(document, "system")
        if document.session_context is not None and theme_name not in THEMES:
            document.template = plain_template(asset("static/theme.html"))
            return
        self.pages.add(id(document))

        def closed(_context: Any) -> None:
            self.pages.discard(id(document))

        document.on_session_destroyed(closed)
        theme = THEMES.get(theme_name, THEMES["light"])
        if role == "participant":
            code = _argument(document, "participant")
            page = ParticipantPage(
                document, self.session, self.submit_command, theme, self, code
            )
            page.open()
            return
        if self.session.at is not None:  # a recording takes no commands
            first = first_view(self.session)
            ViewerPage(document, self.session, "look", None, theme, at=first).open()
            return
        submit = self.submit_command if role == "control" else None
        ViewerPage(document, self.session, role, submit, theme).open()

    def submit_command(self, command: Command) -> None:
        """Request a rating, or pass a command on to the session."""
        if command.kind == "ask":
            self.rating_requests += 1
            return
        self.submit(command)


def _page(text: str) -> Template:
    return plain_template(f"<!DOCTYPE html><title>physio</title><p>{text}")


def warm_up() -> None:
    """Load and compile in advance, so that the first viewer does not wait."""
    from fractions import Fraction

    from physio.core.block import Channel
    from physio.view.electrodes import electrode_positions

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


def create_application(
    dashboard: DashboardServer, hosts: Iterable[str]
) -> BokehTornado:
    """Return the application that serves the pages to requests at some hosts."""
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
        websocket_max_message_size_bytes=MAX_MESSAGE,
        include_headers=["none"],
        include_cookies=["none"],
    )
    app.add_transform(_SecureHeaders)
    return app


def create_server(
    dashboard: DashboardServer,
    address: ServerAddress,
    tokens: Mapping[str, str],
    listening: socket.socket,
) -> BaseServer:
    """Return a server, not started yet, on a listening socket."""
    opening = OpeningPage(address, tokens, listening)
    app = create_application(dashboard, opening.hosts)
    opening.install(app)
    return BaseServer(IOLoop.current(), app, opening.http)


class SessionFeed:
    """Reads the messages of the session into its state."""

    def __init__(self, pipe: Connection, session: SessionState, loop: IOLoop) -> None:
        self.pipe, self.session, self.loop = pipe, session, loop
        self._decoder = Decoder()
        self.progress = ""
        """Text on what the session waits for before its streams are known."""
        loop.add_handler(pipe.fileno(), self._ready, loop.READ)

    def _ready(self, *_: Any) -> None:
        try:
            for _turn in range(_SLICE):
                if not self.pipe.poll():
                    return
                self.take(self.pipe.recv_bytes())
        except (EOFError, OSError):
            self.loop.remove_handler(self.pipe.fileno())
            reason = "the process of the session has ended"
            self.session.ended = self.session.ended or reason
            self.loop.call_later(2.0, self.loop.stop)

    def take(self, message: bytes) -> None:
        """Add a message to the session's state."""
        content, at = self._decoder.read(message)
        if isinstance(content, dict):
            self.progress = content.get("progress", self.progress)
            self.session.update(content)
        elif isinstance(content, StreamInfo):
            self.session.add_stream(content)
        else:
            self.session.take(content, at)
