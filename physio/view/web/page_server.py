"""Server of web pages on this computer, behind the access control."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from inspect import isawaitable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import Application, HTTPError, RequestHandler, StaticFileHandler

from physio.view.message_limit import limit_logs
from physio.view.web.access import (
    SECURITY_HEADERS,
    AccessControl,
    ServerAddress,
    new_tokens,
)

MAX_BODY: Final = 64 * 1024
"""Maximum size of the body of a request, unless a site sets another (bytes)."""

HTML: Final = "text/html; charset=utf-8"
BINARY: Final = "application/octet-stream"
COMMON: Final = Path(__file__).parent / "static"
"""Styles that all pages share, at ``/static/web/``."""

_BODY: Final = 3.0  # s for the body of a request
_STARTED: Final = 30.0  # s that the thread may take
_CLOSED: Final = 5.0  # s for the thread to end


@dataclass(frozen=True)
class PageRequest:
    """A request that the access control has allowed.

    Parameters
    ----------
    roles
        Roles of the sender.
    query
        First value of each parameter of the address.
    content
        JSON object that was sent; empty for ``GET``.
    """

    roles: frozenset[str]
    query: Mapping[str, str]
    content: Mapping[str, Any]


@dataclass(frozen=True)
class FileReply:
    """Content of a file, shown by the browser under a policy of its own.

    Parameters
    ----------
    content
        The content.
    kind
        Its type, such as ``image/png``.
    policy
        Content security policy. It must hold ``sandbox`` for pages of the user, so that
        none of their scripts runs with the rights of this site.
    """

    content: bytes
    kind: str
    policy: str


Reply = str | bytes | FileReply | dict[str, Any] | list[Any]
"""Text as HTML, bytes and files as they are, and everything else as JSON."""


@dataclass(frozen=True)
class Route:
    """A path and the function that answers its requests.

    Parameters
    ----------
    path
        Path, whose first part is the page that the roles are checked against.
    answer
        Function, also asynchronous, that returns the reply. It runs in the server's
        thread. A ValueError or OSError is shown to the user as its sentence.
    method
        ``GET``, or ``POST`` with a JSON object.
    """

    path: str
    answer: Callable[[PageRequest], Any]
    method: str = "GET"


@dataclass(frozen=True)
class Site:
    """Pages that a `PageServer` serves.

    Parameters
    ----------
    pages
        Pages that each role may open: the first parts of their paths. The first page of
        a role has the role's name.
    routes
        Routes of the pages.
    static
        Folders of the package by their names: ``/static/NAME/FILE`` is for every role.
    media
        Folders of the user by their paths, such as ``"participant/media"``: for the
        roles that may open that page. Links that lead out of a folder are refused.
    max_body
        Maximum size of the body of a request (bytes).
    """

    pages: Mapping[str, frozenset[str]]
    routes: Iterable[Route]
    static: Mapping[str, Path] = field(default_factory=dict)
    media: Mapping[str, Path] = field(default_factory=dict)
    max_body: int = MAX_BODY


class PageServer:
    """Server of a site in a thread of its own, from entering until leaving.

    Parameters
    ----------
    site
        The pages.
    address
        Address to serve at; by default a free port of the loopback.
    name
        Beginning of the lines that the server logs.
    """

    def __init__(
        self, site: Site, address: ServerAddress | None = None, name: str = "page"
    ) -> None:
        self.address, self.name = address or ServerAddress(), name
        self._ssl = self.address.ssl_context()
        family = socket.AF_INET6 if ":" in self.address.address else socket.AF_INET
        at = self.address.address, self.address.port
        self._listening = socket.create_server(at, family=family)
        self.port = self._listening.getsockname()[1]
        hosts = self.address.hosts(self.port)
        self.tokens = new_tokens(site.pages)
        root = f"{self.address.scheme}://{min(hosts)}/?token="
        self.urls = {role: root + token for role, token in self.tokens.items()}
        """Address of the first page of each role, with its token."""
        self._max_body = site.max_body
        self._access = AccessControl(
            None, self.tokens, site.pages, hosts, self.address.scheme, self.port
        )
        self._access.application = _application(site, self._access)
        self._loop: IOLoop | None = None
        self._ready, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_STARTED):
            raise OSError(f"the server of {self.name} did not start")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
        if self._loop is not None:
            self._loop.add_callback(self._loop.stop)
        self._thread.join(_CLOSED)

    def end(self) -> None:
        """Let `wait` return, as after a request to close the page."""
        self._ended.set()

    def wait(self) -> None:
        """Wait until `end` or Ctrl-C."""
        try:
            while not self._ended.wait(1.0):  # a wait without limit hides Ctrl-C
                pass
        except KeyboardInterrupt:
            self.end()

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        self._loop = IOLoop.current()
        http = HTTPServer(
            self._access,
            ssl_options=self._ssl,
            max_header_size=16 * 1024,
            max_body_size=self._max_body,
            idle_connection_timeout=60,
            body_timeout=_BODY,
        )
        self._listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._listening.setblocking(False)  # noqa: FBT003 the standard library's
        http.add_sockets([self._listening])
        self._loop.add_callback(self._ready.set)
        try:
            self._loop.start()
        finally:
            http.stop()
            loop.run_until_complete(http.close_all_connections())
            self._loop.close()


def serve(
    site: Site,
    announce: Callable[[str], None],
    address: ServerAddress | None = None,
    name: str = "page",
) -> None:
    """Serve a site until `PageServer.end` or Ctrl-C, as the commands do.

    Parameters
    ----------
    site
        The pages.
    announce
        Function that receives the address of the first role's page once it can be
        opened.
    address
        Address to serve at; by default a free port of the loopback.
    name
        Beginning of the lines that the server logs.
    """
    limit_logs(name)
    with PageServer(site, address, name) as server, suppress(KeyboardInterrupt):
        announce(next(iter(server.urls.values())))
        server.wait()


def _application(site: Site, access: AccessControl) -> Application:
    """Return the application that answers the routes of a site."""
    paths = {route.path: dict[str, Route]() for route in site.routes}
    for route in site.routes:
        paths[route.path][route.method] = route
    rules: list[Any] = [
        (path, _RouteHandler, {"routes": routes, "access": access})
        for path, routes in paths.items()
    ]
    folders = {f"static/{name}": path for name, path in site.static.items()}
    for at, folder in {"static/web": COMMON, **folders, **site.media}.items():
        rules.append((rf"/{at}/(.+)", _FileHandler, {"path": str(folder)}))
    return Application(rules, default_handler_class=_NoRoute, log_function=_log)


def _log(handler: RequestHandler) -> None:
    """Log nothing: errors are logged where they are raised."""


class _SecureHandler(RequestHandler):
    """Handler whose responses have the security headers, and errors as sentences."""

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in SECURITY_HEADERS.items():
            self.set_header(name, value)

    def write_error(self, status_code: int, **settings: Any) -> None:  # noqa: ARG002
        _, error, _ = settings.get("exc_info", (None, None, None))
        text = "the page has failed: its terminal says why"
        if isinstance(error, HTTPError):
            text = error.reason or error.log_message or "the request was refused"
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"error": text}))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log what is an error of ours, not refused requests."""
        if not isinstance(value, HTTPError):
            super().log_exception(typ, value, tb)


