"""Live view of a session in a terminal."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
from rich.console import Console
from rich.live import Live

from physio.core.block import StreamInfo
from physio.core.events import Item
from physio.core.printable import printable
from physio.core.protocols import Command, View
from physio.view.message_limit import MessageLimit
from physio.view.terminal.keyboard import Keyboard
from physio.view.terminal.layout import TerminalLayout, status_line
from physio.view.terminal.sparklines import clock
from physio.view.terminal.state import TerminalState


@dataclass
class Screen:
    """A console: full-screen with a keyboard on a terminal, else plain lines.

    Parameters
    ----------
    console
        The console.
    """

    console: Console
    keyboard: Keyboard = field(default_factory=Keyboard, init=False)
    _live: Live | None = field(default=None, init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False)

    def open(self) -> None:
        """Switch a terminal to full screen, and read its keyboard."""
        if not self.console.is_terminal:
            return
        with ExitStack() as stack:
            stack.enter_context(self.keyboard)
            live = Live(
                console=self.console,
                auto_refresh=False,
                screen=True,
                vertical_overflow="crop",
            )
            self._live = stack.enter_context(live)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Restore the terminal."""
        self._stack.close()
        self._live = None

    @property
    def is_live(self) -> bool:
        """True while the full screen is drawn."""
        return self._live is not None

    @property
    def height(self) -> int | None:
        """Number of lines of the full screen; None for plain lines."""
        return self.console.size.height if self.is_live else None

    def draw(self, layout: TerminalLayout) -> None:
        """Draw the full screen."""
        if self._live is not None:
            self._live.update(layout, refresh=True)

    def print_line(self, text: str) -> None:
        """Print a plain line."""
        text = printable(text)
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


@dataclass
class Terminal(View):
    """Live view of a session: streams, estimates with error bars, events.

    A terminal is redrawn a few times a second and its keys are read; on other outputs a
    plain line is printed at intervals.

    Parameters
    ----------
    streams
        Streams of the session, including streams that never start.
    begin
        Begin of the session (s, session clock); by default, that of the first item.
    participant
        Code of the participant.
    console
        The console to draw on.
    tick
        Clock of the redraws (s), independent of the session clock.
    every
        Time between two redraws (s).
    plainly
        Time between two plain lines (s).
    session_time
        Session clock (s), for the times of keys; by default the time of the last item.
    """

    streams: Iterable[StreamInfo] = ()
    begin: float | None = None
    participant: str = ""
    console: Console = field(default_factory=Console)
    tick: Callable[[], float] = time.monotonic
    every: float = 0.2
    plainly: float = 10.0
    session_time: Callable[[], float] | None = None
    state: TerminalState = field(init=False)
    notice: str = field(default="", init=False)
    """A line that stays visible."""
    _screen: Screen = field(init=False)
    _limit: MessageLimit = field(init=False, repr=False)
    _due: float = field(default=-np.inf, init=False)
    _printed_badges: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.state = TerminalState(self.begin)
        self.state.add_streams(self.streams)
        self._screen = Screen(self.console)
        self._limit = MessageLimit(tick=self.tick)

    def __enter__(self) -> Self:
        self._screen.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        drawn = self._screen.is_live
        self._screen.close()
        if np.isnan(self.state.now):
            return
        # The full screen is closed: print the last state.
        if drawn:
            self.console.print(self.screen())
        else:
            for line in (*self._limit.summary(), status_line(self.screen())):
                self._print(line)

    def take(self, item: Item, now: float | None = None) -> None:
        """Add an item of the session, raw or computed; items come in order.

        Parameters
        ----------
        item
            A block or events.
        now
            The time (s, session clock), if it has changed since the last `show`.
        """
        if now is not None:
            self.state.now = now
        for text in self.state.take(item):
            line = printable(text, keep="")
            for part in self._limit.admit(line):
                self._print(f"{clock(self.state.elapsed)}  {part}")

    def due(self) -> bool:
        """Return True if `show` would draw now."""
        return self.tick() >= self._due

    def show(self, now: float, latency_ms: Sequence[float] = ()) -> None:
        """Redraw, if it is due.

        Parameters
        ----------
        now
            The time (s, session clock).
        latency_ms
            Computation times of the newest estimates (ms).
        """
        self.state.advance(now)
        self.state.latency_ms = latency_ms
        if not self.due():
            return
        first = not np.isfinite(self._due)
        live = self._screen.is_live
        self._due = self.tick() + (self.every if live else self.plainly)
        for stats in self.state.stats.values():
            stats.drop_old(now)
        if live:
            self._screen.draw(self.screen())
        elif not first:  # nothing has been measured yet
            self._print(status_line(self.screen()))

    def tell(self, line: str) -> None:
        """Keep a line visible; without a full screen, print it once."""
        self.notice = line
        if not self._screen.is_live:
            self._screen.print_line(line)

    def commands(self) -> list[Command]:
        """Return the commands of the keys pressed since the last call; never wait.

        The keys 1 to 9 set markers of these names at once; ``m`` begins the input of a
        label; ``q`` ends the session.
        """
        if not self._screen.is_live:
            return []
        now = self.state.now if self.session_time is None else self.session_time()
        return self._screen.keyboard.commands(now)

    def report_progress(self, line: str) -> None:
        """Show the state of the computation; without a full screen, print it."""
        self.state.progress = line
        if line and not self._screen.is_live:
            self._print(line)

    def skip(self) -> None:
        """Count no losses before the next block of each stream."""
        for stats in self.state.stats.values():
            stats.skipped = True

    def screen(self) -> TerminalLayout:
        """Return the layout of the present state."""
        state, keyboard = self.state, self._screen.keyboard
        panels = state.panels
        if len(panels) == 1:  # a single participant is shown without a code
            panels = {"": next(iter(panels.values()))}
        return TerminalLayout(
            now=state.now,
            begin=state.now if state.begin is None else state.begin,
            participant=self.participant,
            labels=state.labels,
            stats=list(state.stats.values()),
            participants=panels,
            log=state.log.last(50),
            missing_streams=sorted(state.missing - set(state.stats)),
            latency_ms=_percentiles(self.state.latency_ms),
            listening=keyboard.listening,
            entry=keyboard.keys.entry,
            notice="  ".join(filter(None, (self.state.progress, self.notice))),
            # Set here, because `rich` does not pass it to the content of a screen.
            height=self._screen.height,
        )

    def _print(self, text: str) -> None:
        """Without a full screen, print a line, after badges not printed before."""
        if self._screen.is_live:
            return
        for label in self.state.labels:
            if label.badge not in self._printed_badges:
                self._printed_badges.add(label.badge)
                self._screen.print_line(f"{label.badge}: {label.meaning}")
        self._screen.print_line(text)


def _percentiles(latency_ms: Sequence[float]) -> tuple[float, float] | None:
    if not len(latency_ms):
        return None
    median, p99 = np.percentile(latency_ms, [50, 99])
    return float(median), float(p99)
