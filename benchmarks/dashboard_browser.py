"""Frame rate and delay of the dashboard in a browser, and its effect on the session."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Item
from physio.core.protocols import Clock, Device, Sink, WallClock
from physio.online.session import Session
from physio.online.session_config import SessionConfig
from physio.view.dashboard import Dashboard

CHROMIUM: Final = "/usr/bin/chromium"
SECONDS: Final = 15.0
_NAMES: Final = (
    "Fp1 Fp2 F7 F3 Fz F4 F8 FC5 FC1 FC2 FC6 T7 C3 Cz C4 T8 TP9 CP5 CP1 CP2 CP6 TP10 "
    "P7 P3 Pz P4 P8 PO9 O1 Oz O2 PO10"
)
_WRIST: Final[Sequence[tuple[str, int, tuple[str, ...], str, str]]] = (
    ("eda", 4, ("eda",), "gsr", "uS"),
    ("bvp", 64, ("bvp",), "bio", "1"),
    ("acc", 32, ("acc.x", "acc.y", "acc.z"), "misc", "g"),
    ("temp", 4, ("temp",), "temperature", "degC"),
)


@dataclass
class Wearer(Device):
    """Noise in the format of a headset and a wristband, delayed only by the reader.

    Parameters
    ----------
    clock
        The session clock.
    rate
        Sampling rate of the 32 EEG channels (Hz).
    """

    clock: Clock
    rate: int = 512
    on: bool = True
    _given: dict[str, int] = field(default_factory=dict, init=False)
    _begin: float = field(default=0.0, init=False)
    _closed: bool = field(default=False, init=False)

    def __enter__(self) -> Self:
        rng = np.random.default_rng(5)
        self._infos = [_info("head.eeg", self.rate, _NAMES.split(), "eeg", "uV")]
        self._infos += [
            _info(f"band.{name}", hz, names, kind, unit)
            for name, hz, names, kind, unit in _WRIST
        ]
        self._past: dict[str, Array] = {}
        for info in self._infos:
            n = 30 * int(info.rate)
            t = np.arange(n)[:, None] / float(info.rate)
            size = {"uV": 20.0, "uS": 0.02, "g": 0.05}.get(info.channels[0].unit, 0.5)
            noise = rng.normal(0, size, (n, len(info.channels)))
            middle = {"uS": 2.0, "degC": 33.0}.get(info.channels[0].unit, 0.0)
            beat = 2.0 * np.sin(2 * np.pi * 1.2 * t) if "bvp" in info.name else 0.0
            self._past[info.name] = middle + beat + noise
        self._given = {info.name: 0 for info in self._infos}
        self._begin = self.clock.now()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True

    @property
    def ended(self) -> bool:
        """True once it is closed."""
        return self._closed

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Streams of a headset and a wristband."""
        return tuple(self._infos)

    def read(self) -> Sequence[Item]:
        """Return the samples that are due."""
        now = self.clock.now() - self._begin
        items: list[Item] = []
        for info in self._infos:
            start, stop = self._given[info.name], int(now * float(info.rate))
            if stop > start:
                past = self._past[info.name]
                rows = past[np.arange(start, stop) % len(past)]
                self._given[info.name] = stop
                if self.on or info.name == "head.eeg":
                    items.append(Block(info, start, self._begin, rows))
        return items


@dataclass
class Lateness(Sink):
    """A sink that measures the age of the newest EEG sample when it is recorded."""

    clock: Clock
    late: list[float] = field(default_factory=list)

    def open_streams(self, streams: Sequence[StreamInfo]) -> None:
        """Need nothing."""

    def end(self, outcome: str) -> None:
        """Need nothing."""

    def write(self, item: Item) -> None:
        """Measure the age of the newest EEG sample."""
        if isinstance(item, Block) and item.info.name == "head.eeg":
            self.late.append(self.clock.now() - item.complete_until)


@dataclass
class Shown:
    """A running session with a dashboard, and a browser that shows it."""

    session: Session
    board: Dashboard
    wearer: Wearer
    lateness: Lateness
    page: Any
    browser: Any

    def lates(self, seconds: float) -> dict[str, float]:
        """Return the delay of acquisition in the next seconds (ms)."""
        self.lateness.late.clear()
        self.page.wait_for_timeout(1e3 * seconds)
        return _percentiles(self.lateness.late, "acquired")


