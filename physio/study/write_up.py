"""Codebook, results and plot of a study."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from physio.offline.table_methods import describe_measures, is_measure
from physio.study.contrasts import ContrastEstimate
from physio.study.questionnaires import SELF, Questionnaire

_PANELS_PER_ROW: Final = 4  # panels in a row


def codebook(table: pd.DataFrame, known: Mapping[str, Questionnaire]) -> pd.DataFrame:
    """Return the codebook of a table: measure, unit, definition, source."""
    rows = []
    measures = table[table["measure"] != ""].drop_duplicates("measure")
    units = dict(zip(measures["measure"], measures["unit"], strict=True))
    for name in sorted(units):
        if is_measure(name):
            ((_, words),) = describe_measures([name]).itertuples(index=False)
            rows.append((name, units[name], words, "physio-affect"))
            continue
        questionnaire = known[name.partition(".")[0]]
        scale = questionnaire.scales[name.partition(".")[2]]
        meaning = f"{questionnaire.title}: sum of the items {', '.join(scale.items)}"
        if scale.reverse:
            meaning += f" ({', '.join(scale.reverse)} reversed)"
        if questionnaire.rater != SELF:
            meaning += f"; {questionnaire.report}, not of the participant"
        rows.append((name, "1", meaning, questionnaire.citation))
    return pd.DataFrame(rows, columns=["measure", "unit", "definition", "source"])


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
    units = dict(zip(table["measure"], table["unit"], strict=True))
    for ax, contrast in zip(axes.flat, shown, strict=False):
        values = included[included["measure"] == contrast.outcome]
        wide = values.pivot_table(
            index="participant", columns="condition", values="value"
        )
        pair = [contrast.against, contrast.of]
        if set(pair) <= set(wide.columns):
            rows = wide[pair].dropna().to_numpy()
            ax.plot([0, 1], rows.T, color="0.6", lw=1, marker="o", ms=4)
            ax.plot([0, 1], rows.mean(axis=0), color="#0072B2", lw=2.5, marker="o")
        is_score = not is_measure(contrast.outcome)
        unit = "points" if is_score else units.get(contrast.outcome, "")
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
