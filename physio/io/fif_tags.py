"""Check of the chain of tags in a FIF file, which MNE follows without an end."""

import gzip
import struct
from pathlib import Path
from typing import Any, Final

_TAG: Final = struct.Struct(">iiii")
"""Kind, type, size in bytes, and next: 0 for the following tag, -1 for none."""


def refuse_cycle(path: Path) -> None:
    """Refuse a FIF file whose tags lead back to an earlier one.

    Raises
    ------
    ValueError
        If they do.

    References
    ----------
    MNE-Python, ``mne._fiff.tag``.
    """
    opened: Any = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        visited: set[int] = set()
        at = 0
        while len(head := file.read(_TAG.size)) == _TAG.size:
            visited.add(at)
            _, _, size, following = _TAG.unpack(head)
            if following < 0:
                return
            at = following or at + _TAG.size + max(0, size)
            if at in visited:
                raise ValueError("its tags lead back to an earlier one: it is damaged")
            file.seek(at)
