"""What the participant sees: no estimates, for feedback is an intervention."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from bokeh.document import Document
from bokeh.models import ColumnDataSource, CustomJS, Spacer

from physio.core.protocols import Command
from physio.view.dashboard.commands import is_forbidden, parse_command
from physio.view.dashboard.document import page_template
from physio.view.dashboard.figures.sam import scales
from physio.view.dashboard.figures.theme import Theme, asset
from physio.view.dashboard.session_state import SessionState


class RatingRequest(Protocol):
    """Knows how often the participant was asked to rate."""

    asked: int


@dataclass
class Participant:
    """The page of the participant: whether it is recorded, and how they feel when asked.

    Parameters
    ----------
    document, scene, wish, theme
        As for `physio.view.dashboard.document.Page`.
    asking
        How often a rating was asked for: the scales come with each time, and go once
        it is given.
    """

    document: Document
    scene: SessionState
    wish: Callable[[Command], None]
    theme: Theme
    asking: RatingRequest
    _answered: int = 0
    _said: str = ""
    _wishes: deque[float] = field(default_factory=lambda: deque(maxlen=80))

    def open(self) -> None:
        """Put everything into the document, and begin."""
        self._answered = self.asking.asked
        self.beat = ColumnDataSource({"v": [0.0, float("nan"), 1.0]})
        self.ack = ColumnDataSource({"v": [0.0, 0.0]})
        self.inbox = ColumnDataSource({"wish": [""]})
        self.outbox = ColumnDataSource({"id": [], "html": []})
        self.inbox.on_change("data", self._heard)
        args = {n: getattr(self, n) for n in ("beat", "ack", "inbox", "outbox")}
        script = CustomJS(args=args, code=asset("static/document.js"))
        self.document.js_on_event("document_ready", script)
        root = Spacer(name="nothing", width=0, height=0, tags=list(args.values()))
        self.document.add_root(root)
        self.document.template = page_template("static/participant.html")
        self.document.template_variables.update(
            {
                "theme": self.theme.name,
                "css": asset("static/document.css"),
                "scales": scales(),
            }
        )
        self.document.title = "physio"
        self.document.add_periodic_callback(self.tick, 250)

    def tick(self) -> None:
        """Ask, thank, or say that the session is over."""
        if self.scene.ended:
            said = "<p>The session is over. Thank you.</p>"
        elif self.asking.asked > self._answered:
            said = "<p>How do you feel right now?</p>"
        else:
            said = "<p>You are being recorded. You may stop at any time.</p>"
        if said != self._said:
            self._said = said
            asked = self.asking.asked > self._answered and not self.scene.ended
            self.outbox.data = {"id": ["told", "asked"], "html": [said, _SHOW[asked]]}
        frame = self.beat.data["v"][0] + 1
        self.beat.data = {"v": [frame, float("nan"), float(not self.scene.ended)]}

    def _heard(self, _name: str, _old: Any, new: Any) -> None:
        now = self.scene.tick()
        if len(self._wishes) == self._wishes.maxlen and now - self._wishes[0] < 10:
            return
        self._wishes.append(now)
        told = parse_command(new, self.scene, wall=time.time())
        if told is not None and not is_forbidden(told, "participant"):
            self._answered = self.asking.asked
            self.wish(told.wish)


_SHOW = {
    True: "<style>.participant form.rate{display:block}</style>",
    False: "<style>.participant form.rate{display:none}</style>",
}
