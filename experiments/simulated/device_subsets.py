"""Estimates of held-out simulated participants with subsets of devices, scored."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.stats import norm

from experiments.simulated.cohort import SimulatedParticipant
from experiments.weights import rating_error
from experiments.weights.rating_error import skill, skill_difference
from physio.core.affect import DIMENSIONS, LEVELS
from physio.core.block import Array, Block
from physio.core.stage import Stage
from physio.evaluation import metrics
from physio.evaluation.statistics import summary
from physio.inference.estimator import Estimator
from physio.inference.expert import Expert
from physio.models.fusion import fuse

LATER: Final = 120.0
"""Time from which on estimates are scored (s)."""

DEVICES: Final[Mapping[str, tuple[str, ...]]] = {
    "headset": ("eeg",),
    "wristband": ("eda", "prv", "motion", "temperature"),
    "chest": ("heart2", "resp"),
}
"""Chains that read each device."""

JOINT: Final = ("fused", "joint", "tracker")
"""Models that use the sensors of all experts."""

HALVES: Final = tuple(
    f"{d}.ci{round(100 * level)}" for d in DIMENSIONS for level in LEVELS
)
GAUSSIAN: Final = norm.ppf(0.5 + np.array(LEVELS) / 2)


class Outputs(NamedTuple):
    """Estimates at each moment: mean and sd, (n, 3), half-widths, (n, 3, levels)."""

    mean: Array
    sd: Array
    half_widths: Array


class TrueAffect(NamedTuple):
    """True and rated affect of a participant at each scored moment, (n, 3) each."""

    code: str
    affect: Array
    rated: Array


def true_affect(
    participant: SimulatedParticipant, every: float, rater: float, seed: int
) -> TrueAffect:
    """Return affect and noisy ratings at moments ``every`` seconds apart.

    Parameters
    ----------
    participant
        Simulated participant.
    every
        Time between moments (s); the first scored one is after `LATER`.
    rater
        Standard deviation of the rater's noise, on [-1, 1].
    seed
        Seed of the rater's noise.
    """
    affect = participant.felt[:: round(every * 4)][first_scored(every) :]
    rng = np.random.default_rng((seed, participant.seed, 1))
    noise = rng.normal(0, rater, len(affect))
    rated = np.clip(affect + noise[:, None], -1, 1)
    return TrueAffect(str(participant.seed), affect, np.round(rated * 4) / 4)


def first_scored(every: float) -> int:
    """Return the number of the first scored moment."""
    return int(LATER / every) + 1


def subsets() -> list[tuple[str, ...]]:
    """Return the sets of devices to turn off, none first; at least one stays on."""
    names = list(DEVICES)
    return [c for n in range(len(names)) for c in combinations(names, n)]


def estimator(names: Sequence[str], out: Path | None = None) -> Stage:
    """Return an estimator with some weights, shipped or in a folder."""
    experts = (Expert(str(out / name) if out else name) for name in names)
    return Estimator(tuple(experts))


def outputs(block: Block, expert: str, begin: int) -> Outputs:
    """Return the output of an expert, or of all fused (``""``), from a moment on."""
    prefix = f"{expert}." if expert else ""
    mean, sd = (
        np.stack([block.column(f"{prefix}{d}{end}") for d in DIMENSIONS], axis=1)
        for end in ("", ".sd")
    )
    half = sd[..., None] * GAUSSIAN
    if not expert:
        half = np.stack([block.column(name) for name in HALVES], axis=1)
        half = half.reshape(*mean.shape, len(LEVELS))
    return Outputs(mean[begin:], sd[begin:], half[begin:])


def alternative_fusions(
    experts: Sequence[Outputs],
    names: Sequence[str],
    prior: tuple[Array, Array],
    errors: Array,
) -> dict[str, Outputs]:
    """Return the outputs of other rules of fusing the same experts.

    Parameters
    ----------
    experts
        Outputs of each expert for a participant.
    names
        Names of the experts.
    prior
        Mean and standard deviation of the ratings in training.
    errors
        Correlations of the experts' errors, (3, k, k), positive definite.
    """
    k = len(experts)
    every = list(range(k))
    rules: dict[str, tuple[Array | None, list[int]]] = {
        "fused by errors": (errors, every),
        "fused as independent": (np.tile(np.eye(k), (3, 1, 1)), every),
        "covariance intersection": (None, every),
    }
    for j, name in enumerate(names):  # the contribution of each expert
        others = [i for i in every if i != j]
        rules[f"fused without {name}"] = errors[:, others][:, :, others], others
    mean = np.stack([e.mean for e in experts], axis=1)
    sd = np.stack([e.sd for e in experts], axis=1)
    fused = {}
    for rule, (correlations, at) in rules.items():
        levels, widths = (np.tile(v, (len(at), 1)) for v in prior)
        results = [
            fuse(m[at], s[at], levels, widths, correlations)
            for m, s in zip(mean, sd, strict=True)
        ]
        wide = np.array([r.sd for r in results])
        fused[rule] = Outputs(
            np.array([r.mean for r in results]), wide, wide[..., None] * GAUSSIAN
        )
    return fused


def squared_errors(
    models: Mapping[str, Sequence[Outputs]], truth: Sequence[TrueAffect], prior: Array
) -> dict[str, Array]:
    """Return the squared errors of models and prior, (participants, 2, 3) each."""
    return {
        name: np.array(
            [
                rating_error.squared_errors(o.mean, t.affect, prior)
                for o, t in zip(scored, truth, strict=True)
            ]
        )
        for name, scored in models.items()
    }


def result_rows(
    model: str,
    scored: Sequence[Outputs],
    truth: Sequence[TrueAffect],
    errors: Array,
    seed: int,
) -> list[dict[str, Any]]:
    """Return a model's skill, correlation with affect, and coverage of ratings.

    Figures of single participants are omitted: there are hundreds.
    """
    rows = []
    for d, dimension in enumerate(DIMENSIONS):
        figure = skill(errors[:, :, d], seed)
        rows.append({"model": model, "metric": f"{dimension} skill", **figure})
        per_metric: dict[str, dict[str, float]] = {}
        for o, t in zip(scored, truth, strict=True):
            per_metric.setdefault("correlation", {})[t.code] = rating_error.known(
                metrics.correlation, t.affect[:, d], o.mean[:, d]
            )
            for k, level in enumerate(LEVELS):
                per_metric.setdefault(f"coverage of {level:.0%}", {})[t.code] = (
                    metrics.interval_coverage(
                        t.rated[:, d], o.mean[:, d], o.half_widths[:, d, k]
                    )
                )
        for metric, values in per_metric.items():
            row = summary(model, f"{dimension} {metric}", values, seed)
            rows.append({k: v for k, v in row.items() if k != "per_participant"})
    return rows


def skill_differences(errors: Mapping[str, Array], seed: int) -> dict[str, Any]:
    """Return differences in skill between ways to combine sensors, by dimension."""
    others = [n for n in errors if n.startswith("fused without")]
    pairs = [("fused by errors", n) for n in others]
    pairs += [("joint", "fused by errors"), ("tracker", "joint")]
    differences = {}
    for a, b in pairs:
        figures = [
            skill_difference(errors[a][:, :, d], errors[b][:, :, d], seed)
            for d in range(3)
        ]
        rows = [list(row) for row in zip(*figures, strict=True)]
        differences[f"{a} less {b}"] = dict(
            zip(("mean", "low", "high"), rows, strict=True)
        )
    return differences


def subset_skills(errors: Mapping[str, Array], seed: int) -> dict[str, Any]:
    """Return the skill of each model with a subset of devices, by dimension.

    Models of all sensors are also compared with the best expert.
    """
    skills: dict[str, Any] = {
        name: [skill(e[:, :, d], seed) for d in range(3)] for name, e in errors.items()
    }
    experts = [n for n in errors if n not in JOINT]
    for name in JOINT:
        differences = []
        for d in range(3):
            totals = {n: errors[n][:, 0, d].sum() for n in experts}
            best = min(experts, key=totals.__getitem__)
            figures = skill_difference(
                errors[name][:, :, d], errors[best][:, :, d], seed
            )
            named = zip(("gain", "low", "high"), figures, strict=True)
            differences.append({"best": best, **dict(named)})
        skills[f"{name} less the best single"] = differences
    return skills


def printed(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows of results as text, a line each."""
    return "\n".join(
        f"{r['model']:24}  {r['metric']:28}  {r['mean']:7.4f}  "
        f"({r['low']:.4f} to {r['high']:.4f})"
        for r in rows
    )
