"""Durations of events: from their channels, from paired markers, from conditions."""

import re
from typing import Final

import numpy as np

from physio.core.block import Array
from physio.core.events import Events
from physio.core.recording import Recording

RULE: Final = (
    "Until the end or for the duration that the event states; a marker that begins "
    "something (begin or start, as its first or last word) lasts until the marker of "
    "its end (end, stop or over), or else until the next beginning; a condition lasts "
    "until the next one; all other events are 0 s long."
)
"""Rule of `event_ends` in words, for the description of exported events."""

_BEGIN: Final = frozenset({"begin", "begins", "start", "starts"})
_END: Final = frozenset({"end", "ends", "stop", "stops", "over"})
_WORDS: Final = re.compile(r"[\s_:/-]+")


def event_ends(recording: Recording, name: str) -> Array:
    """Return the end of each event of a labelled stream (s, session clock), (n,).

    See `RULE`. An event without a duration ends at its time. No event ends after the
    recording, or before it begins.
    """
    events = recording.events[name]
    times, names = np.asarray(events.times), events.info.names
    if "end" in names:
        ends = events.data[:, names.index("end")]
    elif "seconds" in names:
        ends = times + events.data[:, names.index("seconds")]
    elif name.endswith(".conditions"):
        ends = np.append(times[1:], recording.end)
    else:
        ends = _paired(events, recording.end)
    ends = np.where(np.isfinite(ends), ends, times)
    return np.maximum(times, np.minimum(ends, max(recording.end, *times, 0.0)))


def _paired(events: Events, end: float) -> Array:
    """Return the times of the markers that end what others begin."""
    ends = np.array(events.times)
    parts = [marker_part(text) for text in events.labels]
    for i, part in enumerate(parts):
        if part is None or part[0] != "begin":
            continue
        later = range(i + 1, len(parts))
        begins = [k for k in later if parts[k] and parts[k][0] == "begin"]  # type: ignore[index]
        again = next((k for k in begins if parts[k] == part), len(parts))
        match = ("end", *part[1:])
        closing = next((k for k in later if k < again and parts[k] == match), None)
        if closing is None and begins:
            closing = begins[0]
        ends[i] = end if closing is None else events.times[closing]
    return ends


def marker_part(label: str) -> tuple[str, str, bool] | None:
    """Return begin or end, the name, and whether that word is first; None for others.

    A marker that is one word alone, ``"start"``, has an empty name.
    """
    words = [w for w in _WORDS.split(label.casefold()) if w]
    if not words:
        return None
    for is_first in (True, False):
        word, others = (words[0], words[1:]) if is_first else (words[-1], words[:-1])
        for kind, known in (("begin", _BEGIN), ("end", _END)):
            if word in known:
                return kind, " ".join(others), is_first
    return None
