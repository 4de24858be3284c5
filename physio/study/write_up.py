"""The words and the picture that go with a study's table."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from physio.study.design import Design
from physio.study.outcomes import MEANT, UNITS
from physio.study.questionnaires import load
from physio.study.table import Difference

_ACROSS: Final = 4  # panels in a row
LIBRARIES: Final = ("physio-affect", "numpy", "scipy", "pandas", "statsmodels")


def codebook(table: pd.DataFrame) -> pd.DataFrame:
    """Return what each measure of a table is: name, unit, meaning, source."""
    rows = []
    for name in sorted(set(table["measure"])):
        if name in UNITS:
            rows.append((name, UNITS[name], MEANT[name], "physio-affect"))
            continue
        asked = load(name.partition(".")[0])
        scale = asked.scales[name.partition(".")[2]]
        meaning = f"{asked.title}: sum of {', '.join(scale.items)}"
        if scale.reverse:
            meaning += f" ({', '.join(scale.reverse)} reversed)"
        rows.append((name, "1", meaning, asked.citation))
    return pd.DataFrame(rows, columns=["measure", "unit", "meaning", "source"])


def methods(
    design: Design, flow: dict[str, int], deviations: Sequence[str], *, simulated: bool
) -> str:
    """Return a paragraph for the methods section."""
    asked = sorted({q for c in design.conditions.values() for q in c.questionnaires})
    named = "; ".join(f"{load(q).title} ({load(q).citation})" for q in asked)
    lasting = ", ".join(f"{n} ({c.seconds:g} s)" for n, c in design.conditions.items())
    balanced = ", ".join(design.placed("balanced")) or "none"
    used = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    rules = "; ".join(
        f"{', '.join(r.outcomes) or 'all measures'} below a coverage of {r.coverage:g}"
        for r in design.exclusions
    )
    lines = [
        "SIMULATED participants: a rehearsal, not data." if simulated else "",
        f"{flow['enrolled']} of {flow['planned']} planned participants were enrolled; "
        f"{flow['withdrew and were deleted']} withdrew and were deleted. Conditions "
        f"were {lasting}; the order of {balanced} was balanced in a Williams design "
        f"(Williams 1949) drawn from the seed {design.study.seed}.",
        f"Self-reports: {named}." if named else "",
        "Skin conductance responses are those of a convex decomposition (after Greco "
        "et al. 2015) of at least 0.02 uS; beats were found after Elgendi et al. "
        "(2013), and intervals accepted by their form and length.",
        f"Excluded as planned: {rules}." if rules else "",
        "Contrasts are differences within participants, with 95 % intervals of a "
        "bootstrap over participants.",
        f"The plan was frozen (SHA-256 {design.hash[:16]}...) before the first session"
        + (f"; deviations: {'; '.join(deviations)}." if deviations else "."),
        f"Computed with {used}.",
    ]
    return " ".join(line for line in lines if line) + "\n"


def results(differences: Sequence[Difference], **more: Any) -> str:
    """Return contrasts and what else there is as JSON, without NaN."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        return None if isinstance(value, float) and np.isnan(value) else value

    told = {"contrasts": [asdict(d) for d in differences], **more}
    return json.dumps(plain(told), indent=1) + "\n"


def draw(
    table: pd.DataFrame,
    differences: Sequence[Difference],
    path: Path,
    *,
    simulated: bool,
) -> None:
    """Draw a panel for each contrast: a line for each participant, and the difference."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shown = [d for d in differences if d.n] or list(differences)
    across = min(len(shown), _ACROSS) or 1
    down = -(-len(shown) // across) or 1
    fig, axes = plt.subplots(
        down, across, figsize=(3.2 * across, 3.3 * down), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for ax in axes.flat[len(shown) :]:
        ax.set_visible(False)
    counts = table[table["exclusion"] == ""]
    for ax, one in zip(axes.flat, shown, strict=False):
        own = counts[counts["measure"] == one.measure]
        wide = own.pivot_table(index="participant", columns="condition", values="value")
        pair = [one.against, one.of]
        if set(pair) <= set(wide.columns):
            rows = wide[pair].dropna().to_numpy()
            ax.plot([0, 1], rows.T, color="0.6", lw=1, marker="o", ms=4)
            ax.plot([0, 1], rows.mean(axis=0), color="#0072B2", lw=2.5, marker="o")
        unit = UNITS.get(one.measure, "points")
        ax.set_xticks([0, 1], pair)
        ax.set_xlim(-0.3, 1.3)
        ax.set_ylabel(f"{one.measure} ({unit})")
        ax.set_title(
            f"{one.mean:+.2f} [{one.low:+.2f}, {one.high:+.2f}], n = {one.n}",
            fontsize=9,
        )
        ax.spines[["top", "right"]].set_visible(False)
    if simulated:
        fig.suptitle(
            "Simulated participants: a rehearsal", color="#D55E00", fontsize=10
        )
    fig.savefig(path, dpi=150)
    plt.close(fig)
