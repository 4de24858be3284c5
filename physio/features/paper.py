"""Differential entropy as published code computes it: each window on its own."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.signal
from numba import njit

from physio.core.block import Array, Info
from physio.core.reason import Reason
from physio.core.stage import sealed
from physio.dsp.window import every

Counts = npt.NDArray[np.int64]

_ORDER = 5
_WARMING = Reason.WARMING_UP.nan
_POOR = Reason.POOR_QUALITY.nan


class Windows(NamedTuple):
    """The newest samples, the filters, and the baseline."""

    picks: npt.NDArray[np.intp]
    ba: Array  # (bands, 2, 2 * order + 1): numerator, denominator
    ring: Array  # (width, electrodes): sample i in row i % width
    clock: Counts  # (5,): seen, outputs given, hop as p / q samples, baseline's samples
    mean: Array  # (2, piece, electrodes): sum and count of the baseline's pieces
    rest: Array  # (bands, electrodes): the baseline's entropy
    known: Counts  # (1,): whether it is known


def windows(
    info: Info,
    picks: npt.NDArray[np.intp],
    edges: tuple[tuple[float, float], ...],
    times: tuple[float, float, float],
    rate: float,
) -> Windows:
    """Return empty windows.

    Parameters
    ----------
    info, picks
        The stream, and where its electrodes are.
    edges
        Lower and upper edge (Hz) of each band.
    times
        Width of a window, time from one output to the next, and how long the baseline
        at the start of the stream is (s).
    rate
        What filters are designed for (Hz).
    """
    width, hop, baseline = times
    for lo, hi in edges:
        if not 0 < lo < hi < rate / 2:
            raise ValueError(
                f"cannot pass {lo:g} to {hi:g} Hz of {info.name!r}: cutoffs must rise "
                f"and lie between 0 and {rate / 2:g} Hz"
            )
    samples, piece = (int(info.rate * Fraction(str(s))) for s in (width, 1.0))
    if samples < 2:
        raise ValueError(
            f"a window of {width} s on {info.name!r} holds {samples} samples: it "
            f"needs at least two"
        )
    if baseline != int(baseline) or baseline < 0:
        raise ValueError(
            f"a baseline is cut into pieces of 1 s: {baseline} s of {info.name!r} is "
            f"no whole number of them"
        )
    step = every(info, hop).hop
    designs = [
        np.array(scipy.signal.butter(_ORDER, edge, "bandpass", fs=rate))
        for edge in edges
    ]
    clock = [0, 0, step.numerator, step.denominator, int(baseline) * piece]
    return Windows(
        picks,
        np.array(designs),
        np.zeros((samples, len(picks))),
        np.array(clock, np.int64),
        np.zeros((2, piece, len(picks))),
        np.zeros((len(edges), len(picks))),
        np.array([0 if baseline else 1], np.int64),
    )


@njit(cache=True)
def _variances(ba: Array, x: Array) -> Array:
    """Return the variance of each column of ``x`` in each band, filtered from rest.

    The transposed direct form II of `scipy.signal.lfilter`; columns side by side.
    """
    n, columns = x.shape
    order = ba.shape[2] - 1
    out = np.empty((len(ba), columns))
    y = np.empty((n, columns))
    for f in range(len(ba)):
        b, a = ba[f, 0], ba[f, 1]
        z = np.zeros((order + 1, columns))
        mean = np.zeros(columns)
        square = np.zeros(columns)
        for i in range(n):
            row, source = y[i], x[i]
            for c in range(columns):
                row[c] = b[0] * source[c] + z[0, c]
                mean[c] += row[c]
            for k in range(order):
                bk, ak, now, later = b[k + 1], a[k + 1], z[k], z[k + 1]
                for c in range(columns):
                    now[c] = later[c] + source[c] * bk - row[c] * ak
        for c in range(columns):
            mean[c] /= n
        for i in range(n):
            for c in range(columns):
                square[c] += (y[i, c] - mean[c]) ** 2
        for c in range(columns):
            out[f, c] = square[c] / n
    return out


def _entropy(ba: Array, x: Array) -> Array:
    """Return the entropy (bit) of each electrode in each band, (bands, electrodes)."""
    lost = np.isnan(x)
    gone = lost.any(axis=0)
    y = np.empty((len(ba), x.shape[1]))
    for c in np.flatnonzero(gone):
        y[:, c] = x[np.flatnonzero(lost[:, c])[-1], c]
    here = np.flatnonzero(~gone)
    if not len(here):
        return y
    # The mean of electrodes by samples, as published code lays them out: the filters'
    # direct form turns another order of this sum (1e-16) into 1e-8 of the entropy.
    part = np.ascontiguousarray(x[:, here].T)
    size = part.std()
    if not 0 < size < np.inf:
        y[:, here] = _POOR
        return y
    variance = _variances(ba, sealed(((part - part.mean()) / size).T))
    silent = variance <= 0
    bits = 0.5 * np.log2(2 * np.pi * np.e * np.where(silent, 1.0, variance))
    y[:, here] = np.where(silent, _POOR, bits)
    return y


def _listen(state: Windows, x: Array) -> None:
    """Add what of ``x`` is baseline to its mean piece; know its entropy at its end."""
    seen, total = int(state.clock[0]), int(state.clock[4])
    if state.known[0]:
        return
    piece = state.mean.shape[1]
    for i in range(min(len(x), total - seen)):
        here = ~np.isnan(x[i])
        state.mean[0, (seen + i) % piece, here] += x[i, here]
        state.mean[1, (seen + i) % piece, here] += 1
    if seen + len(x) >= total:
        known = state.mean[1] > 0
        mean = np.where(known, state.mean[0], Reason.NO_SIGNAL.nan)
        mean = np.where(known, mean / np.maximum(state.mean[1], 1), mean)
        state.rest[:] = _entropy(state.ba, mean)
        state.known[0] = 1


def entropies(state: Windows, x: Array) -> Array:
    """Take in ``x``; return the entropies now due, (m, bands * electrodes)."""
    x = x[:, state.picks]
    x = np.where(np.isinf(x), Reason.NO_SIGNAL.nan, x)
    ring, clock = state.ring, state.clock
    width, (p, q) = len(ring), clock[2:4]
    rows, done = [], 0
    _listen(state, x)
    while True:
        due = -((-int(clock[1]) * p) // q)
        stop = min(len(x), done + int(due) - int(clock[0]) + 1)
        at = np.arange(max(done, stop - width), stop)
        ring[(clock[0] + at - done) % width] = x[at]
        clock[0] += stop - done
        done = stop
        if clock[0] != due + 1:
            break
        clock[1] += 1
        rows.append(_due(state))
    return np.array(rows).reshape(len(rows), state.rest.size)


def _due(state: Windows) -> Array:
    """Return the entropies of the window that ends now."""
    seen, width = int(state.clock[0]), len(state.ring)
    if seen < width + state.clock[4]:
        return np.full(state.rest.size, _WARMING)
    y = _entropy(state.ba, np.roll(state.ring, -(seen % width), axis=0))
    y = np.where(np.isnan(y), y, y - state.rest)
    return y.ravel()
