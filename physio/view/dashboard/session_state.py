"""All that a page may show of a session, live or recorded."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from physio.core.block import Block, StreamInfo
from physio.core.events import Events, Item
from physio.core.missing import missing_reason
from physio.core.recording import (
    CALIBRATION,
    MARKERS,
    MUTES,
    STREAM_TIMEOUT,
    Recording,
    base_name,
    computed,
)
from physio.core.stage import Stage, StageRunner
from physio.dsp.iir import Bandpass, Highpass
from physio.view.dashboard.figures.ring_buffer import RingBuffer
from physio.view.labels import DIMENSIONS
from physio.view.stream_stats import EventLog, StreamStats
from physio.view.terminal.live import TRUTH

FILTERS: Final[Mapping[str, Stage | None]] = {
    "as recorded": None,
    "1 to 40 Hz": Bandpass(1.0, 40.0),
    "above 0.5 Hz": Highpass(0.5),
}
"""How signals can be looked at; nothing is computed from the filtered ones."""

_QUIET: Final = (STREAM_TIMEOUT, "session.status", MUTES)
_LEAST: Final = 0.6  # s without a sample before a stream counts as lost
_REST, _OVER = "rest", "rest over"


class Marker(NamedTuple):
    """A happening with a name, at a time (s, session clock)."""

    time: float
    label: str


class Rating(NamedTuple):
    """How a participant rated themselves, at a time (s, session clock)."""

    time: float
    values: Mapping[str, float]
    participant: str = ""


class FilteredStream:
    """A stream as a filter leaves it, from the first sample that it is given."""

    def __init__(self, stage: Stage, info: StreamInfo, seconds: float) -> None:
        self.runner = StageRunner(stage, info)
        self.buffer = RingBuffer(self.runner.info, seconds)
        self._first: int | None = None

    def take(self, block: Block) -> None:
        """Filter a block."""
        if self._first is None:
            self._first = block.start
        epoch = block.t0 + self._first / float(block.info.rate)
        moved = Block(block.info, block.start - self._first, epoch, block.data)
        self.buffer.take(self.runner.push(moved))


@dataclass
class StreamView:
    """One stream as it is watched: its samples, and how they came."""

    buffer: RingBuffer
    stats: StreamStats
    filtered: dict[str, FilteredStream] = field(default_factory=dict)
    delays: deque[float] = field(default_factory=lambda: deque(maxlen=200))
    """How old the newest sample of each block was when it came (s)."""
    skipped: bool = False
    """Whether the view, not the line, may have lost what is missing next."""
    _block_interval: float = 0.1  # s between two blocks, of late
    _last_arrival: float = float("nan")

    def take(self, block: Block, at: float) -> None:
        """Put in a block that came at ``at`` (s, session clock)."""
        if self.skipped:
            self.stats.samples = block.start - self.stats.lost
            self.skipped = False
        self.stats.take(block, at)
        self.stats.drop_old(at)
        if not len(block):
            return
        self.buffer.take(block)
        self.delays.append(at - block.complete_until)
        if self._last_arrival == self._last_arrival:
            self._block_interval += 0.1 * (min(at - self._last_arrival, 5.0) - self._block_interval)
        self._last_arrival = at
        for filtered in self.filtered.values():
            filtered.take(block)

    def is_lost(self, now: float) -> bool:
        """Tell whether nothing has come for longer than this stream is used to."""
        if not self.delays:  # it was recorded, or never came
            times, _ = self.buffer.window(now - 2.0, now + 1e-6)
            return not len(times)
        age = self.stats.age(now)
        usual = float(np.median(self.delays))
        return bool(age > usual + max(_LEAST, 2.5 * self._block_interval))

    def filtered_buffer(self, name: str) -> RingBuffer:
        """Return the samples as a filter of `FILTERS` leaves them."""
        stage = FILTERS[name]
        if stage is None:
            return self.buffer
        if name not in self.filtered:
            try:
                filtered = FilteredStream(stage, self.buffer.info, self.buffer.seconds)
            except ValueError:  # the stream is too slow for it
                return self.buffer
            if (past := self.buffer.block()) is not None:
                filtered.take(past)
            self.filtered[name] = filtered
        return self.filtered[name].buffer


class SessionState:
    """A session as participants see it: what flows, what is computed, what happened.

    Parameters
    ----------
    seconds
        How much of the streams is kept (s),
    history
        and how much of what is computed from them.
    tick
        A clock that all processes of this machine share (s).
    """

    def __init__(
        self,
        seconds: float = 70.0,
        history: float = 900.0,
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds, self.history, self.tick = seconds, history, tick
        self.begin = float("nan")
        self.participant = ""
        self.who = ""
        self.config: Mapping[str, Any] = {}
        self.sources: dict[str, StreamView] = {}
        self.computed: dict[str, RingBuffer] = {}
        self.truths: dict[str, RingBuffer] = {}
        self.log = EventLog()
        self.marks: deque[Marker] = deque(maxlen=500)
        self.ratings: deque[Rating] = deque(maxlen=500)
        self.unlabelled: dict[str, deque[Marker]] = {}
        self.muted: set[str] = set()
        self.baseline_begins: deque[float] = deque(maxlen=20)
        self.known: deque[float] = deque(maxlen=20)
        """When a rest was ended, or an earlier one was told of (s)."""
        self.compute_ms: tuple[float, float] | None = None  # ms: half, 99 of 100
        self.estimate_delays: deque[float] = deque(maxlen=400)  # s, newest sample to estimate
        self.recorded_at = ""
        self.ended = ""
        self.dropped = 0
        self.at: float | None = None
        self._baseline_length = 0.0
        self._clock = (float("nan"), float("nan"), 1.0)

    @property
    def now(self) -> float:
        """The time (s, session clock): of the session, or where one looks."""
        if self.at is not None:
            return self.at
        now, tick, speed = self._clock
        return now + (self.tick() - tick) * speed if now == now else self._newest()

    @property
    def end(self) -> float:
        """When the newest sample of any stream was taken (s, session clock)."""
        return self._newest()

    @property
    def speed(self) -> float:
        """How many times as fast as the real one the session's time goes."""
        return self._clock[2]

    @property
    def infos(self) -> list[StreamInfo]:
        """What flows and what is computed."""
        baseline_ends = [s.buffer.info for s in self.sources.values()]
        return baseline_ends + [track.info for track in self.computed.values()]

    @property
    def participants(self) -> list[str]:
        """The codes of those about whom something is computed, in their order."""
        codes = (name.partition(".")[2] for name in self.computed)
        return sorted(dict.fromkeys(codes))

    @property
    def estimates(self) -> RingBuffer | None:
        """What is estimated of whom one looks at: `who`."""
        return self._computed_buffer("estimates")

    @property
    def features(self) -> RingBuffer | None:
        """What is computed for it."""
        return self._computed_buffer("features")

    @property
    def truth(self) -> RingBuffer | None:
        """What a simulated participant feels."""
        buffers = [t for code, t in self.truths.items() if self.who in {"", code}]
        return buffers[0] if buffers else None

    def rated(self, begin: float = -np.inf) -> list[Rating]:
        """Return how the one whom one looks at rated themselves, from ``begin`` on."""
        return [
            r
            for r in self.ratings
            if begin <= r.time <= self.now
            and (not self.who or r.participant in {"", self.who})
        ]

    def _computed_buffer(self, kind: str) -> RingBuffer | None:
        participants = self.participants
        selected = self.who if self.who in participants else (participants or [""])[0]
        return self.computed.get(f"{kind}.{selected}".rstrip("."))

    def update(self, about: Mapping[str, Any]) -> None:
        """Hear something about the session itself."""
        if "clock" in about:
            self._clock = tuple(about["clock"])
        if "skipped" in about:
            for source in self.sources.values():
                source.skipped = True
        if "compute" in about:
            self.compute_ms = tuple(about["compute"])
        for name in (
            "begin",
            "participant",
            "config",
            "ended",
            "recorded_at",
            "dropped",
        ):
            if name in about:
                setattr(self, name, about[name])
        if "config" in about:
            self._baseline_length = baseline_seconds(self.config)

    def add_stream(self, info: StreamInfo) -> None:
        """Hear of a stream."""
        name = info.name
        if not info.rate:
            return
        if name.endswith(TRUTH):
            self.truths.setdefault(info.participant, RingBuffer(info, self.history))
        elif computed(name):
            if name not in self.computed:
                self.computed[name] = RingBuffer(info, self.history)
        elif name not in self.sources:
            self.sources[name] = StreamView(
                RingBuffer(info, self.seconds), StreamStats(info)
            )

    def take(self, item: Item, at: float) -> None:
        """Take what a session yields, raw or computed, in order.

        Parameters
        ----------
        item
            A block or events.
        at
            When it came (s, session clock).
        """
        if isinstance(item, Events):
            self._take_events(item)
            return
        name = item.info.name
        self.add_stream(item.info)
        if name.endswith(TRUTH):
            self.truths[item.info.participant].take(item)
        elif kind := computed(name):
            self.computed[name].take(item)
            if kind == "estimates" and len(item):
                self.estimate_delays.append(at - item.complete_until)
        else:
            self._take_block(name, item, at)

    def baseline_period(self) -> tuple[float, float]:
        """Return since when the present rest goes on (s), and how long it takes (s).

        What is estimated before it is over does not know the participant yet.
        """
        length = self._baseline_length
        buffer = self.estimates
        since = max((t for t in self.baseline_begins if t <= self.now), default=float("nan"))
        known = max((t for t in self.known if t <= self.now), default=float("nan"))
        if known == known and not since > known:
            return known - length, length
        if since != since and buffer is not None and len(buffer):
            times, rows = buffer.window(-np.inf, self.now)
            names = buffer.info.names
            at = [names.index(d) for d in DIMENSIONS if d in names]
            valid = np.flatnonzero(np.isfinite(rows[:, at]).any(axis=1))
            full = len(buffer) > 0.9 * self.history * float(buffer.info.rate)
            if len(valid):
                since = self.begin if full else float(times[valid[0]])
        return since, length

    @property
    def baseline_remaining(self) -> float:
        """How long the rest still takes (s); 0 if it is over, NaN if none began."""
        since, length = self.baseline_period()
        return float(np.maximum(0.0, since + length - self.now)) if length else 0.0

    def reasons(self, stream: str) -> dict[str, int]:
        """Return for each channel of a stream why its features are missing, 0 if not.

        The chains of one channel speak for all of its stream.
        """
        names = self.sources[stream].buffer.info.names
        worst = dict.fromkeys(names, 0)
        buffer = self.features
        if buffer is None or not len(buffer):
            return worst
        _, rows = buffer.window(self.now - 2, self.now + 1)
        if not len(rows):
            return worst
        codes = dict(
            zip(buffer.info.names, missing_reason(rows[-1]).tolist(), strict=True)
        )
        readers = self.config.get("chains", {})
        mine = [
            c.rpartition(".")[2]
            for c, r in readers.items()
            if r.get("stream") == stream
        ]
        for column, code in codes.items():
            chain, _, rest = column.partition(".")
            last = rest.rpartition(".")[2]
            if chain not in mine or last in ("window_start", "window_end", "missing"):
                continue
            affected = [last] if last in worst else names if len(names) == 1 else []
            for name in affected:
                worst[name] = max(worst[name], code)
        return worst

    def _take_block(self, name: str, block: Block, at: float) -> None:
        source = self.sources[name]
        silent, newest = source.stats.silent, source.stats.newest_time
        before = source.stats.lost
        source.take(block, at)
        if silent and not source.stats.silent:
            away = (
                f" after {block.complete_until - newest:.1f} s" if newest == newest else ""
            )
            self.log.add(block.complete_until, f"{name} is back{away}", "good")
        elif source.stats.lost > before:
            self.log.lost(block.complete_until, name, source.stats.lost - before)

    def _take_events(self, events: Events) -> None:
        name, columns = events.info.name, events.info.names
        rows = zip(events.times.tolist(), events.data.tolist(), strict=True)
        labels = events.labels or ("",) * len(events)
        for (at, values), label in zip(rows, labels, strict=True):
            if name == STREAM_TIMEOUT:
                self._take_timeout(at, label)
            elif name == MUTES:
                (self.muted.add if values[0] else self.muted.discard)(label)
                done = "left out" if values[0] else "taken in again"
                self.log.add(at, f"{label} is {done}", "warn")
            elif name == "session.status":
                self.log.add(at, label, "warn")
            elif set(columns) & set(DIMENSIONS):
                rated = dict(zip(columns, values, strict=True))
                self.ratings.append(Rating(at, rated, events.info.participant))
                self.log.mark(at, f"rated{': ' if label else ''}{label}", "mark")
            elif base_name(name) == CALIBRATION:
                self.known.append(at)
                self.log.add(at, "told of an earlier calibration", "good")
            elif label:
                self._take_marker(name, at, label)
            elif not name.startswith("session."):
                self.unlabelled.setdefault(name, deque(maxlen=5000)).append(Marker(at, ""))

    def _take_marker(self, name: str, at: float, label: str) -> None:
        text = label if base_name(name) == MARKERS else f"{name}: {label}"
        self.log.mark(at, text, "mark")
        self.marks.append(Marker(at, label))
        if base_name(name) == MARKERS and label in {_REST, _OVER}:
            (self.baseline_begins if label == _REST else self.known).append(at)

    def _take_timeout(self, at: float, stream: str) -> None:
        source = self.sources.get(stream)
        if source is not None and not source.stats.silent:
            source.stats.silent = True
            self.log.add(at, f"{stream} is silent", "bad")

    def _newest(self) -> float:
        times = [s.buffer.newest for s in self.sources.values() if len(s.buffer)]
        return max(times, default=float("nan"))


