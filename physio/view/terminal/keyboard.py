"""Keys pressed while a session runs, as markers."""

import os
import select
import sys
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self, TextIO

try:  # where there is no termios, there are no keys: sessions run all the same
    import termios
    import tty
except ImportError:  # pragma: no cover
    termios = tty = None  # type: ignore[assignment]

QUIT: Final = "quit"
"""What `Keys.press` and `Keyboard.read` give for a wish to end.

A label that is typed so comes in quotation marks."""

LONGEST: Final = 200
"""How many characters a typed label may have."""


@dataclass
class Keys:
    """What keys mean: digits are markers, ``m`` begins a label, ``q`` quits.

    While a label is typed, Enter sets it, Escape drops it and Backspace takes the last
    character back.

    Parameters
    ----------
    more
        Further keys that count, each by itself.
    """

    more: str = ""
    entry: str | None = field(default=None, init=False)
    """What was typed of a label so far; None while none is being typed."""

    def press(self, text: str) -> list[str]:
        """Take in characters; return the markers set, and `QUIT`."""
        found: list[str] = []
        for one in text:
            found += self._one(one)
        return found

    def _one(self, one: str) -> list[str]:
        if self.entry is None:
            if one == "m":
                self.entry = ""
            elif one in "qQ\x04":
                return [QUIT]
            elif one in "123456789" + self.more:
                return [one]
            return []
        if one in "\r\n":
            label, self.entry = self.entry.strip(), None
            return [f'"{label}"' if label == QUIT else label] if label else []
        if one == "\x1b":
            self.entry = None
        elif one in "\x7f\b":
            self.entry = self.entry[:-1]
        elif one.isprintable() and len(self.entry) < LONGEST:
            self.entry += one
        return []


@dataclass
class Keyboard:
    """Keys as they are pressed, without waiting, inside a ``with`` block.

    On a terminal, keys come at once and are not shown; on leaving, the terminal is as
    it was. Where input is no terminal, nothing is ever read from it.

    Parameters
    ----------
    source
        Where keys come from; standard input by default.
    """

    source: TextIO | None = None
    keys: Keys = field(default_factory=Keys, init=False)
    _file: int | None = field(default=None, init=False)
    _before: list[Any] = field(default_factory=list, init=False, repr=False)

    def __enter__(self) -> Self:
        source = self.source or sys.stdin
        if termios is not None and source is not None and source.isatty():
            self._file = source.fileno()
            self._before = termios.tcgetattr(self._file)
            tty.setcbreak(self._file)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)
            self._file = None

    @property
    def listening(self) -> bool:
        """Whether keys can come."""
        return self._file is not None

    def read(self) -> list[str]:
        """Return the markers set since the last call, and `QUIT`; never wait."""
        text = b""
        while self._file is not None and select.select([self._file], [], [], 0)[0]:
            got = os.read(self._file, 1024)
            if not got:  # the terminal is gone
                break
            text += got
        return self.keys.press(text.decode("utf-8", "ignore"))
