"""Edits of a recording by eye: their history, with undo, and those in effect."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from physio.core.counted_nouns import counted

MARKS: Final = ("bad", "exclude")
"""Kinds of edits with a begin and an end: bad spans, and excluded conditions."""

POINTS: Final = tuple(
    f"{action} {thing}"
    for thing in ("beat", "scr")
    for action in ("add", "delete", "move")
)
"""Kinds of edits of a heart beat or a response of the skin; a move has an end."""

STEPS: Final = ("undo", "redo", "unblind")
"""Kinds of entries that are no edits."""

COVERED: Final = 0.9
"""Share of a condition that excluded spans must cover to exclude it."""

_LONGEST: Final = 500  # characters of a reason


@dataclass(frozen=True)
class Edit:
    """An entry of a history.

    Parameters
    ----------
    number
        Number of the entry, from 1.
    kind
        One of `MARKS`, `POINTS` or `STEPS`.
    at
        Date and time of the entry (ISO 8601, UTC).
    rater
        Code of the rater.
    why
        Reason, in the rater's words.
    stream
        Name of the stream.
    channels
        Channels of a bad span, all of the stream by default; channel of a beat or SCR.
    begin
        Begin of a span, or time of a beat or of the onset of an SCR (s after the begin
        of the recording).
    end
        End of a span, or new time of a moved beat or SCR (s).
    of
        Number of the entry that is undone or redone.
    """

    number: int
    kind: str
    at: str
    rater: str
    why: str = ""
    stream: str = ""
    channels: tuple[str, ...] = ()
    begin: float = math.nan
    end: float = math.nan
    of: int = 0

    def __post_init__(self) -> None:
        if self.kind not in (*MARKS, *POINTS, *STEPS):
            raise ValueError(
                f"there is no edit {self.kind!r}: {', '.join((*MARKS, *POINTS))}"
            )
        if len(self.why) > _LONGEST:
            raise ValueError(
                f"the reason has {len(self.why)} characters: use at most {_LONGEST}"
            )
        if self.kind in STEPS:
            return
        has_end = self.kind in MARKS or self.kind.startswith("move")
        if not math.isfinite(self.begin) or (
            has_end and not (math.isfinite(self.end) and self.end != self.begin)
        ):
            # No times: a rater who is blind to the order reads these messages.
            raise ValueError(f"{self.kind} has no valid time")
        if self.kind in MARKS and not self.end > self.begin:
            raise ValueError("a span must end after its begin")
        if self.kind != "exclude" and not self.stream:
            raise ValueError(f"{self.kind} names no stream")
        if self.kind in POINTS and len(self.channels) != 1:
            raise ValueError(f"{self.kind} names {len(self.channels)} channels, not 1")

    def concerns(self, stream: str, channel: str = "") -> bool:
        """Return whether an edit is of a stream and, if one is given, of a channel."""
        if self.stream != stream:
            return False
        return not (channel and self.channels) or channel in self.channels

    def overlap(self, begin: float, end: float) -> tuple[float, float] | None:
        """Return the part of a span within two times (s); None without any."""
        first, last = max(self.begin, begin), min(self.end, end)
        return (first, last) if last > first else None


@dataclass(frozen=True)
class Edits:
    """Edits in effect, on the session clock (s), and the sentence that states them."""

    active: tuple[Edit, ...]
    sentence: str
    source: str = ""

    def of_kind(self, thing: str) -> tuple[Edit, ...]:
        """Return the edits of ``beat`` or ``scr``, or of a kind of `MARKS`."""
        return tuple(e for e in self.active if e.kind.rpartition(" ")[2] == thing)

    def excluded(self, begin: float, end: float) -> str:
        """Return the reason for which a rater excluded a condition; empty if none."""
        parts = [(e, e.overlap(begin, end)) for e in self.of_kind("exclude")]
        used = [(e, p) for e, p in parts if p is not None]
        if union_seconds(p for _, p in used) < COVERED * (end - begin):
            return ""
        first = used[0][0]
        return f"excluded by eye ({first.rater})" + (f": {first.why}" * bool(first.why))

    def marked_share(
        self,
        stream: str,
        channel: str,
        begin: float,
        end: float,
        parts: Collection[str] = (),
    ) -> float:
        """Return the share of a condition that is marked as bad (0 to 1).

        A channel that is computed from several, such as ``F4-F3`` or an acceleration
        from the axes ``parts``, counts as marked where one of them is.
        """
        names = [n for n in (channel, *channel.split("-"), *parts) if n]
        spans = [
            e
            for e in self.of_kind("bad")
            if e.stream == stream
            and (not e.channels or any(n in e.channels for n in names))
        ]
        overlaps = (e.overlap(begin, end) for e in spans)
        return union_seconds(o for o in overlaps if o) / max(end - begin, 1e-9)


@dataclass(frozen=True)
class EditHistory:
    """All entries of a rater on a recording, in order; nothing is ever removed.

    Parameters
    ----------
    recording
        Name of the recording.
    sha256
        Hash of its content.
    rater
        Code of the rater.
    seed
        Seed of the order in which the segments are shown.
    entries
        The entries.
    """

    recording: str
    sha256: str
    rater: str
    seed: int
    entries: tuple[Edit, ...] = field(default=())

    @property
    def undone(self) -> tuple[int, ...]:
        """Numbers of the entries that are undone, the last one last."""
        numbers: list[int] = []
        for entry in self.entries:
            if entry.kind == "undo":
                numbers.append(entry.of)
            elif entry.kind == "redo" and entry.of in numbers:
                numbers.remove(entry.of)
        return tuple(numbers)

    @property
    def active(self) -> tuple[Edit, ...]:
        """Edits in effect."""
        gone = set(self.undone)
        return tuple(
            e for e in self.entries if e.kind not in STEPS and e.number not in gone
        )

    @property
    def unblinded(self) -> tuple[Edit, ...]:
        """Entries with which conditions, markers and ratings were shown."""
        return tuple(e for e in self.entries if e.kind == "unblind")

    def with_entry(self, kind: str, at: str, **settings: Any) -> Self:
        """Return the history with a further entry.

        ``undo`` without ``of`` undoes the last edit in effect, ``redo`` the last undone
        one.

        Raises
        ------
        ValueError
            If the entry is invalid, or there is nothing to undo or redo.
        """
        number = len(self.entries) + 1
        entry = Edit(number, kind, at, self.rater, **settings)
        if kind in ("undo", "redo"):
            able = [e.number for e in self.active] if kind == "undo" else self.undone
            of = entry.of or (able[-1] if able else 0)
            if of not in able:
                raise ValueError(
                    f"edit {entry.of} cannot be {kind.removesuffix('o')}one: it is "
                    f"not {'in effect' if kind == 'undo' else 'undone'}"
                    if entry.of
                    else f"there is nothing to {kind}"
                )
            entry = replace(entry, of=of)
        if kind == "unblind" and not entry.why.strip():
            raise ValueError("state why conditions and markers are to be shown")
        return replace(self, entries=(*self.entries, entry))

    def on_clock(self, begin: float, source: str = "") -> Edits:
        """Return the edits in effect on the session clock.

        Parameters
        ----------
        begin
            Begin of the recording (s, session clock).
        source
            Name of the file.
        """
        moved = tuple(
            replace(e, begin=e.begin + begin, end=e.end + begin) for e in self.active
        )
        return Edits(moved, self.sentence(source), source)

    def sentence(self, source: str = "") -> str:
        """Return one sentence on the edits in effect, and on unblinding."""
        bad = [e for e in self.active if e.kind == "bad"]
        parts = []
        if bad:
            seconds = sum(e.end - e.begin for e in bad)
            parts.append(f"{counted(len(bad), 'bad span')} ({seconds:.4g} s)")
        for thing, noun in (("beat", "beat"), ("scr", "SCR")):
            number = sum(e.kind.endswith(f" {thing}") for e in self.active)
            parts += [counted(number, noun)] if number else []
        number = sum(e.kind == "exclude" for e in self.active)
        parts += [counted(number, "excluded condition")] if number else []
        at = f"{source}, " if source else ""
        text = (
            f"edited by eye ({at}rater {self.rater}): {', '.join(parts) or 'nothing'}"
        )
        if not self.unblinded:
            return f"{text}; the rater was blind to conditions"
        first = self.unblinded[0]
        later = sum(e.number > first.number for e in self.active)
        return (
            f"{text}; UNBLINDED on {first.at[:16].replace('T', ' at ')} "
            f"({first.why}), {later} of {counted(len(self.active), 'edit')} made after"
        )


def union_seconds(spans: Iterable[tuple[float, float]]) -> float:
    """Return the time under any of some spans (s)."""
    total, until = 0.0, -math.inf
    for begin, end in sorted(spans):
        total += max(end - max(begin, until), 0.0)
        until = max(until, end)
    return total
