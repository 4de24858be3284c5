"""Min-max envelopes, and runs of codes."""

import numpy as np

from physio.core.block import Array


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
