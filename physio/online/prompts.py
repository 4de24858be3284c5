"""Telling a participant what to do, and the session when they did it."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from physio.core.block import StreamInfo
from physio.core.events import Events, single_event
from physio.core.protocols import Clock
from physio.online.session import MARKERS


class Step(NamedTuple):
    """What is said ``at`` s after the beginning, and the marker set with it, if any."""

    at: float
    label: str
    words: str


class PromptSequence:
    """A device that says steps and marks them; it never keeps a session going.

    Parameters
    ----------
    steps
        In order of time.
    clock
        The session clock.
    say
        Shows a sentence to the participant.
    """

    ended = True

    def __init__(
        self, steps: Sequence[Step], clock: Clock, say: Callable[[str], object]
    ) -> None:
        self._steps, self._clock, self._say = list(steps), clock, say

    def __enter__(self) -> Self:
        self._begin = self._clock.now()
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
        """Markers."""
        return (MARKERS,)

    def read(self) -> Sequence[Events]:
        """Return the markers of the steps that are due."""
        now, found = self._clock.now(), []
        while self._steps and self._begin + self._steps[0].at <= now:
            step = self._steps.pop(0)
            self._say(step.words)
            if step.label:
                found.append(single_event(MARKERS, now, step.label))
        return found
