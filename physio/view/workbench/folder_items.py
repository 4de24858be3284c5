"""Recordings, sessions, data sets, studies and results in a folder."""

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

MOST: Final = 500
"""Maximum number of items that are listed."""

ROWS: Final = 300
"""Maximum number of rows of a table that are shown."""

_DEEPEST: Final = 3  # levels of folders that are looked into
_COLUMNS: Final = 40  # columns of a table that are shown
_CELL: Final = 200  # characters of a cell
_HEAD: Final = 8192  # bytes by which a table is classified
_E4: Final = frozenset(("EDA.csv", "BVP.csv", "ACC.csv"))
_RECORDINGS: Final = frozenset((
    ".acq", ".avro", ".bdf", ".cnt", ".easy", ".edf", ".fif", ".gdf", ".hrm", ".mat",
    ".set", ".vhdr", ".xdf", ".xdfz", ".zip",
))  # fmt: skip
_TABLES: Final = frozenset((".csv", ".tsv", ".txt", ".xlsx"))
_SHOWN: Final = {".html": "page", ".png": "picture", ".svg": "file", ".pdf": "file"}


@dataclass(frozen=True)
class FolderItem:
    """File or folder that actions apply to.

    Parameters
    ----------
    path
        Path relative to the folder, with ``/``.
    kind
        ``"recording"``, ``"session"``, ``"dataset"``, ``"study"``, ``"settings"`` (a
        session file), ``"conditions"`` (a sheet), ``"table"``, ``"page"`` or
        ``"picture"``.
    size
        Size of a file (bytes); 0 for a folder.
    modified
        Time of the last change, in ISO 8601.
    """

    path: str
    kind: str
    size: int
    modified: str

    def to_dict(self) -> dict[str, Any]:
        """Return the item as JSON can hold it."""
        return asdict(self)


def resolved(folder: Path, text: str) -> Path:
    """Return a path inside a folder.

    Raises
    ------
    ValueError
        If there is no such file or folder, or it lies outside.
    """
    root = folder.resolve()
    try:
        path = (root / text).resolve()
        is_inside = path.is_relative_to(root) and path != root and path.exists()
    except (OSError, ValueError):  # too long, or with a null character
        is_inside = False
    if not text or not is_inside:
        raise ValueError(f"there is no file {text[:_CELL]!r} in this folder")
    return path


def list_items(folder: Path) -> tuple[list[FolderItem], bool]:
    """Return the items of a folder, newest first; True if there are more than `MOST`.

    Hidden files and links that lead elsewhere are omitted, and the content of a
    session, data set or study is not listed apart.
    """
    items: list[FolderItem] = []
    for item in _items(folder.resolve(), folder.resolve(), 0):
        items.append(item)
        if len(items) > MOST:
            break
    is_cut = len(items) > MOST
    return sorted(items[:MOST], key=lambda i: i.modified, reverse=True), is_cut


def item_of(folder: Path, path: Path) -> FolderItem | None:
    """Return the item of a path in a folder; None if no action applies to it."""
    kind = _folder_kind(path) if path.is_dir() else _file_kind(path)
    if not kind:
        return None
    status = path.stat()
    return FolderItem(
        path.relative_to(folder).as_posix(),
        kind,
        0 if path.is_dir() else status.st_size,
        datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds"),
    )


def table_rows(path: Path) -> dict[str, Any]:
    """Return the first rows of a table of text, at most `ROWS`.

    Raises
    ------
    ValueError
        If it is no such table.
    """
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise ValueError(f"{path.name} is no table of text: open it in a program")
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    rows: list[list[str]] = []
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        try:
            for row in csv.reader(file, delimiter=separator):
                rows.append([cell[:_CELL] for cell in row[:_COLUMNS]])
                if len(rows) > ROWS + 1:
                    break
        except csv.Error as error:
            raise ValueError(f"{path.name} cannot be read as CSV: {error}") from None
    head = rows[0] if rows else []
    return {"columns": head, "rows": rows[1 : ROWS + 1], "cut": len(rows) > ROWS + 1}


def _items(root: Path, folder: Path, depth: int) -> Iterator[FolderItem]:
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError:  # no permission
        return
    for entry in entries:
        path = Path(entry.path)
        try:
            if entry.name.startswith((".", "~")) or _leads_out(root, path):
                continue
            item = item_of(root, path)
            is_folder = entry.is_dir()
        except OSError:
            continue
        if item is not None:
            yield item
        elif is_folder and depth < _DEEPEST:
            yield from _items(root, path, depth + 1)


def _leads_out(root: Path, path: Path) -> bool:
    return path.is_symlink() and not path.resolve().is_relative_to(root)


def _folder_kind(path: Path) -> str:
    if (path / "session.json").is_file():
        return "session"
    if (path / "study.toml").is_file():
        return "study"
    if (path / "dataset_description.json").is_file():
        return "dataset"
    names = {entry.name for entry in os.scandir(path)}
    return "recording" if names >= _E4 else ""


def _file_kind(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in _SHOWN:
        return _SHOWN[suffix] if _SHOWN[suffix] != "file" else ""
    if suffix in _RECORDINGS:
        return "recording"
    if suffix == ".toml":
        return "settings" if re.search(rb"^\[devices\.", _head(path), re.M) else ""
    if suffix in _TABLES:
        return _table_kind(path)
    return ""


def _table_kind(path: Path) -> str:
    """Return the kind of a table by the names of its columns."""
    if path.suffix.lower() == ".xlsx":
        return "table"
    if path.suffix.lower() == ".txt" and path.stem.endswith("_methods"):
        return ""
    line = _head(path).decode("utf-8", "replace").lstrip("\ufeff").partition("\n")[0]
    names = {part.strip(" \"'\r").lower() for part in re.split("[,;\t]", line)}
    if {"participant", "measure"} <= names or "excluded_share" in names:
        return "table"
    times = {"begin", "start", "onset", "begin_s", "begin_marker", "start_time"}
    labels = {"condition", "trial_type", "phase"}
    if names & times and names & labels:
        return "conditions"
    if "participant" in names:
        return "table"
    return "recording"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)
