"""Limit of the messages that others can cause in the operator's terminal or log."""

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from physio.core.printable import printable

LONGEST: Final = 300
"""Longest message of a server (characters)."""


@dataclass
class MessageLimit:
    """Limit of the number of messages in a period; further ones are counted.

    Parameters
    ----------
    most
        Maximum number of messages in a period.
    period
        Duration of a period (s).
    tick
        Clock (s).
    """

    most: int = 50
    period: float = 10.0
    tick: Callable[[], float] = time.monotonic
    _begin: float = field(default=float("-inf"), init=False)
    _count: int = field(default=0, init=False)
    _skipped: int = field(default=0, init=False)

    def admit(self, message: str) -> list[str]:
        """Return the lines to print now: the message, its predecessors' count, none."""
        now, lines = self.tick(), list[str]()
        if now - self._begin >= self.period:
            lines = self.summary()
            self._begin, self._count = now, 0
        self._count += 1
        if self._count > self.most:
            self._skipped += 1
            return lines
        return [*lines, message]

    def summary(self) -> list[str]:
        """Return a line with the number of messages not printed yet, if there are."""
        skipped, self._skipped = self._skipped, 0
        return [f"{skipped} further messages were not printed"] if skipped else []


class LimitedLog(logging.Handler):
    """Handler that writes records as single lines, within a limit.

    Parameters
    ----------
    name
        Beginning of each line.
    limit
        The limit.
    """

    def __init__(self, name: str, limit: MessageLimit) -> None:
        super().__init__(logging.WARNING)
        self._name, self._limit = name, limit

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text = f"{text}: {type(error).__name__}: {error}"
        line = printable(" ".join(text.split()), keep="")
        self._write(self._limit.admit(line[:LONGEST]))

    def close(self) -> None:
        """Write the number of records not written, as at the end of the process."""
        self._write(self._limit.summary())
        super().close()

    def _write(self, lines: list[str]) -> None:
        for line in lines:
            sys.stderr.write(f"{self._name}: {line}\n")


def limit_logs(name: str, limit: MessageLimit | None = None) -> None:
    """Send the logs and warnings of this process to one `LimitedLog`."""
    root = logging.getLogger()
    root.handlers[:] = [LimitedLog(name, limit or MessageLimit(most=5, period=60.0))]
    for other in ("bokeh", "tornado", "asyncio"):
        logger = logging.getLogger(other)
        logger.handlers.clear()
        logger.propagate = True
    logging.captureWarnings(capture=True)
