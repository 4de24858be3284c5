"""Sensors, and their samples between the making and the reading."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from devices.simulated.affect_trajectory import GRID
from devices.simulated.noise import SEGMENT
from devices.simulated.physiology import PhysiologySegment
from physio.core.affect import DIMENSIONS
from physio.core.block import Array, Block, Channel, StreamInfo

Flags = npt.NDArray[np.bool_]

LabelledEvent = tuple[float, str, tuple[float, ...]]
"""Time since the beginning (s), label, numbers."""

AFFECT = tuple(Channel(name) for name in DIMENSIONS)


class Sensor(ABC):
    """One stream of a device, made from spans of the participant's life.

    ``name``, ``rate``, ``channels``, ``site``, ``placement`` and ``reference`` are the
    stream's. A sensor that knows what it did to the signal tells it in ``happened``, as
    events of the stream ``tells`` with the numbers ``details``.
    """

    name: ClassVar[str]
    site: ClassVar[str] = ""
    placement: ClassVar[str] = ""
    reference: ClassVar[str] = ""
    event_name: ClassVar[str] = ""
    event_channels: ClassVar[tuple[Channel, ...]] = ()
    rate: Fraction
    channels: tuple[Channel, ...]

    def __init__(self) -> None:
        self.events: list[LabelledEvent] = []

    @abstractmethod
    def sense(self, span: PhysiologySegment, t: Array) -> Array:
        """Return the samples of a span, at times ``t`` (s), shape (n, channels)."""


class Truth(Sensor):
    """The hidden course itself."""

    name, rate, channels = "truth", Fraction(GRID), AFFECT

    def sense(self, span: PhysiologySegment, t: Array) -> Array:
        """Return valence, arousal and dominance."""
        return np.column_stack([span.at(t, column) for column in span.latent.T])


class SampleLoss:
    """Which samples of a stream never arrive: the same ones each time.

    Parameters
    ----------
    rng
        Their chance.
    share
        How many are lost one by one.
    gaps
        From when to when all are lost (s since the beginning).
    dies
        From when on all are lost (s since the beginning).
    """

    def __init__(
        self,
        rng: np.random.Generator,
        share: float,
        gaps: tuple[tuple[float, float], ...],
        dies: float,
    ) -> None:
        self._rng, self._share, self._gaps, self._dies = rng, share, gaps, dies

    def mask(self, t: Array) -> Flags:
        """Tell which of the next samples, at ``t`` (s), arrive; shape (n,)."""
        arrives = (self._rng.random(len(t)) >= self._share) & (t < self._dies)
        for begin, end in self._gaps:
            arrives &= (t < begin) | (t >= end)
        return arrives


class _Pending(NamedTuple):
    """Samples not all of which were read: times (s, session clock), which arrive."""

    start: int
    times: Array
    rows: Array
    arrives: Flags


class SampleFeed:
    """The samples of one stream, made a span at a time and read by the clock.

    Parameters
    ----------
    info
        The stream.
    sensor
        What makes the samples.
    epoch
        When sample 0 was taken (s, session clock).
    seconds
        For how long samples are taken.
    losses
        Which of them never arrive.
    """

    def __init__(
        self,
        info: StreamInfo,
        sensor: Sensor,
        epoch: float,
        seconds: float,
        losses: SampleLoss,
    ) -> None:
        self.info, self.sensor = info, sensor
        self._epoch, self._seconds, self._losses = epoch, seconds, losses
        self._waiting: deque[_Pending] = deque()
        self._produced_until = 0
        self.produced = self.delivered = 0

    def grow(self, span: PhysiologySegment) -> None:
        """Make the samples of a span."""
        stop = ceil((round(span.begin) + SEGMENT) * self.info.rate)
        t = np.arange(self._produced_until, stop) / float(self.info.rate)
        rows = np.ascontiguousarray(self.sensor.sense(span, t))
        n = int(np.searchsorted(t, self._seconds))  # none at the end or after it
        arrives = self._losses.mask(t)
        self._waiting.append(
            _Pending(self._produced_until, self._epoch + t[:n], rows[:n], arrives[:n])
        )
        self._produced_until = stop

    def due(self, now: float) -> Iterator[Block]:
        """Yield what was taken by ``now`` (s, session clock) and was not lost."""
        while self._waiting:
            start, times, rows, arrives = self._waiting[0]
            a = self.produced - start
            ripe = int(np.searchsorted(times, now, side="right"))
            self.produced = start + ripe
            for first, stop in _runs(arrives[a:ripe]):
                self.delivered += stop - first
                part = rows[a + first : a + stop]
                yield Block(self.info, start + a + first, self._epoch, part)
            if ripe < len(rows):
                return
            self._waiting.popleft()


def _runs(mask: Flags) -> list[tuple[int, int]]:
    """Return from where to where something is true without a break."""
    if mask.all():
        return [(0, len(mask))] if len(mask) else []
    padded = np.concatenate([[False], mask, [False]])
    edges = np.flatnonzero(np.diff(padded)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))