@contextmanager
def shown(speed: float = 1.0, rate: int = 512) -> Iterator[Shown]:
    """Run a session of 32 channels and a wristband, and show it in Chromium.

    Raises
    ------
    OSError
        If there is no Chromium, or no playwright.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise OSError("this bench needs playwright: pip install playwright") from None
    if not Path(CHROMIUM).exists():
        raise OSError(f"this bench needs a browser: there is none at {CHROMIUM}")
    clock = WallClock(speed)
    wearer, lateness = Wearer(clock, rate), Lateness(clock)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        board = Dashboard(Path(folder), {"participant": "bench"}, clock)
        sinks: list[Sink] = [lateness, board]
        session = Session(
            SessionConfig().plan, [wearer], sinks, clock, poll=0.02 * speed
        )
        thread = Thread(target=_run, args=(session,))
        thread.start()
        try:
            while not board.urls:
                time.sleep(0.05)
            browser = play.chromium.launch(
                executable_path=CHROMIUM,
                args=["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"],
            )
            page = browser.new_context(
                viewport={"width": 1280, "height": 800}
            ).new_page()
            page.set_default_timeout(60_000)
            page.goto(board.page)
            page.wait_for_function("window.physio && physio.count > 20")
            yield Shown(session, board, wearer, lateness, page, browser)
        finally:
            session.stop()
            thread.join(60)


def rows(data: Path | None) -> list[dict[str, Any]]:  # noqa: ARG001 needs no data
    """Return frame rate, age of the newest point, and delays of acquisition."""
    with shown() as live:
        live.page.wait_for_timeout(8_000)
        shown_figures = _frame_rate(live)
        watched = live.lates(5.0)
        lost = _lost(live)
        hidden = _hidden(live)
        pid = _renderer()
        if pid:
            os.kill(pid, signal.SIGSTOP)
        dead = live.lates(5.0)
        if pid:
            os.kill(pid, signal.SIGCONT)
        dropped = live.board.dropped
    work = "dashboard in Chromium, 32 channels x 512 Hz and a wristband"
    more = {"peer": ""}
    return [
        {"work": work, **more, **shown_figures},
        {"work": "acquisition while the page is watched", **more, **watched},
        {"work": "acquisition while the page is hidden", **more, **hidden},
        {
            "work": "acquisition while the browser is stopped",
            **more,
            **dead,
            "dropped": dropped,
        },
        {"work": "a dead wristband shows as lost", **more, **lost},
    ]


def _info(
    name: str, rate: int, names: Sequence[str], kind: str, unit: str
) -> StreamInfo:
    channels = tuple(Channel(n, kind, unit) for n in names)
    return StreamInfo(
        name, Fraction(rate), channels, site="left wrist" * ("band" in name)
    )


def _run(session: Session) -> None:
    with session:
        for _ in session:
            pass


def _frame_rate(live: Shown) -> dict[str, float]:
    """Return frames and delays of a page, and its processor time."""
    page = live.page
    look = "({f: physio.frames, c: physio.count, t: performance.now()})"
    page.evaluate("physio.ages.length = 0")
    first, spent = page.evaluate(look), _spent(live.board.process_id)
    ages: list[float] = []
    for _ in range(int(SECONDS)):
        page.wait_for_timeout(1_000)
        ages += page.evaluate("physio.ages.splice(0)")
    last = page.evaluate(look)
    used = [b - a for a, b in zip(spent, _spent(live.board.process_id), strict=True)]
    seconds = (last["t"] - first["t"]) / 1e3
    updates = last["c"] - first["c"]
    return {
        "frames_per_s": (last["f"] - first["f"]) / seconds,
        "updates_per_s": updates / seconds,
        **_percentiles([a / 1e3 for a in ages], "newest_point", 95),
        "server_cpu_ms_per_update": 1e3 * used[0] / updates,
        "browser_cpu_ms_per_update": 1e3 * used[1] / updates,
    }


def _spent(server: int) -> tuple[float, float]:
    """Return the processor time (s) of the server, and of the browser, so far."""
    seconds = [0.0, 0.0]
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdecimal() or not _ancestor(
                int(entry.name), os.getpid()
            ):
                continue
            name, _, rest = (entry / "stat").read_text("utf-8").rpartition(")")
        except OSError:
            continue
        spent = sum(map(int, rest.split()[11:13])) / os.sysconf("SC_CLK_TCK")
        if int(entry.name) == server:
            seconds[0] += spent
        elif "chrom" in name:
            seconds[1] += spent
    return seconds[0], seconds[1]


def _percentiles(
    seconds: Sequence[float], quantity: str, most: int = 99
) -> dict[str, float]:
    half, high = 1e3 * np.percentile(seconds, [50, most])
    return {f"{quantity}_p50_ms": float(half), f"{quantity}_p{most}_ms": float(high)}


def _lost(live: Shown) -> dict[str, float]:
    """Switch the wristband off and on again; time the messages on the page."""
    condition = "document.querySelector('#badges').innerText.includes('LOST: band')"
    began = time.monotonic()
    live.wearer.on = False
    live.page.wait_for_function(condition, polling="raf")
    away = time.monotonic() - began
    live.page.wait_for_timeout(1_000)
    began = time.monotonic()
    live.wearer.on = True
    live.page.wait_for_function(f"!({condition})", polling="raf")
    return {"lost_after_s": away, "back_after_s": time.monotonic() - began}


def _hidden(live: Shown) -> dict[str, float]:
    """Hide the page behind another one."""
    other = live.page.context.new_page()
    other.bring_to_front()
    lates = live.lates(5.0)
    other.close()
    live.page.bring_to_front()
    return lates


def _renderer() -> int:
    """Return the process that draws the page; 0 if it is unknown."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        ours = _ancestor(int(entry.name), os.getpid())
        if b"--type=renderer" in line and ours:
            return int(entry.name)
    return 0


def _ancestor(pid: int, of: int) -> bool:
    """Tell whether a process was started by another, or by one that it started."""
    while pid > 1:
        if pid == of:
            return True
        try:
            stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
        except OSError:
            return False
        pid = int(stat.rpartition(")")[2].split()[1])
    return False
