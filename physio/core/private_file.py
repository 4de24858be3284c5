"""Files and folders that only their owner can read."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Any


def open_private(path: Path, mode: str = "w") -> Any:
    """Open a file that only its owner can read, whatever the umask is.

    Parameters
    ----------
    path
        The file. One that exists gets these permissions as well; a symbolic link is
        refused.
    mode
        ``"w"`` or ``"x"``, with ``"b"`` for bytes, and ``"+"`` to read as well; text
        is in UTF-8.
    """
    encoding = None if "b" in mode else "utf-8"
    return open(path, mode, encoding=encoding, opener=_create)


def write_private(path: Path, text: str) -> None:
    """Write text to a file that only its owner can read.

    An existing file is replaced in one step, and stays as it is if the disk is full.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with open_private(part) as file:
            file.write(text)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def refuse_link(path: Path) -> None:
    """Refuse a symbolic link as the place of a new file: it may lead out of a folder.

    Raises
    ------
    OSError
        If the path is one.
    """
    if path.is_symlink():
        raise OSError(f"{path} is a symbolic link: remove it first")


def restrict(file: int) -> None:
    """Let only the owner read and write an open file, where the system can."""
    if hasattr(os, "fchmod"):
        with suppress(OSError):  # a file system without permissions
            os.fchmod(file, 0o600)


def _create(path: str, flags: int) -> int:
    """Open a file that is no symbolic link, which could lead out of the folder."""
    try:
        file = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(f"{path} is a symbolic link: remove it first") from None
    restrict(file)
    return file
