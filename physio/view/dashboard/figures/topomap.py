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
_APART: Final = 3.0, 3.4  # radii from one head to the next, across and down
_DOT: Final = 0.17  # radii, of the dot of an electrode
_MOST_R: Final = 1.0  # radii, within which electrodes are drawn


def _on_head(x: float, y: float) -> tuple[float, float]:
    """Return the position of an electrode, moved to the edge if it lies below it."""
    shrink = max(1.0, float(np.hypot(x, y)) / _MOST_R)
    return x / shrink, y / shrink


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
    _layout: tuple[Any, ...] = field(default=(), init=False)
    _middles: list[tuple[float, float]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        theme = self.theme
        fig = self.root = new_figure(
            theme, x_range=Range1d(-1.2, 1.2), y_range=Range1d(-1.6, 1.6), min_border=2
        )
        fig.axis.visible = False
        fig.grid.visible = False
        self._mapper = LinearColorMapper(
            palette=theme.palette, low=0, high=1, nan_color="rgba(0,0,0,0)"
        )
        self._maps = ColumnDataSource({"image": [], "x": [], "y": []})
        self._dots = ColumnDataSource({"x": [], "y": [], "v": [], "s": []})
        self._none = ColumnDataSource({"x": [], "y": []})
        self._heads = ColumnDataSource({"x": [], "y": []})
        self._names = ColumnDataSource({"x": [], "y": [], "text": []})
        fig.image("image", "x", "y", 2, 2, source=self._maps, color_mapper=self._mapper)
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
            "x", "y", "text", source=self._names, text_align="center",
            text_baseline="top", text_color=theme.dim, text_font=value(FONT),
            text_font_size="10px",
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
        self._place_heads(tuple(table))
        scale = self._pixels_per_radius()
        maps: dict[str, list[Any]] = {"image": [], "x": [], "y": []}
        dots: dict[str, list[float]] = {"x": [], "y": [], "v": [], "s": []}
        none: dict[str, list[float]] = {"x": [], "y": []}
        names: dict[str, list[Any]] = {"x": [], "y": [], "text": []}
        for band, (across, down) in zip(table, self._middles, strict=True):
            values, places = table[band]
            good = np.isfinite(values)
            low, high = (
                (values[good].min(), values[good].max()) if good.any() else (0, 1)
            )
            scaled = (values - low) / max(high - low, 1e-9)
            if good.sum() >= MIN_ELECTRODES:
                mapped = _spline_weights(tuple(map(tuple, places[good].tolist())))
                image = np.clip(mapped @ scaled[good], 0, 1).reshape(_SIDE, _SIDE)
                maps["image"].append(image.astype(np.float32))
                maps["x"].append(across - 1)
                maps["y"].append(down - 1)
            size = 3.0 if good.sum() >= MIN_ELECTRODES else 2 * _DOT * scale
            dots["x"] += (places[good, 0] + across).tolist()
            dots["y"] += (places[good, 1] + down).tolist()
            dots["v"] += scaled[good].tolist()
            dots["s"] += [size] * int(good.sum())
            none["x"] += (places[~good, 0] + across).tolist()
            none["y"] += (places[~good, 1] + down).tolist()
            names["x"] += [across, across]
            names["y"] += [down - 1.2, down - 1.2 - 12 / scale]
            names["text"] += [band, _range_text(values[good])]
        self._maps.data, self._dots.data, self._none.data = maps, dots, none
        self._names.data = names

    def _size(self) -> tuple[float, float]:
        """Return width and height of the frame (pixels)."""
        try:
            return max(self.root.inner_width, 1), max(self.root.inner_height, 1)
        except UnsetValueError:
            return 300.0, 120.0

    def _pixels_per_radius(self) -> float:
        size = self.root.x_range.end - self.root.x_range.start
        return float(self._size()[0] / size)

    def _place_heads(self, bands: tuple[str, ...]) -> None:
        """Place the heads in the rows and columns in which they are largest."""
        wide, high = self._size()
        n = len(bands)
        scales = []
        for across in range(1, n + 1):
            down = -(-n // across)
            scale = min(wide / (_APART[0] * across), (high - 26 * down) / (2.4 * down))
            scales.append((scale, across, down))
        scale, across, down = max(scales)
        scale = max(scale, 4.0)
        apart = wide / scale / across, high / scale / down
        self._middles = [
            (apart[0] * (k % across + 0.5), -apart[1] * (k // across) - 1.2)
            for k in range(n)
        ]
        layout = (bands, across, down, round(wide), round(high))
        if layout == self._layout:
            return
        self._layout = layout
        self.root.x_range.update(start=0.0, end=wide / scale)
        self.root.y_range.update(start=-high / scale, end=0.0)
        xs, ys = [], []
        for x, y in self._middles:
            xs += [np.cos(_TURN) + x, np.array([-0.13, 0, 0.13]) + x]
            ys += [np.sin(_TURN) + y, np.array([0.99, 1.13, 0.99]) + y]
        self._heads.data = {"x": xs, "y": ys}


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
    places = {n: _on_head(*at) for n, at in electrode_positions().items()}
    by_band: dict[str, list[tuple[float, tuple[float, float]]]] = {}
    for name, entropy in zip(buffer.info.names, rows[-1].tolist(), strict=True):
        parts = name.split(".")
        if len(parts) == 4 and parts[1] == "de" and parts[3].lower() in places:
            by_band.setdefault(parts[2], []).append((entropy, places[parts[3].lower()]))
    return {
        band: (np.array([v for v, _ in row]), np.array([p for _, p in row]))
        for band, row in by_band.items()
    }
