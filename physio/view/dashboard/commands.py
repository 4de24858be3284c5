"""What a page may want, and how it is understood: all it sends is a stranger's."""

import json
from typing import Any, Final, NamedTuple

from physio.core.protocols import Command
from physio.view.dashboard.session_state import SessionState
from physio.view.labels import DIMENSIONS

LONGEST: Final = 200
"""How many characters a marker may have."""

ALLOWED: Final = {
    "control": frozenset({"mark", "rate", "mute", "unmute", "stop", "ask"}),
    "participant": frozenset({"rate"}),
    "look": frozenset(),
}
"""What each kind of viewer may want, beside looking differently."""

RESTS: Final = ("rest", "rest over")
"""Markers that are about one participant's baseline."""

_LATE: Final = 0.5  # s that a wish may be under way before its own time counts no more
_SIZE: Final = 4096  # characters of a message


class ViewerCommand(NamedTuple):
    """What a page wants: a wish, or to look differently (``view``)."""

    wish: Command
    value: str = ""

    @property
    def what(self) -> str:
        """What is wanted."""
        return self.wish.kind

    @property
    def label(self) -> str:
        """Of what."""
        return self.wish.label


def is_forbidden(told: ViewerCommand, role: str) -> bool:
    """Tell whether a kind of viewer may not want this."""
    return told.what not in ALLOWED.get(role, frozenset())


def parse_command(data: Any, scene: SessionState, wall: float) -> ViewerCommand | None:
    """Return what a page wants, or None if it cannot be understood.

    Parameters
    ----------
    data
        As the page sent it.
    scene
        The session; a stream to mute must be one of its.
    wall
        The computer's date (s): a wish counts from when it was made, if the page's
        clock agrees with this one to half a second.
    """
    sent = _parsed(data)
    if not isinstance(sent, dict):
        return None
    what, label = sent.get("what"), sent.get("label", "")
    if not isinstance(what, str) or not isinstance(label, str) or len(label) > LONGEST:
        return None
    label = "".join(c for c in label if c.isprintable()).strip()
    late = _number(sent.get("at"), wall)
    late = wall - late if 0 <= wall - late <= _LATE else 0.0
    at = scene.now - late * scene.speed
    if what == "view":
        value = sent.get("value")
        if not isinstance(value, str) or len(value) > 2 * LONGEST:
            return None
        return ViewerCommand(Command(what, at, label), value)
    if what == "rate":
        kind = label if label == "rating" else "sam"
        return _rating(sent.get("values"), at, kind, scene.who)
    if what == "mark" and not label:
        return None
    if what in ("mute", "unmute") and label not in scene.sources:
        return None
    if what == "stop":
        label = "stopped on the dashboard"
    who = scene.who if what == "mark" and label in RESTS else ""
    told = ViewerCommand(Command(what, at, label, participant=who))
    return told if what in ALLOWED["control"] else None


def _rating(values: Any, at: float, kind: str, who: str) -> ViewerCommand | None:
    if not isinstance(values, dict):
        return None
    given = tuple(_number(values.get(d), float("nan")) for d in DIMENSIONS)
    known = [v for v in given if v == v]
    if not known or any(abs(v) > 1 for v in known):
        return None
    return ViewerCommand(Command("rate", at, kind, given, who))


def _number(value: Any, otherwise: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return otherwise
    try:
        return float(value)
    except (ValueError, OverflowError):
        return otherwise


def _parsed(data: Any) -> Any:
    try:
        (text,) = data["wish"]
        return json.loads(text) if isinstance(text, str) and len(text) < _SIZE else None
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
