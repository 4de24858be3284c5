"""Figures and tables of valid data per participant and sensor of a data set."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from physio.core.printable import printable
from physio.datasets.base import natural_sorted
from physio.datasets.feature_table import LABEL, VALID_FRACTION
from physio.view.plots.plain_text import PlainTextFigure

_SHADES: Final = "cividis"
_HUES: Final = "Set2"


def valid_figure(fractions: pd.DataFrame, title: str = "") -> Figure:
    """Draw for each participant and sensor the proportion of valid windows.

    Parameters
    ----------
    fractions
        One row per participant, one column per sensor, on [0, 1]; a column ``windows``
        is shown beside the names: see `physio.datasets.feature_table.usable`.
    title
        Title of the figure.
    """
    sensors = [c for c in fractions.columns if c != "windows"]
    height = 1.2 + 0.3 * len(fractions)
    figure = PlainTextFigure((2.5 + 1.1 * len(sensors), height), layout="constrained")
    ax = figure.subplots()
    image = _draw_fractions(ax, fractions, sensors)
    ax.set_title(f"{title}: proportion of valid windows".lstrip(": "))
    figure.colorbar(image, ax=ax, format=lambda v, _: f"{v:.0%}")
    return figure


def valid_over_time(
    table: pd.DataFrame, fractions: pd.DataFrame, step: float
) -> Figure:
    """Draw the valid data of each participant, in total and window by window.

    Parameters
    ----------
    table
        The windows: see `physio.datasets.feature_table`.
    fractions
        `physio.datasets.feature_table.usable` of them.
    step
        Time from one window to the next (s).
    """
    sensors = [c for c in fractions.columns if c != "windows"]
    height = 1.6 + max(0.34, 0.11 * (len(sensors) + 1)) * len(fractions)
    figure = PlainTextFigure((12.0, height), layout="constrained")
    totals_ax, windows_ax = figure.subplots(
        1, 2, width_ratios=[0.9 + 0.62 * len(sensors), 7], sharey=True
    )
    image = _draw_fractions(totals_ax, fractions, sensors)
    totals_ax.set_title("valid fraction, mean of windows", fontsize=10)
    names = [n for n in table[LABEL].unique() if n]
    _draw_lanes(windows_ax, table, list(fractions.index), (sensors, names), step)
    windows_ax.set_title(
        f"valid fraction by window; rows from above: condition, {', '.join(sensors)}",
        fontsize=10,
    )
    figure.colorbar(
        image,
        ax=windows_ax,
        fraction=0.025,
        pad=0.01,
        format=lambda v, _: f"{v:.0%}",
        label="valid fraction of the window",
    )
    hues = colormaps[_HUES].resampled(8)
    patches = [Patch(color=hues(i % 8), label=name) for i, name in enumerate(names)]
    if 0 < len(patches) <= 12:  # no legend for many videos
        figure.legend(
            handles=patches, loc="outside lower right", ncols=6, frameon=False
        )
    return figure


def _draw_fractions(ax: Axes, fractions: pd.DataFrame, sensors: Sequence[str]) -> Any:
    """Draw fractions as numbers on shades; return the image for a colour bar."""
    values = fractions[list(sensors)].to_numpy()
    image = ax.imshow(values, vmin=0, vmax=1, cmap=_SHADES, aspect="auto")
    names = [str(p) for p in fractions.index]
    if "windows" in fractions.columns:
        counts = fractions["windows"].astype(int)
        names = [f"{p} ({n})" for p, n in zip(names, counts, strict=True)]
    ax.set_xticks(range(len(sensors)), list(sensors))
    ax.set_yticks(range(len(names)), [printable(n) for n in names])
    ax.tick_params(length=0)
    for i, row in enumerate(values):
        for j, share in enumerate(row):
            ink = "black" if share > 0.5 else "white"
            ax.text(j, i, f"{share:.0%}", ha="center", va="center", color=ink)
    ax.set_ylabel("participant (windows)")
    return image


def _draw_lanes(
    ax: Axes,
    table: pd.DataFrame,
    participants: Sequence[str],
    named: tuple[Sequence[str], Sequence[str]],
    step: float,
) -> None:
    """Draw for each participant a lane of conditions, and one per sensor, over time."""
    sensors, conditions = named
    shades, hues = colormaps[_SHADES], colormaps[_HUES].resampled(8)
    owners = table["subject"].astype(str).to_numpy()
    longest = max((owners == p).sum() for p in participants)
    many = len(sensors) + 2  # the last lane is a gap
    cells = np.ones((many * len(participants), longest, 4))
    for i, participant in enumerate(participants):
        windows = table[owners == participant]
        n = len(windows)
        for j, name in enumerate(conditions):
            columns = np.flatnonzero((windows[LABEL] == name).to_numpy())
            cells[many * i, columns] = hues(j % 8)
        for k, sensor in enumerate(sensors):
            values = windows[f"{VALID_FRACTION}{sensor}"].to_numpy(np.float64)
            cells[many * i + 1 + k, :n] = shades(np.nan_to_num(values))
    extent = (0.0, longest * step / 60, len(participants) - 0.5, -0.5)
    ax.imshow(cells, aspect="auto", interpolation="nearest", extent=extent)
    ax.set_xlabel("time (min of windows, trials concatenated)")
    ax.tick_params(length=0, axis="y", labelleft=False)


def missing_reasons(table: pd.DataFrame, sensors: Sequence[str]) -> pd.DataFrame:
    """Return the proportions of present and missing values of each sensor, by reason.

    One row per sensor; columns ``present`` and one per reason.
    """
    from physio.core.missing import MissingReason

    proportions = {}
    for sensor in sensors:
        columns = [
            c
            for c in table.columns
            if str(c).startswith(f"{sensor}.") and str(c).endswith(".missing")
        ]
        codes = table[columns].to_numpy().ravel()
        counts = np.bincount(codes.astype(np.intp), minlength=len(MissingReason))
        proportions[sensor] = {
            ("present" if r is MissingReason.OK else r.words): counts[r]
            / max(len(codes), 1)
            for r in MissingReason
        }
    shares = pd.DataFrame(proportions).T
    shown = [c for c in shares.columns if c == "present" or shares[c].max() > 0]
    return shares[shown]


def windows_per_condition(table: pd.DataFrame) -> pd.DataFrame:
    """Return the number of windows of each participant and condition."""
    labelled = table[table[LABEL] != ""]
    counts = pd.crosstab(labelled["subject"].astype(str), labelled[LABEL])
    return counts.reindex(natural_sorted(counts.index))
