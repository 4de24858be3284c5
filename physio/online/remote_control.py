"""Markers and ratings from outside: how they reach a session that runs."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from types import TracebackType
from typing import Final, Self

from physio.core.block import StreamInfo
from physio.core.events import Events, single_event
from physio.core.protocols import Clock, WallClock
from physio.inference import self_report
from physio.online.engine import STATUS
from physio.online.session import MARKERS

LONGEST: Final = 4096  # bytes of a marker


def socket_address(folder: Path) -> Path:
    """Return the socket of the session in ``folder``.

    It lies in the user's runtime folder: a socket's path may have 100 characters.
    """
    place = Path(os.environ.get("XDG_RUNTIME_DIR") or gettempdir())
    inode = folder.stat()
    return place / f"physio-{os.getuid()}-{inode.st_dev:x}-{inode.st_ino:x}.sock"


@dataclass
class ControlSocket:
    """Takes markers and ratings that other programs of the same user send.

    Parameters
    ----------
    folder
        The session's folder.
    clock
        The session clock; what is sent counts from the moment when it is read.
    """

    folder: Path
    clock: Clock = field(default_factory=WallClock)
    _socket: socket.socket | None = field(default=None, init=False, repr=False)

    ended = True  # it never keeps a session going

    def __enter__(self) -> Self:
        path = socket_address(self.folder)
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        self._socket.bind(str(path))
        path.chmod(0o600)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            socket_address(self.folder).unlink(missing_ok=True)

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Markers, and ratings."""
        return (MARKERS, self_report.RATINGS)

    def read(self) -> Sequence[Events]:
        """Return what came since the last call."""
        found: list[Events] = []
        while self._socket is not None:
            try:
                label = self._socket.recv(LONGEST).decode("utf-8", "replace")
            except BlockingIOError:
                break
            now = self.clock.now()
            try:
                rated = self_report.unpacked(label, now) or self_report.typed(
                    label, now
                )
            except ValueError as error:
                rated = single_event(STATUS, now, f"not taken as a rating: {error}")
            found.append(rated or single_event(MARKERS, now, label))
        return found


def rate(
    folder: Path,
    values: Sequence[float],
    kind: str = self_report.SAM,
    participant: str = "",
) -> None:
    """Send a rating to the session that runs in ``folder``.

    Parameters
    ----------
    folder
        The session's folder.
    values, kind, participant
        See `physio.inference.self_report.rating`.

    Raises
    ------
    OSError
        If none runs there.
    ValueError
        If it is outside its scale.
    """
    self_report.rating(0.0, values, kind, participant)
    send(folder, self_report.packed(values, kind, participant))


def send(folder: Path, label: str) -> None:
    """Send a marker to the session that runs in ``folder``.

    Raises
    ------
    OSError
        If none runs there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        try:
            out.sendto(label.encode()[:LONGEST], str(socket_address(folder)))
        except OSError:
            raise OSError(f"no session runs in {folder}") from None
