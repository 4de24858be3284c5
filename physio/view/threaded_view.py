"""Threaded view: another view, drawn in a thread of its own."""

import errno
from collections.abc import Callable, Sequence
from queue import Empty, Full, Queue
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

from physio.core.events import Item
from physio.core.protocols import Clock, Command, View

CAPACITY: Final = 8192
"""Number of items that may wait to be shown; beyond, items are not shown."""

_WAIT: Final = 0.05  # s between two looks at the display without items
_CLOSE: Final = 5.0  # s for the display to end


class ThreadedView(View):
    """Another view, drawn in a thread of its own, so that no drawing delays a session.

    Keys are read and commands are executed in the session's thread.

    Parameters
    ----------
    view
        The view, which is open.
    clock
        The session clock.
    latencies
        Function that returns the newest computation times (ms).
    progress
        Function that returns the state of the computation in one line.
    """

    def __init__(
        self,
        view: View,
        clock: Clock,
        latencies: Callable[[], Sequence[float]],
        progress: Callable[[], str],
    ) -> None:
        self._view, self._clock = view, clock
        self._latencies, self._progress = latencies, progress
        self._queue: Queue[tuple[Item, float, bool] | str] = Queue(CAPACITY)
        self._closing = Event()
        self._skipped = False
        self.error: Exception | None = None
        """The error that ended the display."""
        self._thread = Thread(target=self._work, name="view", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join(_CLOSE)

    def take(self, item: Item, now: float | None = None) -> None:
        """Queue an item; without room, it is not shown."""
        at = self._clock.now() if now is None else now
        try:
            self._queue.put_nowait((item, at, self._skipped))
        except Full:
            self._skipped = True
        else:
            self._skipped = False

    def due(self) -> bool:
        """Always False: the thread draws."""
        return False

    def show(self, now: float, latency_ms: Sequence[float] = ()) -> None:
        """Do nothing: the thread draws."""

    def tell(self, line: str) -> None:
        """Queue a line that the view keeps in sight."""
        self._queue.put(line)

    def notices(self) -> Sequence[str]:
        """Return the notices of the other view."""
        return () if self.error is not None else self._view.notices()

    def commands(self) -> Sequence[Command]:
        """Return the commands of the other view."""
        return () if self.error is not None else self._view.commands()

    def reply(self, command: Command, refusal: str) -> None:
        """Pass the result of a command on to the other view."""
        self._view.reply(command, refusal)

    def _work(self) -> None:
        try:
            while not (self._closing.is_set() and self._queue.empty()):
                self._step()
        except Exception as error:  # its bug must not end the session
            if not _terminal_closed(error):
                self.error = error

    def _step(self) -> None:
        try:
            message = self._queue.get(timeout=_WAIT)
        except Empty:
            message = ""
        if isinstance(message, tuple):
            item, at, skipped = message
            if skipped:
                self._view.skip()
            self._view.take(item, at)
        elif message:
            self._view.tell(message)
        if self._view.due() and not self._closing.is_set():
            self._view.report_progress(self._progress())
            self._view.show(self._clock.now(), self._latencies())


def _terminal_closed(error: Exception) -> bool:
    """Return whether an error says that the terminal was closed, as before SIGHUP."""
    return isinstance(error, OSError) and error.errno == errno.EIO
