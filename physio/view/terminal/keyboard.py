"""Keyboard input during a session, converted to commands."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self, TextIO

from physio.core.operating_system import msvcrt, termios, tty
from physio.core.protocols import Command

QUIT: Final = "quit"
"""Text that `Keys.press` and `Keyboard.read` return for the key that ends a session.

A typed label with the same text is returned in quotation marks."""

LONGEST: Final = 200
"""Maximum number of characters of a typed label."""


@dataclass
class Keys:
    """Meaning of keys: digits are markers, ``m`` begins a label, ``q`` quits.

    While a label is typed, Enter confirms it, Escape discards it and Backspace deletes
    one character.

    Parameters
    ----------
    more
        Further keys that are reported unchanged.
    """

    more: str = ""
    entry: str | None = field(default=None, init=False)
    """The label typed so far; None while none is being typed."""

    def press(self, text: str) -> list[str]:
        """Take in characters; return the markers set, and `QUIT`."""
        return [label for character in text for label in self._press(character)]

    def _press(self, key: str) -> list[str]:
        if self.entry is None:
            if key == "m":
                self.entry = ""
            elif key in "qQ\x04":
                return [QUIT]
            elif key in "123456789" + self.more:
                return [key]
            return []
        if key in "\r\n":
            label, self.entry = self.entry.strip(), None
            return [f'"{label}"' if label == QUIT else label] if label else []
        if key == "\x1b":
            self.entry = None
        elif key in "\x7f\b":
            self.entry = self.entry[:-1]
        elif key.isprintable() and len(self.entry) < LONGEST:
            self.entry += key
        return []


@dataclass
class Keyboard:
    """Non-blocking keyboard input inside a ``with`` block.

    Windows has another way to read keys; without any, sessions run without them. On a
    terminal, keys are read immediately and not echoed; its settings are restored
    at the end of the block. If the input is not a terminal, nothing is read from it.

    Parameters
    ----------
    source
        The terminal; standard input by default.
    """

    source: TextIO | None = None
    keys: Keys = field(default_factory=Keys, init=False)
    _file: int | None = field(default=None, init=False)
    _before: list[Any] = field(default_factory=list, init=False, repr=False)
    _console: bool = field(default=False, init=False)

    def __enter__(self) -> Self:
        source = self.source or sys.stdin
        if source is None or not source.isatty():
            return self
        if termios is not None and tty is not None:
            self._file = source.fileno()
            self._before = termios.tcgetattr(self._file)
            tty.setcbreak(self._file)
        else:
            self._console = msvcrt is not None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)
            self._file = None
        self._console = False

    @property
    def listening(self) -> bool:
        """True while keys are read."""
        return self._file is not None or self._console

    def commands(self, now: float) -> list[Command]:
        """Return the commands of the keys pressed since the last call; never wait.

        Parameters
        ----------
        now
            The time (s, session clock).
        """
        return [command(text, now) for text in self.read()]

    def read(self) -> list[str]:
        """Return the markers set since the last call, and `QUIT`; never wait."""
        if self._console:
            return self.keys.press("".join(_console_keys()))
        text = b""
        while self._file is not None and select.select([self._file], [], [], 0)[0]:
            data = os.read(self._file, 1024)
            if not data:  # the terminal is gone
                break
            text += data
        return self.keys.press(text.decode("utf-8", "ignore"))


def _console_keys() -> Iterator[str]:
    """Yield the characters typed on the console of Windows since the last call."""
    while msvcrt.kbhit():
        key = msvcrt.getwch()
        if key in "\x00\xe0":  # a function key: its code follows
            msvcrt.getwch()
        else:
            yield key


def command(text: str, now: float) -> Command:
    """Return the command that `Keys.press` means by a text."""
    if text == QUIT:
        return Command("stop", now, "stopped by key")
    return Command("mark", now, text)
