"""Figures of measures over conditions: each participant is a line."""

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from physio.core.filename import distinct_filenames
from physio.view.plots.plain_text import PlainTextFigure

_MOST: Final = 200  # figures
_BLUE: Final = "#0072B2"
_ORANGE: Final = "#D55E00"


def plot_measures(table: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw a figure per measure and analysis of a long table; return the files.

    A line per participant joins the included values; excluded values are orange
    crosses; the blue line is the mean of the participants with all conditions. A figure
    that exists is not overwritten.

    Raises
    ------
    ValueError
        If the folder holds a figure of the same name.
    """
    rows = table[(table["measure"] != "") & (table["baseline_role"] != "sensitivity")]
    key = ["recording", "condition", "begin_s", "analysis", "measure"]
    rows = rows.drop_duplicates(key)  # of several sensors, the first
    is_live = rows["analysis"].astype(str).str.startswith("live f")
    stems = rows["measure"].where(~is_live, "live-" + rows["measure"].astype(str))
    names = distinct_filenames(stems.unique())
    drawn: list[Path] = []
    folder.mkdir(parents=True, exist_ok=True)
    for stem, part in rows.groupby(stems, sort=False):
        if len(drawn) == _MOST:
            break
        if not np.isfinite(part["value"]).any():
            continue
        path = folder / f"{names[str(stem)]}.png"
        if path.exists():
            raise ValueError(
                f"{path} exists, and is not overwritten: give another folder to --plots"
            )
        measure_figure(part).savefig(path, dpi=120)
        drawn.append(path)
    return drawn


def measure_figure(rows: pd.DataFrame) -> PlainTextFigure:
    """Return the figure of one measure: rows of a long table, one per value."""
    place = rows["condition"] + np.where(
        rows["repeat"] > 1, " " + rows["repeat"].astype(int).astype(str), ""
    )
    rows = rows.assign(place=place)
    order = rows.groupby("place")["position"].median().sort_values(kind="stable")
    at = {name: i for i, name in enumerate(order.index)}
    figure = PlainTextFigure(
        figsize=(max(4.5, 1.2 + 0.9 * len(at)), 3.6), layout="constrained"
    )
    axis = figure.subplots()
    included = rows[(rows["exclusion"] == "") & rows["value"].notna()]
    excluded = rows[(rows["exclusion"] != "") & rows["value"].notna()]
    for _, part in included.groupby("participant"):
        x = part["place"].map(at)
        ranks = np.argsort(x.to_numpy())
        axis.plot(
            x.to_numpy()[ranks], part["value"].to_numpy()[ranks],
            color="0.6", lw=1, marker="o", ms=3,
        )  # fmt: skip
    axis.plot(
        excluded["place"].map(at), excluded["value"], ls="", marker="x", color=_ORANGE
    )
    wide = included.pivot_table(index="participant", columns="place", values="value")
    complete = wide.reindex(columns=list(at)).dropna()
    if len(complete) > 1:
        axis.plot(range(len(at)), complete.mean(), color=_BLUE, lw=2.5, marker="o")
    first = rows.iloc[0]
    unit = f" ({first['unit']})" if first["unit"] not in ("", "1") else ""
    axis.set_ylabel(f"{first['measure']}{unit}")
    axis.set_xticks(range(len(at)), list(at), rotation=30 if len(at) > 4 else 0)
    axis.set_xlim(-0.4, len(at) - 0.6)
    axis.set_title(
        f"{included['participant'].nunique()} participants, {len(complete)} with all "
        f"conditions; {first['analysis']}",
        fontsize=8,
    )
    axis.spines[["top", "right"]].set_visible(False)
    if len(excluded):
        axis.set_xlabel("orange: excluded values", fontsize=8, color=_ORANGE)
    return figure
