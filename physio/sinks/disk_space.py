"""Free disk space, in minutes of recording, and memory for items that wait for it."""

import os
import shutil
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from threading import Condition
from typing import Any

from physio.core.block import Block
from physio.core.events import Item
from physio.core.output_file import write_all

WARNINGS = (10.0, 2.0)  # remaining minutes
_WINDOW = 60.0  # s over which the rate of writing is measured
_AHEAD = 1 << 22  # bytes that a writer who may wait is ahead of the disk


@dataclass
class DiskSpace:
    """Monitor of the free space on the disk of a folder, in minutes of recording.

    Parameters
    ----------
    folder
        Folder of the recording.
    reserve
        Bytes that stay free while there is another place to record in.
    """

    folder: Path
    reserve: int
    _history: deque[tuple[float, int]] = field(default_factory=deque, init=False)
    _warned: int = field(default=0, init=False)

    @property
    def available(self) -> int:
        """Free bytes above the reserve."""
        return shutil.disk_usage(self.folder).free - self.reserve

    def warning(self, now: float, written: int) -> str:
        """Return a warning, once at 10 and once at 2 remaining minutes, or ``""``.

        Parameters
        ----------
        now
            The time (s).
        written
            Bytes written so far.
        """
        self._history.append((now, written))
        while self._history[0][0] < now - _WINDOW:
            self._history.popleft()
        (since, first), available = self._history[0], max(self.available, 0)
        seconds, grown = now - since, written - first
        if seconds < 1.0 or grown <= 0:
            return ""
        minutes = available / (grown / seconds) / 60
        passed = sum(minutes < limit for limit in WARNINGS)
        due, self._warned = passed > self._warned, max(passed, self._warned)
        if not due:
            return ""
        return (
            f"the disk of {self.folder} is nearly full: room for {minutes:.1f} minutes "
            f"of recording is left"
        )


class ClosingSpace:
    """Disk space that is held for the end of a file: an unnamed file of that size.

    It is released when the process ends, however it ends. Where there is no room for
    it, nothing is held.

    Parameters
    ----------
    folder
        Folder on the disk.
    size
        Number of bytes.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._file: Any = None
        try:
            self._file = TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
            write_all(self._file.fileno(), os.urandom(size))  # nothing to compress
        except OSError:
            self.release()

    def release(self) -> None:
        """Let the space be used."""
        if self._file is not None:
            self._file.close()
            self._file = None


class Backlog:
    """Items that wait to be written by a thread, up to ``size`` bytes of memory.

    Above that, the oldest items are discarded and counted.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.discarded: Counter[str] = Counter()
        """Number of discarded samples or events by stream."""
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._change = Condition()
        self._closed = self._stalled = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        """True once no more items will come."""
        return self._closed

    @property
    def stalled(self) -> bool:
        """True while nothing can be written, so that nobody waits for it."""
        return self._stalled

    @stalled.setter
    def stalled(self, stalled: bool) -> None:
        with self._change:
            self._stalled = stalled
            self._change.notify_all()

    def close(self) -> None:
        """Take note that no more items will come."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def put(self, item: Item, *, wait: bool = False) -> None:
        """Add an item.

        Parameters
        ----------
        item
            The item.
        wait
            Whether to wait for the disk rather than to be far ahead of it.
        """
        with self._change:
            while wait and not self._stalled and self._bytes > min(_AHEAD, self.size):
                self._change.wait()
            waited = wait and not self._stalled
            self._items.append(item)
            self._bytes += _size(item)
            while self._bytes > self.size and len(self._items) > 1 and not waited:
                self.discard(self._pop())
            self._change.notify_all()

    def take(self, timeout: float = 0.0) -> Item | None:
        """Return the oldest item; None where none comes within ``timeout`` (s)."""
        with self._change:
            if not self._items and not self._closed and timeout > 0:
                self._change.wait(timeout)
            item = self._pop() if self._items else None
            self._change.notify_all()
        return item

    def put_back(self, item: Item) -> None:
        """Return the item that was taken last."""
        with self._change:
            self._items.appendleft(item)
            self._bytes += _size(item)

    def pause(self, timeout: float) -> None:
        """Wait until it is closed, at most ``timeout`` (s)."""
        with self._change:
            self._change.wait_for(lambda: self._closed, timeout)

    def discard(self, item: Item) -> None:
        """Count an item as lost."""
        with self._change:
            self.discarded[item.info.name] += len(item)

    def discard_all(self) -> None:
        """Count all waiting items as lost, and remove them."""
        while (item := self.take()) is not None:
            self.discard(item)

    def _pop(self) -> Item:
        item = self._items.popleft()
        self._bytes -= _size(item)
        return item


def _size(item: Item) -> int:
    stamps = (
        item.stamps.nbytes if isinstance(item, Block) and item.stamps is not None else 0
    )
    return 1000 + item.data.nbytes + stamps
