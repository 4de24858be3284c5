"""Calls of a Python function with each estimate, feature row and event."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from physio import config
from physio.core.block import Block
from physio.core.events import Item
from physio.core.protocols import Sink
from physio.core.recording import COMPUTED, computed
from physio.sinks.program_messages import Message, messages


@dataclass
class Callback(Sink):
    """Sink that calls a function with each row and event; off unless a file names it.

    The function runs in a thread of its own, with one message at a time
    (`physio.sinks.program_messages`), NaN for a missing value. While it is slow, rows
    wait and are then dropped and counted. An error of the function ends the calls, and
    the session goes on.

    Parameters
    ----------
    call
        The function: its import path, ``"my_module:on_estimate"``, whose package needs
        ``--trust``, or the function itself.
    streams
        Computed streams that are passed; events always are.
    """

    call: str | Callable[[Message], Any]
    streams: tuple[str, ...] = ("estimates",)
    grace = 5.0
    _trust: tuple[str, ...] = field(default=(), repr=False, compare=False)
    _function: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if wrong := [s for s in self.streams if s not in COMPUTED]:
            raise ValueError(f"streams are {' or '.join(COMPUTED)}, not {wrong[0]!r}")

    def trusting(self, trust: tuple[str, ...]) -> Self:
        """Return a copy that may import from these packages."""
        return replace(self, _trust=trust)

    def __enter__(self) -> Self:
        function = self.call
        if isinstance(function, str):
            function = config.load_object(function, "sinks: call", self._trust)
        if not callable(function):
            raise ValueError(f"sinks: call = {self.call!r} is no function")
        self._function = function
        return self

    def write(self, item: Item) -> None:
        """Call the function with the rows or the events of an item."""
        if isinstance(item, Block) and computed(item.info.name) not in self.streams:
            return
        for message in messages(item):
            self._function(message)
