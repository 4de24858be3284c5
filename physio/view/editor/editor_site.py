"""Pages of a correction by eye: the page, its tiles, and the edits that it sends."""

from pathlib import Path
from typing import Any, Final

from physio.view.editor.edit_session import EditSession
from physio.view.web.html_page import html_page
from physio.view.web.page_server import PageRequest, Route, Site

ROLE: Final = "edit"
"""The one role: the rater."""

_STATIC: Final = Path(__file__).parent / "static"


def editor_site(session: EditSession) -> Site:
    """Return the site of a session of correction."""
    body = (_STATIC / "editor.html").read_text("utf-8")
    page = html_page(
        f"Correct {session.history.recording}", body, ("editor/editor.css",),
        ("editor/editor.js",),
    )  # fmt: skip

    def tile(request: PageRequest) -> bytes:
        return session.tile(
            *(_whole(request.query, name) for name in ("stream", "level", "index"))
        )

    return Site(
        {ROLE: frozenset({ROLE})},
        (
            Route(f"/{ROLE}", lambda _: page),
            Route(f"/{ROLE}/data", lambda _: session.description()),
            Route(f"/{ROLE}/tile", tile),
            Route(f"/{ROLE}/entry", lambda r: session.apply(r.content), "POST"),
        ),
        {"editor": _STATIC},
    )


def _whole(query: Any, name: str) -> int:
    text = query.get(name, "")
    if not (text.isdecimal() and len(text) < 12):
        raise ValueError(f"{name} must be a number from 0, not {text[:20]!r}")
    return int(text)
