"""The live view in a terminal."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import numpy as np
from rich.console import Console
from rich.live import Live

from physio.core.block import Block, StreamInfo
from physio.core.events import Events, Item
from physio.core.protocols import Command, CommandSource
from physio.core.recording import STREAM_TIMEOUT, computed
from physio.view.labels import estimated_dimensions, origin_labels
from physio.view.stream_stats import EventLog, StreamStats
from physio.view.terminal.keyboard import Keyboard
from physio.view.terminal.layout import ParticipantPanel, TerminalLayout, status_line
from physio.view.terminal.sparklines import clock

TRUTH: Final = ".truth"
"""How the stream ends in which a simulated participant tells what they feel."""


@dataclass
class Terminal(CommandSource):
    """A session as it runs: streams, estimates with their error bars, what happened.

    On a terminal it is redrawn a few times a second and listens to keys; elsewhere it
    prints a plain line now and then.

    Parameters
    ----------
    streams
        What flows, so that a stream that never starts is seen as well.
    begin
        When the session began (s, session clock); by default, with the first item.
    participant
        Code of the participant.
    console
        Where to draw.
    tick
        The time by which to redraw (s), whatever the session clock does.
    every
        How often to redraw (s).
    plainly
        How often to print a line where there is no terminal (s).
    """

    streams: Iterable[StreamInfo] = ()
    begin: float | None = None
    participant: str = ""
    console: Console = field(default_factory=Console)
    tick: Callable[[], float] = time.monotonic
    every: float = 0.2
    plainly: float = 10.0
    meters: dict[str, StreamStats] = field(default_factory=dict, init=False)
    log: EventLog = field(default_factory=EventLog, init=False)
    participants: dict[str, ParticipantPanel] = field(default_factory=dict, init=False)
    _truths: dict[str, Block] = field(default_factory=dict, init=False)
    said: str = field(default="", init=False)
    _keyboard: Keyboard = field(default_factory=Keyboard, init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False)
    _live: Live | None = field(default=None, init=False)
    _now: float = field(default=float("nan"), init=False)
    _due: float = field(default=-np.inf, init=False)
    _latency: Sequence[float] = field(default=(), init=False, repr=False)
    _missing: set[str] = field(default_factory=set, init=False)
    _told: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        for info in self.streams:
            if info.rate and not info.name.endswith(TRUTH):
                self.meters[info.name] = StreamStats(info)
        if self.begin is not None:
            self._now = self.begin

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if self.console.is_terminal:
                stack.enter_context(self._keyboard)
                live = Live(
                    console=self.console,
                    auto_refresh=False,
                    screen=True,
                    vertical_overflow="crop",
                )
                self._live = stack.enter_context(live)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        drawn, self._live = self._live is not None, None
        if np.isnan(self._now):
            return
        # What was on the screen goes with it: leave the last state in sight.
        if drawn:
            self.console.print(self.screen())
        else:
            self._plain(status_line(self.screen()))

    def take(self, item: Item, now: float | None = None) -> None:
        """Take what a session yields, raw or computed, in order.

        Parameters
        ----------
        item
            A block or events.
        now
            The time (s, session clock), if it has moved since the last `show`.
        """
        if now is not None:
            self._now = now
        elif np.isnan(self._now):
            self._now = item.complete_until
        if self.begin is None:
            self.begin = self._now
        if isinstance(item, Events):
            self._happened(item)
        elif computed(item.info.name):
            self._computed(item)
        elif item.info.name.endswith(TRUTH):
            if len(item):
                self._truths[item.info.participant] = item
        else:
            self._arrived(item)

    def due(self) -> bool:
        """Tell whether `show` would draw now."""
        return self.tick() >= self._due

    def show(self, now: float, latency_ms: Sequence[float] = ()) -> None:
        """Redraw, if it is time to.

        Parameters
        ----------
        now
            The time (s, session clock).
        latency_ms
            How long each of the latest estimates took to compute (ms).
        """
        self._now = now
        if self.begin is None:
            self.begin = now
        self._latency = latency_ms
        if not self.due():
            return
        first = not np.isfinite(self._due)
        self._due = self.tick() + (self.every if self._live else self.plainly)
        for meter in self.meters.values():
            meter.drop_old(now)
        if self._live:
            self._live.update(self.screen(), refresh=True)
        elif not first:  # there is nothing to tell yet
            self._plain(status_line(self.screen()))

    def tell(self, line: str) -> None:
        """Keep a line in sight; where there is no screen, print it once."""
        self.said = line
        if not self._live:
            self._write(line)

    def commands(self) -> list[Command]:
        """Return the commands of the keys pressed since the last call; never wait.

        The keys 1 to 9 set markers of these names at once; ``m`` lets a label be typed;
        ``q`` ends the session.
        """
        return self._keyboard.commands(self._now) if self._live else []

    def screen(self) -> TerminalLayout:
        """Return what there is to see now."""
        infos = [m.info for m in self.meters.values()]
        panels = self.participants
        if len(panels) == 1:  # a code tells participants apart: one needs none
            panels = {"": panel for panel in panels.values()}
        for code, seen in self.participants.items():
            own = [b for who, b in self._truths.items() if code in {"", who}]
            seen.truth = own[0] if own else None
        shown = [
            b for s in self.participants.values() for b in (s.features, s.estimates)
        ]
        infos += [b.info for b in shown if b is not None]
        return TerminalLayout(
            now=self._now,
            begin=self.begin if self.begin is not None else self._now,
            participant=self.participant,
            labels=origin_labels(infos),
            stats=list(self.meters.values()),
            participants=panels,
            log=self.log.last(50),
            missing_streams=sorted(self._missing - set(self.meters)),
            latency_ms=_percentiles(self._latency),
            listening=self._keyboard.listening,
            entry=self._keyboard.keys.entry,
            notice=self.said,
            # Said here, for what `rich` wraps a screen in does not pass it on.
            height=self.console.size.height if self._live else None,
        )

    def _arrived(self, block: Block) -> None:
        name = block.info.name
        meter = self.meters.setdefault(name, StreamStats(block.info))
        was, since = meter.silent, meter.newest_time
        lost = meter.take(block, self._now)
        if was and not meter.silent:
            away = (
                f" after {block.complete_until - since:.1f} s" if since == since else ""
            )
            self._tell(block.complete_until, f"{name} is back{away}", "green")
        elif lost and self.log.lost(block.complete_until, name, lost):
            self._plain(self._entry(self.log.last(1)[0].text))

    def _computed(self, block: Block) -> None:
        if not len(block):
            return
        code = block.info.participant
        seen = self.participants.setdefault(code, ParticipantPanel())
        if computed(block.info.name) == "features":
            seen.features = block
            return
        seen.estimates = block
        for name in estimated_dimensions(block.info):
            # What a bar shows comes at most `rate` times a second: 60 s of it.
            room = int(60 * block.info.rate) + 1
            kept = seen.trend.setdefault(name, deque(maxlen=room))
            kept.extend(block.column(name).tolist())

    def _happened(self, events: Events) -> None:
        name = events.info.name
        for at, label in zip(events.times.tolist(), events.labels, strict=False):
            if name == STREAM_TIMEOUT:
                self._silent(at, label)
            elif name == "session.status":
                self._tell(at, label, "bold yellow")
            elif label:  # beats and the like have none: they are not news
                told = label if name == "session.markers" else f"{name}: {label}"
                self.log.mark(at, f"◆ {told}", "bold cyan")
                self._plain(self._entry(f"◆ {told}"))

    def _silent(self, at: float, stream: str) -> None:
        meter = self.meters.get(stream)
        known = stream in self._missing if meter is None else meter.silent
        if not known:
            self._tell(at, f"{stream} is silent", "bold red")
        if meter is None:
            self._missing.add(stream)
        else:
            meter.silent = True

    def _tell(self, at: float, text: str, style: str) -> None:
        if self.log.add(at, text, style):
            self._plain(self._entry(text))

    def _entry(self, text: str) -> str:
        begin = self._now if self.begin is None else self.begin
        return f"{clock(self._now - begin)}  {text}"

    def _plain(self, text: str) -> None:
        """Where there is no screen, print a line, and once what must be said."""
        if self._live:
            return
        for label in self.screen().labels:
            if label.badge not in self._told:
                self._told.add(label.badge)
                self._write(f"{label.badge}: {label.meaning}")
        self._write(text)

    def _write(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _percentiles(latency_ms: Sequence[float]) -> tuple[float, float] | None:
    if not len(latency_ms):
        return None
    half, most = np.percentile(latency_ms, [50, 99])
    return float(half), float(most)
