"""Parsing and validation of commands to a running session.

Each source (keyboard, control socket, dashboard, markers of other programs, Python)
creates a `Command`. `physio.online.session.Session.execute` checks it with `validate`
and converts it to events.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from time import monotonic
from typing import Any, Final, get_args

import numpy as np

from physio.core.affect import DIMENSIONS
from physio.core.events import Events
from physio.core.protocols import Command, CommandKind
from physio.inference.self_report import CONTINUOUS, SAM, check, from_sam

KINDS: Final = get_args(CommandKind)
LONGEST: Final = 4096
"""Maximum length of a command as text (bytes)."""

LONGEST_WAIT: Final = 3600.0
"""Longest time for which a command may have waited to be read (s)."""

_TYPED: Final = re.compile(r"\s*(sam|rate)\b[\s:=]*(.*)", re.IGNORECASE)


def validate(
    command: Command, participants: Collection[str], streams: Collection[str]
) -> Command:
    """Return the validated command to execute.

    A marker with a text like ``sam 7 3 5`` becomes a rating: see `typed_rating`.

    Parameters
    ----------
    command
        Command from its source.
    participants
        Codes of the participants of the session, if any.
    streams
        Names of the regular streams of the devices.

    Raises
    ------
    ValueError
        If the command is unknown, a rating lies outside its scale, a participant or a
        stream is not part of the session, or a rating does not name one of several
        participants.
    """
    if command.kind not in KINDS:
        raise ValueError(
            f"there is no command {command.kind!r}; the commands are {', '.join(KINDS)}"
        )
    if command.kind == "mark":
        command = _marker(command)
    if command.kind == "rate":
        check(command.values)
        if len(participants) > 1 and not command.participant:
            raise ValueError(
                f"a rating is one participant's: say whose, {' or '.join(participants)}"
            )
    if command.participant and command.participant not in participants:
        known = ", ".join(participants)
        raise ValueError(
            f"nobody here is {command.participant!r}: there is {known}"
            if known
            else f"nobody here is {command.participant!r}: the participant of this "
            "session has no code, so leave it out"
        )
    if command.kind in {"mute", "unmute"} and command.label not in streams:
        known = ", ".join(streams) or "none at all"
        raise ValueError(
            f"cannot {command.kind} {command.label!r}: the streams are {known}"
        )
    return command


def typed_rating(text: str) -> tuple[str, list[float]] | None:
    """Return kind and values of a rating typed as text, or None for another text.

    ``sam 7 3 5`` rates valence, arousal and dominance of the last moments on a scale
    from 1 to 9; ``rate 0.5 -0.2`` rates the present affect on [-1, 1]. A value that is
    omitted or written ``-`` is missing.

    Raises
    ------
    ValueError
        If the text has too many numbers, or a number outside the scale from 1 to 9.
    """
    match = _TYPED.fullmatch(text)
    parts = match[2].replace(",", " ").split() if match else []
    try:
        values = [np.nan if p == "-" else float(p) for p in parts]
    except ValueError:
        return None  # a marker that begins with the same word
    if match is None or not values:
        return None
    if len(values) > len(DIMENSIONS):
        raise ValueError(f"a rating has at most 3 numbers; {text!r} has {len(values)}")
    values += [np.nan] * (len(DIMENSIONS) - len(values))
    if match[1].lower() == SAM:
        return SAM, from_sam(values)
    return CONTINUOUS, values


def rating_commands(events: Events, participant: str = "") -> list[Command]:
    """Return a command for each label that is a typed rating: see `typed_rating`.

    A driver returns them from `CommandSource.commands`, so that another program can
    send ratings as text markers.

    Parameters
    ----------
    events
        Events of a device, with labels.
    participant
        Code of the participant who uses the device.
    """
    markers = zip(events.times.tolist(), events.labels, strict=False)
    commands: list[Command] = []
    for time, label in markers:
        try:
            is_rating = typed_rating(label) is not None
        except ValueError:
            is_rating = True  # the session refuses it with a reason
        if is_rating:
            commands.append(Command("mark", time, label, (), participant))
    return commands


def encode(command: Command) -> str:
    """Return a command as a line of JSON: see `decode`.

    Its time is the present time on this computer's monotonic clock (s), ``sent``.
    """
    values = [None if np.isnan(v) else float(v) for v in command.values]
    parts = {
        "command": command.kind,
        "label": command.label,
        "values": values,
        "participant": command.participant,
        "sent": monotonic(),
    }
    return json.dumps(parts)


def decode(line: str, time: float, sender: str = "", speed: float = 0.0) -> Command:
    """Return the command in a line of JSON as of `encode`; other text is a marker.

    Its time is that of sending, if the line states it: the time that has passed since
    then is subtracted, at most `LONGEST_WAIT` and never less than 0.

    Parameters
    ----------
    line
        Line of text.
    time
        Present time (s, session clock).
    sender
        Address of the sender.
    speed
        Session seconds per second of real time; 0 for a clock of its own.
    """
    try:
        parts = json.loads(line)
    except (ValueError, RecursionError):
        parts = None
    if not isinstance(parts, Mapping) or "command" not in parts:
        return Command("mark", time, line, sender=sender)
    texts = [str(parts.get(key, "")) for key in ("command", "label", "participant")]
    kind, label, participant = texts
    values = _numbers(parts.get("values", ()))
    time -= speed * _waited(parts.get("sent"))
    return Command(kind, time, label, values, participant, sender)


def _waited(sent: Any) -> float:
    """Return the time since a command was sent (s); 0 if unknown or impossible."""
    if isinstance(sent, bool) or not isinstance(sent, int | float):
        return 0.0
    waited = monotonic() - sent
    return waited if 0.0 <= waited <= LONGEST_WAIT else 0.0


def _numbers(values: Any) -> tuple[float, ...]:
    """Return values with NaN for null; an empty tuple if not a list of numbers."""
    if not isinstance(values, Sequence):
        return ()
    try:
        return tuple(np.nan if v is None else float(v) for v in values)
    except (ValueError, TypeError):
        return ()


def _marker(command: Command) -> Command:
    """Return a marker, or the rating that its text encodes."""
    if not command.label.strip():
        raise ValueError("a marker needs a text, and this one has none")
    rating = typed_rating(command.label)
    if rating is None:
        return command
    kind, values = rating
    return command._replace(kind="rate", label=kind, values=tuple(values))
