"""Colour themes and figure templates that all dashboard figures share."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from bokeh.models import BoxAnnotation, CustomJSTickFormatter, Range1d
from bokeh.plotting import figure

from physio.view.labels import COLOURS
from physio.view.terminal.layout import HUES

GOOD, POOR, LOST, MUTED = "good", "poor", "lost", "muted"
SIGNS: Final = {GOOD: "", POOR: "▲ ", LOST: "✕ ", MUTED: "○ "}
"""Sign before a channel's name, so that states do not depend on colour alone."""

FONT: Final = "system-ui, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif"
_CLOCK: Final = """
const s = Math.round(tick - begin), sign = s < 0 ? "-" : "", a = Math.abs(s)
return sign + Math.floor(a / 60) + ":" + String(a % 60).padStart(2, "0")
"""
_TEX: Final = re.compile(r"\$\$|\\\(|\\\[")


@dataclass(frozen=True)
class Theme:
    """Colours of a page, distinguishable with colour-vision deficiency."""

    name: str
    page: str
    card: str
    ink: str
    dim: str
    grid: str
    trace: str
    poor: str
    lost: str
    demo: str
    hues: dict[str, str] = field(hash=False)
    series: tuple[str, ...]
    palette: str
    bands: tuple[str, ...]

    def colour(self, state: str) -> str:
        """Return the colour of a signal in a state."""
        known = {POOR: self.poor, LOST: self.lost, MUTED: self.dim}
        return known.get(state, self.trace)


LIGHT: Final = Theme(
    "light", "#eef0f3", "#ffffff", "#1a2029", "#5b6675", "#e3e7ed", "#34495e",
    "#c77700", "#c8321e", "#8a5a9e", dict(COLOURS),
    ("#0072b2", "#b34d80", "#7a5c00"), "Cividis256",
    ("#5b6675", "#0072b2", "#c25400", "#00795a", "#a33a70"),
)  # fmt: skip
DARK: Final = Theme(
    "dark", "#0e1217", "#171d25", "#e8ecf1", "#9aa7b6", "#28313c", "#b9c8d8",
    "#f0a830", "#ff7a5c", "#c79be0", dict(HUES),
    ("#56b4e9", "#f29ac0", "#e0c050"), "Cividis256",
    ("#9aa7b6", "#56b4e9", "#f0a050", "#2fbf9b", "#f29ac0"),
)  # fmt: skip
THEMES: Final = {theme.name: theme for theme in (LIGHT, DARK)}


@lru_cache
def asset(name: str) -> str:
    """Return the text of a file of the dashboard's folder."""
    return (Path(__file__).parents[1] / name).read_text("utf-8")


def plain_text(text: str, longest: int = 40) -> str:
    """Return an external text for a figure: short, one line, without TeX."""
    line = "".join(c if c.isprintable() else " " for c in text)
    line = _TEX.sub(lambda m: " ".join(m.group()), line)
    return line if len(line) <= longest else line[: longest - 1] + "…"


def new_figure(theme: Theme, **settings: Any) -> figure:
    """Return an empty figure in a theme's colours, without a toolbar."""
    fig = figure(
        toolbar_location=None,
        tools="",
        sizing_mode="stretch_both",
        output_backend="canvas",
        background_fill_color=theme.card,
        border_fill_color=theme.card,
        outline_line_color=None,
        **{"min_border": 8, **settings},
    )
    for axis in fig.axis:
        axis.axis_line_color = theme.grid
        axis.major_tick_line_color = theme.grid
        axis.minor_tick_line_color = None
        axis.major_label_text_color = theme.dim
        axis.major_label_text_font = FONT
        axis.major_label_text_font_size = "10px"
        axis.axis_label_text_color = theme.dim
        axis.axis_label_text_font = FONT
        axis.axis_label_text_font_size = "10px"
        axis.axis_label_text_font_style = "normal"
    fig.grid.grid_line_color = theme.grid
    fig.grid.grid_line_width = 1
    return fig


def new_time_figure(theme: Theme, **settings: Any) -> figure:
    """Return a figure over time, with ticks in min:s since the session began."""
    borders = {"min_border_right": 18, "min_border_left": 44, "min_border_bottom": 20}
    fig = new_figure(theme, x_range=Range1d(0, 1), **{**borders, **settings})
    fig.xaxis.formatter = CustomJSTickFormatter(args={"begin": 0.0}, code=_CLOCK)
    fig.xgrid.grid_line_color = None
    fig.yaxis.ticker.desired_num_ticks = 3
    return fig


def show_last(fig: figure, seconds: float, now: float, zero: float) -> float:
    """Show the last ``seconds`` before ``now``; return the begin of the axis (s).

    The axis begins at most 20 s before ``now`` while the session, begun at ``zero``
    (s, session clock), is younger; its ticks count from ``zero``.
    """
    begin = now - 20.0
    if zero == zero:
        begin = max(now - seconds, min(zero, begin))
    if fig.xaxis.formatter.args.get("begin") != zero:
        fig.xaxis.formatter.args = {"begin": zero}
    # Marks of the present are whole.
    fig.x_range.update(start=begin, end=now + 0.02 * (now - begin))
    return begin


def add_hatching(theme: Theme, fig: figure) -> BoxAnnotation:
    """Add a hatching over the whole figure, hidden at first, and return it."""
    box = BoxAnnotation(
        fill_color=theme.demo,
        fill_alpha=0.04,
        hatch_pattern="right_diagonal_line",
        hatch_color=theme.demo,
        hatch_alpha=0.13,
        hatch_scale=18,
        hatch_weight=0.8,
        line_color=None,
        level="underlay",
        visible=False,
    )
    fig.add_layout(box)
    return box
