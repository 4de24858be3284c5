"""Report on many recordings: who, for how long, which sensors, what is excluded."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from physio.view.reports.html_report import HtmlReport

SENSORS: Final = ("EEG", "EDA", "ECG", "PPG", "respiration", "temperature", "movement")
"""Columns of the overview, in order."""

USABLE: Final = 0.5
"""Share of a recording's time with a value, from which on a sensor counts as usable."""


def overview_report(title: str, rows: Sequence[Mapping[str, Any]]) -> HtmlReport:
    """Return the report on the recordings of a data set.

    Parameters
    ----------
    title
        Name of the data set.
    rows
        An entry for each recording: ``name``; and either ``error``, or ``page`` (link
        to its report), ``participant``, ``began``, ``seconds``, ``origin``,
        ``sensors`` (share and reason by name in `SENSORS`), and ``notes``.
    """
    page = HtmlReport(f"{title}: recordings")
    read = [row for row in rows if "error" not in row]
    if any(row["origin"] != "measured" for row in read):
        page.notice("Some signals are simulated, not measured on participants.")
    page.text(_summary(rows, read))
    columns = [s for s in SENSORS if any(s in row["sensors"] for row in read)]
    if columns:
        page.text(
            f"Cells: share of a recording's time with a value of a sensor; below "
            f"{USABLE:.0%} (amber) it counts as not usable.",
            small=True,
        )
    fields = [f for f in ("participant", "began") if any(row[f] for row in read)]
    header = ["recording", *fields, "minutes", *columns]
    page.cells(header, [_cells(row, fields, columns) for row in rows])
    if columns:
        page.heading("Usable sensors")
        page.cells(["sensor", "recordings with it", "usable", "median share"],
                   [_sensor(name, read) for name in columns])  # fmt: skip
    if excluded := list(_excluded(rows)):
        page.heading("Excluded, and why")
        page.cells(["recording", "what", "why"], excluded)
    if notes := [(row["name"], note) for row in read for note in row["notes"]]:
        page.heading("Notes of the readers")
        page.cells(["recording", "note"], [[escape(a), _sentence(b)] for a, b in notes])
    return page


def _summary(
    rows: Sequence[Mapping[str, Any]], read: Sequence[Mapping[str, Any]]
) -> str:
    """Return the numbers of recordings, participants and hours in words."""
    people = {row["participant"] for row in read if row["participant"]}
    hours = sum(row["seconds"] for row in read) / 3600
    lost = len(rows) - len(read)
    parts = [
        f"{len(rows)} recordings", *([f"{len(people)} participants"] if people else []),
        f"{hours:.1f} h", *([f"{lost} not readable"] if lost else []),
    ]  # fmt: skip
    return ", ".join(parts) + "."


def _cells(
    row: Mapping[str, Any], fields: Sequence[str], columns: Sequence[str]
) -> list[str]:
    """Return the cells of a recording, as HTML."""
    name = escape(row["name"])
    if "error" in row:
        return [name, _sentence(f"not readable: {row['error']}")]
    link = f'<a href="{escape(row["page"])}">{name}</a>'
    shares = (row["sensors"].get(column) for column in columns)
    return [
        link, *(escape(row[field]) for field in fields),
        f"{row['seconds'] / 60:.1f}", *(_share(sensor) for sensor in shares),
    ]  # fmt: skip


def _share(sensor: Mapping[str, Any] | None) -> str:
    """Return the cell of a sensor, darker with its share; amber if not usable."""
    if sensor is None:
        return ""
    share = float(sensor["share"])
    tone = "9, 105, 218" if share >= USABLE else "191, 135, 0"
    colour = f"rgba({tone}, {0.1 + 0.5 * share:.2f})"
    title = escape(sensor["reason"])
    style = f'class="share" style="background:{colour}" title="{title}"'
    return f"<span {style}>{share:.0%}</span>"


def _sensor(name: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    shares = sorted(float(r["sensors"][name]["share"]) for r in rows
                    if name in r["sensors"])  # fmt: skip
    usable = sum(share >= USABLE for share in shares)
    median = shares[len(shares) // 2]
    return [name, f"{len(shares)}", f"{usable}", f"{median:.0%}"]


def _excluded(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return what cannot be used: recordings, and sensors of recordings."""
    excluded = []
    for row in rows:
        name = escape(row["name"])
        if "error" in row:
            excluded.append([name, "all", _sentence(row["error"])])
            continue
        excluded += [
            [
                name,
                sensor,
                _sentence(f"{float(about['share']):.0%} usable: {about['reason']}"),
            ]
            for sensor, about in row["sensors"].items()
            if float(about["share"]) < USABLE
        ]
    return excluded


def _sentence(text: str) -> str:
    """Return text for a cell, aligned to the left."""
    return f'<span class="left">{escape(text)}</span>'
