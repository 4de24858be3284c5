"""Lags, effects and noise of features, fitted on participants with known truth."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import toeplitz
from scipy.signal import lfilter

from physio.core.block import Array
from physio.models.gp_smoother import DynamicsParameters, definite, gathered

STEP: Final = 4.0
"""Time between moments (s)."""

START: Final = 60.0
"""Time from which most windows are full (s)."""

LAGS: Final = (0.5, 4.0, 8.0, 16.0, 30.0, 60.0, 100.0)
"""Candidate lags of features behind affect (s)."""

_PLACES: Final = (("Fp1", "Fp2"), ("C3", "C4"), ("P7", "P8", "O1", "O2"))
_RIGHT: Final = ("Fp2", "C4", "P8", "O2")
_LEFT: Final = ("Fp1", "C3", "P7", "O1")
_BANDS: Final = ("theta", "alpha", "beta", "gamma")
_RARE: Final = ("eda.scr_amplitude",)  # missing without SCRs
_RATER: Final = 0.2**2


class PersonTraces(NamedTuple):
    """A participant's prepared features, (n, features), and true affect, at 4 Hz."""

    x: Array
    felt: Array


def gather(columns: Sequence[str]) -> Array:
    """Return the weights of features in each channel, (channels, features).

    EEG channels are means over the electrodes of a region, for each band, and the alpha
    asymmetry, right less left. Each other feature is a channel of its own.
    """
    channels: list[dict[str, float]] = [
        {f"eeg.de.{band}.{e}": 1.0 for e in place}
        for band in _BANDS
        for place in _PLACES
    ]
    sides = {f"eeg.de.alpha.{e}": 1.0 for e in _RIGHT}
    channels.append(sides | {f"eeg.de.alpha.{e}": -1.0 for e in _LEFT})
    others = (n for n in columns if not n.startswith("eeg.") and n not in _RARE)
    channels += [{name: 1.0} for name in others]
    rows = np.array(
        [[weights.get(name, 0.0) for name in columns] for weights in channels]
    )
    return np.asarray(rows[rows.any(axis=1)])


def know(
    participants: Sequence[PersonTraces], columns: Sequence[str], moments: int
) -> DynamicsParameters:
    """Fit the dynamics on participants with known truth.

    Parameters
    ----------
    participants
        Training participants; moments `STEP` apart, from `START` on.
    columns
        The features.
    moments
        Number of lags of the noise autocovariance.

    Notes
    -----
    A missing value counts as the mean. Effects are shrunk to 0 according to their
    standard error (positive-part James-Stein estimator).
    """
    channels = gather(columns)
    n = len(participants[0].x)
    level = np.nanmean(np.concatenate([p.x for p in participants]), axis=0)
    x = np.nan_to_num(np.stack([gathered(p.x, level, channels) for p in participants]))
    picked = slice(int(4 * START), None, int(4 * STEP))
    y = np.stack([p.felt[picked][:n] for p in participants])
    mean = y.mean(axis=(0, 1))
    after = {
        lag: np.stack([follow(p.felt, lag)[picked][:n] for p in participants]) - mean
        for lag in LAGS
    }
    head = [i for i, c in enumerate(columns) if c.startswith("eeg.")]
    scale = _apart(
        _residual(x, after, _lags(x, after)), np.asarray(channels[:, head].any(axis=1))
    )
    x = x @ scale.T
    lag = _lags(x, after)
    residual = _residual(x, after, lag)
    noise = np.stack([_autocovariance(residual[:, :, j]) for j in range(x.shape[2])])
    effects, spread = np.empty((len(lag), 3)), np.empty((len(lag), 3, 3))
    for j, seconds in enumerate(lag.tolist()):
        effects[j], spread[j] = _among(x[:, :, j], after[seconds], noise[j])
    cov = np.cov((y - mean).reshape(-1, 3).T)
    if (short := moments - noise.shape[1]) > 0:  # no estimate of such long lags
        noise = np.pad(noise, ((0, 0), (0, short)), mode="edge")
    return DynamicsParameters(
        level, channels, scale, lag, effects, spread, noise[:, :moments], mean, cov,
        np.array([_wander(y - mean)]), np.ones(3), np.full(3, _RATER),
    )  # fmt: skip


