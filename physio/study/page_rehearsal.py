"""Simulated participant who uses a study's page in a real browser."""

import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
"""Names of browsers that are looked for."""

ARGUMENTS: Final = ("--no-sandbox", "--disable-gpu")

_LOOK: Final = 0.03  # s between two looks at the page
_CLICK: Final = 1000  # ms for a click
_PATIENCE: Final = 60.0  # s in which something must change
_VIEW: Final = {"width": 1280, "height": 800}
_PHONE: Final = {"width": 390, "height": 844}


def find_chromium() -> str:
    """Return the path of Chromium; empty for the one that playwright installs.

    Raises
    ------
    FileNotFoundError
        If playwright or Chromium is not installed.
    """
    if find_spec("playwright") is not None:
        for name in BROWSERS:
            if path := shutil.which(name):
                return path
        if _is_installed():
            return ""
    raise FileNotFoundError(
        "a rehearsal in the browser needs playwright and Chromium: install them with "
        "`pip install playwright` and `playwright install chromium`"
    )


def _is_installed() -> bool:
    """Return whether playwright has its own Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        return Path(play.chromium.executable_path).is_file()


class SimulatedParticipant:
    """Participant who reads, agrees, looks, and answers at random.

    Parameters
    ----------
    page
        Page of the browser, as of playwright.
    code
        Participant code, the seed of the answers.
    """

    def __init__(self, page: Any, code: str) -> None:
        self.page = page
        self.rng = np.random.default_rng(crc32(code.encode()))
        self.answers: dict[str, float] = {}
        """Last answer to each question."""

    def take_part(self, until: Any = None) -> None:
        """Take part until the session is over, or ``until`` is true.

        Raises
        ------
        TimeoutError
            If the page does not change for a minute of its session.
        """
        if self.page.locator("#enter").is_visible():
            self.page.locator("#begin").click()
        before, since = "", time.monotonic()
        while not self.page.locator("#over").is_visible():
            if until is not None and until():
                return
            visible = self.act()
            if visible != before:
                before, since = visible, time.monotonic()
            if time.monotonic() - since > _PATIENCE:
                raise TimeoutError(f"the participant's page does not go on: {visible}")
            self.page.wait_for_timeout(1e3 * _LOOK)

    def act(self) -> str:
        """Do what the page asks for, unless it goes on meanwhile; return its text."""
        from playwright.sync_api import Error as PageError

        try:
            return self._act()
        except PageError:
            return ""

    def _act(self) -> str:
        page = self.page
        if page.locator("#text").is_visible():
            agree = page.locator("#text .agree input")
            if agree.is_visible():
                agree.check(timeout=_CLICK)
            go = page.locator("#text .go")
            if go.is_enabled():
                go.click(timeout=_CLICK)
            return str(page.locator("#text").inner_text())
        if page.locator("#question").is_visible():
            return self._answer()
        return str(page.locator("main").inner_text()) + str(time.monotonic() // 30)

    def _answer(self) -> str:
        page = self.page
        text = str(page.locator("#question legend").inner_text())
        button = page.locator("#question .primary")
        line = page.locator("#question .line")
        points = page.locator("#question .point input")
        if line.count():
            for _ in range(int(self.rng.integers(1, 9))):
                line.press("ArrowRight", timeout=_CLICK)
        elif count := points.count():
            chosen = points.nth(int(self.rng.integers(count)))
            value = chosen.get_attribute("value", timeout=_CLICK)
            self.answers[text] = float(value or "nan")
            chosen.check(force=True, timeout=_CLICK)
        if button.is_enabled():
            button.click(timeout=_CLICK)
        return text


def main() -> None:
    """Take part in the session whose address is on standard input."""
    from playwright.sync_api import sync_playwright

    code, url = sys.argv[1], sys.stdin.readline().strip()
    is_touch, path = crc32(code.encode()) % 2 == 1, find_chromium()
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=path or None, args=list(ARGUMENTS)
        )
        context = browser.new_context(
            viewport=_PHONE if is_touch else _VIEW, has_touch=is_touch
        )
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector("#begin")
        participant = SimulatedParticipant(page, code)
        if code.endswith("4"):  # reloads the page at the first question
            participant.take_part(lambda: page.locator("#question").is_visible())
            page.reload()
            page.wait_for_selector("#begin")
        participant.take_part()
        browser.close()


if __name__ == "__main__":
    main()
