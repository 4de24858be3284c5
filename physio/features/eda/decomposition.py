"""Decomposition of skin conductance into tonic level, phasic part and driver."""

from functools import cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.core.missing import MissingReason
from physio.dsp.jit import njit
from physio.features.eda.deconvolution_solver import Shape, response, solve, splines

SETTINGS: Final = ("default", "cvxeda")
"""Names of the problems that `decompose` solves."""

MIN_NOISE: Final = 2e-4
"""Least noise assumed of a sensor, relative to the level."""

_KNOT: Final = 10.0  # s from knot to knot
_BIN: Final = 0.25  # s over which noise is measured
_NOISE_GAIN: Final = (
    0.28  # sqrt(bin * energy of a response): gain of noise into the driver
)
_ALPHA: Final = 10.0  # alpha, in that noise
_STIFF: Final = 0.1  # of the level, at 4 samples a second
_POOR: Final = MissingReason.POOR_QUALITY.nan
_LEAD: Final = 3.0  # s before the record in which responses may begin
_MIN_SECONDS: Final = 10.0  # s
_CVXEDA: Final = 8e-4, 1e-2  # costs of the driver there and of the splines' weights


class Decomposition(NamedTuple):
    """Tonic level, phasic part and driver of skin conductance.

    ``tonic`` and ``phasic`` (uS) and ``driver`` (uS/s) have shape (n,); ``objective``
    is in uS squared, ``gap`` is the duality gap relative to it, and ``steps`` is the
    number of solver steps.
    """

    tonic: Array
    phasic: Array
    driver: Array
    objective: float
    gap: float
    steps: int


