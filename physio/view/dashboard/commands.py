"""Commands of a dashboard page, parsed from the messages of a viewer's browser.

All input from a browser is untrusted. This module checks only its form; the session
checks the command itself, see `physio.online.commands.validate`.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from physio.core.affect import DIMENSIONS
from physio.core.protocols import Command
from physio.core.recording import baseline_marker

if TYPE_CHECKING:
    from physio.view.dashboard.session_state import SessionState

ROLES: Final = ("control", "look", "participant")
"""Roles of viewers: experimenter, observer, and the measured participant."""

PAGES_BY_ROLE: Final[Mapping[str, frozenset[str]]] = {
    "control": frozenset(ROLES),
    "look": frozenset({"look"}),
    "participant": frozenset({"participant"}),
}
"""Pages that each role may open."""

LONGEST: Final = 200
"""Maximum number of characters of a marker."""

ALLOWED: Final = {
    "control": frozenset({"mark", "rate", "mute", "unmute", "stop", "ask"}),
    "participant": frozenset({"rate"}),
    "look": frozenset(),
}
"""Commands that each kind of viewer may send, in addition to changes of the view."""

_LATE: Final = 0.5  # s of transmission, above which a command's time is not used
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
    """Return True if a kind of viewer may not send a command."""
    return command.kind not in ALLOWED.get(role, frozenset())


def parse_command(
    data: Any,
    session: "SessionState",
    wall: float,
    participant: str = "",
    sender: str = "",
) -> ViewerCommand | None:
    """Return the command of a page, or None if its form is invalid.

    Parameters
    ----------
    data
        Data from the page.
    session
        State of the displayed session.
    wall
        Present date of the computer (s). A command has the time of the page if the
        page's clock agrees with this one to half a second.
    participant
        Code of the displayed participant.
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