class _NoRoute(_SecureHandler):
    def prepare(self) -> None:
        raise HTTPError(404)


class _FileHandler(_SecureHandler, StaticFileHandler):
    """Files of a folder; links that lead out of it are refused."""

    def set_extra_headers(self, path: str) -> None:  # noqa: ARG002 tornado's
        self.set_header("Cache-Control", "private, no-cache")

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        folder = Path(root).resolve()
        if not Path(absolute_path).resolve().is_relative_to(folder):
            raise HTTPError(404)
        return super().validate_absolute_path(root, absolute_path)


class _RouteHandler(_SecureHandler):
    """Handler of the routes of one path."""

    def initialize(self, routes: Mapping[str, Route], access: AccessControl) -> None:
        self.routes, self.access = routes, access

    async def get(self) -> None:
        """Answer without content."""
        await self._answer("GET", {})

    async def post(self) -> None:
        """Answer a JSON object."""
        kind = self.request.headers.get("Content-Type", "").partition(";")[0]
        if kind.strip().lower() != "application/json":
            raise HTTPError(415, reason="the content must be JSON")
        await self._answer("POST", _json_object(self.request.body))

    async def _answer(self, method: str, content: Mapping[str, Any]) -> None:
        route = self.routes.get(method)
        if route is None:
            raise HTTPError(405)
        arguments = self.request.query_arguments
        query = {k: v[0].decode("utf-8", "replace") for k, v in arguments.items()}
        request = PageRequest(self.access.roles(self.request), query, content)
        try:
            reply = route.answer(request)
            if isawaitable(reply):
                reply = await reply
        except (ValueError, OSError) as error:
            self.set_status(400 if isinstance(error, ValueError) else 500)
            reply = {"error": str(error)}
        if isinstance(reply, str):
            self.set_header("Content-Type", HTML)
        elif isinstance(reply, bytes):
            self.set_header("Content-Type", BINARY)
        elif isinstance(reply, FileReply):
            self.set_header("Content-Type", reply.kind)
            self.set_header("Content-Security-Policy", reply.policy)
            reply = reply.content
        else:
            self.set_header("Content-Type", "application/json")
            reply = json.dumps(reply, allow_nan=False)
        self.finish(reply)


def _json_object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object of a request; HTTPError if it is something else."""

    def refuse(text: str) -> float:
        raise ValueError(text)

    try:
        content = json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise HTTPError(400, reason="the content must be a JSON object")
    return content
