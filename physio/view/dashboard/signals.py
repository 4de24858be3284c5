"""Signals as they come in, one row a channel, gaps drawn as gaps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from bokeh.core.property.descriptors import UnsetValueError
from bokeh.models import ColumnDataSource, FixedTicker, GlyphRenderer, Range1d

from physio.core.block import Array
from physio.core.reason import Reason
from physio.view.dashboard.scene import Scene
from physio.view.dashboard.theme import (
    GOOD,
    LOST,
    MUTED,
    POOR,
    SIGNS,
    Theme,
    plain,
    scroll,
    timed,
)
from physio.view.dashboard.track import Track, envelopes, spans
from physio.view.meter import LIVELY
from physio.view.sheet import shown

PAGE: Final = 32
"""How many channels a page has."""

_PIXELS: Final = 640  # as long as the browser has not told how wide the figure is
_TALLEST: Final = 1.4  # rows that a signal may reach beyond its own
_SPARE: Final = 1.1
_LEAST: Final = {"uS": 0.02, "g": 0.1, "degC": 0.2}  # of what a row shows


class Row(NamedTuple):
    """One channel that is drawn: which, where, and on what scale."""

    stream: str
    channel: int
    name: str
    middle: float
    size: float  # of one row, in the channel's unit


@dataclass
class Signals:
    """The channels of some streams, one below the other.

    Parameters
    ----------
    theme
        Colours.
    streams
        Which streams.
    title
        What stands above.
    seconds
        How much time is seen (s).
    scale
        How much one row is (uV) for EEG; others are scaled to what they do.
    look
        Through which of `FILTERS` EEG is looked at.
    page
        Which 32 channels.
    chosen
        Names of the channels to show; all, if none is named.
    """

    theme: Theme
    streams: Sequence[str]
    title: str = ""
    seconds: float = 10.0
    scale: float = 100.0
    look: str = "1 to 40 Hz"
    page: int = 0
    chosen: tuple[str, ...] = ()
    newest: float = field(default=float("nan"), init=False)
    """When the newest sample drawn was taken (s, session clock)."""
    _rows: list[Row] = field(default_factory=list, init=False)
    _sources: dict[str, ColumnDataSource] = field(default_factory=dict, init=False)
    _lines: dict[tuple[str, int], GlyphRenderer] = field(
        default_factory=dict, init=False
    )
    _drawn: dict[str, float] = field(default_factory=dict, init=False)
    _bin: float = field(default=0.0, init=False)
    _states: dict[tuple[str, int], str] = field(default_factory=dict, init=False)
    fresh: bool = field(default=True, init=False)
    """Whether all is to be drawn anew."""
    _count: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.root = timed(self.theme, self.title, y_range=Range1d(-1, 1))
        self.root.lod_threshold = None
        self.root.ygrid.grid_line_alpha = 0.6
        self._gaps = ColumnDataSource({k: [] for k in ("l", "r", "t", "b")})
        self.root.quad(
            "l", "r", "t", "b", source=self._gaps, line_color=None,
            fill_color=self.theme.lost, fill_alpha=0.07,
            hatch_pattern="left_diagonal_line", hatch_color=self.theme.lost,
            hatch_alpha=0.35, hatch_scale=8, level="underlay",
        )  # fmt: skip

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return max(1, -(-self._count // PAGE))

    def set(self, **settings: Any) -> None:
        """Look differently: another page, scale, filter, length or choice."""
        for name, value in settings.items():
            setattr(self, name, value)
        self.fresh = True

    def update(self, scene: Scene, *, whole: bool = False) -> None:
        """Draw what came since the last call; ``whole``: all of what is seen."""
        now = scene.now
        width = self.seconds / self._pixels
        if whole or self.fresh or abs(width / (self._bin or width) - 1) > 0.2:
            self._bin, self._drawn, self.fresh = width, {}, False
            self._lay(scene, now)
        begin = now - self.seconds
        streams = dict.fromkeys(row.stream for row in self._rows)
        newest = [self._draw(scene, stream, begin, now) for stream in streams]
        self.newest = max((t for t in newest if t == t), default=float("nan"))
        scroll(self.root, begin, now, scene.begin)

    @property
    def _pixels(self) -> int:
        """How wide the figure is in the browser, once that has told."""
        try:
            return max(int(self.root.inner_width), 200)
        except UnsetValueError:
            return _PIXELS

    def judge(self, scene: Scene) -> None:
        """Colour the channels by what is known of them, and mark gaps."""
        gaps: list[tuple[float, float, float, float]] = []
        labels: dict[float, str] = {}
        why = {s: scene.reasons(s) for s in {row.stream for row in self._rows}}
        for i, row in enumerate(self._rows):
            state = self._state(scene, row, why[row.stream])
            labels[-i] = SIGNS[state] + plain(row.name, 16)
            key = row.stream, row.channel
            if self._states.get(key) != state:
                self._states[key] = state
                self._lines[key].glyph.line_color = self.theme.colour(state)
            gaps += [(a, b, 0.5 - i, -0.5 - i) for a, b in self._holes(scene, row)]
        if self.root.yaxis.major_label_overrides != labels:
            self.root.yaxis.major_label_overrides = labels
        columns = zip(*gaps, strict=True) if gaps else ((), (), (), ())
        found = {k: list(v) for k, v in zip("lrtb", columns, strict=True)}
        if found != self._gaps.data:
            self._gaps.data = found
        self._rescale(scene)

    def _lay(self, scene: Scene, now: float) -> None:
        """Decide which channels are seen, and begin their lines anew."""
        every = [
            (stream, i, channel.name)
            for stream in self.streams
            if stream in scene.sources
            for i, channel in enumerate(scene.sources[stream].track.info.channels)
            if not self.chosen or channel.name in self.chosen
        ]
        self._count = len(every)
        self.page = min(self.page, self.pages - 1)
        seen = every[PAGE * self.page :][:PAGE]
        self._rows = [
            Row(s, i, self._named(scene, s, i, name), *self._scaled(scene, s, i, now))
            for s, i, name in seen
        ]
        for key, line in self._lines.items():
            line.visible = key in {(r.stream, r.channel) for r in self._rows}
        for row in self._rows:
            self._line(row)
        self.root.y_range.update(start=-len(seen) + 0.3, end=0.7)
        self.root.yaxis.ticker = FixedTicker(ticks=[-i for i in range(len(seen))])
        self._states = {}

    def _named(self, scene: Scene, stream: str, i: int, name: str) -> str:
        channel = scene.sources[stream].track.info.channels[i]
        return name if channel.kind == "eeg" else f"{name} {shown(channel.unit)}"

    def _line(self, row: Row) -> None:
        key = row.stream, row.channel
        if key in self._lines:
            return
        source = self._sources.get(row.stream)
        if source is None:
            source = self._sources[row.stream] = ColumnDataSource({"t": []})
        source.data[f"c{row.channel}"] = np.full(len(source.data["t"]), np.nan)
        self._lines[key] = self.root.line(
            "t", f"c{row.channel}", source=source, line_width=1.0, line_join="bevel",
            line_color=self.theme.trace,
        )  # fmt: skip

    def _scaled(
        self, scene: Scene, stream: str, i: int, now: float
    ) -> tuple[float, float]:
        """Return the middle and the size of a row."""
        track = self._track(scene, stream)
        _, data = track.window(now - self.seconds, now + 1)
        good = data[:, i][np.isfinite(data[:, i])]
        if track.info.channels[i].kind == "eeg":
            raw = self.look == "as recorded" and len(good)
            return (float(np.median(good)) if raw else 0.0), self.scale
        if not len(good):
            return 0.0, 1.0
        low, high = np.percentile(good, (1, 99))
        least = _LEAST.get(track.info.channels[i].unit, 1e-3 * (1 + abs(float(high))))
        return float(low + high) / 2, 1.3 * max(float(high - low), least)

    def _rescale(self, scene: Scene) -> None:
        """Begin anew where a row has become far too large or small for its scale."""
        for row in self._rows:
            middle, size = self._scaled(scene, row.stream, row.channel, scene.now)
            moved = abs(middle - row.middle) > 0.35 * row.size
            if not 0.5 < size / row.size < 1.6 or moved:
                self.fresh = True

    def _track(self, scene: Scene, stream: str) -> Track:
        source = scene.sources[stream]
        eeg = any(c.kind == "eeg" for c in source.track.info.channels)
        return source.seen_through(self.look) if eeg else source.track

    def _draw(self, scene: Scene, stream: str, begin: float, now: float) -> float:
        """Draw what is new of a stream; return when its newest sample was taken."""
        track = self._track(scene, stream)
        rows = [(i, r) for i, r in enumerate(self._rows) if r.stream == stream]
        coarse = float(track.info.rate) * self._bin > 2
        after = self._drawn.get(stream, -np.inf)
        times, data = track.window(max(after, begin - self._bin), now + 1e-9)
        if coarse and len(times):  # the bin that is not full yet comes later
            full = np.floor(times[-1] / self._bin) * self._bin
            n = int(np.searchsorted(times, full))
            times, data = times[:n], data[:n]
        if not len(times) and np.isfinite(after):
            return after
        new = self._points(times, data, rows, coarse=coarse)
        source = self._sources[stream]
        if np.isfinite(after) and after >= begin:
            room = int(
                _SPARE * self.seconds * min(2 / self._bin, float(track.info.rate))
            )
            source.stream(new, rollover=room + 16)
        else:
            source.data = new
        if len(times):
            edge = float(times[-1]) + 0.25 / float(track.info.rate)
            self._drawn[stream] = edge
        return self._drawn.get(stream, float("nan"))

    def _points(
        self, times: Array, data: Array, rows: list[tuple[int, Row]], *, coarse: bool
    ) -> dict[str, Array]:
        stream = rows[0][1].stream
        channels = [row.channel for _, row in rows]
        middle = np.array([row.middle for _, row in rows])
        size = np.array([row.size for _, row in rows])
        y = (data[:, channels] - middle) / size
        y = np.clip(y, -_TALLEST, _TALLEST) - np.array([i for i, _ in rows])
        if coarse:
            times, y = envelopes(times, y, self._bin)
        new = {"t": np.array(times)}
        for key in self._sources[stream].data:
            if key != "t":
                new[key] = np.full(len(times), np.nan, np.float32)
        for k, channel in enumerate(channels):
            new[f"c{channel}"] = np.ascontiguousarray(y[:, k], np.float32)
        return new

    def _state(self, scene: Scene, row: Row, why: Mapping[str, int]) -> str:
        source = scene.sources[row.stream]
        if row.stream in scene.muted:
            return MUTED
        times, data = source.track.window(scene.now - 2.0, scene.now + 1)
        values = data[:, row.channel]
        if source.lost(scene.now) or not np.isfinite(values).any():
            return LOST
        channel = source.track.info.channels[row.channel]
        flat = channel.kind in LIVELY and len(times) > 8 and np.ptp(values) == 0
        poor = why.get(channel.name) == Reason.POOR_QUALITY
        return POOR if flat or poor else GOOD

    def _holes(self, scene: Scene, row: Row) -> list[tuple[float, float]]:
        """Return from when to when samples of a channel are missing."""
        now = scene.now
        source = scene.sources[row.stream]
        times, data = source.track.window(now - self.seconds, now + 1)
        if not len(times):
            return [(now - self.seconds, now)]
        found = spans(times, np.isnan(data[:, row.channel]))[-20:]
        if source.lost(now):
            found.append((float(times[-1]), now))
        return found
