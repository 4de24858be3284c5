"""Names that become names of files: what is refused, and what stands for it."""

import hashlib
import unicodedata
from collections.abc import Iterable
from typing import Final

LONGEST: Final = 100
"""How long a name may be (bytes in UTF-8): what stands around it has room as well."""

_PORTS = (
    f"{port}{n}" for port in ("com", "lpt") for n in "0123456789\u00b9\u00b2\u00b3"
)
_DEVICES: Final = frozenset(("con", "prn", "aux", "nul", "conin$", "conout$", *_PORTS))
_SPECIAL: Final = frozenset('<>:"|?*')


def fault(name: str) -> str:
    """Return why a name cannot be that of a file on every system; empty if it can."""
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


def plain(name: str, kind: str) -> str:
    """Return a name that can be part of a file's name, or refuse it.

    Parameters
    ----------
    name
        The name.
    what
        What is called so, for the message: ``"a sink"``.

    Raises
    ------
    ValueError
        If it is none; the message says why in one sentence.
    """
    if reason := fault(name):
        short = name if len(name) <= LONGEST else f"{name[:40]}..."
        raise ValueError(
            f"{kind} cannot be called {short!r}, as files are called after it: {reason}"
        )
    return name


def safe(name: str) -> str:
    """Return the name of a file for any name at all.

    One that can be so is returned as it is. In another, each character that cannot be
    becomes ``_``, and what tells it from all others follows: a part of its SHA-256.
    """
    if not fault(name):
        return name
    raw = name.encode("utf-8", "surrogatepass")
    mark = hashlib.sha256(raw).hexdigest()[:12]
    text = "".join("_" if _bad(c) else c for c in name).strip(".- ")
    text = text.encode("utf-8")[: LONGEST - 20].decode("utf-8", "ignore")
    text = f"{text or 'unnamed'}-{mark}"
    return f"_{text}" if fault(text) else text


class Files:
    """File names by name: no two are alike, nor alike but for capitals.

    Some systems make no difference between capitals and small letters, or between two
    ways to write an accent.
    """

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._taken: set[str] = set()

    def __getitem__(self, name: str) -> str:
        """Return the file name of any name, always the same one: see `safe`."""
        if name not in self._files:
            file, number = safe(name), 2
            while _key(file) in self._taken:
                file, number = f"{safe(name)}-{number}", number + 1
            self._files[name] = file
            self._taken.add(_key(file))
        return self._files[name]


def distinct(names: Iterable[str]) -> dict[str, str]:
    """Return a file name for each name, no two alike: see `Files`.

    Names that can be a file's are served first, so that they stay as they are.
    """
    names, files = list(names), Files()
    for name in sorted(names, key=lambda n: bool(fault(n))):
        _ = files[name]
    return {name: files[name] for name in names}


def _bad(character: str) -> str:
    """Return why a character can be in no file's name; empty if it can."""
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
