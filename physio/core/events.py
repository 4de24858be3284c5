"""Events: beats, markers, ratings and losses, each with a time stamp."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.missing import MissingReason, missing_reason


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Consecutive events of one stream that has no sampling rate.

    Parameters
    ----------
    info
        The stream; its rate is 0.
    complete_until
        Time up to which the stream is complete (s, session clock): no earlier event
        follows.
    times
        Time of each event (s, session clock), shape (n,), rising.
    data
        Values of each event, shape (n, channels).
    labels
        Text of each event, as of a marker: n of them, or none.
    complete_from
        Time from which the stream is complete (s, session clock): before it, events
        could not be detected.
    """

    info: StreamInfo
    complete_until: float
    times: Array
    data: Array
    labels: tuple[str, ...] = ()
    complete_from: float = -np.inf

    def __post_init__(self) -> None:
        if self.info.rate != 0:
            raise ValueError(
                f"events have rate 0, but {self.info.name!r} has {self.info.rate} Hz"
            )
        shape = (len(self.times), len(self.info.channels))
        if self.data.shape != shape or len(self.labels) not in (0, len(self.times)):
            raise ValueError(
                f"{self.info.name!r}: {shape[0]} times need data of shape {shape} and "
                f"{shape[0]} labels or none; got {self.data.shape} and "
                f"{len(self.labels)}"
            )
        if np.any(np.diff(self.times) < 0):
            raise ValueError(f"the times of {self.info.name!r} must rise")
        self.times.flags.writeable = False
        self.data.flags.writeable = False

    def __len__(self) -> int:
        return len(self.times)

    def part(self, start: int, stop: int, until: float) -> "Events":
        """Return events number ``start`` to ``stop``, complete until ``until`` (s)."""
        rows = slice(start, stop)
        labels = self.labels[rows] if self.labels else ()
        data, begin = self.data[rows], self.complete_from
        return Events(self.info, until, self.times[rows], data, labels, begin)


Item = Block | Events
"""Data of one stream on its way through a session."""


def concatenate(parts: Sequence[Events]) -> Events:
    """Return consecutive events of one stream, at least one part, as a whole."""
    times, data = (
        np.concatenate([getattr(p, k) for p in parts]) for k in ("times", "data")
    )
    labels = tuple(label for p in parts for label in p.labels)
    until, begin = parts[-1].complete_until, parts[0].complete_from
    return Events(parts[0].info, until, times, data, labels, begin)


def single_event(
    info: StreamInfo, time: float, label: str = "", *values: float
) -> Events:
    """Return a single event of ``info``."""
    data = np.array(values, np.float64).reshape(1, len(info.channels))
    return Events(info, time, np.array([time]), data, (label,))


def event_stream(name: str, *channels: Channel) -> StreamInfo:
    """Return a stream of labelled events, with ``channels`` of values."""
    return StreamInfo(name, Fraction(0), channels)


def is_point(info: StreamInfo) -> bool:
    """Return whether a regular stream holds events: see `events_from_grid`."""
    return bool(info.channels) and info.channels[0].kind == "event"


def events_from_grid(block: Block) -> Events:
    """Return the events that a regular stream carries on its grid.

    Inside a chain, detected events stay on the sample grid: one row a sample, NaN
    except where an event was detected. The first channel, of kind ``"event"``, is the
    time of the event relative to its row (s, at most 0 and no less than ``-delay``);
    the others are its values. So one rule for blocks and gaps holds for samples and
    events. Rows that warm up leave events out: the stream is complete from the first
    other row on.
    """
    first = block.info.channels[0]
    rows = np.flatnonzero(~np.isnan(block.data[:, 0]))
    times = block.times[rows] + block.data[rows, 0]
    order = np.argsort(times, kind="stable")
    info = block.info.with_channels(Fraction(0), *block.info.channels[1:])
    until = block.complete_until - first.delay
    data = np.ascontiguousarray(block.data[rows[order], 1:])
    warming = missing_reason(block.data[:, 0]) == MissingReason.WARMING_UP
    begin = -np.inf
    if len(warming) and warming[0]:
        ready = np.flatnonzero(~warming)
        begin = float(block.times[ready[0]]) if len(ready) else np.inf
    return Events(info, until, times[order], data, (), begin)
