"""Slow models: a worker computes their answers, which are due ticks later."""

from collections.abc import Callable, Iterable
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Final, Generic, TypeVar

Answer = TypeVar("Answer")


class WorkerTask(Generic[Answer]):
    """A function call in a worker, and its result."""

    def __init__(self, work: Callable[[], Answer]) -> None:
        self._work, self._done = work, Event()
        self._answer: Answer | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """Call the function."""
        try:
            self._answer = self._work()
        except BaseException as error:  # raised by `result`
            self._error = error
        self._done.set()

    @property
    def is_done(self) -> bool:
        """True once the result is there."""
        return self._done.is_set()

    def result(self) -> Answer:
        """Return the result, once it is there; raise what the function raised."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._answer  # type: ignore[return-value]


class Worker:
    """Thread that runs one task after the other; it does not delay the exit."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[WorkerTask[Any]] = SimpleQueue()
        self._thread: Thread | None = None

    def put(self, task: WorkerTask[Any]) -> None:
        """Add a task."""
        if self._thread is None:
            self._thread = Thread(target=self._run, daemon=True, name="slow model")
            self._thread.start()
        self._tasks.put(task)

    def _run(self) -> None:
        while True:
            self._tasks.get().run()


SKIPPED: Final = " skipped"
"""End of the label of an answer that was not computed, because an earlier one was."""


class AnswerQueue(Generic[Answer]):
    """Answers of a slow model; changed in place.

    Every ``delay`` ticks the model begins to compute an answer, which is due after
    ``delay`` ticks and holds until the next one is due. In a live session a worker
    computes it. An answer that is not ready when it is due is missed, and none is begun
    while an earlier one is computed: that is missed too. Offline nothing is late, and
    what was missed in the recorded session is missed again.

    Parameters
    ----------
    delay
        Time from the input of an answer to its estimate (ticks), at least 1.
    nothing, late
        Answers before the first one, and in the place of a missed one.
    worker
        Worker of a live session; None offline.
    """

    def __init__(
        self, delay: int, nothing: Answer, late: Answer, worker: Worker | None
    ) -> None:
        self._delay, self._late, self._worker = delay, late, worker
        self._tick, self._answer = 0, nothing
        self._task: WorkerTask[Answer] | None = None
        self._running: WorkerTask[Answer] | None = None
        self._missed: dict[int, bool] = {}  # by tick, whether it was skipped
        self._news: list[str] = []

    def step(self, work: Callable[[], Answer]) -> Answer:
        """Return the answer at the next tick; ``work`` computes that of its input."""
        if self._tick % self._delay == 0:
            if self._tick:
                self._answer = self._due(self._task)
            self._task = self._begun(work)
        self._tick += 1
        return self._answer

    def miss(self, texts: Iterable[str]) -> None:
        """Miss answers as the recorded session did: see `take_misses`."""
        for text in texts:
            tick = text.removesuffix(SKIPPED)
            if tick.isdecimal():
                self._missed[int(tick)] = text != tick

    def take_misses(self) -> list[str]:
        """Return the ticks at which an answer was missed since the last call."""
        news, self._news = self._news, []
        return news

    def _begun(self, work: Callable[[], Answer]) -> WorkerTask[Answer] | None:
        """Return a task that begins now; None if an earlier one is not done."""
        task = WorkerTask(work)
        if self._worker is None:
            return task
        if self._running is not None and not self._running.is_done:
            return None
        self._worker.put(task)
        self._running = task
        return task

    def _due(self, task: WorkerTask[Answer] | None) -> Answer:
        if self._worker is None and task is not None:
            skipped = self._missed.get(self._tick)
            if skipped:
                return self._late
            task.run()  # also a late one: a model may go on from its last answer
            return task.result() if skipped is None else self._late
        if task is None or not task.is_done:
            self._news.append(f"{self._tick}{SKIPPED if task is None else ''}")
            return self._late
        return task.result()

    def __deepcopy__(self, memo: dict[int, Any]) -> "AnswerQueue[Answer]":
        queue = type(self)(self._delay, self._answer, self._late, self._worker)
        queue._tick, queue._task = self._tick, self._task  # noqa: SLF001
        queue._missed, queue._news = dict(self._missed), list(self._news)  # noqa: SLF001
        return queue
