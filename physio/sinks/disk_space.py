"""Free disk space, in minutes of recording, and a buffer for a full disk."""

import shutil
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from physio.core.block import Block, StreamInfo
from physio.core.events import Item

Buffered = Item | tuple[StreamInfo, ...]

WARNINGS = (10.0, 2.0)  # remaining minutes
_WINDOW = 60.0  # s over which the rate of writing is measured


@dataclass
class DiskSpace:
    """Monitor of the free space on the disk of a folder, in minutes of recording.

    Parameters
    ----------
    folder
        Folder of the recording.
    reserve
        Bytes that stay free: for closing files, and for other programs.
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


@dataclass
class RetryBuffer:
    """Newest items that could not be written, up to ``size`` bytes of memory."""

    size: int
    _items: deque[tuple[Buffered, int]] = field(default_factory=deque, init=False)
    _held: int = field(default=0, init=False)
    _lost: int = field(default=0, init=False)

    def add(self, item: Buffered) -> None:
        """Add an item; discard the oldest ones above ``size``."""
        self._items.append((item, _size(item)))
        self._held += self._items[-1][1]
        while self._held > self.size and len(self._items) > 1:
            self._held -= self._items.popleft()[1]
            self._lost += 1

    def take(self) -> tuple[list[Buffered], int]:
        """Return the items and the number of discarded ones; empty the buffer."""
        items, lost = [item for item, _ in self._items], self._lost
        self._items.clear()
        self._held = self._lost = 0
        return items, lost


def _size(item: Buffered) -> int:
    if isinstance(item, tuple):
        return 1000
    stamps = (
        item.stamps.nbytes if isinstance(item, Block) and item.stamps is not None else 0
    )
    return 1000 + item.data.nbytes + stamps
