"""The comparison that judges an idea, fixed before its first run."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import numpy as np

from physio import config
from physio.core.block import Array
from physio.evaluation.evaluate import Evaluation
from physio.evaluation.figures import Figures
from physio.evaluation.statistics import bootstrap_ci, sign_flip_test

FILE: Final = "primary.toml"
JUDGEMENT: Final = "judgement"
"""Key of `judged` comparisons in the details of results."""

Role = Literal["real", "simulated"]
ROLES: Final[tuple[Role, ...]] = ("real", "simulated")
Scores = Mapping[int, Mapping[str, Mapping[str, float]]]
"""Scores by seed, model and participant; higher is better."""

_SEED: Final = 23
R = TypeVar("R", Evaluation, Figures)


@dataclass(frozen=True)
class Comparison:
    """A candidate and its rival.

    Parameters
    ----------
    dataset, metric
        Name of the data set with its held-out part, and of the score of a participant.
    candidate, rival
        Names of the models.
    margin
        Loss that is accepted: the interval of the difference plus it must lie above 0.
    """

    dataset: str
    metric: str
    candidate: str
    rival: str
    margin: float = 0.0


@dataclass(frozen=True)
class Primary:
    """The comparisons that judge an idea.

    Parameters
    ----------
    idea, source
        Name of the idea, and its publication.
    seeds
        Seeds of the models.
    real, simulated
        The comparison on real participants and on simulated truth; None where there
        is none.
    real_absent, simulated_absent
        Reason of an absent comparison.
    """

    idea: str
    source: str
    seeds: tuple[int, ...]
    real: Comparison | None = None
    simulated: Comparison | None = None
    real_absent: str = ""
    simulated_absent: str = ""

    def __post_init__(self) -> None:
        for role in ROLES:
            if (self.comparison(role) is None) != bool(self.absent(role)):
                raise ValueError(
                    f"{self.idea}: it needs either [{role}] or '{role}_absent', the "
                    "reason of its absence"
                )

    @classmethod
    def read(cls, path: Path) -> "Primary":
        """Read the file of an idea."""
        tables = dict(config.read(path))
        for role in ROLES:
            if role in tables:
                tables[role] = config.make(
                    Comparison, tables[role], f"{path.name}: {role}"
                )
        tables["seeds"] = tuple(tables.get("seeds", ()))
        return config.make(cls, tables, path.name)

    def comparison(self, role: Role) -> Comparison | None:
        """Return the comparison of a role."""
        return self.real if role == "real" else self.simulated

    def absent(self, role: Role) -> str:
        """Return why a role has no comparison; empty if it has one."""
        return self.real_absent if role == "real" else self.simulated_absent


def judged(comparison: Comparison, scores: Scores) -> dict[str, Any]:
    """Return the comparison of a candidate and its rival, participant by participant.

    Parameters
    ----------
    comparison
        The candidate and the rival.
    scores
        Scores; a participant without a finite score of both models in every seed does
        not count.

    Returns
    -------
    dict
        ``differences`` (participants, mean over seeds), ``mean``, ``low``, ``high``
        (95 % bootstrap over participants), ``by_seed`` (mean difference of each seed),
        ``better`` (number of participants), ``p`` (one-sided sign-flip test of the
        difference plus the margin against no gain).

    Raises
    ------
    ValueError
        If there is no score of the candidate or the rival, or no common participant.
    """
    by_seed = [_differences(comparison, models) for models in scores.values()]
    people = [p for p in by_seed[0] if all(p in d for d in by_seed)]
    if not people:
        raise ValueError(
            f"no participant has scores of {comparison.candidate!r} and "
            f"{comparison.rival!r} in every seed"
        )
    off = np.array([[d[p] for p in people] for d in by_seed])
    mean: Array = off.mean(axis=0)
    low, high = bootstrap_ci(mean, _SEED)
    gain = mean + comparison.margin
    both_sides = sign_flip_test(gain, _SEED)
    return {
        "dataset": comparison.dataset,
        "metric": comparison.metric,
        "candidate": comparison.candidate,
        "rival": comparison.rival,
        "margin": comparison.margin,
        "mean": round(float(mean.mean()), 4),
        "low": low,
        "high": high,
        "by_seed": np.round(off.mean(axis=1), 4).tolist(),
        "better": int((mean > 0).sum()),
        "participants": len(people),
        "p": round(both_sides / 2 if gain.mean() > 0 else 1 - both_sides / 2, 4),
        "differences": dict(zip(people, np.round(mean, 4).tolist(), strict=True)),
    }


def _differences(
    comparison: Comparison, models: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    for name in (comparison.candidate, comparison.rival):
        if name not in models:
            raise ValueError(f"no scores of {name!r}; there are {', '.join(models)}")
    first, other = models[comparison.candidate], models[comparison.rival]
    off = {p: first[p] - other[p] for p in first if p in other}
    return {p: d for p, d in off.items() if np.isfinite(d)}


def fixed(folder: Path) -> str:
    """Return the SHA-256 of what was fixed before the first run of an idea."""
    return hashlib.sha256((folder / FILE).read_bytes()).hexdigest()


def with_judgements(
    result: R,
    folder: Path,
    *,
    real: Scores | None = None,
    simulated: Scores | None = None,
    conditions: Mapping[str, bool] | None = None,
) -> R:
    """Return a result with the judgement of an idea, and a sentence for each role.

    Parameters
    ----------
    result
        Figures of the experiment.
    folder
        Folder of the idea, with `FILE`.
    real, simulated
        Scores of each role of `FILE`.
    conditions
        Further conditions of `FILE`, and whether each is met.

    Raises
    ------
    ValueError
        If scores of a role lack, or have another number of seeds than `FILE` says.
    """
    primary = Primary.read(folder / FILE)
    parts: dict[str, Any] = {"idea": primary.idea, "source": primary.source}
    parts["sha256"] = fixed(folder)
    notes: list[str] = []
    by_role: dict[Role, Scores | None] = {"real": real, "simulated": simulated}
    for role, scores in by_role.items():
        comparison = primary.comparison(role)
        if comparison is None:
            parts[f"{role}_absent"] = primary.absent(role)
            notes.append(f"No {role} comparison: {primary.absent(role)}.")
            continue
        if scores is None or set(scores) != set(primary.seeds):
            raise ValueError(
                f"{folder.name}: {FILE} asks for {role} scores of the seeds "
                f"{list(primary.seeds)}, and there are {list(scores or ())}"
            )
        parts[role] = judged(comparison, scores)
        notes.append(sentence(parts[role]))
    parts["conditions"] = dict(conditions or {})
    notes += [
        f"Condition {'met' if met else 'not met'}: {text}."
        for text, met in parts["conditions"].items()
    ]
    details = {**result.details, JUDGEMENT: parts}
    return replace(result, details=details, notes=(*result.notes, *notes))


def sentence(row: Mapping[str, Any]) -> str:
    """Return a comparison in words."""
    margin = f", margin {row['margin']}" if row["margin"] else ""
    seeds = row["by_seed"]
    return (
        f"{row['dataset']}, {row['metric']}: {row['candidate']} less {row['rival']} "
        f"{row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]{margin}; better "
        f"in {row['better']} of {row['participants']}; seeds {min(seeds):+.3f} to "
        f"{max(seeds):+.3f}."
    )
