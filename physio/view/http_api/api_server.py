"""Server of a session for other programs, in a thread of its own."""

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.iostream import StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from physio.core.protocols import Clock
from physio.view.http_api.api_access import ProgramAccess, cors_headers
from physio.view.http_api.program_commands import TimedCommand, parse
from physio.view.http_api.subscribers import CLIENTS, DEFAULT, Newest, Subscriber
from physio.view.message_limit import LimitedLog, MessageLimit
from physio.view.web.access import SECURITY_HEADERS, ServerAddress

_MAX_BODY: Final = 16 * 1024  # bytes
_BODY: Final = 3.0  # s for the body of a request
_PING: Final = 10.0  # s between two signs of life to a program that follows
_CLOSED: Final = 5.0  # s for the thread to end
_LAST_MESSAGES: Final = 0.5  # s for the last messages at the end
_REPLY: Final = 5.0  # s that the session may take for a command
_GONE: Final = (StreamClosedError, WebSocketClosedError, TimeoutError)


class ApiServer:
    """Server thread: `start`, `call` functions in it, `stop`.

    Parameters
    ----------
    place
        Address, and certificate of TLS.
    tokens
        Token of each role.
    origins
        Origins of pages that may use it, besides its own.
    clock
        The session clock.
    about
        Properties of the session that ``/status`` names.
    submit
        Function that passes a command on to the session, and returns its refusal and
        the time at which it was recorded (s) once they are known; ValueError if too
        many wait.
    """

    def __init__(
        self,
        place: ServerAddress,
        tokens: Mapping[str, str],
        origins: tuple[str, ...],
        clock: Clock,
        about: Callable[[], Mapping[str, Any]],
        submit: Callable[[TimedCommand], "asyncio.Future[tuple[str, float]]"],
    ) -> None:
        self.place, self.newest = place, Newest()
        self._ssl = place.ssl_context()
        family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
        try:
            self._listening = socket.create_server(
                (place.address, place.port), family=family
            )
        except OSError as error:
            raise ValueError(
                f"port {place.port} of {place.address} cannot be served: {error}; "
                "choose another port, or omit it for a free one"
            ) from None
        self.port = self._listening.getsockname()[1]
        hosts = place.hosts(self.port)
        local = frozenset(f"{place.scheme}://{host}" for host in hosts)
        shared = {"newest": self.newest, "clock": clock}
        application = Application(
            [
                ("/status", _Status, {**shared, "about": about}),
                ("/latest", _Latest, shared),
                ("/events", _ServerSentEvents, shared),
                ("/socket", _Socket, shared),
                ("/(marker|rating)", _CommandRoute, {**shared, "submit": submit}),
            ],
            default_handler_class=_NoSuchPath,
            log_function=lambda _handler: None,
            websocket_ping_interval=_PING,
            websocket_ping_timeout=_PING,
            websocket_max_message_size=4096,
        )
        self.access = ProgramAccess(application, tokens, hosts, local.union(origins))
        self.url = f"{place.scheme}://{min(hosts)}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Serve from now on."""
        log = logging.getLogger("tornado")
        log.handlers[:] = [LimitedLog("http", MessageLimit(most=5, period=60.0))]
        log.propagate = False
        self._thread.start()

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function in the server's thread soon."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def stop(self) -> None:
        """Close all connections and end the thread."""
        self.call(self._loop.stop)
        self._thread.join(_CLOSED)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        http = HTTPServer(
            self.access,
            ssl_options=self._ssl,
            max_header_size=16 * 1024,
            max_body_size=_MAX_BODY,
            idle_connection_timeout=60,
            body_timeout=_BODY,
        )
        self._listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._listening.setblocking(False)  # noqa: FBT003 the standard library's
        http.add_sockets([self._listening])
        try:
            IOLoop.current().start()
        finally:
            http.stop()
            self._loop.run_until_complete(_closed(http, self.newest))
            IOLoop.current().close()


