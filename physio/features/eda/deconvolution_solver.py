"""Convex solver for the driver, phasic part and tonic level of skin conductance.

A primal-dual interior-point method whose iterations cost the same for every sample:
see `physio.features.eda.block_cholesky`.
"""

from typing import NamedTuple

import numpy as np

from physio.core.block import Array
from physio.dsp.jit import njit
from physio.features.eda.block_cholesky import (
    KNOTS,
    backsolve,
    elimination_order,
    factor,
)


class Shape(NamedTuple):
    """Constants of the problem, the same for every record.

    ``ar`` are the coefficients of the driver on ``q`` (see `response`), ``splines`` the
    values of the four splines over a sample, shape (4, w), for each place between two
    knots. Responses are possible from sample ``first`` on. ``ridge`` pulls the splines'
    weights to 0, ``stiff`` to a straight line; ``line`` is 2 with a free line, else 0;
    ``nonnegative`` keeps the level at 0 or above.
    """

    ar: Array
    splines: Array
    first: int
    ridge: float
    stiff: float
    line: int
    nonnegative: bool


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
def _evaluate(
    x: Array, width: int, begin: int, shape: Shape, p: Array, r: Array, t: Array
) -> None:
    """Write the driver, the phasic part and the tonic level of unknowns ``x``."""
    ar, bell, first, _, _, line, _ = shape
    n = len(p)
    j, place = begin // width, begin % width  # counted on: faster
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
def _adjoint(
    u: Array, v: Array, width: int, begin: int, shape: Shape, y: Array
) -> None:
    """Write the gradient in each unknown from residuals ``u`` and driver terms ``v``.

    The adjoint of `_evaluate`.
    """
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
def _step_length(s: Array, ds: Array, first: int) -> float:
    """Return the largest step along ``ds`` that keeps ``s`` positive, at most 1."""
    length = 1.0
    for i in range(first, len(s)):
        if ds[i] < 0 and s[i] + length * ds[i] < 0:
            length = -s[i] / ds[i]
    return length


@njit(cache=True, error_model="numpy")
def _add_stiffness(level: Array, stiff: float, y: Array) -> float:
    """Add the gradient of the stiffness to ``y``; return its cost."""
    cost = 0.0
    if stiff > 0.0:
        for k in range(2, len(level)):
            bend = level[k] - 2 * level[k - 1] + level[k - 2]
            cost += 0.5 * stiff * bend * bend
            y[k] += stiff * bend
            y[k - 1] -= 2 * stiff * bend
            y[k - 2] += stiff * bend
    return cost


@njit(cache=True, error_model="numpy", forceinline=True)
def _misfit(
    y: Array, weights: Array, alpha: float, p: Array, r: Array, t: Array, u: Array
) -> float:
    """Write the weighted residuals of a record to ``u``; return cost with driver's."""
    cost = 0.0
    for i in range(len(y)):
        u[i] = weights[i] * (r[i] + t[i] - y[i])
        cost += 0.5 * u[i] * u[i] + alpha * p[i]
    return cost


@njit(cache=True, error_model="numpy", forceinline=True)
def _add_ridge(
    level: Array, dual: Array, ridge: float, fixed: Array, gradient: Array, cost: float
) -> float:
    """Add the gradient of the ridge and the multipliers; return the cost with it.

    ``dual`` is empty where the level may be below 0.
    """
    for k in range(len(level)):
        cost += 0.5 * ridge * level[k] ** 2
        gradient[k] += ridge * level[k] - (dual[k] if len(dual) else 0.0)
        if fixed[k] > 0:
            gradient[k] = 0.0
            level[k] = 0.0
    return cost


@njit(cache=True, error_model="numpy", forceinline=True)
def _feasibility(
    p: Array, x: Array, s: Array, z: Array, first: int, primal: Array
) -> tuple[float, float]:
    """Write the primal residuals; return the duality gap and their greatest size."""
    gap, norm = 0.0, 0.0
    for i in range(first, len(s)):
        primal[i] = (p[i] if i < len(p) else x[i]) - s[i]
        norm = max(norm, abs(primal[i]))
        gap += s[i] * z[i]
    return gap, norm


