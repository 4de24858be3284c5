"""Topographic maps of differential entropy, one per frequency band."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
from bokeh.core.properties import value
from bokeh.core.property.descriptors import UnsetValueError
from bokeh.models import ColumnDataSource, Label, LinearColorMapper, Range1d

from physio.core.block import Array
from physio.view.dashboard.figures.theme import FONT, Theme, new_figure
from physio.view.dashboard.session_state import SessionState
from physio.view.electrodes import electrode_positions

MIN_ELECTRODES: Final = 16
"""Minimum number of electrodes for interpolation; with fewer, dots are drawn."""

_SIDE: Final = 44  # pixels of a map
_HEAD: Final = 0.095  # m, the radius drawn
_TURN: Final = np.linspace(0, 2 * np.pi, 73)
_APART: Final = 2.5  # radii from one head to the next


@lru_cache(maxsize=8)
def _spline_weights(places: tuple[tuple[float, float], ...]) -> Array:
    """Return interpolation weights (thin-plate splines), (pixels, electrodes)."""
    at = np.array(places)
    side = np.linspace(-1, 1, _SIDE)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    n = len(at)
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = _thin_plate(at, at)
    system[:n, n:] = system[n:, :n].T
    flat = np.column_stack([np.ones(n), at])
    system[:n, n:], system[n:, :n] = flat, flat.T
    solved = np.linalg.pinv(system)[:, :n]
    basis = np.hstack([_thin_plate(grid, at), np.ones((len(grid), 1)), grid])
    weights = basis @ solved
    weights[np.hypot(*grid.T) > 1.0] = np.nan
    return np.asarray(weights)


def _thin_plate(a: Array, b: Array) -> Array:
    d = np.sum((a[:, None] - b[None]) ** 2, axis=-1)
    return 0.5 * d * np.log(np.maximum(d, 1e-12))


@dataclass
class TopomapFigure:
    """Topographic maps of differential entropy by band.

    With 16 or more electrodes the maps are interpolated (thin-plate splines); with
    fewer, dots mark the electrodes. The colours of each map range from the smallest to
    the largest present value of its band.
    """

    theme: Theme
    _bands: tuple[str, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        theme = self.theme
        fig = self.root = new_figure(
            theme, "EEG: differential entropy by band",
            x_range=Range1d(-1.2, 1.2), y_range=Range1d(-1.6, 1.6),
        )  # fmt: skip
        fig.axis.visible = False
        fig.grid.visible = False
        self._mapper = LinearColorMapper(
            palette=theme.palette, low=0, high=1, nan_color="rgba(0,0,0,0)"
        )
        self._maps = ColumnDataSource({"image": [], "x": []})
        self._dots = ColumnDataSource({"x": [], "y": [], "v": [], "s": []})
        self._none = ColumnDataSource({"x": [], "y": []})
        self._heads = ColumnDataSource({"x": [], "y": []})
        self._names = ColumnDataSource({"x": [], "name": [], "range": []})
        fig.image("image", "x", -1, 2, 2, source=self._maps, color_mapper=self._mapper)
        fig.multi_line(
            "x", "y", source=self._heads, line_color=theme.dim, line_width=1.5
        )
        fig.scatter(
            "x", "y", source=self._dots, size="s", line_color=theme.dim,
            line_width=0.5, fill_color={"field": "v", "transform": self._mapper},
        )  # fmt: skip
        fig.scatter(
            "x", "y", source=self._none, marker="x", size=7, line_color=theme.lost
        )
        fig.text(
            "x", 1.22, "name", source=self._names, text_align="center",
            text_color=theme.ink, text_font=value(FONT), text_font_size="11px",
        )  # fmt: skip
        fig.text(
            "x", -1.55, "range", source=self._names, text_align="center",
            text_color=theme.dim, text_font=value(FONT), text_font_size="9px",
        )  # fmt: skip
        self._message = Label(
            x=8, y=8, x_units="screen", y_units="screen", text="",
            text_color=theme.dim, text_font=FONT, text_font_size="11px",
        )  # fmt: skip
        fig.add_layout(self._message)

    def update(self, session: SessionState) -> None:
        """Draw the present state."""
        table = _entropy_by_band(session)
        message = "" if table else "EEG entropy: no current values"
        self._message.update(text=message, visible=bool(message))
        if not table:
            return
        bands = tuple(table)
        if bands != self._bands:
            self._bands = bands
            self._draw_heads()
        self._fit_ranges()
        maps: dict[str, list[Any]] = {"image": [], "x": []}
        dots: dict[str, list[float]] = {"x": [], "y": [], "v": [], "s": []}
        none: dict[str, list[float]] = {"x": [], "y": []}
        ranges = []
        for k, band in enumerate(bands):
            values, places = table[band]
            good = np.isfinite(values)
            ranges.append(_range_text(values[good]))
            low, high = (
                (values[good].min(), values[good].max()) if good.any() else (0, 1)
            )
            scaled = (values - low) / max(high - low, 1e-9)
            shift = _APART * k
            if good.sum() >= MIN_ELECTRODES:
                mapped = _spline_weights(tuple(map(tuple, places[good].tolist())))
                image = np.clip(mapped @ scaled[good], 0, 1).reshape(_SIDE, _SIDE)
                maps["image"].append(image.astype(np.float32))
                maps["x"].append(shift - 1)
            size = 3.0 if good.sum() >= MIN_ELECTRODES else 13.0
            dots["x"] += (places[good, 0] + shift).tolist()
            dots["y"] += places[good, 1].tolist()
            dots["v"] += scaled[good].tolist()
            dots["s"] += [size] * int(good.sum())
            none["x"] += (places[~good, 0] + shift).tolist()
            none["y"] += places[~good, 1].tolist()
        self._maps.data, self._dots.data, self._none.data = maps, dots, none
        names = list(bands)
        at = [_APART * k for k in range(len(bands))]
        self._names.data = {"x": at, "name": names, "range": ranges}

    def _draw_heads(self) -> None:
        xs, ys = [], []
        for k in range(len(self._bands)):
            shift = _APART * k
            xs += [np.cos(_TURN) + shift, np.array([-0.13, 0, 0.13]) + shift]
            ys += [np.sin(_TURN), np.array([0.99, 1.13, 0.99])]
        self._heads.data = {"x": xs, "y": ys}

    def _fit_ranges(self) -> None:
        """Set the axis ranges so that all heads are visible and circular."""
        try:
            shape = self.root.inner_width / max(self.root.inner_height, 1)
        except UnsetValueError:
            shape = 2.5
        wide, high = _APART * (len(self._bands) - 1) + 2.4, 3.2
        wide, high = max(wide, high * shape), max(high, wide / shape)
        middle = _APART * (len(self._bands) - 1) / 2
        ranges = self.root.x_range, self.root.y_range
        for axis, at, size in zip(ranges, (middle, 0), (wide, high), strict=True):
            if abs(axis.end - axis.start - size) > 1e-3:
                axis.update(start=at - size / 2, end=at + size / 2)


def _range_text(values: Array) -> str:
    if not len(values):
        return "missing"
    return f"{values.min():.1f} to {values.max():.1f} bit"


def _entropy_by_band(session: SessionState) -> dict[str, tuple[Array, Array]]:
    """Return for each band the newest values and the positions of its electrodes."""
    buffer = session.features
    if buffer is None or not len(buffer):
        return {}
    _, rows = buffer.window(session.now - 2.0, session.now + 1e-6)
    if not len(rows):
        return {}
    places = electrode_positions()
    by_band: dict[str, list[tuple[float, tuple[float, float]]]] = {}
    for name, entropy in zip(buffer.info.names, rows[-1].tolist(), strict=True):
        parts = name.split(".")
        if len(parts) == 4 and parts[1] == "de" and parts[3].lower() in places:
            by_band.setdefault(parts[2], []).append((entropy, places[parts[3].lower()]))
    return {
        band: (np.array([v for v, _ in row]), np.array([p for _, p in row]))
        for band, row in by_band.items()
    }
