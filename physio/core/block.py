"""Streams, and the blocks of samples in which they arrive."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Origin(StrEnum):
    """Origin of data: measured, simulated, or estimated with demonstration weights.

    The members are ordered from the most to the least trustworthy.
    """

    MEASURED = "measured"
    SIMULATED = "simulated"
    DEMO = "demo"

    @classmethod
    def worst(cls, *origins: "Origin") -> "Origin":
        """Return the origin of a result computed from data of these origins."""
        order = list(cls)
        return max(origins, key=order.index, default=cls.MEASURED)


@dataclass(frozen=True, slots=True)
class Channel:
    """One column of a stream.

    Parameters
    ----------
    name
        As the field writes it: ``"Fz"``, ``"eda"``, ``"de.alpha.Fz"``.
    kind
        Channel type as MNE names it: ``eeg``, ``eog``, ``emg``, ``ecg``, ``resp``,
        ``gsr``, ``temperature``, ``bio`` (pulse), ``misc`` (movement, features),
        ``stim``; and ``quality``, a signal quality that no model reads.
    unit
        ``"uV"``, ``"uS"``, ``"degC"``, ``"g"``, ``"1/min"`` ...; ``"1"`` for none.
    delay
        Time from the moment that a value describes to the sample with which it is due
        (s).
    memory
        Duration of the samples that a value is computed from (s); 0 for a raw sample.
    reference
        Reference of an electrode, as its label or header states it: ``"M2"``.
    """

    name: str
    kind: str = "misc"
    unit: str = "1"
    delay: float = 0.0
    memory: float = 0.0
    reference: str = ""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """Description of a stream, known before its first sample and equal for all blocks.

    Parameters
    ----------
    name
        Name in the session: ``"<device>.<stream>"``, as ``"headset.eeg"``.
    rate
        Samples per second (Hz), exact; 0 for events.
    channels
        The columns of the data.
    origin
        Measured, simulated or demo; inherited by all data computed from it.
    participant
        Code of the participant who wears it, never a name.
    site, placement
        Body site, ``"left wrist"``, and placement, ``"dorsal, dry electrodes"``.
    reference
        Reference of all electrodes, ``"A2"``; empty where it is unknown or not the same
        for all.
    """

    name: str
    rate: Fraction
    channels: tuple[Channel, ...]
    origin: Origin = Origin.MEASURED
    participant: str = ""
    site: str = ""
    placement: str = ""
    reference: str = ""

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError(
                f"the rate of {self.name!r} must not be below 0: {self.rate}"
            )
        if len(set(self.names)) != len(self.channels):
            raise ValueError(
                f"{self.name!r} names a channel twice: {', '.join(self.names)}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each channel."""
        return tuple(c.name for c in self.channels)

    @property
    def memory(self) -> float:
        """The longest `Channel.memory` (s)."""
        return max((c.memory for c in self.channels), default=0.0)

    def with_channels(self, rate: Fraction | None = None, *channels: Channel) -> Self:
        """Return this stream with other channels, and at another rate (Hz) if given."""
        return replace(
            self, rate=self.rate if rate is None else rate, channels=channels
        )


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive samples of one regular stream.

    Parameters
    ----------
    info
        The stream.
    start
        Number of samples of the stream before this block, lost ones included.
    t0
        Time of sample 0 of the stream (s, session clock). The time of sample i is
        ``t0 + i / rate``, whichever block it is in. A device whose clock drifts changes
        t0 from block to block, by so little that times still rise.
    data
        Samples, shape (n, channels), float64, C order; made read-only.
    stamps
        Time stamp of each sample on the device's clock, shape (n,), if it sends them.
    """

    info: StreamInfo
    start: int
    t0: float
    data: Array
    stamps: Array | None = None

    def __post_init__(self) -> None:
        if self.data.ndim != 2 or self.data.shape[1] != len(self.info.channels):
            raise ValueError(
                f"{self.info.name!r} has {len(self.info.channels)} channels, "
                f"but the data has shape {self.data.shape}"
            )
        if self.data.dtype != np.float64 or not self.data.flags.c_contiguous:
            raise ValueError(
                f"the data of {self.info.name!r} must be float64 in C order, so that a "
                f"kernel is compiled once; it is {self.data.dtype}, strides "
                f"{self.data.strides}"
            )
        if self.stamps is not None and self.stamps.shape != (len(self.data),):
            raise ValueError(
                f"{self.info.name!r} has {len(self.data)} samples in this block, but "
                f"stamps of shape {self.stamps.shape}"
            )
        self.data.flags.writeable = False

    def __len__(self) -> int:
        return len(self.data)

    @property
    def stop(self) -> int:
        """Number of samples of the stream before the next block."""
        return self.start + len(self)

    @property
    def times(self) -> Array:
        """Time of each sample (s, session clock), shape (n,)."""
        return self.t0 + np.arange(self.start, self.stop) / float(self.info.rate)

    @property
    def complete_until(self) -> float:
        """Time of the last sample (s, session clock); all later blocks are after it."""
        return self.t0 + (self.stop - 1) / float(self.info.rate)

    def column(self, name: str) -> Array:
        """Return the samples of one channel, shape (n,)."""
        if name not in self.info.names:
            raise KeyError(
                f"{self.info.name!r} has no channel {name!r}; it has "
                f"{', '.join(self.info.names)}"
            )
        return self.data[:, self.info.names.index(name)]

    def part(self, start: int, stop: int) -> "Block":
        """Return the samples numbered ``start`` to ``stop`` that the block holds."""
        a = min(max(start - self.start, 0), len(self))
        b = min(max(stop - self.start, a), len(self))
        stamps = None if self.stamps is None else self.stamps[a:b]
        return Block(self.info, self.start + a, self.t0, self.data[a:b], stamps)

    def split(self, rows: Sequence[int]) -> Iterator["Block"]:
        """Yield this block in parts, split before each of ``rows``."""
        for a, b in pairwise([0, *sorted(rows), len(self)]):
            yield self.part(self.start + a, self.start + b)
