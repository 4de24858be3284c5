"""Commands to a session through a Unix socket in a folder of the user's own.

A command is one datagram. A program that binds its own socket receives one datagram as
the reply.
"""

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from tempfile import gettempdir
from typing import Final

from physio.online.commands import LONGEST

LONGEST_FOLDER: Final = 70
"""Bytes of the path of the sockets' folder; with the name a path has 104 at most."""


class UnixEntrance:
    """Socket on which the session in a folder receives commands.

    Parameters
    ----------
    folder
        The session's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, socket_address(folder)
        _remove_stale(self._path.parent)
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)

    def announce(self) -> None:
        """Follow the folder if it was created anew."""
        with suppress(OSError):
            if (path := socket_address(self._folder)) != self._path:
                self._path.rename(path)
                self._path = path

    def receive(self) -> list[tuple[str, str]]:
        """Return the texts since the last call, each with its sender; never wait."""
        texts: list[tuple[str, str]] = []
        while True:
            try:
                data, sender = self._socket.recvfrom(LONGEST)
            except BlockingIOError:
                return texts
            texts.append((data.decode("utf-8", "replace"), sender or ""))

    def reply(self, sender: str, refusal: str) -> None:
        """Send the result of a command to a sender that waits for it."""
        if sender:
            with suppress(OSError):  # the sender is gone
                self._socket.sendto(refusal.encode()[:LONGEST], sender)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
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
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        if not timeout:
            _send(out, folder, text)
            return ""
        answers = runtime_folder() / f"{token_hex(8)}.sock"
        out.bind(str(answers))
        try:
            answers.chmod(0o600)
            out.settimeout(timeout)
            _send(out, folder, text)
            return out.recv(LONGEST).decode("utf-8", "replace")
        finally:
            answers.unlink(missing_ok=True)


def _send(out: socket.socket, folder: Path, text: str) -> None:
    try:
        out.sendto(text.encode()[:LONGEST], str(socket_address(folder)))
    except TimeoutError:
        raise
    except OSError:
        raise OSError(f"no session runs in {folder}") from None


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
    """Return a folder for sockets and pages that no other user can access.

    It is created if missing: in the runtime folder of the user
    (``XDG_RUNTIME_DIR``), otherwise in the system's folder of temporary files. A folder
    whose path leaves no room for a socket's name is passed over.

    Raises
    ------
    OSError
        If it cannot be created, or if another user may have created it.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    user = os.getuid() if hasattr(os, "getuid") else None
    if user is None:  # on Windows, the folder of temporary files is the user's own
        folder = Path(gettempdir()) / "physio"
        folder.mkdir(exist_ok=True)
        return folder
    name = f"physio-{user}"
    places = [Path(gettempdir()) / name, Path("/tmp") / name]
    if runtime and Path(runtime).is_dir():
        places.insert(0, Path(runtime) / "physio")
    short = [p for p in places if len(os.fsencode(p)) <= LONGEST_FOLDER]
    folder = short[0] if short else places[-1]
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != user:
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
