"""Bad channels and bad spans, as annotations mark them: missing, with that reason."""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import ceil, inf
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array, Block, Channel
from physio.core.counted_nouns import counted
from physio.core.events import Events
from physio.core.missing import MissingReason

SEAM: Final = 0.1
"""Missing time at a boundary (s): longer than the gaps that filters bridge."""

_LISTED: Final = 5  # labels and channels in a note
_BOUNDARY: Final = re.compile(r"((bad|edge)[ _]?)?boundary\b.*|new segment\b.*")


class BadSpan(NamedTuple):
    """Begin (s after the first sample), duration (s), text and channels; () for all."""

    onset: float
    seconds: float
    text: str
    channels: tuple[str, ...] = ()

    @property
    def reason(self) -> MissingReason:
        """The reason why its samples are missing."""
        lost = self.text == "BAD_ACQ_SKIP"
        return MissingReason.NO_SIGNAL if lost else MissingReason.MARKED_BAD

    def rows(self, first: float, rate: float, n: int) -> slice:
        """Return its rows among ``n`` samples, the first at ``first`` (s)."""
        seconds = self.seconds if self.seconds > 0 else ceil(SEAM * rate) / rate
        begin = round((self.onset - first) * rate)
        end = round((self.onset + seconds - first) * rate)
        return slice(min(max(begin, 0), n), min(max(end, 0), n))


def is_bad(text: str, onset: float) -> bool:
    """Return whether an annotation excludes the samples under it, as in MNE.

    Texts that begin with ``bad`` do, in upper or lower case, as do boundaries between
    joined recordings, at which a signal is not continuous. ``BAD_NAN`` marks samples
    that are missing already.
    """
    lower = text.strip().lower()
    if _BOUNDARY.fullmatch(lower):
        return onset > 0
    return lower.startswith("bad") and text != "BAD_NAN"


def mark_samples(
    data: Array,
    channels: Sequence[Channel | None],
    spans: Sequence[BadSpan],
    rate: float,
    first: float = 0.0,
) -> None:
    """Replace the samples under bad spans by NaN, in place; codes of triggers stay.

    Parameters
    ----------
    data
        Samples, shape (n, channels); missing ones keep their reason.
    channels
        The channels; None for one that is not used.
    spans
        The bad spans.
    rate
        Sampling rate (Hz).
    first
        Time of the first row (s), on the clock of the spans.
    """
    for span in spans:
        rows = data[span.rows(first, rate, len(data))]
        for i, channel in enumerate(channels):
            if channel is None or (span.channels and channel.name not in span.channels):
                continue
            if channel.kind != "stim" or span.reason is MissingReason.NO_SIGNAL:
                rows[~np.isnan(rows[:, i]), i] = span.reason.nan


def mark_blocks(
    streams: Mapping[str, tuple[Block, ...]], spans: Sequence[BadSpan]
) -> dict[str, tuple[Block, ...]]:
    """Return streams whose samples under bad spans are missing."""
    marked = {}
    for name, blocks in streams.items():
        parts = []
        for block in blocks if spans else ():
            data, info = block.data.copy(), block.info
            first = float(block.times[0]) if len(block) else 0.0
            mark_samples(data, info.channels, spans, float(info.rate), first)
            parts.append(Block(info, block.start, block.t0, data, block.stamps))
        marked[name] = tuple(parts) or blocks
    return marked


def bad_notes(
    spans: Sequence[BadSpan], channels: Sequence[str], device: str
) -> list[str]:
    """Return sentences on what is missing because it is marked as bad."""
    notes = []
    if channels:
        notes.append(f"{device} marks {_listed(channels)} as bad: missing (marked bad)")
    marked = [s for s in spans if s.reason is MissingReason.MARKED_BAD]
    if marked:
        texts = _listed(dict.fromkeys(s.text for s in marked))
        seconds = sum(_union(marked))
        notes.append(
            f"{counted(len(marked), 'annotation')} of {device} ({texts}) "
            f"mark{'s' if len(marked) == 1 else ''} {seconds:.4g} s as bad: missing "
            "(marked bad)"
        )
    return notes


def unbounded_note(events: Events) -> str:
    """Return a sentence on markers of bad spans without a duration: nothing is missing.

    It is empty if there are none. Texts alone do not show where such a span ends.
    """
    bad = [
        text
        for text, time in zip(events.labels, events.times.tolist(), strict=False)
        if is_bad(text, time) and text.lower().startswith("bad")
    ]
    if not bad or {"end", "seconds"} & set(events.info.names):
        return ""
    return (
        f"{counted(len(bad), 'marker')} of {events.info.name} "
        f"({_listed(dict.fromkeys(bad))}) without a duration: no "
        "sample is marked as bad; exclude these times with a table of conditions, or "
        "store them as annotations with durations"
    )


def _union(spans: Sequence[BadSpan]) -> Iterator[float]:
    """Yield durations (s) that add up to the time under any of the spans."""
    until = -inf
    for span in sorted(spans):
        end = span.onset + (span.seconds if span.seconds > 0 else SEAM)
        yield max(end - max(span.onset, until), 0.0)
        until = max(until, end)


def _listed(names: Sequence[str] | Mapping[str, None]) -> str:
    listed = list(names)
    more = len(listed) - _LISTED
    return ", ".join(listed[:_LISTED]) + (f" and {more} more" if more > 0 else "")
