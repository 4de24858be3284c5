"""The report on an evaluation: audit on top, then who did how well, on whom."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from physio.view.reports.html import HtmlReport

_INK, _DOT = "#0072b2", "#9aa7b6"
_MOST: Final = 8  # measures that are drawn


def evaluation_report(result: Mapping[str, Any]) -> HtmlReport:
    """Return the report on what ``physio evaluate`` or ``physio train`` wrote.

    Parameters
    ----------
    told
        ``dataset``, ``protocol``, ``participants``, ``rows`` (model, metric, mean, low,
        high, per_participant), and where they are known ``audit``, ``paired``,
        ``config``, ``versions``.
    """
    protocol = str(result.get("protocol", ""))
    page = HtmlReport(f"{result.get('dataset', 'An evaluation')}: {protocol}")
    if protocol.startswith("paper-"):
        page.notice(
            "This protocol leaks; it is here to compare with published figures."
        )
    if audit := result.get("audit"):
        page.audit(audit)
    else:
        page.notice("No audit of the split was made.")
    rows = list(result.get("rows", ()))
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    page.heading("How well, on participants who were left out")
    participants = result.get("participants", ())
    page.text(
        f"{len(participants)} participants. Each dot is a participant, the line the 95 % interval of "
        "the mean over participants (participants drawn anew)."
    )
    for metric in metrics[:_MOST]:
        mine = [row for row in rows if row["metric"] == metric]
        name = "".join(c if c.isalnum() else "-" for c in metric)
        page.figure(
            forest_plot(mine, metric), f"{metric}, by model and participant.", name
        )
    page.table(_metric_table(rows))
    if paired := result.get("paired"):
        page.heading("Differences, participant by participant")
        page.table(
            pd.DataFrame(paired).drop(columns="per_participant", errors="ignore")
        )
    page.heading("Each participant")
    page.table(_participant_table(rows, metrics[:3]))
    page.heading("Where it comes from")
    provenance = {
        k: str(v)
        for k, v in result.items()
        if k in ("dataset", "protocol", "versions", "config", "seconds")
    }
    page.table(pd.DataFrame({"": provenance}))
    return page


def audit_report(audit: Mapping[str, Any]) -> HtmlReport:
    """Return the report on the audit of a split."""
    return HtmlReport(f"Audit: {audit['protocol']}").audit(audit)


def forest_plot(rows: Sequence[Mapping[str, Any]], metric: str) -> Figure:
    """Draw one measure: a line a model, with each participant as a dot."""
    figure = Figure((9, 1.1 + 0.34 * len(rows)), layout="constrained")
    ax: Any = figure.subplots()
    for i, row in enumerate(rows):
        values = [v for v in row.get("per_participant", {}).values() if v is not None]
        ax.plot(
            values, np.full(len(values), i), "o", ms=4, color=_DOT, alpha=0.7, mew=0
        )
        low, high = row.get("low"), row.get("high")
        if low is not None and high is not None:
            ax.plot([low, high], [i, i], color=_INK, lw=2.5, solid_capstyle="round")
        if row.get("mean") is not None:
            ax.plot(row["mean"], i, "D", ms=6, color=_INK)
    ax.set_yticks(range(len(rows)), [str(row["model"]) for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlabel(metric)
    ax.grid(axis="x", color="#e3e7ed")
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(length=0)
    return figure


def _metric_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    models = list(dict.fromkeys(row["model"] for row in rows))
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    table = pd.DataFrame("", index=models, columns=metrics)
    for row in rows:
        if row.get("mean") is None:
            continue
        text = f"{row['mean']:.3g}"
        if row.get("low") is not None:
            text += f" ({row['low']:.3g} to {row['high']:.3g})"
        table.loc[row["model"], row["metric"]] = text
    return table.T


def _participant_table(
    rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]
) -> pd.DataFrame:
    columns = {
        f"{row['model']}: {row['metric']}": row.get("per_participant", {})
        for row in rows
        if row["metric"] in metrics
    }
    table = pd.DataFrame(columns).T
    return table.map(lambda v: "-" if v is None or v != v else f"{v:.2f}")
