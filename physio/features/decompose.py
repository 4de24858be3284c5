"""Skin conductance taken apart: a level, responses, and the nerves' driver of them."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from physio.core.block import Array
from physio.core.reason import Reason
from physio.features.bateman import Shape, response, solve, splines

SETTINGS: Final = ("default", "cvxeda")
"""What `decompose` can solve."""

_KNOT: Final = 10.0  # s from knot to knot
_BIN: Final = 0.25  # s over which noise is looked at
_MEETS: Final = 0.28  # sqrt(bin * energy of a response): how much noise a driver meets
_DEAR: Final = 10.0  # the price of driver, in that noise
_STIFF: Final = 0.1  # of the level, at 4 samples a second
_FAINT: Final = 2e-4  # of the level: the least noise a sensor is credited with
_BEFORE: Final = 3.0  # s before the record from which responses may come
_LEAST: Final = 10.0  # s
_CVXEDA: Final = 8e-4, 1e-2  # what driver costs there, and the splines' weights


class Decomposition(NamedTuple):
    """What skin conductance is made of.

    ``tonic`` and ``phasic`` (uS) and ``driver`` (uS/s) have shape (n,); ``objective``
    is in uS squared, ``gap`` the duality gap relative to it, ``steps`` those of the
    solver.
    """

    tonic: Array
    phasic: Array
    driver: Array
    objective: float
    gap: float
    steps: int


def noise_at_rest(y: Array, rate: float) -> float:
    """Return how noisy the quiet quarter of a record is (uS), each 0.25 s.

    The standard deviation, over 5 s, of second differences of values 0.25 s apart,
    divided by the square root of 6 that white noise has there; of all stretches the
    lower quartile. Above 8 Hz samples are averaged to about that first. At least
    0.02 % of the median level: no sensor is credited with less. So it is as many times
    larger as the signal is, and the same for a signal that is only sampled more often.
    """
    many = max(int(rate / 8), 1)
    means = y[: len(y) // many * many].reshape(-1, many).mean(axis=1)
    apart = max(round(rate / many * _BIN), 1)
    bends = np.diff(means[::apart], 2) ** 2 / 6
    stretch = max(round(5.0 * rate / many / apart), 1)
    stretches = bends[: len(bends) // stretch * stretch].reshape(-1, stretch)
    powers = stretches.mean(axis=1)
    powers = powers[~np.isnan(powers)]
    quiet = float(np.sqrt(np.quantile(powers, 0.25))) if len(powers) else 0.0
    return max(quiet, _FAINT * float(np.nanmedian(y)))


def setting_of(setting: str) -> str:
    """Return the setting, or raise which there are."""
    if setting not in SETTINGS:
        raise ValueError(
            f"skin conductance is taken apart by one of {', '.join(SETTINGS)}, not by "
            f"{setting!r}"
        )
    return setting


def decompose(
    y: npt.ArrayLike,
    rate: float,
    setting: str = "default",
    *,
    enough: float = 1e-7,
    begin: int = 0,
) -> Decomposition:
    """Take a record of skin conductance apart, all of it at once.

    Minimises ``sum((tonic + phasic - y)**2) / 2 + alpha * sum(driver)`` and a penalty
    on the level, where ``driver >= 0``, ``phasic`` is the driver's Bateman response
    (2 s and 0.7 s, bilinear transform) and ``tonic`` is made of cubic splines 10 s
    apart: the convex problem of [1]_, by an interior-point method whose step costs the
    same for every sample.

    Parameters
    ----------
    y
        Conductance (uS), shape (n,), 10 s or more. Missing samples (NaN) have no
        weight, and neither have negative ones by default.
    rate
        Samples a second (Hz), at least 2.
    setting
        ``"cvxeda"`` is the problem as neurokit2 poses it (alpha 0.0008, a penalty of
        0.01 on the splines' weights, a free line); ``"default"`` mends what that gets
        wrong on real wrists.
    enough
        The duality gap to reach, relative to the objective.
    begin
        How many samples after a knot the record begins (the default alone).

    Returns
    -------
    Decomposition
        NaN where ``y`` is not there.

    Raises
    ------
    ValueError
        For an unknown setting, a slower rate, a shorter record.

    Notes
    -----
    Deviations of the default from [1]_: the splines' weights are not below 0, so that
    ``tonic >= 0``; there is no free line; responses may have begun up to 3 s before the
    record, and none falls below 0; ``phasic`` is cut to ``0 <= phasic <= y``; alpha is
    ten times the noise that a response meets at rest (`noise_at_rest`), and the level's
    second differences are penalised, at any rate alike, instead of its weights. So what
    comes out of ``c * y`` is ``c`` times what comes out of ``y``.

    References
    ----------
    .. [1] Greco et al., cvxEDA: a convex optimization approach to electrodermal
       activity processing, IEEE Trans. Biomed. Eng. 63, 2016.
    """
    x = np.ascontiguousarray(y, np.float64)
    setting_of(setting)
    if rate < 2 or len(x) < _LEAST * rate:
        raise ValueError(
            f"skin conductance is taken apart from 2 samples a second and {_LEAST:g} s "
            f"on: these are {len(x)} samples at {rate:g} Hz"
        )
    there = np.isfinite(x) if setting == "cvxeda" else np.isfinite(x) & (x >= 0)
    if not there.any():
        none = np.where(np.isnan(x), x, Reason.POOR_QUALITY.nan)
        return Decomposition(none, none.copy(), none.copy(), 0.0, 0.0, 0)
    parts = _cvxeda if setting == "cvxeda" else _default
    driver, phasic, tonic, figures, scale = parts(x, there, rate, enough, begin)
    lost = np.where(np.isnan(x), x, Reason.POOR_QUALITY.nan)
    t, r, p = (np.where(there, v * scale, lost) for v in (tonic, phasic, driver))
    r = np.minimum(r, x) if setting == "default" else r  # rounding set apart
    cost = float(figures[0])
    gap = float(figures[1]) / max(abs(cost), 1e-12 * len(x))
    return Decomposition(t, r, p, cost * scale**2, gap, int(figures[4]))


def _cvxeda(
    x: Array, there: npt.NDArray[np.bool_], rate: float, enough: float, _: int
) -> tuple[Array, Array, Array, Array, float]:
    alpha, ridge = _CVXEDA
    width = round(_KNOT * rate)
    shape = Shape(response(1 / rate), splines(width), 2, ridge, 0.0, 2, above=False)
    filled = np.where(there, x, 0.0)
    found = solve(filled, there * 1.0, alpha, width, 0, shape, enough, 80)
    return *found, 1.0


def _default(
    x: Array, there: npt.NDArray[np.bool_], rate: float, enough: float, begin: int
) -> tuple[Array, Array, Array, Array, float]:
    width, pad = round(_KNOT * rate), round(_BEFORE * rate)
    scale = float(np.mean(x[there])) or 1.0
    y = np.where(there, x, np.nan) / scale
    alpha = _DEAR * _MEETS * (noise_at_rest(y, rate) or _FAINT)
    stiff = _STIFF * _BIN * rate
    shape = Shape(response(1 / rate), splines(width), 0, 0.0, stiff, 0, above=True)
    before = np.zeros(pad)
    filled = np.concatenate([before, np.where(there, y, 0.0)])
    weights = np.concatenate([before, there * 1.0])
    at = (begin - pad) % width
    p, r, t, figures = solve(filled, weights, alpha, width, at, shape, enough, 80)
    most = np.where(there, y, 0.0)
    phasic = np.minimum(np.maximum(r[pad:], 0.0), most)
    return np.maximum(p[pad:], 0.0), phasic, np.maximum(t[pad:], 0.0), figures, scale
