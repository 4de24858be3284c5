"""Least and greatest samples of a stream at any zoom, from a pyramid of its samples."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d

from physio.core.block import Array, Block, Channel
from physio.core.stitch import stitched

Floats = npt.NDArray[np.float32]

LEVEL: Final = 16
"""Number of samples, or of entries of the level below, in an entry of a level."""

CENTRED: Final = ("eeg", "ecg", "eog", "emg", "bio")
"""Kinds of channels that are shown less the mean of the 2 s around."""

_CENTRE: Final = 2.0  # s
_FINE: Final = 4  # entries of a level that a column has at least
_SHOWN: Final = 20_000  # samples from which the range of a channel is taken


@dataclass(frozen=True, eq=False)
class Pyramid:
    """Samples of a stream (float32), and least and greatest ones of 16, 256 ... each.

    Parameters
    ----------
    name
        Name of the stream.
    channels
        Its channels.
    rate
        Sampling rate (Hz).
    begin
        Time of the first sample (s, session clock).
    samples
        Shape (n, channels); NaN where a sample is missing.
    levels
        Least and greatest values, shape (2, m, channels), of each level.
    """

    name: str
    channels: tuple[Channel, ...]
    rate: float
    begin: float
    samples: Floats
    levels: tuple[Floats, ...] = field(default=())

    @classmethod
    def of(cls, blocks: Sequence[Block], hidden: Container[str] = ()) -> "Pyramid":
        """Return the pyramid of a stream, without its hidden channels."""
        info = blocks[0].info
        shown = [(i, c) for i, c in enumerate(info.channels) if c.name not in hidden]
        times, data = stitched(blocks)
        samples = np.empty((len(data), len(shown)), np.float32)
        for column, (i, channel) in enumerate(shown):
            samples[:, column] = _centred(data[:, i], channel.kind, float(info.rate))
        levels: list[Floats] = []
        low = high = samples
        while len(low) >= 2 * LEVEL:
            rows = np.arange(0, len(low), LEVEL)
            low = np.fmin.reduceat(low, rows, axis=0)
            high = np.fmax.reduceat(high, rows, axis=0)
            levels.append(np.stack([low, high]))
        begin = float(times[0]) if len(times) else 0.0
        rate = float(info.rate)
        channels = tuple(channel for _, channel in shown)
        return cls(info.name, channels, rate, begin, samples, tuple(levels))

    def envelope(self, edges: Array) -> Floats:
        """Return the least and greatest sample between successive times.

        Parameters
        ----------
        edges
            Rising times (s), shape (columns + 1,), evenly spaced.

        Returns
        -------
        ndarray of float32, shape (2, columns, channels)
            NaN where there is no sample. Where samples are farther apart than times,
            they are joined by lines.
        """
        columns = len(edges) - 1
        at = (edges - self.begin) * self.rate
        result = np.full((2, columns, len(self.channels)), np.nan, np.float32)
        if not len(self.samples) or columns < 1:
            return result
        per_column = (at[-1] - at[0]) / columns
        if per_column < 2:
            values = self._between(at)
            result[0] = np.minimum(values[:-1], values[1:])
            result[1] = np.maximum(values[:-1], values[1:])
            return result
        size, low, high = 1, self.samples, self.samples
        for level in self.levels:
            if per_column < size * LEVEL * _FINE:
                break
            size, low, high = size * LEVEL, level[0], level[1]
        rows = np.clip(np.ceil(at / size - 1e-6).astype(int), 0, len(low))
        filled = np.flatnonzero(rows[1:] > rows[:-1])
        if len(filled):
            first, last = rows[filled[0]], rows[filled[-1] + 1]
            starts = rows[filled] - first
            result[0, filled] = np.fmin.reduceat(low[first:last], starts, axis=0)
            result[1, filled] = np.fmax.reduceat(high[first:last], starts, axis=0)
        return result

    def ranges(self) -> list[tuple[float, float]]:
        """Return middle and range of each channel, without its extreme values."""
        step = max(len(self.samples) // _SHOWN, 1)
        part = self.samples[::step]
        ranges = []
        for column in part.T:
            good = column[np.isfinite(column)]
            if not len(good):
                ranges.append((0.0, 1.0))
                continue
            low, middle, high = np.percentile(good, (1.0, 50.0, 99.0)).tolist()
            if high <= low:
                low, high = float(good.min()), float(good.max())
            ranges.append(
                (middle if high - middle < 3 * (middle - low) else (low + high) / 2,
                 high - low if high > low else 1.0)
            )  # fmt: skip
        return ranges

    def _between(self, at: Array) -> Floats:
        """Return the values at positions between samples, NaN outside of them."""
        n = len(self.samples)
        before = np.floor(at).astype(int)
        part = (at - before).astype(np.float32)[:, None]
        inside = (before >= 0) & (before < n)
        first = self.samples[np.clip(before, 0, n - 1)]
        second = self.samples[np.clip(before + 1, 0, n - 1)]
        values: Floats = np.where(part == 0, first, first + part * (second - first))
        values[~inside] = np.nan
        return values


def _centred(values: Array, kind: str, rate: float) -> Array:
    if kind not in CENTRED:
        return values
    good = np.isfinite(values)
    if not good.any():
        return values
    level = np.where(good, values, np.median(values[good]))
    size = min(max(round(_CENTRE * rate), 1), len(values))
    shown: Array = values - uniform_filter1d(level, size, mode="nearest")
    return shown
