"""Scrolling raw signals, one row per channel, with hatched gaps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from bokeh.models import ColumnDataSource, CustomJS, Spacer

from physio.core.block import Array
from physio.core.missing import MissingReason
from physio.view.dashboard.figures.ring_buffer import (
    envelopes,
    missing_spans,
)
from physio.view.dashboard.figures.theme import (
    FONT,
    GOOD,
    LOST,
    MUTED,
    POOR,
    SIGNS,
    Theme,
    asset,
    plain_text,
)
from physio.view.dashboard.session_state import SessionState
from physio.view.dashboard.signal_kinds import FILTERS, RAW, height_in, kind_of
from physio.view.plots.time_axes import display_unit
from physio.view.stream_stats import ALWAYS_VARYING

PAGE: Final = 32
"""Number of channels on one page."""

_PIXELS: Final = 640  # width of the canvas until the browser reports it
_PIXEL_LIMITS: Final = (200, 4000)  # accepted widths
_MAX_AMPLITUDE: Final = 1.4  # rows, from the middle of a signal's own row
_MIN_RANGE: Final = {"uS": 0.02, "g": 0.1, "degC": 0.2}  # of a row, by unit


_CENTRED: Final = frozenset(
    n for n in FILTERS if n != RAW and not n.startswith("below")
)
"""Display filters after which a signal has no offset."""

_MOST_POINTS: Final = 400  # events drawn on a row
_NICE: Final = (5.0, 2.0, 1.0)  # first digits of the values of scales


class ChannelRow(NamedTuple):
    """A drawn channel with its display filter and scale."""

    stream: str
    channel: int
    name: str
    filter_name: str
    middle: float
    size: float  # height of a row, in the channel's unit


@dataclass
class SignalFigure:
    """The channels of some streams, one below the other.

    Parameters
    ----------
    theme
        Colours.
    streams
        Names of the streams.
    seconds
        Displayed time (s).
    filters, heights
        Chosen display filter, a key of `FILTERS`, and height of a row, in the unit of
        the kind, by kind of signal; by default the first of the kind. A height of 0
        fits the signal.
    page
        Number of the page of 32 channels.
    selected
        Names of the displayed channels; empty: all.
    news, part
        Source of the frames that the browser draws, and the number of this figure's
        part in them: see `frame_message`.
    """

    theme: Theme
    streams: Sequence[str]
    seconds: float = 10.0
    filters: dict[str, str] = field(default_factory=dict)
    heights: dict[str, float] = field(default_factory=dict)
    page: int = 0
    selected: tuple[str, ...] = ()
    news: ColumnDataSource = field(default_factory=lambda: ColumnDataSource({"v": []}))
    part: int = 0
    newest: float = field(default=float("nan"), init=False)
    """Time of the newest drawn sample (s, session clock)."""
    needs_redraw: bool = field(default=True, init=False)
    """True if everything must be drawn again."""

    def __post_init__(self) -> None:
        self._rows: list[ChannelRow] = []
        self._states: dict[tuple[str, int], str] = {}
        self._units: dict[tuple[str, int], str] = {}
        self._drawn_until: dict[tuple[str, str], float] = {}
        self._bin_width, self._count, self._pixels = 0.0, 0, _PIXELS
        columns = ("name", "state", "bar", "scale", "ticks")
        self.row_labels = ColumnDataSource({column: [] for column in columns})
        self.gaps = ColumnDataSource({"l": [], "r": [], "row": [], "kind": []})
        self.points = ColumnDataSource({"t": [], "row": [], "kind": []})
        self.width = ColumnDataSource({"v": [_PIXELS]})
        self.root = Spacer(sizing_mode="stretch_both")
        theme = self.theme
        states = {state: theme.colour(state) for state in SIGNS}
        colours = {
            "card": theme.card,
            "dim": theme.dim,
            "grid": theme.grid,
            "ink": theme.ink,
            "beat": theme.series[0],
            "response": theme.series[1],
            "font": FONT,
        }
        parts = ("news", "row_labels", "gaps", "points", "width")
        models = {n: getattr(self, n) for n in parts}
        args = {
            "host": self.root,
            "theme": colours | states,
            "part": self.part,
            **models,
        }
        draw = CustomJS(args=args, code=asset("figures/scroll.js"))
        self.news.js_on_change("data", draw)
        # Models without a root are not part of the document and would not be updated.
        self.root.tags = list(models.values())
        self.width.on_change("data", self._on_width)

    @property
    def pages(self) -> int:
        """Number of pages."""
        return max(1, -(-self._count // PAGE))

    @property
    def rows(self) -> int:
        """Number of rows on the page."""
        return len(self._rows)

    def set(self, **settings: Any) -> None:
        """Change settings: page, seconds or selected."""
        for name, value in settings.items():
            setattr(self, name, value)
        self.needs_redraw = True

    def set_filter(self, kind: str, name: str) -> None:
        """Change the display filter of a kind of signal."""
        self.filters[kind] = name
        self.needs_redraw = True

    def set_height(self, kind: str, height: float) -> None:
        """Change the height of the rows of a kind of signal, in the kind's unit."""
        self.heights[kind] = height
        self.needs_redraw = True

    def update(self, session: SessionState, *, whole: bool = False) -> Array:
        """Return the samples since the last call; ``whole``: of all displayed time.

        Returns
        -------
        numpy.ndarray
            1 to draw everything again, present time (s since the session began),
            displayed time (s), number of rows; then for each stream with new samples:
            number of times n and of rows m, the rows, the times, and the values (n, m)
            relative to the middle of their row, in rows.
        """
        now = session.now
        width = self.seconds / self._pixels
        whole = whole or self.needs_redraw or width != self._bin_width
        if whole:
            self._bin_width, self._drawn_until, self.needs_redraw = width, {}, False
            self._assign_rows(session, now)
        begin = now - self.seconds
        zero = session.begin if np.isfinite(session.begin) else 0.0
        parts: list[Array] = []
        groups = dict.fromkeys((row.stream, row.filter_name) for row in self._rows)
        newest = [self._draw(session, g, begin, now, zero, parts) for g in groups]
        self.newest = max((t for t in newest if t == t), default=float("nan"))
        head = np.array([whole, now - zero, self.seconds, len(self._rows)], float)
        return np.concatenate([head, *parts])

    def _on_width(self, _name: str, _old: Any, new: Any) -> None:
        """Take the width of the canvas in the browser (pixels)."""
        try:
            wide = float(new["v"][0])
        except (KeyError, IndexError, TypeError, ValueError):
            return
        if np.isfinite(wide):
            self._pixels = int(np.clip(wide, *_PIXEL_LIMITS))
            self.needs_redraw = True

    def update_states(self, session: SessionState) -> None:
        """Update the state of each channel, and the gaps."""
        codes = {s: session.reasons(s) for s in {row.stream for row in self._rows}}
        self._states = {
            row[:2]: self._state(session, row, codes[row.stream]) for row in self._rows
        }
        self._update_labels()
        zero = session.begin if np.isfinite(session.begin) else 0.0
        gaps = self._spans(session, zero)
        if gaps != self.gaps.data:
            self.gaps.data = gaps
        points = self._points_within(session, zero)
        if points != self.points.data:
            self.points.data = points
        self._check_scales(session)

    def _spans(self, session: SessionState, zero: float) -> dict[str, list[Any]]:
        """Return the gaps of all rows, and the spans without features."""
        now = session.now
        begin = now - self.seconds
        masked = {
            stream: session.masked_spans(stream, begin, now)
            for stream in {row.stream for row in self._rows}
        }
        columns: dict[str, list[Any]] = {"l": [], "r": [], "row": [], "kind": []}
        for i, row in enumerate(self._rows):
            info = session.sources[row.stream].buffer.info
            spans = [(*s, "gap") for s in self._missing_spans(session, row)]
            named = masked[row.stream][info.names[row.channel]]
            spans += [(*s, "masked") for s in named[-200:]]
            for first, last, kind in spans:
                if last <= begin:
                    continue
                columns["l"].append(max(first, begin) - zero)
                columns["r"].append(min(last, now) - zero)
                columns["row"].append(i)
                columns["kind"].append(kind)
        return columns

    def _points_within(
        self, session: SessionState, zero: float
    ) -> dict[str, list[Any]]:
        """Return the beats and responses within the displayed time."""
        columns: dict[str, list[Any]] = {"t": [], "row": [], "kind": []}
        for i, row in enumerate(self._rows):
            events = session.sources[row.stream].events
            if events is None or events.channel != row.channel:
                continue
            begin = session.now - self.seconds
            inside = [t - zero for t in events.times if begin <= t <= session.now]
            inside = inside[-_MOST_POINTS:]
            columns["t"] += inside
            columns["row"] += [i] * len(inside)
            columns["kind"] += [events.kind] * len(inside)
        return columns

    def _update_labels(self) -> None:
        """Update the labels of the rows: sign of the state, and channel name."""
        states = [self._states.get(row[:2], GOOD) for row in self._rows]
        named = zip(self._rows, states, strict=True)
        names = [SIGNS[state] + plain_text(row.name, 16) for row, state in named]
        bars = [_scale_value(row.size) for row in self._rows]
        units = [self._units.get(row[:2], "") for row in self._rows]
        labels = {
            "name": names,
            "state": states,
            "bar": [b / row.size for b, row in zip(bars, self._rows, strict=True)],
            "scale": [f"{b:g} {u}".strip() for b, u in zip(bars, units, strict=True)],
            "ticks": [
                _ticks(row) if unit and row.filter_name == RAW else []
                for row, unit in zip(self._rows, units, strict=True)
            ],
        }
        if labels != self.row_labels.data:
            self.row_labels.data = labels

    def _assign_rows(self, session: SessionState, now: float) -> None:
        """Select the displayed channels and their scales."""
        every = [
            (stream, i, channel.name)
            for stream in self.streams
            if stream in session.sources
            for i, channel in enumerate(session.sources[stream].buffer.info.channels)
            if not self.selected or channel.name in self.selected
        ]
        self._count = len(every)
        self.page = min(self.page, self.pages - 1)
        visible = every[PAGE * self.page :][:PAGE]
        self._rows = []
        for stream, i, name in visible:
            channel = session.sources[stream].buffer.info.channels[i]
            kind = kind_of(channel)
            filter_name = self.filters.get(kind.name, kind.filters[0])
            unit = self._units[stream, i] = display_unit(channel.unit)
            label = name if kind.unit == "uV" else f"{name} {unit}".strip()
            scale = self._row_scale(session, stream, i, filter_name, now)
            self._rows.append(ChannelRow(stream, i, label, filter_name, *scale))
        self._update_labels()

    def _row_scale(
        self, session: SessionState, stream: str, i: int, filter_name: str, now: float
    ) -> tuple[float, float]:
        """Return the middle and the height of a row, in the channel's unit."""
        buffer = session.sources[stream].filtered_buffer(filter_name)
        _, data = buffer.window(now - self.seconds, now + 1)
        good = data[:, i][np.isfinite(data[:, i])]
        channel = buffer.info.channels[i]
        kind = kind_of(channel)
        chosen = self.heights.get(kind.name, kind.heights[0])
        height = height_in(channel.unit, kind, chosen)
        if not len(good):
            return 0.0, height or 1.0
        if height:
            steady = filter_name in _CENTRED and buffer is not (
                session.sources[stream].buffer
            )
            return (0.0 if steady else float(np.median(good))), height
        low, high = np.percentile(good, (1, 99))
        least = _MIN_RANGE.get(channel.unit, 1e-3 * (1 + abs(float(high))))
        return float(low + high) / 2, 1.3 * max(float(high - low), least)

    def _check_scales(self, session: SessionState) -> None:
        """Redraw everything if a signal no longer fits its scale."""
        for row in self._rows:
            middle, size = self._row_scale(
                session, row.stream, row.channel, row.filter_name, session.now
            )
            moved = abs(middle - row.middle) > 0.35 * row.size
            if not 0.5 < size / row.size < 1.6 or moved:
                self.needs_redraw = True

    def _draw(
        self, session: SessionState, group: tuple[str, str], begin: float, now: float,
        zero: float, parts: list[Array],
    ) -> float:  # fmt: skip
        """Add new samples of a stream, filtered, to ``parts``; return the newest time.

        ``group`` has the names of the stream and of the display filter.
        """
        stream, filter_name = group
        buffer = session.sources[stream].filtered_buffer(filter_name)
        coarse = float(buffer.info.rate) * self._bin_width > 2
        after = self._drawn_until.get(group, -np.inf)
        times, data = buffer.window(max(after, begin - self._bin_width), now + 1e-9)
        if coarse and len(times):  # without the bin that is not complete yet
            full = np.floor(times[-1] / self._bin_width) * self._bin_width
            n = int(np.searchsorted(times, full))
            times, data = times[:n], data[:n]
        if len(times):
            rows = [
                (i, r)
                for i, r in enumerate(self._rows)
                if (r.stream, r.filter_name) == group
            ]
            at, y = self._points(times, data, rows, coarse=coarse)
            if (
                np.isfinite(after) and after < begin - self._bin_width
            ):  # no line to these samples
                at, y = (
                    np.append(at[0], at),
                    np.pad(y, ((1, 0), (0, 0)), constant_values=np.nan),
                )
            numbers = [len(at), len(rows), *(i for i, _ in rows)]
            parts += [np.array(numbers, float), at - zero, y.ravel()]
            self._drawn_until[group] = float(times[-1]) + 0.25 / float(buffer.info.rate)
        return self._drawn_until.get(group, float("nan"))

    def _points(
        self,
        times: Array,
        data: Array,
        rows: list[tuple[int, ChannelRow]],
        *,
        coarse: bool,
    ) -> tuple[Array, Array]:
        """Return times and values of rows, relative to the middle, in rows."""
        middle = np.array([row.middle for _, row in rows])
        size = np.array([row.size for _, row in rows])
        y = (data[:, [row.channel for _, row in rows]] - middle) / size
        y = np.clip(y, -_MAX_AMPLITUDE, _MAX_AMPLITUDE)
        return envelopes(times, y, self._bin_width) if coarse else (times, y)

    def _state(
        self, session: SessionState, row: ChannelRow, codes: Mapping[str, int]
    ) -> str:
        source = session.sources[row.stream]
        if row.stream in session.muted:
            return MUTED
        times, data = source.buffer.window(session.now - 2.0, session.now + 1)
        values = data[:, row.channel]
        if session.is_lost(row.stream) or not np.isfinite(values).any():
            return LOST
        channel = source.buffer.info.channels[row.channel]
        flat = channel.kind in ALWAYS_VARYING and len(times) > 8 and np.ptp(values) == 0
        poor = codes.get(channel.name) == MissingReason.POOR_QUALITY
        return POOR if flat or poor else GOOD

    def _missing_spans(
        self, session: SessionState, row: ChannelRow
    ) -> list[tuple[float, float]]:
        """Return begin and end (s) of the gaps of a channel."""
        now = session.now
        source = session.sources[row.stream]
        times, data = source.buffer.window(now - self.seconds, now + 1)
        if not len(times):
            return [(now - self.seconds, now)]
        gaps = missing_spans(times, np.isnan(data[:, row.channel]))[-20:]
        if session.is_lost(row.stream):
            gaps.append((float(times[-1]), now))
        return gaps


