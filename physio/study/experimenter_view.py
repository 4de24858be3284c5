"""Experimenter's view in the terminal: the condition, its questions, and keys."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from physio.core.events import Item
from physio.core.protocols import Command, View
from physio.online.session import Session
from physio.study.protocol_runner import ProtocolRunner
from physio.view.terminal.keyboard import Keyboard, Keys
from physio.view.terminal.live import Terminal

_EVERY = 0.25  # s between two redraws


@dataclass
class ExperimenterView(View):
    """Terminal view of condition, prompt, remaining time and question, with keys.

    Digits answer a question, ``p`` pauses and continues the condition, ``m`` begins the
    input of a marker label, and ``q`` ends the session early.

    Parameters
    ----------
    runner
        The protocol of the session.
    session
        The session.
    console
        The terminal. Nothing is drawn if the output is not a terminal.
    """

    runner: ProtocolRunner
    session: Session
    console: Console = field(default_factory=Console)
    message: str = ""

    def __post_init__(self) -> None:
        streams = [health.info for health in self.session.health.values()]
        self._streams = Terminal(streams, self.session.begin)
        self._keyboard = Keyboard()
        self._keyboard.keys = Keys("p")
        self._stack = ExitStack()
        self._live: Live | None = None
        self._next = 0.0

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._stack.enter_context(self._keyboard)
            live = Live(console=self.console, auto_refresh=False, screen=True)
            self._live = self._stack.enter_context(live)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def take(self, item: Item, now: float | None = None) -> None:
        """Take in an item of the session."""
        if self._live is not None:
            self._streams.take(item, now)

    def due(self) -> bool:
        """Always True: the time that is left changes."""
        return True

    def show(self, now: float, latency_ms: Sequence[float] = ()) -> None:  # noqa: ARG002
        """Draw the state of the protocol."""
        if self._live is not None and now >= self._next:
            self._next = now + _EVERY
            self._live.update(self.render(), refresh=True)

    def commands(self) -> list[Command]:
        """Return the commands for the session; digits and ``p`` go to the runner."""
        if self._live is None:
            return []
        commands = self._keyboard.commands(self.session.clock.now())
        return [c for c in commands if not (c.kind == "mark" and self._press(c.label))]

    def _press(self, key: str) -> bool:
        """Pass a key to the runner; return True if the runner uses it."""
        if not (key.isdigit() or key == "p"):
            return False
        try:
            if key == "p":
                self.runner.pause()
            else:
                self.runner.take(float(key))
            self.message = ""
        except ValueError as error:
            self.message = str(error)
        return True

    def tell(self, line: str) -> None:
        """Show a line below the question."""
        self.message = line

    def render(self) -> Group:
        """Return the content of the view."""
        runner = self.runner
        condition = runner.condition
        done = f"{runner.index + 1} of {len(runner.conditions)}"
        lines = [Text(f"{condition or 'soon'}  ({done})", style="bold")]
        question = runner.question
        if question is not None:
            asked, item = question
            lines.append(Text(f"{asked.title}: {asked.items[item]}"))
            ends = f"{asked.low} {asked.anchors[0]} ... {asked.high} {asked.anchors[1]}"
            lines.append(Text(ends, style="dim"))
        elif runner.state in {"condition", "paused"}:
            if condition:
                lines.append(Text(runner.design.conditions[condition].prompt))
            minutes, seconds = divmod(int(runner.remaining), 60)
            paused = "  paused: p goes on" if runner.state == "paused" else ""
            lines.append(Text(f"{minutes}:{seconds:02d} left{paused}"))
        if self.message:
            lines.append(Text(self.message, style="red"))
        lines.append(Text("1-9 answer   p pause   q end", style="dim"))
        return Group(Panel(Group(*lines)), self._streams.screen())
