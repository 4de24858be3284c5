"""Presentation of a study's session: in the terminal, or on pages in the browser."""

import subprocess
import sys
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from physio.cli.output import say

if TYPE_CHECKING:
    from physio.core.protocols import Clock
    from physio.online.session import Session
    from physio.study.experimenter_view import ExperimenterView
    from physio.study.page_link import PageLink
    from physio.study.page_runner import PageRunner
    from physio.study.protocol_runner import ProtocolRunner
    from physio.study.study_folder import Study

PAGES: Final = "pages.txt"
"""File of a session with the addresses of its pages, while it runs."""

SPEED: Final = 8.0
"""Speed of a rehearsal in the browser: seconds of the session per second."""

_GRACE: Final = 20.0  # s for a simulated participant to end


@dataclass(frozen=True)
class Presentation:
    """Choice of the presentation.

    Parameters
    ----------
    browser
        True for pages in the browser.
    port
        Port of the pages; 0 for a free one.
    rehearsed
        True with simulated participants.
    """

    browser: bool = False
    port: int = 0
    rehearsed: bool = False

    def clock(self) -> "Clock":
        """Return the session clock: without a page, a rehearsal need not wait."""
        from physio.core.protocols import FastClock, WallClock

        if not self.rehearsed:
            return WallClock()
        return WallClock(SPEED) if self.browser else FastClock()

    @property
    def poll(self) -> float:
        """Time between polls of the devices (s)."""
        if not self.rehearsed:
            return 0.02
        return 0.02 * SPEED if self.browser else 0.25

    def protocol(
        self,
        opened: "Study",
        code: str,
        conditions: Sequence[str],
        clock: "Clock",
        answer: Any,
    ) -> "TerminalProtocol":
        """Return the protocol of a session.

        Parameters
        ----------
        opened
            The study.
        code
            Participant code.
        conditions
            Remaining conditions.
        clock
            The session clock.
        answer
            Function with the answers of a simulated participant, in the terminal.
        """
        from physio.study.protocol_runner import ProtocolRunner

        design = opened.design
        if not self.browser:
            runner = ProtocolRunner(design, conditions, clock, answer=answer)
            return TerminalProtocol(runner)
        return _page_protocol(self, opened, code, conditions, clock)


@dataclass
class TerminalProtocol:
    """Protocol of a session whose experimenter reads the terminal.

    Parameters
    ----------
    runner
        The protocol.
    """

    runner: "ProtocolRunner"

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        """Do what the presentation needs during the session in a folder."""
        del folder
        yield

    def view(self, session: "Session") -> "ExperimenterView":
        """Return the view in the terminal."""
        from physio.study.experimenter_view import ExperimenterView

        return ExperimenterView(self.runner, session)


@dataclass
class PageProtocol(TerminalProtocol):
    """Protocol of a session that pages in the browser present.

    Parameters
    ----------
    pages
        The protocol again, with its pages.
    connect
        Function that returns the link to the pages, for a session's folder.
    rehearsed
        Code of the simulated participant; empty for a real one.
    """

    pages: "PageRunner"
    connect: "Callable[[Path], PageLink]"
    rehearsed: str = ""

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        """Serve the pages, and announce their addresses."""
        from physio.study.page_link import write_addresses

        with self.connect(folder) as link:
            self.pages.link = link
            if self.rehearsed:
                with _simulated_participant(self.pages, link, self.rehearsed):
                    yield
                return
            write_addresses(folder / PAGES, link.urls)
            try:
                self._announce(folder / PAGES, dict(link.urls))
                yield
            finally:
                (folder / PAGES).unlink(missing_ok=True)

    def view(self, session: "Session") -> "ExperimenterView":
        """Return the view in the terminal, beside that of the experimenter's page."""
        self.pages.health = session.health
        return super().view(session)

    @staticmethod
    def _announce(path: Path, urls: dict[str, str]) -> None:
        """State the addresses; a log must not hold the tokens in them."""
        from physio.cli.dashboard import has_display

        if not sys.stdout.isatty():
            say(f"the addresses of the pages are in {path}")
            return
        say(f"experimenter: {urls['experimenter']}")
        say(f"participant, on the participant's screen: {urls['participant']}")
        if has_display():
            opened = Thread(
                target=webbrowser.open, args=(urls["experimenter"],), daemon=True
            )
            opened.start()


def _page_protocol(
    presented: Presentation,
    opened: "Study",
    code: str,
    conditions: Sequence[str],
    clock: "Clock",
) -> PageProtocol:
    """Return the protocol with pages; errors of the stimuli appear here."""
    from physio.sinks.channel_status import FILE
    from physio.study.page_link import PageLink
    from physio.study.page_runner import PageRunner

    design = opened.design
    files = [file for files in design.stimulus_files.values() for file in files]
    needed = "consent" if design.study.consent_text else "begin"
    introduced = any(
        line["event"] == needed and line.get("agreed", True)
        for line in opened.log_of(code)
    )
    runner = PageRunner(
        design,
        conditions,
        clock,
        stimuli=opened.stimuli(code),
        introduced=introduced,
        participant=code,
    )

    def connect(folder: Path) -> PageLink:
        name = design.study.name
        return PageLink(clock, name, files, folder / FILE, presented.port)

    return PageProtocol(runner, runner, connect, code if presented.rehearsed else "")


@contextmanager
def _simulated_participant(
    runner: "PageRunner", link: "PageLink", code: str
) -> Iterator[None]:
    """Let a simulated participant use a page in a browser, in another process.

    The session stops if that process fails.
    """
    command = [sys.executable, "-m", "physio.study.page_rehearsal", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as child:
        if child.stdin is not None:
            child.stdin.write(link.urls["participant"] + "\n")
            child.stdin.close()

        def watch() -> None:
            if child.wait() > 0:
                runner.stop("the simulated participant failed")

        Thread(target=watch, daemon=True).start()
        try:
            yield
        finally:
            with suppress(subprocess.TimeoutExpired):
                child.wait(_GRACE)
            child.terminate()
    if child.returncode > 0:
        raise OSError("the simulated participant failed: see the message above")
