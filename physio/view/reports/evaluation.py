"""Report on an evaluation: leakage audit, metrics by model and by participant."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import tomli_w
from matplotlib.figure import Figure

from physio.core.counted_nouns import counted
from physio.evaluation.splits import PROTOCOLS
from physio.view.plots.plain_text import PlainTextFigure
from physio.view.reports.html_report import HtmlReport

_INK, _DOT = "#0072b2", "#9aa7b6"
_MAX_FIGURES: Final = 8  # metrics that are drawn


def evaluation_report(result: Mapping[str, Any]) -> HtmlReport:
    """Return the report on a result of ``physio evaluate`` or ``physio train``.

    Parameters
    ----------
    result
        ``dataset``, ``protocol``, ``participants``, ``rows`` (model, metric, mean, low,
        high, per_participant), and if known ``audit``, ``paired``,
        ``config``, ``versions``.
    """
    protocol = str(result.get("protocol", ""))
    page = HtmlReport(f"{result.get('dataset', 'An evaluation')}: {protocol}")
    if protocol.startswith("paper-"):
        page.notice(
            "This protocol has leakage; it serves comparison with published results."
        )
    if audit := result.get("audit"):
        page.audit(audit)
    elif "details" not in result or "classes" in result:  # else it has no split
        page.notice("The split was not audited for leakage.")
    rows = list(result.get("rows", ()))
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    page.heading(_performance(protocol))
    participants = result.get("participants", ())
    text = f"{counted(len(participants), 'participant')}. Each dot is a participant"
    if any(row.get("low") is not None for row in rows):
        text += (
            "; the line is the 95 % bootstrap interval of the mean over participants"
        )
    page.text(f"{text}.")
    if balance := result.get("balance"):
        counts = ", ".join(f"{name} {n}" for name, n in dict(balance).items())
        page.text(f"Rows by class: {counts}.")
    _add_metrics(page, result, rows, metrics)
    if paired := result.get("paired"):
        page.heading("Paired differences between models")
        page.table(
            pd.DataFrame(paired).drop(columns="per_participant", errors="ignore")
        )
    page.heading("Results by participant")
    for metric in metrics:
        page.text(f"{metric}:")
        page.table(_participant_table(rows, metric))
    _add_provenance(page, result)
    return page


def _add_metrics(
    page: HtmlReport,
    result: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    metrics: Sequence[str],
) -> None:
    """Add the figure of each metric, the table, and the notes."""
    for metric in metrics[:_MAX_FIGURES]:
        mine = [row for row in rows if row["metric"] == metric]
        name = "".join(c if c.isalnum() else "-" for c in metric)
        level, source = chance_level(result, metric)
        caption = f"{metric}, by model and participant."
        caption += f" Dashed: {source}, {level:.3g}." if source else ""
        page.figure(forest_plot(mine, metric, level), caption, name)
    if len(metrics) > _MAX_FIGURES:
        page.text(f"Not drawn, in the table only: {', '.join(metrics[_MAX_FIGURES:])}.")
    page.table(_metric_table(rows))
    for note in result.get("notes") or ():
        page.text(str(note), small=True)


def _add_provenance(page: HtmlReport, result: Mapping[str, Any]) -> None:
    page.heading("Provenance")
    facts = {k: str(result[k]) for k in ("dataset", "protocol") if k in result}
    facts |= {k: str(v) for k, v in dict(result.get("versions") or {}).items()}
    if "seconds" in result:
        facts["computation (s)"] = str(result["seconds"])
    page.table(pd.DataFrame({"": facts}))
    if config := result.get("config"):
        page.text("Configuration:")
        page.code(config_text(config))


def chance_level(result: Mapping[str, Any], metric: str) -> tuple[float, str]:
    """Return the level of a model without information, and its name; empty if unknown.

    It is the measured one of the majority class where the evaluation has that model;
    else 0.5 for AUC, one divided by the number of classes for balanced accuracy, and 0
    for correlations.
    """
    for row in result.get("rows", ()):
        is_baseline = row["model"] == "majority class" and row["metric"] == metric
        if is_baseline and row.get("mean") is not None:
            return float(row["mean"]), "majority class"
    classes = result.get("classes") or ()
    known = {"AUC": 0.5, "r": 0.0, "correlation": 0.0, "CCC": 0.0}
    if metric == "balanced accuracy" and len(classes) > 1:
        return 1 / len(classes), "chance"
    return (known[metric], "chance") if metric in known else (np.nan, "")


def config_text(config: Any) -> str:
    """Return a configuration as TOML, without empty settings."""

    def present(value: Any) -> Any:
        if isinstance(value, Mapping):
            entries = {str(k): present(v) for k, v in value.items() if v is not None}
            return {k: v for k, v in entries.items() if v not in ({}, [], "")}
        if isinstance(value, list | tuple):
            return [present(v) for v in value if v is not None]
        return value if isinstance(value, bool | int | float | str) else str(value)

    return (
        tomli_w.dumps(present(config)) if isinstance(config, Mapping) else str(config)
    )


def _performance(protocol: str) -> str:
    """Return the heading of the results: the units that a protocol holds out."""
    known = PROTOCOLS.get(protocol)
    if known is None or known.promise == "nothing":
        return "Performance in the test rows"
    by_participant = known.promise in ("subjects", "orders")
    promise = known.promise.replace("subjects", "participants")
    return f"Performance in held-out {'participants' if by_participant else promise}"


def audit_report(audit: Mapping[str, Any]) -> HtmlReport:
    """Return the report on a leakage audit of a split."""
    return HtmlReport(f"Audit: {audit['protocol']}").audit(audit)


def forest_plot(
    rows: Sequence[Mapping[str, Any]], metric: str, chance: float = np.nan
) -> Figure:
    """Draw one metric: a line per model, each participant as a dot.

    Parameters
    ----------
    rows
        Rows of the metric, one for each model.
    metric
        Name of the metric.
    chance
        Level of a model without information, drawn as a dashed line; NaN for none.
    """
    figure = PlainTextFigure((9, 1.1 + 0.34 * len(rows)), layout="constrained")
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
    if np.isfinite(chance):
        ax.axvline(chance, color="0.3", lw=1, ls="--", zorder=0)
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


def _participant_table(rows: Sequence[Mapping[str, Any]], metric: str) -> pd.DataFrame:
    """Return a metric with a row for each participant and a column for each model."""
    columns = {
        str(row["model"]): row.get("per_participant", {})
        for row in rows
        if row["metric"] == metric
    }
    table = pd.DataFrame(columns)
    return table.map(lambda v: "-" if v is None or v != v else f"{v:.2f}")
