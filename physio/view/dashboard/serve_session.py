"""Process that serves the dashboard of a session, answering from its first moment."""

import asyncio
import json
import socket
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from tornado.ioloop import IOLoop, PeriodicCallback

from physio.core.protocols import Command
from physio.view.dashboard import server_link
from physio.view.dashboard.codec import Decoder
from physio.view.dashboard.opening_page import OpeningPage
from physio.view.message_limit import limit_logs
from physio.view.web.access import ServerAddress

if TYPE_CHECKING:
    from types import ModuleType

_LOOK: Final = 50  # ms between two looks whether the session has begun
_SPARE: Final = 0.5  # s without a session after which its page is prepared


def load_in_thread(
    work: Callable[[], Any], then: Callable[[Any, BaseException | None], None]
) -> None:
    """Do work in a thread; pass its result or its error to the loop of this thread."""
    loop = IOLoop.current()

    def run() -> None:
        try:
            result, error = work(), None
        except BaseException as raised:  # passed on to the loop
            result, error = None, raised
        loop.add_callback(then, result, error)

    Thread(target=run, name="load", daemon=True).start()


def import_server() -> "ModuleType":
    """Import the server, which takes some seconds."""
    from physio.view.dashboard import server

    return server


class SessionPage:
    """Page of a session: progress until its streams are known, then the dashboard.

    Parameters
    ----------
    link
        Link to the session.
    listening
        Listening socket.
    """

    def __init__(self, link: Connection, listening: socket.socket) -> None:
        first, _ = Decoder().read(link.recv_bytes())
        if not isinstance(first, dict):
            raise TypeError("the first message must hold the address and the tokens")
        address, tokens = ServerAddress(**first["place"]), first["tokens"]
        self._link = link
        self._opening = OpeningPage(address, tokens, listening)

    def begin(self, server: Any, error: BaseException | None) -> None:
        """Take the server that was imported, and read what the session sends."""
        if error is not None:
            raise error
        self._opening.text = "the session is starting"
        state = server.SessionState()
        dashboard = server.DashboardServer(state, self._submit)
        feed = server.SessionFeed(self._link, state, IOLoop.current())
        application = server.create_application(dashboard, self._opening.hosts)

        def look() -> None:
            self._opening.text = feed.progress or self._opening.text
            if state.sources or state.ended:
                waiting.stop()
                base = server.BaseServer(
                    IOLoop.current(), application, self._opening.http
                )
                base.start()
                self._opening.install(application)

        def prepare() -> None:
            if not state.sources:  # else the first viewer would wait for it
                server.warm_up()

        waiting = PeriodicCallback(look, _LOOK)
        waiting.start()
        IOLoop.current().call_later(_SPARE, prepare)

    def _submit(self, command: Command) -> None:
        self._link.send_bytes(json.dumps(command).encode())


def main(listening: socket.socket, pipe: socket.socket) -> None:
    """Serve until the session has ended."""
    limit_logs("dashboard")
    asyncio.set_event_loop(asyncio.new_event_loop())
    loop = IOLoop.current()
    page = SessionPage(Connection(pipe.detach()), listening)
    load_in_thread(import_server, page.begin)
    try:
        loop.start()
    except KeyboardInterrupt:  # Ctrl-C reaches all processes; the session ends this one
        loop.start()


if __name__ == "__main__":
    main(*server_link.sockets(sys.argv[1:]))
