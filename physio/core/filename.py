"""File names from other names: validation and replacement of characters."""

import hashlib
import unicodedata
from collections.abc import Iterable
from typing import Final

LONGEST: Final = 100
"""Longest name (bytes in UTF-8), which leaves room for prefixes and endings."""

_PORTS = (
    f"{port}{n}" for port in ("com", "lpt") for n in "0123456789\u00b9\u00b2\u00b3"
)
_DEVICES: Final = frozenset(("con", "prn", "aux", "nul", "conin$", "conout$", *_PORTS))
_SPECIAL: Final = frozenset('<>:"|?*')


def invalid_reason(name: str) -> str:
    """Return the reason why a name is no valid file name on all systems, or ``""``."""
    if not name:
        return "it is empty"
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST:
        return f"it is longer than {LONGEST} bytes"
    for character in name:
        if reason := _bad(character):
            return reason
    if name[0] in ".- " or name[-1] in ". ":
        return f"it begins or ends with {name[0] if name[0] in '.- ' else name[-1]!r}"
    if name.partition(".")[0].rstrip().casefold() in _DEVICES:
        return "Windows takes it for a device"
    return ""


def valid_name(name: str, kind: str) -> str:
    """Return a name that can be part of a file name, or refuse it.

    Parameters
    ----------
    name
        The name.
    kind
        Kind of the named thing, for the message: ``"a sink"``.

    Raises
    ------
    ValueError
        If it cannot; the message gives the reason.
    """
    if reason := invalid_reason(name):
        short = name if len(name) <= LONGEST else f"{name[:40]}..."
        raise ValueError(
            f"{kind} cannot be called {short!r}, as files are called after it: {reason}"
        )
    return name


def to_filename(name: str) -> str:
    """Return a file name for any name.

    A name that is a valid file name is returned unchanged. In any other, each invalid
    character becomes ``_``, and part of the name's SHA-256 follows, so that file names
    stay distinct.
    """
    if not invalid_reason(name):
        return name
    raw = name.encode("utf-8", "surrogatepass")
    mark = hashlib.sha256(raw).hexdigest()[:12]
    text = "".join("_" if _bad(c) else c for c in name).strip(".- ")
    text = text.encode("utf-8")[: LONGEST - 20].decode("utf-8", "ignore")
    text = f"{text or 'unnamed'}-{mark}"
    return f"_{text}" if invalid_reason(text) else text


class UniqueFilenames:
    """File names by name: no two are equal, also without regard to case.

    Some systems do not distinguish case, or two Unicode forms of one accent.
    """

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._taken: set[str] = set()

    def __getitem__(self, name: str) -> str:
        """Return the file name of a name, equal at each call: see `to_filename`."""
        if name not in self._files:
            file, number = to_filename(name), 2
            while _key(file) in self._taken:
                file, number = f"{to_filename(name)}-{number}", number + 1
            self._files[name] = file
            self._taken.add(_key(file))
        return self._files[name]


def distinct_filenames(names: Iterable[str]) -> dict[str, str]:
    """Return a file name for each name, no two equal: see `UniqueFilenames`.

    Valid file names are assigned first, so that they stay unchanged.
    """
    names, files = list(names), UniqueFilenames()
    for name in sorted(names, key=lambda n: bool(invalid_reason(n))):
        _ = files[name]
    return {name: files[name] for name in names}


def _bad(character: str) -> str:
    """Return the reason why a character is invalid in file names, or ``""``."""
    if character in "/\\":
        return f"it holds the path separator {character!r}"
    if character in _SPECIAL:
        return f"it holds {character!r}"
    category = unicodedata.category(character)
    if category[0] == "C" or category in ("Zl", "Zp"):
        return f"it holds the control character U+{ord(character):04X}"
    return ""


def _key(file: str) -> str:
    return unicodedata.normalize("NFC", file).casefold()