def _scale_value(size: float) -> float:
    """Return the largest value of 1, 2, 5 ... that is at most 0.8 of a row, or a row.

    A row with such a height has a bar of its whole height.
    """
    power = 10.0 ** np.floor(np.log10(size) + 1e-9)
    for digit in _NICE:
        if np.isclose(digit * power, size):
            return float(size)
    values = (digit * p for p in (power, power / 10) for digit in _NICE)
    return float(next(v for v in values if v <= 0.8 * size))


def _ticks(row: ChannelRow) -> list[list[Any]]:
    """Return two values of a row's axis: position from the middle (rows), and text."""
    step = _scale_value(0.8 * row.size)
    first = np.ceil((row.middle - 0.42 * row.size) / step) * step
    values = [first + k * step for k in range(3)]
    inside = [v for v in values if abs(v - row.middle) <= 0.42 * row.size + 1e-12][:2]
    digits = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    return [
        [float((v - row.middle) / row.size), f"{v + 0.0:.{digits}f}"] for v in inside
    ]


def frame_message(
    frame: float, wall: float, parts: Sequence[Array], *, live: bool
) -> Array:
    """Return a frame for the browser, as one array of numbers.

    Parameters
    ----------
    frame
        Number of the frame.
    wall
        Time of its newest sample (s, the computer's date).
    parts
        Results of `SignalFigure.update`, one per figure.
    live
        True if more frames are to come.
    """
    prefixed = [np.append(len(part), part) for part in parts]
    return np.concatenate([[frame, wall, live], *prefixed])
