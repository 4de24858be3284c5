"""Bars, sparklines, numbers and durations as text."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from rich.text import Text

SPARKS: Final = "▁▂▃▄▅▆▇█"


def bar(mean: float, sd: float, width: int, hue: str, true: float = np.nan) -> Text:
    """Return an estimate on [-1, 1] as a dot with an error bar of ±1 SD.

    An arrow marks an error bar that exceeds the scale, a diamond the value ``true``.
    """

    def cell(value: float) -> int:
        return round((min(max(value, -1.0), 1.0) + 1) / 2 * (width - 1))

    cells = ["─"] * width
    spread = sd if np.isfinite(sd) else 0.0
    low, high = cell(mean - spread), cell(mean + spread)
    cells[low : high + 1] = "━" * (high + 1 - low)
    cells[width // 2] = "┿" if low <= width // 2 <= high else "┼"
    if mean - spread < -1:
        cells[0] = "◀"
    if mean + spread > 1:
        cells[-1] = "▶"
    cells[cell(mean)] = "●"
    if np.isfinite(true):
        cells[cell(true)] = "◆" if cell(true) == cell(mean) else "◇"
    text = Text("".join(cells), "bright_black")
    text.stylize(hue, low, high + 1)
    text.stylize(f"bold {hue}", cell(mean), cell(mean) + 1)
    if np.isfinite(true):
        text.stylize("bold bright_white", cell(true), cell(true) + 1)
    return text


def number(mean: float, sd: float) -> str:
    """Return an estimate as ``+0.12 ± 0.34``, a dash if it is missing."""
    if not np.isfinite(mean):
        return "—"
    return f"{mean:+.2f} ± {sd:.2f}" if np.isfinite(sd) else f"{mean:+.2f}"


def spark(values: Sequence[float], width: int) -> str:
    """Return values on [-1, 1] as ``width`` characters, blank where missing."""
    if not values or not width:
        return " " * width
    parts = np.array_split(np.array(values), min(width, len(values)))
    means = [
        float(p[np.isfinite(p)].mean()) if np.isfinite(p).any() else np.nan
        for p in parts
    ]
    top = len(SPARKS) - 1
    return "".join(
        " " if np.isnan(m) else SPARKS[round((min(max(m, -1), 1) + 1) / 2 * top)]
        for m in means
    ).rjust(width)


def clock(seconds: float) -> str:
    """Return a duration as ``1:02:03`` or ``02:03``."""
    whole = int(max(0.0, seconds)) if np.isfinite(seconds) else 0
    hours, minutes = whole // 3600, whole // 60 % 60
    return (f"{hours}:" if hours else "") + f"{minutes:02d}:{whole % 60:02d}"
