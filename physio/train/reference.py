"""The best linear smoother that knows the generator: what can be reached at all."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import toeplitz
from scipy.signal import lfilter

from physio import config
from physio.core.block import Array
from physio.models.gaussian import DIMENSIONS
from physio.models.rest import prepared
from physio.train.affect import Affect
from physio.train.crowd import Crowd
from physio.train.people import row

_STEP: Final = 4.0  # s between moments
_START: Final = 40.0  # s, when most windows are full
_JUDGED: Final = 120.0  # s, from when on it is judged
_LAGS: Final = (0.5, 4.0, 8.0, 16.0, 30.0, 60.0, 100.0)  # s
_PLACES: Final = (("Fp1", "Fp2"), ("C3", "C4"), ("P7", "P8", "O1", "O2"))
_BANDS: Final = ("theta", "alpha", "beta", "gamma")


class Known(NamedTuple):
    """What is known of the generator, by people whose truth is known.

    ``mixing``: features to channels whose noises go their own ways; ``lag`` (s) of each
    channel; ``effects``, mean (k, 3) and covariance over people (k, 3, 3); ``noise``,
    autocovariance of each channel, (k, t); ``mean`` and ``cov`` of what is felt;
    ``tau`` (s), how fast that wanders.
    """

    level: Array
    mixing: Array
    lag: Array
    effects: Array
    spread: Array
    noise: Array
    mean: Array
    cov: Array
    tau: float


@dataclass(frozen=True)
class Reference:
    """What a smoother reaches that knows the generator but not the person.

    It sees the features themselves, of all devices, from before the rest on; knows how
    affect wanders (a smooth process), with what lag each feature follows it, how
    effects differ among people, mean and covariance, and how each feature's noise is
    correlated in time. Of all linear ways it is the best there is: Bayes by first and
    second moments. ``causal`` uses the past alone, as anything live must; ``whole`` the
    future as well.

    Notes
    -----
    What it knows comes from training people whose truth is known, not from the
    generator's code. Learning a person's own effects without labels (a variational
    posterior over them) was tried: it grows too sure and does worse.

    Parameters
    ----------
    affect
        The training run whose people these are.
    seed
        Of the bootstrap.
    """

    affect: Affect
    seed: int = 23

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:  # noqa: ARG002
        """Judge; nothing is stored."""
        began = time.monotonic()
        a = self.affect
        crowd = Crowd(a.devices, a.chains, a.seconds, 0.0, root)
        taught = [self._seen(crowd, a.first + i) for i in range(a.people)]
        known = know([x for x, _ in taught], [f for _, f in taught])
        tested = range(a.first_tested, a.first_tested + a.tested)
        people = {s: self._seen(crowd, s) for s in tested}
        n = len(next(iter(people.values()))[0])
        first = int((_JUDGED - _START) / _STEP) + 1
        at = np.arange(first, n, 2)
        gains = [gain(known, int(k) + 1)[[k, 2 * k + 1, 3 * k + 2]] for k in at]
        whole = gain(known, n)
        rows, each = [], {}
        told: dict[str, dict[str, tuple[Array, Array]]] = {"causal": {}, "whole": {}}
        for s, (x, f) in people.items():
            z = (np.where(np.isnan(x), known.level, x) - known.level) @ known.mixing.T
            y = f[int(4 * _START) :: int(4 * _STEP)][:n]
            past = [g @ z[: k + 1].T.ravel() for k, g in zip(at, gains, strict=True)]
            causal = np.array(past) + known.mean
            full = (whole @ z.T.ravel()).reshape(3, n).T[at] + known.mean
            told["causal"][str(s)] = causal, y[at]
            told["whole"][str(s)] = full, y[at]
        for name, said in told.items():
            errors = {
                s: [((m - y) ** 2).mean(0), ((known.mean - y) ** 2).mean(0)]
                for s, (m, y) in said.items()
            }
            each[name] = {s: np.round(e, 5).tolist() for s, e in errors.items()}
            for d, dimension in enumerate(DIMENSIONS):
                corr = {s: _correlation(m[:, d], y[:, d]) for s, (m, y) in said.items()}
                one = row(name, f"{dimension} correlation", corr, self.seed)
                total = np.sum([[e[0][d], e[1][d]] for e in errors.values()], axis=0)
                rows.append({k: v for k, v in one.items() if k != "per_person"})
                skill = round(float(1 - total[0] / total[1]), 4)
                rows.append(
                    {"model": name, "metric": f"{dimension} skill", "mean": skill}
                )
        return {
            "dataset": "simulated people, effects as published",
            "protocol": f"{a.tested} people never seen, from {_JUDGED:g} s on",
            "rows": rows,
            "errors_each": each,
            "tau": known.tau,
            "config": config.describe(self),
            "versions": {k: version(k) for k in ("numpy", "scipy")},
            "seconds": round(time.monotonic() - began, 1),
            "table": "\n".join(
                f"{r['model']:8}  {r['metric']:24}  {r['mean']:.4f}" for r in rows
            ),
        }

    def _seen(self, crowd: Crowd, seed: int) -> tuple[Array, Array]:
        """Return a person's features, EEG by place, and what was felt at 4 Hz."""
        person = crowd.person(seed)
        how = dict(self.affect.joint)
        x = {n: person.x[:, i] for i, n in enumerate(person.names)}
        parts = []
        for band in _BANDS:
            front = f"eeg.de.{band}."
            parts += [np.mean([x[front + e] for e in p], axis=0) for p in _PLACES]
        right, left = ("Fp2", "C4", "P8", "O2"), ("Fp1", "C3", "P7", "O1")
        sides = [
            np.mean([x[f"eeg.de.alpha.{e}"] for e in s], axis=0) for s in (right, left)
        ]
        parts.append(sides[0] - sides[1])
        others = [n for n in how if not n.startswith("eeg.") and n != "skin.amplitude"]
        rest = prepared(
            np.column_stack([x[n] for n in others]), [how[n] for n in others]
        )
        every = np.column_stack([*parts, rest])
        return every[int(4 * _START) :: int(4 * _STEP)], person.felt


