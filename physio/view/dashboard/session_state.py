"""State of a session, live or recorded, that the dashboard's figures and texts show."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.affect import DIMENSIONS
from physio.core.block import Array, Block, StreamInfo
from physio.core.events import Events, Item
from physio.core.json_table import stored_config
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import (
    BASELINE_START,
    CALIBRATION,
    MARKERS,
    MUTES,
    STREAM_TIMEOUT,
    Recording,
    base_name,
    baseline_marker,
    computed,
)
from physio.core.stage import Stage
from physio.view.dashboard.figures.ring_buffer import RingBuffer, missing_spans
from physio.view.dashboard.signal_events import MovedRunner, SignalEvents
from physio.view.dashboard.signal_kinds import FILTERS
from physio.view.labels import SCALE, estimated_dimensions, scale_names
from physio.view.plots.time_axes import ConditionInterval
from physio.view.stream_stats import EventLog, StreamStats
from physio.view.terminal.state import TRUTH

_MIN_SILENCE: Final = 0.6  # s without a sample before a stream counts as lost
_MASKED: Final = (
    int(MissingReason.ARTIFACT),
    int(MissingReason.POOR_QUALITY),
    int(MissingReason.MARKED_BAD),
)


class Marker(NamedTuple):
    """Labelled event at a time (s, session clock)."""

    time: float
    label: str


class Rating(NamedTuple):
    """Self-report of a participant at a time (s, session clock)."""

    time: float
    values: Mapping[str, float]
    participant: str = ""


class FilteredStream:
    """Filtered copy of a stream, from the first sample that it receives."""

    def __init__(self, stage: Stage, info: StreamInfo, seconds: float) -> None:
        self._runner = MovedRunner(stage, info)
        self.buffer = RingBuffer(self._runner.runner.info, seconds)

    def take(self, block: Block) -> None:
        """Filter a block."""
        self.buffer.take(self._runner.push(block))


@dataclass
class StreamView:
    """Samples and statistics of one displayed stream."""

    buffer: RingBuffer
    stats: StreamStats
    filtered: dict[str, FilteredStream] = field(default_factory=dict)
    events: SignalEvents | None = None
    """Beats or skin conductance responses; None until they are detected."""
    delays: deque[float] = field(default_factory=lambda: deque(maxlen=200))
    """Age of the newest sample of each block on arrival (s)."""
    _block_interval: float = 0.1  # s between two blocks, smoothed
    _last_arrival: float = float("nan")

    def take(self, block: Block, at: float) -> None:
        """Add a block that arrived at ``at`` (s, session clock)."""
        self.stats.take(block, at)
        self.stats.drop_old(at)
        if not len(block):
            return
        self.buffer.take(block)
        self.delays.append(at - block.complete_until)
        if self._last_arrival == self._last_arrival:
            interval = min(at - self._last_arrival, 5.0)
            self._block_interval += 0.1 * (interval - self._block_interval)
        self._last_arrival = at
        for filtered in self.filtered.values():
            filtered.take(block)
        if self.events is not None:
            self.events.take(block)

    def detect_events(self) -> None:
        """Detect the events of all samples, now and from now on."""
        events = SignalEvents(self.buffer.info)
        if events.kind and (past := self.buffer.block()) is not None:
            events.take(past)
        self.events = events

    def is_lost(self, now: float, speed: float = 1.0) -> bool:
        """Return True if no sample arrived for longer than usual for this stream.

        ``speed`` is that of the session clock relative to real time.
        """
        if not self.delays:  # recorded, or without any block
            times, _ = self.buffer.window(now - 2.0, now + 1e-6)
            return not len(times)
        age = self.stats.age(now)
        usual = float(np.median(self.delays))
        return bool(age > usual + max(_MIN_SILENCE * speed, 2.5 * self._block_interval))

    def filtered_buffer(self, name: str) -> RingBuffer:
        """Return the samples after a filter of `FILTERS`."""
        stage = FILTERS[name]
        if stage is None:
            return self.buffer
        if name not in self.filtered:
            try:
                filtered = FilteredStream(stage, self.buffer.info, self.buffer.seconds)
            except ValueError:  # the sampling rate is too low for this filter
                return self.buffer
            if (past := self.buffer.block()) is not None:
                filtered.take(past)
            self.filtered[name] = filtered
        return self.filtered[name].buffer


class SessionState:
    """State of a session as it is displayed: streams, computed streams, events.

    Parameters
    ----------
    seconds
        Time for which samples of raw streams are kept (s).
    history
        Time for which features and estimates are kept (s).
    tick
        Clock shared by all processes of this machine (s).
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
        self.selected = ""
        self.replies: deque[tuple[str, str]] = deque(maxlen=100)
        """Results of viewers' commands: sender, and reason for a refusal or ``""``."""
        self.config: Mapping[str, Any] = {}
        self.sources: dict[str, StreamView] = {}
        self.computed: dict[str, RingBuffer] = {}
        self.truths: dict[str, RingBuffer] = {}
        self.log = EventLog()
        self.marks: deque[Marker] = deque(maxlen=500)
        self.ratings: deque[Rating] = deque(maxlen=500)
        self.unlabelled: dict[str, deque[Marker]] = {}
        self.stated_conditions: dict[str, list[ConditionInterval]] = {}
        """Conditions by the event stream that states them; an end may be NaN."""
        self.muted: set[str] = set()
        self.baseline_begins: deque[float] = deque(maxlen=20)
        self.baseline_ends: deque[float] = deque(maxlen=20)
        """Ends of baselines, and times of restored calibrations (s)."""
        self.compute_ms: tuple[float, float] | None = None  # ms: median, p99
        self.estimate_delays: deque[float] = deque(maxlen=400)
        """Time from the newest sample to the estimate (s)."""
        self.recorded_at = ""
        self.ended = ""
        self.dropped = 0
        self.at: float | None = None
        self._baseline_length = 0.0
        self._clock = (float("nan"), float("nan"), 1.0)

    @property
    def now(self) -> float:
        """Displayed time (s, session clock): `at` in a recording, else the present."""
        if self.at is not None:
            return self.at
        now, tick, speed = self._clock
        return now + (self.tick() - tick) * speed if now == now else self._newest()

    @property
    def end(self) -> float:
        """Time of the newest sample of any stream (s, session clock)."""
        return self._newest()

    @property
    def speed(self) -> float:
        """Speed of the session clock relative to real time."""
        return self._clock[2]

    @property
    def infos(self) -> list[StreamInfo]:
        """Descriptions of all raw and computed streams."""
        infos = [s.buffer.info for s in self.sources.values()]
        return infos + [buffer.info for buffer in self.computed.values()]

    @property
    def participants(self) -> list[str]:
        """Codes of the participants of computed streams, sorted.

        Before these are known, they are those of the recorded streams.
        """
        raw = (source.buffer.info for source in self.sources.values())
        known = [buffer.info for buffer in self.computed.values()] or raw
        return sorted({info.participant for info in known})

    @property
    def estimates(self) -> RingBuffer | None:
        """Estimates of the participant `selected`."""
        return self._computed_buffer("estimates")

    @property
    def features(self) -> RingBuffer | None:
        """Features of the participant `selected`."""
        return self._computed_buffer("features")

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Estimated dimensions; `DIMENSIONS` while there is no estimator's stream."""
        buffer = self.estimates
        return DIMENSIONS if buffer is None else estimated_dimensions(buffer.info)

    @property
    def truth(self) -> RingBuffer | None:
        """Simulated affect of the participant `selected`, in a simulated session."""
        buffers = [t for code, t in self.truths.items() if self.selected in {"", code}]
        return buffers[0] if buffers else None

    def rated(self, begin: float = -np.inf) -> list[Rating]:
        """Return the ratings of the participant `selected` from ``begin`` (s) on."""
        return [
            r
            for r in self.ratings
            if begin <= r.time <= self.now
            and (not self.selected or r.participant in {"", self.selected})
        ]

    @property
    def conditions(self) -> list[ConditionInterval]:
        """Conditions so far, of the first stream that states any; all have an end."""
        rows = next(iter(self.stated_conditions.values()), [])
        begins = [*(r.begin for r in rows[1:]), self.now]
        ended = [
            row if row.end == row.end else row._replace(end=max(row.begin, after))
            for row, after in zip(rows, begins, strict=True)
        ] if rows else []  # fmt: skip
        return [row for row in ended if row.begin <= self.now or self.at is not None]

    def detect_events(self) -> None:
        """Detect beats and responses in all streams, as for a recording."""
        for view in self.sources.values():
            if view.events is None:
                view.detect_events()

    def is_lost(self, stream: str) -> bool:
        """Return True if no sample of a stream arrives any more."""
        return self.sources[stream].is_lost(self.now, self.speed)

    def _computed_buffer(self, kind: str) -> RingBuffer | None:
        codes = sorted(buffer.info.participant for buffer in self.computed.values())
        code = self.selected or next(iter(codes), "")
        for name, buffer in self.computed.items():
            if computed(name) == kind and buffer.info.participant == code:
                return buffer
        return None

    def update(self, about: Mapping[str, Any]) -> None:
        """Update the description of the session: clock, status, settings, outcome."""
        if "clock" in about:
            self._clock = tuple(about["clock"])
        if "reply" in about:
            sender, refusal = about["reply"]
            self.replies.append((str(sender), str(refusal)))
        if "skipped" in about:
            for source in self.sources.values():
                source.stats.skipped = True
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
        """Add a stream, unless it is known or irregular."""
        name = info.name
        if not info.rate:
            return
        if name.endswith(TRUTH):
            self.truths.setdefault(info.participant, RingBuffer(info, self.history))
        elif computed(name):
            if name not in self.computed:
                self.computed[name] = RingBuffer(info, self.history)
        elif name not in self.sources:
            view = StreamView(RingBuffer(info, self.seconds), StreamStats(info))
            view.detect_events()
            self.sources[name] = view

    def take(self, item: Item, at: float) -> None:
        """Add an item of the session, raw or computed; items come in order.

        Parameters
        ----------
        item
            A block or events.
        at
            Time of its arrival (s, session clock).
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
        """Return begin (session clock; NaN without any) and length of the baseline (s).

        Estimates before its end are not yet relative to the participant.
        """
        length = self._baseline_length
        begin = self._latest(self.baseline_begins)
        end = self._latest(self.baseline_ends)
        if end == end and not begin > end:
            return end - length, length
        return (begin if begin == begin else self._first_estimate(self.now)), length

    def before_baseline_end(self, times: Array) -> npt.NDArray[np.bool_]:
        """Return for each time (s) whether its estimate is withheld, shape (n,).

        It is withheld until the end of the baseline that had begun by then.
        """
        begin = _newest_before(self.baseline_begins, times)
        end = _newest_before(self.baseline_ends, times)
        ended = (end > -np.inf) & (begin <= end)
        begin[np.isinf(begin)] = self._first_estimate(np.inf)
        return ~ended & ~(times >= begin + self._baseline_length)

    def _first_estimate(self, until: float) -> float:
        """Return the time of the first estimate of any dimension or named scale (s).

        NaN without any; the begin of the session where the first ones are not kept.
        """
        buffer = self.estimates
        if buffer is None or not len(buffer):
            return float("nan")
        times, rows = buffer.window(-np.inf, until)
        scales = (f"{SCALE}{name}" for name in scale_names(buffer.info))
        columns = [buffer.info.names.index(n) for n in (*self.dimensions, *scales)]
        valid = np.flatnonzero(np.isfinite(rows[:, columns]).any(axis=1))
        if not len(valid):
            return float("nan")
        full = len(buffer) > 0.9 * self.history * float(buffer.info.rate)
        return self.begin if full else float(times[valid[0]])

    def _latest(self, times: Iterable[float]) -> float:
        return max((t for t in times if t <= self.now), default=float("nan"))

    @property
    def baseline_remaining(self) -> float:
        """Remaining time of the baseline (s); 0 after its end, NaN before its begin."""
        since, length = self.baseline_period()
        return float(np.maximum(0.0, since + length - self.now)) if length else 0.0

    def reasons(self, stream: str) -> dict[str, int]:
        """Return for each channel of a stream the `MissingReason` of its features.

        0 where all features are present. In a stream with a single channel, features
        without a channel name count for it.
        """
        names = self.sources[stream].buffer.info.names
        worst = dict.fromkeys(names, 0)
        buffer = self.features
        if buffer is None or not len(buffer):
            return worst
        _, rows = buffer.window(self.now - 2, self.now + 1)
        if not len(rows):
            return worst
        newest = missing_reason(rows[-1]).tolist()
        codes = dict(zip(buffer.info.names, newest, strict=True))
        for column, affected in self._affected(stream).items():
            for name in affected:
                worst[name] = max(worst[name], codes[column])
        return worst

    def masked_spans(
        self, stream: str, begin: float, end: float
    ) -> dict[str, list[tuple[float, float]]]:
        """Return for each channel the spans without features because of bad samples.

        Reasons: artifact, poor quality, marked bad. Spans (s, session clock) are at the
        time of the signal, without the features' declared delays.
        """
        spans: dict[str, list[tuple[float, float]]] = {
            n: [] for n in self.sources[stream].buffer.info.names
        }
        buffer = self.features
        if buffer is None or not len(buffer):
            return spans
        columns = self._affected(stream)
        late = {c: self._delay(buffer.info, c) for c in columns}
        longest = max(late.values(), default=0.0)
        times, rows = buffer.window(begin, end + longest + 1e-6)
        for column, affected in columns.items():
            values = rows[:, buffer.info.names.index(column)]
            bad = np.isin(missing_reason(values), _MASKED)
            if not bad.any():
                continue
            runs = missing_spans(times - late[column], bad)
            for name in affected:
                spans[name] += runs
        return spans

    @staticmethod
    def _delay(info: StreamInfo, column: str) -> float:
        return float(info.channels[info.names.index(column)].delay)

    def _affected(self, stream: str) -> dict[str, list[str]]:
        """Return the features of a stream, and the channels that each is about.

        In a stream with a single channel, features without a channel name are about it.
        """
        names = self.sources[stream].buffer.info.names
        buffer = self.features
        chains = {
            c.rpartition(".")[2]
            for c, reader in self.config.get("chains", {}).items()
            if reader.get("stream") == stream
        }
        columns: dict[str, list[str]] = {}
        for column in buffer.info.names if buffer is not None else ():
            chain, _, rest = column.partition(".")
            last = rest.rpartition(".")[2]
            if chain not in chains or last in ("window_start", "window_end", "missing"):
                continue
            affected = [last] if last in names else names if len(names) == 1 else ()
            columns[column] = list(affected)
        return columns

    def _take_block(self, name: str, block: Block, at: float) -> None:
        source = self.sources[name]
        silent, newest = source.stats.silent, source.stats.newest_time
        before = source.stats.lost
        source.take(block, at)
        if silent and not source.stats.silent:
            gap = block.complete_until - newest
            after = f" after {gap:.1f} s" if gap == gap else ""
            self.log.add(block.complete_until, f"{name} is back{after}", "good")
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
                action = "muted" if values[0] else "unmuted"
                self.log.add(at, f"{label} is {action}", "warn")
            elif name == "session.status":
                self.log.add(at, label, "warn")
            elif set(columns) & set(DIMENSIONS):
                rating = dict(zip(columns, values, strict=True))
                self.ratings.append(Rating(at, rating, events.info.participant))
                self.log.mark(at, f"rating{': ' if label else ''}{label}", "mark")
            elif base_name(name) == CALIBRATION:
                self.baseline_ends.append(at)
                self.log.add(at, "calibration restored from an earlier session", "good")
            elif label:
                self._take_marker(name, at, label)
                if name.endswith(".conditions"):
                    row = dict(zip(columns, values, strict=True))
                    end = row.get("end", at + row.get("seconds", np.nan))
                    stated = self.stated_conditions.setdefault(name, [])
                    stated.append(ConditionInterval(label, at, float(end)))
            elif not name.startswith("session."):
                points = self.unlabelled.setdefault(name, deque(maxlen=5000))
                points.append(Marker(at, ""))

    def _take_marker(self, name: str, at: float, label: str) -> None:
        text = label if base_name(name) == MARKERS else f"{name}: {label}"
        self.log.mark(at, text, "mark")
        self.marks.append(Marker(at, label))
        if base_name(name) == MARKERS and (edge := baseline_marker(label)):
            started = edge == BASELINE_START
            (self.baseline_begins if started else self.baseline_ends).append(at)

    def _take_timeout(self, at: float, stream: str) -> None:
        source = self.sources.get(stream)
        if source is not None and not source.stats.silent:
            source.stats.silent = True
            self.log.add(at, f"{stream} is silent", "bad")

    def _newest(self) -> float:
        times = [s.buffer.newest for s in self.sources.values() if len(s.buffer)]
        return max(times, default=float("nan"))


def _newest_before(events: Iterable[float], times: Array) -> Array:
    """Return the newest event (s) at each time, shape (n,); -inf before the first."""
    ordered = np.array([-np.inf, *sorted(events)])
    return ordered[np.searchsorted(ordered, times, side="right") - 1]


def state_of_recording(
    recording: Recording, computed_too: Iterable[Item] = ()
) -> SessionState:
    """Return the state of a whole recording, displayed at `SessionState.at`.

    Parameters
    ----------
    recording
        The recording.
    computed_too
        Features and estimates, if they are not in the recording.
    """
    session = SessionState(recording.seconds + 60, recording.seconds + 60)
    session.begin = recording.begin
    session.participant = recording.metadata.get("participant", "")
    session.update({"config": stored_config(recording.metadata)})
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
    """Return the numbers of recorded and of lost samples of a whole stream."""
    stats = StreamStats(blocks[0].info)
    filled = [b for b in blocks if len(b)]
    stats.samples = sum(map(len, filled))
    stats.lost = filled[-1].stop - filled[0].start - stats.samples
    stats.newest_time = filled[-1].complete_until
    return stats


def baseline_seconds(config: Mapping[str, Any]) -> float:
    """Return the length of a session's baseline (s): as set, or as in training."""
    from physio.models import model_card

    table = config.get("estimator", {})
    if seconds := table.get("baseline_seconds"):
        return float(seconds)
    lengths = []
    for expert in table.get("experts", ()):
        try:
            lengths.append(model_card.load(expert["weights"]).card.baseline)
        except (ValueError, OSError, KeyError):
            continue
    return max(lengths, default=0.0)
