"""Remote control: commands to a running session from other programs of the same user.

A command is JSON as `physio.online.commands.encode` writes it, or any other text, which
is a marker. The reply is empty if it was executed, otherwise the reason for the
refusal. Both go through a Unix socket, or over loopback TCP where there is none.
"""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from physio.core.block import StreamInfo
from physio.core.events import Item
from physio.core.protocols import Clock, Command, Device, WallClock
from physio.inference.self_report import RATINGS, SAM
from physio.online import loopback_control, unix_control
from physio.online.commands import decode, encode
from physio.online.loopback_control import LoopbackEntrance
from physio.online.session import MARKERS
from physio.online.unix_control import UnixEntrance

TIMEOUT: Final = 5.0
"""Time that a sender waits for the reply of the session (s)."""

_TRANSPORT: Final = unix_control if hasattr(socket, "AF_UNIX") else loopback_control
_ANNOUNCE: Final = 1.0  # s between two checks of the address


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
    _entrance: UnixEntrance | LoopbackEntrance | None = field(
        default=None, init=False, repr=False
    )
    _due: float = field(default=0.0, init=False, repr=False)

    def __enter__(self) -> Self:
        is_unix = _TRANSPORT is unix_control
        self._entrance = (UnixEntrance if is_unix else LoopbackEntrance)(self.folder)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._entrance is not None:
            self._entrance.close()
            self._entrance = None

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
        if self._entrance is None:
            return []
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _ANNOUNCE
            self._entrance.announce()
        is_real = isinstance(self.clock, WallClock)
        speed = self.clock.speed if is_real else 0.0
        return [
            decode(text, self.clock.now(), sender, speed)
            for text, sender in self._entrance.receive()
        ]

    def reply(self, command: Command, refusal: str) -> None:
        """Send the result of a command to a sender that waits for it."""
        if self._entrance is not None:
            self._entrance.reply(command.sender, refusal)


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
    try:
        refusal = _TRANSPORT.call(folder, encode(command), timeout)
    except TimeoutError:
        raise OSError(
            f"the session in {folder} did not answer within {timeout:g} s; look in "
            "its status whether the command was carried out"
        ) from None
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
    _TRANSPORT.call(folder, encode(decode(text, 0.0)), 0.0)
