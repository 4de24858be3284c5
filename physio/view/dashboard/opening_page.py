"""Page that is shown while a dashboard is still loading, with its progress."""

import json
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError, RequestHandler, StaticFileHandler

from physio.view.dashboard.commands import PAGES_BY_ROLE, ROLES
from physio.view.web.access import SECURITY_HEADERS, AccessControl, ServerAddress
from physio.view.web.html_page import html_page
from physio.view.web.page_server import COMMON

MAX_MESSAGE: Final = 64 * 1024
"""Maximum size of a request and of a message of a page (bytes)."""

STATIC: Final = Path(__file__).parent / "static" / "opening"

_BODY: Final = 3.0  # s for the body of a request
_PAGE: Final = (
    '<main class="opening"><section class="card"><h1>physio</h1>'
    '<p id="progress" role="status" aria-live="polite">starting</p>'
    '<progress aria-label="Progress"></progress></section></main>'
)


class OpeningPage:
    """Server that answers at once with a page of progress, and later with an app.

    Imports and computations of seconds run meanwhile in another thread. The page loads
    again as soon as `install` has replaced it.

    Parameters
    ----------
    address
        Address and credentials.
    tokens
        Token of each role.
    listening
        Listening socket.
    text
        What is being done.
    """

    def __init__(
        self,
        address: ServerAddress,
        tokens: Mapping[str, str],
        listening: socket.socket,
        text: str = "loading the dashboard",
    ) -> None:
        self.text = text
        port = listening.getsockname()[1]
        self.hosts = address.hosts(port)
        settings = {"progress": lambda: self.text}
        roles = "|".join(ROLES)
        rules: list[Any] = [
            (rf"/(?:{roles})", _PageHandler),
            (rf"/(?:{roles})/progress", _ProgressHandler, settings),
            (r"/static/web/(.+)", _StaticHandler, {"path": str(COMMON)}),
            (r"/static/opening/(.+)", _StaticHandler, {"path": str(STATIC)}),
        ]
        app = Application(rules, default_handler_class=_NothingHandler)
        app.settings["log_function"] = lambda _: None
        self.access = AccessControl(
            app, tokens, PAGES_BY_ROLE, self.hosts, address.scheme, port
        )
        self.http = HTTPServer(
            self.access,
            ssl_options=address.ssl_context(),
            max_header_size=16 * 1024,
            max_body_size=MAX_MESSAGE,
            idle_connection_timeout=60,
            body_timeout=_BODY,
        )
        # Frames of several small parts must not wait for acknowledgements.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.setblocking(False)  # noqa: FBT003 the standard library's
        self.http.add_sockets([listening])

    def install(self, application: Any) -> None:
        """Answer all further requests by an application."""
        self.access.application = application


class _OpeningHandler(RequestHandler):
    """Handler with the security headers of all pages."""

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in SECURITY_HEADERS.items():
            self.set_header(name, value)

    def write_error(self, status_code: int, **_: Any) -> None:  # noqa: ARG002
        self.finish()


class _PageHandler(_OpeningHandler):
    def get(self) -> None:
        """Show the page of progress, under the policy of the page that replaces it."""
        policy = SECURITY_HEADERS["Content-Security-Policy"].replace(
            "script-src 'self'", "script-src 'self' 'unsafe-eval'"
        )
        self.set_header("Content-Security-Policy", policy)
        styles, scripts = ("opening/opening.css",), ("opening/opening.js",)
        self.finish(html_page("physio: opening", _PAGE, styles, scripts))


class _ProgressHandler(_OpeningHandler):
    def initialize(self, progress: Callable[[], str]) -> None:
        self.progress = progress

    def get(self) -> None:
        """Return what is being done."""
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"text": self.progress()}))


class _StaticHandler(_OpeningHandler, StaticFileHandler):
    """Styles and scripts of the page."""


class _NothingHandler(_OpeningHandler):
    def prepare(self) -> None:
        raise HTTPError(404)
