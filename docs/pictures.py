"""Make the pictures of README.md and of the page on the dashboard.

`make pictures` (or `python docs/pictures.py`) writes `docs/images/demo.png`, that
of `physio demo`; `dashboard.png`, its dashboard after four minutes; and
`dashboard-view.png`, its recording in `physio view`. The last two need Chromium. All
are of one simulated participant, so that only a change of the software changes them.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from threading import Thread

from tornado.ioloop import IOLoop

from physio.cli import dashboard as dashboards
from physio.cli.run_session import RunOptions, run_session
from physio.cli.summary import draw_overview
from physio.core.protocols import FastClock
from physio.online.demo_session import SECONDS, demo_session
from physio.online.session import Session
from physio.view.dashboard import playback
from physio.view.dashboard.session_state import SessionState

CHROMIUM = "/usr/bin/chromium"
IMAGES = Path(__file__).parent / "images"
SIZE = {"width": 1280, "height": 800}
MOMENT = 238.0  # s of the session at which the dashboard is photographed


def demo(folder: Path) -> None:
    """Run `physio demo` into a folder, and draw it as ``overview.png``."""
    file, clock = demo_session(), FastClock()
    options = RunOptions(seconds=SECONDS, poll=0.25)
    run_session(file, file.devices(clock), clock, folder, options)
    draw_overview(folder)


class StandingState(SessionState):
    """State of a session whose time stands still at its newest sample."""

    @property
    def now(self) -> float:
        """Time of the newest sample (s, session clock)."""
        return self.end


def session_state() -> SessionState:
    """Return the state of the demo at the moment of the picture."""
    file, clock = demo_session(), FastClock()
    session = Session(file.plan, file.devices(clock), [], clock, 0.25, MOMENT)
    state = StandingState()
    with session:
        state.update({"begin": session.begin, "participant": "demo"})
        state.update({"config": file.resolved(session.plan)})
        state.update({"recorded_at": "recording.xdf"})
        for item in session:
            state.take(item, clock.now())
    return state


def photograph_state(state: SessionState, path: Path) -> None:
    """Store a picture of the dashboard of a session."""

    def announce(url: str) -> None:
        loop = IOLoop.current()

        def work() -> None:
            photograph(url, path)
            loop.add_callback(loop.stop)

        Thread(target=work).start()

    role = "control" if state.at is None else "look"
    playback.serve(lambda _: state, announce, role=role)


def photograph(url: str, path: Path) -> None:
    """Open a page, wait until it is drawn, and store a picture of it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_context(viewport=SIZE, color_scheme="light").new_page()
        page.set_default_timeout(300_000)
        page.goto(url)
        page.wait_for_function(
            "window.physio && physio.count > 0 && document.querySelector('#streams td')"
        )
        page.wait_for_timeout(8_000)
        page.screenshot(path=path)
        browser.close()


def main() -> None:
    """Make the pictures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder")
    parser.add_argument("--no-browser", action="store_true", help="demo.png alone")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo(folder)
        shutil.copyfile(folder / "overview.png", given.out / "demo.png")
        if not given.no_browser:
            recorded, _ = dashboards.make_state(folder, None, None, "", print)
            photograph_state(recorded, given.out / "dashboard-view.png")
            photograph_state(session_state(), given.out / "dashboard.png")


if __name__ == "__main__":
    main()
