"""Background sink: another sink in a thread of its own, so that nothing waits."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Full, Queue
from threading import Thread
from types import TracebackType
from typing import Self

from physio.core.block import StreamInfo
from physio.core.counted_nouns import counted
from physio.core.events import Item
from physio.core.protocols import Command, Sink


@dataclass
class BackgroundSink(Sink):
    """Another sink, fed from a thread of its own.

    If that sink is too slow, items that do not fit in the queue are dropped and
    counted: a view or a table may have gaps, acquisition and the recording may not.

    Parameters
    ----------
    sink
        The sink that may be slow.
    capacity
        Number of items that may wait.
    wait
        Whether `write` may wait instead of dropping, as in a session that runs as fast
        as possible.
    """

    sink: Sink
    capacity: int = 4096
    wait: bool = field(default=False, kw_only=True)
    threaded = True
    dropped: int = field(default=0, init=False)
    fault: BaseException | None = field(default=None, init=False, repr=False)
    _is_stop_reported: bool = field(default=False, init=False, repr=False)
    _are_drops_reported: bool = field(default=False, init=False, repr=False)
    _queue: Queue[Callable[[], None] | None] = field(init=False, repr=False)
    _thread: Thread = field(init=False, repr=False)

    def __enter__(self) -> Self:
        self.sink.__enter__()
        self._queue = Queue(self.capacity)
        self._thread = Thread(target=self._work, daemon=True, name="sink")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        grace = self.sink.grace
        try:
            self._queue.put(None, timeout=grace)
        except Full:
            pass
        else:
            self._thread.join(grace)
        if self._thread.is_alive():
            late = TimeoutError(f"it did not end within {grace:g} s")
            self.fault = self.fault or late
        try:
            self.sink.__exit__(kind, error, trace)
        except Exception as failure:  # reported at the end, like one of `write`
            self.fault = self.fault or failure

    def open_streams(self, streams: Sequence[StreamInfo]) -> None:
        """Pass it on."""
        self._put(lambda: self.sink.open_streams(streams))

    def end(self, outcome: str) -> None:
        """Pass it on."""
        self._put(lambda: self.sink.end(outcome))

    def _put(self, job: Callable[[], None]) -> None:
        """Put a call into the queue; one that waits longer than `Sink.grace` is lost.

        It may wait, as it is at the beginning or the end of a session.
        """
        with suppress(Full):
            self._queue.put(job, timeout=self.sink.grace)

    def write(self, item: Item) -> None:
        """Put an item into the queue, or count it as dropped."""
        grace = self.sink.grace if self.wait else None
        try:
            self._queue.put(lambda: self.sink.write(item), self.wait, grace)
        except Full:
            self.dropped += 1
            if self.wait and self.fault is None:
                self.fault = TimeoutError(f"it took nothing for {grace:g} s")
                self.wait = False

    def notices(self) -> Sequence[str]:
        """Return the notices of the other sink, and once that it stopped or drops."""
        notices = list(self.sink.notices())
        name = type(self.sink).__name__
        if self.fault is not None and not self._is_stop_reported:
            self._is_stop_reported = True
            notices.append(f"{name} stopped: {self.fault}; the session continues")
        elif self.dropped and not self._are_drops_reported:
            self._are_drops_reported = True
            notices.append(f"{name} is too slow: items are dropped and counted")
        return notices

    def commands(self) -> Sequence[Command]:
        """Return the commands of the other sink."""
        return self.sink.commands()

    def reply(self, command: Command, refusal: str) -> None:
        """Pass the result of a command on to the other sink."""
        self.sink.reply(command, refusal)

    def faults(self) -> Sequence[str]:
        """Return the faults of the other sink, its error and the number of losses."""
        name = type(self.sink).__name__
        faults = list(self.sink.faults())
        if self.fault is not None:
            faults.append(f"{name} stopped: {self.fault}")
        elif self.dropped:
            faults.append(
                f"{name} was too slow: {counted(self.dropped, 'item')} dropped"
            )
        return faults

    def unwritten(self) -> Mapping[str, int]:
        """Return the losses of the other sink."""
        return self.sink.unwritten()

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            if self.fault is None:
                try:
                    job()
                except Exception as error:  # reported at the end: see `faults`
                    self.fault = error
