"""Control socket: commands to a running session from other programs of the same user.

A command is one datagram on a Unix socket: JSON as `physio.online.commands.encode`
writes it, or any other text, which is a marker. A program that binds its own socket
receives one datagram as the reply: empty if the command was executed, otherwise the
reason for the refusal.
"""

import os
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from tempfile import gettempdir
from types import TracebackType
from typing import Final, Self

from physio.core.block import StreamInfo
from physio.core.events import Item
from physio.core.protocols import Clock, Command, Device, WallClock
from physio.inference.self_report import RATINGS, SAM
from physio.online.commands import LONGEST, decode, encode
from physio.online.session import MARKERS

TIMEOUT: Final = 5.0
"""Time that a sender waits for the reply of the session (s)."""

LONGEST_FOLDER: Final = 70
"""Bytes of the path of the sockets' folder; with the name a path has 107 at most."""


def socket_address(folder: Path) -> Path:
    """Return the path of the socket of the session in ``folder``.

    It is in `runtime_folder`, because a socket's path may have at most 100 characters.

    Raises
    ------
    OSError
        As of `runtime_folder`.
    """
    inode = folder.stat()
    return runtime_folder() / f"{inode.st_dev:x}-{inode.st_ino:x}.sock"


def runtime_folder() -> Path:
    """Return the folder of this user's sockets, which no other user can access.

    It is created if missing: in the runtime folder of the user
    (``XDG_RUNTIME_DIR``), otherwise in the system's folder of temporary files. A folder
    whose path leaves no room for a socket's name is passed over.

    Raises
    ------
    OSError
        If it cannot be created, or if another user may have created it.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    name = f"physio-{os.getuid()}"
    places = [Path(gettempdir()) / name, Path("/tmp") / name]
    if runtime and Path(runtime).is_dir():
        places.insert(0, Path(runtime) / "physio")
    short = [p for p in places if len(os.fsencode(p)) <= LONGEST_FOLDER]
    folder = short[0] if short else places[-1]
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
        raise OSError(
            f"{folder} is not a folder of yours, but sockets of sessions belong there: "
            "remove it, or set XDG_RUNTIME_DIR to a folder of yours"
        )
    if stat.S_IMODE(about.st_mode) != 0o700:
        folder.chmod(0o700)
    return folder


def _remove_stale(place: Path) -> None:
    """Remove sockets of killed processes, on which no process listens."""
    for path in place.glob("*.sock"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except OSError:  # removed meanwhile, or not accessible
                continue


@dataclass
class ControlSocket(Device):
    """Device that receives commands from other programs of the same user.

    Parameters
    ----------
    folder
        The session's folder.
    clock
        The session clock; the time of a command is the time at which it was sent.
    """

    folder: Path
    clock: Clock = field(default_factory=WallClock)
    _socket: socket.socket | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        path = socket_address(self.folder)
        _remove_stale(path.parent)
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
        """Streams of markers and ratings, which files contain even without any."""
        return (MARKERS, RATINGS)

    @property
    def ended(self) -> bool:
        """Always true, as the device does not keep a session running."""
        return True

    def read(self) -> Sequence[Item]:
        """Return no items, as the device receives commands alone."""
        return ()

    def commands(self) -> Sequence[Command]:
        """Return the commands received since the last call."""
        commands: list[Command] = []
        while self._socket is not None:
            try:
                data, sender = self._socket.recvfrom(LONGEST)
            except BlockingIOError:
                break
            text = data.decode("utf-8", "replace")
            is_real = isinstance(self.clock, WallClock)
            speed = self.clock.speed if is_real else 0.0
            commands.append(decode(text, self.clock.now(), sender or "", speed))
        return commands

    def reply(self, command: Command, refusal: str) -> None:
        """Send the result of a command to a sender that waits for it."""
        if self._socket is not None and command.sender:
            with suppress(OSError):  # the sender is gone
                self._socket.sendto(refusal.encode()[:LONGEST], command.sender)


def rate(
    folder: Path, values: Sequence[float], kind: str = SAM, participant: str = ""
) -> None:
    """Send a rating to the session that runs in ``folder``, and wait for its reply.

    Parameters
    ----------
    folder
        The session's folder.
    values, kind, participant
        See `physio.inference.self_report.rating`.

    Raises
    ------
    OSError
        If no session runs there, or it does not answer.
    ValueError
        If the session refuses it.
    """
    request(folder, Command("rate", 0.0, kind, tuple(values), participant))


def mark(folder: Path, label: str, participant: str = "") -> None:
    """Send a marker to the session that runs in ``folder``, and wait for its reply.

    Raises
    ------
    OSError
        If no session runs there, or it does not answer.
    ValueError
        If the session refuses it.
    """
    request(folder, Command("mark", 0.0, label, (), participant))


def request(folder: Path, command: Command, timeout: float = TIMEOUT) -> None:
    """Send a command to the session that runs in ``folder``, and wait for its reply.

    Parameters
    ----------
    folder
        The session's folder.
    command
        The command; its time is that of this call.
    timeout
        Time to wait (s).

    Raises
    ------
    OSError
        If no session runs there, or it does not answer in time.
    ValueError
        If the session refuses it.
    """
    answers = runtime_folder() / f"{token_hex(8)}.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.bind(str(answers))
        try:
            answers.chmod(0o600)
            out.settimeout(timeout)
            _send(out, folder, encode(command))
            refusal = out.recv(LONGEST).decode("utf-8", "replace")
        except TimeoutError:
            raise OSError(
                f"the session in {folder} did not answer within {timeout:g} s; look in "
                "its status whether the command was carried out"
            ) from None
        finally:
            answers.unlink(missing_ok=True)
    if refusal:
        raise ValueError(refusal)


def send(folder: Path, text: str) -> None:
    """Send a marker to the session that runs in ``folder``, without waiting.

    A refusal appears only in the status of the session.

    Raises
    ------
    OSError
        If no session runs there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        _send(out, folder, encode(decode(text, 0.0)))


def _send(out: socket.socket, folder: Path, text: str) -> None:
    try:
        out.sendto(text.encode()[:LONGEST], str(socket_address(folder)))
    except TimeoutError:
        raise
    except OSError:
        raise OSError(f"no session runs in {folder}") from None
