"""A study's session whose pages a test opens in a real browser."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from devices.simulated import Wristband
from physio.core.protocols import WallClock
from physio.online.engine import PipelineConfig
from physio.online.session import Session
from physio.sinks.channel_status import ChannelStatusFile
from physio.sinks.xdf import Xdf
from physio.study.page_link import PageLink
from physio.study.page_runner import PageRunner
from physio.study.study_folder import Study


@dataclass
class Presented:
    """A session of a study in a thread, with its pages.

    ``code`` is the participant; ``speed`` the seconds of the session per second.
    """

    study: Study
    code: str
    conditions: Sequence[str]
    speed: float = 1.0
    introduced: bool = False
    progress: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __enter__(self) -> "Presented":
        self.folder = self.study.next_session_folder(self.code)
        self.folder.mkdir()
        clock = WallClock(self.speed)
        design = self.study.design
        files = [f for files in design.stimulus_files.values() for f in files]
        status = self.folder / "conditions.json"
        self.link = PageLink(clock, design.study.name, files, status)
        self.link.__enter__()
        self.runner = PageRunner(
            design, self.conditions, clock,
            lambda event, **about: self.progress.append((event, about)),
            link=self.link, stimuli=self.study.stimuli(self.code),
            introduced=self.introduced, participant=self.code,
        )  # fmt: skip
        band = Wristband(
            name="band", seed=7, seconds=9000, ground_truth=False, clock=clock
        )
        sinks = [Xdf(self.folder), ChannelStatusFile(self.folder)]
        poll = 0.01 * self.speed
        self.session = Session(
            PipelineConfig(), [band, self.runner], sinks, clock, poll
        )
        self.thread = Thread(target=self._run)
        self.thread.start()
        return self

    def _run(self) -> None:
        with self.session:
            self.runner.health = self.session.health
            for _ in self.session:
                pass

    def __exit__(self, *_: object) -> None:
        self.session.stop()
        self.thread.join(60)
        self.link.__exit__(None, None, None)

    @property
    def port(self) -> int:
        return urlsplit(self.link.urls["participant"]).port or 0

    def cookie(self, role: str) -> str:
        token = urlsplit(self.link.urls[role]).query.removeprefix("token=")
        return f"physio-{self.port}-{role}={token}"

    @property
    def recording(self) -> Path:
        return self.folder / "recording.xdf"


def until(wanted: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Return what ``wanted`` gives as soon as it gives anything."""
    deadline = time.monotonic() + seconds
    while not (found := wanted()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found
