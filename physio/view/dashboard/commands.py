"""Commands of a dashboard page: reading what a viewer's browser sent.

Everything that comes from a browser is untrusted. This module checks its form alone;
the session checks the command itself, see `physio.online.commands.validate`.
"""

import json
from typing import Any, Final, NamedTuple

from physio.core.affect import DIMENSIONS
from physio.core.protocols import Command
from physio.core.recording import baseline_marker
from physio.view.dashboard.session_state import SessionState

LONGEST: Final = 200
"""Characters of a marker at most."""

ALLOWED: Final = {
    "control": frozenset({"mark", "rate", "mute", "unmute", "stop", "ask"}),
    "participant": frozenset({"rate"}),
    "look": frozenset(),
}
"""Commands that each kind of viewer may send, beside changes of the view."""

_LATE: Final = 0.5  # s under way, beyond which a command's own time is not used
_SIZE: Final = 4096  # characters of a message


class ViewerCommand(NamedTuple):
    """A command of a page, or a change of its view (kind ``view``)."""

    command: Command
    value: str = ""

    @property
    def kind(self) -> str:
        """Kind of the command."""
        return self.command.kind

    @property
    def label(self) -> str:
        """Label of the command."""
        return self.command.label


def is_forbidden(command: ViewerCommand, role: str) -> bool:
    """Tell whether a kind of viewer may not send a command."""
    return command.kind not in ALLOWED.get(role, frozenset())


def parse_command(
    data: Any,
    session: SessionState,
    wall: float,
    participant: str = "",
    sender: str = "",
) -> ViewerCommand | None:
    """Return the command that a page sent, or None if it has not the form of one.

    Parameters
    ----------
    data
        The data as the page sent it.
    session
        The session as it is shown.
    wall
        The computer's date (s): a command counts from when it was made, if the page's
        clock agrees with this one to half a second.
    participant
        Code of the participant whom the page shows.
    sender
        Identifier of the page.
    """
    message = _message(data)
    if not isinstance(message, dict):
        return None
    kind, label = message.get("kind"), message.get("label", "")
    if not isinstance(kind, str) or not isinstance(label, str) or len(label) > LONGEST:
        return None
    label = "".join(c for c in label if c.isprintable()).strip()
    age = wall - _number(message.get("at"), wall)
    time = session.now - (age if 0 <= age <= _LATE else 0.0) * session.speed
    command = Command(kind, time, label, sender=sender)
    if kind == "view":
        value = message.get("value")
        if not isinstance(value, str) or len(value) > 2 * LONGEST:
            return None
        return ViewerCommand(command, value)
    if kind not in ALLOWED["control"]:
        return None
    if kind == "rate":
        values = message.get("values")
        if not isinstance(values, dict):
            return None
        given = tuple(_number(values.get(d), float("nan")) for d in DIMENSIONS)
        label = label if label == "rating" else "sam"
        command = command._replace(label=label, values=given, participant=participant)
    elif kind == "mark" and baseline_marker(label):
        command = command._replace(participant=participant)
    elif kind == "stop":
        command = command._replace(label="stopped on the dashboard")
    return ViewerCommand(command)


def _number(value: Any, otherwise: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return otherwise
    try:
        return float(value)
    except (ValueError, OverflowError):
        return otherwise


def _message(data: Any) -> Any:
    try:
        (text,) = data["command"]
        return json.loads(text) if isinstance(text, str) and len(text) < _SIZE else None
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
