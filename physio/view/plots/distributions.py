"""Figure of the distributions of measures in each condition."""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from physio.core.block import Array, Block
from physio.core.printable import printable
from physio.view.labels import COLOURS, estimated_dimensions
from physio.view.plots.plain_text import PlainTextFigure
from physio.view.plots.time_axes import (
    ConditionInterval,
    condition_tints,
    display_unit,
)

MEASURES: Final = (
    "tonic", "scr_rate", "scr_amplitude", "rate", "rmssd", "amplitude", "activity",
    "level", "slope",
)  # fmt: skip
"""Last parts of the names of the features that reports summarise."""

_MOST: Final = 12  # measures
_FEWEST: Final = 2  # values of a box


class Measure(NamedTuple):
    """A measure over time, with the length of its window (s)."""

    name: str
    unit: str
    times: Array
    values: Array
    window: float

    def inside(self, part: ConditionInterval) -> Array:
        """Return the present values in a condition."""
        chosen = self.values[(self.times >= part.begin) & (self.times < part.end)]
        return chosen[np.isfinite(chosen)]

    def is_short(self, part: ConditionInterval) -> bool:
        """Return whether a condition is shorter than the window."""
        return part.end - part.begin < self.window


def measures(features: Block | None, estimates: Block | None) -> list[Measure]:
    """Return the summarised features and the estimates that have a value."""
    chosen: list[Measure] = []
    for block in filter(None, (features, estimates)):
        names = (
            [
                n
                for n in block.info.names
                if n.rpartition(".")[2] in MEASURES and n.count(".") == 1
            ]
            if block is features
            else list(estimated_dimensions(block.info))
        )
        for name in names:
            channel = block.info.channels[block.info.names.index(name)]
            values = block.column(name)
            if np.isfinite(values).any():
                unit = display_unit(channel.unit)
                chosen.append(Measure(name, unit, block.times, values, channel.memory))
    return chosen


def baseline_of(parts: Sequence[ConditionInterval]) -> int:
    """Return the number of the condition that serves as the baseline of figures.

    The first whose name has the word "baseline", else "rest", else the first.
    """
    for words in (r"baseline", r"rest(ing)?"):
        for i, part in enumerate(parts):
            if re.search(rf"(?<![a-z]){words}(?![a-z])", part.name.lower()):
                return i
    return 0


def distribution_figure(
    chosen: Sequence[Measure], parts: Sequence[ConditionInterval]
) -> Figure | None:
    """Draw each measure in each condition, less its mean in the baseline.

    Measures without a value in the baseline are left out. Boxes have the quartiles of
    the values over time, whiskers the 5th and 95th percentile. A box of a condition
    shorter than the measure's window is hollow. None with fewer than two conditions, or
    if no measure has a value in the baseline.
    """
    if len(parts) < 2 or not chosen:
        return None
    reference = baseline_of(parts)
    drawn = [m for m in chosen if len(m.inside(parts[reference]))][:_MOST]
    if not drawn:
        return None
    tint = condition_tints(parts)
    columns = 1 if len(parts) > 16 else 2
    rows = -(-len(drawn) // columns)
    figure = PlainTextFigure((11, 0.8 + 1.7 * rows), layout="constrained")
    axes: Any = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for ax, measure in zip(axes.flat, drawn, strict=False):
        _draw_boxes(ax, measure, parts, reference, tint)
    for ax in axes.flat[len(drawn) :]:
        ax.set_visible(False)
    labels = [f"{i + 1}. {printable(p.name)[:16]}" for i, p in enumerate(parts)]
    for column in range(columns):
        last = [ax for ax in axes[:, column] if ax.get_visible()]
        if last:
            last[-1].set_xticks(range(len(parts)), labels, rotation=30, ha="right")
            last[-1].tick_params(labelbottom=True)
    return figure


def _draw_boxes(
    ax: Any,
    measure: Measure,
    parts: Sequence[ConditionInterval],
    reference: int,
    tint: dict[str, str],
) -> None:
    offset = float(measure.inside(parts[reference]).mean())
    for i, part in enumerate(parts):
        values = measure.inside(part) - offset
        if len(values) < _FEWEST:
            ax.text(i, 0, "missing", fontsize=6, rotation=90, ha="center", va="bottom")
            continue
        hollow = measure.is_short(part)
        ax.boxplot(
            values, positions=[i], widths=0.6, whis=(5, 95), showfliers=False,
            patch_artist=True, manage_ticks=False,
            boxprops={"facecolor": "none" if hollow else tint[part.name],
                      "linestyle": "--" if hollow else "-", "linewidth": 0.8},
            medianprops={"color": COLOURS.get(measure.name, "#333333"),
                         "linewidth": 1.6},
            whiskerprops={"linewidth": 0.8}, capprops={"linewidth": 0.8},
        )  # fmt: skip
    ax.axhline(0, color="0.6", lw=0.8, zorder=0)
    ax.set_xlim(-0.6, len(parts) - 0.4)
    unit = f" ({measure.unit})" if measure.unit else ""
    ax.set_title(f"{measure.name}{unit}", fontsize=9, loc="left")
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
