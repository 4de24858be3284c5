"""Parts of Python that some systems lack: modules, clocks, timers."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final


def optional_module(name: str) -> Any:
    """Return a module of the standard library, or None where this system lacks it."""
    try:
        return import_module(name)
    except ImportError:
        return None


fcntl: Final = optional_module("fcntl")
msvcrt: Final = optional_module("msvcrt")
termios: Final = optional_module("termios")
tty: Final = optional_module("tty") if termios is not None else None

IS_WINDOWS: Final = os.name == "nt"

monotonic: Final[Callable[[], float]] = (
    time.perf_counter if IS_WINDOWS else time.monotonic
)
"""The clock of sessions (s): it never goes back, and LSL uses it too.

On Windows `time.monotonic` has steps of 16 ms before Python 3.13; both LSL and
`time.perf_counter` read the performance counter there.
"""


def suspended() -> float:
    """Return the time for which the computer was suspended since its start (s).

    It is 0 where the system does not tell.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    if hasattr(time, "CLOCK_UPTIME_RAW"):  # macOS, whose other clock goes on
        awake = time.clock_gettime(time.CLOCK_UPTIME_RAW)
        return time.clock_gettime(time.CLOCK_MONOTONIC) - awake
    return 0.0


@contextmanager
def fine_timer() -> Iterator[None]:
    """Ask Windows for timers of 1 ms instead of 16 ms; elsewhere, do nothing."""
    if not IS_WINDOWS:
        yield
        return
    import ctypes

    winmm = getattr(ctypes, "windll").winmm  # noqa: B009 absent on other systems
    winmm.timeBeginPeriod(1)
    try:
        yield
    finally:
        winmm.timeEndPeriod(1)


def separate_group() -> dict[str, Any]:
    """Return options of a child process that Ctrl-C in the terminal does not reach.

    It stays in the session of the terminal: Linux shares a core between sessions, and
    may starve one of them beside a session that often wakes up.
    """
    if IS_WINDOWS:
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    return {"process_group": 0}


def tolerant_output() -> None:
    """Replace characters that the terminal's encoding lacks, as of old Windows ones."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
