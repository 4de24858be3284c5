"""Statistics of streams from the blocks that arrive, and a log of events."""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

import numpy as np

from physio.core.block import Array, Block, StreamInfo
from physio.core.counted_nouns import counted

ALWAYS_VARYING: Final = ("eeg", "ecg", "eog", "emg", "bio", "resp")
"""Kinds of channel that are never constant on a body: a constant one is flat."""

_BURST: Final = 1.0  # s of samples that may arrive at once in normal operation
_SETTLED: Final = 1.0  # s of blocks from which a rate is measured
_DELAY: Final = 0.15  # s by which a block may be older than usual


class BlockArrival(NamedTuple):
    """Arrival of a block: time (s), samples in it and lost before it, its age (s)."""

    time: float
    n: int
    lost: int
    stop: float
    age: float


class StreamQuality(NamedTuple):
    """Fraction of valid values, and the names of flat channels."""

    valid_fraction: float
    flat: tuple[str, ...]


class BlockQuality(NamedTuple):
    """Finite values, minimum and maximum of each channel in one block."""

    until: float
    n: int
    good: Array  # (channels,): number of finite values
    low: Array
    high: Array

    @classmethod
    def of(cls, block: Block) -> Self:
        """Return the summary of a block with samples."""
        finite = np.isfinite(block.data)
        low = np.where(finite, block.data, np.inf).min(axis=0)
        high = np.where(finite, block.data, -np.inf).max(axis=0)
        return cls(block.complete_until, len(block), finite.sum(axis=0), low, high)


@dataclass
class StreamStats:
    """Rate, age, loss and quality of one stream.

    Parameters
    ----------
    info
        The stream.
    recent
        Window of the rate and the quality (s).
    losses
        Window of the losses (s).
    """

    info: StreamInfo
    recent: float = 10.0
    losses: float = 60.0
    samples: int = field(default=0, init=False)
    lost: int = field(default=0, init=False)
    newest_time: float = field(default=float("nan"), init=False)
    silent: bool = field(default=False, init=False)
    skipped: bool = field(default=False, init=False)
    """True if the samples before the next block were not shown, and not lost."""
    _arrivals: deque[BlockArrival] = field(
        default_factory=deque, init=False, repr=False
    )
    _qualities: deque[BlockQuality] = field(
        default_factory=deque, init=False, repr=False
    )

    def take(self, block: Block, now: float) -> int:
        """Add a block that arrived at ``now`` (s); return samples lost before it."""
        if self.skipped:
            self.samples, self.skipped = block.start - self.lost, False
        lost = block.start - (self.samples + self.lost)
        if len(block):
            self.newest_time, self.silent = block.complete_until, False
            self._qualities.append(BlockQuality.of(block))
        self.samples += len(block)
        self.lost += lost
        age = now - block.complete_until if len(block) else 0.0
        self._arrivals.append(BlockArrival(now, len(block), lost, block.stop, age))
        return lost

    def drop_old(self, now: float) -> None:
        """Remove arrivals that are older than the windows."""
        while self._arrivals and self._arrivals[0].time <= now - self.losses:
            self._arrivals.popleft()
        while (
            self._qualities
            and self._qualities[0].until <= self.newest_time - self.recent
        ):
            self._qualities.popleft()

    def age(self, now: float) -> float:
        """Return the age of the newest sample (s); NaN without any."""
        return now - self.newest_time

    def rate(self, now: float) -> float:
        """Return the measured sampling rate (Hz); NaN with too few blocks.

        Computed from arrival times: samples after the first block, divided by the time
        since that block, so that large blocks do not make the rate jump. Samples that
        had waited, as at the start of a session, are no rate: the blocks up to the last
        one that is older than usual, or that holds more than its time, are left out.
        """
        arrivals = [c for c in self._arrivals if c.n and c.time > now - self.recent]
        arrivals = arrivals[self._backlog(arrivals) :]
        if self.silent or (self.samples and not arrivals):
            return 0.0
        if len(arrivals) < 2 or arrivals[-1].time - arrivals[0].time < _SETTLED:
            return float("nan")
        return sum(c.n for c in arrivals[1:]) / (arrivals[-1].time - arrivals[0].time)

    def _backlog(self, arrivals: Sequence[BlockArrival]) -> int:
        """Return the number of the last block of a backlog; 0 without one."""
        usual = float(np.median([c.age for c in arrivals])) if arrivals else 0.0
        for i in range(len(arrivals) - 1, 0, -1):
            since = arrivals[i].time - arrivals[i - 1].time
            is_long = arrivals[i].n / float(self.info.rate) > 2 * since + _BURST
            if is_long or arrivals[i].age > usual + _DELAY:
                return i
        return 0

    def loss(self, now: float) -> tuple[int, float]:
        """Return the samples lost within `losses`, and their proportion of all."""
        arrivals = [c for c in self._arrivals if c.time > now - self.losses]
        lost = sum(c.lost for c in arrivals)
        return lost, lost / max(1, lost + sum(c.n for c in arrivals))

    def quality(self) -> StreamQuality:
        """Return the fraction of recent values that are finite and not flat.

        A channel of a kind in `ALWAYS_VARYING` is flat, and all its values invalid,
        when it is constant for 5 s or more.
        """
        if not self._qualities:
            return StreamQuality(float("nan"), ())
        _, counts, goods, lows, highs = zip(*self._qualities, strict=True)
        n, good = sum(counts), np.sum(goods, axis=0)
        flat = np.zeros(len(good), bool)
        if n >= 5 * self.info.rate:
            lively = np.array(
                [c.kind in ALWAYS_VARYING for c in self.info.channels], bool
            )
            flat = (np.min(lows, axis=0) == np.max(highs, axis=0)) & lively
        good[flat] = 0
        names = tuple(np.array(self.info.names)[flat]) if flat.any() else ()
        return StreamQuality(float(good.sum()) / (n * max(1, len(good))), names)


