"""Codebook, methods text, results and plot of a study."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from physio.study.design import Design
from physio.study.outcomes import DESCRIPTIONS, UNITS
from physio.study.questionnaires import load
from physio.study.table import ContrastEstimate

_PANELS_PER_ROW: Final = 4  # panels in a row
LIBRARIES: Final = ("physio-affect", "numpy", "scipy", "pandas", "statsmodels")


def codebook(table: pd.DataFrame) -> pd.DataFrame:
    """Return the codebook of a table: outcome, unit, definition, source."""
    rows = []
    for name in sorted(set(table["outcome"])):
        if name in UNITS:
            rows.append((name, UNITS[name], DESCRIPTIONS[name], "physio-affect"))
            continue
        questionnaire = load(name.partition(".")[0])
        scale = questionnaire.scales[name.partition(".")[2]]
        meaning = f"{questionnaire.title}: sum of the items {', '.join(scale.items)}"
        if scale.reverse:
            meaning += f" ({', '.join(scale.reverse)} reversed)"
        rows.append((name, "1", meaning, questionnaire.citation))
    return pd.DataFrame(rows, columns=["outcome", "unit", "definition", "source"])


def methods_text(
    design: Design, flow: dict[str, int], deviations: Sequence[str], *, simulated: bool
) -> str:
    """Return a paragraph for the methods section."""
    questionnaires = sorted(
        {q for c in design.conditions.values() for q in c.questionnaires}
    )
    named = "; ".join(f"{load(q).title} ({load(q).citation})" for q in questionnaires)
    durations = ", ".join(
        f"{n} ({c.seconds:g} s)" for n, c in design.conditions.items()
    )
    balanced = ", ".join(design.placed("balanced")) or "none"
    used = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    rules = "; ".join(
        f"{', '.join(r.outcomes) or 'all outcomes'} below a coverage of {r.coverage:g}"
        for r in design.exclusions
    )
    lines = [
        "SIMULATED participants: a rehearsal, not data." if simulated else "",
        f"{flow['enrolled']} of {flow['planned']} planned participants were enrolled; "
        f"{flow['withdrew and were deleted']} withdrew and their data were deleted. "
        f"Conditions were {durations}; the order of {balanced} was counterbalanced in "
        f"a Williams design (Williams 1949) with the seed {design.study.seed}.",
        f"Self-reports: {named}." if named else "",
        "Skin conductance responses of at least 0.02 uS were detected by a convex "
        "decomposition (after Greco et al. 2015); beats were detected after Elgendi et "
        "al. (2013), and intervals accepted by beat form and length.",
        f"Exclusion rules of the plan: {rules}." if rules else "",
        "Contrasts are differences within participants, with 95 % bootstrap intervals "
        "over participants.",
        f"The plan was frozen (SHA-256 {design.hash[:16]}...) before the first session"
        + (f"; deviations: {'; '.join(deviations)}." if deviations else "."),
        f"Computed with {used}.",
    ]
    return " ".join(line for line in lines if line) + "\n"


def results_json(differences: Sequence[ContrastEstimate], **more: Any) -> str:
    """Return contrasts and further results as JSON, with null for NaN."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        return None if isinstance(value, float) and np.isnan(value) else value

    document = {"contrasts": [asdict(d) for d in differences], **more}
    return json.dumps(plain(document), indent=1) + "\n"


def plot_contrasts(
    table: pd.DataFrame,
    differences: Sequence[ContrastEstimate],
    path: Path,
    *,
    simulated: bool,
) -> None:
    """Plot the contrasts: a panel per contrast, a line per participant, the mean."""
    from physio.view.plots.plain_text import PlainTextFigure

    shown = [d for d in differences if d.n] or list(differences)
    across = min(len(shown), _PANELS_PER_ROW) or 1
    down = -(-len(shown) // across) or 1
    fig = PlainTextFigure((3.2 * across, 3.3 * down), layout="constrained")
    axes: Any = fig.subplots(down, across, squeeze=False)
    for ax in axes.flat[len(shown) :]:
        ax.set_visible(False)
    included = table[table["exclusion"] == ""]
    for ax, contrast in zip(axes.flat, shown, strict=False):
        values = included[included["outcome"] == contrast.outcome]
        wide = values.pivot_table(
            index="participant", columns="condition", values="value"
        )
        pair = [contrast.against, contrast.of]
        if set(pair) <= set(wide.columns):
            rows = wide[pair].dropna().to_numpy()
            ax.plot([0, 1], rows.T, color="0.6", lw=1, marker="o", ms=4)
            ax.plot([0, 1], rows.mean(axis=0), color="#0072B2", lw=2.5, marker="o")
        unit = UNITS.get(contrast.outcome, "points")
        ax.set_xticks([0, 1], pair)
        ax.set_xlim(-0.3, 1.3)
        ax.set_ylabel(f"{contrast.outcome} ({unit})")
        ax.set_title(
            f"{contrast.mean:+.2f} [{contrast.low:+.2f}, {contrast.high:+.2f}], "
            f"n = {contrast.n}",
            fontsize=9,
        )
        ax.spines[["top", "right"]].set_visible(False)
    if simulated:
        fig.suptitle(
            "Simulated participants: a rehearsal", color="#D55E00", fontsize=10
        )
    fig.savefig(path, dpi=150)
