"""Dashboard of a recording, with a slider for the time."""

import asyncio
import socket
from collections.abc import Callable

from tornado.ioloop import IOLoop

from physio.view.dashboard.commands import ROLES
from physio.view.dashboard.server import DashboardServer, create_server, warm_up
from physio.view.dashboard.session_state import SessionState
from physio.view.message_limit import limit_logs
from physio.view.web.access import ServerAddress, new_tokens


def serve(
    session: SessionState,
    announce: Callable[[str], None],
    address: ServerAddress | None = None,
) -> None:
    """Serve the page of a recording until Ctrl-C.

    Parameters
    ----------
    session
        See `physio.view.dashboard.session_state.state_of_recording`.
    announce
        Function that receives the page's address once it can be opened.
    address
        Address to serve at; by default a free port of the loopback.
    """
    limit_logs("dashboard")
    address = address or ServerAddress()
    asyncio.set_event_loop(asyncio.new_event_loop())
    listening = socket.create_server((address.address, address.port))
    port = listening.getsockname()[1]
    tokens = new_tokens(ROLES)
    http_server = create_server(
        DashboardServer(session, lambda _: None), address, tokens, listening
    )
    http_server.start()
    warm_up()
    host = min(address.hosts(port))
    announce(f"{address.scheme}://{host}/?token={tokens['look']}")
    try:
        IOLoop.current().start()
    except KeyboardInterrupt:
        http_server.stop()
