"""Address of a page that a command serves: opened, printed on a terminal only."""

import atexit
import os
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from physio.cli.output import say
from physio.core.private_file import write_private


def page_announcer(
    subject: object, *, open_it: bool, role: str = "page"
) -> Callable[[str], None]:
    """Return a function that prints and opens the address of a page.

    The address holds a token. Where the output is no terminal, a private page that
    leads to it is named instead.

    Parameters
    ----------
    subject
        Beginning of the line, such as the path of a recording.
    open_it
        Open the page in the browser.
    role
        Part of the private page's name.
    """

    def announce(url: str) -> None:
        terminal = sys.stdout.isatty()
        page = None if terminal and not open_it else leading_page(url, role)
        at = url if terminal else f"open {page} in a browser"
        say(f"{subject}: {at}  (Ctrl-C ends it)")
        if open_it and page is not None:
            # Some browsers return when they are closed.
            Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()

    return announce


def leading_page(url: str, role: str = "dashboard") -> Path:
    """Write a page that leads to an address; no list of processes shows its token."""
    from physio.online.unix_control import runtime_folder

    path = runtime_folder() / f"{role}-{os.getpid()}.html"
    write_private(
        path, f'<!DOCTYPE html><meta http-equiv="refresh" content="0;url={url}">\n'
    )
    atexit.register(path.unlink, missing_ok=True)
    return path
