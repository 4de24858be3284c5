"""Commands to a session over loopback TCP, where there are no Unix sockets.

The file ``control.json`` in the session's folder, which only its owner can read, has
the port and a token. A sender connects, sends the token, a space, the command and a
line feed. The reply is the refusal, if any, and a line feed; then the session closes
the connection.
"""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import compare_digest, token_hex
from typing import Final

from physio.core.private_file import write_private
from physio.online.commands import LONGEST

ADDRESS: Final = "control.json"
"""File in the session's folder with the port and the token."""

_HOST: Final = "127.0.0.1"
_SENDERS: Final = 32  # connections that are held at once
_PATIENCE: Final = 5.0  # s that a connection may take for its line


class _Connection:
    """A sender, and what it has sent so far."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket, self.data = connected, b""
        self.until = time.monotonic() + _PATIENCE

    def line(self) -> bytes | None:
        """Return the line once it is complete; None before.

        Raises
        ------
        OSError
            If the sender is gone, too slow, or sends too much.
        """
        with suppress(BlockingIOError):
            while b"\n" not in self.data:
                piece = self.socket.recv(LONGEST)
                self.data += piece
                if not piece or len(self.data) > 2 * LONGEST:
                    raise ConnectionError
        line, end, _ = self.data.partition(b"\n")
        if not end and time.monotonic() > self.until:
            raise TimeoutError
        return line if end else None


class LoopbackEntrance:
    """Port on which the session in a folder receives commands.

    Parameters
    ----------
    folder
        The session's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._token = folder / ADDRESS, token_hex(16)
        self._listener = socket.create_server((_HOST, 0), backlog=_SENDERS)
        self._listener.settimeout(0)
        self._reading: list[_Connection] = []
        self._waiting: dict[str, _Connection] = {}
        self._count = 0
        self._write_address()

    def _write_address(self) -> None:
        address = {"port": self._listener.getsockname()[1], "token": self._token}
        write_private(self._path, json.dumps(address) + "\n")

    def announce(self) -> None:
        """Write the address again if the folder was created anew."""
        if not self._path.exists():
            with suppress(OSError):
                self._write_address()

    def receive(self) -> list[tuple[str, str]]:
        """Return the texts since the last call, each with its sender; never wait."""
        with suppress(BlockingIOError):
            while True:
                connected, _ = self._listener.accept()
                connected.settimeout(0)
                self._reading.append(_Connection(connected))
        while len(self._reading) > _SENDERS:
            self._reading.pop(0).socket.close()
        return list(self._complete())

    def _complete(self) -> Iterator[tuple[str, str]]:
        """Yield the complete lines with a valid token; drop those without."""
        for connection in tuple(self._reading):
            try:
                line = connection.line()
            except OSError:
                self._reading.remove(connection)
                connection.socket.close()
                continue
            if line is None:
                continue
            self._reading.remove(connection)
            token, _, text = line.partition(b" ")
            if not compare_digest(token, self._token.encode()):
                connection.socket.close()
                continue
            self._count += 1
            self._waiting[str(self._count)] = connection
            yield text[:LONGEST].decode("utf-8", "replace"), str(self._count)

    def reply(self, sender: str, refusal: str) -> None:
        """Send the result of a command to its sender."""
        connection = self._waiting.pop(sender, None)
        if connection is not None:
            with suppress(OSError), connection.socket as out:  # the sender may be gone
                out.sendall(refusal.encode()[:LONGEST].replace(b"\n", b" ") + b"\n")

    def close(self) -> None:
        """Close the port and all connections."""
        for connection in (*self._reading, *self._waiting.values()):
            connection.socket.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)


def call(folder: Path, text: str, timeout: float) -> str:
    """Send a text to the session in a folder; return its refusal, empty without one.

    Raises
    ------
    TimeoutError
        If the session does not answer within ``timeout`` (s); 0 waits for no answer.
    OSError
        If no session runs there.
    """
    nobody = f"no session runs in {folder}"
    try:
        address = json.loads((folder / ADDRESS).read_text("utf-8"))
        port, token = int(address["port"]), str(address["token"])
        out = socket.create_connection((_HOST, port), timeout or _PATIENCE)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        raise OSError(nobody) from None
    with out:
        line = text.encode()[:LONGEST].replace(b"\n", b" ")
        out.sendall(token.encode() + b" " + line + b"\n")
        answer = b""
        while timeout and not answer.endswith(b"\n"):
            if not (piece := out.recv(LONGEST)):
                raise OSError(nobody)
            answer += piece
    return answer.decode("utf-8", "replace").strip()
