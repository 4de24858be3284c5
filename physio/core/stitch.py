"""Blocks of a stream joined to one array, with lost samples missing."""

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
