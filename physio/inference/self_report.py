"""What participants say of themselves while a session runs: ratings, as events."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from physio.core.block import Channel
from physio.core.events import Events, event_stream
from physio.core.recording import RATINGS as NAME

DIMENSIONS: Final = ("valence", "arousal", "dominance")

RATINGS: Final = event_stream(NAME, *(Channel(d) for d in DIMENSIONS))
"""Ratings on [-1, 1], NaN for what was not said; the label tells of which kind."""

SAM: Final = "sam"
"""An answer to a prompt, about the last moments: the estimator learns from it."""

CONTINUOUS: Final = "rating"
"""A rating given all along, 0 to 4 a second: estimates are compared with it."""

STEPS: Final = 9  # of a SAM scale
_TYPED: Final = re.compile(r"\s*(sam|rate)\b[\s:=]*(.*)", re.IGNORECASE)


def rating(
    time: float, values: Sequence[float], kind: str = SAM, participant: str = ""
) -> Events:
    """Return a rating as an event.

    Parameters
    ----------
    time
        When it was given (s, session clock).
    values
        Valence, arousal, dominance on [-1, 1], NaN for what was not said.
    kind
        `SAM` or `CONTINUOUS`.
    participant
        Whose, in a session of several participants.

    Raises
    ------
    ValueError
        If a value is outside the scale, or nothing is said at all.
    """
    row = np.array(values, np.float64)
    if kind not in {SAM, CONTINUOUS}:
        raise ValueError(f"a rating is {SAM!r} or {CONTINUOUS!r}, not {kind!r}")
    if row.shape != (3,) or np.isnan(row).all():
        raise ValueError(
            f"a rating has valence, arousal and dominance, one of them at least, not "
            f"{list(values)}"
        )
    if bad := [v for v in row if not (np.isnan(v) or -1 <= v <= 1)]:
        raise ValueError(f"a rating lies from -1 to 1, not at {bad[0]:g}")
    info = replace(
        RATINGS, name=f"{NAME}.{participant}".rstrip("."), participant=participant
    )
    return Events(info, time, np.array([time]), row[None], (kind,))


def from_sam(values: Sequence[float], steps: int = STEPS) -> list[float]:
    """Return answers on a scale of 1 to ``steps`` as ratings on [-1, 1].

    Raises
    ------
    ValueError
        If an answer is outside the scale.
    """
    if bad := [v for v in values if not (np.isnan(v) or 1 <= v <= steps)]:
        raise ValueError(f"the scale goes from 1 to {steps}; {bad[0]:g} is not on it")
    middle = (steps + 1) / 2
    return [(v - middle) / (middle - 1) for v in values]


def typed(text: str, time: float, participant: str = "") -> Events | None:
    """Return the rating that a participant typed, or None if it is none.

    ``sam 7 3 5`` are valence, arousal and dominance of 1 to 9, about the last moments;
    ``rate 0.5 -0.2`` is how it is now, on [-1, 1]. What is left out, or ``-``, was not
    said.

    Raises
    ------
    ValueError
        If it is one, but outside its scale or not to be read.
    """
    found = _TYPED.fullmatch(text)
    if found is None:
        return None
    parts = found[2].replace(",", " ").split()
    try:
        values = [np.nan if p == "-" else float(p) for p in parts]
    except ValueError:
        return None  # a marker that begins with the same word
    if not values:
        return None
    if len(values) > len(DIMENSIONS):
        raise ValueError(f"a rating has at most 3 numbers; {text!r} has {len(values)}")
    values += [np.nan] * (len(DIMENSIONS) - len(values))
    if found[1].lower() == SAM:
        return rating(time, from_sam(values), SAM, participant)
    return rating(time, values, CONTINUOUS, participant)


def packed(values: Sequence[float], kind: str, participant: str = "") -> str:
    """Return a rating as a line that another program sends: see `unpacked`."""
    told = [None if np.isnan(v) else float(v) for v in values]
    return json.dumps({"rating": told, "kind": kind, "participant": participant})


def unpacked(line: str, time: float) -> Events | None:
    """Return the rating that a line holds, or None if it holds none.

    Raises
    ------
    ValueError
        As `rating`.
    """
    try:
        parts = json.loads(line)
        values = [np.nan if v is None else float(v) for v in parts["rating"]]
        kind, participant = (
            str(parts.get("kind", SAM)),
            str(parts.get("participant", "")),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return rating(time, values, kind, participant)
