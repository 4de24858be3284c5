"""Session folders: create, check, delete."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any

import tomli_w

from physio.cli.output import say
from physio.cli.session_lock import ABOUT, FolderLock, unfinished
from physio.core.private_file import write_private

_ANNOUNCED: set[Path] = set()
"""Unfinished sessions that this process has announced: each is announced once."""
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")


@contextmanager
def fresh(out: Path | None, participant: str) -> Iterator[Path]:
    """Create a new, empty session folder, readable by its owner alone.

    The folder is locked until the session ends. A session that is already at ``out``
    moves to ``<out>_old1`` and so on. If no session starts, because a device is absent,
    the folders are as before. Sessions beside it that ended without their record are
    announced once.

    Raises
    ------
    ValueError
        If ``out`` holds other files.
    OSError
        If a session runs in ``out``.
    """
    if out is None:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        out = Path("sessions") / f"{participant or 'session'}-{stamp}"
    previous, lock = _locked(out)
    if previous is not None:
        say(f"{out} holds a session: it was moved to {previous}")
    for recording in unfinished(out.parent):
        if recording in _ANNOUNCED:
            continue
        _ANNOUNCED.add(recording)
        say(
            f"{recording.parent}: the session ended without its record; save what it "
            f"holds with: physio repair {quote(str(recording))}"
        )
    try:
        yield out
    except BaseException:
        if out.is_dir() and not any(out.iterdir()):
            out.rmdir()
            if previous is not None:
                previous.rename(out)
        raise
    finally:
        lock.release()


def _locked(out: Path) -> tuple[Path | None, FolderLock]:
    """Create a locked folder; return the new path of a session that was there."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: give a folder to --out")
    if not out.exists():
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        return None, FolderLock(out)
    lock = FolderLock(out)
    try:
        previous = _moved_aside(out)
        if previous is None:
            return None, lock
        out.mkdir(mode=0o700)
        new = FolderLock(out)
    except BaseException:
        lock.release()
        raise
    lock.release()
    return previous, new


def _moved_aside(out: Path) -> Path | None:
    """Move a session to a free name; return its new path, None if there was none."""
    if not any(out.iterdir()):
        return None
    if not (out / ABOUT).is_file():
        raise ValueError(f"{out} holds other files: give a new folder to --out")
    names = (out.with_name(f"{out.name}_old{i}") for i in range(1, 10_000))
    return out.rename(next(name for name in names if not name.exists()))


def describe(folder: Path, tables: dict[str, Any], **about: Any) -> None:
    """Write the resolved settings and the state of a session."""
    write_private(folder / "session.toml", tomli_w.dumps(tables))
    write_private(folder / ABOUT, json.dumps(about, indent=1) + "\n")


def check(folder: Path) -> Path:
    """Return a session's folder after checking it.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If the folder holds no session.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no session folder {folder}")
    if not (folder / ABOUT).is_file():
        raise ValueError(f"{folder} is not a session: it has no file {ABOUT}")
    return folder


def delete(folder: Path) -> int:
    """Delete a session; return its number of files.

    Errors as of `check`, and OSError if the session runs.
    """
    with FolderLock(check(folder)):
        files = sum(1 for p in folder.rglob("*") if p.is_file())
        shutil.rmtree(folder)
    return files


def code(participant: str) -> str:
    """Return a participant code after checking that it is no name.

    Raises
    ------
    ValueError
        If it is not a code of letters, digits, ``_``, ``.`` and ``-``.
    """
    if participant and not CODE.fullmatch(participant):
        raise ValueError(
            f"participant = {participant!r} is not a code: use up to 32 letters, "
            "digits, '_', '.' or '-', for example p07, and never a name"
        )
    return participant
