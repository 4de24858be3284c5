"""Dashboard of a recording, with a slider for the time."""

import asyncio
import socket
from collections.abc import Callable
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from tornado.ioloop import IOLoop

from physio.view.dashboard.commands import ROLES
from physio.view.dashboard.opening_page import OpeningPage
from physio.view.dashboard.serve_session import import_server, load_in_thread
from physio.view.message_limit import limit_logs
from physio.view.web.access import ServerAddress, new_tokens

if TYPE_CHECKING:
    from physio.view.dashboard.session_state import SessionState

_FAREWELL: Final = 0.5  # s for which the page shows why the recording is not shown


def serve(
    load: "Callable[[Callable[[str], None]], SessionState]",
    announce: Callable[[str], None],
    address: ServerAddress | None = None,
    role: str = "look",
) -> None:
    """Serve the page of a session's state, as of a recording, until Ctrl-C.

    The page is there at once and shows the progress of reading and computing.

    Parameters
    ----------
    load
        Function that returns the state of the recording, as by
        `physio.view.dashboard.session_state.state_of_recording`. It is called in a
        thread with a function that takes a text on its progress.
    announce
        Function that receives the page's address once it can be opened.
    address
        Address to serve at; by default a free port of the loopback.
    role
        Role whose page is announced: ``look`` or ``control``; commands have no effect.

    Raises
    ------
    Exception
        The error of ``load``.
    """
    limit_logs("dashboard")
    address = address or ServerAddress()
    asyncio.set_event_loop(asyncio.new_event_loop())
    listening = socket.create_server((address.address, address.port))
    port = listening.getsockname()[1]
    tokens = new_tokens(ROLES)
    opening = OpeningPage(address, tokens, listening, "reading")
    loop, errors = IOLoop.current(), list[BaseException]()

    def report(text: str) -> None:
        opening.text = text

    def work() -> Any:
        state = load(report)
        report("loading the dashboard")
        return state, import_server()

    def begin(result: Any, error: BaseException | None) -> None:
        if error is not None:
            report(str(error))
            errors.append(error)
            loop.call_later(_FAREWELL, loop.stop)
            return
        state, server = result
        # A long recording takes seconds; its marks appear when they are known.
        Thread(target=state.detect_events, daemon=True).start()
        dashboard = server.DashboardServer(state, lambda _: None)
        application = server.create_application(dashboard, opening.hosts)
        server.BaseServer(loop, application, opening.http).start()
        opening.install(application)

    load_in_thread(work, begin)
    host = min(address.hosts(port))
    announce(f"{address.scheme}://{host}/?token={tokens[role]}")
    try:
        loop.start()
    except KeyboardInterrupt:
        opening.http.stop()
    if errors:
        raise errors[0]