def know(rows: Sequence[Array], felt: Sequence[Array]) -> Known:
    """Return what people whose truth is known tell of the generator."""
    n, k = rows[0].shape
    level = np.nanmean(np.concatenate(rows), axis=0)
    x = np.stack([np.where(np.isnan(r), level, r) - level for r in rows])
    picked = slice(int(4 * _START), None, int(4 * _STEP))
    y = np.stack([f[picked][:n] for f in felt])
    mean = y.mean(axis=(0, 1))
    followed = {
        lag: np.stack([_follow(f, lag)[picked][:n] for f in felt]) - mean
        for lag in _LAGS
    }
    _, left = _regress(x, followed, _lags(x, followed))
    mixing = np.eye(k)
    within = left - left.mean(axis=1, keepdims=True)
    for group in (range(13), range(13, k)):
        at = list(group)
        cov = np.cov(within[:, :, at].reshape(-1, len(at)).T)
        scale = np.sqrt(np.diag(cov))
        _, turned = np.linalg.eigh(cov / np.outer(scale, scale))
        mixing[np.ix_(at, at)] = turned.T / scale
    x = x @ mixing.T
    lag = _lags(x, followed)
    effects, left = _regress(x, followed, lag)
    noise = np.stack([_autocovariance(left[:, :, j]) for j in range(k)])
    mu, spread = np.empty((k, 3)), np.empty((k, 3, 3))
    for j in range(k):
        mu[j], spread[j] = _among(x[:, :, j], followed[lag[j]], noise[j])
    del effects
    cov = np.cov((y - mean).reshape(-1, 3).T)
    corr = np.mean([_autocovariance(y[:, :, d] - mean[d]) for d in range(3)], axis=0)
    corr, t = corr / corr[0], np.arange(n) * _STEP
    taus = np.arange(10.0, 91.0)
    off = [np.sum((corr - (1 + t / a) * np.exp(-t / a))[:40] ** 2) for a in taus]
    return Known(
        level,
        mixing,
        lag,
        mu,
        spread,
        noise,
        mean,
        cov,
        float(taus[int(np.argmin(off))]),
    )


