"""Sinks that may lag behind without anybody waiting for them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Full, Queue
from threading import Thread
from types import TracebackType
from typing import Self

from physio.core.block import StreamInfo
from physio.core.protocols import Sink
from physio.core.recording import Item


@dataclass
class BackgroundSink:
    """Another sink, fed from a thread of its own.

    Where that sink is too slow, what does not fit in the queue is dropped and counted:
    a view or a table may have holes, acquisition and the recording may not.

    Parameters
    ----------
    sink
        The slow one.
    room
        How many items may wait.
    wait
        Whether `write` may wait instead of dropping, as where a session runs as fast as
        it can.
    """

    sink: Sink
    room: int = 4096
    wait: bool = field(default=False, kw_only=True)
    dropped: int = field(default=0, init=False)
    fault: BaseException | None = field(default=None, init=False, repr=False)
    _queue: Queue[Callable[[], None] | None] = field(init=False, repr=False)
    _thread: Thread = field(init=False, repr=False)

    def __enter__(self) -> Self:
        self.sink.__enter__()
        self._queue = Queue(self.room)
        self._thread = Thread(target=self._work, daemon=True, name="sink")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        self.sink.__exit__(kind, error, trace)

    def open_streams(self, streams: Sequence[StreamInfo]) -> None:
        """Pass it on."""
        self._queue.put(lambda: self.sink.open_streams(streams))

    def end(self, how: str) -> None:
        """Pass it on."""
        self._queue.put(lambda: self.sink.end(how))

    def write(self, item: Item) -> None:
        """Hand an item over, or count it as dropped."""
        try:
            self._queue.put(lambda: self.sink.write(item), block=self.wait)
        except Full:
            self.dropped += 1

    def notices(self) -> list[str]:
        """Return what the other one has to say since the last call."""
        said: list[str] = getattr(self.sink, "notices", list)()
        return said

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            if self.fault is None:
                try:
                    job()
                except Exception as error:  # told at the end: see `fault`
                    self.fault = error
