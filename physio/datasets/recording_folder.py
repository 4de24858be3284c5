"""Recordings in a folder of any kind: of BIDS, exports, sessions, single files."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from physio.datasets import bids, wesad
from physio.datasets.base import natural
from physio.datasets.open_recording import FORMATS
from physio.io import embraceplus, empatica, recording_tables
from physio.io.bids.entities import (
    BidsFile,
    BidsFolder,
    RecordingKey,
    Selection,
    key_of,
)

_SUFFIXES: Final = (
    *(suffix for row in FORMATS for suffix in row.suffixes),
    *(".zip", ".csv", ".tsv", ".txt", ".avro"),
)
"""Ends of the names of files that may be recordings."""

_NO_RECORDINGS: Final = ("readme", "licen", "changes", "changelog", "citation")
"""Beginnings of names of files that describe a data set."""

_DEEPEST: Final = 6  # folders within each other
_MOST: Final = 10_000  # recordings of a folder


class RecordingPlace(NamedTuple):
    """Place of a recording in a data set.

    Parameters
    ----------
    name
        Name within the data set, of its path or its entities in BIDS.
    path
        File or folder to read.
    options
        Options of `physio.read` that select it: participant, session, task.
    files
        All files that it is read from.
    """

    name: str
    path: Path
    options: Mapping[str, str]
    files: tuple[Path, ...]

    def fingerprint(self) -> str:
        """Return a hash of the names and the content of its files."""
        digest = hashlib.sha256(repr(sorted(self.options.items())).encode())
        for path in self.files:
            digest.update(f"{path.name}\n".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def find_recordings(
    root: Path, *, participant: str = "", session: str = "", task: str = ""
) -> list[RecordingPlace]:
    """Return the recordings of a folder, in natural order of their names.

    Parameters
    ----------
    root
        A BIDS data set, a folder of files in any format, of exports, or of the folders
        of participants and sessions.
    participant, session, task
        Entities of the recordings of BIDS to return; by default all.

    Raises
    ------
    ValueError
        If there are more than 10 000.
    """
    if bids.is_bids(root):
        return list(_of_bids(root, Selection(participant, session, task)))
    places = []
    for place in _walk(root, root, 0):
        places.append(place)
        if len(places) > _MOST:
            raise ValueError(f"{root} has more than {_MOST} recordings: give a part")
    return sorted(places, key=lambda place: natural(place.name))


def is_single(path: Path) -> bool:
    """Return whether a folder is one recording: an export, a session, a participant."""
    return (
        (path / "recording.xdf").is_file()
        or wesad.is_participant(path.resolve())
        or recording_tables.is_export(path)
        or empatica.is_export(path)
        or embraceplus.is_folder(path)
    )


def read_files(folder: Path) -> tuple[Path, ...]:
    """Return the files that a folder of one recording is read from, by name.

    Hidden files, reports, pictures, results of an analysis and edits by eye, which may
    lie among them, are none.
    """
    if recording_tables.is_export(folder):
        return recording_tables.files_of(folder)
    if not wesad.is_participant(folder.resolve()):
        if empatica.is_export(folder):
            return _sorted(p for p in folder.iterdir() if empatica.is_table(p))
        if embraceplus.is_folder(folder):
            return _sorted(folder.glob("*.avro"))
    return _sorted(
        p for p in folder.rglob("*") if _is_input(p, p.relative_to(folder).parts)
    )


def _is_input(path: Path, parts: Iterable[str]) -> bool:
    """Return whether a file may belong to a recording, and is no output."""
    return not (
        any(part.startswith(".") for part in parts)
        or path.name in ("Thumbs.db", "desktop.ini")
        or path.suffix in (".html", ".svg", ".png", ".pdf")
        or (".edits." in path.name and path.suffix == ".jsonl")
        or (path.parent / "analysis.json").is_file()
    )


def _of_bids(root: Path, selection: Selection) -> Iterator[RecordingPlace]:
    folder = BidsFolder(root)
    general = [p for p in root.iterdir() if p.suffix in (".json", ".tsv")]
    for key, files in folder.recordings.items():
        if not selection.matches(key):
            continue
        run = f"_run-{key.run}" if key.run else ""
        options = {
            "participant": key.subject, "session": key.session,
            "task": f"{key.task}{run}" if key.task else "",
        }  # fmt: skip
        data = [f.path for f in (*files, *folder.derivatives(key))]
        yield RecordingPlace(key.stem, root, options, _sorted(
            [*data, *general, *_beside(root, key, data)]
        ))  # fmt: skip


def _beside(root: Path, key: RecordingKey, data: Iterable[Path]) -> Iterator[Path]:
    """Yield the files beside those with data: sidecars, headers, tables."""
    folders = {path.parent for path in data} | {root / key.folder}
    for folder in folders:
        for path in folder.iterdir():
            file = BidsFile.of(path)
            if file is None:
                applies = path.suffix in (".json", ".tsv")
            else:
                shared = zip(key_of(file), key, strict=True)
                applies = all(text in ("", wish) for text, wish in shared)
            if applies:
                yield path


def _walk(root: Path, folder: Path, depth: int) -> Iterator[RecordingPlace]:
    """Yield the recordings in a folder and, unless it is one itself, in its folders."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.is_symlink():
            continue
        name = path.relative_to(root).as_posix()
        if path.is_dir():
            if bids.is_bids(path):
                for place in _of_bids(path, Selection()):
                    yield place._replace(name=f"{name}/{place.name}")
            elif is_single(path):
                # A data set may describe all participants in one file.
                files = [*path.rglob("*"), *folder.glob("*.json")]
                yield RecordingPlace(name, path, {}, _sorted(files))
            elif depth < _DEEPEST:
                yield from _walk(root, path, depth + 1)
        elif _may_be_recording(path):
            yield RecordingPlace(name, path, {}, _sorted(path.parent.glob(
                f"{_escaped(path.name.split('.')[0])}.*"
            )))  # fmt: skip


def _may_be_recording(path: Path) -> bool:
    name = path.name.lower()
    return (
        path.is_file()
        and name.endswith(_SUFFIXES)
        and not name.startswith(_NO_RECORDINGS)
    )


def _escaped(text: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)


def _sorted(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(sorted({path for path in paths if path.is_file()}))
