"""A driver, what the skin makes of it, and a slow level under it: the convex solver.

A primal-dual interior-point method whose step costs the same for every sample: see
`physio.features.eda.block_cholesky`.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from physio.core.block import Array
from physio.features.eda.block_cholesky import KNOTS, backsolve, factor, order


class Shape(NamedTuple):
    """What does not change from one record to the next.

    ``ar`` are the coefficients of the driver on ``q`` (see `response`), ``splines`` the
    values of the four splines over a sample, shape (4, w), for each place between two
    knots. From sample ``first`` on there is a response. ``ridge`` pulls the splines'
    weights to 0, ``stiff`` to a straight line; ``line`` is 2 where there is a free line
    and else 0; ``above`` says whether the level may not be below 0.
    """

    ar: Array
    splines: Array
    first: int
    ridge: float
    stiff: float
    line: int
    above: bool


def response(step: float, slow: float = 2.0, fast: float = 0.7) -> Array:
    """Return the coefficients of the driver on ``q``, shape (3,).

    The Bateman response ``exp(-t / slow) - exp(-t / fast)``, put on samples of ``step``
    seconds by the bilinear transform (Greco et al. 2016): ``driver = ar * q`` and
    ``phasic = (1, 2, 1) * q``.
    """
    a, b = 1 / fast, 1 / slow
    return np.array(
        [
            (a * step + 2) * (b * step + 2),
            2 * a * b * step**2 - 8,
            (a * step - 2) * (b * step - 2),
        ]
    ) / ((a - b) * step**2)


def splines(width: int) -> Array:
    """Return the four splines over each place between two knots, shape (4, width).

    A spline is a triangle of half-width ``width`` samples convolved with itself, its
    greatest value 1.
    """
    triangle = width - np.abs(np.arange(-width, width + 1.0))
    bell = np.convolve(triangle, triangle)
    far = np.arange(width) + width * (1 - np.arange(KNOTS))[:, None]
    return np.ascontiguousarray((bell / bell.max())[far + 2 * width])


@njit(cache=True, error_model="numpy")
def _made(
    x: Array,
    n: int,
    width: int,
    begin: int,
    shape: tuple[Array, Array, int, float, float, int, bool],
    p: Array,
    r: Array,
    t: Array,
) -> None:
    """Write the driver, the phasic part and the level that unknowns stand for."""
    ar, bell, first, _, _, line, _ = shape
    j, place = begin // width, begin % width  # counted on: a division is dear
    for i in range(n):
        a = x[i]
        b = x[i - 1] if i >= 1 else 0.0
        c = x[i - 2] if i >= 2 else 0.0
        on = i >= first
        p[i] = ar[0] * a + ar[1] * b + ar[2] * c if on else 0.0
        r[i] = a + 2 * b + c if on else 0.0
        level = 0.0
        for m in range(KNOTS):
            level += bell[m, place] * x[n + j + m]
        if line:
            level += x[len(x) - 2] + x[len(x) - 1] * (i + 1.0) / n
        t[i] = level
        place += 1
        if place == width:
            j, place = j + 1, 0


@njit(cache=True, error_model="numpy")
def _back(
    u: Array,
    v: Array,
    width: int,
    begin: int,
    shape: tuple[Array, Array, int, float, float, int, bool],
    y: Array,
) -> None:
    """Write what residuals ``u`` and driver values ``v`` weigh on each unknown."""
    ar, bell, first, _, _, line, _ = shape
    n = len(u)
    y[:] = 0.0
    j, place = begin // width, begin % width
    for i in range(n):
        if i >= first:
            y[i] += u[i] + ar[0] * v[i]
            if i >= 1:
                y[i - 1] += 2 * u[i] + ar[1] * v[i]
            if i >= 2:
                y[i - 2] += u[i] + ar[2] * v[i]
        for m in range(KNOTS):
            y[n + j + m] += bell[m, place] * u[i]
        if line:
            y[len(y) - 2] += u[i]
            y[len(y) - 1] += u[i] * (i + 1.0) / n
        place += 1
        if place == width:
            j, place = j + 1, 0


@njit(cache=True, error_model="numpy")
def _longest(s: Array, ds: Array) -> float:
    """Return how far along ``ds`` a positive ``s`` stays so, at most 1."""
    far = 1.0
    for i in range(len(s)):
        if ds[i] < 0 and s[i] + far * ds[i] < 0:
            far = -s[i] / ds[i]
    return far


@njit(cache=True, error_model="numpy")
def _bends(l: Array, stiff: float, y: Array) -> float:  # noqa: E741
    """Add the gradient of the stiffness to ``y``; return its cost."""
    cost = 0.0
    if stiff > 0.0:
        for k in range(2, len(l)):
            bend = l[k] - 2 * l[k - 1] + l[k - 2]
            cost += 0.5 * stiff * bend * bend
            y[k] += stiff * bend
            y[k - 1] -= 2 * stiff * bend
            y[k - 2] += stiff * bend
    return cost


@njit(cache=True, error_model="numpy")
def solve(
    y: Array,
    weights: Array,
    alpha: float,
    width: int,
    begin: int,
    shape: tuple[Array, Array, int, float, float, int, bool],
    enough: float,
    most: int,
) -> tuple[Array, Array, Array, Array]:
    """Find driver, phasic part and level of a record (Mehrotra's predictor-corrector).

    Parameters
    ----------
    y
        Conductance, shape (n,), n at least 8.
    weights
        1 where a sample is there, else 0, shape (n,).
    alpha
        The price of driver, for each sample.
    width
        Samples from knot to knot.
    begin
        Where between two knots the first sample lies.
    shape
        All else: `Shape`.
    enough, most
        The relative duality gap to reach, and in how many steps at most.

    Returns
    -------
    tuple of ndarray
        Driver (per second), phasic part and level, each of shape (n,), and figures:
        objective, duality gap, greatest dual and primal residual, steps.
    """
    _, _, first, ridge, stiff, line, above = shape
    n = len(y)
    steps = order(n, width, begin, line)
    knots = len(steps) - n - line
    kept = np.empty((len(steps), KNOTS + line + 4))
    x, dx, rhs = np.zeros(len(steps)), np.zeros(len(steps)), np.zeros(len(steps))
    p, r, t = np.zeros(n), np.zeros(n), np.zeros(n)
    dp, dr, dt = np.zeros(n), np.zeros(n), np.zeros(n)
    bounded = knots if above else 0
    m = n - first + bounded
    s, z = np.ones(n + bounded), np.full(n + bounded, alpha)
    ds, dz = np.zeros(n + bounded), np.zeros(n + bounded)
    rp = np.zeros(n + bounded)
    u, v = np.zeros(n), np.zeros(n)
    s[:first] = 1.0
    z[:first] = 0.0
    pull, off = np.empty(knots), np.zeros(knots)
    for k in range(knots):
        if line and (k == 0 or (k - 1) * width >= n):
            off[k] = 1e12
    curved = np.zeros(n)
    rhs_d = np.zeros(len(steps))
    figures = np.zeros(5)
    for turn in range(most):
        _made(x, n, width, begin, shape, p, r, t)
        cost, gap, far, near = 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            u[i] = weights[i] * (r[i] + t[i] - y[i])
            cost += 0.5 * u[i] * u[i] + alpha * p[i]
            v[i] = alpha - z[i]
        _back(u, v, width, begin, shape, rhs_d)
        cost += _bends(x[n : n + knots], stiff, rhs_d[n : n + knots])
        for k in range(knots):
            cost += 0.5 * ridge * x[n + k] ** 2
            rhs_d[n + k] += ridge * x[n + k] - (z[n + k] if above else 0.0)
            if off[k] > 0:
                rhs_d[n + k] = 0.0
                x[n + k] = 0.0
        for i in range(first, n + bounded):
            rp[i] = (p[i] if i < n else x[i]) - s[i]
            near = max(near, abs(rp[i]))
            gap += s[i] * z[i]
        for i in range(len(steps)):
            far = max(far, abs(rhs_d[i]))
        figures[0], figures[1], figures[2], figures[3] = cost, gap, far, near
        figures[4] = turn
        if gap <= enough * abs(cost) + 1e-13 * n and near <= 1e-6 and far <= 1e-7:
            break
        for i in range(first, n):
            curved[i] = z[i] / s[i]
        for k in range(knots):
            pull[k] = ridge + off[k]
            if above:
                pull[k] += z[n + k] / s[n + k]
        factor(weights, curved, pull, width, begin, shape, steps, kept)
        mu, aim = gap / m, 0.0
        for corrector in range(2):
            for i in range(first, n + bounded):
                c = aim - s[i] * z[i] - (ds[i] * dz[i] if corrector else 0.0)
                dz[i] = (c - z[i] * rp[i]) / s[i]
            for i in range(n):
                u[i] = 0.0
                v[i] = dz[i] if i >= first else 0.0
            _back(u, v, width, begin, shape, rhs)
            for i in range(len(steps)):
                dx[i] = rhs[i] - rhs_d[i]
            if above:
                for k in range(knots):
                    dx[n + k] += dz[n + k]
            backsolve(steps, kept, dx)
            _made(dx, n, width, begin, shape, dp, dr, dt)
            for i in range(first, n + bounded):
                moved = dp[i] if i < n else dx[i]
                ds[i] = moved + rp[i]
                dz[i] -= z[i] * moved / s[i]
            one, two = _longest(s[first:], ds[first:]), _longest(z[first:], dz[first:])
            if not corrector:
                after = 0.0
                for i in range(first, n + bounded):
                    after += (s[i] + one * ds[i]) * (z[i] + two * dz[i])
                aim = mu * (after / gap) ** 3
        reach = min(one, two)
        reach = min(1.0, reach * 0.99) if reach < 1.0 else 1.0
        for i in range(len(steps)):
            x[i] += reach * dx[i]
        for i in range(first, n + bounded):
            s[i] += reach * ds[i]
            z[i] += reach * dz[i]
    return p, r, t, figures