@dataclass
class LogEntry:
    """Line of the log, with the number of its repetitions."""

    time: float
    text: str
    style: str
    kind: str
    repetitions: int = 1
    lost_samples: int = 0


@dataclass
class EventLog:
    """Log of the newest events; repetitions are counted in one line.

    Parameters
    ----------
    capacity
        Maximum number of lines.
    merge_window
        Repetitions within this time (s) are counted instead of listed.
    """

    capacity: int = 50
    merge_window: float = 30.0
    entries: deque[LogEntry] = field(default_factory=deque, init=False)

    def add(self, time: float, text: str, style: str = "") -> bool:
        """Add an event at ``time`` (s); return True if it is a new line.

        Texts that differ only in their digits count as repetitions.
        """
        kind = re.sub(r"[0-9]+", "#", text)
        for entry in self.entries:
            if entry.kind == kind and time - entry.time <= self.merge_window:
                entry.text, entry.repetitions = text, entry.repetitions + 1
                return False
        self._append(LogEntry(time, text, style, kind))
        return True

    def mark(self, time: float, text: str, style: str = "") -> None:
        """Add an event that is always listed separately, such as a marker."""
        self._append(LogEntry(time, text, style, ""))

    def lost(self, time: float, stream: str, n: int) -> bool:
        """Add ``n`` lost samples of a stream; return True if it is a new line."""
        kind = f"lost {stream}"
        for entry in self.entries:
            if entry.kind == kind and time - entry.time <= self.merge_window:
                entry.lost_samples += n
                entry.text = f"{stream} lost {counted(entry.lost_samples, 'sample')}"
                return False
        text = f"{stream} lost {counted(n, 'sample')}"
        self._append(LogEntry(time, text, "yellow", kind, lost_samples=n))
        return True

    def last(self, n: int) -> list[LogEntry]:
        """Return the newest ``n`` lines, oldest first."""
        return list(self.entries)[-n:]

    def _append(self, entry: LogEntry) -> None:
        self.entries.append(entry)
        while len(self.entries) > self.capacity:
            self.entries.popleft()
