"""Upper bounds of skill: the best linear smoother, and a participant-specific one."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.linalg import solve_triangular, toeplitz

from experiments.simulated.cohort import SimulatedCohort
from experiments.simulated.device_subsets import LATER
from experiments.weights.dynamics import START, STEP, PersonTraces, gather, know
from experiments.weights.published import TrainPublishedExperts
from experiments.weights.rating_error import skill
from physio import config
from physio.core.affect import DIMENSIONS
from physio.core.block import Array
from physio.evaluation.statistics import summary
from physio.models.gp_smoother import (
    DynamicsParameters,
    GaussianSmoother,
    GaussianSmootherConfig,
    definite,
    followed,
    gathered,
    wandering,
)

_ROUNDS: Final = 150  # sampler iterations; the first third is burn-in
_ENDS: Final = (200.0, 400.0, 596.0)  # s, times at which the sampler is run


@dataclass(frozen=True)
class OptimalSmoother:
    """Skill of smoothers that know the generator but not the participant.

    The smoothers read the features of all devices from `START` on. They know the
    dynamics of affect, the lag of each feature, the variance of effects over
    participants, and the autocorrelation of the noise. ``linear`` is the best linear
    estimator (Bayes by first and second moments) from past data alone, as in a live
    session; ``whole`` also uses future data. ``sampled`` is nonlinear: it draws the
    participant's own effects of arousal and their affect in turn (Gibbs sampling), from
    past data alone; ``linear then`` is the linear estimator at the same moments.
    ``tracker`` is the shipped smoother, at every moment.

    Notes
    -----
    The generator is not linear and Gaussian: effects are specific to the participant
    and multiply affect, which is bounded. The parameters are estimated from training
    participants with known affect, not taken from the generator's code. Sampling a
    participant's effects of valence and dominance was tried as well: persistent noise
    shared by several features is then mistaken for these effects, and the mean is worse
    than the prior's.

    Parameters
    ----------
    affect
        The training run that defines the participants.
    sampled
        Number of participants for the sampler.
    seed
        Seed of the bootstrap and the sampler.
    """

    affect: TrainPublishedExperts
    sampled: int = 30
    seed: int = 23

    def train(self, root: Path | None, out: Path) -> dict[str, Any]:  # noqa: ARG002
        """Evaluate; nothing is stored."""
        began = time.monotonic()
        a = self.affect
        crowd = SimulatedCohort(a.devices, a.chains, a.seconds, 0.0, root)
        names = [name for name, _ in a.joint]
        first = round(START / STEP)
        traces = {
            s: PersonTraces(a.past(p)[first:], p.felt)
            for s in (
                *range(a.first, a.first + a.participants),
                *range(a.first_tested, a.first_tested + a.tested),
            )
            for p in (crowd.participant(s),)
        }
        taught = [traces[a.first + i] for i in range(a.participants)]
        n = len(taught[0].x)
        knows = know(taught, names, n)
        tested = {
            s: traces[s] for s in range(a.first_tested, a.first_tested + a.tested)
        }
        by_smoother = _linear(knows, tested, n)
        by_smoother |= _tracked(taught, tested, names)
        some = dict(list(tested.items())[: self.sampled])
        by_smoother |= _sampled(knows, some, n, self.seed)
        rows: list[dict[str, Any]] = []
        for name, estimates in by_smoother.items():
            rows += _rows(name, estimates, knows.mean, self.seed)
        return {
            "dataset": "simulated participants, effects as published",
            "protocol": f"{a.tested} participants never seen, from {LATER:g} s on; the "
            f"sampler on {self.sampled} of them at {len(_ENDS)} moments",
            "rows": rows,
            "tau": float(knows.tau[0]),
            "config": config.describe(self),
            "versions": {k: version(k) for k in ("numpy", "scipy")},
            "seconds": round(time.monotonic() - began, 1),
            "table": "\n".join(
                f"{r['model']:12}  {r['metric']:24}  {r['mean']:7.4f}  "
                f"({r['low']:.4f} to {r['high']:.4f})"
                for r in rows
            ),
        }


Estimates = Mapping[str, tuple[Array, Array]]
"""Estimates and true affect of each participant at the same moments, (n, 3) each."""


def _rows(
    name: str, estimates: Estimates, mean: Array, seed: int
) -> list[dict[str, Any]]:
    """Return skill in each dimension, and the correlation within participants."""
    errors = np.array(
        [
            [((m - y) ** 2).sum(0), ((mean - y) ** 2).sum(0)]
            for m, y in estimates.values()
        ]
    )
    rows = []
    for d, dimension in enumerate(DIMENSIONS):
        figure = skill(errors[:, :, d], seed)
        rows.append({"model": name, "metric": f"{dimension} skill", **figure})
        if name in {"sampled", "linear then"}:  # few moments per participant
            whole = [
                np.concatenate(v)[:, d] for v in zip(*estimates.values(), strict=True)
            ]
            r = round(_correlation(*whole), 4)
            rows.append(
                {
                    "model": name,
                    "metric": f"{dimension} correlation over participants",
                    **dict.fromkeys(("mean", "low", "high"), r),
                }
            )
            continue
        corr = {s: _correlation(m[:, d], y[:, d]) for s, (m, y) in estimates.items()}
        row = summary(name, f"{dimension} correlation", corr, seed)
        rows.append({k: v for k, v in row.items() if k != "per_participant"})
    return rows


def _felt(participant: PersonTraces, n: int) -> Array:
    return participant.felt[int(4 * START) :: int(4 * STEP)][:n]


def _mixed(knows: DynamicsParameters, x: Array) -> Array:
    """Return mixtures of channels at moments, missing values as the mean, (n, k)."""
    return np.nan_to_num(gathered(x, knows.level, knows.gather)) @ knows.scale.T


def _linear(
    knows: DynamicsParameters, participants: Mapping[int, PersonTraces], n: int
) -> dict[str, Estimates]:
    """Return estimates of the best linear smoothers, causal and non-causal."""
    at = np.arange(round((LATER - START) / STEP), n, 2)
    gains = [gain(knows, int(k) + 1)[[k, 2 * k + 1, 3 * k + 2]] for k in at]
    full = gain(knows, n)
    causal, whole = {}, {}
    for s, participant in participants.items():
        z, y = _mixed(knows, participant.x), _felt(participant, n)[at]
        past = [g @ z[: k + 1].T.ravel() for k, g in zip(at, gains, strict=True)]
        causal[str(s)] = np.array(past) + knows.mean, y
        whole[str(s)] = (full @ z.T.ravel()).reshape(3, n).T[at] + knows.mean, y
    return {"linear": causal, "whole": whole}


def _tracked(
    taught: Sequence[PersonTraces],
    participants: Mapping[int, PersonTraces],
    names: Sequence[str],
) -> dict[str, Estimates]:
    """Return estimates of the shipped smoother with the same knowledge."""
    size = GaussianSmootherConfig(len(names), len(gather(names)), STEP)
    model = GaussianSmoother(size, know(taught, names, size.moments))
    by_participant = {}
    for s, participant in participants.items():
        n = len(participant.x)
        at = np.arange(round((LATER - START) / STEP), n, 2)
        estimated = np.array([model.history(participant.x[k::-1])[0] for k in at])
        by_participant[str(s)] = estimated, _felt(participant, n)[at]
    return {"tracker": by_participant}


def gain(known: DynamicsParameters, n: int) -> Array:
    """Return the weights of the first ``n`` moments of all channels, (3 n, k n).

    They give the posterior mean of affect at each of these moments, by first and second
    moments. Participant effects are treated as noise proportional to affect.
    """
    prior = wandering(float(known.tau[0]), n, STEP) + 1e-4 * np.eye(n)
    inverse = np.kron(np.linalg.inv(known.cov), np.linalg.inv(prior))
    parts = []
    for j, mu in enumerate(known.effects):
        after, weights = _channel(known, j, n, known.spread[j], prior)
        inverse += np.kron(np.outer(mu, mu), weights @ after)
        parts.append(np.kron(mu[:, None], weights))
    return np.asarray(np.linalg.solve(inverse, np.hstack(parts)))


def _channel(
    known: DynamicsParameters, j: int, n: int, spread: Array, prior: Array
) -> tuple[Array, Array]:
    """Return a channel's lag matrix, and its noise-weighted form, (n, n) each."""
    after = followed(float(known.lag[j]), n, STEP)
    cov = definite(toeplitz(known.noise[j][:n]))
    cov += np.sum(spread * known.cov) * (after @ prior @ after.T)
    return after, after.T @ np.linalg.inv(cov)


