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
from physio.view.dashboard.figures.sam import scales
from physio.view.dashboard.figures.signals import SignalFigure, frame_message
from physio.view.dashboard.figures.theme import THEMES, Theme, asset
from physio.view.dashboard.figures.topomap import TopomapFigure
from physio.view.dashboard.figures.vad import VadHistory, ValenceArousalPlane
from physio.view.dashboard.session_state import FILTERS, SessionState

PERIOD: Final = 0.012
"""Time between two checks for new data to draw (s)."""

_MAX_UNACKNOWLEDGED: Final = 3  # frames sent ahead of the page's acknowledgement
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
    """

    theme: Theme
    eeg: tuple[str, ...]
    others: tuple[str, ...]
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

    @classmethod
    def of(cls, session: SessionState, theme: Theme) -> "FigureSet":
        """Return the figures for the streams of a session."""
        names = session.sources
        eeg = tuple(
            n for n in names
            if any(c.kind == "eeg" for c in names[n].buffer.info.channels)
        )  # fmt: skip
        return cls(theme, eeg, tuple(n for n in names if n not in eeg))

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
            "topomap": self.topomap.root,
        }

    @property
    def needs_redraw(self) -> bool:
        """True if all signals must be drawn again."""
        return self.signals.needs_redraw or self.other_signals.needs_redraw

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
        return [
            self.plane.update,
            *(history.update for history in self.histories),
            self.eda.update,
            self.heart.update,
            self.topomap.update,
            self.signals.update_states,
            self.other_signals.update_states,
        ]

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
        script = CustomJS(args=args, code=asset("static/document.js"))
        self.document.js_on_event("document_ready", script)
        self.document.template = page_template()
        self.document.template_variables.update(self._variables())
        self.document.title = "physio"
        self._update_texts(self.session)
        self.document.add_periodic_callback(self.tick, int(1e3 * PERIOD))

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
        self.session.selected = self.selected
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
        for k in range(max(self._step + 1, step + 1 - len(parts)), step + 1):
            parts[k % len(parts)](self.session)
        self._step = step

    def _update_texts(self, session: SessionState) -> None:
        texts = {
            "badges": html.badges(session),
            "state": html.session_status(session),
            "estimates": html.estimates(session),
            "basis": html.estimate_basis(session),
            "features": html.feature_sparklines(session),
            "streams": html.streams(session, controls=self.role == "control"),
            "latency": html.latency(session, self._ages),
            "log": html.event_log(session),
            "baseline": html.baseline(session),
        }
        # A page without any frame yet may receive only the last of these updates.
        known = self._shown_texts if self._acknowledged_frame else {}
        new = {k: v for k, v in texts.items() if known.get(k) != v}
        self._shown_texts = texts
        if new:
            self.outbox.data = {"id": list(new), "html": list(new.values())}

    def _variables(self) -> dict[str, Any]:
        other = "dark" if self.theme.name == "light" else "light"
        return {
            "theme": self.theme.name,
            "other": other,
            "css": asset("static/document.css"),
            "role": self.role,
            "filters": list(FILTERS),
            "eeg": bool(self.figures.eeg),
            "recorded": self.at is not None,
            "seconds": max(0.0, self.session.end - self.session.begin),
            "first": 0.0 if self.at is None else self.at - self.session.begin,
            "participants": [code for code in self.session.participants if code],
            "pages": self.figures.signals.pages,
            "scales": scales(),
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
        self.session.selected = self.selected
        command = parse_command(
            new, self.session, time.time(), self.selected, self.sender
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
        signals = self.figures.signals
        if name == "at" and self.at is not None:
            self.at = _clamped_time(
                value, self.session.begin, self.session.end, self.at
            )
        elif name == "play" and self.at is not None:
            self._playing, self._tick_time = value == "1", self.session.tick()
        elif name == "participant" and value in self.session.participants:
            self.selected = value
        elif name == "filter" and value in FILTERS:
            signals.set(filter_name=value)
        elif name == "scale" and value.isdecimal() and 0 < int(value) <= 10_000:
            signals.set(scale=float(value))
        elif name == "seconds" and value in ("5", "10", "20", "60"):
            for figure in (signals, self.figures.other_signals):
                figure.set(seconds=float(value))
        elif name == "page" and value.isdecimal() and int(value) < signals.pages:
            signals.set(page=int(value))
        elif name == "channels":
            names = (n.strip() for n in value.split(","))
            signals.set(selected=tuple(n for n in names if n))


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
    from bokeh.core.templates import get_env

    env: Environment = get_env()
    return env.from_string(asset("static/head.html") + asset(name))
