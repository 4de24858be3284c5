"""Tonic EDA model: time constant of the level, and effect size of each condition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize
from scipy.stats import f as fisher

from physio.core.block import Array
from physio.features.eda.decomposition import decompose

WIDEST: Final = 4.0
"""Largest ratio of the interval's ends for which an estimate is reported."""

WARMTH: Final = "temperature"
"""Name of skin temperature among the terms that move the set point."""

BETWEEN: Final = ""
"""Name of the time outside all conditions."""

_STEP: Final = 10.0  # s
_END: Final = 2.0  # s, at the end of each step, over which conductance is averaged
_FAR: Final = 1e4  # variance of a level that is not known, in levels squared
_STARTS: Final = (1.0, 4.0)  # min, time constants to search from
_TIMES: Final = (0.1, 60.0)  # min, the shortest and longest looked at
_REACH: Final = 4.0  # standard errors to each side that a profile is traced
_POINTS: Final = 11


class Estimate(NamedTuple):
    """A parameter with its profile-likelihood interval."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> "Estimate":
        """This estimate, with NaN as value if the interval is wider than `WIDEST`."""
        near, far = sorted((abs(self.low), abs(self.high)))
        if self.low * self.high > 0 and far <= WIDEST * near:
            return self
        return self._replace(value=float("nan"))


@dataclass(frozen=True, eq=False)
class TonicRelaxation:
    """Fitted parameters of a session.

    Parameters
    ----------
    time
        The time constant ``1 / alpha_0`` (min).
    size
        ``beta / alpha_0`` of each condition: its asymptotic effect on the level (uS).
    wander, noise
        Standard deviations: of the walk of the set point in a minute, and of each value
        (uS).
    """

    time: Estimate
    size: Mapping[str, Estimate]
    wander: float
    noise: float


@dataclass(frozen=True, eq=False)
class ParticipantFit:
    """A session in steps of 10 s.

    Parameters
    ----------
    level
        Skin conductance at the end of each step (uS, NaN where missing), shape (n,).
    phasic
        Phasic part of the level (uS), shape (n,).
    moves, centre
        Inputs that move the set point: the mean of each input over each step, and its
        mean weighted by the time after the middle of the step (min); shape (n, k) each.
    names
        Names of the inputs: the conditions, `BETWEEN`, `WARMTH`.
    changes
        Number of changes of condition.
    """

    level: Array
    phasic: Array
    moves: Array
    centre: Array
    names: tuple[str, ...]
    changes: int


def session(
    eda: Array,
    rate: float,
    conditions: Sequence[tuple[str, float, float]],
    rest: str = "baseline",
    warmth: Array | None = None,
) -> ParticipantFit:
    """Return a session as `fit` reads it.

    Parameters
    ----------
    eda
        Skin conductance (uS), shape (n,), NaN where missing; 4 samples a second, as
        wristbands have them, are enough.
    rate
        Its samples a second (Hz).
    conditions
        Name, begin and end (s after the first sample) of each part; names may repeat.
        The time outside all parts counts as a condition of its own.
    rest
        The condition whose ``beta`` is 0.
    warmth
        Temperature of the skin (degC) at the same samples, if there is one.

    Raises
    ------
    ValueError
        If there are fewer than three changes of condition.
    """
    width = round(_STEP * rate)
    n = len(eda) // width
    at = (np.arange(n * width) + 0.5) / rate
    state = np.full(n * width, BETWEEN, object)
    for name, begin, end in conditions:
        state[(at >= begin) & (at < end)] = name
    changes = int((state[1:] != state[:-1]).sum())
    names = tuple(sorted(set(state) - {rest}))
    if changes < len(names) + 2:
        raise ValueError(
            f"{changes} changes of condition do not tell a time constant and "
            f"{len(names)} sizes: it takes {len(names) + 2}"
        )
    signals = [(state == name).astype(np.float64) for name in names]
    if warmth is not None:
        held = _held(np.asarray(warmth[: n * width], np.float64))
        signals.append(held - held.mean())
        names = (*names, WARMTH)
    stacked = np.stack(signals, axis=1).reshape(n, width, len(signals))
    off = (at[:width] - _STEP / 2) / 60
    end = round(_END * rate)
    y = np.asarray(eda[: n * width], np.float64)
    phasic = _means(decompose(y, rate).phasic.reshape(n, width)[:, -end:])
    return ParticipantFit(
        _means(y.reshape(n, width)[:, -end:]),
        _held(phasic),
        stacked.mean(axis=1),
        (stacked * off[:, None]).mean(axis=1),
        names,
        changes,
    )


def fit(data: ParticipantFit, confidence: float = 0.95) -> TonicRelaxation:
    """Return the maximum-likelihood parameters of a whole session.

    Parameters
    ----------
    data
        The session.
    confidence
        Level of the intervals.

    Notes
    -----
    The tonic level T obeys ``dT/dt = gamma * (-alpha_0 * (T - T0) + beta * e(t))`` with
    gamma = 1/min and e(t) the labels. T0 is a random walk plus a multiple of the skin's
    temperature. The measured signal is the sum of T, a multiple of the phasic part, and
    white noise. The residual of the equation is therefore white noise, whose spread is
    estimated. As the model is linear in all but ``alpha_0``, no network is needed: a
    Kalman filter gives the likelihood, and least squares give the sizes.

    The interval of ``1 / alpha_0`` contains the values whose profile likelihood is
    within a drop of the maximum; the interval of a size is likewise profiled over
    ``alpha_0`` and the noises. The drop is half a quantile of Fisher's F. Its degrees
    of freedom are the changes of condition less the parameters estimated from them:
    a session with few changes has less information than its number of samples suggests.
    """
    scale = float(np.nanstd(data.level)) or 1.0
    best = _highest(data, scale)
    spread = _error(data, scale, best)
    shortest, longest = np.log(_TIMES)
    best[0] = np.clip(best[0], shortest, longest)
    at = np.linspace(
        max(best[0] - _REACH * spread, shortest),
        min(best[0] + _REACH * spread, longest),
        _POINTS,
    )
    traced = _traced(data, scale, at, best)
    fine = np.linspace(at[0], at[-1], 801)
    height, sizes, errors = (CubicSpline(at, part)(fine) for part in traced)
    conditions = [n for n in data.names if n not in (BETWEEN, WARMTH)]
    freedom = max(data.changes - len(conditions) - 1, 1)
    drop = float(fisher.ppf(confidence, 1, freedom)) / 2
    inside = np.flatnonzero(height >= height.max() - drop)
    low, high = inside[0], inside[-1]
    time = Estimate(
        float(np.exp(fine[int(np.argmax(height))])),
        float(np.exp(fine[low])) if low > 0 else 0.0,
        float(np.exp(fine[high])) if high < len(fine) - 1 else float("inf"),
    )
    size = {
        name: _size(sizes[:, i] * scale, errors[:, i] * scale, height, drop)
        for i, name in enumerate(data.names)
        if name in conditions
    }
    wander, noise = np.exp(best[1:]) * scale
    return TonicRelaxation(time, size, float(wander), float(noise))


def _highest(data: ParticipantFit, scale: float) -> Array:
    """Return the logs of the time constant and of the two noises."""
    optima = [
        minimize(
            lambda p: -_likely(data, scale, p)[0],
            np.log([start, 0.05, 0.02]),
            method="Nelder-Mead",
            options={"maxiter": 400, "xatol": 0.003, "fatol": 1e-4},
        )
        for start in _STARTS
    ]
    best: Array = min(optima, key=lambda m: float(m.fun)).x
    return best


def _error(data: ParticipantFit, scale: float, best: Array) -> float:
    """Return the standard error of the log of the time constant."""
    step = np.array([0.05, 0.0, 0.0])
    around = [_likely(data, scale, best + k * step)[0] for k in (-1, 0, 1)]
    bend = -(around[0] + around[2] - 2 * around[1]) / 0.05**2
    return float(1 / np.sqrt(max(bend, 1.0)))


def _traced(
    data: ParticipantFit, scale: float, at: Array, best: Array
) -> tuple[Array, Array, Array]:
    """Return the profile likelihood over time constants, with sizes and their errors.

    The noises are optimised at each time constant, from the middle outwards; each
    search starts from the solution of its neighbour.
    """
    middle = int(np.argmin(np.abs(at - best[0])))
    noises = {middle: best[1:]}
    for k in sorted(range(len(at)), key=lambda k: abs(k - middle)):
        start = noises[min(noises, key=lambda j: abs(j - k))]
        optimum = minimize(
            lambda p, k=k: -_likely(data, scale, np.array([at[k], *p]))[0],
            start,
            method="Nelder-Mead",
            options={
                "maxiter": 60,
                "xatol": 0.01,
                "fatol": 1e-3,
                "initial_simplex": start + 0.1 * np.eye(3, 2, -1),
            },
        )
        noises[k] = optimum.x
    parts = [_likely(data, scale, np.array([v, *noises[k]])) for k, v in enumerate(at)]
    height, sizes, errors = (np.array(p) for p in zip(*parts, strict=True))
    return height, sizes, errors


def _likely(
    data: ParticipantFit, scale: float, logs: Array
) -> tuple[float, Array, Array]:
    """Return the log likelihood, and each coefficient with its standard error."""
    minutes = float(np.exp(np.clip(logs[0], *np.log(_TIMES))))
    wander, noise = np.exp(2 * np.clip(logs[1:], -12, 6))
    moves = np.ascontiguousarray(data.moves + data.centre / minutes)
    phasic = data.phasic / scale
    white, volume = _whitened(
        data.level / scale, moves, phasic, _STEP / 60, minutes, wander, noise
    )
    x, y = white[:, 1:], white[:, 0]
    cov = np.linalg.inv(x.T @ x + 1e-9 * np.eye(x.shape[1]))
    coefficients = cov @ (x.T @ y)
    off = y - x @ coefficients
    return -0.5 * float(off @ off + volume), coefficients, np.sqrt(np.diag(cov))


@njit(cache=True)
def _whitened(
    y: Array,
    moves: Array,
    phasic: Array,
    step: float,
    minutes: float,
    wander: float,
    noise: float,
) -> tuple[Array, float]:
    """Return standardized innovations of a Kalman filter, and their log variances.

    The filter is linear: the measured signal, each input of the set point and the
    phasic part are filtered separately and combined by least squares. The state is the
    level and its set point. Inputs begin with the second step.
    """
    n, k = moves.shape
    a = 1.0 / minutes
    phi = np.exp(-a * step)
    q_level = wander * (step - 2 * (1 - phi) / a + (1 - phi * phi) / (2 * a))
    q_both, q_point = wander * (step - (1 - phi) / a), wander * step
    p, both, point = _FAR, _FAR, _FAR + 1.0  # they begin near each other, anywhere
    level, aim = np.zeros(k + 2), np.zeros(k + 2)
    out = np.zeros((n, k + 2))
    logs = 0.0
    for i in range(n):
        if i > 0:
            for j in range(k + 2):
                level[j] = phi * level[j] + (1 - phi) * aim[j]
            for j in range(k):
                level[j + 1] += (1 - phi) * moves[i, j]
            p = phi * phi * p + 2 * phi * (1 - phi) * both + (1 - phi) ** 2 * point
            p += q_level
            both = phi * both + (1 - phi) * point + q_both
            point += q_point
        if np.isnan(y[i]):
            continue
        var = p + noise
        gain, gain_aim = p / var, both / var
        for j in range(k + 2):
            observed = y[i] if j == 0 else (-phasic[i] if j == k + 1 else 0.0)
            miss = observed - level[j]
            out[i, j] = (miss if j == 0 else -miss) / np.sqrt(var)
            level[j] += gain * miss
            aim[j] += gain_aim * miss
        point -= gain_aim * both
        both -= gain * both
        p -= gain * p
        logs += np.log(var)
    return out, logs


def _size(sizes: Array, errors: Array, height: Array, drop: float) -> Estimate:
    """Return the size with the highest likelihood, and its interval.

    At each time constant the profile of a size is a parabola. The interval ends where
    the widest parabola is ``drop`` below the maximum.
    """
    room = 2 * (height - (height.max() - drop))
    inside = room >= 0
    wide = errors[inside] * np.sqrt(room[inside])
    return Estimate(
        float(sizes[int(np.argmax(height))]),
        float((sizes[inside] - wide).min()),
        float((sizes[inside] + wide).max()),
    )


def _means(values: Array) -> Array:
    """Return the mean of the finite values of each row; NaN without any."""
    present = np.isfinite(values)
    total = np.where(present, values, 0.0).sum(axis=1)
    count = present.sum(axis=1)
    mean: Array = np.full(len(values), np.nan)
    return np.divide(total, count, out=mean, where=count > 0)


def _held(values: Array) -> Array:
    """Return values, with missing ones interpolated linearly."""
    present = np.isfinite(values)
    if not present.any():
        return np.zeros_like(values)
    return np.interp(np.arange(len(values)), np.flatnonzero(present), values[present])
