"""How long the disk still has room for what is recorded."""

import shutil
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from physio.core.block import Block, StreamInfo
from physio.core.recording import Item

Kept = Item | tuple[StreamInfo, ...]

WARNINGS = (10.0, 2.0)  # minutes left
_WINDOW = 60.0  # over how long the rate of writing is measured (s)


@dataclass
class DiskSpace:
    """Watches the room left on the disk of a folder, in minutes of recording.

    Parameters
    ----------
    folder
        Where it is recorded.
    reserve
        Bytes that are to be left over: for closing files, and for other programs.
    """

    folder: Path
    reserve: int
    _seen: deque[tuple[float, int]] = field(default_factory=deque, init=False)
    _warned: int = field(default=0, init=False)

    @property
    def left(self) -> int:
        """Bytes left before the reserve."""
        return shutil.disk_usage(self.folder).free - self.reserve

    def warning(self, now: float, written: int) -> str:
        """Return a sentence when one is due, once each for 10 and for 2 minutes left.

        Parameters
        ----------
        now
            The time (s).
        written
            Bytes written so far.
        """
        self._seen.append((now, written))
        while self._seen[0][0] < now - _WINDOW:
            self._seen.popleft()
        (since, first), left = self._seen[0], max(self.left, 0)
        seconds, grown = now - since, written - first
        if seconds < 1.0 or grown <= 0:
            return ""
        minutes = left / (grown / seconds) / 60
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
    """The newest of what could not be written, up to ``size`` bytes of memory."""

    size: int
    _kept: deque[tuple[Kept, int]] = field(default_factory=deque, init=False)
    _held: int = field(default=0, init=False)
    _lost: int = field(default=0, init=False)

    def keep(self, item: Kept) -> None:
        """Keep an item, and let go of the oldest where there is no room."""
        self._kept.append((item, _size(item)))
        self._held += self._kept[-1][1]
        while self._held > self.size and len(self._kept) > 1:
            self._held -= self._kept.popleft()[1]
            self._lost += 1

    def take(self) -> tuple[list[Kept], int]:
        """Return what is kept, and how many items were let go; be empty again."""
        kept, lost = [item for item, _ in self._kept], self._lost
        self._kept.clear()
        self._held = self._lost = 0
        return kept, lost


def _size(item: Kept) -> int:
    if isinstance(item, tuple):
        return 1000
    stamps = (
        item.stamps.nbytes if isinstance(item, Block) and item.stamps is not None else 0
    )
    return 1000 + item.data.nbytes + stamps
