"""Several filters at once and the spread of what each lets through, fast."""

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from physio.core.block import Array
from physio.core.reason import Reason
from physio.dsp.iir import Sections, run
from physio.dsp.window import Panes

Counts = npt.NDArray[np.int64]

ROWS = 256
"""Samples filtered at a time: the filtered ones stay in the cache."""

_NOTHING: Final = 1e-200  # as in `physio.dsp.iir`: below it a section is at rest
_WARMING: Final = Reason.WARMING_UP.nan


@njit(cache=True)
def _settled(runs: Counts, limits: Counts, x: Array) -> bool:
    """Tell whether every channel has settled and nothing in ``x`` is missing."""
    for c in range(x.shape[1]):
        if runs[0, c] != 0:
            return False
        for f in range(1, len(limits)):
            if runs[1, c] < limits[f]:
                return False
    total = 0.0
    for i in range(len(x)):
        for c in range(x.shape[1]):
            total += x[i, c] * 0.0  # NaN for NaN and for the infinite alone
    return total == 0.0


@njit(cache=True)
def _through(
    sos: Array, memory: Array, held: Array, runs: Counts, x: Array, y: Array
) -> None:
    """Filter samples of which none is missing, as `physio.dsp.iir.run` does.

    Each section goes through all of ``x`` before the next: what it remembers stays in
    the fastest cache, and the loop over channels is all that the inner one does. Every
    number comes from the same operations in the same order.
    """
    filters, stages, _ = sos.shape
    n, channels = x.shape
    for f in range(filters):
        y[f, :n] = x
        for s in range(stages):
            b0, b1, b2 = sos[f, s, 0], sos[f, s, 1], sos[f, s, 2]
            a1, a2 = sos[f, s, 4], sos[f, s, 5]
            z0, z1 = memory[f, s, 0], memory[f, s, 1]
            for i in range(n):
                row = y[f, i]
                for c in range(channels):
                    v = row[c]
                    w = b0 * v + z0[c]
                    w = w if abs(w) > _NOTHING else 0.0
                    z0[c] = b1 * v - a1 * w + z1[c]
                    z1[c] = b2 * v - a2 * w
                    row[c] = w
    if n > 0:
        for c in range(channels):
            held[c] = x[n - 1, c]
            runs[1, c] += n


@njit(cache=True)
def _gather(pane: Array, y: Array, a: int, b: int) -> None:
    """Add samples ``a`` to ``b`` of (filters, n, channels), all there, to a pane."""
    filters, _, channels = y.shape
    for f in range(filters):
        o = f * channels
        count = pane[0, o : o + channels]
        total = pane[3, o : o + channels]
        square = pane[5, o : o + channels]
        for i in range(a, b):
            row = y[f, i]
            for c in range(channels):
                total[c] += row[c]
                square[c] += row[c] * row[c]
        for c in range(channels):
            count[c] += b - a


@njit(cache=True)
def _pick(pane: Array, gone: Array, y: Array, a: int, b: int) -> None:
    """Add samples ``a`` to ``b`` of (filters, n, channels) to a pane, but for NaN."""
    filters, _, channels = y.shape
    for i in range(a, b):
        for f in range(filters):
            for c in range(channels):
                o, v = f * channels + c, y[f, i, c]
                if np.isnan(v):
                    gone[o] = v
                else:
                    pane[0, o] += 1
                    pane[3, o] += v
                    pane[5, o] += v * v


@njit(cache=True)
def _read(
    sums: Array, lost: Array, width: int, clock: Counts, share: float, y: Array
) -> None:
    """Write the deviation in the window that ends now, shape (columns,)."""
    count, _, columns = sums.shape
    k, p, q = clock[1], clock[2], clock[3]
    if k < width:
        y[:] = _WARMING
        return
    expected = clock[0] + 1 - (-((-(k - width) * p) // q) + 1)
    total = np.zeros((3, columns))
    for a in range(max(k - width + 1, 0), k + 1):
        pane = sums[a % count]
        for c in range(columns):
            total[0, c] += pane[0, c]
            total[1, c] += pane[3, c]
            total[2, c] += pane[5, c]
    for c in range(columns):
        n, s, ss = total[0, c], total[1, c], total[2, c]
        if n < share * expected:
            y[c] = 0.0
            for a in range(max(k - width + 1, 0), k + 1):
                if np.isnan(lost[a % count, c]):
                    y[c] = lost[a % count, c]
        else:
            y[c] = np.sqrt(max(ss / n - (s / n) ** 2, 0.0))


@njit(cache=True)
def _slide(
    sums: Array,
    lost: Array,
    widths: Counts,
    clock: Counts,
    share: float,
    y: Array,
    n: int,
    clean: int,
) -> Array:
    """Take in ``n`` filtered samples of each filter in ``y``; return deviations due."""
    count = len(sums)
    p, q = clock[2], clock[3]
    out = np.empty((n * q // p + 1, sums.shape[2]))
    m, i = 0, 0
    while i < n:
        slot = clock[1] % count
        due = -((-clock[1] * p) // q)
        stop = min(n, i + due - clock[0] + 1)
        if clean:
            _gather(sums[slot], y, i, stop)
        else:
            _pick(sums[slot], lost[slot], y, i, stop)
        clock[0] += stop - i
        i = stop
        if clock[0] == due + 1:
            clock[0] -= 1
            _read(sums, lost, widths[0], clock, share, out[m])
            clock[0] += 1
            clock[1] += 1
            m += 1
            sums[clock[1] % count] = 0.0
            lost[clock[1] % count] = 0.0
    return out[:m]


def spread(filters: Sections, windows: Panes, room: Array, x: Array) -> Array:
    """Return the deviation of what each filter lets through, in each window now due.

    Parameters
    ----------
    filters, windows
        The filters and one window for each; changed in place. What comes out is, bit
        for bit, what `physio.dsp.window.slide` says of `physio.dsp.iir.run`.
    room
        Scratch, shape (filters, `ROWS`, channels).
    x
        At most `ROWS` samples, shape (n, channels).

    Returns
    -------
    ndarray, shape (m, filters * channels)
    """
    # The kernels get the whole room, which has one layout: a slice of no rows has
    # another, and they would be compiled once more with the first samples.
    clean = bool(_settled(filters.runs, filters.limits, x))
    if clean or not len(x):
        _through(filters.sos, filters.memory, filters.held, filters.runs, x, room)
    if not clean or not len(x):  # with no samples, both ways are compiled
        wide = run(*filters, x)
        apart = wide.reshape(len(x), len(filters.sos), x.shape[1])
        room[:, : len(x)] = apart.transpose(1, 0, 2)
    return np.asarray(_slide(*windows, room, len(x), int(clean)))