@njit(cache=True, error_model="numpy", forceinline=True)
def _greatest(x: Array) -> float:
    """Return the greatest absolute value."""
    norm = 0.0
    for i in range(len(x)):
        norm = max(norm, abs(x[i]))
    return norm


@njit(cache=True, error_model="numpy", forceinline=True)
def _barrier(
    s: Array,
    z: Array,
    first: int,
    ridge: float,
    fixed: Array,
    curvature: Array,
    diagonal: Array,
) -> None:
    """Write the terms of bounds and ridge in the normal equations."""
    n = len(curvature)
    for i in range(first, n):
        curvature[i] = z[i] / s[i]
    for k in range(len(fixed)):
        diagonal[k] = ridge + fixed[k]
        if len(s) > n:
            diagonal[k] += z[n + k] / s[n + k]


@njit(cache=True, error_model="numpy", forceinline=True)
def _complement(
    s: Array,
    z: Array,
    ds: Array,
    dz: Array,
    primal: Array,
    first: int,
    target: float,
    corrector: int,
) -> None:
    """Write to ``dz`` the step of the multipliers before the unknowns have moved.

    Each slack times its multiplier shall become ``target``; the corrector takes the
    second-order term from the predictor's step.
    """
    for i in range(first, len(s)):
        c = target - s[i] * z[i] - (ds[i] * dz[i] if corrector else 0.0)
        dz[i] = (c - z[i] * primal[i]) / s[i]


@njit(cache=True, error_model="numpy", forceinline=True)
def _right_side(rhs: Array, gradient: Array, dz: Array, n: int, dx: Array) -> None:
    """Write the right-hand side of the normal equations to ``dx``."""
    for i in range(len(dx)):
        dx[i] = rhs[i] - gradient[i]
    for i in range(n, len(dz)):
        dx[i] += dz[i]


@njit(cache=True, error_model="numpy", forceinline=True)
def _bound_steps(
    dp: Array,
    dx: Array,
    primal: Array,
    s: Array,
    z: Array,
    ds: Array,
    dz: Array,
    first: int,
) -> None:
    """Write the steps of slacks and multipliers for those of driver and unknowns."""
    for i in range(first, len(s)):
        moved = dp[i] if i < len(dp) else dx[i]
        ds[i] = moved + primal[i]
        dz[i] -= z[i] * moved / s[i]


@njit(cache=True, error_model="numpy", forceinline=True)
def _complementarity(
    s: Array, z: Array, ds: Array, dz: Array, first: int, a: float, b: float
) -> float:
    """Return the duality gap after steps of length ``a`` and ``b``."""
    gap = 0.0
    for i in range(first, len(s)):
        gap += (s[i] + a * ds[i]) * (z[i] + b * dz[i])
    return gap


@njit(cache=True, error_model="numpy", forceinline=True)
def _advance(x: Array, dx: Array, length: float, first: int) -> None:
    """Move values from number ``first`` on."""
    for i in range(first, len(x)):
        x[i] += length * dx[i]


@njit(cache=True, error_model="numpy", forceinline=True)
def _fixed_knots(knots: int, n: int, width: int, line: int) -> Array:
    """Return the extra weight of knots that a line fixes outside of the record."""
    fixed = np.zeros(knots)
    for k in range(knots):
        if line and (k == 0 or (k - 1) * width >= n):
            fixed[k] = 1e12
    return fixed


@njit(cache=True, error_model="numpy", forceinline=True)
def _driver_cost(alpha: float, z: Array, v: Array) -> None:
    """Write the cost of driver less its multipliers to ``v``."""
    for i in range(len(v)):
        v[i] = alpha - z[i]


@njit(cache=True, error_model="numpy", forceinline=True)
def _converged(figures: Array, tolerance: float, n: int) -> bool:
    """Return True if the duality gap and both residuals are small enough."""
    cost, gap, dual_norm, primal_norm = figures[0], figures[1], figures[2], figures[3]
    closed = gap <= tolerance * abs(cost) + 1e-13 * n
    return closed and primal_norm <= 1e-6 and dual_norm <= 1e-7