def _sampled(
    known: DynamicsParameters,
    participants: Mapping[int, PersonTraces],
    n: int,
    seed: int,
) -> dict[str, Estimates]:
    """Return estimates that sample each participant's own effect of arousal."""
    ends = [end for t in _ENDS if (end := round((t - START) / STEP) + 1) <= n]
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[Array]] = {str(s): [] for s in participants}
    plain: dict[str, list[Array]] = {str(s): [] for s in participants}
    for end in ends:
        sample = _sampler(known, end, rng)
        last = gain(known, end)[[end - 1, 2 * end - 1, 3 * end - 1]]
        for s, participant in participants.items():
            z = _mixed(known, participant.x)[:end]
            drawn[str(s)].append(sample(z) + known.mean)
            plain[str(s)].append(last @ z.T.ravel() + known.mean)
    felt = {str(s): _felt(p, n)[[e - 1 for e in ends]] for s, p in participants.items()}
    return {
        "sampled": {s: (np.array(m), felt[s]) for s, m in drawn.items()},
        "linear then": {s: (np.array(m), felt[s]) for s, m in plain.items()},
    }


def _sampler(
    known: DynamicsParameters, n: int, rng: np.random.Generator
) -> Callable[[Array], Array]:
    """Return a function that gives the mean affect at the last of ``n`` moments.

    It draws the participant's own effects of arousal given affect, and affect given
    these effects, in turn. Their effects of valence and dominance remain noise.
    """
    prior = wandering(float(known.tau[0]), n, STEP) + 1e-4 * np.eye(n)
    base = np.kron(np.linalg.inv(known.cov), np.linalg.inv(prior))
    others = known.spread.copy()
    others[:, 1, :] = others[:, :, 1] = 0.0
    pairs = [_channel(known, j, n, others[j], prior) for j in range(len(known.lag))]
    gains = np.stack([w for _, w in pairs])  # (k, n, n)
    both = np.stack([w @ f for f, w in pairs])
    sure = 1 / known.spread[:, 1, 1]

    def sample(z: Array) -> Array:
        weighted = np.einsum("jtu,uj->jt", gains, z)
        effects, total = known.effects.copy(), np.zeros(3)
        for k in range(_ROUNDS):
            joint = np.einsum("ja,jb,jtu->atbu", effects, effects, both, optimize=True)
            lower = np.linalg.cholesky(base + joint.reshape(3 * n, 3 * n))
            right = np.einsum("ja,jt->at", effects, weighted).ravel()
            half = solve_triangular(lower, right, lower=True, check_finite=False)
            chance = rng.standard_normal(3 * n)
            ends = solve_triangular(
                lower.T, np.column_stack([half, half + chance]), check_finite=False
            )
            if k >= _ROUNDS // 3:
                total += ends[:, 0].reshape(3, n)[:, -1]
            felt = ends[:, 1].reshape(3, n)
            near = both @ felt.T  # (k, n, 3)
            worth = sure + np.einsum("t,jt->j", felt[1], near[:, :, 1])
            rest = known.effects[:, [0, 2]]
            off = weighted @ felt[1] - np.einsum(
                "jta,t,ja->j", near[:, :, [0, 2]], felt[1], rest
            )
            mean = (sure * known.effects[:, 1] + off) / worth
            effects[:, 1] = mean + rng.standard_normal(len(mean)) / np.sqrt(worth)
        return total / (_ROUNDS - _ROUNDS // 3)

    return sample


def _correlation(a: Array, b: Array) -> float:
    return float(np.corrcoef(a, b)[0, 1])
