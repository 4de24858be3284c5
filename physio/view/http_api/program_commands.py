"""Markers and ratings that other programs send, parsed from JSON objects."""

import math
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from physio.core.affect import DIMENSIONS
from physio.core.protocols import Clock, Command
from physio.inference.self_report import CONTINUOUS, SAM, from_sam

LONGEST: Final = 200
"""Maximum number of characters of a marker."""

_OLDEST: Final = 3600.0  # s
_AHEAD: Final = 0.05  # s that two readings of one computer's clock may differ by
_FIELDS: Final = {
    "marker": ("label", "participant", "time", "age"),
    "rating": ("sam", *DIMENSIONS, "participant", "time", "age"),
}


class TimedCommand(NamedTuple):
    """A command, and the sentence on the clock that its time is from."""

    command: Command
    clock: str


def parse(kind: str, content: Mapping[str, Any], clock: Clock) -> TimedCommand:
    """Return the command in a JSON object.

    Parameters
    ----------
    kind
        ``marker``: ``{"label": "film 3"}``; ``rating``: ``{"sam": [7, 3, 5]}`` on a
        scale of 1 to 9, or ``{"arousal": 0.4}`` on [-1, 1]. Both take ``participant``,
        and either ``time``, the sender's Unix time (s), or ``age``, the time that has
        passed since the event (s).
    content
        The object.
    clock
        The session clock.

    Raises
    ------
    ValueError
        If a field is unknown or not valid.
    """
    known = _FIELDS[kind]
    if unknown := [k for k in content if k not in known]:
        fields = ", ".join(known)
        raise ValueError(f"a {kind} has no field {unknown[0][:40]!r}; it has {fields}")
    age, source = _age(content)
    at = clock.now() - age * clock.speed
    participant = _text(content, "participant")
    if kind == "marker":
        label = "".join(c for c in _text(content, "label") if c.isprintable()).strip()
        return TimedCommand(Command("mark", at, label, (), participant), source)
    label, values = _rating(content)
    return TimedCommand(Command("rate", at, label, values, participant), source)


def _age(content: Mapping[str, Any]) -> tuple[float, str]:
    """Return the time since the event (s), and the clock that says so."""
    if "time" in content and "age" in content:
        raise ValueError("give either 'time' or 'age', not both")
    if "age" in content:
        age = _number(content["age"], "age")
        if not 0 <= age <= _OLDEST:
            raise ValueError(f"age lies from 0 to {_OLDEST:g} s, not at {age:g} s")
        return age, "arrival of the request, less the age that it states"
    if "time" not in content:
        return 0.0, "arrival of the request on the session's computer"
    age = time.time() - _number(content["time"], "time")
    if not -_AHEAD <= age <= _OLDEST:
        direction = "ahead of" if age < 0 else "behind"
        raise ValueError(
            f"time is {abs(age):.3f} s {direction} this computer's Unix clock: give "
            "Unix time in seconds, of this computer or a synchronised one, or 'age'"
        )
    return max(age, 0.0), "Unix clock of the sender, taken as equal to this computer's"


def _rating(content: Mapping[str, Any]) -> tuple[str, tuple[float, ...]]:
    """Return the kind and the values of a rating."""
    if "sam" not in content:
        return CONTINUOUS, tuple(_value(content.get(d), d) for d in DIMENSIONS)
    if extra := [d for d in DIMENSIONS if d in content]:
        raise ValueError(f"give either 'sam' or {extra[0]!r}, not both")
    given = content["sam"]
    if not isinstance(given, list) or len(given) > len(DIMENSIONS):
        raise ValueError("sam is a list of valence, arousal and dominance from 1 to 9")
    values = [_value(v, "sam") for v in given]
    values += [math.nan] * (len(DIMENSIONS) - len(values))
    return SAM, tuple(from_sam(values))


def _value(value: Any, name: str) -> float:
    return math.nan if value is None else _number(value, name)


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is a number, not {str(value)[:40]!r}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} is a finite number")
    return number


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name, "")
    if not isinstance(value, str):
        raise ValueError(f"{name} is a text, not {str(value)[:40]!r}")
    if len(value) > LONGEST:
        raise ValueError(f"{name} has at most {LONGEST} characters, not {len(value)}")
    return value
