"""What the participant who leads a session sees and presses, in the terminal."""

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
from physio.online.session import Session
from physio.study.protocol_runner import ProtocolRunner
from physio.view.terminal.keyboard import Keyboard, Keys
from physio.view.terminal.live import Terminal

_EVERY = 0.25  # s between two pictures


@dataclass
class ExperimenterView:
    """Shows the condition, its prompt, the time left and what is asked; takes keys.

    Digits answer what is asked, ``p`` pauses and goes on, ``q`` ends the session early.

    Parameters
    ----------
    course
        What the session goes through.
    session
        The session; it is stopped when the course is over.
    console
        Where it is shown; nothing is drawn where that is no terminal.
    """

    course: ProtocolRunner
    session: Session
    console: Console = field(default_factory=Console)
    said: str = ""

    def __post_init__(self) -> None:
        streams = [health.info for health in self.session.health.values()]
        self._streams = Terminal(streams, self.session.begin)
        self._keys = Keyboard()
        self._keys.keys = Keys("p")
        self._stack = ExitStack()
        self._live: Live | None = None
        self._due = 0.0

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._stack.enter_context(self._keys)
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
        """Hear what came."""
        if self._live is not None:
            self._streams.take(item, now)

    def due(self) -> bool:
        """Always: the course may be over at any item."""
        return True

    def show(self, now: float, latency_ms: Sequence[float] = ()) -> None:  # noqa: ARG002
        """Draw where the course is; stop the session when it is over."""
        if self.course.ended:
            self.session.stop("completed: every condition was done")
        if self._live is not None and now >= self._due:
            self._due = now + _EVERY
            self._live.update(self.picture(), refresh=True)

    def keys(self) -> list[str]:
        """Return ``quit``, if it was pressed; all else goes to the course."""
        if self._live is None:
            return []
        pressed = self._keys.read()
        for key in pressed:
            try:
                if key.isdigit():
                    self.course.take(float(key))
                elif key == "p":
                    self.course.pause()
                self.said = ""
            except ValueError as error:
                self.said = str(error)
        return [key for key in pressed if key == "quit"]

    def tell(self, line: str) -> None:
        """Say a line below what is asked."""
        self.said = line

    def picture(self) -> Group:
        """Return what is shown."""
        course = self.course
        done = f"{course.at + 1} of {len(course.conditions)}"
        lines = [Text(f"{course.condition or 'soon'}  ({done})", style="bold")]
        question = course.question
        if question is not None:
            asked, item = question
            lines.append(Text(f"{asked.title}: {asked.items[item]}"))
            ends = f"{asked.low} {asked.anchors[0]} ... {asked.high} {asked.anchors[1]}"
            lines.append(Text(ends, style="dim"))
        elif course.state in {"condition", "paused"}:
            lines.append(Text(course.design.conditions[course.condition].prompt))
            minutes, seconds = divmod(int(course.remaining), 60)
            paused = "  paused: p goes on" if course.state == "paused" else ""
            lines.append(Text(f"{minutes}:{seconds:02d} left{paused}"))
        if self.said:
            lines.append(Text(self.said, style="red"))
        lines.append(Text("1-9 answer   p pause   q end", style="dim"))
        return Group(Panel(Group(*lines)), self._streams.screen())
