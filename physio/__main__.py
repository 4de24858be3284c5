"""The command ``physio``, also as ``python -m physio``; Ctrl-C leaves no traceback.

This module imports nothing but the standard library before it handles Ctrl-C.
"""

import _thread  # noqa: PLC2701 there is no public `interrupt_main`
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, Final

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C, as of shells."""


def main() -> None:
    """Run the command line, and end the process with its exit status."""
    status = _run()
    if any(thread.daemon for thread in threading.enumerate()):
        # Where a kernel is still compiled, a regular end would abort the process.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _run() -> int:
    """Run the command line; return its exit status."""
    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if is_default:
            signal.signal(signal.SIGINT, _leave)  # nothing is open yet
        from physio.cli import main as run

        sys.unraisablehook = _unraisable
        if is_default:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        run()
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
            return 1
        return end.code or 0
    else:
        return 0
    finally:
        if is_default:
            signal.signal(signal.SIGINT, _leave)  # everything is closed


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End the process at once."""
    os._exit(INTERRUPTED)


def _unraisable(error: Any) -> None:
    """Repeat a Ctrl-C that came where Python cannot raise it, as in a finalizer."""
    if issubclass(error.exc_type, KeyboardInterrupt):
        _thread.interrupt_main()
    else:
        sys.__unraisablehook__(error)


if __name__ == "__main__":
    main()