@njit(cache=True, error_model="numpy")
def solve(
    y: Array,
    weights: Array,
    alpha: float,
    width: int,
    begin: int,
    shape: Shape,
    tolerance: float,
    max_steps: int,
) -> tuple[Array, Array, Array, Array]:
    """Return driver, phasic part and tonic level of a record.

    Parameters
    ----------
    y
        Conductance, shape (n,), n at least 8.
    weights
        1 where a sample is present, else 0, shape (n,).
    alpha
        Cost of the driver, for each sample.
    width
        Number of samples from knot to knot.
    begin
        Place between two knots at which the first sample lies.
    shape
        The other constants of the problem: see `Shape`.
    tolerance, max_steps
        Relative duality gap at which the solver stops, and maximum number of steps.

    Returns
    -------
    tuple of ndarray
        Driver (per second), phasic part and level, each of shape (n,), and figures of
        the solution: objective, duality gap, greatest dual and primal residual, steps.

    Notes
    -----
    Mehrotra's predictor-corrector method.
    """
    _, _, first, ridge, stiff, line, nonnegative = shape
    n = len(y)
    steps = elimination_order(n, width, begin, line)
    knots = len(steps) - n - line
    bounds = n + knots if nonnegative else n
    factors = np.empty((len(steps), KNOTS + line + 4))
    x, p, r, t = np.zeros(len(steps)), np.zeros(n), np.zeros(n), np.zeros(n)
    dx, dp, dr, dt = np.zeros(len(steps)), np.zeros(n), np.zeros(n), np.zeros(n)
    s, z = np.ones(bounds), np.full(bounds, alpha)
    z[:first] = 0.0
    ds, dz, primal = np.zeros(bounds), np.zeros(bounds), np.zeros(bounds)
    u, v, nothing = np.zeros(n), np.zeros(n), np.zeros(n)
    gradient, rhs = np.zeros(len(steps)), np.zeros(len(steps))
    curvature, diagonal = np.zeros(n), np.empty(knots)
    fixed = _fixed_knots(knots, n, width, line)
    level, slope = x[n : n + knots], gradient[n : n + knots]
    figures = np.zeros(5)
    for iteration in range(max_steps):
        _evaluate(x, width, begin, shape, p, r, t)
        cost = _misfit(y, weights, alpha, p, r, t, u)
        _driver_cost(alpha, z, v)
        _adjoint(u, v, width, begin, shape, gradient)
        cost += _add_stiffness(level, stiff, slope)
        cost = _add_ridge(level, z[n:], ridge, fixed, slope, cost)
        gap, primal_norm = _feasibility(p, x, s, z, first, primal)
        dual_norm = _greatest(gradient)
        figures[0], figures[1], figures[2] = cost, gap, dual_norm
        figures[3], figures[4] = primal_norm, iteration
        if _converged(figures, tolerance, n):
            break
        _barrier(s, z, first, ridge, fixed, curvature, diagonal)
        factor(weights, curvature, diagonal, width, begin, shape, steps, factors)
        target, length = 0.0, 1.0
        for corrector in range(2):
            _complement(s, z, ds, dz, primal, first, target, corrector)
            _adjoint(nothing, dz, width, begin, shape, rhs)
            _right_side(rhs, gradient, dz, n, dx)
            backsolve(steps, factors, dx)
            _evaluate(dx, width, begin, shape, dp, dr, dt)
            _bound_steps(dp, dx, primal, s, z, ds, dz, first)
            a, b = _step_length(s, ds, first), _step_length(z, dz, first)
            if not corrector:
                affine = _complementarity(s, z, ds, dz, first, a, b)
                target = gap / (bounds - first) * (affine / gap) ** 3
            length = min(a, b)
        length = min(1.0, length * 0.99) if length < 1.0 else 1.0
        _advance(x, dx, length, 0)
        _advance(s, ds, length, first)
        _advance(z, dz, length, first)
    return p, r, t, figures
