"""Newest messages of a session, and the programs that follow them."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

CLIENTS: Final = 16
"""Maximum number of programs that follow at the same time."""

DEFAULT: Final = ("estimates", "session")
"""Streams that a program receives unless it names others."""

_WAITING: Final = 256  # messages that may wait for one program
_SLOWEST: Final = 10.0  # s that a program may take for one message
_STATUS: Final = 20  # newest sentences on the session


def matches(stream: str, wanted: Iterable[str]) -> bool:
    """Return whether a stream is one of those wanted, by name or first part of it."""
    return any(stream == s or stream.startswith(f"{s}.") for s in wanted)


class Subscriber:
    """A program that follows: its streams, and the messages that wait for it.

    Messages that do not fit are dropped, the oldest first; it is told their number.

    Parameters
    ----------
    streams
        Streams by name or by the first part of their names.
    send
        Function that sends a text and returns once it is sent.
    """

    def __init__(
        self, streams: Iterable[str], send: Callable[[str], Awaitable[Any]]
    ) -> None:
        self.streams, self._send = tuple(streams), send
        self._queue: deque[str] = deque(maxlen=_WAITING)
        self._dropped, self._is_closed, self._is_sending = 0, False, False
        self._news = asyncio.Event()

    def wants(self, stream: str) -> bool:
        """Return whether messages of a stream are sent to it."""
        return matches(stream, self.streams)

    @property
    def is_behind(self) -> bool:
        """True while messages wait or one is being sent."""
        return not self._is_closed and (bool(self._queue) or self._is_sending)

    def put(self, text: str) -> bool:
        """Queue a message; return False if an older one was dropped for it."""
        is_full = len(self._queue) == self._queue.maxlen
        self._dropped += is_full
        self._queue.append(text)
        self._news.set()
        return not is_full

    def close(self) -> None:
        """Let `run` end."""
        self._is_closed = True
        self._news.set()

    async def run(self) -> None:
        """Send what is queued until `close`; TimeoutError if one message takes 10 s."""
        while not self._is_closed:
            await self._news.wait()
            self._news.clear()
            while self._queue and not self._is_closed:
                self._is_sending, text = True, self._queue.popleft()
                if self._dropped:
                    lost = json.dumps({"type": "dropped", "messages": self._dropped})
                    self._dropped = 0
                    await asyncio.wait_for(self._send(lost), _SLOWEST)
                await asyncio.wait_for(self._send(text), _SLOWEST)
                self._is_sending = False


class Newest:
    """The newest rows, the descriptions and the status of a session.

    It is used in the server's thread alone.
    """

    def __init__(self) -> None:
        self.descriptions: dict[str, str] = {}
        self.rows: dict[str, str] = {}
        self.status: deque[str] = deque(maxlen=_STATUS)
        self.outcome = ""
        self.dropped = 0
        self.subscribers: set[Subscriber] = set()

    def take(self, parts: Iterable[tuple[str, str, str]]) -> None:
        """Take in messages: type, stream and text of each; pass them on."""
        for kind, stream, text in parts:
            if kind == "stream":
                self.descriptions[stream] = text
            elif kind == "row":
                self.rows[stream] = text
            elif stream == "session.status":
                self.status.append(text)
            for subscriber in self.subscribers:
                if subscriber.wants(stream):
                    self.dropped += not subscriber.put(text)

    def end(self, outcome: str) -> None:
        """Take note of the end of the session, and tell it."""
        self.outcome = outcome or "ended"
        text = json.dumps({"type": "ended", "outcome": self.outcome})
        for subscriber in self.subscribers:
            subscriber.put(text)

    def add(self, subscriber: Subscriber) -> None:
        """Add a program; it first receives descriptions and the newest rows."""
        self.subscribers.add(subscriber)
        for known in (self.descriptions, self.rows):
            for stream, text in known.items():
                if subscriber.wants(stream):
                    subscriber.put(text)

    def latest(self, streams: Iterable[str]) -> str:
        """Return the newest row of each of these streams as a JSON object."""
        wanted = tuple(streams)
        rows = {s: text for s, text in self.rows.items() if matches(s, wanted)}
        return "{" + ",".join(f"{json.dumps(s)}:{row}" for s, row in rows.items()) + "}"
