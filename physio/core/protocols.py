"""What a session is made of at its edges: a clock, devices, sinks."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Protocol, Self, runtime_checkable

from physio.core.block import Block, StreamInfo
from physio.core.events import Events

Item = Block | Events


@runtime_checkable
class Clock(Protocol):
    """The session clock: seconds that never go back."""

    def now(self) -> float:
        """Return the time (s)."""

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` of the session pass."""


@dataclass
class WallClock:
    """The computer's monotonic clock, or one ``speed`` times as fast.

    At speed 1 it is the clock that LSL uses on this machine.
    """

    speed: float = 1.0
    _zero: float = field(default_factory=time.monotonic, init=False)

    def now(self) -> float:
        """Return the time (s)."""
        return self._zero + (time.monotonic() - self._zero) * self.speed

    def wait(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds / self.speed)


@dataclass
class FastClock:
    """A clock that only waiting moves: a session then runs as fast as it can."""

    time: float = 0.0

    def now(self) -> float:
        """Return the time (s)."""
        return self.time

    def wait(self, seconds: float) -> None:
        """Move on at once."""
        self.time += seconds


class Command(NamedTuple):
    """What somebody who watches a session wants of it.

    Parameters
    ----------
    what
        ``mark`` (the marker's text in ``label``), ``rate`` (valence, arousal and
        dominance on [-1, 1] in ``values``, NaN for one not given), ``mute`` and
        ``unmute`` (a stream, in ``label``), or ``stop``.
    at
        When it was wished (s, session clock).
    participant
        Whom a marker or a rating is about, in a session of several participants.
    """

    kind: str
    time: float
    label: str = ""
    values: tuple[float, ...] = ()
    participant: str = ""


class Device(Protocol):
    """A source of live streams, open inside a ``with`` block.

    A device is a dataclass of settings. Where it has fields called ``name``,
    ``participant`` and ``clock``, the session fills them in: its key in the session
    file, the participant's code, and the session clock.

    The laws: `Block.start` never goes back and counts lost samples too; times rise;
    `read` never waits; nothing runs after ``__exit__``.
    """

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """What flows, events (rate 0) included; known once open."""

    @property
    def ended(self) -> bool:
        """Whether nothing is to come any more, as at the end of a file."""

    def read(self) -> Sequence[Item]:
        """Return what came since the last call, each stream in order; never wait."""


class Sink(Protocol):
    """Where blocks and events end up, open inside a ``with`` block.

    A sink may have ``notices()``, sentences for the session's status, and ``wishes()``,
    each a `Command`: what came of either since the last call, without waiting.
    """

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def open_streams(self, streams: Sequence[StreamInfo]) -> None:
        """Hear, once open, what flows into the session: the rest is computed."""

    def write(self, item: Item) -> None:
        """Take a block or events of any stream; never wait.

        Raises
        ------
        OSError
            If nothing more can be taken; the session goes on without this sink.
        """

    def end(self, how: str) -> None:
        """Hear, before it is closed, how the session ended."""
