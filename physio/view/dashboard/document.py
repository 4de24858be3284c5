"""Bokeh document of one viewer: figures, texts, and the viewer's commands."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from secrets import token_hex
from typing import Any, Final

import numpy as np
from bokeh.document import Document
from bokeh.models import ColumnDataSource, CustomJS
from jinja2 import Environment
from jinja2 import Template as Jinja

from physio.core.affect import DIMENSIONS
from physio.core.protocols import Command
from physio.view.dashboard import html
from physio.view.dashboard.commands import is_forbidden, parse_command
from physio.view.dashboard.figures.eda_heart import EdaFigure, HeartFigure
from physio.view.dashboard.figures.power_by_band import BandPowerFigure
from physio.view.dashboard.figures.sam import scales
from physio.view.dashboard.figures.signals import SignalFigure, frame_message
from physio.view.dashboard.figures.theme import THEMES, Theme, asset
from physio.view.dashboard.figures.topomap import TopomapFigure
from physio.view.dashboard.figures.vad import VadHistory, ValenceArousalPlane
from physio.view.dashboard.panels import shown_dimensions, visible_panels
from physio.view.dashboard.session_state import SessionState
from physio.view.dashboard.side_by_side import SIDES, SideBySide
from physio.view.dashboard.signal_kinds import KINDS, SignalKind, kinds_of
from physio.view.dashboard.strip import strip_json
from physio.view.plots.time_axes import display_unit

PERIOD: Final = 0.012
"""Time between two checks for new data to draw (s)."""

_MAX_UNACKNOWLEDGED: Final = 3  # frames sent ahead of the page's acknowledgement
_LONGEST: Final = 300.0  # s of signals that are drawn at once
_SHORTEST: Final = 10.0  # s of computed values
_CYCLE: Final = 0.5  # s in which each figure of computed data is drawn once


@dataclass
class FigureSet:
    """The figures of a session: signals in each frame, computed data twice a second.

    Parameters
    ----------
    theme
        Colours.
    eeg, others
        Names of the streams in the first and in the second figure of signals.
    codes
        Codes of the participants.
    """

    theme: Theme
    eeg: tuple[str, ...]
    others: tuple[str, ...]
    codes: tuple[str, ...] = ()
    frame: int = field(default=0, init=False)
    """Number of frames sent."""

    def __post_init__(self) -> None:
        theme = self.theme
        first = frame_message(0, np.nan, [], live=True)
        self.news = ColumnDataSource({"v": first}, name="frames")
        self.signals = SignalFigure(theme, self.eeg or self.others, news=self.news)
        others = self.others if self.eeg else ()
        self.other_signals = SignalFigure(theme, others, news=self.news, part=1)
        self.plane, self.topomap = ValenceArousalPlane(theme), TopomapFigure(theme)
        self.histories = [VadHistory(theme, name) for name in DIMENSIONS]
        self.eda, self.heart = EdaFigure(theme), HeartFigure(theme)
        self.bands = BandPowerFigure(theme)
        self.sides = SideBySide(theme, self.codes)

    @classmethod
    def of(cls, session: SessionState, theme: Theme) -> "FigureSet":
        """Return the figures for the streams of a session."""
        names = session.sources
        eeg = tuple(
            n for n in names
            if any(c.kind == "eeg" for c in names[n].buffer.info.channels)
        )  # fmt: skip
        codes = tuple(code for code in session.participants if code)
        return cls(theme, eeg, tuple(n for n in names if n not in eeg), codes)

    @property
    def roots(self) -> dict[str, Any]:
        """The figures by name."""
        histories = {history.name: history.root for history in self.histories}
        return {
            "signals": self.signals.root,
            "others": self.other_signals.root,
            "plane": self.plane.root,
            **histories,
            "eda": self.eda.root,
            "heart": self.heart.root,
            "bands": self.bands.root,
            "topomap": self.topomap.root,
            **self.sides.roots,
        }

    @property
    def needs_redraw(self) -> bool:
        """True if all signals must be drawn again."""
        return self.signals.needs_redraw or self.other_signals.needs_redraw

    @property
    def pages(self) -> int:
        """Number of pages of channels."""
        return max(self.signals.pages, self.other_signals.pages)

    def show_span(self, seconds: float) -> None:
        """Show a span of this length (s) in all figures over time."""
        for signals in (self.signals, self.other_signals):
            signals.set(seconds=min(seconds, _LONGEST))
        longer = max(seconds, _SHORTEST)
        for history in self.histories:
            history.seconds = longer
        self.eda.seconds = self.heart.seconds = self.bands.seconds = longer
        self.sides.show_span(longer)

    def draw_signals(self, session: SessionState, *, whole: bool = False) -> None:
        """Draw the signals, as the next frame."""
        figures = self.signals, self.other_signals
        parts = [figure.update(session, whole=whole) for figure in figures]
        self.frame += 1
        live = not session.ended and session.at is None
        wall = time.time() - (session.now - self.signals.newest) / session.speed
        frame = frame_message(self.frame, wall, parts, live=live)
        self.news.data = {"v": frame}

    @property
    def slow_updates(self) -> list[Callable[[SessionState], None]]:
        """Updates of the figures of computed data and of the signals' states."""
        if self.sides.active:
            return [self.sides.draw]
        return [
            self.plane.update,
            *(history.update for history in self.histories),
            self._label_last_history,
            self.eda.update,
            self.heart.update,
            self.bands.update,
            self.topomap.update,
            self.signals.update_states,
            self.other_signals.update_states,
        ]

    def _label_last_history(self, session: SessionState) -> None:
        """Show the axis of time below the last figure of a dimension alone."""
        shown = shown_dimensions(session) or DIMENSIONS
        for history in self.histories:
            history.root.xaxis.visible = history.name == shown[-1]

    def draw(self, session: SessionState) -> None:
        """Draw everything."""
        self.draw_signals(session, whole=True)
        for update in self.slow_updates:
            update(session)


