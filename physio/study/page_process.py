"""Process that serves the pages of a study, started by `physio.study.page_link`."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any, Final

from physio.core.missing import MissingReason
from physio.core.operating_system import monotonic
from physio.study.page_link import ROLES
from physio.view.message_limit import limit_logs
from physio.view.web.access import ServerAddress
from physio.view.web.html_page import html_page
from physio.view.web.page_server import PageRequest, PageServer, Route, Site

STATIC: Final = Path(__file__).parent / "pages"
"""Scripts and styles of the pages."""

PART: Final = 2**22
"""Size of the parts in which pages read a stimulus (bytes)."""

USABLE: Final = ("good", "muscle", "blink", MissingReason.WARMING_UP.words)
"""States of a channel that need no look."""

_POLL: Final = 0.02  # s between two looks at the state
_HOLD: Final = 5.0  # s that a request for a new state is held
_REPLY: Final = 5.0  # s that a message waits for the session's reply
_GONE: Final = 2 * _HOLD  # s after which a page that asks nothing is closed
_WAITING: Final = 64  # messages of a role that may wait for their replies


class StudyPages:
    """State of the pages, and the answers to their requests.

    Parameters
    ----------
    first
        First note of the session: title, files and clock.
    """

    def __init__(self, first: Mapping[str, Any]) -> None:
        self.title: str = first["title"]
        self.files: list[tuple[str, str]] = [tuple(f) for f in first["files"]]
        self.clock: tuple[float, float, float] = tuple(first["clock"])
        self.states: dict[str, dict[str, Any]] = {role: {} for role in ROLES}
        self.status = Path(first["status"])
        self.ended = ""
        self._asked: dict[str, float] = {}  # time of each page's last request
        self._replies: dict[int, str] = {}
        self._waiting: dict[str, int] = dict.fromkeys(ROLES, 0)
        self._numbers = count(1)
        self._output = Lock()

    def update(self, note: Mapping[str, Any]) -> None:
        """Take a note of the session."""
        if "clock" in note:
            self.clock = tuple(note["clock"])
        for role in ROLES:
            if role in note:
                self.states[role] = note[role]
        if "reply" in note:
            number, refusal = note["reply"]
            self._replies[number] = refusal
        self.ended = note.get("ended", self.ended)

    def session_time(self) -> float:
        """Return the time of the session clock (s)."""
        now, at, speed = self.clock
        return now + (monotonic() - at) * speed

    def present(self) -> dict[str, bool]:
        """Return whether the page of each role is open."""
        now = time.monotonic()
        return {r: now - self._asked.get(r, -_GONE) < _GONE for r in ROLES}

    def send(self, **note: Any) -> None:
        """Send a note to the session."""
        with self._output:
            sys.stdout.write(json.dumps(note) + "\n")
            sys.stdout.flush()

    def site(self) -> Site:
        """Return the pages: a participant may only read and answer the present step."""
        routes = []
        for role in ROLES:
            answers = _RoleAnswers(self, role)
            routes += [
                Route(f"/{role}", answers.page),
                Route(f"/{role}/state", answers.state),
                Route(f"/{role}/event", answers.event, "POST"),
            ]
        routes += [
            Route("/participant/clock", self._clock, "POST"),
            Route("/participant/media", self._media),
        ]
        pages = {role: frozenset({role}) for role in ROLES}
        return Site(pages, routes, {"study": STATIC})

    def _clock(self, _request: PageRequest) -> dict[str, Any]:
        return {"session": self.session_time(), "speed": self.clock[2]}

    def _media(self, request: PageRequest) -> bytes:
        """Return a part of the present stimulus, or of the one after it."""
        state = self.states["participant"]
        shown = [state.get("stimulus"), state.get("next")]
        numbers = [item["number"] for item in shown if item]
        number, part = request.query.get("number", ""), request.query.get("part", "0")
        if number not in map(str, numbers) or not part.isdecimal() or len(part) > 4:
            raise ValueError("this stimulus does not belong to the present step")
        with Path(self.files[int(number)][0]).open("rb") as file:
            file.seek(int(part) * PART)
            return file.read(PART)

    async def wait_for_state(self, role: str, known: str) -> dict[str, Any]:
        """Return the state of a role once it differs from the one that a page knows."""
        self._asked[role] = time.monotonic()
        until = time.monotonic() + _HOLD
        while time.monotonic() < until:
            state = self.states[role]
            if self.ended or (state and str(state["version"]) != known):
                break
            await asyncio.sleep(_POLL)
        self._asked[role] = time.monotonic()
        state = {**self.states[role], "ended": self.ended}
        if role == "experimenter":
            state["unfit"] = _unfit_channels(self.status)
        return state

    async def ask_session(self, role: str, content: Mapping[str, Any]) -> str:
        """Pass a message on to the session; return its refusal, empty without one.

        Raises
        ------
        TimeoutError
            If the session does not reply; the page sends the message again.
        ValueError
            If the session has ended, or many messages wait for it already.
        """
        if self.ended:
            raise ValueError("the session has ended")
        if self._waiting[role] >= _WAITING:
            raise ValueError("too many messages at once: wait a moment")
        self._waiting[role] += 1
        number = next(self._numbers)
        try:
            self.send(role=role, content=dict(content), number=number)
            until = time.monotonic() + _REPLY
            while number not in self._replies:
                if time.monotonic() > until:
                    raise TimeoutError("the session does not reply: call for help")
                await asyncio.sleep(_POLL / 8)
        finally:
            self._waiting[role] -= 1
        return self._replies.pop(number)


class _RoleAnswers:
    """Answers to the requests of one role."""

    def __init__(self, pages: StudyPages, role: str) -> None:
        self.pages, self.role = pages, role

    def page(self, _request: PageRequest) -> str:
        name = self.role
        body = (STATIC / f"{name}.html").read_text("utf-8")
        title = (
            "Study" if name == "participant" else f"{self.pages.title}: experimenter"
        )
        return html_page(title, body, [f"study/{name}.css"], [f"study/{name}.js"])

    async def state(self, request: PageRequest) -> dict[str, Any]:
        known = request.query.get("version", "")
        return await self.pages.wait_for_state(self.role, known)

    async def event(self, request: PageRequest) -> dict[str, Any]:
        refusal = await self.pages.ask_session(self.role, request.content)
        if refusal:
            raise ValueError(refusal)
        return {"done": True}


def _unfit_channels(path: Path) -> dict[str, list[str]]:
    """Return the channels that need a look, by stream, from a file of their status."""
    try:
        streams = json.loads(path.read_text("utf-8"))["streams"]
        return {
            stream: [
                f"{name} {channel['now']}"
                for name, channel in channels.items()
                if channel["now"] not in USABLE
            ]
            for stream, channels in streams.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def main() -> None:
    """Serve until the session closes standard input."""
    limit_logs("study")
    first = json.loads(sys.stdin.readline())
    pages, address = StudyPages(first), ServerAddress(port=first["port"])
    try:
        pages_server = PageServer(pages.site(), address, "study")
    except (OSError, ValueError) as error:
        code = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(code) if code else str(error)
        port = f"port {address.port}: {reason}"
        pages.send(error=f"{port}: take another with --port, or 0 for a free one")
        return
    with pages_server as server:
        pages.send(urls=dict(server.urls))
        before: dict[str, bool] = {}
        for line in sys.stdin:
            pages.update(json.loads(line))
            if (present := pages.present()) != before:
                before = present
                pages.send(present=present)
        if pages.ended:
            time.sleep(1.0)  # the pages show the end


if __name__ == "__main__":
    main()
