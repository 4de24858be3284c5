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

Said = tuple[Array, Array, Array]
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
    models: dict[str, list[Said]] = {}
    sets: dict[str, dict[str, list[Said]]] = {}
    fixed = np.stack([nearest(e) for e in errors])
    for off in subsets():
        chains = tuple(c for device in off for c in DEVICES[device])
        here = " + ".join(d for d in DEVICES if d not in off)
        own: dict[str, list[Said]] = {}
        some = participants[: affect.fewer] if off else participants
        for participant in some:
            block = crowd.block(participant, affect.every, without=chains)
            told = StageRunner(experts, block.info).push(block)
            for name in names:
                own.setdefault(name, []).append(_column(told, f"{name}."))
            own.setdefault("fused", []).append(_column(told, ""))
            for name, stage in wholes.items():
                told = StageRunner(stage, block.info).push(block)
                own.setdefault(name, []).append(_column(told, ""))
        sets[here] = own
        if not off:
            models = {**own, **_rivals(own, names, prior, fixed)}
    felt = {p.seed: p.felt[:: round(affect.every * 4)] for p in participants}
    later = int(LATER / affect.every) + 1
    found: list[dict[str, Any]] = []
    for name, said in models.items():
        found += _rows(name, said, participants, felt, prior, later, affect)
    return {
        "rows": found,
        "subsets": {
            here: _table(
                own, participants[: len(own["joint"])], felt, prior, later, affect.seed
            )
            for here, own in sets.items()
        },
        "less the others": _less(
            models, participants, felt, prior[0], later, affect.seed
        ),
        "table": _printed(found),
    }


def _less(
    models: Mapping[str, Sequence[Said]],
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
                for (m, *_), p in zip(said, participants, strict=True)
            ]
        )
        for name, said in models.items()
    }
    others = [n for n in errors if n.startswith("fused without")]
    pairs = [("fused by errors", n) for n in others]
    pairs += [("joint", "fused by errors"), ("tracker", "joint")]
    rng = np.random.default_rng(seed)
    picked = rng.integers(len(participants), size=(2000, len(participants)))
    found = {}
    for a, b in pairs:
        gain, base = errors[b][:, 0] - errors[a][:, 0], errors[a][:, 1]
        drawn = gain[picked].sum(axis=1) / base[picked].sum(axis=1)
        ends = np.percentile(drawn, [2.5, 97.5], axis=0)
        rows = np.vstack([gain.sum(axis=0) / base.sum(axis=0), ends])
        found[f"{a} less {b}"] = dict(
            zip(("mean", "low", "high"), np.round(rows, 4).tolist(), strict=True)
        )
    return found


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


def _column(told: Block, front: str) -> Said:
    mean, sd = (
        np.stack([told.column(f"{front}{d}{end}") for d in DIMENSIONS], axis=1)
        for end in ("", ".sd")
    )
    if front:
        return mean, sd, sd[..., None] * GAUSSIAN
    half = np.stack([told.column(name) for name in HALVES], axis=1)
    return mean, sd, half.reshape(*mean.shape, len(LEVELS))


def _rivals(
    own: Mapping[str, Sequence[Said]], names: Sequence[str], prior: Any, fixed: Array
) -> dict[str, list[Said]]:
    """Return what other ways of fusing the same experts say."""
    k = len(names)
    zero = np.tile(prior[0], (k, 1)), np.tile(prior[1], (k, 1))
    ways: dict[str, Any] = {
        "fused by errors": fixed,
        "fused as independent": np.tile(np.eye(k), (3, 1, 1)),
        "covariance intersection": None,
    }
    for j, name in enumerate(names):  # what each expert is worth among the others
        kept = [i for i in range(k) if i != j]
        ways[f"fused without {name}"] = fixed[:, kept][:, :, kept], kept
    found: dict[str, list[Said]] = {}
    for i in range(len(own[names[0]])):
        mean = np.stack([own[n][i][0] for n in names], axis=1)
        sd = np.stack([own[n][i][1] for n in names], axis=1)
        for way, errors in ways.items():
            some, kept = errors if isinstance(errors, tuple) else (errors, range(k))
            at = list(kept)
            made = [
                fuse(m[at], s[at], zero[0][at], zero[1][at], some)
                for m, s in zip(mean, sd, strict=True)
            ]
            wide = np.array([x.sd for x in made])
            one = np.array([x.mean for x in made]), wide, wide[..., None] * GAUSSIAN
            found.setdefault(way, []).append(one)
    return found


def _rows(
    name: str,
    said: Sequence[Said],
    participants: Sequence[SimulatedParticipant],
    felt: Mapping[int, Array],
    prior: Any,
    later: int,
    affect: Any,
) -> list[dict[str, Any]]:
    """Return a model's rows: skill, correlation, and coverage of felt and rated."""
    found = []
    errors = np.array(
        [
            skill(m[later:], felt[p.seed][later:], prior[0])
            for (m, *_), p in zip(said, participants, strict=True)
        ]
    )
    for d, dimension in enumerate(DIMENSIONS):
        told = ratio(errors[:, :, d], affect.seed)
        found.append({"model": name, "metric": f"{dimension} skill", **told})
        corr, held = {}, {level: {} for level in LEVELS}  # type: ignore[var-annotated]
        for (mean, _, half), p in zip(said, participants, strict=True):
            y, m = (v[later:, d] for v in (felt[p.seed], mean))
            rng = np.random.default_rng((affect.seed, p.seed, 1))
            rated = np.clip(y + rng.normal(0, affect.rater, y.shape), -1, 1)
            rated = np.round(rated * 4) / 4
            corr[str(p.seed)] = _correlation(m, y)
            for k, level in enumerate(LEVELS):
                inside = np.abs(rated - m) <= half[later:, d, k]
                here = np.isfinite(m)
                held[level][str(p.seed)] = (
                    float(inside[here].mean()) if here.any() else np.nan
                )
        found.append(
            _short(summary(name, f"{dimension} correlation", corr, affect.seed))
        )
        for level in LEVELS:
            metric = f"{dimension} coverage of {level:.0%}"
            found.append(_short(summary(name, metric, held[level], affect.seed)))
    return found


def _short(one: dict[str, Any]) -> dict[str, Any]:
    """Return a row without its 300 participants."""
    return {k: v for k, v in one.items() if k != "per_participant"}


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
    own: Mapping[str, Sequence[Said]],
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
                for (m, *_), p in zip(said, participants, strict=True)
            ]
        )
        for name, said in own.items()
    }
    found: dict[str, Any] = {
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
        found[f"{name} less the best single"] = beside
    return found


def _correlation(a: Array, b: Array) -> float:
    here = np.isfinite(a)
    if here.sum() < 3 or np.std(a[here]) < 1e-9 or np.std(b[here]) < 1e-9:
        return float("nan")
    return float(np.corrcoef(a[here], b[here])[0, 1])


def _printed(found: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(
        f"{r['model']:24}  {r['metric']:28}  {r['mean']:7.4f}  "
        f"({r['low']:.4f} to {r['high']:.4f})"
        for r in found
    )