@dataclass
class ViewerPage:
    """Page of one viewer.

    A frame is sent only while the page has acknowledged all but the last three, so that
    a slow, hidden or closed page needs almost no computation.

    Parameters
    ----------
    document
        The viewer's document.
    session
        State of the session.
    role
        ``control`` or ``look``.
    submit
        Function that takes the viewer's commands; None for observers.
    theme
        Colours.
    selected
        Code of the displayed participant, in a session of several.
    at
        Displayed time of a recording (s, session clock); None for a live session.
    dropped
        Number of frames that were not sent.
    sender
        Identifier of the page, to which replies are addressed.
    """

    document: Document
    session: SessionState
    role: str = "look"
    submit: Callable[[Command], None] | None = None
    theme: Theme = THEMES["light"]
    selected: str = ""
    at: float | None = None
    dropped: int = 0
    sender: str = field(default_factory=token_hex)

    def __post_init__(self) -> None:
        self._acknowledged_frame = self._step = 0
        self._shown_time, self._playing, self._tick_time = float("nan"), False, 0.0
        self._shown_texts: dict[str, str] = {}
        self._ages: deque[float] = deque(maxlen=400)
        self._command_times: deque[float] = deque(maxlen=80)

    def open(self) -> None:
        """Fill the document, and start its updates."""
        participants = [code for code in self.session.participants if code]
        self.selected = self.selected or (
            participants[0] if len(participants) > 1 else ""
        )
        self.session.selected = self.selected
        if self.at is not None:
            self.session.at = self.at
        # Everything is drawn once before it belongs to a document, which then
        # traverses its models once, not once for every line.
        self.figures = FigureSet.of(self.session, self.theme)
        self.figures.draw(self.session)
        self.beat = self.figures.news
        self.ack = ColumnDataSource({"v": [0.0, 0.0]})
        self.inbox = ColumnDataSource({"command": [""]}, name="inbox")
        self.outbox = ColumnDataSource({"id": [], "html": []})
        self.ack.on_change("data", self._on_acknowledged)
        self.inbox.on_change("data", self._on_command)
        with combined_updates(self.document), self.document.models.freeze():
            for name, root in self.figures.roots.items():
                root.name = name
                self.document.add_root(root)
        args = {n: getattr(self, n) for n in ("beat", "ack", "inbox", "outbox")}
        # Models without a root are not part of the document and would not be updated.
        self.document.roots[0].tags += list(args.values())
        strip = asset("static/strip.js") if self.at is not None else ""
        script = CustomJS(args=args, code=asset("static/document.js") + strip)
        self.document.js_on_event("document_ready", script)
        self.document.template = page_template()
        self.document.template_variables.update(self._variables())
        self.document.title = "physio"
        self._update_texts(self.session)
        self.document.add_periodic_callback(self.tick, int(1e3 * PERIOD))

    @property
    def addressee(self) -> str:
        """Code of the participant that ratings and baselines are about."""
        sides = self.figures.sides
        return sides.addressee if sides.active else self.selected

    def tick(self) -> None:
        """Send a frame, if the page keeps up and there is new data."""
        if self.at is not None and self._playing:
            now = self.session.tick()
            self.at = min(self.at + now - self._tick_time, self.session.end)
            self._tick_time = now
        elif (
            self.at is not None
            and self.at == self._shown_time
            and not self.figures.needs_redraw
        ):
            return
        if self.figures.frame - self._acknowledged_frame > _MAX_UNACKNOWLEDGED:
            self.dropped += 1
            return
        self.draw()

    def draw(self) -> None:
        """Draw the new data."""
        now = self.session.tick()
        self.session.selected = self.addressee
        moved = self.at is not None and self.at != self._shown_time
        if self.at is not None:
            self.session.at = self._shown_time = self.at
        with combined_updates(self.document):
            if moved and not self._playing:
                self.figures.draw(self.session)
                self._update_texts(self.session)
            else:
                self.figures.draw_signals(self.session)
                self._draw_next(now)

    def _draw_next(self, now: float) -> None:
        """Draw the next figures of computed data, only a few per frame."""
        slow = self.figures.slow_updates
        parts = [*slow[:4], self._update_texts, *slow[4:], self._update_texts]
        step = int(now / _CYCLE * len(parts))
        first = max(self._step + 1, step + 1 - len(parts))
        # Once each: of two updates of the texts, one message would hold the last alone.
        for part in dict.fromkeys(
            parts[k % len(parts)] for k in range(first, step + 1)
        ):
            part(self.session)
        self._step = step

    def _update_texts(self, session: SessionState) -> None:
        sides = self.figures.sides
        texts = {
            "badges": html.badges(session, abstains=not sides.active),
            "state": html.session_status(session),
            "estimates": html.estimates(session),
            "basis": html.estimate_basis(session),
            "features": html.feature_sparklines(session),
            "streams": html.streams(session, controls=self.role == "control"),
            "latency": html.latency(session, self._ages),
            "log": html.event_log(session),
            "baseline": html.baseline(session),
            "band-keys": html.band_keys(session),
            "condition-summary": html.condition_summary(session),
            "panels": " ".join(visible_panels(session, self.role)),
            "position": "" if self.at is None else f"{self.at - session.begin:.3f}",
        }
        if sides.active:
            texts |= sides.texts(session, self.role)
        # A page without any frame yet may receive only the last of these updates.
        known = self._shown_texts if self._acknowledged_frame else {}
        new = {k: v for k, v in texts.items() if known.get(k) != v}
        self._shown_texts = texts
        if new:
            self.outbox.data = {"id": list(new), "html": list(new.values())}

    def _variables(self) -> dict[str, Any]:
        other = "dark" if self.theme.name == "light" else "light"
        session, recorded = self.session, self.at is not None
        channels = [c for s in session.sources.values() for c in s.buffer.info.channels]
        signals = self.figures.signals, self.figures.other_signals
        return {
            "theme": self.theme.name,
            "other": other,
            "css": asset("static/document.css"),
            "role": self.role,
            "panels": visible_panels(session, self.role),
            "kinds": [_kind_controls(kind) for kind in kinds_of(channels)],
            "rows": [float(np.clip(figure.rows, 4, 14)) for figure in signals],
            "recorded": recorded,
            "strip": strip_json(session) if recorded else "",
            "seconds": max(0.0, session.end - session.begin),
            "first": 0.0 if self.at is None else self.at - session.begin,
            "participants": [code for code in session.participants if code],
            "sides": list(self.figures.sides.columns),
            "pages": self.figures.pages,
            "scales": scales(),
            "unit": display_unit("uS"),
            "truth": session.truth is not None,
        }

    def _on_acknowledged(self, _name: str, _old: Any, new: Any) -> None:
        frame, age = _pair(new)
        self._acknowledged_frame = min(
            max(self._acknowledged_frame, int(frame)), self.figures.frame
        )
        if 0 <= age < 1e5:
            self._ages.append(age)

    def _on_command(self, _name: str, _old: Any, new: Any) -> None:
        """Change the view or submit a command; ignore invalid or forbidden input."""
        now = self.session.tick()
        self.session.selected = self.addressee
        command = parse_command(
            new, self.session, time.time(), self.addressee, self.sender
        )
        if command is not None and command.kind == "view":
            self._change_view(command.label, command.value)
            return
        if (
            len(self._command_times) == self._command_times.maxlen
            and now - self._command_times[0] < 10
        ):
            return
        self._command_times.append(now)
        if command is None:
            return
        if self.submit is not None and not is_forbidden(command, self.role):
            self.submit(command.command)

    def _change_view(self, name: str, value: str) -> None:
        """Change the displayed time, the participant, or settings of the signals."""
        figures = self.figures
        name, _, kind = name.partition(":")
        if name == "at" and self.at is not None:
            self.at = _clamped_time(
                value, self.session.begin, self.session.end, self.at
            )
        elif name == "span" and self.at is not None:
            self._show_span(value)
        elif name == "play" and self.at is not None:
            self._playing, self._tick_time = value == "1", self.session.tick()
        elif name in ("participant", "addressee", *SIDES):
            self._change_participant(name, value)
        elif name == "seconds" and value in ("5", "10", "20", "60"):
            for signals in (figures.signals, figures.other_signals):
                signals.set(seconds=float(value))
        elif name == "page" and value.isdecimal() and int(value) < figures.pages:
            for signals in (figures.signals, figures.other_signals):
                signals.set(page=int(value))
        elif name == "channels":
            names = (n.strip() for n in value.split(","))
            selected = tuple(n for n in names if n)
            for signals in (figures.signals, figures.other_signals):
                signals.set(selected=selected)
        elif kind in KINDS:
            self._change_signals(name, KINDS[kind], value)

    def _change_participant(self, name: str, code: str) -> None:
        """Show a participant, or two side by side (no code); or change one of two."""
        sides = self.figures.sides
        if name == "participant" and not code and sides.columns:
            sides.active = True
        elif code not in self.figures.codes:
            return
        elif name == "participant":
            self.selected, sides.active = code, False
        else:
            sides.choose(name, code)
        self._shown_time = float("nan")  # also a recording that stands is drawn again

    def _change_signals(self, name: str, kind: SignalKind, value: str) -> None:
        """Change the display filter or the height of the rows of a kind of signal."""
        for signals in (self.figures.signals, self.figures.other_signals):
            if name == "filter" and value in kind.filters:
                signals.set_filter(kind.name, value)
            elif name == "height" and value in map(_height_key, kind.heights):
                signals.set_height(kind.name, float(value))

    def _show_span(self, value: str) -> None:
        """Show the span of a recording from one time to another (s after its begin)."""
        first, _, last = value.partition(",")
        begin, end = self.session.begin, self.session.end
        low, high = (_clamped_time(t, begin, end, np.nan) for t in (first, last))
        if self.at is not None and high - low >= 0.5:
            self.at = high
            self.figures.show_span(high - low)


