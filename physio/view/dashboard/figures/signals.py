"""Signals as they come in, one row a channel, gaps drawn as gaps."""

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
"""How many channels a page has."""

_PIXELS: Final = 640  # as long as the browser has not told how wide the paper is
_WIDE: Final = (200, 4000)  # pixels, whatever a browser tells
_TALLEST: Final = 1.4  # rows that a signal may reach beyond its own
_LEAST: Final = {"uS": 0.02, "g": 0.1, "degC": 0.2}  # of what a row shows


class ChannelRow(NamedTuple):
    """One channel that is drawn: which, where, and on what scale."""

    stream: str
    channel: int
    name: str
    middle: float
    size: float  # of one row, in the channel's unit


@dataclass
class SignalFigure:
    """The channels of some streams, one below the other.

    Parameters
    ----------
    theme
        Colours.
    streams
        Which streams.
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
    news, part
        By what the browser hears of new samples, and which part of that is ours:
        see `told`.
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
    """When the newest sample drawn was taken (s, session clock)."""
    _rows: list[ChannelRow] = field(default_factory=list, init=False)
    _states: dict[tuple[str, int], str] = field(default_factory=dict, init=False)
    _drawn_until: dict[str, float] = field(default_factory=dict, init=False)
    _bin_width: float = field(default=0.0, init=False)
    needs_redraw: bool = field(default=True, init=False)
    """Whether all is to be drawn anew."""
    _count: int = field(default=0, init=False)
    _pixels: int = field(default=_PIXELS, init=False)

    def __post_init__(self) -> None:
        self.laid = ColumnDataSource({"name": [], "state": []})
        self.gaps = ColumnDataSource({"l": [], "r": [], "row": []})
        self.width = ColumnDataSource({"v": [_PIXELS]})
        self.root = Spacer(sizing_mode="stretch_both")
        theme = self.theme
        colours = {state: theme.colour(state) for state in SIGNS}
        look = {"card": theme.card, "dim": theme.dim, "grid": theme.grid, "font": FONT}
        models = {n: getattr(self, n) for n in ("news", "laid", "gaps", "width")}
        args = {"host": self.root, "look": look | colours, "part": self.part, **models}
        draw = CustomJS(args=args, code=asset("figures/scroll.js"))
        self.news.js_on_change("data", draw)
        # What hangs on no root is not part of the document: nobody would hear of it.
        self.root.tags = list(models.values())
        self.width.on_change("data", self._on_width)

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return max(1, -(-self._count // PAGE))

    def set(self, **settings: Any) -> None:
        """Look differently: another page, scale, filter, length or choice."""
        for name, value in settings.items():
            setattr(self, name, value)
        self.needs_redraw = True

    def update(self, session: SessionState, *, whole: bool = False) -> Array:
        """Return what came since the last call; ``whole``: all of what is seen.

        Returns
        -------
        numpy.ndarray
            Whether all is to be drawn anew, the time now (s since the session began),
            how much time is seen (s), how many rows there are; then for each stream
            with anything new: how many times n and rows m, which rows, the times, and
            the values (n, m), in rows from the middle of each.
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
        """Hear how many pixels the paper is wide in the browser."""
        try:
            wide = float(new["v"][0])
        except (KeyError, IndexError, TypeError, ValueError):
            return
        if np.isfinite(wide):
            self._pixels = int(np.clip(wide, *_WIDE))
            self.needs_redraw = True

    def update_states(self, session: SessionState) -> None:
        """Colour the channels by what is known of them, and mark gaps."""
        why = {s: session.reasons(s) for s in {row.stream for row in self._rows}}
        self._states = {
            row[:2]: self._state(session, row, why[row.stream]) for row in self._rows
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
        """Put the names beside the rows, each with the sign of its state."""
        states = [self._states.get(row[:2], GOOD) for row in self._rows]
        named = zip(self._rows, states, strict=True)
        names = [SIGNS[state] + plain_text(row.name, 16) for row, state in named]
        row_labels = {"name": names, "state": states}
        if row_labels != self.laid.data:
            self.laid.data = row_labels

    def _assign_rows(self, session: SessionState, now: float) -> None:
        """Decide which channels are seen, and begin their lines anew."""
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
        """Return the middle and the size of a row."""
        track = self._buffer(session, stream)
        _, data = track.window(now - self.seconds, now + 1)
        good = data[:, i][np.isfinite(data[:, i])]
        if track.info.channels[i].kind == "eeg":
            raw = self.filter_name == "as recorded" and len(good)
            return (float(np.median(good)) if raw else 0.0), self.scale
        if not len(good):
            return 0.0, 1.0
        low, high = np.percentile(good, (1, 99))
        least = _LEAST.get(track.info.channels[i].unit, 1e-3 * (1 + abs(float(high))))
        return float(low + high) / 2, 1.3 * max(float(high - low), least)

    def _check_scales(self, session: SessionState) -> None:
        """Begin anew where a row has become far too large or small for its scale."""
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
        """Add what is new of a stream; return when its newest sample was taken."""
        track = self._buffer(session, stream)
        coarse = float(track.info.rate) * self._bin_width > 2
        after = self._drawn_until.get(stream, -np.inf)
        times, data = track.window(max(after, begin - self._bin_width), now + 1e-9)
        if coarse and len(times):  # the bin that is not full yet comes later
            full = np.floor(times[-1] / self._bin_width) * self._bin_width
            n = int(np.searchsorted(times, full))
            times, data = times[:n], data[:n]
        if len(times):
            rows = [(i, r) for i, r in enumerate(self._rows) if r.stream == stream]
            at, y = self._points(times, data, rows, coarse=coarse)
            if (
                np.isfinite(after) and after < begin - self._bin_width
            ):  # no line to them
                at, y = (
                    np.append(at[0], at),
                    np.pad(y, ((1, 0), (0, 0)), constant_values=np.nan),
                )
            numbers = [len(at), len(rows), *(i for i, _ in rows)]
            parts += [np.array(numbers, float), at - zero, y.ravel()]
            self._drawn_until[stream] = float(times[-1]) + 0.25 / float(track.info.rate)
        return self._drawn_until.get(stream, float("nan"))

    def _points(
        self,
        times: Array,
        data: Array,
        rows: list[tuple[int, ChannelRow]],
        *,
        coarse: bool,
    ) -> tuple[Array, Array]:
        """Return times and values of some rows, in rows from the middle of each."""
        middle = np.array([row.middle for _, row in rows])
        size = np.array([row.size for _, row in rows])
        y = (data[:, [row.channel for _, row in rows]] - middle) / size
        y = np.clip(y, -_TALLEST, _TALLEST)
        return envelopes(times, y, self._bin_width) if coarse else (times, y)

    def _state(
        self, session: SessionState, row: ChannelRow, reason_codes: Mapping[str, int]
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
        poor = reason_codes.get(channel.name) == MissingReason.POOR_QUALITY
        return POOR if flat or poor else GOOD

    def _missing_spans(
        self, session: SessionState, row: ChannelRow
    ) -> list[tuple[float, float]]:
        """Return from when to when samples of a channel are missing."""
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
    """Return what the browser hears of a frame, as one row of numbers.

    Parameters
    ----------
    frame
        Its number.
    wall
        When the newest sample in it was taken (s, the computer's date).
    parts
        What `Signals.update` returned, for each view of signals.
    live
        Whether more is to come.
    """
    prefixed = [np.append(len(part), part) for part in parts]
    return np.concatenate([[frame, wall, live], *prefixed])
