"""Differential entropy as in published code, computed for each window separately."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.signal

from physio.core.block import Array, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import read_only
from physio.dsp.jit import njit
from physio.dsp.simd_codegen import LANES, strided_sums, variance
from physio.dsp.window import every

Counts = npt.NDArray[np.int64]

WIDTH: Final = 512
STRIDE: Final = 117
PIECE: Final = 128
"""Samples of a window, of a step, and of a piece of the baseline: the same in all
published data sets, whatever their rate."""

EDGES: Final = ((4.0, 8.0), (8.0, 14.0), (14.0, 31.0), (31.0, 49.0))
"""The bands (Hz): theta, alpha, beta, gamma."""

_ORDER = 5
_WARMING = MissingReason.WARMING_UP.nan
_POOR = MissingReason.POOR_QUALITY.nan
_LOST = MissingReason.NO_SIGNAL.nan


class WindowedFilters(NamedTuple):
    """The newest samples, the filters, and the baseline."""

    picks: npt.NDArray[np.intp]
    order: tuple[int, ...]  # as many as a filter has poles
    ba: Array  # (bands, 2, poles + 1): numerator, denominator
    ring: Array  # (width, electrodes): sample i in row i % width
    clock: Counts  # (5,): samples, outputs, step as p / q samples, baseline's samples
    mean: Array  # (2, piece, electrodes): sum and count of the baseline's pieces
    rest: Array  # (bands, electrodes): the baseline's entropy
    known: Counts  # (1,): 1 once it is computed


def windowed_filters(
    info: StreamInfo,
    picks: npt.NDArray[np.intp],
    edges: tuple[tuple[float, float], ...],
    times: tuple[float, float, float],
    rate: float,
) -> WindowedFilters:
    """Return empty windows.

    Parameters
    ----------
    info, picks
        The stream, and the columns of its electrodes.
    edges
        Lower and upper edge (Hz) of each band.
    times
        Length of a window, time from one output to the next, and length of the baseline
        at the start of the stream (s).
    rate
        Sampling rate that the filters are designed for (Hz).
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
    step = every(info, hop).step
    designs = [
        np.array(scipy.signal.butter(_ORDER, edge, "bandpass", fs=rate))
        for edge in edges
    ]
    clock = [0, 0, step.numerator, step.denominator, int(baseline) * piece]
    return WindowedFilters(
        picks,
        (0,) * (2 * _ORDER),
        np.array(designs),
        np.zeros((samples, len(picks))),
        np.array(clock, np.int64),
        np.zeros((2, piece, len(picks))),
        np.zeros((len(edges), len(picks))),
        np.array([0 if baseline else 1], np.int64),
    )


def published_entropy(
    x: Array, starts: Sequence[int], rate: float, rest: Array | None = None
) -> Array:
    """Return the entropy (bit) of whole windows, (n, electrodes, bands).

    Parameters
    ----------
    x
        Samples of a recording, shape (samples, electrodes), none missing.
    starts
        First samples of windows of `WIDTH` samples.
    rate
        Sampling rate that the filters are designed for (Hz).
    rest
        The baseline, shape (samples, electrodes): its seconds of ``PIECE`` samples are
        averaged, and the entropy of the average is subtracted.

    Raises
    ------
    ValueError
        If the baseline lasts less than a second.
    """
    designs = [
        np.array(scipy.signal.butter(_ORDER, edge, "bandpass", fs=rate))
        for edge in EDGES
    ]
    ba, order = np.array(designs), (0,) * (2 * _ORDER)
    out = np.empty((len(starts), len(EDGES), x.shape[1]))
    for y, a in zip(out, starts, strict=True):
        _entropy(order, ba, read_only(x[a : a + WIDTH]), 0, y)
    if rest is not None:
        whole = len(rest) // PIECE
        if not whole:
            raise ValueError(f"a baseline of {len(rest)} samples has no whole second")
        pieces = rest[: whole * PIECE].reshape(whole, PIECE, -1)
        less = np.empty(out.shape[1:])
        _entropy(order, ba, read_only(pieces.mean(axis=0)), 0, less)
        out -= less
    return np.ascontiguousarray(out.transpose(0, 2, 1))


@njit(cache=True)
def _leaf(x: Array, start: int, n: int, r: Array) -> float:
    """Return the sum of up to 128 numbers, in eight strands."""
    whole = n - n % 8
    strided_sums(x[start:], whole, r)
    total = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
    for i in range(start + whole, start + n):
        total += x[i]
    return total


@njit(cache=True)
def pairwise(x: Array, n: int) -> float:
    """Return the sum of the first ``n`` numbers, in NumPy's order of summation.

    More than 128 numbers are halved recursively, at a multiple of 8, and the sums of
    the two halves are added.
    """
    strands = np.empty(8)
    sizes = np.empty(64, np.int64)  # of the parts that contain the present part
    turns = np.zeros(64, np.int64)  # halves of each that are summed
    first_halves = np.empty(64)
    deep, start, total = 0, 0, 0.0
    sizes[0] = n
    while deep >= 0:
        size = sizes[deep]
        if size <= 128:
            total = _leaf(x, start, size, strands)
            start += size
        elif turns[deep] < 2:
            half = size // 2 - size // 2 % 8
            if turns[deep] == 1:
                first_halves[deep] = total
                half = size - half
            turns[deep] += 1
            deep += 1
            sizes[deep] = half
            turns[deep] = 0
            continue
        else:
            total = first_halves[deep] + total
        deep -= 1
    return total


