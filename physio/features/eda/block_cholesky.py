"""Cholesky factorization of a matrix that is a chain in time.

Sample ``i`` couples three values of the filtered driver ``q``, four splines of the
level and, in one setting, a line. Unknowns are therefore eliminated in the order of
time, and the front never holds more than nine unknowns.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.dsp.jit import njit

KNOTS: Final = 4
"""Number of splines that contribute to a sample."""


@njit(cache=True, error_model="numpy")
def _eliminate(g: Array, e: int, factors: Array) -> None:
    """Eliminate unknown ``e`` from the front; store its multipliers and its pivot."""
    size = len(g)
    h = factors[:size]
    for r in range(e):
        h[r] = g[e, r]
    for r in range(e, size):
        h[r] = g[r, e]
    pivot = h[e]
    h[e] = 0.0
    part = 1.0 / pivot
    for r in range(size):
        m = h[r] * part
        for c in range(r + 1):
            g[r, c] -= m * h[c]
    for r in range(size):
        h[r] *= part
        g[max(r, e), min(r, e)] = 0.0
    factors[size] = pivot


@njit(cache=True, error_model="numpy")
def elimination_order(
    n: int, width: int, begin: int, line: int
) -> npt.NDArray[np.int64]:
    """Return the order of elimination: place in the front and number, (steps, 2).

    Unknowns are numbered ``q`` first, then the splines, then the line.
    """
    knots = (n - 1 + begin) // width + KNOTS
    steps = np.empty((n + knots + line, 2), np.int64)
    at = 0
    gone = 0
    for i in range(n):
        if (i + begin) // width > gone:
            steps[at, 0] = gone % KNOTS
            steps[at, 1] = n + gone
            gone += 1
            at += 1
        if i >= 2:
            steps[at, 0] = KNOTS + line + (i - 2) % 3
            steps[at, 1] = i - 2
            at += 1
    for i in range(max(n - 2, 0), n):
        steps[at, 0] = KNOTS + line + i % 3
        steps[at, 1] = i
        at += 1
    for k in range(gone, knots):
        steps[at, 0] = k % KNOTS
        steps[at, 1] = n + k
        at += 1
    for d in range(line):
        steps[at, 0] = KNOTS + d
        steps[at, 1] = n + knots + d
        at += 1
    return steps


@njit(cache=True, error_model="numpy")
def _add_spline(g: Array, k: int, weight: float, stiff: float) -> None:
    """Add spline ``k`` and its coupling to the two previous splines to the front."""
    g[k % KNOTS, k % KNOTS] += weight
    if k < 2 or stiff == 0.0:
        return
    at = (k - 2) % KNOTS, (k - 1) % KNOTS, k % KNOTS
    bend = 1.0, -2.0, 1.0
    for a in range(3):
        for b in range(3):
            if at[a] >= at[b]:
                g[at[a], at[b]] += stiff * bend[a] * bend[b]


@njit(cache=True, error_model="numpy")
def factor(
    weights: Array,
    curvature: Array,
    diagonal: Array,
    width: int,
    begin: int,
    shape: tuple[Array, Array, int, float, float, int, bool],
    steps: npt.NDArray[np.int64],
    factors: Array,
) -> None:
    """Factor the matrix of a step: multipliers and pivots, shape (steps, size + 1).

    Parameters
    ----------
    weights
        1 for each sample that is present and 0 for one that is missing, shape (n,).
    curvature
        Term of the barrier for each sample's driver, shape (n,).
    diagonal
        Diagonal term of each spline's weight, shape (knots,).
    """
    ar, bell, first, _, stiff, line, _ = shape
    n = len(weights)
    size = KNOTS + line + 3
    g = np.zeros((size, size))
    u = np.zeros(size)
    at = 0
    for k in range(KNOTS):
        _add_spline(g, k, diagonal[k], stiff)
    gone, place = 0, begin - 1
    for i in range(n):
        place += 1
        if place == width:
            _eliminate(g, gone % KNOTS, factors[at])
            at += 1
            gone += 1
            place = 0
            _add_spline(g, gone + 3, diagonal[gone + 3], stiff)
        for m in range(KNOTS):
            u[(gone + m) % KNOTS] = bell[m, place]
        if line:
            u[KNOTS] = 1.0
            u[KNOTS + 1] = (i + 1.0) / n
        base = KNOTS + line
        a, b, c = base + i % 3, base + (i + 2) % 3, base + (i + 1) % 3
        on = 1.0 if i >= first else 0.0
        u[a] = on
        u[b] = 2 * on if i >= 1 else 0.0
        u[c] = on if i >= 2 else 0.0
        w = weights[i]
        for r in range(size):
            h = w * u[r]
            for s in range(r + 1):
                g[r, s] += h * u[s]
        t = curvature[i] * on
        g[a, a] += t * ar[0] * ar[0]
        if i >= 1:
            g[max(a, b), min(a, b)] += t * ar[0] * ar[1]
            g[b, b] += t * ar[1] * ar[1]
        if i >= 2:
            g[max(a, c), min(a, c)] += t * ar[0] * ar[2]
            g[max(b, c), min(b, c)] += t * ar[1] * ar[2]
            g[c, c] += t * ar[2] * ar[2]
            _eliminate(g, c, factors[at])
            at += 1
    for rest in range(at, len(steps)):
        _eliminate(g, steps[rest, 0], factors[rest])


@njit(cache=True, error_model="numpy")
def backsolve(steps: npt.NDArray[np.int64], factors: Array, x: Array) -> None:
    """Solve with a factored matrix, in place."""
    size = factors.shape[1] - 1
    f = np.zeros(size)
    for at in range(len(steps)):
        e, number = steps[at, 0], steps[at, 1]
        y = x[number] + f[e]
        x[number] = y
        f[e] = 0.0
        for r in range(size):
            f[r] -= factors[at, r] * y
    f[:] = 0.0
    for at in range(len(steps) - 1, -1, -1):
        e, number = steps[at, 0], steps[at, 1]
        y = x[number] / factors[at, size]
        for r in range(size):
            y -= factors[at, r] * f[r]
        x[number] = y
        f[e] = y
