"""Valence, arousal and dominance: where they are now, and how they went."""

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
from physio.view.dashboard.attribution import interval
from physio.view.dashboard.figures.theme import (
    Theme,
    blank,
    hatched,
    plain,
    scroll,
    since,
    timed,
)
from physio.view.dashboard.session_state import Mark, SessionState
from physio.view.labels import DIMENSIONS, ENDS, words
from physio.view.plots.envelope import runs

TRAIL: Final = 30.0
"""How much of the past the plane shows (s)."""

_TURN: Final = np.linspace(0, 2 * np.pi, 61)
_Z: Final = {50: 0.6745, 80: 1.2816, 95: 1.96}


def withheld(scene: SessionState) -> str:
    """Return why nothing may be said of affect yet; empty if it may."""
    track = scene.estimates
    if track is None or not len(track):
        return "no estimates are computed"
    if not np.isfinite(scene.resting()[0]):
        values = [track.last(d, scene.now) for d in DIMENSIONS]
        codes = [int(missing_reason(v)[0]) for v in values]
        return f"no estimate: {words(min(codes))}" if min(codes) else ""
    left = scene.rest_left
    return f"baseline: {left:.0f} s left, no estimate before" if left > 0 else ""


def missing(scene: SessionState, name: str) -> str:
    """Return why a dimension is not estimated now; empty if it is."""
    told = withheld(scene)
    track = scene.estimates
    if told or track is None:
        return told
    value = track.last(name, scene.now)
    if np.isfinite(value):
        return ""
    code = int(missing_reason(value)[0])
    if f"{name}.missing" in track.info.names:
        said = track.last(f"{name}.missing", scene.now)
        code = int(said) if said > 0 else code
    return f"no estimate: {words(code)}"


def _demo(scene: SessionState) -> bool:
    track = scene.estimates
    return track is not None and track.info.origin is Origin.DEMO


@dataclass
class Plane:
    """The plane of valence and arousal, with a fading trail and an ellipse.

    The ellipse holds the estimate's interval of each axis; it is drawn only where the
    coverage of the weights was measured.
    """

    theme: Theme

    def __post_init__(self) -> None:
        fig = self.root = blank(
            self.theme,
            "",
            x_range=Range1d(-1.05, 1.05),
            y_range=Range1d(-1.05, 1.05),
        )
        theme = self.theme
        self._hatch = hatched(theme, fig)
        for axis, name in ((fig.xaxis, "valence"), (fig.yaxis, "arousal")):
            low, high = ENDS[name]
            axis.ticker = FixedTicker(ticks=[-1, 0, 1])
            axis.major_label_overrides = {-1: low, 0: name, 1: high}
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
        self._said = Label(
            x=0, y=0, text="", text_align="center", text_baseline="middle",
            text_color=theme.ink, text_font_size="13px",
            background_fill_color=theme.card, background_fill_alpha=0.9, padding=6,
        )  # fmt: skip
        fig.add_layout(self._said)

    def update(self, scene: SessionState) -> None:
        """Draw the present state."""
        told = withheld(scene)
        for name in ("valence", "arousal"):
            told = told or missing(scene, name).replace("no est", f"{name}: no est")
        self._said.update(text=told, visible=bool(told))
        self._hatch.visible = _demo(scene)
        none: dict[str, Any] = {"x": [], "y": []}
        ratings = [r.values for r in scene.rated()]
        both = [r for r in ratings if {"valence", "arousal"} <= r.keys()][-5:]
        _put(
            self._rated,
            {"x": [r["valence"] for r in both], "y": [r["arousal"] for r in both]},
        )
        track = scene.estimates
        if told or track is None:
            _put(self._now, none)
            _put(self._true, none)
            _put(self._ellipses, none)
            _put(self._trail, {**none, "a": [], "s": []})
            return
        self._draw(scene)

    def _draw(self, scene: SessionState) -> None:
        track, now = scene.estimates, scene.now
        if track is None:
            return
        rest, length = scene.resting()
        begin = max(now - TRAIL, rest + length)
        times, v = track.column("valence", begin, now + 1e-6)
        _, a = track.column("arousal", begin, now + 1e-6)
        age = (now - times) / TRAIL
        good = np.isfinite(v) & np.isfinite(a)
        _put(
            self._trail,
            {
                "x": v[good],
                "y": a[good],
                "a": 0.45 * np.clip(1 - age[good], 0.03, 1) ** 1.5,
                "s": 3 + 6 * np.clip(1 - age[good], 0, 1),
            },
        )
        x, y = v[-1:], a[-1:]
        _put(self._now, {"x": x, "y": y})
        sds = [track.last(f"{d}.sd", now) for d in ("valence", "arousal")]
        rings: dict[str, list[Array]] = {"x": [], "y": []}
        told = interval(scene, "valence"), interval(scene, "arousal")
        if len(x) and all(told) and np.isfinite(sds).all():
            for share in (50, 80):
                rings["x"].append(x[0] + _Z[share] * sds[0] * np.cos(_TURN))
                rings["y"].append(y[0] + _Z[share] * sds[1] * np.sin(_TURN))
        _put(self._ellipses, rings)
        if scene.truth is not None and len(scene.truth):
            at = [scene.truth.last(d, now) for d in ("valence", "arousal")]
            _put(self._true, {"x": at[:1], "y": at[1:]})