@njit(cache=True)
def noise_at_rest(y: Array, rate: float) -> float:
    """Return the noise (uS) in 0.25 s of the quietest quarter of a record.

    The standard deviation, over 5 s, of second differences of values 0.25 s apart is
    divided by the square root of 6, its value for white noise; the result is the lower
    quartile over all stretches. Signals sampled above 8 Hz are first averaged to about
    that rate. The result is at least 0.02 % of the median level, as no sensor is
    assumed to have less noise. It therefore scales with the signal and does not depend
    on the sampling rate.
    """
    many = max(int(rate / 8), 1)
    apart = max(round(rate / many * _BIN), 1)
    stretch = max(round(5.0 * rate / many / apart), 1)
    means = np.empty((len(y) // many + apart - 1) // apart)
    for i in range(len(means)):
        means[i] = y[i * apart * many : (i * apart + 1) * many].mean()
    powers = np.zeros(max(len(means) - 2, 0) // stretch)
    for k in range(len(powers)):
        for i in range(k * stretch, (k + 1) * stretch):
            bend = means[i + 2] - 2 * means[i + 1] + means[i]
            powers[k] += bend * bend / (6 * stretch)
    powers = np.sort(powers[~np.isnan(powers)])
    quiet = 0.0
    if len(powers):
        at = 0.25 * (len(powers) - 1)
        low, high = powers[int(at)], powers[min(int(at) + 1, len(powers) - 1)]
        quiet = np.sqrt(low + (at - int(at)) * (high - low))
    return max(quiet, MIN_NOISE * np.nanmedian(y))


def check_setting(setting: str) -> str:
    """Return the setting, or raise an error that lists the valid settings."""
    if setting not in SETTINGS:
        raise ValueError(
            f"there is no decomposition {setting!r} of skin conductance: there are "
            f"{', '.join(SETTINGS)}"
        )
    return setting


def decompose(
    y: npt.ArrayLike,
    rate: float,
    setting: str = "default",
    *,
    tolerance: float = 1e-7,
    begin: int = 0,
    noise: float | None = None,
) -> Decomposition:
    """Decompose a whole record of skin conductance.

    Minimises ``sum((tonic + phasic - y)**2) / 2 + alpha * sum(driver)`` and a penalty
    on the level, where ``driver >= 0``, ``phasic`` is the driver's Bateman response
    (2 s and 0.7 s, bilinear transform) and ``tonic`` is made of cubic splines 10 s
    apart: the convex problem of [1]_, by an interior-point method whose step costs the
    same for every sample.

    Parameters
    ----------
    y
        Conductance (uS), shape (n,), 10 s or more. Missing samples (NaN) have no
        weight; in the default setting, negative samples have none either.
    rate
        Samples a second (Hz), at least 2.
    setting
        ``"cvxeda"`` is the problem as neurokit2 poses it (alpha 0.0008, a penalty of
        0.01 on the splines' weights, a free line); ``"default"`` corrects its
        errors on real wrists.
    tolerance
        Duality gap at which the solver stops, relative to the objective.
    begin
        Number of samples from a knot to the begin of the record (default setting only).
    noise
        Noise (uS) of a mean of 0.25 s (default setting only); by default that of
        `noise_at_rest`, which in a record of a few stretches includes its responses.

    Returns
    -------
    Decomposition
        NaN where ``y`` is missing.

    Raises
    ------
    ValueError
        If the setting is unknown, the rate too low, or the record too short.

    Notes
    -----
    Deviations of the default from [1]_: the splines' weights are not below 0, so that
    ``tonic >= 0``; there is no free line; responses may have begun up to 3 s before the
    record, and none falls below 0; ``phasic`` is cut to ``0 <= phasic <= y``; alpha is
    ten times the noise at rest (`noise_at_rest`), and the second differences of the
    level are penalised instead of its weights, equally at any sampling rate. The
    decomposition of ``c * y`` is therefore ``c`` times that of ``y``.

    References
    ----------
    .. [1] Greco et al., cvxEDA: a convex optimization approach to electrodermal
       activity processing, IEEE Trans. Biomed. Eng. 63, 2016.
    """
    x = np.ascontiguousarray(y, np.float64)
    check_setting(setting)
    if rate < 2 or len(x) < _MIN_SECONDS * rate:
        raise ValueError(
            f"skin conductance is decomposed from 2 samples a second and "
            f"{_MIN_SECONDS:g} s on: these are {len(x)} samples at {rate:g} Hz"
        )
    there = np.isfinite(x) if setting == "cvxeda" else np.isfinite(x) & (x >= 0)
    if not there.any():
        none = np.where(np.isnan(x), x, MissingReason.POOR_QUALITY.nan)
        return Decomposition(none, none.copy(), none.copy(), 0.0, 0.0, 0)
    if setting == "cvxeda":
        p, r, t, figures, scale = _cvxeda(x, there, rate, tolerance)
    else:
        p, r, t, figures, scale = _default(x, there, rate, tolerance, begin, noise)
    _scale_parts(x, there, scale, p, r, t)
    r = np.minimum(r, x) if setting == "default" else r  # rounding set apart
    cost = float(figures[0])
    gap = float(figures[1]) / max(abs(cost), 1e-12 * len(x))
    return Decomposition(t, r, p, cost * scale**2, gap, int(figures[4]))


def _cvxeda(
    x: Array, there: npt.NDArray[np.bool_], rate: float, tolerance: float
) -> tuple[Array, Array, Array, Array, float]:
    alpha, ridge = _CVXEDA
    width = round(_KNOT * rate)
    shape = Shape(
        response(1 / rate), splines(width), 2, ridge, 0.0, 2, nonnegative=False
    )
    filled = np.where(there, x, 0.0)
    solution = solve(filled, there * 1.0, alpha, width, 0, shape, tolerance, 80)
    return *solution, 1.0


@cache
def _default_shape(rate: float) -> tuple[Shape, int, int]:
    """Return the default problem at a rate, samples between knots and before."""
    width = round(_KNOT * rate)
    stiff = _STIFF * _BIN * rate
    shape = Shape(
        response(1 / rate), splines(width), 0, 0.0, stiff, 0, nonnegative=True
    )
    return shape, width, round(_LEAD * rate)


def _default(
    x: Array,
    there: npt.NDArray[np.bool_],
    rate: float,
    tolerance: float,
    begin: int,
    noise: float | None,
) -> tuple[Array, Array, Array, Array, float]:
    stated = np.nan if noise is None else float(noise)
    return _solve_default(
        x, there, float(rate), tolerance, begin, stated, _default_shape(rate)
    )


@njit(cache=True)
def _solve_default(
    x: Array,
    there: npt.NDArray[np.bool_],
    rate: float,
    tolerance: float,
    begin: int,
    stated: float,
    problem: tuple[Shape, int, int],
) -> tuple[Array, Array, Array, Array, float]:
    """Solve the default problem in units of the mean; return driver, phasic, tonic."""
    shape, width, pad = problem
    scale = x[there].mean()
    scale = scale if scale != 0 else 1.0
    y = np.where(there, x / scale, np.nan)
    noise = noise_at_rest(y, rate) if np.isnan(stated) else abs(stated / scale)
    alpha = _ALPHA * _NOISE_GAIN * (noise if noise != 0 else MIN_NOISE)
    filled, weights = np.zeros(pad + len(x)), np.zeros(pad + len(x))
    for i in range(len(x)):
        if there[i]:
            filled[pad + i], weights[pad + i] = y[i], 1.0
    at = (begin - pad) % width
    p, r, t, figures = solve(filled, weights, alpha, width, at, shape, tolerance, 80)
    most = filled[pad:]
    phasic = np.minimum(np.maximum(r[pad:], 0.0), most)
    return np.maximum(p[pad:], 0.0), phasic, np.maximum(t[pad:], 0.0), figures, scale


@njit(cache=True)
def _scale_parts(
    x: Array, there: npt.NDArray[np.bool_], scale: float, p: Array, r: Array, t: Array
) -> None:
    """Scale the parts to uS; write the reason where they are missing."""
    for i in range(len(x)):
        if there[i]:
            p[i], r[i], t[i] = p[i] * scale, r[i] * scale, t[i] * scale
        else:
            p[i] = r[i] = t[i] = x[i] if np.isnan(x[i]) else _POOR
