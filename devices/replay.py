"""Replay of a recording as a device."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, Self

import numpy as np

from physio.core.block import Block, StreamInfo
from physio.core.events import Events, Item
from physio.core.protocols import Clock, Device, WallClock
from physio.core.recording import Recording

TESTED_WITH: Final = "recordings of sessions and of other programs"
"""Tests behind this device, for the page of supported devices."""


@dataclass
class Replay(Device):
    """Replay of any recording, at the pace of a clock.

    An item is due once the clock has passed the time of its last sample. The replay
    ends with the last sample: later events are returned with it. A recording
    with a timeline is repeated item by item, in the recorded order and with the
    declared timeouts. Of any other, each `read` returns the samples since the last
    call. Computed streams are not replayed but computed again: `Recording.inputs` has
    the streams that are replayed.

    Parameters
    ----------
    recording
        The recording; its streams keep their names.
    clock
        Sets the pace. All times are shifted so that the recording begins at the clock's
        time of opening; with ``FastClock(recording.begin)`` the shift is 0 and every
        number stays the same.
    """

    recording: Recording
    clock: Clock = field(default_factory=WallClock)
    _waiting: "_Recorded | _Merged | None" = field(
        default=None, init=False, repr=False, compare=False
    )

    def __enter__(self) -> Self:
        shift = self._shift = self.clock.now() - self.recording.begin
        kind = _Recorded if self.recording.timeline else _Merged
        self._waiting = kind(self.recording, shift)
        self._first = [_moved(item, shift) for item in self.recording.misses]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._waiting = None

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Input streams of the recording."""
        return self.recording.inputs

    @property
    def ends(self) -> Mapping[str, float]:
        """Time of the last sample of each stream (s, session clock)."""
        names = {info.name for info in self.recording.inputs}
        filled = {
            name: [b for b in blocks if len(b)]
            for name, blocks in self.recording.streams.items()
            if name in names
        }
        return {
            name: blocks[-1].complete_until + self._shift
            for name, blocks in filled.items()
            if blocks
        }

    @property
    def calm_until(self) -> float:
        """Time up to which all streams go on without a gap or a session's event (s)."""
        return -np.inf if self._waiting is None else self._waiting.calm_until

    @property
    def is_replay(self) -> bool:
        """Always true."""
        return True

    @property
    def declares_silence(self) -> bool:
        """True if the recording holds the declared timeouts."""
        return bool(self.recording.timeline)

    @property
    def ended(self) -> bool:
        """True if all items were returned, or the replay was closed."""
        return self._waiting is None or self._waiting.ended

    def read(self) -> list[Item]:
        """Return the items due since the last call."""
        if self._waiting is None:
            return []
        first, self._first = self._first, []
        return [*first, *self._waiting.due(self.clock.now())]


class _Recorded:
    """The items of a timeline, in its order."""

    calm_until = -np.inf

    def __init__(self, recording: Recording, shift: float) -> None:
        names = {info.name for info in recording.inputs}
        self._items = (
            _moved(item, shift)
            for item in recording.arrivals()
            if item.info.name in names
        )
        self._next = next(self._items, None)
        filled = any(
            map(len, (b for blocks in recording.streams.values() for b in blocks))
        )
        self._end = recording.end + shift if filled else np.inf

    @property
    def ended(self) -> bool:
        return self._next is None

    def due(self, now: float) -> Iterator[Item]:
        while self._next is not None and min(_newest(self._next), self._end) <= now:
            yield self._next
            self._next = next(self._items, None)