def gain(known: Known, n: int) -> Array:
    """Return the weights of the first ``n`` moments of all channels, (3 n, k n).

    The posterior mean of what is felt at each of these moments, by first and second
    moments: a person's own effects are noise whose size goes with affect.
    """
    t = np.arange(n) * _STEP
    prior = toeplitz((1 + t / known.tau) * np.exp(-t / known.tau)) + 1e-4 * np.eye(n)
    inverse = np.kron(np.linalg.inv(known.cov), np.linalg.inv(prior))
    parts = []
    for lag, mu, spread, noise in zip(
        known.lag, known.effects, known.spread, known.noise, strict=True
    ):
        follow = _matrix(lag, n)
        cov = _definite(toeplitz(noise[:n]))
        cov += np.sum(spread * known.cov) * (follow @ prior @ follow.T)
        own = follow.T @ np.linalg.inv(cov)
        inverse += np.kron(np.outer(mu, mu), own @ follow)
        parts.append(np.kron(mu[:, None], own))
    return np.asarray(np.linalg.solve(inverse, np.hstack(parts)))


def _follow(x: Array, lag: float) -> Array:
    """Return what follows within ``lag`` s, at 4 Hz; at rest to begin with."""
    a = 1 - np.exp(-0.25 / lag)
    return np.asarray(lfilter([a], [1, a - 1], x, axis=0, zi=(1 - a) * x[:1])[0])


def _matrix(lag: float, n: int) -> Array:
    """Return the same as a matrix on moments, (n, n)."""
    a = 1 - np.exp(-_STEP / lag)
    back = np.subtract.outer(np.arange(n), np.arange(n))
    found = np.where(back >= 0, a * (1 - a) ** np.maximum(back, 0), 0.0)
    found[:, 0] += 1 - found.sum(axis=1)
    return np.asarray(found)


def _lags(x: Array, followed: dict[float, Array]) -> npt.NDArray[np.float64]:
    """Return for each channel the lag with which it goes with arousal most closely."""
    found = []
    for j in range(x.shape[2]):
        z = x[:, :, j] - x[:, :, j].mean(axis=1, keepdims=True)
        size = np.maximum((z**2).sum(axis=1), 1e-12)
        fits = []
        for f in followed.values():
            a = f[:, :, 1] - f[:, :, 1].mean(axis=1, keepdims=True)
            fits.append(
                np.mean((z * a).sum(1) ** 2 / size / np.maximum((a**2).sum(1), 1e-12))
            )
        found.append(list(followed)[int(np.argmax(fits))])
    return np.array(found)


def _regress(
    x: Array, followed: dict[float, Array], lag: npt.NDArray[np.float64]
) -> tuple[Array, Array]:
    """Return each person's own effects, (people, k, 3), and what they leave."""
    people, n, k = x.shape
    effects, left = np.empty((people, k, 3)), np.empty_like(x)
    for j in range(k):
        for i in range(people):
            design = np.column_stack([followed[lag[j]][i], np.ones(n)])
            own = np.linalg.lstsq(design, x[i, :, j], rcond=None)[0]
            effects[i, j] = own[:3]
            left[i, :, j] = x[i, :, j] - design[:, :3] @ own[:3]
    return effects, left


def _among(x: Array, felt: Array, noise: Array) -> tuple[Array, Array]:
    """Return mean and covariance of effects among people, chance taken off."""
    inner = np.linalg.inv(_definite(toeplitz(noise)))
    chance = np.linalg.inv(np.einsum("pta,ts,psb->pab", felt, inner, felt))
    own = np.einsum("pab,ptb,ts,ps->pa", chance, felt, inner, x, optimize=True)
    spread = np.cov(own.T) - chance.mean(axis=0)
    values, vectors = np.linalg.eigh(spread)
    least = 1e-6 * np.trace(chance.mean(axis=0))
    spread = (vectors * np.maximum(values, least)) @ vectors.T
    worth = np.linalg.inv(spread + chance)
    mean = np.linalg.solve(worth.sum(axis=0), np.einsum("pab,pb->a", worth, own))
    return mean, spread


def _autocovariance(rows: Array) -> Array:
    n = rows.shape[1]
    return np.array([np.mean(rows[:, : n - k] * rows[:, k:]) for k in range(n)])


def _definite(cov: Array) -> Array:
    values, vectors = np.linalg.eigh(cov)
    return np.asarray((vectors * np.maximum(values, 1e-5 * cov[0, 0])) @ vectors.T)


def _correlation(a: Array, b: Array) -> float:
    return float(np.corrcoef(a, b)[0, 1])
