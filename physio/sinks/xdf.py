"""Recording of a session in an XDF file."""

import errno
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Semaphore, Thread
from types import TracebackType
from typing import Self

from physio.core.block import StreamInfo
from physio.core.events import Item
from physio.core.filename import valid_name
from physio.core.protocols import Sink
from physio.io.xdf import Writer, outcome
from physio.sinks.disk_space import DiskSpace, RetryBuffer

_SYNC = 1.0  # data that a power cut may lose (s)
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


@dataclass
class Xdf(Sink):
    """Sink that records all items into an XDF file.

    A thread writes each item at once and flushes the file to the disk once a second.
    When the disk is too slow, so that ``capacity`` items wait, the recording stops: the
    waiting items are still written, and the file states the reason for its end.

    Parameters
    ----------
    folder
        Folder of the file.
    about
        Properties of the session: participant, consent, begin, config ...
    inputs
        Names of the input streams, which the timeline distinguishes from computed ones;
        by default the announced streams and the session's (``session.*``), or all where
        none was announced.
    filename
        File name without a folder; an existing file becomes ``recording_old1.xdf``.
    capacity
        Number of items that may wait to be written.
    fallback
        Another folder, in which the recording continues when the disk is full.
    reserve_mb
        Free space below which the disk counts as full (MB), so that the file can still
        be closed.
    ring_mb
        Memory for the newest items of that time (MB), which are written once there is
        space again.
    wait
        Whether `write` may wait for the disk instead of stopping, as in a fast
        replay.

    Notes
    -----
    A continued recording is a second file, ``recording_part2.xdf``, whose
    ``about["continues"]`` names the first one; samples keep their numbers.
    """

    folder: Path
    about: Mapping[str, str] = field(default_factory=dict)
    inputs: frozenset[str] | None = None
    filename: str = "recording.xdf"
    capacity: int = 4096
    fallback: str = ""
    reserve_mb: float = 64.0
    ring_mb: float = 64.0
    wait: bool = field(default=False, kw_only=True)
    threaded = True
    fault: str = field(default="", init=False)
    _error: Exception | None = field(default=None, init=False, repr=False)
    _raised: bool = field(default=False, init=False, repr=False)
    _ended: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        valid_name(self.filename, "a recording")
        if self.capacity < 1:
            raise ValueError(
                f"a recording needs room for at least 1 item, not {self.capacity}"
            )

    def __enter__(self) -> Self:
        self._writer = Writer(self.folder / self.filename, self.about)
        self._disk = DiskSpace(self.folder, int(1e6 * self.reserve_mb))
        self._ring = RetryBuffer(int(1e6 * self.ring_mb))
        self._notices: deque[str] = deque()
        self._infos: dict[str, StreamInfo] = {}
        self._parts, self._stopped, self.fault = 1, False, ""
        self._announced: set[str] = set()
        self._queue: SimpleQueue[Item | tuple[StreamInfo, ...] | None] = SimpleQueue()
        self._capacity = Semaphore(self.capacity)
        self._error, self._raised, self._ended = None, False, ""
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
        if self._error is not None and not self._raised and error is None:
            self._raise_error()

    @property
    def error(self) -> Exception | None:
        """Error that stopped the recording before the session ended, or None."""
        return self._error

    @property
    def file(self) -> Path:
        """Path of the recording."""
        return self._writer.path

    def open_streams(self, infos: Iterable[StreamInfo]) -> None:
        """Add streams to the file, also those that never have a sample."""
        self._enqueue(tuple(infos))

    def write(self, item: Item) -> None:
        """Record a block or events.

        Raises
        ------
        OSError
            If the recording has stopped: the disk is full, broken or too slow.
        """
        self._enqueue(item)

    def end(self, outcome: str) -> None:
        """Set the outcome of the session, unless an error ends it."""
        self._ended = outcome

    def faults(self) -> Sequence[str]:
        """Return the reason for which the recording stopped early, if it did."""
        return [self.fault] if self.fault else []

    def notices(self) -> list[str]:
        """Return the messages about the disk since the last call."""
        return [self._notices.popleft() for _ in range(len(self._notices))]

    def _enqueue(self, item: Item | tuple[StreamInfo, ...]) -> None:
        if self._error is None and not self._capacity.acquire(blocking=self.wait):
            self._error = OSError(
                f"the recording {self.file} stopped: the disk did not keep up and "
                f"{self.capacity} items were waiting; what came before is in the file"
            )
        if self._error is not None:
            self._raise_error()
        self._queue.put(item)

    def _raise_error(self) -> None:
        self._raised = True
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        """Write items until the end, or until an error."""
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
                        self._check_disk()
                        synced = time.monotonic()
            except Exception as error:  # raised by `write`, or at the end
                self._error, failed = error, True
            if item != ():
                self._capacity.release()
        self._close()

    def _take(self, item: Item | tuple[StreamInfo, ...]) -> None:
        if isinstance(item, tuple):
            self._announced |= {info.name for info in item}
            self._infos |= {info.name: info for info in item}
        if self._stopped:
            self._ring.add(item)
            return
        try:
            self._store(item)
        except OSError as error:
            if not _is_full(error):
                raise
            self._ring.add(item)
            self._stop()

    def _store(self, item: Item | tuple[StreamInfo, ...]) -> None:
        if isinstance(item, tuple):
            self._writer.open_streams(item)
        else:
            self._writer.write(item, arrived=self._is_input(item.info.name))

    def _check_disk(self) -> None:
        """Flush the file to the disk, and check the free space."""
        if self._stopped:
            if self._disk.available > self._disk.reserve:
                self._resume(self.folder)
            return
        self._writer.sync()
        if self._disk.available <= 0:
            self._stop()
        elif warning := self._disk.warning(time.monotonic(), self._writer.size):
            self._notices.append(warning)

    def _stop(self) -> None:
        """Close the file; continue in the fallback folder, or in memory."""
        why = f"the recording {self.file} stopped: the disk is full"
        self.fault, self._stopped = why, True
        self._writer.close(why)
        if self.fallback and Path(self.fallback).resolve() != self.folder.resolve():
            Path(self.fallback).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._resume(Path(self.fallback))
            return
        self._notices.append(
            f"{why}; the newest {self.ring_mb:g} MB are kept in memory and written "
            f"once there is room; another folder can be given as fallback"
        )

    def _resume(self, folder: Path) -> None:
        """Continue in another file, with the items in memory."""
        self._parts += 1
        path = (folder / self.filename).with_stem(
            f"{Path(self.filename).stem}_part{self._parts}"
        )
        about = {**self.about, "continues": self.file.name}
        items, lost = self._ring.take()
        self.folder = folder
        self._disk = DiskSpace(folder, int(1e6 * self.reserve_mb))
        self._writer, self._stopped = Writer(path, about), False
        self._writer.open_streams(self._infos.values())
        message = f"the recording goes on in {path}"
        self._notices.append(
            f"{message}; {lost} items before it are lost" if lost else message
        )
        for item in items:
            self._take(item)

    def _is_input(self, name: str) -> bool:
        if self.inputs is not None:
            return name in self.inputs
        is_session_stream = name.startswith("session.")
        return is_session_stream or not self._announced or name in self._announced

    def _close(self) -> None:
        if self._stopped:
            items, lost = self._ring.take()
            self.fault += f"; {len(items) + lost} items after that are lost"
        try:
            self._writer.close(str(self._error or self._ended or "completed"))
        except OSError as error:
            if _is_full(error):  # all but the footers is there
                self.fault = self.fault or str(error)
            else:
                self._error = self._error or error


def _is_full(error: OSError) -> bool:
    """Return whether an error means that the disk is full."""
    return getattr(error.__cause__, "errno", error.errno) in _FULL
