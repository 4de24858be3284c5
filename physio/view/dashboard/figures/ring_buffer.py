"""Ring buffer of a stream's newest samples, and min-max bins for drawing them."""

from collections.abc import Sequence
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, Block, StreamInfo
from physio.core.stitch import stitched

_MIN_CAPACITY: Final = 64


class RingBuffer:
    """Samples of the last ``seconds`` of one stream; lost samples are NaN.

    Parameters
    ----------
    info
        The stream.
    seconds
        Minimum length (s).
    """

    def __init__(self, info: StreamInfo, seconds: float) -> None:
        self.info, self.seconds = info, seconds
        self._capacity = max(_MIN_CAPACITY, int(seconds * float(info.rate)) + 1)
        # Filled with values, so that all memory is allocated at once.
        self._times = np.full(2 * self._capacity, np.nan)
        self._data = np.full((2 * self._capacity, len(info.channels)), np.nan)
        self._begin = self._end = 0
        self.stop: int | None = None

    @classmethod
    def of(cls, blocks: Sequence[Block]) -> Self:
        """Return a buffer that holds a whole recorded stream."""
        buffer = cls(blocks[0].info, 0.0)
        buffer._times, buffer._data = stitched(blocks)
        buffer._end = buffer._capacity = len(buffer._times)
        buffer.seconds = buffer._end / float(buffer.info.rate)
        buffer.stop = blocks[-1].stop
        return buffer

    def __len__(self) -> int:
        return self._end - self._begin

    def take(self, block: Block) -> None:
        """Append a block; samples lost before it become rows of NaN."""
        if not len(block):
            return
        n_lost = 0 if self.stop is None else max(0, block.start - self.stop)
        n_lost = min(n_lost, self._capacity)
        if n_lost:
            back = np.arange(-n_lost, 0) / float(self.info.rate)
            empty = np.full((n_lost, len(self.info.channels)), np.nan)
            self._append(block.times[0] + back, empty)
        self._append(block.times, block.data)
        self.stop = block.stop

    @property
    def newest(self) -> float:
        """Time of the newest sample (s, session clock); NaN without any."""
        return float(self._times[self._end - 1]) if len(self) else float("nan")

    def block(self) -> Block | None:
        """Return the content as one block; None if it is empty."""
        if self.stop is None or not len(self):
            return None
        rate = float(self.info.rate)
        data = self._data[self._begin : self._end].copy()
        epoch = self.newest - (self.stop - 1) / rate
        return Block(self.info, self.stop - len(self), epoch, data)

    def window(self, begin: float, end: float) -> tuple[Array, Array]:
        """Return times and samples in [``begin``, ``end``) (s)."""
        times = self._times[self._begin : self._end]
        a, b = np.searchsorted(times, np.array([begin, end])).tolist()
        data = self._data[self._begin : self._end]
        return times[a:b], data[a:b]

    def column(self, name: str, begin: float, end: float) -> tuple[Array, Array]:
        """Return times and values of one channel: see `window`."""
        times, data = self.window(begin, end)
        return times, data[:, self.info.names.index(name)]

    def last(self, name: str, end: float = np.inf) -> float:
        """Return the newest value of a channel before ``end`` (s); NaN without any."""
        if name not in self.info.names:
            return float("nan")
        _, values = self.column(name, -np.inf, end)
        return float(values[-1]) if len(values) else float("nan")

    def _append(self, times: Array, data: Array) -> None:
        times, data = times[-self._capacity :], data[-self._capacity :]
        n = len(times)
        if self._end + n > len(self._times):
            n_old = min(len(self), self._capacity - n) if n < self._capacity else 0
            rows = slice(self._end - n_old, self._end)
            self._times[:n_old] = self._times[rows].copy()
            self._data[:n_old] = self._data[rows].copy()
            self._begin, self._end = 0, n_old
        self._times[self._end : self._end + n] = times
        self._data[self._end : self._end + n] = data
        self._end += n
        self._begin = max(self._begin, self._end - self._capacity)


Bins = tuple[Array, Array]


def envelopes(times: Array, data: Array, width: float) -> Bins:
    """Return minimum and maximum of each bin of ``width`` s, two rows per bin.

    Bins begin at multiples of ``width``, so that they do not depend on the time of the
    call. A bin without any value is NaN: a gap remains a gap.

    Parameters
    ----------
    times, data
        Shape (n,) and (n, channels); times rise.
    width
        Width of a bin (s).

    Returns
    -------
    times, data
        Shape (2 k,) and (2 k, channels), k the number of bins with a sample.
    """
    if not len(times):
        return np.empty(0), np.empty((0, data.shape[1]))
    number = np.floor(times / width).astype(np.int64)
    first = np.flatnonzero(np.diff(number, prepend=number[0] - 1))
    low = np.fmin.reduceat(data, first, axis=0)
    high = np.fmax.reduceat(data, first, axis=0)
    middle = number[first] * width
    out = np.empty((2 * len(first), data.shape[1]))
    out[0::2], out[1::2] = low, high
    at = np.repeat(middle, 2)
    at[0::2] += 0.25 * width
    at[1::2] += 0.75 * width
    return at, out


def missing_spans(
    times: Array, missing: npt.NDArray[np.bool_]
) -> list[tuple[float, float]]:
    """Return begin and end (s) of each run of missing values."""
    edges = np.diff(np.concatenate([[0], missing.astype(np.int8), [0]]))
    begins = np.flatnonzero(edges == 1).tolist()
    ends = np.flatnonzero(edges == -1).tolist()
    last = len(times) - 1
    return [
        (float(times[max(a - 1, 0)]), float(times[min(b, last)]))
        for a, b in zip(begins, ends, strict=True)
    ]
