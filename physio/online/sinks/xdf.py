"""A recording of the session, written beside it."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Semaphore, Thread
from types import TracebackType
from typing import Self

from physio.core.block import Info
from physio.core.recording import Item
from physio.formats.xdf import Writer, outcome

_SYNC = 1.0  # what a power cut may take (s)


@dataclass
class Xdf:
    """A sink that records what it is given into an XDF file.

    A thread of its own writes, each item at once, and sees to it once a second that
    the disk has it. When the disk does not keep up, so that ``capacity`` items wait,
    the recording stops: all that waits is still written, and the file says why it
    ends. Nothing in between is lost in silence.

    Parameters
    ----------
    folder
        Where the file goes.
    about
        What is known of the session: person, consent, begin, config ...
    inputs
        Names of the streams that come from outside, which the timeline is to tell from
        those computed; by default those that were announced and the session's own
        (``session.*``), or all where none were.
    filename
        One that is there already is kept as ``recording_old1.xdf``.
    capacity
        How many items may wait to be written.
    wait
        Whether `write` may wait for the disk instead of stopping: for a recording that
        is replayed as fast as possible.
    """

    folder: Path
    about: Mapping[str, str] = field(default_factory=dict)
    inputs: frozenset[str] | None = None
    filename: str = "recording.xdf"
    capacity: int = 4096
    wait: bool = field(default=False, kw_only=True)
    _error: Exception | None = field(default=None, init=False, repr=False)
    _told: bool = field(default=False, init=False, repr=False)
    _ended: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError(
                f"a recording needs room for at least 1 item, not {self.capacity}"
            )

    def __enter__(self) -> Self:
        self._writer = Writer(self.folder / self.filename, self.about)
        self._announced: set[str] = set()
        self._queue: SimpleQueue[Item | tuple[Info, ...] | None] = SimpleQueue()
        self._room = Semaphore(self.capacity)
        self._error, self._told, self._ended = None, False, ""
        self._thread = Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._ended = outcome(error)
        self._queue.put(None)
        self._thread.join()
        if self._error is not None and not self._told and error is None:
            self._tell()

    @property
    def error(self) -> Exception | None:
        """Why the recording stopped before the session did, if it has."""
        return self._error

    @property
    def file(self) -> Path:
        """Where the recording is."""
        return self._writer.path

    def announce(self, infos: Iterable[Info]) -> None:
        """Name streams that belong into the file even if no sample of them comes."""
        self._put(tuple(infos))

    def write(self, item: Item) -> None:
        """Take a block or events.

        Raises
        ------
        OSError
            If the recording has stopped: the disk is full, broken or too slow.
        """
        self._put(item)

    def end(self, how: str) -> None:
        """Say how the session ended, where no error that leaves it tells."""
        self._ended = how

    def _put(self, what: Item | tuple[Info, ...]) -> None:
        if self._error is None and not self._room.acquire(blocking=self.wait):
            self._error = OSError(
                f"the recording {self.file} stopped: the disk did not keep up and "
                f"{self.capacity} items were waiting; what came before is in the file"
            )
        if self._error is not None:
            self._tell()
        self._queue.put(what)

    def _tell(self) -> None:
        self._told = True
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        """Write what comes until the end is said, or cannot be written."""
        synced, failed = time.monotonic(), False
        while True:
            try:
                item = self._queue.get(timeout=_SYNC)
            except Empty:
                item = ()
            if item is None:
                break
            try:
                if not failed:
                    self._take(item)
                    if time.monotonic() - synced >= _SYNC:
                        self._writer.sync()
                        synced = time.monotonic()
            except Exception as error:  # told by `write`, or in the end
                self._error, failed = error, True
            if item != ():
                self._room.release()
        self._close()

    def _take(self, item: Item | tuple[Info, ...]) -> None:
        if isinstance(item, tuple):
            self._announced |= {info.name for info in item}
            self._writer.announce(item)
        else:
            self._writer.write(item, arrived=self._arrived(item.info.name))

    def _arrived(self, name: str) -> bool:
        if self.inputs is not None:
            return name in self.inputs
        own = name.startswith("session.")
        return own or not self._announced or name in self._announced

    def _close(self) -> None:
        try:
            self._writer.close(str(self._error or self._ended or "completed"))
        except OSError as error:
            self._error = self._error or error
