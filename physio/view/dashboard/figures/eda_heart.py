"""Figures of skin conductance (SCL, SCR) and of heart rate and HRV."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from bokeh.models import BasicTicker, ColumnDataSource, Label, LinearAxis, Range1d

from physio.core.block import Array
from physio.core.missing import missing_reason
from physio.view.dashboard.figures.ring_buffer import RingBuffer
from physio.view.dashboard.figures.theme import (
    FONT,
    Theme,
    new_time_figure,
    show_last,
)
from physio.view.dashboard.session_state import SessionState, StreamView
from physio.view.dashboard.signal_events import RESPONSE
from physio.view.labels import reason_words

_LEAST: Final = 0.1


def first_chain_with(buffer: RingBuffer | None, *columns: str) -> str:
    """Return the first chain with all of these columns; empty without any."""
    names = buffer.info.names if buffer is not None else ()
    chains = dict.fromkeys(n.partition(".")[0] for n in names)
    has = (c for c in chains if all(f"{c}.{column}" in names for column in columns))
    return next(has, "")


def selected_streams(session: SessionState) -> list[StreamView]:
    """Return the raw streams of the participant `selected`, or of nobody in particular.

    All streams, if nobody is selected.
    """
    codes = {"", session.selected}
    return [
        view
        for view in session.sources.values()
        if not session.selected or view.buffer.info.participant in codes
    ]


def expand_range(axis_range: Range1d, *values: Array, least: float = _LEAST) -> None:
    """Change a range, only if necessary, so that it contains all values."""
    good = [v[np.isfinite(v)] for v in values]
    known = np.concatenate(good) if good else np.empty(0)
    if not len(known):
        return
    low, high = float(known.min()), float(known.max())
    room = 0.12 * max(high - low, least)
    low, high = low - room, high + room
    size = axis_range.end - axis_range.start
    if axis_range.start > low or axis_range.end < high or size > 2.5 * (high - low):
        axis_range.update(start=low, end=high)


def _message_label(theme: Theme) -> Label:
    return Label(
        x=8, y=6, x_units="screen", y_units="screen", text="", visible=False,
        text_font_size="11px", text_color=theme.ink,
        background_fill_color=theme.card, background_fill_alpha=0.9, padding=4,
    )  # fmt: skip


def _missing_message(buffer: RingBuffer | None, name: str, now: float) -> str:
    """Return the reason for which a feature is missing now; empty if it is present."""
    if buffer is None or name not in buffer.info.names:
        return "not computed in this session"
    value = buffer.last(name, now)
    return (
        ""
        if np.isfinite(value)
        else f"missing: {reason_words(int(missing_reason(value)[0]))}"
    )


@dataclass
class EdaFigure:
    """Skin conductance: measured, tonic (SCL) and phasic component, and SCRs."""

    theme: Theme
    seconds: float = 60.0

    def __post_init__(self) -> None:
        theme = self.theme
        fig = self.root = new_time_figure(theme, y_range=Range1d(0, 1))
        fig.extra_y_ranges = {"phasic": Range1d(0, 1)}
        self._raw = ColumnDataSource({"t": [], "y": []})
        self._components = ColumnDataSource({"t": [], "tonic": [], "phasic": []})
        self._response_source = ColumnDataSource({"t": [], "y": []})
        fig.line("t", "y", source=self._raw, line_color=theme.trace, line_width=1.4)
        fig.line(
            "t", "tonic", source=self._components, line_color=theme.series[0],
            line_width=2, line_dash=[6, 3],
        )  # fmt: skip
        fig.varea(
            "t", 0, "phasic", source=self._components, y_range_name="phasic",
            fill_color=theme.series[1], fill_alpha=0.35,
        )  # fmt: skip
        fig.scatter(
            "t", "y", source=self._response_source, marker="triangle", size=8,
            fill_color=theme.series[1], line_color=theme.card,
        )  # fmt: skip
        self._message = _message_label(theme)
        fig.add_layout(self._message)

    def update(self, session: SessionState) -> None:
        """Draw the present state."""
        now = session.now
        begin = show_last(self.root, self.seconds, now, session.begin)
        raw = np.empty(0)
        for source in selected_streams(session):
            kinds = [c.kind for c in source.buffer.info.channels]
            if "gsr" in kinds:
                times, data = source.buffer.window(begin, now + 1e-6)
                raw = data[:, kinds.index("gsr")]
                step = max(1, len(raw) // 1200)
                self._raw.data = {"t": times[::step].copy(), "y": raw[::step].copy()}
                break
        buffer = session.features
        chain = first_chain_with(buffer, "tonic", "phasic")
        self._message.text = _missing_message(buffer, f"{chain}.tonic", now)
        self._message.visible = bool(self._message.text)
        level = np.empty(0)
        if buffer is not None and chain:
            level = self._draw_components(buffer, chain, begin, now)
        self._draw_responses(session, begin, now)
        expand_range(self.root.y_range, raw, level)

    def _draw_components(
        self, buffer: RingBuffer, chain: str, begin: float, now: float
    ) -> Array:
        info = buffer.info
        late = info.channels[info.names.index(f"{chain}.tonic")].delay
        times, tonic = buffer.column(f"{chain}.tonic", begin + late, now + 1e-6)
        _, phasic = buffer.column(f"{chain}.phasic", begin + late, now + 1e-6)
        times = times - late  # drawn at the time of the signal, without the delay
        positive = np.nan_to_num(np.maximum(phasic, 0.0))
        self._components.data = {"t": times, "tonic": tonic.copy(), "phasic": positive}
        top = max(_LEAST, float(positive.max(initial=0.0)))
        # The phasic component takes the lower half of the panel.
        self.root.extra_y_ranges["phasic"].update(start=0, end=2.2 * top)
        return tonic

    def _draw_responses(self, session: SessionState, begin: float, now: float) -> None:
        detected = (view.events for view in selected_streams(session))
        times = [
            time
            for events in detected
            if events is not None and events.kind == RESPONSE
            for time in events.times
            if begin <= time <= now
        ]
        low = self.root.y_range.start
        size = self.root.y_range.end - low
        self._response_source.data = {"t": times, "y": [low + 0.04 * size] * len(times)}


@dataclass
class HeartFigure:
    """Heart rate, with its standard deviation if known, and RMSSD."""

    theme: Theme
    seconds: float = 120.0

    def __post_init__(self) -> None:
        theme = self.theme
        fig = self.root = new_time_figure(
            theme, y_range=Range1d(50, 100), min_border_right=44
        )
        fig.extra_y_ranges = {"rmssd": Range1d(0, 100)}
        axis = LinearAxis(
            ticker=BasicTicker(desired_num_ticks=3), y_range_name="rmssd",
            axis_line_color=theme.grid,
            major_tick_line_color=theme.grid, minor_tick_line_color=None,
            major_label_text_color=theme.series[1], major_label_text_font=FONT,
            major_label_text_font_size="10px",
        )  # fmt: skip
        fig.add_layout(axis, "right")
        fig.yaxis[0].major_label_text_color = theme.series[0]
        self._rate = ColumnDataSource({"t": [], "rate": [], "low": [], "high": []})
        self._rmssd = ColumnDataSource({"t": [], "rmssd": []})
        fig.varea(
            "t", "low", "high", source=self._rate, fill_color=theme.series[0],
            fill_alpha=0.2,
        )  # fmt: skip
        fig.line(
            "t", "rate", source=self._rate, line_color=theme.series[0], line_width=2
        )
        fig.line(
            "t", "rmssd", source=self._rmssd, line_color=theme.series[1],
            line_width=1.5, line_dash=[4, 3], y_range_name="rmssd",
        )  # fmt: skip
        self._message = _message_label(theme)
        fig.add_layout(self._message)

    def update(self, session: SessionState) -> None:
        """Draw the present state."""
        now = session.now
        begin = show_last(self.root, self.seconds, now, session.begin)
        buffer = session.features
        beats = first_chain_with(buffer, "rate", "rmssd")
        chain = first_chain_with(buffer, "rate", "rate.sd") or beats
        message = _missing_message(buffer, f"{chain}.rate", now)
        self._message.update(text=message, visible=bool(message))
        if buffer is None or not chain:
            return
        times, rate = buffer.column(f"{chain}.rate", begin, now + 1e-6)
        sd = np.zeros(len(rate))
        if f"{chain}.rate.sd" in buffer.info.names:
            sd = buffer.column(f"{chain}.rate.sd", begin, now + 1e-6)[1]
        low, high = rate - sd, rate + sd
        self._rate.data = {"t": times.copy(), "rate": rate.copy(), "low": low,
                           "high": high}  # fmt: skip
        expand_range(self.root.y_range, low, high, least=10.0)
        if beats:
            times, rmssd = buffer.column(f"{beats}.rmssd", begin, now + 1e-6)
            channel = buffer.info.channels[buffer.info.names.index(f"{beats}.rmssd")]
            rmssd = rmssd * (1e3 if channel.unit == "s" else 1.0)
            self._rmssd.data = {"t": times.copy(), "rmssd": rmssd}
            expand_range(self.root.extra_y_ranges["rmssd"], rmssd, least=20.0)
