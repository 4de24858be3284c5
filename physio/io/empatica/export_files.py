"""Files of Empatica E4 exports in a folder or a zip file, as people keep them."""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from physio.core.input_file import refuse_endless

MEMBER: Final = 512 * 2**20
"""Maximum size of a file in an export (bytes); a day of BVP has 40 MB."""

RATIO: Final = 200
"""Largest ratio of a file's size to its packed size, above `SMALL` bytes."""

SMALL: Final = 2**20
"""Size (bytes) up to which any ratio is allowed: a constant signal packs very well."""

_DEEPEST: Final = 2
"""Number of zip files inside each other that are opened."""

_NAME: Final = re.compile(
    r"(?P<before>.*?[\W_])??(?P<table>ACC|BVP|EDA|HR|IBI|TEMP|tags)"
    r"(?P<after>(?:[\W_].*)?)\.csv",
    re.IGNORECASE,
)
_DAMAGE: Final = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError),
    UnicodeDecodeError,
)
"""Errors that `zipfile` raises on damaged files."""


class ExportFile(NamedTuple):
    """One table of an export.

    Parameters
    ----------
    table
        ``EDA``, ``BVP``, ``ACC``, ``TEMP``, ``HR``, ``IBI`` or ``tags``.
    name
        Name of the file, for messages.
    session
        Session that it belongs to: its folder, and what surrounds the table's name.
    content
        The text, without a byte-order mark.
    """

    table: str
    name: str
    session: str
    content: bytes


def table_name(name: str) -> str:
    """Return the table that a file holds by its name, as ``EDA``; empty for none."""
    match = _NAME.fullmatch(name)
    if match is None or name.startswith("._"):
        return ""
    table = match["table"].upper()
    return "tags" if table == "TAGS" else table


def read_session(path: Path, session: str = "") -> dict[str, ExportFile]:
    """Return the files of one session, by table.

    Parameters
    ----------
    path
        A folder or a zip file.
    session
        Session to read, if there are several: its folder or the prefix of its files.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If it is damaged or hostile, or holds several sessions and none is chosen.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    files = list(_of_folder(path) if path.is_dir() else _of_file(path))
    sessions = _sessions(path, files)
    if session:
        chosen = [k for k in sessions if session in (k, PurePosixPath(k).name)]
        if len(chosen) != 1:
            raise ValueError(
                f"{path} has no session {session!r}; it has {_listed(sessions)}"
            )
        return sessions[chosen[0]]
    if len(sessions) > 1:
        raise ValueError(
            f"{path} holds more than one session: choose one of {_listed(sessions)}, "
            "as in --session (of physio export: --e4-session)"
        )
    return next(iter(sessions.values()), {})


def _listed(sessions: Iterable[str]) -> str:
    names = [repr(name or "(no name)") for name in sessions]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(names[:20]) + more


def _sessions(path: Path, files: list[ExportFile]) -> dict[str, dict[str, ExportFile]]:
    """Return the files of each session, by table.

    Files in one folder whose names differ otherwise are one session, unless a table is
    there twice: ``EDA (1).csv`` beside ``BVP.csv``.
    """
    folders: dict[str, list[ExportFile]] = {}
    for file in files:
        folders.setdefault(file.session.rpartition("\n")[0], []).append(file)
    sessions: dict[str, dict[str, ExportFile]] = {}
    for folder, inside in folders.items():
        together = len({f.table for f in inside}) == len(inside)
        for file in inside:
            around = file.session.rpartition("\n")[2]
            key = folder if together else "/".join(filter(None, (folder, around)))
            tables = sessions.setdefault(key, {})
            if file.table in tables:
                name = "tags" if file.table == "tags" else f"{file.table}.csv"
                raise ValueError(
                    f"{path} has more than one file for {name}; an export has one"
                )
            tables[file.table] = file
    with_signals = {k: v for k, v in sessions.items() if set(v) - {"tags"}}
    return with_signals or sessions


def _of_folder(path: Path) -> Iterator[ExportFile]:
    for part in sorted(p for p in path.iterdir() if table_name(p.name)):
        refuse_endless(part)
        _check_size(path, part.name, part.stat().st_size)
        yield _file(part.name, "", part.read_bytes())


def _of_file(path: Path) -> Iterator[ExportFile]:
    refuse_endless(path)
    with path.open("rb") as raw:
        try:
            yield from _of_zip(path, raw, "", 1)
        except _DAMAGE as error:
            raise ValueError(
                f"{path} is no zip file that can be read: "
                f"{str(error) or 'it ends early'}; download it again"
            ) from None


def _of_zip(
    path: Path, raw: io.BufferedIOBase, folder: str, depth: int
) -> Iterator[ExportFile]:
    """Yield the tables in a zip file, and in the zip files inside it.

    Nothing is extracted, so that no name can refer to a place outside; but a zip file
    with such names does not come from Empatica.
    """
    with zipfile.ZipFile(raw) as file:
        for member in file.infolist():
            # Older tools of Windows write backslashes.
            place = PurePosixPath(member.orig_filename.replace("\\", "/"))
            if (
                "\0" in member.orig_filename
                or place.is_absolute()
                or ".." in place.parts
                or ":" in str(place)
            ):
                raise ValueError(
                    f"{path} has a file called {member.orig_filename!r}, which leads "
                    "out of it; it is no export of Empatica's"
                )
            inner = place.suffix.lower() == ".zip" and "__MACOSX" not in place.parts
            if not (inner or table_name(place.name)) or member.is_dir():
                continue
            if "__MACOSX" in place.parts:
                continue
            _check_member(path, place.name, member)
            content = file.read(member)
            parent = "/".join(filter(None, (folder, str(place.parent).strip("."))))
            if not inner:
                yield _file(place.name, parent, content)
            elif depth < _DEEPEST:
                into = "/".join(filter(None, (parent, place.stem)))
                yield from _of_zip(path, io.BytesIO(content), into, depth + 1)


def _file(name: str, folder: str, content: bytes) -> ExportFile:
    match = _NAME.fullmatch(name)
    around = (match["before"] or "", match["after"] or "") if match else ("", "")
    # What follows "tags" is the number of the wristband.
    label = "".join(around[: 1 if table_name(name) == "tags" else 2]).strip(" _-")
    content = content.removeprefix(b"\xef\xbb\xbf")
    return ExportFile(table_name(name), name, f"{folder}\n{label}", content)


def _check_size(path: Path, name: str, size: int) -> None:
    if size > MEMBER:
        raise ValueError(
            f"{path}: {name} has {size / 2**20:.0f} MB; at most "
            f"{MEMBER / 2**20:.0f} are read"
        )


def _check_member(path: Path, name: str, member: zipfile.ZipInfo) -> None:
    """Refuse a member that is encrypted, packed in an unusual way, or a zip bomb."""
    if member.flag_bits & 0x1:
        raise ValueError(f"{path}: {name} is encrypted; unpack it first")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{path}: {name} is packed in an unusual way; unpack it")
    _check_size(path, name, member.file_size)
    if member.file_size > max(SMALL, RATIO * member.compress_size):
        raise ValueError(
            f"{path}: {name} unpacks to {member.file_size} bytes from "
            f"{member.compress_size}, more than {RATIO} times; no signal does"
        )
