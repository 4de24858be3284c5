"""Check that the streams of a recording belong to one session.

Times come from files and devices, so they are not trusted: whatever has the size of the
time between two of them is bounded here, for all readers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Block
from physio.core.events import Events
from physio.core.recording import Arrival, Recording
from physio.core.timing.dejitter import LONGEST_GAP

APART: Final = 1800.0
"""Time by which streams of one session may lie apart (s)."""

LONGEST: Final = 31 * 86_400.0
"""Longest session (s)."""

MOST_MISSING: Final = 2**27
"""Number of missing values of a stream that any recording may have ..."""

MISSING_RATIO: Final = 8
"""... and greatest ratio of missing to present values beyond it."""


_BACK: Final = 1.0  # s by which blocks of a stream may overlap
_MILLISECONDS: Final = 1e11  # Unix seconds in the year 5138; milliseconds in 1973


def unix_seconds(time: float) -> float:
    """Return a Unix time in seconds, also of one in milliseconds or less."""
    while abs(time) > _MILLISECONDS:
        time /= 1000
    return time


class Extent(NamedTuple):
    """Part of a stream without a gap longer than `LONGEST_GAP` (s)."""

    begin: float
    end: float
    stream: str


def check_clocks(recording: Recording) -> Recording:
    """Return the recording with events of its session only.

    Events of another clock, more than `APART` before or after all samples, are left
    out, or placed by their order of arrival where it was recorded. A sentence in
    ``metadata["warnings"]`` names them.

    Raises
    ------
    ValueError
        If a regular stream is of another session or clock: more than `APART` from all
        others, with a gap longer than `LONGEST_GAP`, or with a time that is no number;
        if nearly all its samples are missing; or if the session is longer than
        `LONGEST`.
    """
    extents = [e for blocks in recording.streams.values() for e in _extents(blocks)]
    if not extents:
        return recording
    main = _session(extents)
    begin, end = min(e.begin for e in main), max(e.end for e in main)
    if end - begin > LONGEST:
        raise ValueError(
            f"its samples span {duration_text(end - begin)}, from {main[0].stream} to "
            f"{main[-1].stream}; a session has at most {duration_text(LONGEST)}: "
            "correct the start of one, or keep them in separate files"
        )
    for blocks in recording.streams.values():
        _check_missing(blocks)
    if recording.timeline:
        return _placed_by_arrival(recording, begin, end)
    return _without_strays(recording, begin, end)


def _extents(blocks: Sequence[Block]) -> list[Extent]:
    """Return the parts of a stream."""
    parts: list[Extent] = []
    for block in (b for b in blocks if len(b)):
        name = block.info.name
        begin, end = float(block.times[0]), block.complete_until
        if not np.isfinite(begin) or not np.isfinite(end):
            raise ValueError(f"a time of {name} is no finite number")
        if parts and begin < parts[-1].end - _BACK:
            raise ValueError(
                f"the times of {name} go back by {duration_text(parts[-1].end - begin)}"
                "; correct its clock"
            )
        if parts and begin - parts[-1].end <= LONGEST_GAP:
            parts[-1] = parts[-1]._replace(end=max(end, parts[-1].end))
        else:
            parts.append(Extent(begin, end, name))
    return parts


def _session(extents: Sequence[Extent]) -> list[Extent]:
    """Return all parts, in order, if they belong to one session."""
    ordered = sorted(extents)
    groups = [ordered[:1]]
    for part in ordered[1:]:
        end = max(e.end for e in groups[-1])
        if part.begin - end > APART:
            groups.append([])
        groups[-1].append(part)
    if len(groups) == 1:
        return groups[0]
    main = max(groups, key=lambda g: sum(e.end - e.begin for e in g))
    other = groups[1] if main is groups[0] else groups[groups.index(main) - 1]
    names = ", ".join(dict.fromkeys(e.stream for e in other))
    reference = ", ".join(dict.fromkeys(e.stream for e in main))
    first, last = min(e.begin for e in main), max(e.end for e in main)
    begin, end = min(e.begin for e in other), max(e.end for e in other)
    lies = (
        f"begins {duration_text(begin - last)} after {reference} ends"
        if begin > last
        else f"ends {duration_text(first - end)} before {reference} begins"
    )
    raise ValueError(
        f"{names} {lies}: their clocks do not belong together; correct the start of "
        "one, or keep them in separate files"
    )


def check_starts(starts: Mapping[str, float], most: float) -> None:
    """Refuse files of one device that were not started together.

    Parameters
    ----------
    starts
        Start of each file (s).
    most
        Longest time between two of them (s).

    Raises
    ------
    ValueError
        If the starts lie further apart.
    """
    first, last = (
        min(starts, key=lambda k: starts[k]),
        max(starts, key=lambda k: starts[k]),
    )
    apart = starts[last] - starts[first]
    if apart > most:
        raise ValueError(
            f"{last} starts {duration_text(apart)} after {first}, but the files of one "
            "export start together: correct the start in its first line"
        )


def _check_missing(blocks: Sequence[Block]) -> None:
    """Refuse a stream most of whose samples are missing, by their numbers."""
    filled = [b for b in blocks if len(b)]
    if not filled:
        return
    present = sum(map(len, filled))
    missing = filled[-1].stop - filled[0].start - present
    width = max(1, len(filled[0].info.channels))
    if missing * width > max(MOST_MISSING, MISSING_RATIO * present * width):
        raise ValueError(
            f"{filled[0].info.name} has {present} samples, and {missing} are missing "
            "between them: its clock or its counter is wrong; correct its times"
        )


def _without_strays(recording: Recording, begin: float, end: float) -> Recording:
    """Return a recording without events far from all samples."""
    events, notes = {}, []
    for name, e in recording.events.items():
        near = _near(e.times, begin, end)
        if near.all():
            events[name] = e
            continue
        strays = e.times[~near]
        notes.append(
            f"{name}: {len(strays)} of {len(e)} events lie {_where(strays, begin, end)}"
            ": of another clock or session, they are left out"
        )
        rows = np.flatnonzero(near)
        until = float(e.times[rows[-1]]) if len(rows) else end
        labels = tuple(e.labels[i] for i in rows) if e.labels else ()
        events[name] = Events(e.info, until, e.times[rows], e.data[rows], labels)
    return _with_notes(replace(recording, events=events), notes) if notes else recording


def _placed_by_arrival(recording: Recording, begin: float, end: float) -> Recording:
    """Return a recording whose far events are placed by their order of arrival."""
    strays = {
        name
        for name, e in recording.events.items()
        if len(e) and not _near(e.times, begin, end).all()
    }
    if not strays:
        return recording
    waiting = {name: iter(blocks) for name, blocks in recording.streams.items()}
    times = {name: recording.events[name].times.copy() for name in strays}
    newest, timeline = begin, []
    for arrival in recording.timeline:
        if (blocks := waiting.get(arrival.stream)) is not None:
            block = next(blocks, None)
            if block is not None and len(block):
                newest = max(newest, block.complete_until)
        elif arrival.stream in strays:
            rows = slice(arrival.start, arrival.start + arrival.n)
            far = ~_near(times[arrival.stream][rows], begin, end)
            times[arrival.stream][rows][far] = newest
            if far.any() or not _near(np.array([arrival.t0]), begin, end).all():
                arrival = Arrival(*arrival[:3], newest)
        timeline.append(arrival)
    events = dict(recording.events)
    notes = []
    for name in strays:
        e = events[name]
        rising = np.maximum.accumulate(times[name])
        events[name] = replace(e, times=rising, complete_until=float(rising[-1]))
        moved = int((rising != e.times).sum())
        notes.append(
            f"{name}: {moved} of {len(e)} events lie {_where(e.times, begin, end)}: "
            "of another clock, they are placed by their arrival"
        )
    placed = replace(recording, events=events, timeline=tuple(timeline))
    return _with_notes(placed, notes)


def _near(times: Array, begin: float, end: float) -> npt.NDArray[np.bool_]:
    """Return a mask of the times within `APART` of a session."""
    return (times >= begin - APART) & (times <= end + APART)


def _where(times: Array, begin: float, end: float) -> str:
    """Return the place of the farthest of these times beside a session."""
    after, before = float(np.max(times)) - end, begin - float(np.min(times))
    if not after < np.inf or not before < np.inf:
        return "at no finite time"
    if after >= before:
        return f"up to {duration_text(after)} after the last sample"
    return f"up to {duration_text(before)} before the first sample"


def duration_text(seconds: float) -> str:
    """Return a duration in a unit that suits its size."""
    for size, unit in ((365.25 * 86_400, "years"), (86_400, "days"), (3600, "h")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _with_notes(recording: Recording, notes: Iterable[str]) -> Recording:
    """Return a recording with further sentences among its warnings."""
    before = recording.metadata.get("warnings", "")
    about = {
        **recording.metadata,
        "warnings": "; ".join([*filter(None, [before]), *notes]),
    }
    return replace(recording, metadata=about)
