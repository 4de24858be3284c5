"""The table of all judged ideas: ``python -m experiments.literature.table``."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.stats

from experiments.literature.judgement import JUDGEMENT, ROLES, Role
from physio.core.block import Array
from physio.evaluation.results import dumped
from physio.evaluation.statistics import holm

EXPERIMENTS: Final = Path(__file__).resolve().parents[1]
PAGE: Final = EXPERIMENTS.parent / "docs" / "literature.md"
VERDICTS: Final = Path(__file__).parent / "results" / "verdicts.json"
_INTRODUCTION: Final = Path(__file__).parent / "introduction.md"
_LEVEL: Final = 0.05
_DRAWS: Final = 10_000
_SEED: Final = 23


def judgements(root: Path = EXPERIMENTS) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the folder and the judgement of each idea with results."""
    for path in sorted(root.glob("*/results/figures.json")):
        details = json.loads(path.read_text("utf-8")).get("details", {})
        if JUDGEMENT in details:
            yield path.parents[1].name, details[JUDGEMENT]


def interval(differences: Array, level: float) -> tuple[float, float]:
    """Return the bootstrap interval of a mean over participants, at a level."""
    drawn = scipy.stats.bootstrap(
        (differences,),
        np.mean,
        n_resamples=_DRAWS,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return round(float(drawn.low), 4), round(float(drawn.high), 4)


def verdicts(
    judgement_by_idea: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Return p values and intervals after Holm's correction, and who is adopted.

    Ideas are ordered by p; the k-th of m has the interval of the level
    1 - 0.05 / (m - k + 1), and is passed if all before it are and its interval, plus
    the margin, lies above 0. An idea is adopted if it passes on real participants and
    on simulated truth, and meets its further conditions.

    Parameters
    ----------
    judgement_by_idea
        Judgement of each idea, by folder: see `judgements`.
    """
    out: dict[str, dict[str, Any]] = {
        name: {"idea": row["idea"], "source": row["source"]}
        for name, row in judgement_by_idea.items()
    }
    for role in ROLES:
        for name, row in _corrected(judgement_by_idea, role).items():
            out[name][role] = row
    for name, row in out.items():
        row["conditions"] = dict(judgement_by_idea[name].get("conditions", {}))
        met = all(row["conditions"].values())
        row["adopted"] = met and all(
            row.get(role, {}).get("passed", False) for role in ROLES
        )
    return out


def _corrected(
    judgement_by_idea: Mapping[str, Mapping[str, Any]], role: Role
) -> dict[str, dict[str, Any]]:
    tested = {n: row[role] for n, row in judgement_by_idea.items() if role in row}
    order = sorted(tested, key=lambda n: (tested[n]["p"], n))
    adjusted = dict(zip(order, holm([tested[n]["p"] for n in order]), strict=True))
    out, open_ = {}, True
    for k, name in enumerate(order):
        row = tested[name]
        level = 1 - _LEVEL / (len(order) - k)
        low, high = interval(np.array(list(row["differences"].values())), level)
        open_ = open_ and low + row["margin"] > 0
        shown = ("dataset", "metric", "candidate", "rival", "margin", "mean")
        out[name] = {
            **{key: row[key] for key in shown},
            "level": round(level, 4),
            "low": low,
            "high": high,
            "by_seed": row["by_seed"],
            "participants": row["participants"],
            "p_holm": adjusted[name],
            "passed": bool(open_),
        }
    return out


def page(judgement_by_idea: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page of documentation with the table of all ideas."""
    rows = verdicts(judgement_by_idea)
    lines = [
        "| idea | real participants | simulated truth | verdict |",
        "|---|---|---|---|",
    ]
    for name, row in rows.items():
        cells = [_cell(row, judgement_by_idea[name], role) for role in ROLES]
        verdict = "**adopted**" if row["adopted"] else "not adopted"
        unmet = [text for text, met in row["conditions"].items() if not met]
        verdict += f": not met: {'; '.join(unmet)}" if unmet else ""
        link = f"[{row['idea']}](../experiments/{name}/README.md) ({row['source']})"
        lines.append(f"| {link} | {cells[0]} | {cells[1]} | {verdict} |")
    return _INTRODUCTION.read_text("utf-8") + "\n" + "\n".join(lines) + "\n"


def _cell(row: Mapping[str, Any], judged: Mapping[str, Any], role: Role) -> str:
    if role not in row:
        return f"none: {judged[f'{role}_absent']}"
    r = row[role]
    margin = f", margin {r['margin']}" if r["margin"] else ""
    seeds = f"{min(r['by_seed']):+.3f} to {max(r['by_seed']):+.3f}"
    return (
        f"{r['dataset']}: {r['metric']}, {r['candidate']} less {r['rival']} "
        f"{r['mean']:+.3f} [{r['low']:+.3f}, {r['high']:+.3f}]{margin} "
        f"({r['participants']} participants; seeds {seeds})"
    )


def main() -> None:
    """Write the page and the verdicts."""
    judgement_by_idea = dict(judgements())
    VERDICTS.parent.mkdir(exist_ok=True)
    VERDICTS.write_text(dumped(verdicts(judgement_by_idea)), "utf-8")
    PAGE.write_text(page(judgement_by_idea), "utf-8")


if __name__ == "__main__":
    main()
