"""Report on a data set: valid data per participant and sensor, ratings, audits."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from physio.core.counted_nouns import counted
from physio.datasets import feature_table
from physio.datasets.feature_table import LABEL, RATING
from physio.view.plots.data_availability import (
    missing_reasons,
    valid_over_time,
    windows_per_condition,
)
from physio.view.reports.html_report import HtmlReport


def dataset_report(
    table: pd.DataFrame, audits: Sequence[Mapping[str, Any]]
) -> HtmlReport:
    """Return the report on a feature table.

    Parameters
    ----------
    table
        A feature table: see `physio.datasets.feature_table.read`.
    audits
        Leakage audits of its splits: see `physio.evaluation.leakage.audit.Audit`.
    """
    files = table.attrs.get("files", {})
    about: Mapping[str, Any] = next(iter(files.values()), {})
    fractions = feature_table.usable(table)
    sensors = [c for c in fractions.columns if c != "windows"]
    windows = about.get("windows", {})
    name = str(about.get("dataset") or "Feature table")
    page = HtmlReport(f"{name}: data availability")
    if about.get("origin", "measured") != "measured":
        page.notice(f"The signals are {about['origin']}, not measured on participants.")
    _add_overview(page, table, about, len(fractions))
    page.heading("Valid data")
    step = float(windows.get("step", 1.0))
    page.figure(
        valid_over_time(table, fractions, step),
        "Valid fraction of the features of each participant and sensor: mean over "
        "windows, and window by window below the condition. Features that need a "
        "minute of signal are missing in short trials.",
    )
    page.table(fractions, _percent_or_count)
    page.heading("Reasons for missing values")
    page.text("Proportions of all values of a sensor's features.")
    page.table(missing_reasons(table, sensors), "{:.1%}".format)
    if (table[LABEL] != "").any():
        page.heading("Windows of each condition")
        page.table(windows_per_condition(table))
    if answers := _rating_summary(table):
        page.heading("Self-reports")
        page.text(
            "Mean and standard deviation over participants; .sam is on the original "
            "scale of the study."
        )
        page.table(pd.DataFrame(answers))
    for audit in audits:
        page.audit(audit)
    page.heading("Provenance")
    if lines := _provenance(about):
        page.table(pd.DataFrame({"": lines}))
    return page


def _add_overview(
    page: HtmlReport, table: pd.DataFrame, about: Mapping[str, Any], participants: int
) -> None:
    windows = about.get("windows", {})
    length = ""
    if windows:
        length = f" of {windows['window']:g} s every {windows['step']:g} s"
    number = counted(len(table), "window")
    page.text(f"{counted(participants, 'participant')}, {number}{length}.")
    if about.get("citation"):
        page.text(f"Cite: {about['citation']}. {about['licence']}.", small=True)


def _rating_summary(table: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return mean and SD of each rating by condition, over participants."""
    columns = [
        c
        for c in table.columns
        if str(c).startswith(RATING) and f"{c}.sam" not in table.columns
    ]
    labelled = table[table[LABEL] != ""]
    columns_by_rating: dict[str, dict[str, str]] = {}
    for column in columns:
        known = labelled[labelled[column].notna()]
        once = known.groupby(["subject", LABEL], observed=True)[column].mean()
        groups = once.groupby(level=LABEL, observed=True)
        if len(once):
            columns_by_rating[str(column)[len(RATING) :]] = {
                str(k): f"{m:.2f} ± {s:.2f}" if s == s else f"{m:.2f}"
                for k, m, s in zip(
                    groups.mean().index, groups.mean(), groups.std(), strict=True
                )
            }
    return columns_by_rating


def _provenance(about: Mapping[str, Any]) -> dict[str, str]:
    lines = {}
    if "source" in about:
        source = about["source"]
        lines["window positions are samples of"] = (
            f"{source['stream']} ({source['rate']} Hz)"
        )
    for package, number in about.get("versions", {}).items():
        lines[package] = str(number)
    if "code" in about:
        lines["code"] = str(about["code"])[:16]
    return lines


def _percent_or_count(value: Any) -> str:
    if isinstance(value, float) and value <= 1:
        return f"{value:.0%}"
    return f"{value:.0f}"