@njit(cache=True)
def _entropy(order: tuple[int, ...], ba: Array, x: Array, first: int, y: Array) -> None:
    """Write the entropy (bit) of each electrode in each band: (bands, electrodes).

    The mean is taken over electrodes by samples, in the layout of published code and in
    NumPy's order: because of the filters' direct form, another order of this sum (a
    difference of 1e-16) would change the entropy by 1e-8. ``first`` is the row of ``x``
    with the oldest sample.
    """
    n, electrodes = x.shape
    flat = np.empty(n * electrodes)
    columns = np.empty(electrodes, np.int64)
    count = 0
    for c in range(electrodes):
        at = count * n
        for i in range(first, n):
            flat[at + i - first] = x[i, c]
        for i in range(first):
            flat[at + n - first + i] = x[i, c]
        lost = 0.0
        for v in flat[at : at + n]:
            lost += v * 0.0  # NaN for NaN alone
        if not np.isnan(lost):
            columns[count] = c
            count += 1
            continue
        for v in flat[at : at + n]:
            if np.isnan(v):
                y[:, c] = v
    size = count * n
    if count == 0:
        return
    mean = pairwise(flat, size) / size
    square = np.empty(size)
    for i in range(size):
        flat[i] -= mean
        square[i] = flat[i] * flat[i]
    deviation = np.sqrt(pairwise(square, size) / size)
    if not 0.0 < deviation < np.inf:
        for c in columns[:count]:
            y[:, c] = _POOR
        return
    for i in range(size):
        flat[i] /= deviation
    blocks = -(-count // LANES)
    z = np.zeros((n, blocks * LANES))
    for i in range(n):
        for c in range(count):
            z[i, c] = flat[c * n + i]
    room = np.empty((n, LANES))
    variances = np.empty(LANES)
    for k in range(blocks):
        lane = k * LANES
        for f in range(len(ba)):
            variance(order, ba[f], z.ravel()[lane:], (z.shape[1], n), room, variances)
            for c in range(lane, min(lane + LANES, count)):
                spread = variances[c - lane]
                bits = 0.5 * np.log2(2 * np.pi * np.e * spread)
                y[f, columns[c]] = bits if spread > 0 else _POOR


@njit(cache=True)
def _run(
    order: tuple[int, ...],
    ba: Array,
    ring: Array,
    clock: Counts,
    rest: Array,
    x: Array,
) -> Array:
    """Take in samples; return the entropies now due, shape (m, bands, electrodes)."""
    width, (p, q) = len(ring), clock[2:4]
    out = np.empty((len(x) * q // p + 1, *rest.shape))
    m, i = 0, 0
    while i < len(x):
        due = -((-clock[1] * p) // q)
        at = clock[0] % width
        rows = min(len(x) - i, due - clock[0] + 1, width - at)
        for r in range(rows):
            for c in range(x.shape[1]):
                v = x[i + r, c]
                ring[at + r, c] = v if abs(v) != np.inf else _LOST
        clock[0] += rows
        i += rows
        if clock[0] != due + 1:
            continue
        clock[1] += 1
        if clock[0] < width + clock[4]:
            out[m] = _WARMING
        else:
            _entropy(order, ba, ring, clock[0] % width, out[m])
            for f in range(len(rest)):
                for c in range(rest.shape[1]):
                    v = out[m, f, c]
                    out[m, f, c] = v if np.isnan(v) else v - rest[f, c]
        m += 1
    return out[:m]


def _update_baseline(state: WindowedFilters, x: Array) -> None:
    """Add the baseline in ``x`` to its mean piece; compute its entropy at its end."""
    first, total = int(state.clock[0]), int(state.clock[4])
    if state.known[0]:
        return
    piece = state.mean.shape[1]
    for i in range(min(len(x), total - first)):
        valid = np.isfinite(x[i])
        state.mean[0, (first + i) % piece, valid] += x[i, valid]
        state.mean[1, (first + i) % piece, valid] += 1
    if first + len(x) >= total:
        known = state.mean[1] > 0
        mean = np.where(known, state.mean[0] / np.maximum(state.mean[1], 1), _LOST)
        _entropy(state.order, state.ba, mean, 0, state.rest)
        state.known[0] = 1


def entropies(state: WindowedFilters, x: Array) -> Array:
    """Take in ``x``; return the entropies now due, (m, bands * electrodes)."""
    if len(state.picks) < x.shape[1]:
        x = read_only(x[:, state.picks])
    _update_baseline(state, x)
    y = _run(state.order, state.ba, state.ring, state.clock, state.rest, x)
    return np.asarray(y).reshape(len(y), state.rest.size)
