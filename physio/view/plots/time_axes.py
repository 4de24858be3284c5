"""Figure of panels that share one time axis."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from physio.core.events import Events
from physio.view.labels import OriginLabel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK: Final = "#333333"
PALE: Final = "#BBBBBB"

MICRO: Final = "\N{MICRO SIGN}"

_MICRO: Final = re.compile(r"\bu([VSg])")
_BADGES: Final = ("#E69F00", "#AA3377")
_TINTS: Final = (
    "#77AADD", "#EE8866", "#EEDD88", "#44BB99", "#FFAABB", "#BBCC33", "#99DDFF",
    "#AAAA00",
)  # fmt: skip
"""Light colours for conditions, for colour-vision deficiency too (Tol, `light`)."""


class ConditionInterval(NamedTuple):
    """A condition with its begin and end (s, session clock)."""

    name: str
    begin: float
    end: float


def display_unit(unit: str) -> str:
    """Return a unit as people write it, empty for a number without one.

    Files and column names keep ASCII (``uS``); what is displayed has the micro sign.
    """
    if unit in {"1", "degC"}:
        return "" if unit == "1" else "°C"
    return _MICRO.sub(f"{MICRO}\\1", unit)


def condition_spans(conditions: Events, end: float) -> list[ConditionInterval]:
    """Return the conditions of a study from their events.

    A condition lasts until its channel ``end`` (s, session clock) or for its channel
    ``seconds``; without these it lasts until the next condition begins, and the last
    one until ``end``.
    """
    begins = conditions.times
    names = conditions.info.names
    if "end" in names:
        ends = conditions.data[:, names.index("end")]
    elif "seconds" in names:
        ends = begins + conditions.data[:, names.index("seconds")]
    else:
        ends = np.append(begins[1:], end)
    named = conditions.labels or ("",) * len(begins)
    rows = zip(named, begins.tolist(), ends.tolist(), strict=True)
    return [ConditionInterval(*row) for row in rows]


def condition_tints(parts: Sequence[ConditionInterval]) -> dict[str, str]:
    """Return the colour of each condition by its name."""
    names = list(dict.fromkeys(part.name for part in parts))
    return {name: _TINTS[i % len(_TINTS)] for i, name in enumerate(names)}


def short_names(
    parts: Sequence[ConditionInterval], begin: float, end: float, characters: float
) -> list[str]:
    """Return the text of each condition that fits into its band.

    Parameters
    ----------
    parts
        The conditions, in order of time.
    begin, end
        Limits of the time axis (s, session clock).
    characters
        Number of characters that fit across the axis.

    Returns
    -------
    list of str
        The name where it fits, else the number of the condition (from 1) where that
        fits, else nothing. Where conditions overlap, the later one begins a band.
    """
    texts = []
    following = [*(part.begin for part in parts[1:]), end]
    for i, (part, latest) in enumerate(zip(parts, following, strict=False)):
        first, last = max(part.begin, begin), min(part.end, end)
        if part.begin < latest < part.end:
            last = min(last, latest)
        room = (last - first) / max(end - begin, 1e-9) * characters
        number = f"{i + 1}"
        texts.append(next((t for t in (part.name, number) if len(t) <= room), ""))
    return texts


class TimeAxes:
    """Figure with a title, badges and panels that share the time axis.

    Parameters
    ----------
    title
        Title of the figure.
    labels
        Badges of the data's origins.
    about
        Meaning of the numbers.
    heights
        Relative heights of the panels.
    begin, end
        Limits of the time axis (s, session clock).
    """

    def __init__(
        self,
        title: str,
        labels: Sequence[OriginLabel],
        about: str,
        heights: Sequence[float],
        begin: float,
        end: float,
    ) -> None:
        self.begin, self.end = begin, max(end, begin + 1e-3)
        badges = [f"{label.badge}: {label.meaning}" for label in labels]
        lines = [*badges, *([about] if about else [])]
        top = 0.75 + 0.19 * len(lines)  # height of the title and the strip (inches)
        height = top + 0.75 + 0.95 * sum(heights)
        self._inch = 1 / height
        from physio.view.plots.plain_text import PlainTextFigure  # loads matplotlib

        self.figure = PlainTextFigure(figsize=(12, height), dpi=100, facecolor="white")
        self.figure.set_layout_engine("none")  # whatever the user's settings are
        grid = self.figure.add_gridspec(
            max(1, len(heights)), 1, height_ratios=list(heights) or [1], hspace=0.12,
            left=0.118, right=0.985, top=1 - top / height, bottom=0.7 / height,
        )  # fmt: skip
        self.axes: list[Axes] = []
        for i in range(len(heights)):
            shared = self.axes[0] if self.axes else None
            self.axes.append(self.figure.add_subplot(grid[i], sharex=shared))
        self._draw_header(title, labels, lines)
        self._format_time_axis()

    def label_panel(self, ax: "Axes", text: str) -> None:
        """Write the name of a panel to its left."""
        box = ax.get_position()
        middle = (box.y0 + box.y1) / 2
        self.figure.text(0.012, middle, text, fontsize=9, va="center", linespacing=1.4)

    def draw_conditions(self, parts: Sequence[ConditionInterval]) -> None:
        """Draw the conditions as bands, with their names above the panels."""
        if not parts or not self.axes:
            return
        tint = condition_tints(parts)
        box = self.axes[0].get_position()
        strip = self.figure.add_axes(
            (box.x0, box.y1 + 0.05 * self._inch, box.width, 0.2 * self._inch)
        )
        strip.set(xlim=(self.begin, self.end), ylim=(0, 1))
        strip.axis("off")
        # About 170 characters of this size fit across the panels.
        texts = short_names(parts, self.begin, self.end, 170)
        for part, text in zip(parts, texts, strict=True):
            colour = tint[part.name]
            begin, end = max(part.begin, self.begin), min(part.end, self.end)
            if begin >= end:  # after the end of the session
                continue
            strip.axvspan(begin, end, color=colour, lw=0)
            for ax in self.axes:
                ax.axvspan(begin, end, color=colour, alpha=0.16, lw=0, zorder=0)
            strip.text(
                (begin + end) / 2, 0.45, text, fontsize=8, ha="center", va="center"
            )

    def draw_markers(self, markers: Mapping[float, str]) -> None:
        """Draw markers as lines through all panels, with labels if they fit."""
        if not self.axes:
            return
        top = self.axes[0]
        free, room = -np.inf, (self.end - self.begin) / 170
        for time, label in sorted(markers.items()):
            for ax in self.axes:
                ax.axvline(time, color=INK, lw=0.7, ls=":", zorder=1)
            width = room * (len(label[:24]) + 3)
            inside = time + width <= self.end
            if label and time - (0 if inside else width) >= free:
                top.annotate(
                    f"▾ {label}"[:24] if inside else f"{label} ▾"[-24:],
                    (time, 1), (2 if inside else -2, -2), ("data", "axes fraction"),
                    "offset points", fontsize=7, ha="left" if inside else "right",
                    va="top", color=INK, bbox={"facecolor": "white", "edgecolor":
                    "none", "alpha": 0.7, "pad": 0.5}, zorder=5,
                )  # fmt: skip
                free = time + width

    def draw_footer(self, text: str, note: str) -> None:
        """Write a line below the panels: citation, and a note."""
        room = 205 - len(note)  # characters of this size that fit across the page
        text = text if len(text) <= room else f"{text[: room - 1]}…"
        y = 0.1 * self._inch
        self.figure.text(0.012, y, text, fontsize=7, color=INK)
        self.figure.text(0.985, y, note, fontsize=7, ha="right", color=INK)

    def _draw_header(
        self, title: str, labels: Sequence[OriginLabel], lines: Sequence[str]
    ) -> None:
        text, y = self.figure.text, 1 - 0.12 * self._inch
        text(0.012, y, title, fontsize=14, weight="bold", va="top")
        x = 0.985
        for i, label in reversed(list(enumerate(labels))):
            text(
                x, y - 0.03 * self._inch, label.badge, fontsize=11, weight="bold",
                color="white" if i else "black", ha="right", va="top",
                bbox={"facecolor": _BADGES[i % 2], "edgecolor": "none", "pad": 4},
            )  # fmt: skip
            x -= 0.0095 * len(label.badge) + 0.02
        for i, line in enumerate(lines):
            text(0.012, y - (0.32 + 0.19 * i) * self._inch, line, fontsize=8.5,
                 va="top", color=INK)  # fmt: skip

    def _format_time_axis(self) -> None:
        if not self.axes:
            return
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        unit, name = (60.0, "minutes") if self.end - self.begin > 180 else (1.0, "s")
        for ax in self.axes:
            ax.spines[["top", "right"]].set_visible(False)
            ax.tick_params(labelsize=8, labelbottom=ax is self.axes[-1])
            ax.set_xlim(self.begin, self.end)
            ax.yaxis.set_major_locator(MaxNLocator(3))
        last = self.axes[-1]
        steps = MaxNLocator(12, steps=[1, 2, 5, 10])
        ticks = np.array(steps.tick_values(0, (self.end - self.begin) / unit))
        inside = ticks[(ticks >= 0) & (ticks * unit <= self.end - self.begin)]
        last.set_xticks(self.begin + inside * unit)
        begin = self.begin
        last.xaxis.set_major_formatter(
            FuncFormatter(lambda x, _: f"{(x - begin) / unit:g}")
        )
        last.set_xlabel(f"time ({name})", fontsize=9)