async def _closed(http: HTTPServer, newest: Newest) -> None:
    """Let the programs receive what waits, close the connections, end the handlers."""
    deadline = time.monotonic() + _LAST_MESSAGES
    while any(s.is_behind for s in newest.subscribers):
        if time.monotonic() >= deadline:
            break
        await asyncio.sleep(0.01)
    for subscriber in tuple(newest.subscribers):
        subscriber.close()
    await asyncio.sleep(0.05)
    await http.close_all_connections()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _ProgramHandler(RequestHandler):
    """Handler that reads which streams a program wants, and logs no address."""

    @property
    def streams(self) -> tuple[str, ...]:
        """Streams that the request names."""
        text = self.get_query_argument("streams", "")
        return tuple(s for s in text[:1000].split(",") if s) or DEFAULT

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log an error of ours without the address, which can hold the token."""
        if not isinstance(value, HTTPError):
            log = logging.getLogger("tornado.application")
            log.error("%s failed", self.request.path, exc_info=(typ, value, tb))


class _Handler(_ProgramHandler):
    """Handler whose responses are JSON with the security headers."""

    def initialize(self, newest: Newest, clock: Clock, **shared: Any) -> None:
        self.newest, self.clock, self.shared = newest, clock, shared

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        origin = self.request.headers.get("Origin")
        for name, value in {**SECURITY_HEADERS, **cors_headers(origin)}.items():
            self.set_header(name, value)
        self.set_header("Content-Type", "application/json")

    def write_error(self, status_code: int, **settings: Any) -> None:  # noqa: ARG002
        _, error, _ = settings.get("exc_info", (None, None, None))
        reason = error.reason if isinstance(error, HTTPError) else ""
        self.finish(json.dumps({"error": reason or "the request was refused"}))


class _NoSuchPath(_Handler):
    def initialize(self) -> None:  # type: ignore[override]
        """Take no arguments."""

    def prepare(self) -> None:
        paths = "/status, /latest, /events, /socket, /marker, /rating"
        raise HTTPError(404, reason=f"the paths are {paths}")


class _Status(_Handler):
    def get(self) -> None:
        """Answer with the state of the session."""
        newest = self.newest
        state = {
            **self.shared["about"](),
            "state": "ended" if newest.outcome else "running",
            "outcome": newest.outcome,
            "now": self.clock.now(),
            "unix": time.time(),
            "streams": [json.loads(text) for text in newest.descriptions.values()],
            "status": [json.loads(text) for text in newest.status],
            "clients": len(newest.subscribers),
            "dropped": newest.dropped,
        }
        self.finish(json.dumps(state))


class _Latest(_Handler):
    def get(self) -> None:
        """Answer with the newest row of each stream."""
        self.finish(self.newest.latest(self.streams))


class _ServerSentEvents(_Handler):
    """Messages as server-sent events, for as long as the program listens."""

    subscriber: Subscriber | None = None

    async def get(self) -> None:
        """Send messages until one of the two ends."""
        _refuse_too_many(self.newest)
        subscriber = self.subscriber = Subscriber(self.streams, self._send)
        self.set_header("Content-Type", "text/event-stream")
        await self.flush()
        self.newest.add(subscriber)
        try:
            await subscriber.run()
        except _GONE:
            self.request.connection.stream.close()  # type: ignore[union-attr]
        finally:
            self.newest.subscribers.discard(subscriber)

    async def _send(self, text: str) -> None:
        self.write(f"data: {text}\n\n")
        await self.flush()

    def on_connection_close(self) -> None:
        """Stop sending."""
        if self.subscriber is not None:
            self.subscriber.close()


class _Socket(_ProgramHandler, WebSocketHandler):
    """Messages over a WebSocket; it takes none."""

    subscriber: Subscriber | None = None

    def initialize(self, newest: Newest, clock: Clock) -> None:  # noqa: ARG002
        self.newest = newest

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in SECURITY_HEADERS.items():
            self.set_header(name, value)

    def check_origin(self, origin: str) -> bool:  # noqa: ARG002
        """Return True, as `ProgramAccess` has checked it."""
        return True

    def prepare(self) -> None:
        _refuse_too_many(self.newest)
        self._wanted = self.streams  # a wrong text is refused before the upgrade

    def write_error(self, status_code: int, **settings: Any) -> None:  # noqa: ARG002
        self.finish("")

    def open(self, *_: str, **__: str) -> None:
        """Begin to send."""
        self.set_nodelay(True)
        self.subscriber = Subscriber(self._wanted, self.write_message)
        self.newest.add(self.subscriber)
        IOLoop.current().add_callback(self._run, self.subscriber)

    async def _run(self, subscriber: Subscriber) -> None:
        try:
            await subscriber.run()
        except _GONE:
            stream = getattr(self.ws_connection, "stream", None)
            if stream is not None:
                stream.close()
        finally:
            self.newest.subscribers.discard(subscriber)
            self.close()

    def on_message(self, message: str | bytes) -> None:  # noqa: ARG002
        """Close: markers and ratings are sent by ``POST``."""
        self.close(1008, "this socket only sends")

    def on_close(self) -> None:
        """Stop sending."""
        if self.subscriber is not None:
            self.subscriber.close()


class _CommandRoute(_Handler):
    async def post(self, kind: str) -> None:
        """Pass a marker or a rating on to the session, and answer with its time."""
        header = self.request.headers.get("Content-Type", "")
        if header.partition(";")[0].strip().lower() != "application/json":
            raise HTTPError(415, reason="the content must be application/json")
        try:
            timed = parse(kind, _json_object(self.request.body), self.clock)
            result = self.shared["submit"](timed)
            refusal, at = await asyncio.wait_for(result, _REPLY)
        except TimeoutError:
            raise HTTPError(504, reason="the session did not answer in time") from None
        except ValueError as error:
            refusal, at = str(error), 0.0
        if refusal:
            self.set_status(400)
            self.finish(json.dumps({"error": refusal}))
            return
        unix = time.time() - (self.clock.now() - at) / self.clock.speed
        reply = {"time": at, "unix": unix, "clock": timed.clock}
        self.finish(json.dumps(reply))


def _refuse_too_many(newest: Newest) -> None:
    if len(newest.subscribers) >= CLIENTS:
        text = f"{CLIENTS} programs follow this session already"
        raise HTTPError(503, reason=text)


def _json_object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object of a request.

    Raises
    ------
    ValueError
        If it is something else.
    """

    def refuse(text: str) -> float:
        raise ValueError(text)

    try:
        content = json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ValueError("the content must be a JSON object")
    return content
