"""Recordings: all streams and events of a session, and their order of arrival."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Events, Item, event_stream

STREAM_TIMEOUT = "session.stream_timeout"
"""Name of the stream of declared timeouts: see `stream_timeout`."""

STREAM_REJECTED = "session.stream_rejected"
"""Name of the stream of rejected streams: see `stream_rejected`."""

MARKERS = "session.markers"
"""Name of the stream of markers that were set while the session ran."""

BASELINE_START = "baseline start"
"""Label of the marker that begins a participant's resting baseline."""

BASELINE_END = "baseline end"
"""Label of the marker that ends it before its time."""

_BASELINE_0_1 = {"rest": BASELINE_START, "rest over": BASELINE_END}

RATINGS = "session.ratings"
"""Name of the stream of self-reports that were given while the session ran.

With several participants, the participant's code follows: ``"session.ratings.p1"``.
"""

MUTES = "session.mutes"
"""Name of the stream in which streams are excluded: see `mute`."""

CALIBRATION = "session.calibration"
"""Name of the stream of the calibrations that a session begins with."""

STATUS = "session.status"
"""Name of the stream of losses, failures and the reason of the end."""

MISSES = "session.misses"
"""Name of the stream of the answers of slow models that came too late.

Labels are the weights and the tick, ``"eegnet 1240"``. A replay begins with them, so
that it misses the same.
"""

RULES = "session.rules"
"""Name of the stream of the firings of rules, which a replay computes again."""

USER_INPUT = (MARKERS, RATINGS, MUTES, CALIBRATION)
"""Names of the session's streams that are input, as those of the devices are."""

_BEFORE = 2.0  # s, the longest interval that ends with an event

COMPUTED = ("features", "estimates")
"""Names of the streams that a session computes, besides the events of its chains.

With several participants, the participant's code follows: ``"estimates.p1"``.
"""


class Arrival(NamedTuple):
    """Entry of the timeline: ``n`` samples or events of one stream that arrived.

    ``start`` is the number of the first sample or event; ``t0`` is `Block.t0` or
    `Events.complete_until` (s, session clock).
    """

    stream: str
    start: int
    n: int
    t0: float


