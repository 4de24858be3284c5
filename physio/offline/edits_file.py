"""Files of edits beside a recording: a line of JSON for each entry, only ever added.

The first line names the recording, the hash of its content, the rater, and the seed of
the order of segments.
"""

import hashlib
import json
import math
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from physio.core.counted_nouns import counted
from physio.core.edits import Edit, EditHistory, Edits
from physio.core.input_file import refuse_endless
from physio.core.private_file import open_private, refuse_link, write_private
from physio.datasets.recording_folder import read_files
from physio.io.bids.entities import PIPELINE, BidsFolder, Selection

VERSION: Final = 1
"""Version of the format."""

DEFAULT_RATER: Final = "r1"
"""Code of the rater if no other is given."""

SUFFIX: Final = ".jsonl"
"""End of the name: ``p07.zip.edits.r1.jsonl``."""

_CODE: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_MOST: Final = 64 * 2**20  # bytes of a file of edits
_WAIT: Final = 2.0  # s in which another program may end its writing
_STALE: Final = 60.0  # s after which a lock is left over: a file is written in less


class AmbiguousRecordingError(ValueError):
    """Entities name several recordings of a BIDS folder, or none."""


class EditsChoice(NamedTuple):
    """Choice of the edits of a recording.

    Parameters
    ----------
    used
        Whether edits are used.
    rater
        Code of the rater; by default the only one.
    """

    used: bool = True
    rater: str = ""


BY_DEFAULT: Final = EditsChoice()
"""The edits of the only rater."""


