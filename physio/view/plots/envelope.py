"""Blocks joined to gap-free arrays, min-max envelopes, and runs of codes."""

from collections.abc import Sequence

import numpy as np

from physio.core.block import Array, Block
from physio.core.missing import MissingReason


def stitched(blocks: Sequence[Block]) -> tuple[Array, Array]:
    """Return all samples of a stream as one array, with lost samples as NaN.

    Parameters
    ----------
    blocks
        Consecutive blocks of one stream, as a `Recording` has them.

    Returns
    -------
    times
        Time of each sample (s, session clock), shape (n,); interpolated for lost ones.
    data
        Shape (n, channels); NaN (reason: no signal) where a sample was lost.
    """
    filled = [b for b in blocks if len(b)]
    if not filled:
        return np.empty(0), np.empty((0, len(blocks[0].info.channels)))
    start, stop = filled[0].start, filled[-1].stop
    data = np.full((stop - start, filled[0].data.shape[1]), MissingReason.NO_SIGNAL.nan)
    times = np.full(stop - start, np.nan)
    for block in filled:
        rows = slice(block.start - start, block.stop - start)
        data[rows], times[rows] = block.data, block.times
    gone = np.isnan(times)
    if gone.any():
        row = np.arange(len(times))
        times[gone] = np.interp(row[gone], row[~gone], times[~gone])
    return times, data


def envelope(times: Array, values: Array, bins: int = 1500) -> tuple[Array, Array]:
    """Return the min-max envelope of a signal, for drawing it with few points.

    A long signal is divided into ``bins`` intervals; each gives its minimum and its
    maximum, so that spikes remain. An interval without any value remains missing.

    Parameters
    ----------
    times, values
        Shape (n,) each.
    bins
        A signal of up to 4 samples per bin is returned unchanged.
    """
    if len(values) <= 4 * bins:
        return times, values
    edges = np.linspace(0, len(values), bins, endpoint=False).astype(int)
    low = np.fmin.reduceat(values, edges)
    high = np.fmax.reduceat(values, edges)
    middle = times[np.minimum(edges + len(values) // (2 * bins), len(values) - 1)]
    return np.repeat(middle, 2), np.stack([low, high], 1).ravel()


def code_runs(codes: Array) -> list[tuple[int, int, int]]:
    """Return the runs of equal codes except 0: (first row, last row + 1, code)."""
    if not len(codes):
        return []
    edges = np.flatnonzero(np.diff(codes)) + 1
    begins, ends = [0, *edges.tolist()], [*edges.tolist(), len(codes)]
    spans = [(a, b, int(codes[a])) for a, b in zip(begins, ends, strict=True)]
    return [run for run in spans if run[2]]
