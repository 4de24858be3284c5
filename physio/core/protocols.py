"""Interfaces of a session: clock, devices, sinks, views, and their commands."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self, runtime_checkable

from physio.core.block import StreamInfo
from physio.core.events import Item
from physio.core.operating_system import monotonic

CommandKind = Literal["mark", "rate", "mute", "unmute", "stop"]
"""The commands that a session takes: see `Command`."""


@runtime_checkable
class Clock(Protocol):
    """The session clock: seconds that never go back."""

    @property
    def speed(self) -> float:
        """Session seconds per second of real time."""

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
    _zero: float = field(default_factory=monotonic, init=False)

    def now(self) -> float:
        """Return the time (s)."""
        return self._zero + (monotonic() - self._zero) * self.speed

    def wait(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds / self.speed)


@dataclass
class FastClock:
    """A clock that only waiting moves: a session then runs as fast as it can."""

    time: float = 0.0

    @property
    def speed(self) -> float:
        """Always 1: times are not scaled."""
        return 1.0

    def now(self) -> float:
        """Return the time (s)."""
        return self.time

    def wait(self, seconds: float) -> None:
        """Move on at once."""
        self.time += seconds


class Command(NamedTuple):
    """A request to a running session, from any source.

    The keyboard, the control socket, the dashboard, markers of other programs and
    Python code all send commands; the session alone checks them
    (`physio.online.commands.validate`) and turns them into events.

    Parameters
    ----------
    kind
        ``mark`` (a marker with the text ``label``; a new baseline is the marker
        ``baseline start``, its end ``baseline end``), ``rate`` (valence, arousal and
        dominance on [-1, 1] in ``values``, NaN for one not given), ``mute`` and
        ``unmute`` (the stream named by ``label``), or ``stop``.
    time
        Time of the request (s, session clock).
    label
        Text of a marker, kind of a rating, name of a stream, or reason for the stop.
    values
        Values of a rating.
    participant
        Code of the participant whom a marker or a rating is about, in a session of
        several participants.
    sender
        Who sent it, in terms of its source: see `CommandSource.reply`.
    """

    kind: str
    time: float
    label: str = ""
    values: tuple[float, ...] = ()
    participant: str = ""
    sender: str = ""


class CommandSource:
    """Optional members that devices, sinks and views share: commands and notices."""

    def notices(self) -> Sequence[str]:
        """Return sentences for the session's status, new since the last call."""
        return ()

    def commands(self) -> Sequence[Command]:
        """Return the commands that came since the last call; never wait."""
        return ()

    def reply(self, command: Command, refusal: str) -> None:
        """Tell the sender of a command the result.

        Parameters
        ----------
        command
            One of those that `commands` returned; a marker or a rating that was
            carried out has the time at which it was recorded.
        refusal
            The reason for which it was refused; empty if it was carried out.
        """


class Device(CommandSource, ABC):
    """A source of live streams, open inside a ``with`` block.

    A device is a dataclass of settings that derives from this class. Only `streams` and
    `read` must be written; all other members have defaults. Fields called ``name``,
    ``participant`` and ``clock`` are set by the session: the device's key in the
    session file, the participant's code, and the session clock.

    A live session opens its devices at the same time, each in a thread of its own, and
    reads them all in its own thread.

    The laws: `Block.start` never goes back and counts lost samples too; times rise;
    `read` never waits; nothing runs after ``__exit__``.
    """

    name: str = "a device"
    """The device's key in the session file."""

    participant: str = ""
    """Code of the participant who wears it."""

    clock: Clock
    """The session clock."""

    reconnect_after: float = 0.0
    """Silence of all streams after which the session opens it again (s); 0: never."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    @property
    @abstractmethod
    def streams(self) -> tuple[StreamInfo, ...]:
        """Its streams, event streams (rate 0) included; known once it is open."""

    @property
    def ended(self) -> bool:
        """True once no more data will come, as at the end of a file."""
        return False

    @property
    def declares_silence(self) -> bool:
        """True if its items include the declarations of silence, as in a replay."""
        return False

    @property
    def is_replay(self) -> bool:
        """True if it replays a recording: slow models then miss what they missed."""
        return False

    @property
    def ends(self) -> Mapping[str, float]:
        """Time of the last sample of each stream (s), where it is known already."""
        return {}

    @property
    def calm_until(self) -> float:
        """Time up to which one read gives the same results as many (s)."""
        return -math.inf

    @abstractmethod
    def read(self) -> Sequence[Item]:
        """Return the items since the last call, each stream in order; never wait."""


class Sink(CommandSource, ABC):
    """A receiver of blocks and events, open inside a ``with`` block.

    Only `write` must be written; all other members have defaults.
    """

    threaded: bool = False
    """True if `write` hands over to a thread of its own, so that nothing waits."""

    grace: float | None = None
    """Time that the end of the session waits for what is queued (s); None: until all
    is written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def open_streams(self, streams: Sequence[StreamInfo]) -> None:
        """Take note of the streams of the devices; other streams are computed."""

    @abstractmethod
    def write(self, item: Item) -> None:
        """Take a block or events of any stream; never wait.

        Raises
        ------
        OSError
            If nothing more can be taken; the session goes on without this sink.
        """

    def end(self, outcome: str) -> None:
        """Take the outcome of the session, before the sink is closed."""

    def faults(self) -> Sequence[str]:
        """Return sentences on its failures, once the session has ended."""
        return ()

    def unwritten(self) -> Mapping[str, int]:
        """Return the number of lost samples or events of each stream, at the end.

        Only a recording counts them; views and tables can be computed again from it.
        """
        return {}


class View(CommandSource, ABC):
    """A display of a session while it runs, and a source of commands."""

    @abstractmethod
    def take(self, item: Item, now: float | None = None) -> None:
        """Take in an item of the session; ``now`` is on the session clock (s)."""

    @abstractmethod
    def due(self) -> bool:
        """Return whether `show` would draw now."""

    @abstractmethod
    def show(self, now: float, latency_ms: Sequence[float] = ()) -> None:
        """Redraw, if it is time to.

        Parameters
        ----------
        now
            The time (s, session clock).
        latency_ms
            Compute times of the latest estimates (ms).
        """

    @abstractmethod
    def tell(self, line: str) -> None:
        """Show a line and keep it in sight."""

    def report_progress(self, line: str) -> None:
        """Show the state of a computation that is behind; empty if it is not."""

    def skip(self) -> None:
        """Take note that items before the next one were not shown, and not lost."""
