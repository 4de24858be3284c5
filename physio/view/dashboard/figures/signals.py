"""Scrolling raw signals, one row per channel, with hatched gaps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from bokeh.models import ColumnDataSource, CustomJS, Spacer

from physio.core.block import Array
from physio.core.missing import MissingReason
from physio.view.dashboard.figures.ring_buffer import (
    RingBuffer,
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
from physio.view.plots.time_axes import display_unit
from physio.view.stream_stats import ALWAYS_VARYING

PAGE: Final = 32
"""Number of channels on one page."""

_PIXELS: Final = 640  # width of the canvas until the browser reports it
_PIXEL_LIMITS: Final = (200, 4000)  # accepted widths
_MAX_AMPLITUDE: Final = 1.4  # rows, from the middle of a signal's own row
_MIN_RANGE: Final = {"uS": 0.02, "g": 0.1, "degC": 0.2}  # of a row, by unit


class ChannelRow(NamedTuple):
    """A drawn channel with its scale."""

    stream: str
    channel: int
    name: str
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
    scale
        Height of one row (uV) for EEG; other channels are scaled to their range.
    filter_name
        Display filter of EEG: a key of `FILTERS`.
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
    scale: float = 100.0
    filter_name: str = "1 to 40 Hz"
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
        self._drawn_until: dict[str, float] = {}
        self._bin_width, self._count, self._pixels = 0.0, 0, _PIXELS
        self.row_labels = ColumnDataSource({"name": [], "state": []})
        self.gaps = ColumnDataSource({"l": [], "r": [], "row": []})
        self.width = ColumnDataSource({"v": [_PIXELS]})
        self.root = Spacer(sizing_mode="stretch_both")
        theme = self.theme
        states = {state: theme.colour(state) for state in SIGNS}
        colours = {
            "card": theme.card,
            "dim": theme.dim,
            "grid": theme.grid,
            "font": FONT,
        }
        models = {n: getattr(self, n) for n in ("news", "row_labels", "gaps", "width")}
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

    def set(self, **settings: Any) -> None:
        """Change settings: page, scale, filter_name, seconds or selected."""
        for name, value in settings.items():
            setattr(self, name, value)
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
        streams = dict.fromkeys(row.stream for row in self._rows)
        newest = [self._draw(session, n, begin, now, zero, parts) for n in streams]
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
        gaps: dict[str, list[float]] = {"l": [], "r": [], "row": []}
        for i, row in enumerate(self._rows):
            for begin, end in self._missing_spans(session, row):
                gaps["l"].append(begin - zero)
                gaps["r"].append(end - zero)
                gaps["row"].append(i)
        if gaps != self.gaps.data:
            self.gaps.data = gaps
        self._check_scales(session)

    def _update_labels(self) -> None:
        """Update the labels of the rows: sign of the state, and channel name."""
        states = [self._states.get(row[:2], GOOD) for row in self._rows]
        named = zip(self._rows, states, strict=True)
        names = [SIGNS[state] + plain_text(row.name, 16) for row, state in named]
        labels = {"name": names, "state": states}
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
        self._rows = [
            ChannelRow(
                s,
                i,
                self._row_name(session, s, i, name),
                *self._row_scale(session, s, i, now),
            )
            for s, i, name in visible
        ]
        self._update_labels()

    def _row_name(self, session: SessionState, stream: str, i: int, name: str) -> str:
        channel = session.sources[stream].buffer.info.channels[i]
        return name if channel.kind == "eeg" else f"{name} {display_unit(channel.unit)}"

    def _row_scale(
        self, session: SessionState, stream: str, i: int, now: float
    ) -> tuple[float, float]:
        """Return the middle and the height of a row, in the channel's unit."""
        buffer = self._buffer(session, stream)
        _, data = buffer.window(now - self.seconds, now + 1)
        good = data[:, i][np.isfinite(data[:, i])]
        if buffer.info.channels[i].kind == "eeg":
            raw = self.filter_name == "as recorded" and len(good)
            return (float(np.median(good)) if raw else 0.0), self.scale
        if not len(good):
            return 0.0, 1.0
        low, high = np.percentile(good, (1, 99))
        least = _MIN_RANGE.get(
            buffer.info.channels[i].unit, 1e-3 * (1 + abs(float(high)))
        )
        return float(low + high) / 2, 1.3 * max(float(high - low), least)

    def _check_scales(self, session: SessionState) -> None:
        """Redraw everything if a signal no longer fits its scale."""
        for row in self._rows:
            middle, size = self._row_scale(
                session, row.stream, row.channel, session.now
            )
            moved = abs(middle - row.middle) > 0.35 * row.size
            if not 0.5 < size / row.size < 1.6 or moved:
                self.needs_redraw = True

    def _buffer(self, session: SessionState, stream: str) -> RingBuffer:
        source = session.sources[stream]
        eeg = any(c.kind == "eeg" for c in source.buffer.info.channels)
        return source.filtered_buffer(self.filter_name) if eeg else source.buffer

    def _draw(
        self, session: SessionState, stream: str, begin: float, now: float, zero: float,
        parts: list[Array],
    ) -> float:  # fmt: skip
        """Add the new samples of a stream to ``parts``; return the newest time (s)."""
        buffer = self._buffer(session, stream)
        coarse = float(buffer.info.rate) * self._bin_width > 2
        after = self._drawn_until.get(stream, -np.inf)
        times, data = buffer.window(max(after, begin - self._bin_width), now + 1e-9)
        if coarse and len(times):  # without the bin that is not complete yet
            full = np.floor(times[-1] / self._bin_width) * self._bin_width
            n = int(np.searchsorted(times, full))
            times, data = times[:n], data[:n]
        if len(times):
            rows = [(i, r) for i, r in enumerate(self._rows) if r.stream == stream]
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
            self._drawn_until[stream] = float(times[-1]) + 0.25 / float(
                buffer.info.rate
            )
        return self._drawn_until.get(stream, float("nan"))

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
        if source.is_lost(session.now) or not np.isfinite(values).any():
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
        if source.is_lost(now):
            gaps.append((float(times[-1]), now))
        return gaps


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
