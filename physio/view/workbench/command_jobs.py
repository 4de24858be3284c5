"""Commands of the workbench as child processes: output, pages, end."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Final

from physio.core.operating_system import IS_WINDOWS, separate_group
from physio.core.printable import printable
from physio.view.workbench.actions import PlannedCommand

_PACKAGES: Final = Path(__file__).resolve().parents[3]

RUNNING: Final = 6
"""Maximum number of commands that run at the same time."""

LISTED: Final = 50
"""Maximum number of commands that are listed."""

_LINES: Final = 400  # lines of output that are stored
_LINE: Final = 2000  # characters of a line
_GRACE: Final = 5.0  # s for a command to end by itself
_PAGE: Final = re.compile(r"open (\S.*\.html) in a browser")
_ADDRESSES: Final = re.compile(r"its addresses are in (\S.*dashboard\.txt)$")
_URL: Final = re.compile(r'url=(http[^"]+)"')


@dataclass
class CommandJob:
    """A command that runs or has run.

    Parameters
    ----------
    number
        Its number, counted from 1.
    command
        The command.
    """

    number: int
    command: PlannedCommand
    state: str = "running"
    url: str = ""
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def to_dict(self, folder: Path) -> dict[str, Any]:
        """Return the job as the page shows it."""
        is_running = self.state == "running"
        seconds = time.monotonic() - self.began if is_running else self.seconds
        present = [p for p in self.command.outputs if (folder / p).exists()]
        return {
            "number": self.number,
            "label": self.command.action.label,
            "command": self.command.text,
            "state": self.state,
            "is_page": self.command.action.is_page,
            "url": self.url,
            "seconds": round(seconds, 1),
            "lines": list(self.lines),
            "outputs": [] if is_running else present,
        }


class CommandJobs:
    """Child processes of the commands that were started from the page.

    Parameters
    ----------
    folder
        Folder that they run in.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._jobs: deque[CommandJob] = deque()
        self._lock, self._number = Lock(), 0

    def start(self, command: PlannedCommand) -> CommandJob:
        """Start a command: this Python with a list of arguments, never a shell.

        Raises
        ------
        ValueError
            If too many run already.
        OSError
            If it cannot be started.
        """
        with self._lock:
            if sum(job.state == "running" for job in self._jobs) >= RUNNING:
                raise ValueError(f"{RUNNING} commands run already: stop one first")
            self._number += 1
            job = CommandJob(self._number, command)
            # Files of the folder, as a typer.py, must not be imported: hence -P.
            given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
            paths = (_PACKAGES, *(Path(p).resolve() for p in given if p))
            path = os.pathsep.join(map(str, paths))
            job.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "physio", *command.arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
                **separate_group(),
            )
            self._jobs.append(job)
            while len(self._jobs) > LISTED and self._jobs[0].state != "running":
                self._jobs.popleft()
        Thread(target=self._follow, args=(job,), name="command", daemon=True).start()
        return job

    def stop(self, number: int) -> None:
        """Interrupt a command, as Ctrl-C does.

        Raises
        ------
        ValueError
            If there is no such command.
        """
        _interrupt(self.job(number))

    def job(self, number: int) -> CommandJob:
        """Return a command by its number; ValueError if there is none."""
        for job in tuple(self._jobs):
            if job.number == number:
                return job
        raise ValueError(f"there is no command {number}")

    def to_list(self) -> list[dict[str, Any]]:
        """Return all commands, the newest first."""
        return [job.to_dict(self.folder) for job in reversed(tuple(self._jobs))]

    def close(self) -> None:
        """End all commands."""
        running = [job for job in self._jobs if job.state == "running"]
        for job in running:
            _interrupt(job)
        end = time.monotonic() + _GRACE
        for job in running:
            if job.process is None:
                continue
            try:
                job.process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                job.process.kill()
                job.process.wait()

    def _follow(self, job: CommandJob) -> None:
        """Store the output of a command until it ends."""
        process = job.process
        if process is None or process.stdout is None:
            return
        with process.stdout as output:
            for raw in output:
                text = raw.decode("utf-8", "replace").rstrip()
                for line in filter(None, text.split("\r")):
                    job.lines.append(printable(line[:_LINE], keep="\t"))
                    job.url = job.url or _page_url(line, self.folder)
        status = process.wait()
        job.seconds = time.monotonic() - job.began
        is_stopped = status in (130, -signal.SIGINT)
        job.url = ""
        if job.command.action.is_page and (status == 0 or is_stopped):
            job.state = "closed"
        else:
            job.state = {0: "done", 1: "done with findings"}.get(
                status, "stopped" if is_stopped else "failed"
            )


def _interrupt(job: CommandJob) -> None:
    process = job.process
    if process is None or process.poll() is not None:
        return
    with suppress(ProcessLookupError, PermissionError):
        if IS_WINDOWS:
            process.send_signal(signal.CTRL_BREAK_EVENT)  # type: ignore[attr-defined]
        else:
            os.killpg(process.pid, signal.SIGINT)


def _page_url(line: str, folder: Path) -> str:
    """Return the address of the page that a line of a command leads to, or ``""``."""
    try:
        if match := _PAGE.search(line):
            text = Path(match[1]).read_text("utf-8")
            return (_URL.search(text) or ["", ""])[1]
        if match := _ADDRESSES.search(line):
            text = (folder / match[1]).read_text("utf-8")
            address = re.search(r"^control: (http\S+)$", text, re.M)
            return address[1] if address else ""
    except OSError:
        pass
    return ""
