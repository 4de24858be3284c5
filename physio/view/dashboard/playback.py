"""The dashboard on a recording, with a slider for the time."""

import asyncio
import socket
from collections.abc import Callable

from tornado.ioloop import IOLoop

from physio.view.dashboard.access import ServerAddress, fresh
from physio.view.dashboard.server import DashboardServer, server, warm
from physio.view.dashboard.session_state import SessionState


def serve(
    scene: SessionState, told: Callable[[str], None], place: ServerAddress | None = None
) -> None:
    """Serve the page of a recording until Ctrl-C.

    Parameters
    ----------
    scene
        As `physio.view.dashboard.session_state.of` gives it.
    told
        Hears the address as soon as the page can be opened.
    place
        Where to serve; by default on a free port of the loopback.
    """
    place = place or ServerAddress()
    asyncio.set_event_loop(asyncio.new_event_loop())
    listening = socket.create_server((place.address, place.port))
    port = listening.getsockname()[1]
    tokens = fresh()
    made = server(DashboardServer(scene, lambda _: None), place, tokens, listening)
    made.start()
    warm()
    host = min(place.hosts(port))
    told(f"{place.scheme}://{host}/?token={tokens['look']}")
    try:
        IOLoop.current().start()
    except KeyboardInterrupt:
        made.stop()
