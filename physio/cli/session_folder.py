"""The folder of a session: made, found, deleted."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomli_w
import typer

ABOUT = "session.json"
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")


@contextmanager
def fresh(out: Path | None, participant: str) -> Iterator[Path]:
    """Make a new, empty session folder, readable by its owner alone.

    A session that is already at ``out`` is kept: it moves to ``<out>_old1`` and so on.
    If it comes to no session, because a device is not there, all is as before.

    Raises
    ------
    ValueError
        If ``out`` holds something that is no session.
    """
    if out is None:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        out = Path("sessions") / f"{participant or 'session'}-{stamp}"
    kept = _moved_aside(out)
    if kept is not None:
        typer.echo(f"{out} holds a session: it is kept as {kept}")
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        yield out
    except BaseException:
        if not any(out.iterdir()):
            out.rmdir()
            if kept is not None:
                kept.rename(out)
        raise


def _moved_aside(out: Path) -> Path | None:
    """Move a session out of the way; return where it is now, None if there was none."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: give a folder to --out")
    if not out.is_dir() or not any(out.iterdir()):
        return None
    if not (out / ABOUT).is_file():
        raise ValueError(
            f"{out} holds files that are no session's: give a new folder to --out"
        )
    names = (out.with_name(f"{out.name}_old{i}") for i in range(1, 10_000))
    return out.rename(next(name for name in names if not name.exists()))


def describe(folder: Path, tables: dict[str, Any], **about: Any) -> None:
    """Write what the session is: its resolved settings, and its state."""
    (folder / "session.toml").write_text(tomli_w.dumps(tables), "utf-8")
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n", "utf-8")


def check(folder: Path) -> Path:
    """Return a session's folder, or refuse what is none.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If the folder is no session's.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no session folder {folder}")
    if not (folder / ABOUT).is_file():
        raise ValueError(
            f"{folder} is no session: a session's folder holds a file {ABOUT}"
        )
    return folder


def delete(folder: Path) -> int:
    """Delete a session whole; return how many files it had: see `check`."""
    check(folder)
    files = sum(1 for p in folder.rglob("*") if p.is_file())
    shutil.rmtree(folder)
    return files


def code(participant: str) -> str:
    """Return a participant's code, or refuse what may be a name.

    Raises
    ------
    ValueError
        If it is not a code of letters, digits, ``_``, ``.`` and ``-``.
    """
    if participant and not CODE.fullmatch(participant):
        raise ValueError(
            f"participant = {participant!r} is no code: use up to 32 letters, digits, '_', '.' "
            "or '-', and never a name, as in p07"
        )
    return participant
