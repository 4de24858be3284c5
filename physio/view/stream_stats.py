"""How a stream does, counted from what arrives."""

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

import numpy as np

from physio.core.block import Array, Block, StreamInfo

LIVELY: Final = ("eeg", "ecg", "eog", "emg", "bio", "resp")
"""Kinds of channel that never stand still on a living body."""


class Arrival(NamedTuple):
    """A block: when it came, with how many samples, after how many lost ones."""

    time: float
    n: int
    lost: int
    stop: float


class Quality(NamedTuple):
    """How much of a stream is of use."""

    share: float
    flat: tuple[str, ...]


class BlockQuality(NamedTuple):
    """What a block says of quality: see `StreamStats.quality`."""

    until: float
    n: int
    good: Array  # (channels,): how many values are numbers
    low: Array
    high: Array

    @classmethod
    def of(cls, block: Block) -> Self:
        """Return what a block says that has samples."""
        finite = np.isfinite(block.data)
        low = np.where(finite, block.data, np.inf).min(axis=0)
        high = np.where(finite, block.data, -np.inf).max(axis=0)
        return cls(block.complete_until, len(block), finite.sum(axis=0), low, high)


@dataclass
class StreamStats:
    """What came of one stream, and what did not.

    Parameters
    ----------
    info
        The stream.
    recent
        Rate and quality are of the last so many seconds,
    losses
        losses of these.
    """

    info: StreamInfo
    recent: float = 10.0
    losses: float = 60.0
    samples: int = field(default=0, init=False)
    lost: int = field(default=0, init=False)
    heard: float = field(default=float("nan"), init=False)
    silent: bool = field(default=False, init=False)
    _came: deque[Arrival] = field(default_factory=deque, init=False, repr=False)
    _judged: deque[BlockQuality] = field(default_factory=deque, init=False, repr=False)

    def take(self, block: Block, now: float) -> int:
        """Count a block that came at ``now`` (s); return how many were lost before."""
        lost = block.start - (self.samples + self.lost)
        if len(block):
            self.heard, self.silent = block.complete_until, False
            self._judged.append(BlockQuality.of(block))
        self.samples += len(block)
        self.lost += lost
        self._came.append(Arrival(now, len(block), lost, block.stop))
        return lost

    def forget(self, now: float) -> None:
        """Let go of what is too old to tell."""
        while self._came and self._came[0].time <= now - self.losses:
            self._came.popleft()
        while self._judged and self._judged[0].until <= self.heard - self.recent:
            self._judged.popleft()

    def age(self, now: float) -> float:
        """Return how old the newest sample is (s); NaN if there never was one."""
        return now - self.heard

    def rate(self, now: float) -> float:
        """Return how many samples a second came lately (Hz); NaN if too few to tell.

        It is counted by when blocks came: samples after the first block, over the time
        since that block, so that coarse blocks do not make the rate jump.
        """
        came = [c for c in self._came if c.n and c.time > now - self.recent]
        if self.silent or (self.samples and not came):
            return 0.0
        if len(came) < 2 or came[-1].time <= came[0].time:
            return float("nan")
        return sum(c.n for c in came[1:]) / (came[-1].time - came[0].time)

    def loss(self, now: float) -> tuple[int, float]:
        """Return how many samples were lost lately, and their share of all."""
        came = [c for c in self._came if c.time > now - self.losses]
        lost = sum(c.lost for c in came)
        return lost, lost / max(1, lost + sum(c.n for c in came))

    def quality(self) -> Quality:
        """Return the share of recent values that are numbers, of channels that move.

        A channel that should be lively counts as flat, and all its values as useless,
        when its values are all the same for 5 s or more.
        """
        if not self._judged:
            return Quality(float("nan"), ())
        _, counts, goods, lows, highs = zip(*self._judged, strict=True)
        n, good = sum(counts), np.sum(goods, axis=0)
        flat = np.zeros(len(good), bool)
        if n >= 5 * self.info.rate:
            lively = np.array([c.kind in LIVELY for c in self.info.channels], bool)
            flat = (np.min(lows, axis=0) == np.max(highs, axis=0)) & lively
        good[flat] = 0
        names = tuple(np.array(self.info.names)[flat]) if flat.any() else ()
        return Quality(float(good.sum()) / (n * max(1, len(good))), names)


@dataclass
class Entry:
    """One line of what happened, and how often."""

    time: float
    text: str
    style: str
    kind: str
    times: int = 1
    count: int = 0


@dataclass
class Log:
    """The last few things that happened; what repeats stays one line.

    Parameters
    ----------
    room
        How many lines are kept.
    within
        What repeats within so many seconds is counted, not told again.
    """

    room: int = 50
    within: float = 30.0
    entries: deque[Entry] = field(default_factory=deque, init=False)

    def add(self, time: float, text: str, style: str = "") -> bool:
        """Put in what happened at ``time`` (s); tell whether it is news.

        What differs in its figures alone counts as a repetition.
        """
        kind = re.sub(r"[0-9]+", "#", text)
        for entry in self.entries:
            if entry.kind == kind and time - entry.time <= self.within:
                entry.text, entry.times = text, entry.times + 1
                return False
        self._put(Entry(time, text, style, kind))
        return True

    def mark(self, time: float, text: str, style: str = "") -> None:
        """Put in what stays a line of its own however often it comes: a marker."""
        self._put(Entry(time, text, style, ""))

    def lost(self, time: float, stream: str, n: int) -> bool:
        """Put in ``n`` lost samples of a stream; tell whether it is news."""
        kind = f"lost {stream}"
        for entry in self.entries:
            if entry.kind == kind and time - entry.time <= self.within:
                entry.count += n
                entry.text = f"{stream} lost {entry.count} samples"
                return False
        text = f"{stream} lost {n} sample{'s' if n > 1 else ''}"
        self._put(Entry(time, text, "yellow", kind, count=n))
        return True

    def last(self, n: int) -> list[Entry]:
        """Return the newest ``n`` lines, the oldest of them first."""
        return list(self.entries)[-n:]

    def _put(self, entry: Entry) -> None:
        self.entries.append(entry)
        while len(self.entries) > self.room:
            self.entries.popleft()
