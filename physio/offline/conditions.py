"""Conditions of a recording, from a sheet or from the events of the recording."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time, tzinfo
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from physio.core.event_durations import event_ends, marker_part
from physio.core.recording import MARKERS, Recording, computed
from physio.datasets.base import ConditionSpan
from physio.io.bad_spans import is_bad
from physio.offline.condition_sheet import ConditionRow, StatedTime, read_rows

__all__ = [
    "ConditionRow",
    "ConditionSheet",
    "ConditionSpan",
    "PlacedConditions",
    "read_conditions",
    "recorded_conditions",
    "time_zone",
]

STUDY: Final = "study.conditions"
"""Name of the stream with the conditions of a data set."""

_UNIX: Final = 1e9  # s; a larger number is a Unix time
_LAST_UNIX: Final = 1e11


class PlacedConditions(NamedTuple):
    """Conditions of a recording, and a sentence on each row that gives none.

    Parameters
    ----------
    spans
        The conditions, by their begin (s, session clock).
    problems
        Condition and sentence of each row that is not in the recording.
    notes
        Sentences on times that were interpreted.
    """

    spans: tuple[ConditionSpan, ...]
    problems: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


class ConditionSheet(NamedTuple):
    """The rows of a sheet, and the file."""

    path: Path
    rows: tuple[ConditionRow, ...]

    @classmethod
    def read(cls, path: str | Path) -> "ConditionSheet":
        """Read a sheet: CSV, TSV or XLSX with a row per participant and condition.

        Columns (in any order; `physio.offline.condition_sheet.NAMES` lists further
        names): ``participant`` or
        ``recording``, if the sheet is of several; ``condition``; ``begin`` with ``end``
        or ``seconds``; or ``begin_marker`` with ``end_marker`` or ``seconds``. Times
        are seconds after the beginning of the recording, Unix times, or clock times
        with or without date and zone. ``onset``, ``duration`` and ``trial_type`` are
        those of an ``events.tsv`` in BIDS.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If a column or a value is missing or invalid; the message names the row.
        """
        return cls(Path(path), read_rows(path))

    @property
    def participants(self) -> tuple[str, ...]:
        """Participants in the sheet, in the order of the rows."""
        return tuple(dict.fromkeys(r.participant for r in self.rows if r.participant))

    def participant_of(self, path: Path, stated: str = "") -> str:
        """Return the participant of a recording, as the sheet writes the code.

        The row that names the file decides; else the participant of the recording;
        else the participant whose code is a part of the file's name, or of the name of
        its folder. Empty if it is none of them.
        """
        for row in self.rows:
            if row.recording and row.participant and _is_file(row.recording, path):
                return row.participant
        codes = {_code(p): p for p in self.participants}
        if _code(stated) in codes and stated:
            return codes[_code(stated)]
        for name in (path.name.partition(".")[0], path.parent.name):
            words = [name, *re.split(r"[\s_.\-]+", name), *name.split("_")]
            for word in words:
                if _code(word) in codes:
                    return codes[_code(word)]
        return "" if codes else stated

    def place(
        self,
        recording: Recording,
        participant: str = "",
        *,
        path: Path | None = None,
        zone: tzinfo | None = None,
    ) -> PlacedConditions:
        """Return the conditions of a recording.

        Parameters
        ----------
        recording
            The recording.
        participant
            Its participant: rows of others are left out.
        path
            Its file: rows that name another file are left out.
        zone
            Zone of clock times without one; default: the clock of the recording, which
            is UTC for all that have a Unix time.
        """
        spans: list[ConditionSpan] = []
        problems: list[tuple[str, str]] = []
        naive = False
        for row in self.rows:
            if row.participant and _code(row.participant) != _code(participant):
                continue
            if row.recording and path is not None and not _is_file(row.recording, path):
                continue
            naive |= zone is None and _is_naive(row)
            try:
                spans += _spans(row, recording, zone)
            except ValueError as error:
                problems.append((row.condition, f"{row.at}: {error}"))
        notes = []
        if naive and "begin_unix" in recording.metadata:
            notes.append(
                f"{self.path.name}: clock times have no zone and are read as UTC, the "
                "clock of the recording; --zone gives another"
            )
        spans.sort(key=lambda span: (span.begin, span.end))
        return PlacedConditions(tuple(spans), tuple(problems), tuple(notes))


def read_conditions(
    path: str | Path,
    recording: Recording,
    *,
    participant: str = "",
    file: Path | None = None,
    zone: tzinfo | None = None,
) -> tuple[ConditionSpan, ...]:
    """Return the conditions of a recording that a sheet states (s, session clock).

    Parameters
    ----------
    path
        The sheet: see `ConditionSheet.read`.
    recording
        The recording.
    participant
        Its participant, if the sheet is of several; default: that of its metadata, or
        of the name of its file: see `ConditionSheet.participant_of`.
    file
        Its file.
    zone
        Zone of clock times without one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a row is invalid or lies outside of the recording, or no row is of the
        participant.
    """
    sheet = ConditionSheet.read(path)
    code = participant or recording.metadata.get("participant", "")
    if file is not None and not participant:
        code = sheet.participant_of(file, code) or code
    placed = sheet.place(recording, code, path=file, zone=zone)
    if placed.problems:
        raise ValueError(placed.problems[0][1])
    if not placed.spans:
        known = ", ".join(sheet.participants[:8]) or "none"
        raise ValueError(
            f"{path} has no row of the participant {code!r}; its participants are "
            f"{known}: name one of them"
        )
    return placed.spans


def recorded_conditions(recording: Recording) -> tuple[ConditionSpan, ...]:
    """Return the conditions that the events of a recording state (s, session clock).

    The conditions of a study come first; then the events with a duration and the
    markers from ``begin NAME`` (or ``start``) to ``end NAME``, where a marker without
    its end states none; then the conditions that a device states.
    """
    named = [n for n in recording.events if n.endswith(".conditions")]
    if STUDY in named:
        return _sorted(_with_durations(recording, STUDY))
    spans: list[ConditionSpan] = []
    for name, events in recording.events.items():
        is_foreign = not name.startswith("session.") or name.startswith(MARKERS)
        if not events.labels or computed(name) or not is_foreign or name in named:
            continue
        if {"end", "seconds"} & set(events.info.names):
            spans += _with_durations(recording, name)
        spans += _between_markers(events.times.tolist(), events.labels)
    for name in named if not spans else ():
        spans += _with_durations(recording, name)
    return _sorted(spans)


def time_zone(name: str) -> tzinfo | None:
    """Return a time zone by its name, ``Europe/Dublin``; None for an empty name.

    Raises
    ------
    ValueError
        If there is no such zone.
    """
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"there is no time zone {name!r}: give a name as Europe/Dublin or UTC"
        ) from None


def _sorted(spans: Iterable[ConditionSpan]) -> tuple[ConditionSpan, ...]:
    """Return distinct conditions by their begin."""
    distinct = {(s.name, s.begin, s.end): s for s in spans}
    return tuple(sorted(distinct.values(), key=lambda s: (s.begin, s.end)))


def _with_durations(recording: Recording, name: str) -> Iterator[ConditionSpan]:
    """Yield the events of a stream that last, without spans marked as bad."""
    events = recording.events[name]
    ends = event_ends(recording, name)
    for label, begin, end in zip(events.labels, events.times, ends, strict=False):
        if end > begin and label and not is_bad(label, float(begin)):
            yield ConditionSpan(label, float(begin), float(end))


def _between_markers(
    times: Sequence[float], labels: Sequence[str]
) -> Iterator[ConditionSpan]:
    """Yield the spans from a marker that begins something to that of its end."""
    began: dict[tuple[str, bool], float] = {}
    for at, label in zip(times, labels, strict=True):
        part = marker_part(label)
        if part is None or not part[1]:
            continue
        if part[0] == "begin":
            began[part[1:]] = at
        elif part[1:] in began:
            name = label.split(maxsplit=1)[1] if part[2] else label.rsplit(None, 1)[0]
            yield ConditionSpan(name.strip(), began.pop(part[1:]), at)


def _is_naive(row: ConditionRow) -> bool:
    return any(
        isinstance(t, datetime | time) and t.tzinfo is None
        for t in (row.begin, row.end)
    )


def _spans(
    row: ConditionRow, recording: Recording, zone: tzinfo | None
) -> list[ConditionSpan]:
    """Return the spans of a row; several if its marker occurs several times."""
    begins = (
        [_seconds(row.begin, recording, zone)]
        if row.begin is not None
        else _markers(recording, row.markers[0])
    )
    spans = []
    for k, begin in enumerate(begins):
        following = begins[k + 1] if k + 1 < len(begins) else math.inf
        if row.end is not None:
            end = _seconds(row.end, recording, zone, after=begin)
        elif row.markers[1]:
            later = [t for t in _markers(recording, row.markers[1]) if t > begin]
            if not later or later[0] > following:
                raise ValueError(
                    f"no marker {row.markers[1]!r} follows the begin at "
                    f"{begin - recording.begin:.1f} s: state an end or seconds"
                )
            end = later[0]
        else:
            end = begin + row.seconds
        if end <= begin:
            raise ValueError(
                f"{row.condition!r} ends {begin - end:g} s before it begins: exchange "
                "begin and end"
            )
        if end <= recording.begin or begin >= recording.end:
            raise ValueError(_outside(row, begin, end, recording))
        spans.append(ConditionSpan(row.condition, begin, end))
    return spans


def _outside(row: ConditionRow, begin: float, end: float, recording: Recording) -> str:
    lasts = f"lasts {recording.seconds:.0f} s"
    if recording.date is not None:
        lasts += f" from {recording.date.isoformat(timespec='seconds')}"
    zone = "; --zone gives the zone of clock times" if _is_naive(row) else ""
    return (
        f"{row.condition!r} from {begin - recording.begin:.1f} to "
        f"{end - recording.begin:.1f} s lies outside of the recording, which "
        f"{lasts}: correct the times{zone}"
    )


def _seconds(
    stated: StatedTime,
    recording: Recording,
    zone: tzinfo | None,
    after: float | None = None,
) -> float:
    """Return a stated time on the session clock (s)."""
    if isinstance(stated, float) and not _UNIX < abs(stated) < _LAST_UNIX:
        return recording.begin + stated
    began = recording.date
    if began is None:
        raise ValueError(
            f"{stated} is a clock time, but the recording has no date: state seconds "
            "after its beginning"
        )
    if isinstance(stated, float):
        return recording.begin + stated - began.timestamp()
    if isinstance(stated, time):
        local = began.astimezone(stated.tzinfo or zone or began.tzinfo)
        at = datetime.combine(local.date(), stated, stated.tzinfo or local.tzinfo)
        seconds = recording.begin + (at - began).total_seconds()
        # A time of day before the condition, or the recording, is of the next day.
        earliest = recording.begin - 43_200 if after is None else after
        return seconds + 86_400 if seconds < earliest else seconds
    at = stated if stated.tzinfo else stated.replace(tzinfo=zone or began.tzinfo)
    return recording.begin + (at - began).total_seconds()


def _markers(recording: Recording, label: str) -> list[float]:
    """Return the times of the markers of a label (s); raise if there is none."""
    labels: set[str] = set()
    times: list[float] = []
    for name, events in recording.events.items():
        if computed(name):
            continue
        labels.update(events.labels)
        times += [
            float(t)
            for t, text in zip(events.times, events.labels, strict=False)
            if text.strip() == label
        ]
    if times:
        return sorted(times)
    known = ", ".join(repr(text) for text in sorted(labels)[:8]) or "none"
    raise ValueError(
        f"the recording has no marker {label!r}; its markers are {known}: correct the "
        "label"
    )


def _is_file(stated: str, path: Path) -> bool:
    """Return whether a sheet names a file: by its path, its name or its stem."""
    given = Path(stated)
    names = {path.name, path.stem, path.name.partition(".")[0], str(path)}
    return stated in names or (len(given.parts) > 1 and path.match(stated))


def _code(participant: str) -> str:
    """Return a code without case, ``sub-`` and leading zeros of a number."""
    code = participant.strip().casefold().removeprefix("sub-")
    return code.lstrip("0") or code if code.isdecimal() else code
