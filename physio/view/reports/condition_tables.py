"""Tables of estimates and features by condition in the report on a session."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from physio.core.block import Block
from physio.view.labels import (
    CONDITION,
    CONDITION_MEANING,
    MEANING,
    SCALE,
    SCALE_MEANING,
    condition_names,
    estimated_dimensions,
    joined,
    scale_names,
    scale_value,
    standard_deviation,
)
from physio.view.plots.distributions import Measure, measures
from physio.view.plots.time_axes import ConditionInterval
from physio.view.reports.html_report import HtmlReport
from physio.view.terminal.sparklines import number

SHORT: Final = "†"
"""Mark of a value whose condition is shorter than the window of the measure."""


def add_estimates(
    page: HtmlReport,
    estimates: Block,
    parts: Sequence[ConditionInterval],
    begin: float,
) -> None:
    """Add the table of estimates and probabilities by condition.

    ``begin``: begin of the recording (s, session clock).
    """
    names = estimated_dimensions(estimates.info)
    conditions = condition_names(estimates.info)
    scales = scale_names(estimates.info)
    page.heading(joined(names).capitalize() or "Estimates")
    page.text(MEANING)
    rows: dict[str, Any] = {}
    for i, part in enumerate(parts):
        inside = (estimates.times >= part.begin) & (estimates.times < part.end)
        row: dict[str, Any] = {
            "from (s)": f"{part.begin - begin:.0f}",
            "duration (s)": f"{part.end - part.begin:.0f}",
        }
        for name in names:
            mean = estimates.column(name)[inside]
            sd = standard_deviation(estimates, name)[inside]
            valid = np.isfinite(mean)
            share = f"{valid.mean():.0%}" if len(valid) else "0%"
            row[name] = "missing"
            if valid.any():
                value = number(float(mean[valid].mean()), float(sd[valid].mean()))
                row[name] = f"{value} ({share})"
        for name in conditions:
            odds = estimates.column(f"{CONDITION}{name}")[inside]
            valid = np.isfinite(odds)
            mean_odds = f"{odds[valid].mean():.0%}" if valid.any() else "missing"
            row[f"probability of {name}"] = mean_odds
        for name in scales:
            mean, sd, half = (
                estimates.column(f"{SCALE}{name}{end}")[inside]
                for end in ("", ".sd", ".ci80")
            )
            valid = np.isfinite(mean)
            row[name] = "missing"
            if valid.any():
                row[name] = scale_value(
                    *(float(v[valid].mean()) for v in (mean, sd, half))
                )
        rows[f"{i + 1}. {part.name}"] = row
    page.table(pd.DataFrame(rows).T)
    page.text(
        "Mean over each condition ± mean standard deviation of a single estimate, and "
        "in brackets the proportion of the condition with an estimate. Conditions are "
        "in order of time."
        + (f" {CONDITION_MEANING}" if conditions else "")
        + (f" {SCALE_MEANING} In parentheses, the interval of 80 %." if scales else ""),
        small=True,
    )
    _add_short(page, measures(None, estimates), parts)


def add_features(
    page: HtmlReport, features: Block, parts: Sequence[ConditionInterval]
) -> None:
    """Add the table of mean features by condition."""
    chosen = measures(features, None)
    if not chosen:
        return
    page.heading("Skin conductance, heart, respiration and movement")
    rows: dict[str, Any] = {}
    for i, part in enumerate(parts):
        row = {}
        for measure in chosen:
            values = measure.inside(part)
            column = f"{measure.name} ({measure.unit})".replace(" ()", "")
            mark = f" {SHORT}" if measure.is_short(part) else ""
            row[column] = f"{values.mean():.3g}{mark}" if len(values) else "missing"
        rows[f"{i + 1}. {part.name}"] = row
    # Measures are rows: the table is as wide as there are conditions.
    by_measure = pd.DataFrame(rows)
    page.table(by_measure if len(parts) <= len(chosen) else by_measure.T)
    page.text(
        "Means of the available values in each condition. scr_rate is the rate of skin "
        "conductance responses (SCR), tonic the skin conductance level (SCL).",
        small=True,
    )
    _add_short(page, chosen, parts)


def _add_short(
    page: HtmlReport, chosen: Sequence[Measure], parts: Sequence[ConditionInterval]
) -> None:
    """Name the conditions that are shorter than the window of a measure."""
    short: dict[str, list[str]] = {}
    for i, part in enumerate(parts):
        names = [f"{m.name} {m.window:g} s" for m in chosen if m.is_short(part)]
        if names:
            lasts = f"{i + 1}. {part.name} ({part.end - part.begin:.0f} s)"
            short.setdefault(", ".join(names), []).append(lasts)
    for windows, lasting in short.items():
        page.text(
            f"{SHORT} Shorter than the window of a measure, so that its values include "
            f"earlier data: {', '.join(lasting)}; windows: {windows}.",
            small=True,
        )
