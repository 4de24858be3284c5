"""The participant's page: no estimates, because feedback is an intervention."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from secrets import token_hex
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
    """Counter of the ratings requested from the participant."""

    rating_requests: int


@dataclass
class ParticipantPage:
    """The page of the participant: the state of the recording, and rating scales.

    Parameters
    ----------
    document, session, submit, theme
        As for `physio.view.dashboard.document.ViewerPage`.
    requests
        Number of requested ratings. The scales appear with each request and disappear
        once the rating is accepted.
    participant
        Code of the participant, in a session of several.
    sender
        Identifier of the page, to which replies are addressed.
    """

    document: Document
    session: SessionState
    submit: Callable[[Command], None]
    theme: Theme
    requests: RatingRequest
    participant: str = ""
    sender: str = field(default_factory=token_hex)
    _answered: int = 0
    _refusal: str = ""
    _text: str = ""
    _command_times: deque[float] = field(default_factory=lambda: deque(maxlen=80))

    def open(self) -> None:
        """Fill the document, and start its updates."""
        self._answered = self.requests.rating_requests
        self.beat = ColumnDataSource({"v": [0.0, float("nan"), 1.0]})
        self.ack = ColumnDataSource({"v": [0.0, 0.0]})
        self.inbox = ColumnDataSource({"command": [""]})
        self.outbox = ColumnDataSource({"id": [], "html": []})
        self.inbox.on_change("data", self._on_command)
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
        """Show a request, thanks, a refusal, or the end of the session."""
        self._take_replies()
        asked = self.requests.rating_requests > self._answered
        if self.session.ended:
            text = "<p>The session is over. Thank you.</p>"
        elif asked:
            text = "<p>How do you feel right now?</p>"
        else:
            text = "<p>You are being recorded. You may stop at any time.</p>"
        if self._refusal and not self.session.ended:
            text += f"<p>Your rating was not taken: {escape(self._refusal)}</p>"
        if text != self._text:
            self._text = text
            scales_shown = asked and not self.session.ended
            self.outbox.data = {
                "id": ["status", "scales-style"],
                "html": [text, _SHOW[scales_shown]],
            }
        frame = self.beat.data["v"][0] + 1
        self.beat.data = {"v": [frame, float("nan"), float(not self.session.ended)]}

    def _take_replies(self) -> None:
        for reply in tuple(self.session.replies):
            sender, refusal = reply
            if sender == self.sender:
                self.session.replies.remove(reply)
                self._refusal = refusal
                if not refusal:
                    self._answered = self.requests.rating_requests

    def _on_command(self, _name: str, _old: Any, new: Any) -> None:
        now = self.session.tick()
        times = self._command_times
        if len(times) == times.maxlen and now - times[0] < 10:
            return
        times.append(now)
        command = parse_command(
            new, self.session, time.time(), self.participant, self.sender
        )
        if command is not None and not is_forbidden(command, "participant"):
            self.submit(command.command)


_SHOW = {
    True: "<style>.participant form.rate{display:block}</style>",
    False: "<style>.participant form.rate{display:none}</style>",
}
