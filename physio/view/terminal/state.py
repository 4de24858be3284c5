"""State of a session as the terminal shows it: stream statistics, estimates, events."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from physio.core.block import Block, StreamInfo
from physio.core.events import Events, Item
from physio.core.recording import MARKERS, STREAM_TIMEOUT, base_name, computed
from physio.view.labels import OriginLabel, estimated_dimensions, origin_labels
from physio.view.stream_stats import EventLog, StreamStats

TRUTH: Final = ".truth"
"""Suffix of the stream with a simulated participant's true affect."""

_TREND: Final = 60  # s of estimates in a sparkline


@dataclass
class ParticipantPanel:
    """Newest computed data of one participant.

    Parameters
    ----------
    features, estimates, truth
        The newest blocks; None without any. ``truth`` is the true affect of a
        simulated participant.
    trend
        The newest estimates of each dimension.
    """

    features: Block | None = None
    estimates: Block | None = None
    truth: Block | None = None
    trend: dict[str, deque[float]] = field(default_factory=dict)

    def take(self, block: Block) -> None:
        """Add a block of features or estimates."""
        if computed(block.info.name) == "features":
            self.features = block
            return
        self.estimates = block
        for name in estimated_dimensions(block.info):
            size = int(_TREND * block.info.rate) + 1
            trend = self.trend.setdefault(name, deque(maxlen=size))
            trend.extend(block.column(name).tolist())


@dataclass
class TerminalState:
    """Statistics, computed data and events of a session.

    Parameters
    ----------
    begin
        Begin of the session (s, session clock); None: the first item sets it.
    """

    begin: float | None = None
    now: float = field(default=float("nan"), init=False)
    """Present time (s, session clock)."""
    progress: str = field(default="", init=False)
    """State of a computation that is behind; empty if it is not."""
    latency_ms: Sequence[float] = field(default=(), init=False, repr=False)
    """Computation times of the newest estimates (ms)."""
    stats: dict[str, StreamStats] = field(default_factory=dict, init=False)
    panels: dict[str, ParticipantPanel] = field(default_factory=dict, init=False)
    """Computed data by participant code."""
    log: EventLog = field(default_factory=EventLog, init=False)
    missing: set[str] = field(default_factory=set, init=False)
    """Names of streams that timed out without any sample."""
    _truths: dict[str, Block] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self.begin is not None:
            self.now = self.begin

    @property
    def elapsed(self) -> float:
        """Time since the session began (s)."""
        return self.now - (self.now if self.begin is None else self.begin)

    @property
    def labels(self) -> list[OriginLabel]:
        """Badges of the origins of all streams."""
        blocks = [b for p in self.panels.values() for b in (p.features, p.estimates)]
        infos = [s.info for s in self.stats.values()]
        return origin_labels([*infos, *(b.info for b in blocks if b is not None)])

    def add_streams(self, infos: Iterable[StreamInfo]) -> None:
        """Add streams before their first sample."""
        for info in infos:
            if info.rate and not info.name.endswith(TRUTH):
                self.stats[info.name] = StreamStats(info)

    def advance(self, now: float) -> None:
        """Set the present time (s, session clock)."""
        self.now = now
        if self.begin is None:
            self.begin = now

    def take(self, item: Item) -> list[str]:
        """Add a block or events; return the texts of new lines of the log."""
        if self.now != self.now:
            self.advance(item.complete_until)
        if self.begin is None:
            self.begin = self.now
        if isinstance(item, Events):
            return self._take_events(item)
        code = item.info.participant
        if computed(item.info.name):
            if len(item):
                panel = self.panels.setdefault(code, ParticipantPanel())
                panel.take(item)
        elif item.info.name.endswith(TRUTH):
            if len(item):
                self._truths[code] = item
        else:
            return self._take_block(item)
        self._assign_truths()
        return []

    def _assign_truths(self) -> None:
        for code, panel in self.panels.items():
            truths = (b for who, b in self._truths.items() if code in {"", who})
            panel.truth = next(truths, None)

    def _take_block(self, block: Block) -> list[str]:
        name, time = block.info.name, block.complete_until
        stats = self.stats.setdefault(name, StreamStats(block.info))
        was_silent, newest = stats.silent, stats.newest_time
        lost = stats.take(block, self.now)
        if was_silent and not stats.silent:
            after = f" after {time - newest:.1f} s" if newest == newest else ""
            return self._add(time, f"{name} is back{after}", "green")
        if lost and self.log.lost(time, name, lost):
            return [self.log.last(1)[0].text]
        return []

    def _take_events(self, events: Events) -> list[str]:
        name, news = events.info.name, list[str]()
        for time, label in zip(events.times.tolist(), events.labels, strict=False):
            if name == STREAM_TIMEOUT:
                news += self._take_timeout(time, label)
            elif name == "session.status":
                news += self._add(time, label, "bold yellow")
            elif label:  # events without a label, such as beats, are not listed
                text = label if base_name(name) == MARKERS else f"{name}: {label}"
                self.log.mark(time, f"◆ {text}", "bold cyan")
                news.append(f"◆ {text}")
        return news

    def _take_timeout(self, time: float, stream: str) -> list[str]:
        stats = self.stats.get(stream)
        known = stream in self.missing if stats is None else stats.silent
        if stats is None:
            self.missing.add(stream)
        else:
            stats.silent = True
        return [] if known else self._add(time, f"{stream} is silent", "bold red")

    def _add(self, time: float, text: str, style: str) -> list[str]:
        return [text] if self.log.add(time, text, style) else []