class _Merged:
    """Streams without a recorded order of arrival, merged by time."""

    def __init__(self, recording: Recording, shift: float) -> None:
        names = [info.name for info in recording.inputs]
        self._lines: list[_SampleStream | _EventStream] = [
            _SampleStream(recording.streams[name], shift)
            if name in recording.streams
            else _EventStream(recording.events[name], shift)
            for name in names
        ]
        self._sampled = sum(map(_is_sampled, self._lines))

    @property
    def ended(self) -> bool:
        return not self._lines

    @property
    def calm_until(self) -> float:
        whole = sum(map(_is_sampled, self._lines)) == self._sampled
        return min(line.calm_until for line in self._lines) if whole else -np.inf

    def due(self, now: float) -> list[Item]:
        items = [i for line in self._lines if line.next <= now for i in line.due(now)]
        if self._sampled and not any(_is_sampled(line) for line in self._lines):
            rest = [line for line in self._lines if line.next < np.inf]
            items += [i for line in rest for i in line.due(np.inf)]
        self._lines = [line for line in self._lines if line.next < np.inf]
        return sorted(items, key=_newest)


class _SampleStream:
    """Remaining samples of a regular stream; ``next`` is the time of the next one."""

    def __init__(self, blocks: tuple[Block, ...], shift: float) -> None:
        self._turn = (_moved_block(b, shift) for b in blocks if len(b))
        self._follow()

    def _follow(self) -> None:
        self._pending = next(self._turn, None)
        self._is_flowing = False  # whether a sample of this block was given
        self.next = np.inf if self._pending is None else _time(self._pending, 0)

    @property
    def calm_until(self) -> float:
        """Time of the last sample before a gap may come; -inf within one."""
        if self._pending is None or not self._is_flowing:
            return -np.inf
        return self._pending.complete_until

    def due(self, now: float) -> Iterator[Block]:
        while self._pending is not None and self.next <= now:
            block, cut = (
                self._pending,
                self._pending.start + _passed(self._pending, now),
            )
            yield block.part(block.start, cut)
            if cut == block.stop:
                self._follow()
            else:
                self._pending = block.part(cut, block.stop)
                self._is_flowing = True
                self.next = _time(self._pending, 0)


class _EventStream:
    """Remaining events of a stream; ``next`` is the time of the next one."""

    def __init__(self, events: Events, shift: float) -> None:
        self._events = _moved_events(events, shift)
        self._given = 0
        self._follow()

    def _follow(self) -> None:
        pending = self._given < len(self._events)
        self.next = float(self._events.times[self._given]) if pending else np.inf

    @property
    def calm_until(self) -> float:
        """Time of the next event if the session reacts to it; else without end."""
        reacts = self._events.info.name.startswith("session.")
        return self.next if reacts else np.inf

    def due(self, now: float) -> Iterator[Events]:
        stop = int(np.searchsorted(self._events.times, now, side="right"))
        until = now if now < np.inf else float(self._events.times[-1])
        yield self._events.part(self._given, stop, until)
        self._given = stop
        self._follow()


def _is_sampled(line: _SampleStream | _EventStream) -> bool:
    """Return whether a line has samples left."""
    return isinstance(line, _SampleStream) and line.next < np.inf


def _time(block: Block, row: int) -> float:
    """Return the time of a row, bit-identical to `Block.times`."""
    return block.t0 + (block.start + row) / float(block.info.rate)


def _passed(block: Block, now: float) -> int:
    """Return the number of rows of a block up to ``now`` (s)."""
    n = int((now - block.t0) * float(block.info.rate)) + 1 - block.start
    n = min(max(n, 0), len(block))
    while n < len(block) and _time(block, n) <= now:
        n += 1
    while n and _time(block, n - 1) > now:
        n -= 1
    return n


def _newest(item: Item) -> float:
    """Return the time of an item's last sample or event; -inf for an empty item."""
    if not len(item):
        return -np.inf
    return item.complete_until if isinstance(item, Block) else float(item.times[-1])


def _moved(item: Item, shift: float) -> Item:
    if isinstance(item, Block):
        return _moved_block(item, shift)
    return _moved_events(item, shift)


def _moved_block(block: Block, shift: float) -> Block:
    return replace(block, t0=block.t0 + shift) if shift else block


def _moved_events(events: Events, shift: float) -> Events:
    if not shift:
        return events
    return replace(
        events, complete_until=events.complete_until + shift, times=events.times + shift
    )
