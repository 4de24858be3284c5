"""Skill of estimates in held-out simulated participants, against true affect."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.stats import norm

from experiments.simulated.cohort import SimulatedCohort, SimulatedParticipant
from physio.core.affect import DIMENSIONS, LEVELS
from physio.core.block import Array, Block
from physio.core.stage import Stage, StageRunner
from physio.evaluation.statistics import summary
from physio.inference.estimator import Estimator
from physio.inference.expert import Expert
from physio.models.fusion import fuse, nearest
from physio.models.model_card import load

LATER: Final = 120.0
"""From when on participants are judged (s)."""

DEVICES: Final[Mapping[str, tuple[str, ...]]] = {
    "headset": ("eeg",),
    "wristband": ("eda", "heart", "motion", "temperature"),
    "chest": ("heart2", "resp"),
}
"""The chains that read each device."""

HALVES: Final = tuple(
    f"{d}.ci{round(100 * level)}" for d in DIMENSIONS for level in LEVELS
)
GAUSSIAN: Final = norm.ppf(0.5 + np.array(LEVELS) / 2)

Outputs = tuple[Array, Array, Array]
"""Mean and sd of each moment, (n, 3) each, and halves of intervals, (n, 3, levels)."""


def judge(
    affect: Any,
    crowd: SimulatedCohort,
    out: Path,
    names: Sequence[str],
    errors: Array,
) -> dict[str, Any]:
    """Return rows of results, and the table over all sets of devices.

    Parameters
    ----------
    affect
        The training run: see `experiments.weights.published.TrainPublishedExperts`.
    crowd
        Where participants come from.
    out
        Where the weights are.
    names
        Of the experts that are fused.
    errors
        How their errors go together, (3, k, k).
    """
    seeds = range(affect.first_tested, affect.first_tested + affect.tested)
    participants = [crowd.participant(s) for s in seeds]
    prior = tuple(
        load(str(out / names[0])).arrays[f"prior.{k}"] for k in ("mean", "sd")
    )
    experts = estimator(names, out)
    wholes = {
        "joint": estimator(["published-all"], out),
        "tracker": estimator(["published-track"], out),
    }
    models: dict[str, list[Outputs]] = {}
    sets: dict[str, dict[str, list[Outputs]]] = {}
    fixed = np.stack([nearest(e) for e in errors])
    for off in subsets():
        chains = tuple(c for device in off for c in DEVICES[device])
        worn = " + ".join(d for d in DEVICES if d not in off)
        by_model: dict[str, list[Outputs]] = {}
        some = participants[: affect.fewer] if off else participants
        for participant in some:
            block = crowd.block(participant, affect.every, without=chains)
            estimates = StageRunner(experts, block.info).push(block)
            for name in names:
                by_model.setdefault(name, []).append(_column(estimates, f"{name}."))
            by_model.setdefault("fused", []).append(_column(estimates, ""))
            for name, stage in wholes.items():
                estimates = StageRunner(stage, block.info).push(block)
                by_model.setdefault(name, []).append(_column(estimates, ""))
        sets[worn] = by_model
        if not off:
            models = {**by_model, **_rivals(by_model, names, prior, fixed)}
    felt = {p.seed: p.felt[:: round(affect.every * 4)] for p in participants}
    later = int(LATER / affect.every) + 1
    rows: list[dict[str, Any]] = []
    for name, outputs in models.items():
        rows += _rows(name, outputs, participants, felt, prior, later, affect)
    return {
        "rows": rows,
        "subsets": {
            worn: _table(
                by_model,
                participants[: len(by_model["joint"])],
                felt,
                prior,
                later,
                affect.seed,
            )
            for worn, by_model in sets.items()
        },
        "less the others": _less(
            models, participants, felt, prior[0], later, affect.seed
        ),
        "table": _printed(rows),
    }


def _less(
    models: Mapping[str, Sequence[Outputs]],
    participants: Sequence[SimulatedParticipant],
    felt: Mapping[int, Array],
    prior: Array,
    later: int,
    seed: int,
) -> dict[str, Any]:
    """Return by how much skill some are above others, with paired intervals."""
    errors = {
        name: np.array(
            [
                skill(m[later:], felt[p.seed][later:], prior)
                for (m, *_), p in zip(outputs, participants, strict=True)
            ]
        )
        for name, outputs in models.items()
    }
    others = [n for n in errors if n.startswith("fused without")]
    pairs = [("fused by errors", n) for n in others]
    pairs += [("joint", "fused by errors"), ("tracker", "joint")]
    rng = np.random.default_rng(seed)
    picked = rng.integers(len(participants), size=(2000, len(participants)))
    gains = {}
    for a, b in pairs:
        gain, base = errors[b][:, 0] - errors[a][:, 0], errors[a][:, 1]
        drawn = gain[picked].sum(axis=1) / base[picked].sum(axis=1)
        ends = np.percentile(drawn, [2.5, 97.5], axis=0)
        rows = np.vstack([gain.sum(axis=0) / base.sum(axis=0), ends])
        gains[f"{a} less {b}"] = dict(
            zip(("mean", "low", "high"), np.round(rows, 4).tolist(), strict=True)
        )
    return gains


def skill(mean: Array, felt: Array, prior: Array) -> tuple[Array, Array]:
    """Return summed squared errors of estimates, and of the prior's mean, (3,) each.

    Where nothing is estimated the prior's mean stands.
    """
    full = np.where(np.isfinite(mean), mean, prior)
    return ((full - felt) ** 2).sum(axis=0), ((prior - felt) ** 2).sum(axis=0)


def subsets() -> list[tuple[str, ...]]:
    """Return which devices are off, for every set that leaves one on; none first."""
    names = list(DEVICES)
    return [c for n in range(len(names)) for c in combinations(names, n)]


def estimator(names: Sequence[str], out: Path | None = None) -> Stage:
    """Return an estimator of some weights, shipped or in a folder."""
    experts = (Expert(str(out / name) if out else name) for name in names)
    return Estimator(tuple(experts))


def _column(block: Block, front: str) -> Outputs:
    mean, sd = (
        np.stack([block.column(f"{front}{d}{end}") for d in DIMENSIONS], axis=1)
        for end in ("", ".sd")
    )
    if front:
        return mean, sd, sd[..., None] * GAUSSIAN
    half = np.stack([block.column(name) for name in HALVES], axis=1)
    return mean, sd, half.reshape(*mean.shape, len(LEVELS))


def _rivals(
    outputs: Mapping[str, Sequence[Outputs]],
    names: Sequence[str],
    prior: Any,
    fixed: Array,
) -> dict[str, list[Outputs]]:
    """Return what other ways of fusing the same experts say."""
    k = len(names)
    zero = np.tile(prior[0], (k, 1)), np.tile(prior[1], (k, 1))
    ways: dict[str, Any] = {
        "fused by errors": fixed,
        "fused as independent": np.tile(np.eye(k), (3, 1, 1)),
        "covariance intersection": None,
    }
    for j, name in enumerate(names):  # what each expert is worth among the others
        selected = [i for i in range(k) if i != j]
        ways[f"fused without {name}"] = fixed[:, selected][:, :, selected], selected
    fused: dict[str, list[Outputs]] = {}
    for i in range(len(outputs[names[0]])):
        mean = np.stack([outputs[n][i][0] for n in names], axis=1)
        sd = np.stack([outputs[n][i][1] for n in names], axis=1)
        for way, errors in ways.items():
            some, selected = errors if isinstance(errors, tuple) else (errors, range(k))
            at = list(selected)
            results = [
                fuse(m[at], s[at], zero[0][at], zero[1][at], some)
                for m, s in zip(mean, sd, strict=True)
            ]
            wide = np.array([x.sd for x in results])
            output = (
                np.array([x.mean for x in results]),
                wide,
                wide[..., None] * GAUSSIAN,
            )
            fused.setdefault(way, []).append(output)
    return fused


def _rows(
    name: str,
    outputs: Sequence[Outputs],
    participants: Sequence[SimulatedParticipant],
    felt: Mapping[int, Array],
    prior: Any,
    later: int,
    affect: Any,
) -> list[dict[str, Any]]:
    """Return a model's rows: skill, correlation, and coverage of felt and rated."""
    rows = []
    errors = np.array(
        [
            skill(m[later:], felt[p.seed][later:], prior[0])
            for (m, *_), p in zip(outputs, participants, strict=True)
        ]
    )
    for d, dimension in enumerate(DIMENSIONS):
        figure = ratio(errors[:, :, d], affect.seed)
        rows.append({"model": name, "metric": f"{dimension} skill", **figure})
        corr, held = {}, {level: {} for level in LEVELS}  # type: ignore[var-annotated]
        for (mean, _, half), p in zip(outputs, participants, strict=True):
            y, m = (v[later:, d] for v in (felt[p.seed], mean))
            rng = np.random.default_rng((affect.seed, p.seed, 1))
            rated = np.clip(y + rng.normal(0, affect.rater, y.shape), -1, 1)
            rated = np.round(rated * 4) / 4
            corr[str(p.seed)] = _correlation(m, y)
            for k, level in enumerate(LEVELS):
                inside = np.abs(rated - m) <= half[later:, d, k]
                known = np.isfinite(m)
                held[level][str(p.seed)] = (
                    float(inside[known].mean()) if known.any() else np.nan
                )
        rows.append(
            _short(summary(name, f"{dimension} correlation", corr, affect.seed))
        )
        for level in LEVELS:
            metric = f"{dimension} coverage of {level:.0%}"
            rows.append(_short(summary(name, metric, held[level], affect.seed)))
    return rows


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without its 300 participants."""
    return {k: v for k, v in row.items() if k != "per_participant"}


def ratio(errors: Array, seed: int) -> dict[str, float]:
    """Return 1 less the ratio of summed errors, and its interval over participants."""
    rng = np.random.default_rng(seed)
    picked = rng.integers(len(errors), size=(2000, len(errors)))
    drawn = errors[picked].sum(axis=1)
    low, high = np.percentile(1 - drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    total = errors.sum(axis=0)
    return {
        "mean": round(float(1 - total[0] / total[1]), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def _table(
    by_model: Mapping[str, Sequence[Outputs]],
    participants: Sequence[SimulatedParticipant],
    felt: Mapping[int, Array],
    prior: Any,
    later: int,
    seed: int,
) -> dict[str, Any]:
    """Return each model's skill with a set of devices, and beside the best expert's."""
    sums = {
        name: np.array(
            [
                skill(m[later:], felt[p.seed][later:], prior[0])
                for (m, *_), p in zip(outputs, participants, strict=True)
            ]
        )
        for name, outputs in by_model.items()
    }
    skills: dict[str, Any] = {
        name: [ratio(s[:, :, d], seed) for d in range(3)] for name, s in sums.items()
    }
    together = ("fused", "joint", "tracker")
    singles = [n for n in sums if n not in together]
    rng = np.random.default_rng(seed)
    picked = rng.integers(len(participants), size=(2000, len(participants)))
    for name in together:
        beside = []
        for d in range(3):
            best = min(singles, key=lambda n, d=d: sums[n][:, 0, d].sum())  # type: ignore[misc]
            gain = sums[best][:, 0, d] - sums[name][:, 0, d]
            base = sums[name][:, 1, d]
            drawn = gain[picked].sum(axis=1) / base[picked].sum(axis=1)
            low, high = np.percentile(drawn, [2.5, 97.5])
            beside.append(
                {
                    "best": best,
                    "gain": round(float(gain.sum() / base.sum()), 4),
                    "low": round(float(low), 4),
                    "high": round(float(high), 4),
                }
            )
        skills[f"{name} less the best single"] = beside
    return skills


def _correlation(a: Array, b: Array) -> float:
    known = np.isfinite(a)
    if known.sum() < 3 or np.std(a[known]) < 1e-9 or np.std(b[known]) < 1e-9:
        return float("nan")
    return float(np.corrcoef(a[known], b[known])[0, 1])


def _printed(rows: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(
        f"{r['model']:24}  {r['metric']:28}  {r['mean']:7.4f}  "
        f"({r['low']:.4f} to {r['high']:.4f})"
        for r in rows
    )
