"""Table of the streams of a session in words, for the terminal and the report."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from physio.online.session_table import percent, reasons_text

COLUMNS: Final = (
    "stream", "channels", "Hz", "samples", "lost", "typical", "computed", "available",
    "median", "missing",
)  # fmt: skip
"""Columns of the table: *typical* is the median, or the median standard deviation
within a second, of the raw channels; *available* the share of time with a value."""

_RIGHT: Final = frozenset({"Hz", "samples", "lost", "available"})
_WIDEST: Final = 36


def stream_cells(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the cells of the table, a row for each stream and each further chain.

    Parameters
    ----------
    rows
        Entries of `physio.online.session_table.SessionTable.rows`.
    """
    cells = []
    for row in rows:
        first = (
            row["name"],
            _channels(row),
            f"{row['rate']:g}" if row["rate"] else "",
            f"{row['samples']}",
            f"{row['lost']}" if row["rate"] else "",
            _typical(row),
        )
        parts = [_chain(part) for part in row["computed"]] or [("", "", "", "")]
        cells += [
            (*(first if not i else ("",) * len(first)), *part)
            for i, part in enumerate(parts)
        ]
    return cells


def stream_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of the table and a line for each fault and note below it."""
    cells = [COLUMNS, *stream_cells(rows)]
    short = [[*map(_shortened, row[:-1]), row[-1]] for row in cells]
    widths = [max(len(row[i]) for row in short) for i in range(len(COLUMNS))]
    lines = [
        "  ".join(
            cell.rjust(width) if name in _RIGHT else cell.ljust(width)
            for cell, width, name in zip(row, widths, COLUMNS, strict=True)
        ).rstrip()
        for row in short
    ]
    return [*lines, *stream_sentences(rows)]


def stream_sentences(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a sentence on each fault of a stream and on what is not computed of it."""
    return [
        f"{row['name']}: {text}"
        for row in rows
        for text in (*row["faults"], *row["notes"])
    ]


def _shortened(cell: str) -> str:
    """Return a cell of at most `_WIDEST` characters."""
    return cell if len(cell) <= _WIDEST else f"{cell[: _WIDEST - 1]}…"


def _channels(row: Mapping[str, Any]) -> str:
    """Return the kinds of the channels with their number and unit: ``"8 eeg uV"``."""
    if not row["rate"]:
        return "events"
    groups: dict[str, int] = {}
    for c in row["channels"]:
        unit = "" if c["unit"] in {"", "1"} else f" {c['unit']}"
        kind = f"{c['kind']}{unit}"
        groups[kind] = groups.get(kind, 0) + 1
    return ", ".join(f"{n} {kind}" if n > 1 else kind for kind, n in groups.items())


def _typical(row: Mapping[str, Any]) -> str:
    """Return the typical value of each kind of channel: the median over channels."""
    groups: dict[tuple[str, str], list[float]] = {}
    for c in row["channels"]:
        values = groups.setdefault((c["statistic"], c["unit"]), [])
        if c["value"] is not None:
            values.append(c["value"])
    texts = []
    for (name, unit), values in groups.items():
        if unit == "g" and len(values) == 3:
            texts.append(f"gravity {np.linalg.norm(values):.3g} g")
        elif values:
            texts.append(f"{name} {np.median(values):.3g}{_suffix(unit)}")
    return ", ".join(texts)


def _chain(part: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of a chain."""
    column = f"{part['chain']}.{part['column']}" if part["column"] else part["chain"]
    median = part["median"]
    value = "" if median is None else f"{median:.3g}{_suffix(part['unit'])}"
    return column, percent(part["share"]), value, reasons_text(part)


def _suffix(unit: str) -> str:
    return "" if unit in {"", "1"} else f" {unit}"
