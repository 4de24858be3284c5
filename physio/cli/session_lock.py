"""Lock of a session's folder, and sessions that ended without their record."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from physio.core.operating_system import fcntl, msvcrt

ABOUT = "session.json"
RECORDING = "recording.xdf"
_LARGEST = 1 << 24  # bytes of a session file that is read


class FolderLock:
    """Lock of a folder that one process can hold.

    The system releases it when the process ends, however it ends. On Windows, where
    folders have no locks, it is that of an empty file beside the folder. Where the
    system or the file system knows no locks, none is held.

    Parameters
    ----------
    folder
        The folder, which exists.

    Raises
    ------
    OSError
        If another process holds it: a session runs there.
    """

    def __init__(self, folder: Path) -> None:
        self._file: int | None = None
        self._beside = folder.with_name(f"{folder.name}.lock")
        if fcntl is not None:
            file, is_free = _lock_folder(folder)
        elif msvcrt is not None:
            file, is_free = _lock_file(self._beside)
        else:
            return
        if not is_free:
            os.close(file)
            raise OSError(
                f"a session runs in {folder}: end it first, or give another folder"
            )
        self._file = file

    def release(self) -> None:
        """Release the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            if fcntl is None:
                with suppress(OSError):  # another process tries to lock it
                    self._beside.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _lock_folder(folder: Path) -> tuple[int, bool]:
    """Return an open folder, and whether its lock was free and is held now."""
    file = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file, os.path.samestat(os.fstat(file), folder.stat())
    except (BlockingIOError, FileNotFoundError):
        return file, False
    except OSError:  # a file system without locks
        return file, True


def _lock_file(path: Path) -> tuple[int, bool]:
    """Return an open file, and whether its lock was free and is held now."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    except OSError:
        return file, False
    return file, True


def unfinished(sessions: Path) -> Iterator[Path]:
    """Yield the recordings of sessions that ended without their record.

    These are sessions that are described as running and that no process runs, until
    their recording is repaired.

    Parameters
    ----------
    sessions
        Folder of session folders.
    """
    if fcntl is None and msvcrt is None:
        return
    for about in sorted(sessions.glob(f"*/{ABOUT}")):
        recording = about.with_name(RECORDING)
        repaired = recording.with_stem(f"{recording.stem}_repaired")
        if _state(about) != "running" or repaired.exists() or not recording.is_file():
            continue
        with suppress(OSError), FolderLock(about.parent):
            yield recording


def _state(about: Path) -> Any:
    """Return the state that a session file names; None if it cannot be read."""
    try:
        if about.stat().st_size > _LARGEST:
            return None
        content = json.loads(about.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content.get("state") if isinstance(content, dict) else None
