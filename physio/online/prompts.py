"""Timed instructions to a participant, with markers at their onsets."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from physio.core.block import StreamInfo
from physio.core.events import Item
from physio.core.protocols import Clock, Command, Device
from physio.online.session import MARKERS


class Step(NamedTuple):
    """Instruction ``at`` s after the beginning, with an optional marker."""

    at: float
    label: str
    words: str


class PromptSequence(Device):
    """Device that shows timed instructions and sets markers at their onsets.

    It does not keep a session running.

    Parameters
    ----------
    steps
        The instructions, in order of time.
    clock
        The session clock.
    say
        Function that shows a sentence to the participant.
    """

    def __init__(
        self, steps: Sequence[Step], clock: Clock, say: Callable[[str], object]
    ) -> None:
        self._steps, self.clock, self._say = list(steps), clock, say

    def __enter__(self) -> Self:
        self._begin = self.clock.now()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._steps.clear()

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Marker stream, which files contain even without any marker."""
        return (MARKERS,)

    @property
    def ended(self) -> bool:
        """Always true, as the device does not keep a session running."""
        return True

    def read(self) -> Sequence[Item]:
        """Return nothing: its markers are commands."""
        return ()

    def commands(self) -> Sequence[Command]:
        """Show the instructions that are due; return their markers."""
        now = self.clock.now()
        commands: list[Command] = []
        while self._steps and self._begin + self._steps[0].at <= now:
            step = self._steps.pop(0)
            self._say(step.words)
            if step.label:
                commands.append(Command("mark", now, step.label))
        return commands
