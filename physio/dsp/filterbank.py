"""Bank of band-pass filters, and the standard deviation of each filter's output."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array, StreamInfo
from physio.core.missing import MissingReason
from physio.dsp.iir import sections
from physio.dsp.jit import njit
from physio.dsp.simd_codegen import LANES, resonate
from physio.dsp.window import panes

Counts = npt.NDArray[np.int64]

_PIECE: Final = 64  # samples taken at a time: they stay in the nearest cache
_FAINT: Final = 1e-200  # below it a filter is at rest: subnormals are slow
_HUGE: Final = 1e200  # above it there was no signal
_WARMING: Final = MissingReason.WARMING_UP.nan
_LOST: Final = MissingReason.NO_SIGNAL.nan
_POOR: Final = MissingReason.POOR_QUALITY.nan
_EXPONENT: Final = 0x7FF0000000000000  # of NaN and of the infinite


class Filterbank(NamedTuple):
    """Filters on the same channels, and a sliding window on the output of each.

    Column ``filter * channels + channel`` is a lane; lanes are padded to blocks of
    eight, which are filtered in parallel.
    """

    order: tuple[int, ...]  # as many as a filter has sections
    poles: Array  # (blocks, sections, 2, 8)
    memory: Array  # (blocks, sections, 2, 8)
    gains: Array  # (columns,): factor of a deviation
    held: Array  # (channels,): the last valid input
    runs: Counts  # (2, channels): NaN in a row, samples since the restart
    limits: Counts  # (1 + filters,): samples to bridge, samples each needs to settle
    sums: Array  # (panes, 3, lanes): n, and the sums of y, yy
    lost: Array  # (panes, lanes): the newest NaN in each pane, or 0
    clock: Counts  # (5,): samples, outputs, step as p / q samples, panes
    share: float  # of a window's samples that must be present


def filterbank(
    info: StreamInfo,
    filters: list[Array],
    columns: int,
    times: tuple[float, float, float],
    share: float,
) -> Filterbank:
    """Return filters at rest and empty windows, for `spread`.

    Parameters
    ----------
    info
        The stream.
    filters
        Butterworth band-pass filters as second-order sections, shape (sections, 6), all
        of one order. Their zeros, half at 0 Hz and half at the highest frequency, are
        redistributed, one of each per section.
    columns
        Number of channels.
    times
        Longest gap that the filters run through, with the last valid input held;
        length of a window, and the step from one window to the next (s).
    share
        Proportion of a window's samples that must be present.
    """
    bridge, width, hop = times
    at_rest = sections(info, filters, bridge, columns)
    window = panes(info, (width,), hop, share, 1)
    sos = at_rest.sos
    lanes = -(-len(sos) * columns // LANES) * LANES
    poles = np.zeros((lanes, sos.shape[1], 2))
    poles[: len(sos) * columns] = np.repeat(-sos[:, :, 4:], columns, axis=0)
    apart = poles.reshape(-1, LANES, *poles.shape[1:]).transpose(0, 2, 3, 1)
    count = len(window.sums)
    return Filterbank(
        (0,) * sos.shape[1],
        np.ascontiguousarray(apart),
        np.zeros(apart.shape),
        np.repeat(sos[:, :, 0].prod(axis=1), columns),
        at_rest.held,
        at_rest.runs,
        at_rest.limits,
        np.zeros((count, 3, lanes)),
        np.zeros((count, lanes)),
        np.array([*window.clock, count], np.int64),
        share,
    )


@njit(cache=True)
def _clean(runs: Counts, limits: Counts, x: Array) -> bool:
    """Return True if every channel has settled and no sample of ``x`` is missing."""
    unsettled = 0
    slowest = limits[1:].max()
    for c in range(runs.shape[1]):
        unsettled += runs[0, c] != 0 or runs[1, c] < slowest
    bits = x.view(np.int64)
    missing = 0
    for i in range(len(x)):
        for c in range(x.shape[1]):
            missing |= (bits[i, c] & _EXPONENT) == _EXPONENT
    return unsettled == 0 and missing == 0


@njit(cache=True)
def _fill(
    held: Array,
    runs: Counts,
    limits: Counts,
    x: Array,
    filled: Array,
    weights: Array,
    newest: Array,
    restarts: npt.NDArray[np.bool_],
) -> None:
    """Replace missing samples by the last valid ones; write weights and reasons.

    Parameters
    ----------
    filled, weights
        Input of the filters, and 1 where their output counts, else 0, shape (rows,
        lanes).
    newest
        The newest NaN of each lane, shape (lanes,).
    restarts
        True where a channel restarts, shape (rows, channels).
    """
    channels = x.shape[1]
    for i in range(len(x)):
        for c in range(channels):
            v = x[i, c]
            there = np.isfinite(v)
            restarts[i, c] = False
            if there:
                held[c] = v
                if runs[0, c] > limits[0]:
                    restarts[i, c] = True
                    runs[1, c] = 0
                runs[0, c] = 0
            else:
                runs[0, c] += 1
            for f in range(len(limits) - 1):
                lane = f * channels + c
                filled[i, lane] = held[c]
                counts = there and runs[1, c] >= limits[1 + f]
                weights[i, lane] = 1.0 if counts else 0.0
                if not there:
                    newest[lane] = v if np.isnan(v) else _LOST
                elif not counts:
                    newest[lane] = _WARMING
            runs[1, c] += 1


@njit(cache=True)
def _restart(memory: Array, filled: Array, restarts: npt.NDArray[np.bool_]) -> None:
    """Bring the filters of restarting channels to rest at their first sample.

    The first section stops a constant input: its zero at 0 Hz compares it with the
    following samples.
    """
    channels = len(restarts)
    for lane in range(len(filled)):
        if lane < len(filled) // channels * channels and restarts[lane % channels]:
            z = memory[lane // LANES, :, :, lane % LANES]
            z[:] = 0.0
            z[0] = -filled[lane]


@njit(cache=True)
def _rest(memory: Array) -> None:
    """Set subnormal and overflowing filter memory to 0."""
    z = memory.ravel()
    for k in range(len(z)):
        z[k] = z[k] if _FAINT < abs(z[k]) < _HUGE else 0.0


@njit(cache=True)
def _read(
    sums: Array, lost: Array, clock: Counts, gains: Array, share: float, y: Array
) -> None:
    """Write the deviation in the window that ends now, shape (columns,)."""
    count, _, lanes = sums.shape
    k, p, q = clock[1], clock[2], clock[3]
    if k < count:
        y[:] = _WARMING
        return
    expected = clock[0] - (-((-(k - count) * p) // q) + 1)
    total = np.zeros((3, lanes))
    for a in range(k - count + 1, k + 1):
        pane = sums[a % count]
        for s in range(3):
            for lane in range(lanes):
                total[s, lane] += pane[s, lane]
    for c in range(len(y)):
        n, s, ss = total[0, c], total[1, c], total[2, c]
        if n >= share * expected:
            deviation = gains[c] * np.sqrt(max(ss / n - (s / n) ** 2, 0.0))
            y[c] = deviation if deviation < _HUGE else _POOR
            continue
        y[c] = 0.0
        for a in range(k - count + 1, k + 1):
            if np.isnan(lost[a % count, c]):
                y[c] = lost[a % count, c]


@njit(cache=True)
def _filter_with_gaps(
    order: tuple[int, ...],
    poles: Array,
    memory: Array,
    sums: Array,
    filled: Array,
    weights: Array,
    restarts: npt.NDArray[np.bool_],
    rows: int,
) -> None:
    """Filter ``rows`` samples, with channels at rest wherever they restart."""
    lanes = filled.shape[1]
    a = 0
    while a < rows:
        _restart(memory, filled[a], restarts[a])
        b = a + 1
        while b < rows and not restarts[b].any():
            b += 1
        part, weight = filled.ravel()[a * lanes :], weights.ravel()[a * lanes :]
        steps = lanes, lanes, lanes, b - a
        resonate(order, poles, memory, sums, part, weight, steps)
        a = b


@njit(cache=True)
def spread(
    order: tuple[int, ...],
    poles: Array,
    memory: Array,
    gains: Array,
    held: Array,
    runs: Counts,
    limits: Counts,
    sums: Array,
    lost: Array,
    clock: Counts,
    share: float,
    x: Array,
) -> Array:
    """Return the standard deviation of each filter's output, in each window now due.

    Parameters
    ----------
    order, poles, memory, gains, held, runs, limits, sums, lost, clock, share
        A state of `Filterbank`, changed in place. Its parts are separate parameters
        because Numba takes 1 us longer to unpack a named tuple, a quarter of the time
        of a live block.
    x
        Samples, shape (n, channels).

    Returns
    -------
    ndarray, shape (m, filters * channels)

    Notes
    -----
    Missing samples are replaced by the last valid ones, with weight 0 in the sums. One
    kernel therefore filters all samples, and a sum does not depend on gaps in other
    channels.
    """
    n, channels = x.shape
    count, _, lanes = sums.shape
    p, q = clock[2], clock[3]
    out = np.empty((n * q // p + 1, len(gains)))
    filled = np.zeros((_PIECE, lanes))
    weights = np.zeros((_PIECE, lanes))
    restarts = np.zeros((_PIECE, channels), np.bool_)
    ones = np.ones(lanes)
    straight = channels % LANES == 0  # each block of lanes reads neighbours in ``x``
    m, i = 0, 0
    while i < n:
        slot = clock[1] % count
        due = -((-clock[1] * p) // q)
        rows = min(n - i, due - clock[0] + 1, _PIECE - clock[0] % _PIECE)
        piece = x[i : i + rows]
        if _clean(runs, limits, piece):
            held[:] = piece[rows - 1]
            runs[1] += rows
            sums[slot, 0] += rows
            if not straight:
                for r in range(rows):
                    for lane in range(0, len(gains), channels):
                        for c in range(channels):
                            filled[r, lane + c] = piece[r, c]
            part = x.ravel()[i * channels :] if straight else filled.ravel()
            hop = channels if straight else lanes
            resonate(order, poles, memory, sums[slot], part, ones, (hop, hop, 0, rows))
        else:
            _fill(held, runs, limits, piece, filled, weights, lost[slot], restarts)
            for r in range(rows):
                for lane in range(lanes):
                    sums[slot, 0, lane] += weights[r, lane]
            _filter_with_gaps(
                order, poles, memory, sums[slot], filled, weights, restarts, rows
            )
        clock[0] += rows
        i += rows
        if clock[0] % _PIECE == 0:
            _rest(memory)
        if clock[0] == due + 1:
            _read(sums, lost, clock, gains, share, out[m])
            m += 1
            clock[1] += 1
            sums[clock[1] % count] = 0.0
            lost[clock[1] % count] = 0.0
    return out[:m]
