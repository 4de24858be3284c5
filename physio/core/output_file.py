"""Open files that are written while a session runs: flush, watch and restore them."""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from physio.core.operating_system import IS_WINDOWS, fcntl
from physio.core.private_file import restrict

_PIECE: Final = 1 << 20  # bytes copied at once
_INTERVAL: Final = 1.0  # s between two checks of a file's name
_FLUSH: Final = getattr(os, "fdatasync", os.fsync)
_FULL_FLUSH: Final = getattr(fcntl, "F_FULLFSYNC", None)  # macOS


def flush_to_disk(file: int) -> None:
    """Write the content of an open file to the disk itself.

    On macOS, `os.fsync` leaves data in the memory of the disk, which F_FULLFSYNC does
    not; file systems without it get the ordinary call.
    """
    if fcntl is not None and _FULL_FLUSH is not None:
        with suppress(OSError):
            fcntl.fcntl(file, _FULL_FLUSH)
            return
    _FLUSH(file)


def has_name(file: int, path: Path) -> bool:
    """Return whether ``path`` is still the name of an open file.

    It is not once the file or its folder was deleted, moved or replaced. A file whose
    name cannot be checked, and any file on Windows, which protects open ones, has it.
    """
    if IS_WINDOWS:
        return True
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def copy_to(file: int, path: Path, size: int) -> None:
    """Copy an open file to a new, private file, in which the descriptor continues.

    The descriptor is at the end of the new file afterwards. Missing folders are created
    for their owner alone.

    Parameters
    ----------
    file
        A descriptor for reading and writing.
    path
        The new file, which does not exist.
    size
        Number of bytes to copy.

    Raises
    ------
    OSError
        If it cannot be copied. The descriptor is unchanged, and there is no new file.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    new = os.open(path, flags, 0o600)
    try:
        restrict(new)
        os.lseek(file, 0, os.SEEK_SET)
        while size and (piece := os.read(file, min(size, _PIECE))):
            write_all(new, piece)
            size -= len(piece)
        os.dup2(new, file, inheritable=False)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(new)


def write_all(file: int, raw: bytes) -> None:
    """Write all bytes to a descriptor."""
    rest = memoryview(raw)
    while rest:
        rest = rest[os.write(file, rest) :]


class FileWatch:
    """Restorer of files that are deleted or moved while they are written."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        """A sentence on each file that was deleted or moved."""
        self._due, self._reported = 0.0, 0

    def notices(self) -> list[str]:
        """Return the sentences since the last call."""
        new = self.faults[self._reported :]
        self._reported += len(new)
        return new

    def restore(
        self, files: Iterable[tuple[IO[Any], Path]], *, at_once: bool = False
    ) -> None:
        """Restore files that lost their names; check them at most once a second.

        The content of such a file is copied to a new file of the same name, in which
        the open file continues.

        Parameters
        ----------
        files
            Open files for reading and writing, and their names.
        at_once
            Whether to check them now, as before they are closed.

        Raises
        ------
        OSError
            If one cannot be restored.
        """
        now = time.monotonic()
        if now < self._due and not at_once:
            return
        self._due = now + _INTERVAL
        for file, path in files:
            if not has_name(file.fileno(), path):
                file.flush()
                copy_to(file.fileno(), path, os.fstat(file.fileno()).st_size)
                self.faults.append(
                    f"{path} was deleted or moved while it was written: all of it is "
                    "in a new file of that name"
                )


def unused(path: Path, number: int = 1) -> Path:
    """Return the first free name of ``<stem>``, ``<stem>_part2``, ``<stem>_part3`` ...

    Parameters
    ----------
    path
        The first name.
    number
        Number of the first name that is considered.
    """
    while True:
        free = path.with_stem(f"{path.stem}_part{number}") if number > 1 else path
        if not os.path.lexists(free):
            return free
        number += 1
