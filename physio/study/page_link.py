"""Link from a session to the process that serves the pages of a study.

Lines of JSON go through the standard input and output of the process, each direction in
a thread of its own, so that no page delays the session.
"""

import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Thread
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from physio.core.operating_system import monotonic, separate_group
from physio.core.protocols import Clock
from physio.study.stimuli import StimulusFile

ROLES: Final = ("experimenter", "participant")
"""Roles of the pages: each has an address of its own."""

_SERVER: Final = (sys.executable, "-m", "physio.study.page_process")
_CAPACITY: Final = 256  # lines that wait for the process
_CLOCK: Final = 0.5  # s between two comparisons of clocks
_START: Final = 60.0  # s that the process may take to open its port
_GRACE: Final = 5.0  # s for the process to end by itself


class PageMessage(NamedTuple):
    """Message of a page: role of its sender, its content, and a number to reply to."""

    role: str
    content: Mapping[str, Any]
    number: int


class PageLink:
    """Process that serves the pages of a study, open inside a ``with`` block.

    Parameters
    ----------
    clock
        The session clock, which the process reproduces.
    title
        Title of the pages.
    files
        Stimuli, which pages name by their place in this sequence.
    status
        File with the status of the session's channels, if there is one.
    port
        TCP port on this computer; 0 takes a free one.
    """

    def __init__(
        self,
        clock: Clock,
        title: str,
        files: Sequence[StimulusFile] = (),
        status: Path = Path(),
        port: int = 0,
    ) -> None:
        self.clock, self.title, self.files = clock, title, files
        self.status, self.port = status, port
        self.urls: Mapping[str, str] = {}
        """Address of the page of each role, with its token."""
        self.present: Mapping[str, bool] = {}
        """True for each role whose page is open."""
        self.closed = False
        """True once the process has ended."""
        self._refusal = ""  # why the pages did not start
        self._outbox: Queue[dict[str, Any] | None] = Queue(_CAPACITY)
        self._inbox: deque[PageMessage] = deque(maxlen=1000)
        self._threads: list[Thread] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = process = subprocess.Popen(
            _SERVER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **separate_group(),
        )
        self._threads = [
            Thread(target=work, args=(process,), name="pages", daemon=True)
            for work in (self._send, self._receive)
        ]
        files = [[str(file.path), file.type] for file in self.files]
        about = {"title": self.title, "status": str(self.status), "port": self.port}
        self._outbox.put({**about, "files": files, **self._time()})
        for thread in self._threads:
            thread.start()
        until = time.monotonic() + _START
        while not self.urls:
            if self.closed or time.monotonic() > until:
                self.__exit__(None, None, None)
                reason = self._refusal or "see above"
                raise OSError(f"the pages of the study did not start: {reason}")
            time.sleep(0.02)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if (process := self._process) is None:
            return
        self._process = None
        with suppress(Full):
            self._outbox.put(None, timeout=1.0)
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for thread in self._threads:
            thread.join(_GRACE)
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def receive(self) -> list[PageMessage]:
        """Return the messages of the pages since the last call; never wait."""
        return [self._inbox.popleft() for _ in range(len(self._inbox))]

    def publish(self, **state: Any) -> bool:
        """Send the state of the study; return False if it does not fit now."""
        try:
            self._outbox.put_nowait(state)
        except Full:
            return False
        return True

    def reply(self, message: PageMessage, refusal: str) -> None:
        """Send the result of a message to its page; empty: it was carried out."""
        self.publish(reply=[message.number, refusal])

    def _time(self) -> dict[str, Any]:
        """Return the session clock beside that of the computer."""
        return {"clock": [self.clock.now(), monotonic(), self.clock.speed]}

    def _send(self, process: "subprocess.Popen[bytes]") -> None:
        """Write the lines, and the session clock twice a second."""
        pipe, compared = process.stdin, time.monotonic()
        try:
            while pipe is not None:
                note: dict[str, Any] = {}
                with suppress(Empty):
                    message = self._outbox.get(timeout=_CLOCK)
                    if message is None:
                        pipe.close()
                        return
                    note = message
                if time.monotonic() - compared >= _CLOCK:
                    compared = time.monotonic()
                    note = {**note, **self._time()}
                pipe.write(json.dumps(note).encode() + b"\n")
                pipe.flush()
        except (OSError, ValueError):
            self.closed = True

    def _receive(self, process: "subprocess.Popen[bytes]") -> None:
        """Read lines until the process ends."""
        pipe = process.stdout
        if pipe is not None:
            with suppress(OSError, ValueError):
                for line in pipe:
                    self._take(json.loads(line))
        self.closed = True

    def _take(self, note: Mapping[str, Any]) -> None:
        if "urls" in note:
            self.urls = note["urls"]
        self._refusal = note.get("error", self._refusal)
        if "present" in note:
            self.present = note["present"]
        if "content" in note:
            message = PageMessage(note["role"], note["content"], note["number"])
            self._inbox.append(message)


def write_addresses(path: Path, urls: Mapping[str, str]) -> None:
    """Write the addresses, which hold the tokens, to a file for the owner alone."""
    from physio.core.private_file import write_private

    write_private(path, "".join(f"{role}: {url}\n" for role, url in urls.items()))