@dataclass
class VadHistory:
    """One dimension over time, with its interval; hatched where there is none."""

    theme: Theme
    name: str
    seconds: float = 120.0
    _marks: list[Span] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        theme, hue = self.theme, self.theme.hues[self.name]
        fig = self.root = timed(theme, "", y_range=Range1d(-1.05, 1.05))
        low, high = ENDS[self.name]
        fig.yaxis.ticker = FixedTicker(ticks=[-1, 0, 1])
        fig.yaxis.major_label_overrides = {-1: low, 0: self.name, 1: high}
        fig.min_border_left = 74
        self._hatch = hatched(theme, fig)
        self._bands = ColumnDataSource({"x": [], "y": [], "a": []})
        self._line = ColumnDataSource({"t": [], "y": []})
        self._true = ColumnDataSource({"t": [], "y": []})
        self._none = ColumnDataSource({"l": [], "r": []})
        self._rated = ColumnDataSource({"t": [], "y": []})
        self._ticks = ColumnDataSource({"t": [], "label": []})
        fig.quad(
            "l", "r", 1.05, -1.05, source=self._none, fill_color=theme.grid,
            fill_alpha=0.5, line_color=None, hatch_pattern="right_diagonal_line",
            hatch_color=theme.dim, hatch_alpha=0.45, hatch_scale=8, level="underlay",
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
            "t", -1.05, "t", 1.05, source=self._ticks, line_color=theme.dim,
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
        self._said = Label(
            x=10, y=8, x_units="screen", y_units="screen", text="",
            text_font_size="11px", text_color=theme.ink,
            background_fill_color=theme.card, background_fill_alpha=0.9, padding=4,
        )  # fmt: skip
        fig.add_layout(self._said)

    def update(self, scene: SessionState) -> None:
        """Draw the present state."""
        now = scene.now
        begin = since(now, self.seconds, scene.begin)
        scroll(self.root, begin, now, scene.begin)
        told = missing(scene, self.name)
        self._said.update(text=told, visible=bool(told))
        self._hatch.visible = _demo(scene)
        marks = [m for m in scene.marks if begin <= m.time <= now][-12:]
        labels = spaced(marks, 0.13 * (now - begin))
        _put(self._ticks, {"t": [m.time for m in marks], "label": labels})
        rated = [
            (r.time, r.values[self.name])
            for r in scene.rated(begin)
            if self.name in r.values
        ]
        _put(self._rated, {"t": [t for t, _ in rated], "y": [y for _, y in rated]})
        if scene.truth is not None and self.name in scene.truth.info.names:
            times, values = scene.truth.column(self.name, begin, now)
            _put(self._true, {"t": times, "y": values})
        track = scene.estimates
        if track is not None and self.name in track.info.names:
            self._draw(scene, begin, now)

    def _draw(self, scene: SessionState, begin: float, now: float) -> None:
        track = scene.estimates
        if track is None:
            return
        times, rows = track.window(begin, now + 1e-6)
        names = track.info.names
        mean = rows[:, names.index(self.name)].copy()
        sd = rows[:, names.index(f"{self.name}.sd")]
        rest, length = scene.resting()
        mean[times < rest + length] = np.nan
        if not np.isfinite(rest):
            mean[:] = np.nan
        _put(self._line, {"t": times, "y": mean})
        good = np.isfinite(mean) & np.isfinite(sd)
        shares = (80, 50) if interval(scene, self.name) else ()
        _put(self._bands, _bands(times, mean, sd, good, shares))
        step = 1 / float(track.info.rate)
        gone = [
            (float(times[a]), float(times[b - 1]) + step)
            for a, b, _ in runs((~good).astype(float))
        ]
        _put(self._none, {"l": [a for a, _ in gone], "r": [b for _, b in gone]})


def spaced(marks: list[Mark], apart: float) -> list[str]:
    """Return the labels of marks, none where the one before takes its place."""
    found, free = [], -np.inf
    for mark in marks:
        found.append(plain(mark.label, 12) if mark.time >= free else "")
        free = mark.time + apart if found[-1] else free
    return found


def _bands(
    times: Array,
    mean: Array,
    sd: Array,
    good: npt.NDArray[np.bool_],
    shares: tuple[int, ...],
) -> dict[str, list[Any]]:
    """Return the outlines of intervals, one for each run of estimates."""
    out: dict[str, list[Any]] = {"x": [], "y": [], "a": []}
    for share in shares:
        for a, b, _ in runs(good.astype(float)):
            t, m, s = times[a:b], mean[a:b], _Z[share] * sd[a:b]
            low, high = np.clip(m - s, -1.05, 1.05), np.clip(m + s, -1.05, 1.05)
            out["x"].append(np.concatenate([t, t[::-1]]))
            out["y"].append(np.concatenate([low, high[::-1]]))
            out["a"].append(0.16)
    return out


def _put(source: ColumnDataSource, data: dict[str, Any]) -> None:
    """Give a source new data, unless it is empty and stays so."""
    first = next(iter(data.values()))
    if len(first) or len(next(iter(source.data.values()))):
        source.data = data