def _height_key(height: float) -> str:
    return f"{height:g}"


def _kind_controls(kind: SignalKind) -> dict[str, Any]:
    """Return the choices of a kind of signal, for the controls of the page."""
    unit = display_unit(kind.unit)
    heights = [
        (_height_key(h), f"{h:g} {unit}" if h else "fits signal") for h in kind.heights
    ]
    return {"name": kind.name, "filters": list(kind.filters), "heights": heights}


def _clamped_time(value: str, begin: float, end: float, otherwise: float) -> float:
    """Return a time since the session's begin (s) on the session clock, limited."""
    try:
        at = float(value)
    except (ValueError, OverflowError):
        return otherwise
    return float(np.clip(begin + at, begin, end)) if np.isfinite(at) else otherwise


def _pair(data: Any) -> tuple[float, float]:
    try:
        first, second = data["v"]
        return float(first), float(second)
    except (KeyError, TypeError, ValueError):
        return 0.0, -1.0


@contextmanager
def combined_updates(document: Document) -> Iterator[None]:
    """Send all changes inside a ``with`` block as one message."""
    document.hold("combine")
    try:
        yield
    finally:
        document.unhold()


@lru_cache
def page_template(name: str = "static/document.html") -> Jinja:
    """Return the Jinja template of a page, with Bokeh's macros."""
    return plain_template(asset("static/head.html") + asset(name))


def plain_template(text: str) -> Jinja:
    """Return a page's text as a template; Bokeh puts a mere text into its own page."""
    from bokeh.core.templates import get_env

    env: Environment = get_env()
    return env.from_string(text)
