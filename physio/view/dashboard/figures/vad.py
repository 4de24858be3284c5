"""Figures of valence, arousal and dominance: present state, and course over time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from bokeh.models import (
    ColumnDataSource,
    FixedTicker,
    Label,
    Range1d,
    Span,
)

from physio.core.block import Array, Origin
from physio.core.missing import missing_reason
from physio.view.dashboard.evidence import interval_coverage
from physio.view.dashboard.figures.ring_buffer import RingBuffer
from physio.view.dashboard.figures.theme import (
    Theme,
    add_hatching,
    new_figure,
    new_time_figure,
    plain_text,
    show_last,
)
from physio.view.dashboard.session_state import Marker, SessionState
from physio.view.labels import ENDS, reason_words
from physio.view.plots.envelope import code_runs

TRAIL_SECONDS: Final = 30.0
"""Length of the trail in the plane (s)."""

_EDGE: Final = 1.14  # of the axes: marks at the ends of the scale are whole
_TURN: Final = np.linspace(0, 2 * np.pi, 61)
_Z: Final = {50: 0.6745, 80: 1.2816, 95: 1.96}


def withheld_reason(session: SessionState) -> str:
    """Return the reason for which no dimension is shown yet; empty if one is shown."""
    buffer = session.estimates
    if buffer is None or not len(buffer):
        return "no estimates are computed"
    if not np.isfinite(session.baseline_period()[0]):
        values = [buffer.last(d, session.now) for d in session.dimensions]
        code = min((int(missing_reason(v)[0]) for v in values), default=0)
        return f"no estimate: {reason_words(code)}" if code else ""
    remaining = session.baseline_remaining
    if remaining > 0:
        return f"baseline: {remaining:.0f} s remaining"
    return ""


def missing_text(session: SessionState, name: str) -> str:
    """Return the reason for which a dimension has no estimate now; empty if it has."""
    reason = withheld_reason(session)
    buffer = session.estimates
    if buffer is not None and name not in session.dimensions:
        return "not estimated"
    if reason or buffer is None:
        return reason
    value = buffer.last(name, session.now)
    if np.isfinite(value):
        return ""
    code = int(missing_reason(value)[0])
    if f"{name}.missing" in buffer.info.names:
        given = buffer.last(f"{name}.missing", session.now)
        code = int(given) if given > 0 else code
    return f"no estimate: {reason_words(code)}"


def is_demo(session: SessionState) -> bool:
    """Return True if the estimates come from demonstration weights."""
    buffer = session.estimates
    return buffer is not None and buffer.info.origin is Origin.DEMO


@dataclass
class ValenceArousalPlane:
    """Present estimate in the plane of valence and arousal, with trail and intervals.

    Ellipses are the 50 % and 80 % intervals of each axis; each is drawn only if its
    coverage was measured for both.
    """

    theme: Theme

    def __post_init__(self) -> None:
        theme = self.theme
        # Both axes are narrower than the borders, so that a square has a square plane.
        fig = self.root = new_figure(
            theme,
            x_range=Range1d(-_EDGE, _EDGE),
            y_range=Range1d(-_EDGE, _EDGE),
            min_border_left=28,
            min_border_bottom=28,
            min_border_right=8,
            min_border_top=8,
        )
        self._hatch = add_hatching(theme, fig)
        for axis, name in ((fig.xaxis, "valence"), (fig.yaxis, "arousal")):
            low, high = ENDS[name]
            # Names of the ends lie within the frame, so that none is cut off.
            axis.ticker = FixedTicker(ticks=[-0.74, 0, 0.78])
            axis.major_label_overrides = {-0.74: low, 0: name, 0.78: high}
            axis.major_tick_line_color = None
        fig.grid.ticker = FixedTicker(ticks=[-1, -0.5, 0, 0.5, 1])
        fig.yaxis.major_label_orientation = "vertical"
        for where in ("width", "height"):
            fig.add_layout(
                Span(location=0, dimension=where, line_color=theme.dim, line_width=1)
            )
        self._ellipses = ColumnDataSource({"x": [], "y": []})
        self._trail = ColumnDataSource({"x": [], "y": [], "a": [], "s": []})
        self._now = ColumnDataSource({"x": [], "y": []})
        self._rated = ColumnDataSource({"x": [], "y": []})
        self._true = ColumnDataSource({"x": [], "y": []})
        ink = theme.series[0]
        fig.patches(
            "x", "y", source=self._ellipses, fill_color=ink, fill_alpha=0.13,
            line_color=ink, line_alpha=0.6,
        )  # fmt: skip
        fig.scatter(
            "x",
            "y",
            source=self._trail,
            size="s",
            color=ink,
            alpha="a",
            line_color=None,
        )
        fig.scatter(
            "x", "y", source=self._rated, size=11, marker="diamond",
            fill_color=theme.card, line_color=theme.ink, line_width=1.5,
        )  # fmt: skip
        fig.scatter(
            "x", "y", source=self._true, size=13, marker="x", line_color=theme.ink,
            line_width=2,
        )  # fmt: skip
        fig.scatter(
            "x", "y", source=self._now, size=15, fill_color=ink,
            line_color=theme.card, line_width=2,
        )  # fmt: skip
        self._message = Label(
            x=0, y=0, text="", text_align="center", text_baseline="middle",
            text_color=theme.ink, text_font_size="12px",
            background_fill_color=theme.card, background_fill_alpha=0.9, padding=6,
        )  # fmt: skip
        fig.add_layout(self._message)

    def update(self, session: SessionState) -> None:
        """Draw the present state."""
        message = withheld_reason(session)
        for name in ("valence", "arousal"):
            reason = missing_text(session, name)
            message = message or (f"{name}: {reason}" if reason else "")
        self._message.update(text=message, visible=bool(message))
        self._hatch.visible = is_demo(session)
        none: dict[str, Any] = {"x": [], "y": []}
        ratings = [r.values for r in session.rated()]
        both = [r for r in ratings if {"valence", "arousal"} <= r.keys()][-5:]
        _set_data(
            self._rated,
            {"x": [r["valence"] for r in both], "y": [r["arousal"] for r in both]},
        )
        buffer = session.estimates
        if message or buffer is None:
            _set_data(self._now, none)
            _set_data(self._true, none)
            _set_data(self._ellipses, none)
            _set_data(self._trail, {**none, "a": [], "s": []})
            return
        self._draw(session)

    def _draw(self, session: SessionState) -> None:
        buffer, now = session.estimates, session.now
        if buffer is None:
            return
        baseline, length = session.baseline_period()
        begin = max(now - TRAIL_SECONDS, baseline + length)
        times, v = buffer.column("valence", begin, now + 1e-6)
        _, a = buffer.column("arousal", begin, now + 1e-6)
        age = (now - times) / TRAIL_SECONDS
        good = np.isfinite(v) & np.isfinite(a)
        _set_data(
            self._trail,
            {
                "x": v[good],
                "y": a[good],
                "a": 0.45 * np.clip(1 - age[good], 0.03, 1) ** 1.5,
                "s": 3 + 6 * np.clip(1 - age[good], 0, 1),
            },
        )
        x, y = v[-1:], a[-1:]
        _set_data(self._now, {"x": x, "y": y})
        sds = [buffer.last(f"{d}.sd", now) for d in ("valence", "arousal")]
        rings: dict[str, list[Array]] = {"x": [], "y": []}
        coverage = (
            interval_coverage(session, "valence"),
            interval_coverage(session, "arousal"),
        )
        if len(x) and all(coverage) and np.isfinite(sds).all():
            for share in sorted(coverage[0].keys() & coverage[1].keys() & {50, 80}):
                half_v, half_a = (
                    float(_half_widths(buffer, d, share, begin, now + 1e-6)[-1])
                    for d in ("valence", "arousal")
                )
                rings["x"].append(x[0] + half_v * np.cos(_TURN))
                rings["y"].append(y[0] + half_a * np.sin(_TURN))
        _set_data(self._ellipses, rings)
        if session.truth is not None and len(session.truth):
            at = [session.truth.last(d, now) for d in ("valence", "arousal")]
            _set_data(self._true, {"x": at[:1], "y": at[1:]})


@dataclass
class VadHistory:
    """Course of one dimension with its intervals; hatched without an estimate."""

    theme: Theme
    name: str
    seconds: float = 120.0
    _marks: list[Span] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        theme, hue = self.theme, self.theme.hues[self.name]
        fig = self.root = new_time_figure(
            theme, y_range=Range1d(-_EDGE, _EDGE), min_border_left=78
        )
        low, high = ENDS[self.name]
        fig.yaxis.ticker = FixedTicker(ticks=[-1, 0, 1])
        fig.yaxis.major_label_overrides = {-1: low, 0: self.name, 1: high}
        self._hatch = add_hatching(theme, fig)
        self._bands = ColumnDataSource({"x": [], "y": [], "a": []})
        self._line = ColumnDataSource({"t": [], "y": []})
        self._true = ColumnDataSource({"t": [], "y": []})
        self._none = ColumnDataSource({"l": [], "r": []})
        self._rated = ColumnDataSource({"t": [], "y": []})
        self._ticks = ColumnDataSource({"t": [], "label": []})
        fig.quad(
            "l", "r", _EDGE, -_EDGE, source=self._none, fill_color=theme.grid,
            fill_alpha=0.35, line_color=None, hatch_pattern="right_diagonal_line",
            hatch_color=theme.dim, hatch_alpha=0.16, hatch_scale=20, level="underlay",
        )  # fmt: skip
        fig.patches(
            "x", "y", source=self._bands, fill_color=hue, fill_alpha="a",
            line_color=None,
        )  # fmt: skip
        fig.line("t", "y", source=self._line, line_color=hue, line_width=2)
        fig.line(
            "t", "y", source=self._true, line_color=theme.ink, line_width=1.2,
            line_dash=[5, 4],
        )  # fmt: skip
        fig.segment(
            "t", -_EDGE, "t", _EDGE, source=self._ticks, line_color=theme.dim,
            line_dash="dotted",
        )  # fmt: skip
        fig.scatter(
            "t", "y", source=self._rated, marker="diamond", size=10,
            fill_color=theme.card, line_color=theme.ink, line_width=1.5,
        )  # fmt: skip
        fig.text(
            "t", 1.0, "label", source=self._ticks, text_font_size="10px",
            text_color=theme.dim, text_baseline="top", x_offset=3,
            background_fill_color=theme.card, background_fill_alpha=0.85,
        )  # fmt: skip
        self._message = Label(
            x=10, y=8, x_units="screen", y_units="screen", text="",
            text_font_size="11px", text_color=theme.ink,
            background_fill_color=theme.card, background_fill_alpha=0.9, padding=4,
        )  # fmt: skip
        fig.add_layout(self._message)

    def update(self, session: SessionState) -> None:
        """Draw the present state."""
        now = session.now
        begin = show_last(self.root, self.seconds, now, session.begin)
        message = missing_text(session, self.name)
        self._message.update(text=message, visible=bool(message))
        self._hatch.visible = is_demo(session)
        marks = [m for m in session.marks if begin <= m.time <= now][-12:]
        labels = spaced_labels(marks, 0.26 * (now - begin))
        _set_data(self._ticks, {"t": [m.time for m in marks], "label": labels})
        rated = [
            (r.time, r.values[self.name])
            for r in session.rated(begin)
            if self.name in r.values
        ]
        _set_data(self._rated, {"t": [t for t, _ in rated], "y": [y for _, y in rated]})
        if session.truth is not None and self.name in session.truth.info.names:
            times, values = session.truth.column(self.name, begin, now)
            _set_data(self._true, {"t": times, "y": values})
        buffer = session.estimates
        if buffer is not None and self.name in session.dimensions:
            self._draw(session, begin, now)

    def _draw(self, session: SessionState, begin: float, now: float) -> None:
        buffer = session.estimates
        if buffer is None:
            return
        times, rows = buffer.window(begin, now + 1e-6)
        names = buffer.info.names
        mean = rows[:, names.index(self.name)].copy()
        column = f"{self.name}.sd"
        sd = np.full(len(rows), np.nan)
        if column in names:
            sd = rows[:, names.index(column)]
        baseline, length = session.baseline_period()
        mean[times < baseline + length] = np.nan
        if not np.isfinite(baseline):
            mean[:] = np.nan
        _set_data(self._line, {"t": times, "y": mean})
        good = np.isfinite(mean)
        if column in names:
            good &= np.isfinite(sd)
        coverage = interval_coverage(session, self.name)
        shares: list[int] = [share for share in (80, 50) if share in coverage]
        widths = {
            share: _half_widths(buffer, self.name, share, begin, now + 1e-6)
            for share in shares
        }
        _set_data(self._bands, _bands(times, mean, good, widths))
        step = 1 / float(buffer.info.rate)
        missing = [
            (float(times[a]), float(times[b - 1]) + step)
            for a, b, _ in code_runs((~good).astype(float))
        ]
        _set_data(
            self._none, {"l": [a for a, _ in missing], "r": [b for _, b in missing]}
        )


def spaced_labels(marks: list[Marker], apart: float) -> list[str]:
    """Return the labels of markers; empty if they would overlap the previous label."""
    labels, free = [], -np.inf
    for mark in marks:
        labels.append(plain_text(mark.label, 12) if mark.time >= free else "")
        free = mark.time + apart if labels[-1] else free
    return labels


def _half_widths(
    buffer: RingBuffer, name: str, share: int, begin: float, end: float
) -> Array:
    """Return half the length of an interval at each time.

    The estimator gives calibrated ones; without them, the distribution is normal.
    """
    names = buffer.info.names
    if (column := f"{name}.ci{share}") in names:
        return buffer.column(column, begin, end)[1]
    return _Z[share] * buffer.column(f"{name}.sd", begin, end)[1]


def _bands(
    times: Array,
    mean: Array,
    good: npt.NDArray[np.bool_],
    widths: Mapping[int, Array],
) -> dict[str, list[Any]]:
    """Return the outlines of intervals, one per uninterrupted run of estimates."""
    out: dict[str, list[Any]] = {"x": [], "y": [], "a": []}
    for width in widths.values():
        for a, b, _ in code_runs(good.astype(float)):
            t, m, s = times[a:b], mean[a:b], width[a:b]
            low, high = np.clip(m - s, -_EDGE, _EDGE), np.clip(m + s, -_EDGE, _EDGE)
            out["x"].append(np.concatenate([t, t[::-1]]))
            out["y"].append(np.concatenate([low, high[::-1]]))
            out["a"].append(0.16)
    return out


def _set_data(source: ColumnDataSource, data: dict[str, Any]) -> None:
    """Set the data of a source, unless it is empty and remains empty."""
    first = next(iter(data.values()))
    if len(first) or len(next(iter(source.data.values()))):
        source.data = data
