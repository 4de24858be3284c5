"""The dashboard of a session, on the command line."""

import os
import sys
import webbrowser
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from physio.online.plan import SessionFile
    from physio.view.dashboard.sink import Dashboard

USE: Final = "physio.view.dashboard:Dashboard"


def wanted() -> bool:
    """Tell whether somebody sits before a display and could look at a page."""
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(display) and sys.stdout.isatty()


def added(file: "SessionFile") -> "SessionFile":
    """Return a session file with a dashboard among its sinks."""
    sinks = dict(file.table("sinks"))
    if any(sink.get("use") == USE for sink in sinks.values()):
        return file
    sinks["dashboard"] = {"use": USE}
    return replace(file, tables={**file.tables, "sinks": sinks})


def teller(*, open_it: bool) -> Callable[["Dashboard"], str]:
    """Return what opens a dashboard, and says where it is."""

    def tell(board: "Dashboard") -> str:
        if open_it:
            _open(board.page)
        look, person = (board.urls[role] for role in ("look", "participant"))
        return f"dashboard: {board.page}  only to look: {look}  participant: {person}"

    return tell


def _open(url: str) -> None:
    """Open a page without its token being seen among the running programs."""
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or gettempdir())
    path = folder / f"physio-dashboard-{os.getpid()}.html"
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_text(
        f'<!DOCTYPE html><meta http-equiv="refresh" content="0;url={url}">', "utf-8"
    )
    webbrowser.open(path.as_uri())