@dataclass(frozen=True)
class Recording:
    """All streams of one session.

    Parameters
    ----------
    streams
        The regular streams by name, each as one or more blocks in order, at least an
        empty one; samples between two blocks were lost.
    events
        The event streams by name, each complete.
    timeline
        Order of arrival, if it was recorded: a computation on this recording then
        repeats, bit for bit, the live computation.
    metadata
        Properties of the recording: ``source``, ``citation``, ``licence``,
        ``participant``, ``begin`` (s, session clock) ...
    """

    streams: Mapping[str, tuple[Block, ...]]
    events: Mapping[str, Events] = field(default_factory=dict)
    timeline: tuple[Arrival, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def infos(self) -> tuple[StreamInfo, ...]:
        """Description of each stream, the regular ones first."""
        regular = tuple(blocks[0].info for blocks in self.streams.values())
        return regular + tuple(e.info for e in self.events.values())

    @property
    def inputs(self) -> tuple[StreamInfo, ...]:
        """Input streams of the session, without its own and the computed ones.

        `COMPUTED` streams and those of the session itself (``session.``) are excluded,
        except for `USER_INPUT`. Where there is a timeline, streams that it does not
        name are excluded too, unless they have no data at all, and declared timeouts
        are included, because they are part of the order.
        """
        named = {arrival.stream for arrival in self.timeline}
        return tuple(i for i in self.infos if self._flowed(i.name, named))

    @property
    def begin(self) -> float:
        """Begin (s, session clock): from the metadata, or of the first sample.

        Without samples, a little before the first event.
        """
        if "begin" in self.metadata:
            return float(self.metadata["begin"])
        if blocks := self._filled():
            return min(float(b[0].times[0]) for b in blocks)
        events = [float(e.times[0]) for e in self.events.values() if len(e)]
        return max(min(events, default=0.0) - _BEFORE, 0.0)

    @property
    def date(self) -> datetime | None:
        """Date and time of the begin of the recording; None where it is unknown."""
        about = self.metadata
        try:
            if "begin_unix" in about:
                return datetime.fromtimestamp(float(about["begin_unix"]), UTC)
            began = datetime.fromisoformat(about.get("began", ""))
        except (ValueError, OverflowError, OSError):
            return None
        return began if began.tzinfo else began.replace(tzinfo=UTC)

    @property
    def end(self) -> float:
        """Time of the last sample, or of the last event without any sample (s)."""
        if blocks := self._filled():
            return max(b[-1].complete_until for b in blocks)
        events = [float(e.times[-1]) for e in self.events.values() if len(e)]
        return max(events, default=self.begin)

    @property
    def seconds(self) -> float:
        """Duration (s)."""
        return self.end - self.begin

    @property
    def misses(self) -> tuple[Events, ...]:
        """Late answers of slow models in the session, with which a replay begins."""
        named = [e for n, e in self.events.items() if base_name(n) == MISSES]
        return tuple(e for e in named if len(e))

    def arrivals(self, step: float = 1.0) -> Iterator[Item]:
        """Yield the items in recorded order, else by time in steps of ``step`` s."""
        yield from self._recorded() if self.timeline else self._by_time(step)

    def _flowed(self, name: str, named: set[str]) -> bool:
        if name in {STREAM_TIMEOUT, STREAM_REJECTED}:
            return bool(self.timeline)
        is_user_input = base_name(name) in USER_INPUT
        if computed(name) or (name.startswith("session.") and not is_user_input):
            return False
        empty = name in self.streams and not any(map(len, self.streams[name]))
        return not self.timeline or name in named or empty

    def _filled(self) -> list[tuple[Block, ...]]:
        blocks = (tuple(b for b in s if len(b)) for s in self.streams.values())
        return [b for b in blocks if b]

    def _recorded(self) -> Iterator[Item]:
        waiting = {name: iter(blocks) for name, blocks in self.streams.items()}
        for stream, start, n, epoch in self.timeline:
            if stream in waiting:
                yield next(waiting[stream])
                continue
            yield self.events[stream].part(start, start + n, epoch)

    def _by_time(self, step: float) -> Iterator[Item]:
        parts: list[tuple[float, int, Item]] = []
        for block in (b for blocks in self.streams.values() for b in blocks):
            for part in _cut(block, self.begin, step):
                parts.append((part.complete_until, len(parts), part))
        for e in self.events.values():
            for i in range(len(e)):
                event = e.part(i, i + 1, float(e.times[i]))
                parts.append((event.complete_until, len(parts), event))
        for _, _, item in sorted(parts, key=lambda p: p[:2]):
            yield item


def computed(name: str) -> str:
    """Return the name in `COMPUTED` of a stream of any participant, or ``""``."""
    base = name.partition(".")[0]
    return base if base in COMPUTED else ""


def baseline_marker(label: str) -> str:
    """Return `BASELINE_START` or `BASELINE_END` if a marker is one, ``""`` if not.

    Recordings of version 0.1 call them ``rest`` and ``rest over``.
    """
    label = _BASELINE_0_1.get(label, label)
    return label if label in {BASELINE_START, BASELINE_END} else ""


def base_name(name: str) -> str:
    """Return the name of a session's stream without a participant's code."""
    return ".".join(name.split(".")[:2])


def addressed(info: StreamInfo, participant: str) -> StreamInfo:
    """Return a stream of the session as that of one participant: ``"estimates.p1"``.

    The code stands in the name, so that names stay unique, and in
    `StreamInfo.participant`, where it is read. Without a code the stream stays.
    """
    if not participant:
        return info
    return replace(info, name=f"{info.name}.{participant}", participant=participant)


def several_participants(infos: Iterable[StreamInfo]) -> bool:
    """Tell whether streams that were computed are of several participants."""
    return len({info.participant for info in infos if computed(info.name)}) > 1


def stream_timeout(stream: str, until: float) -> Events:
    """Return the declaration that ``stream`` has no data up to ``until`` (s).

    Samples of that time that arrive later are recorded and used from the next tick on.
    """
    return Events(
        event_stream(STREAM_TIMEOUT),
        until,
        np.array([until]),
        np.empty((1, 0)),
        (stream,),
    )


def stream_rejected(stream: str, at: float) -> Events:
    """Return the declaration that ``stream`` is no longer processed.

    Its samples are recorded. From ``at`` (s) on, all values computed from it are
    missing (reason: no signal).
    """
    return Events(
        event_stream(STREAM_REJECTED), at, np.array([at]), np.empty((1, 0)), (stream,)
    )


def mute(stream: str, at: float, *, on: bool) -> Events:
    """Return the event that excludes ``stream`` from processing from ``at`` (s) on.

    Its samples are recorded. Until it is included again (``on`` False), all values
    computed from it are missing (reason: no signal).
    """
    info = event_stream(MUTES, Channel("on", "misc"))
    return Events(info, at, np.array([at]), np.array([[float(on)]]), (stream,))


def _cut(block: Block, begin: float, step: float) -> Iterator[Block]:
    """Yield the samples of each period of ``step`` s since ``begin``."""
    if not len(block):
        return
    periods = np.floor((block.times - begin) / step)
    yield from block.split((np.flatnonzero(np.diff(periods)) + 1).tolist())