def state_of_recording(recording: Recording, computed_too: Iterable[Item] = ()) -> SessionState:
    """Return the session of a whole recording, looked at where `SessionState.at` says.

    Parameters
    ----------
    recording
        What was recorded.
    computed_too
        Features and estimates, where the recording does not hold them.
    """
    session = SessionState(recording.seconds + 60, recording.seconds + 60)
    session.begin = recording.begin
    session.participant = recording.metadata.get("participant", "")
    session.update({"config": json.loads(recording.metadata.get("config", "{}"))})
    for name, blocks in recording.streams.items():
        if not any(map(len, blocks)):
            session.add_stream(blocks[0].info)
            continue
        buffer = RingBuffer.of(blocks)
        if name.endswith(TRUTH):
            session.truths[buffer.info.participant] = buffer
        elif computed(name):
            session.computed[name] = buffer
        else:
            session.sources[name] = StreamView(buffer, recorded_stats(blocks))
    for events in recording.events.values():
        if events.info.name != STREAM_TIMEOUT:
            session.take(events, events.complete_until)
    for item in computed_too:
        session.take(item, item.complete_until)
    session.at = recording.end
    return session


def recorded_stats(blocks: Sequence[Block]) -> StreamStats:
    """Return how many samples of a recorded stream there are, and how many not."""
    stats = StreamStats(blocks[0].info)
    filled = [b for b in blocks if len(b)]
    stats.samples = sum(map(len, filled))
    stats.lost = filled[-1].stop - filled[0].start - stats.samples
    stats.newest_time = filled[-1].complete_until
    return stats


def baseline_seconds(config: Mapping[str, Any]) -> float:
    """Return how long a session's rest is (s): as said, or as in the training."""
    from physio.models import model_card

    table = config.get("estimator", {})
    if seconds := table.get("rest"):
        return float(seconds)
    lengths = []
    for expert in table.get("experts", ()):
        try:
            lengths.append(model_card.load(expert["weights"]).card.baseline)
        except (ValueError, OSError, KeyError):
            continue
    return max(lengths, default=0.0)
