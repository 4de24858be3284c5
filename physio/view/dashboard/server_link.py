"""Start of the dashboard's server process, and the link to it.

The server inherits the port and one end of a pair of sockets. Where sockets are not
inherited by their numbers, as on Windows, the server opens the port itself and connects
to the session over loopback TCP, with a token that it reads from standard input.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from secrets import compare_digest, token_hex
from typing import Final

from physio.core.operating_system import separate_group

_SERVER: Final = (sys.executable, "-m", "physio.view.dashboard.serve_session")
_HOST: Final = "127.0.0.1"
_TOKEN: Final = 16  # bytes
_START: Final = 60.0  # s that the server may take until it connects


def start(
    listening: socket.socket,
) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    """Start the server on an open port; return the process and the link to it.

    The port is closed here.

    Raises
    ------
    OSError
        If the server does not start.
    """
    inherits = hasattr(socket, "AF_UNIX")
    return (_start_inheriting if inherits else _start_connecting)(listening)


def _start_inheriting(
    listening: socket.socket,
) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    link, theirs = socket.socketpair()
    with listening, theirs:
        fds = listening.fileno(), theirs.fileno()
        process = subprocess.Popen(
            [*_SERVER, *map(str, fds)],
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            **separate_group(),
        )
    return process, link


def _start_connecting(
    listening: socket.socket,
) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    with listening, socket.create_server((_HOST, 0)) as waiting:
        token, address = token_hex(_TOKEN), listening.getsockname()
        listening.close()
        process = subprocess.Popen(_SERVER, stdin=subprocess.PIPE, **separate_group())
        if process.stdin is not None:
            with process.stdin as stdin:
                port = waiting.getsockname()[1]
                stdin.write(json.dumps([address[0], address[1], port, token]).encode())
        waiting.settimeout(0.2)
        until = time.monotonic() + _START
        while process.poll() is None and time.monotonic() < until:
            try:
                link, _ = waiting.accept()
                link.settimeout(1.0)
                with link.makefile("rb", buffering=0) as sent:
                    given = sent.read(2 * _TOKEN)
            except OSError:
                continue
            if compare_digest(given or b"", token.encode()):
                link.settimeout(None)
                return process, link
            link.close()
    process.kill()
    process.wait()
    raise OSError("the dashboard did not start: its server did not answer")


def sockets(arguments: Sequence[str]) -> tuple[socket.socket, socket.socket]:
    """Return the port and the link in the server process."""
    if arguments:
        port, link = (socket.socket(fileno=int(number)) for number in arguments)
        return port, link
    host, number, session, token = json.load(sys.stdin)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, number), family=family)
    link = socket.create_connection((_HOST, session))
    link.sendall(token.encode())
    return listening, link
