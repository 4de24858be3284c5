"""The document of one viewer: figures, words, and what the viewer wants."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
from bokeh.document import Document
from bokeh.models import ColumnDataSource, CustomJS
from jinja2 import Environment
from jinja2 import Template as Jinja

from physio.core.protocols import Command
from physio.view.dashboard import html
from physio.view.dashboard.commands import is_forbidden, parse_command
from physio.view.dashboard.figures.eda_heart import Heart, Skin
from physio.view.dashboard.figures.sam import scales
from physio.view.dashboard.figures.signals import Signals, told
from physio.view.dashboard.figures.theme import THEMES, Theme, asset
from physio.view.dashboard.figures.topomap import Scalp
from physio.view.dashboard.figures.vad import Plane, VadHistory
from physio.view.dashboard.session_state import FILTERS, SessionState
from physio.view.labels import DIMENSIONS

PERIOD: Final = 0.012
"""Time between two looks at whether there is something new to draw (s)."""

_AHEAD: Final = 3  # frames that a page may be behind before it is sent no more
_ROUND: Final = 0.5  # s, in which all that is computed is drawn, one figure at a time


@dataclass
class Views:
    """The figures of a session, each updated as often as its eye needs.

    Parameters
    ----------
    theme
        Colours.
    eeg, others
        Names of the streams that each of the two pages of signals shows.
    """

    theme: Theme
    eeg: tuple[str, ...]
    others: tuple[str, ...]
    frame: int = field(default=0, init=False)
    """How many were sent."""

    def __post_init__(self) -> None:
        theme = self.theme
        first = told(0, np.nan, [], live=True)
        self.news = ColumnDataSource({"v": first}, name="frames")
        self.signals = Signals(theme, self.eeg or self.others, news=self.news)
        rest = self.others if self.eeg else ()
        self.others_view = Signals(theme, rest, news=self.news, part=1)
        self.plane, self.scalp = Plane(theme), Scalp(theme)
        self.courses = [VadHistory(theme, name) for name in DIMENSIONS]
        self.skin, self.heart = Skin(theme), Heart(theme)

    @classmethod
    def of(cls, scene: SessionState, theme: Theme) -> "Views":
        """Return the views that suit what flows."""
        names = scene.sources
        eeg = tuple(
            n for n in names
            if any(c.kind == "eeg" for c in names[n].track.info.channels)
        )  # fmt: skip
        return cls(theme, eeg, tuple(n for n in names if n not in eeg))

    @property
    def roots(self) -> dict[str, Any]:
        """The figures by name."""
        named = {course.name: course.root for course in self.courses}
        return {
            "signals": self.signals.root,
            "others": self.others_view.root,
            "plane": self.plane.root,
            **named,
            "skin": self.skin.root,
            "heart": self.heart.root,
            "scalp": self.scalp.root,
        }

    @property
    def fresh(self) -> bool:
        """Whether signals are to be drawn anew."""
        return self.signals.fresh or self.others_view.fresh

    def fast(self, scene: SessionState, *, whole: bool = False) -> None:
        """Draw the signals, as the next frame."""
        views = self.signals, self.others_view
        parts = [view.update(scene, whole=whole) for view in views]
        self.frame += 1
        wall = time.time() - (scene.now - self.signals.newest) / scene.speed
        frame = told(self.frame, wall, parts, live=not scene.ended)
        self.news.data = {"v": frame}

    @property
    def slow(self) -> list[Callable[[SessionState], None]]:
        """What draws what is computed, and judges the signals: one figure each."""
        return [
            self.plane.update,
            *(course.update for course in self.courses),
            self.skin.update,
            self.heart.update,
            self.scalp.update,
            self.signals.judge,
            self.others_view.judge,
        ]

    def draw(self, scene: SessionState) -> None:
        """Draw everything."""
        self.fast(scene, whole=True)
        for part in self.slow:
            part(scene)


@dataclass
class Page:
    """What one viewer sees and wants.

    A frame is sent only while the page has acknowledged all but the last three, so
    that one that is slow, hidden or dead costs nothing but a look now and then.

    Parameters
    ----------
    document
        The viewer's.
    scene
        What there is to see.
    role
        ``control`` or ``look``.
    wish
        What to do with a wish; None for viewers who may only look.
    who
        Code of the one to look at, where there are several participants.
    at
        Where in a recording to look (s, session clock).
    """

    document: Document
    scene: SessionState
    role: str = "look"
    wish: Callable[[Command], None] | None = None
    theme: Theme = THEMES["light"]
    who: str = ""
    at: float | None = None
    dropped: int = 0
    _seen: int = 0
    _turn: int = 0
    _shown: float = float("nan")
    _plays: bool = False
    _ticked: float = 0.0
    _said: dict[str, str] = field(default_factory=dict)
    _ages: deque[float] = field(default_factory=lambda: deque(maxlen=400))
    _wishes: deque[float] = field(default_factory=lambda: deque(maxlen=80))

    def open(self) -> None:
        """Put everything into the document, and begin."""
        participants = [code for code in self.scene.participants if code]
        self.who = self.who or (participants[0] if len(participants) > 1 else "")
        self.scene.who = self.who
        if self.at is not None:
            self.scene.at = self.at
        # All is drawn once before it belongs to a document, which then looks through
        # its models once, not once for every line.
        self.views = Views.of(self.scene, self.theme)
        self.views.draw(self.scene)
        self.beat = self.views.news
        self.ack = ColumnDataSource({"v": [0.0, 0.0]})
        self.inbox = ColumnDataSource({"wish": [""]}, name="inbox")
        self.outbox = ColumnDataSource({"id": [], "html": []})
        self.ack.on_change("data", self._acknowledged)
        self.inbox.on_change("data", self._heard)
        with held(self.document), self.document.models.freeze():
            for name, root in self.views.roots.items():
                root.name = name
                self.document.add_root(root)
        args = {n: getattr(self, n) for n in ("beat", "ack", "inbox", "outbox")}
        # What hangs on no root is not part of the document: nobody would hear of it.
        self.document.roots[0].tags += list(args.values())
        script = CustomJS(args=args, code=asset("static/document.js"))
        self.document.js_on_event("document_ready", script)
        self.document.template = page_template()
        self.document.template_variables.update(self._variables())
        self.document.title = "physio"
        self._words(self.scene)
        self.document.add_periodic_callback(self.tick, int(1e3 * PERIOD))

    def tick(self) -> None:
        """Send a frame, if the page keeps up and there is anything new."""
        if self.at is not None and self._plays:
            now = self.scene.tick()
            self.at = min(self.at + now - self._ticked, self.scene.end)
            self._ticked = now
        elif self.at is not None and self.at == self._shown and not self.views.fresh:
            return
        if self.views.frame - self._seen > _AHEAD:
            self.dropped += 1
            return
        self.draw()

    def draw(self) -> None:
        """Draw what is new."""
        now = self.scene.tick()
        self.scene.who = self.who
        moved = self.at is not None and self.at != self._shown
        if self.at is not None:
            self.scene.at = self._shown = self.at
        with held(self.document):
            if moved and not self._plays:
                self.views.draw(self.scene)
                self._words(self.scene)
            else:
                self.views.fast(self.scene)
                self._some(now)

    def _some(self, now: float) -> None:
        """Draw the next of what is computed, so that no frame waits for all of it."""
        slow = self.views.slow
        parts = [*slow[:4], self._words, *slow[4:], self._words]
        turn = int(now / _ROUND * len(parts))
        for k in range(max(self._turn + 1, turn + 1 - len(parts)), turn + 1):
            parts[k % len(parts)](self.scene)
        self._turn = turn

    def _words(self, scene: SessionState) -> None:
        said = {
            "badges": html.badges(scene),
            "state": html.state(scene),
            "estimates": html.estimates(scene),
            "rests": html.rests(scene),
            "courses": html.courses(scene),
            "streams": html.streams(scene, controls=self.role == "control"),
            "latency": html.latency(scene, self._ages),
            "log": html.happened(scene),
            "rest": html.rest(scene),
        }
        # A page that has shown nothing yet may come to know but the last of these.
        known = self._said if self._seen else {}
        new = {k: v for k, v in said.items() if known.get(k) != v}
        self._said = said
        if new:
            self.outbox.data = {"id": list(new), "html": list(new.values())}

    def _variables(self) -> dict[str, Any]:
        other = "dark" if self.theme.name == "light" else "light"
        return {
            "theme": self.theme.name,
            "other": other,
            "css": asset("static/document.css"),
            "role": self.role,
            "looks": list(FILTERS),
            "eeg": bool(self.views.eeg),
            "recorded": self.at is not None,
            "seconds": max(0.0, self.scene.end - self.scene.begin),
            "first": 0.0 if self.at is None else self.at - self.scene.begin,
            "participants": [code for code in self.scene.participants if code],
            "pages": self.views.signals.pages,
            "scales": scales(),
        }

    def _acknowledged(self, _name: str, _old: Any, new: Any) -> None:
        frame, age = _two(new)
        self._seen = min(max(self._seen, int(frame)), self.views.frame)
        if 0 <= age < 1e5:
            self._ages.append(age)

    def _heard(self, _name: str, _old: Any, new: Any) -> None:
        """Do what a viewer wants, or nothing if it makes no sense."""
        now = self.scene.tick()
        self.scene.who = self.who
        told = parse_command(new, self.scene, wall=time.time())
        if told is not None and told.what == "view":
            self._look(told.label, told.value)
            return
        if len(self._wishes) == self._wishes.maxlen and now - self._wishes[0] < 10:
            return
        self._wishes.append(now)
        if told is None:
            return
        if self.wish is not None and not is_forbidden(told, self.role):
            self.wish(told.wish)

    def _look(self, name: str, value: str) -> None:
        """Change how signals are looked at."""
        views = (self.views.signals, self.views.others_view)
        signals = self.views.signals
        if name == "at" and self.at is not None:
            self.at = _between(value, self.scene.begin, self.scene.end, self.at)
        elif name == "play" and self.at is not None:
            self._plays, self._ticked = value == "1", self.scene.tick()
        elif name == "who" and value in self.scene.participants:
            self.who = value
        elif name == "look" and value in FILTERS:
            signals.set(look=value)
        elif name == "scale" and value.isdecimal() and 0 < int(value) <= 10_000:
            signals.set(scale=float(value))
        elif name == "seconds" and value in ("5", "10", "20", "60"):
            for view in views:
                view.set(seconds=float(value))
        elif name == "page" and value.isdecimal() and int(value) < signals.pages:
            signals.set(page=int(value))
        elif name == "chosen":
            signals.set(chosen=tuple(n.strip() for n in value.split(",") if n.strip()))


def _between(value: str, begin: float, end: float, otherwise: float) -> float:
    """Return a time since the beginning (s) as one on the session clock."""
    try:
        at = float(value)
    except (ValueError, OverflowError):
        return otherwise
    return float(np.clip(begin + at, begin, end)) if np.isfinite(at) else otherwise


def _two(data: Any) -> tuple[float, float]:
    try:
        first, second = data["v"]
        return float(first), float(second)
    except (KeyError, TypeError, ValueError):
        return 0.0, -1.0


@contextmanager
def held(document: Document) -> Iterator[None]:
    """Send all changes made inside as one message."""
    document.hold("combine")
    try:
        yield
    finally:
        document.unhold()


@lru_cache
def page_template(name: str = "static/document.html") -> Jinja:
    """Return the template of a page, with Bokeh's macros at hand."""
    from bokeh.core.templates import get_env

    env: Environment = get_env()
    return env.from_string(asset(name))