@dataclass(frozen=True)
class EditedRecording:
    """A recording and the place of its edits.

    Parameters
    ----------
    name
        Name of the recording.
    base
        Path to which ``.edits.RATER.jsonl`` is added.
    root
        Folder to which the names of the files are relative.
    files
        Files of the recording, whose names and content are hashed.
    """

    name: str
    base: Path
    root: Path
    files: tuple[Path, ...]

    @classmethod
    def of(cls, path: Path, entities: str = "") -> "EditedRecording":
        """Return the place of the edits of a path.

        Parameters
        ----------
        path
            File or folder of a recording; of a session its folder or file.
        entities
            Entities of a recording of a BIDS folder, ``sub-01_ses-_task-rest``. They
            may be the last part of the path.

        Raises
        ------
        FileNotFoundError
            If there is no such file or folder.
        """
        if not path.exists() and (path.parent / "dataset_description.json").is_file():
            path, entities = path.parent, path.name
        if entities:
            return _of_bids(path, entities)
        if (session := path / "recording.xdf").is_file():
            path = session
        elif path.is_dir() and len(single := sorted(path.glob("*.xdf"))) == 1:
            path = single[0]
        if path.is_dir():
            whole = path.resolve()
            return cls(whole.name, whole, whole, read_files(whole))
        if not path.exists():
            raise FileNotFoundError(f"there is no file or folder {path}")
        return cls(path.name, path, path.parent, (path,))

    def path(self, rater: str) -> Path:
        """Return the file of a rater's edits.

        Raises
        ------
        ValueError
            If the code is invalid.
        """
        if not _CODE.fullmatch(rater):
            raise ValueError(
                f"the code of a rater has letters, digits, - and _, at most 32, not "
                f"{rater!r}"
            )
        return self.base.with_name(f"{self.base.name}.edits.{rater}{SUFFIX}")

    def raters(self) -> list[str]:
        """Return the codes of the raters with a file of edits."""
        begin = f"{self.base.name}.edits."
        if not self.base.parent.is_dir():
            return []
        names = (p.name for p in self.base.parent.iterdir() if is_edits(p))
        codes = (n[len(begin) : -len(SUFFIX)] for n in names if n.startswith(begin))
        return sorted(code for code in codes if _CODE.fullmatch(code))

    def sha256(self) -> str:
        """Return the hash of the content of the recording, wherever it lies."""
        digest = hashlib.sha256()
        for path in self.files:
            if len(self.files) > 1:
                name = path.relative_to(self.root).as_posix()
                digest.update(f"{name}\n".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def begin(self, rater: str = DEFAULT_RATER) -> EditHistory:
        """Return the history of a rater, a new one if there is no file yet."""
        if self.path(rater).exists():
            return self.read(rater)
        seed = secrets.randbelow(2**31)
        return EditHistory(self.name, self.sha256(), rater, seed)

    def read(self, rater: str) -> EditHistory:
        """Read the history of a rater.

        Raises
        ------
        ValueError
            If the file is damaged, or its edits are of another recording.
        """
        path = self.path(rater)
        history = read_history(path)
        now = self.sha256()
        if history.sha256 != now:
            raise ValueError(
                f"{path} holds edits of another recording or content than {self.name} "
                f"has (sha256 {history.sha256[:12]}, not {now[:12]}): give the "
                "recording that was edited, or --no-edits"
            )
        return history

    def chosen(self, choice: EditsChoice) -> EditHistory | None:
        """Return the chosen edits; None if there are none, or none are to be used.

        Raises
        ------
        ValueError
            If several raters edited the recording, and none is named; as of `read`.
        """
        raters = self.raters()
        if not choice.used or not raters:
            return None
        rater = choice.rater or raters[0]
        if rater not in raters or (not choice.rater and len(raters) > 1):
            raise ValueError(
                f"{self.name} has edits of {', '.join(raters)}: name one of them with "
                "--rater, or give --no-edits"
            )
        return self.read(rater)


def is_edits(path: Path) -> bool:
    """Return whether a file holds edits, by its name."""
    return ".edits." in path.name and path.name.endswith(SUFFIX)


def edits_of(
    path: Path, begin: float, choice: EditsChoice, entities: str = ""
) -> tuple[Edits | None, str]:
    """Return the edits of a recording on the session clock, and a sentence.

    Parameters
    ----------
    path
        The recording.
    begin
        Its begin (s, session clock).
    choice
        The choice of edits.
    entities
        Entities of a recording of a BIDS folder. If they name several, no edits are
        used.
    """
    try:
        place = EditedRecording.of(path, entities)
    except AmbiguousRecordingError as error:
        root = path if entities else path.parent
        if not any(map(is_edits, _edits_folder(root).glob("*"))):
            return None, ""
        why = f": {error}" if choice.used else ""
        return None, f"the edits by eye are not used{why}"
    history = place.chosen(choice)
    if history is not None:
        edits = history.on_clock(begin, place.path(history.rater).name)
        return edits, edits.sentence
    if raters := place.raters():
        return None, f"the edits by eye of {', '.join(raters)} are not used"
    return None, ""


def read_history(path: Path) -> EditHistory:
    """Read a file of edits.

    Raises
    ------
    ValueError
        If a line is damaged; the message names it.
    """
    refuse_endless(path)
    if path.stat().st_size > _MOST:
        raise ValueError(f"{path} is larger than {_MOST // 2**20} MiB: it is damaged")
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeError:
        raise ValueError(f"{path} is not in UTF-8: it is damaged") from None
    head = _object(path, 1, lines[0] if lines else "")
    if head.get("format") != VERSION:
        raise ValueError(
            f"{path}: line 1 states no version {VERSION} of this format: it is no file "
            "of edits, or of a newer version of this package"
        )
    try:
        history = EditHistory(
            str(head["recording"]), str(head["sha256"]), str(head["rater"]),
            int(head["seed"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: line 1 is damaged: {error}") from None
    entries = [_entry(path, k, text) for k, text in enumerate(lines[1:], 2)]
    if [e.number for e in entries] != list(range(1, len(entries) + 1)):
        raise ValueError(f"{path}: entries are missing: their numbers do not follow")
    return EditHistory(
        history.recording, history.sha256, history.rater, history.seed, tuple(entries)
    )


def write_history(
    path: Path, history: EditHistory, known: EditHistory | None = None
) -> None:
    """Write a history in one step; entries that the file has are never lost.

    Parameters
    ----------
    path
        The file.
    history
        The history.
    known
        The history that the file had when it was last read; None if it did not exist.

    Raises
    ------
    ValueError
        If another program has added entries meanwhile, or is writing now.
    """
    refuse_link(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        _replace(path, history, known)


def _replace(path: Path, history: EditHistory, known: EditHistory | None) -> None:
    present = read_history(path).entries if path.exists() else ()
    expected = known.entries if known else ()
    if list(map(_as_json, present)) != list(map(_as_json, expected)):
        raise ValueError(
            f"{path} was changed by another program: load the page again; nothing is "
            "overwritten"
        )
    head = {
        "format": VERSION, "recording": history.recording, "sha256": history.sha256,
        "rater": history.rater, "seed": history.seed,
        "times": "seconds after the begin of the recording",
    }  # fmt: skip
    lines = [head, *map(_as_json, history.entries)]
    write_private(path, "".join(f"{json.dumps(line)}\n" for line in lines))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file: an empty file beside it.

    One that is older than a minute is that of a program that was killed.

    Raises
    ------
    ValueError
        If another program holds it.
    """
    lock = path.with_name(f"{path.name}.lock")
    until = time.monotonic() + _WAIT
    while True:
        try:
            open_private(lock, "x").close()
            break
        except FileExistsError:
            if _is_stale(lock):
                lock.unlink(missing_ok=True)
            elif time.monotonic() > until:
                raise ValueError(
                    f"{path} is being written by another program: try again; nothing "
                    "is overwritten"
                ) from None
            else:
                time.sleep(0.01)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _is_stale(lock: Path) -> bool:
    try:
        return time.time() - lock.lstat().st_mtime > _STALE
    except FileNotFoundError:
        return False


def now() -> str:
    """Return the date and time for an entry."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _as_json(entry: Edit) -> dict[str, Any]:
    """Return the settings of an entry that are set."""
    values: dict[str, Any] = {}
    for name in (f.name for f in fields(entry)):
        value = getattr(entry, name)
        if isinstance(value, float):
            if not math.isnan(value):
                values[name] = round(float(value), 6)
        elif value:
            values[name] = list(value) if isinstance(value, tuple) else value
    return values


def _entry(path: Path, number: int, text: str) -> Edit:
    row = _object(path, number, text)
    unknown = sorted(row.keys() - {f.name for f in fields(Edit)})
    try:
        if unknown:
            raise ValueError(f"there is no {', '.join(unknown)}")
        for name in ("begin", "end"):
            row[name] = float(row.get(name, math.nan))
        row["channels"] = tuple(map(str, row.get("channels", ())))
        for name in ("kind", "at", "rater", "why", "stream"):
            row[name] = str(row.get(name, ""))
        return Edit(
            **{**row, "number": int(row["number"]), "of": int(row.get("of", 0))}
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: line {number} is damaged: {error}") from None


def _object(path: Path, number: int, text: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise ValueError(f"{path}: line {number} is no JSON object: it is damaged")
    return row


def _of_bids(root: Path, entities: str) -> EditedRecording:
    """Return the place of a recording's edits among the derivatives of BIDS."""
    named = (p.partition("-") for p in entities.split("_"))
    parts = {key: text for key, dash, text in named if dash}
    task = parts.get("task", "") + (f"_run-{parts['run']}" if parts.get("run") else "")
    chosen = Selection(parts.get("sub", ""), parts.get("ses", ""), task)
    matching = {
        key: files
        for key, files in BidsFolder(root).recordings.items()
        if chosen.matches(key)
    }
    if len(matching) != 1:
        names = ", ".join(key.stem for key in list(matching)[:5]) or "none"
        raise AmbiguousRecordingError(
            f"{root}: edits need one recording, and {entities} names {len(matching)} "
            f"({names}): give participant, session and task"
        )
    key, files = next(iter(matching.items()))
    base = _edits_folder(root) / key.stem
    return EditedRecording(key.stem, base, root, tuple(sorted({f.path for f in files})))


def _edits_folder(root: Path) -> Path:
    """Return the folder of the edits of a BIDS folder."""
    return root / "derivatives" / PIPELINE / "edits"


def unused_note(root: Path) -> str:
    """Return a sentence if a folder of recordings has edits, which training ignores."""
    number = sum(1 for _ in root.rglob(f"*.edits.*{SUFFIX}")) if root.is_dir() else 0
    if not number:
        return ""
    return (
        f"{counted(number, 'file')} of edits by eye: not used, because live weights "
        "are trained on what a live session computes"
    )