def follow(x: Array, lag: float) -> Array:
    """Return a response that lags by ``lag`` s, at 4 Hz; it begins at rest."""
    a = 1 - np.exp(-0.25 / lag)
    return np.asarray(lfilter([a], [1, a - 1], x, axis=0, zi=(1 - a) * x[:1])[0])


def _lags(x: Array, after: dict[float, Array]) -> npt.NDArray[np.float64]:
    """Return the lag of each channel with the highest correlation with arousal."""
    lags = []
    for j in range(x.shape[2]):
        z = x[:, :, j] - x[:, :, j].mean(axis=1, keepdims=True)
        size = np.maximum((z**2).sum(axis=1), 1e-12)
        fits = []
        for f in after.values():
            a = f[:, :, 1] - f[:, :, 1].mean(axis=1, keepdims=True)
            fits.append(
                np.mean((z * a).sum(1) ** 2 / size / np.maximum((a**2).sum(1), 1e-12))
            )
        lags.append(list(after)[int(np.argmax(fits))])
    return np.array(lags)


def _residual(
    x: Array, after: dict[float, Array], lag: npt.NDArray[np.float64]
) -> Array:
    """Return each channel less the participant's own effects, shaped like ``x``."""
    residual = np.empty_like(x)
    for j, seconds in enumerate(lag.tolist()):
        f = after[seconds]
        off = f - f.mean(axis=1, keepdims=True)
        gram = np.einsum("pta,ptb->pab", off, off) + 1e-9 * np.eye(3)
        slope = np.linalg.solve(
            gram, np.einsum("pta,pt->pa", off, x[:, :, j])[..., None]
        )
        residual[:, :, j] = x[:, :, j] - (f @ slope)[..., 0]
    return residual


def _apart(residual: Array, head: npt.NDArray[np.bool_]) -> Array:
    """Return mixtures with uncorrelated noise, for EEG and other channels apart."""
    within = residual - residual.mean(axis=1, keepdims=True)
    scale = np.eye(residual.shape[2])
    for group in (np.flatnonzero(head), np.flatnonzero(~head)):
        if not len(group):
            continue
        cov = np.cov(within[:, :, group].reshape(-1, len(group)).T).reshape(
            len(group), len(group)
        )
        size = np.sqrt(np.diag(cov))
        _, turned = np.linalg.eigh(cov / np.outer(size, size))
        scale[np.ix_(group, group)] = turned.T / size
    return scale


def _among(x: Array, felt: Array, noise: Array) -> tuple[Array, Array]:
    """Return mean and covariance of effects over participants, less chance."""
    inner = np.linalg.inv(definite(toeplitz(noise)))
    chance = np.linalg.inv(
        np.einsum("pta,ts,psb->pab", felt, inner, felt, optimize=True)
    )
    estimates = np.einsum("pab,ptb,ts,ps->pa", chance, felt, inner, x, optimize=True)
    spread = np.cov(estimates.T) - chance.mean(axis=0)
    values, vectors = np.linalg.eigh(spread)
    least = 1e-6 * np.trace(chance.mean(axis=0))
    spread = (vectors * np.maximum(values, least)) @ vectors.T
    worth = np.linalg.inv(spread + chance)
    total = np.linalg.inv(worth.sum(axis=0))
    mean = total @ np.einsum("pab,pb->a", worth, estimates)
    sure = np.maximum(1 - np.diag(total) / np.maximum(mean**2, 1e-12), 0.0)
    return mean * sure, spread


def _autocovariance(rows: Array) -> Array:
    n = rows.shape[1]
    return np.array([np.mean(rows[:, : n - k] * rows[:, k:]) for k in range(n)])


def _wander(off: Array) -> float:
    """Return the time constant of affect (s), taken as a smooth process."""
    corr = np.mean([_autocovariance(off[:, :, d]) for d in range(3)], axis=0)
    corr, t = corr / corr[0], np.arange(len(corr)) * STEP
    taus = np.arange(10.0, 91.0)
    miss = [np.sum((corr - (1 + t / a) * np.exp(-t / a))[:40] ** 2) for a in taus]
    return float(taus[int(np.argmin(miss))])
