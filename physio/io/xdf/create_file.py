"""Creation of a new, private file for a recording."""

import os
from pathlib import Path

from physio.core.private_file import restrict


def create(path: Path) -> int:
    """Create a new file for the recording; rename an existing one."""
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"cannot record into {path}: there is no folder {path.parent}"
        )
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        if path.exists():
            path.rename(_free(path))
        file = os.open(path, flags, 0o600)
    except OSError as error:
        raise OSError(f"cannot record into {path}: {error.strerror}") from error
    restrict(file)
    return file


def _free(path: Path) -> Path:
    number = 1
    while (old := path.with_stem(f"{path.stem}_old{number}")).exists():
        number += 1
    return old
