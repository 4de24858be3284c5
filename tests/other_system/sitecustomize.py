"""Takes from Python, at its start, what Windows lacks; then runs a program there.

Modules are missing for our packages alone, as the standard library and others have
versions of their own for Windows, which are not installed here: `asyncio`,
`multiprocessing`, `subprocess`, `shutil`, `click`, `joblib` and `numba` need `fcntl`,
`termios`, `resource`, `pwd` or `grp` on this system. `msvcrt` is `windows_console`, for
our packages alone too. Attributes are missing for all.
"""

import builtins
import importlib
import os
import signal
import socket
import sys
import time
import warnings
from contextlib import suppress

import windows_console

with suppress(ImportError):
    import psutil  # noqa: F401 its version for Linux needs AF_UNIX as it is imported

MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
PACKAGES = {"physio", "devices"}
ATTRIBUTES = {
    os: [
        "fchmod", "fdatasync", "fork", "getegid", "geteuid", "getgid", "getpgid",
        "getuid", "killpg", "mkfifo", "posix_fallocate", "pread", "pwrite", "setsid",
        *(name for name in dir(os) if name.lower().startswith("sched_")),
    ],
    signal: ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "setitimer"],
    socket: ["AF_UNIX"],
    time: ["clock_gettime", *(n for n in dir(time) if n.startswith("CLOCK_"))],
}  # fmt: skip

pair, family, imported, dynamic = (
    socket.socketpair, socket.AF_UNIX, builtins.__import__, importlib.import_module,
)  # fmt: skip
for owner, names in ATTRIBUTES.items():
    for name in names:
        if hasattr(owner, name):
            delattr(owner, name)
# Windows has no AF_UNIX, but pairs of sockets.
socket.socketpair = lambda *_args, **_options: pair(family)
LACKING = "no module named {!r}: this system has none"


def refuse(name: str, package: str) -> None:
    if name.partition(".")[0] in MODULES and package.partition(".")[0] in PACKAGES:
        raise ModuleNotFoundError(LACKING.format(name), name=name)


def statement(name, variables=None, *rest, **options):  # type: ignore[no-untyped-def]
    refuse(name, str((variables or {}).get("__name__", "")))
    return imported(name, variables, *rest, **options)


def call(name, package=None):  # type: ignore[no-untyped-def]
    caller = sys._getframe(1).f_globals.get("__name__", "")
    refuse(name, caller)
    is_console = name == "msvcrt" and caller.partition(".")[0] in PACKAGES
    return windows_console if is_console else dynamic(name, package)


builtins.__import__ = statement
importlib.import_module = call
if hasattr(builtins, "EncodingWarning"):  # files are in UTF-8, whatever the system is
    warnings.simplefilter("ignore", EncodingWarning)
    warnings.filterwarnings(
        "error", category=EncodingWarning, module=r"(physio|devices)(\.|$)"
    )
