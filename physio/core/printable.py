"""Text of other sources, made safe to print on a terminal."""

import unicodedata
from typing import Final

_JOINERS: Final = frozenset("\u200c\u200d")
"""Format characters that scripts and emoji need; they do not control the terminal."""


def printable(text: str, keep: str = "\n\t") -> str:
    r"""Return a text in which no character controls the terminal.

    Control characters (escape codes among them), directional and other format
    characters, line separators and lone surrogates are written as in a Python string:
    ``\x1b``. All other characters stay.

    Parameters
    ----------
    text
        Text of another source: a marker, a label, a name, a message on one of them.
    keep
        Control characters that stay; ``""`` for text that belongs on one line.

    References
    ----------
    Unicode Standard Annex 44, general categories Cc, Cf, Cs, Zl and Zp.
    """
    if text.isprintable():
        return text
    return "".join(c if c in keep or not _steers(c) else _escaped(c) for c in text)


def _steers(character: str) -> bool:
    category = unicodedata.category(character)
    return category in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in _JOINERS


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
