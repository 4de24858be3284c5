"""Deletion of the data of a participant, and its verification."""

import gzip
import hashlib
import json
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from physio.core.counted_nouns import counted
from physio.core.output_file import flush_to_disk
from physio.study.study_folder import (
    DERIVED,
    FROZEN,
    LOG,
    SESSIONS,
    Study,
)


class WithdrawalReport(NamedTuple):
    """Numbers of deleted files and log lines, and files that still hold the code."""

    files: int
    lines: int
    remaining: tuple[Path, ...]

    @property
    def sentence(self) -> str:
        """Confirmation for the participant."""
        if self.remaining:
            places = ", ".join(map(str, self.remaining))
            return f"NOT all data are deleted: the code is still in {places}"
        return (
            f"deleted: {counted(self.files, 'file')} and "
            f"{counted(self.lines, 'line')} of the log; no file "
            "or file name in the study's folder contains the code"
        )


def delete_participant(study: Study, code: str) -> WithdrawalReport:
    """Delete a participant from sessions, log and results.

    Results of all participants (tables, reports, exports) are deleted, as they can be
    recomputed without this participant. The log retains the withdrawal and the used
    order.

    Raises
    ------
    ValueError
        If no participant has this code.
    """
    number = study.participants.get(code)
    lines = study.log_of(code)
    files = 0
    pattern = re.compile(rf"{re.escape(code)}(-check)?-\d+")
    sessions = study.root / SESSIONS
    for folder in sorted(sessions.iterdir()) if sessions.is_dir() else ():
        if pattern.fullmatch(folder.name):
            files += _removed(folder)
    files += _removed(study.root / DERIVED)
    remaining = [line for line in study.log() if line.get("participant") != code]
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    remaining.append({"at": at, "event": "deleted", "order": number})
    _replace(study.root / LOG, "".join(json.dumps(line) + "\n" for line in remaining))
    return WithdrawalReport(files, len(lines), tuple(find_code(study.root, code)))


def find_code(root: Path, code: str) -> list[Path]:
    """Return the files under a folder with a code in their name or content.

    Compressed files and Parquet tables are read. A code matches only if no letter or
    digit is adjacent to it, so that ``p1`` does not match ``p10``. Files of stimuli are
    skipped if they are those of the frozen plan.
    """
    import pandas as pd

    word = re.compile(
        rb"(?<![A-Za-z0-9])" + re.escape(code.encode()) + rb"(?![A-Za-z0-9])"
    )
    matches = []
    frozen = _frozen_files(root)
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        name, content = path.relative_to(root).as_posix(), path.read_bytes()
        if frozen.get(name) == hashlib.sha256(content).hexdigest():
            continue
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        elif path.suffix == ".parquet":
            content += pd.read_parquet(path).to_csv().encode()
        if word.search(name.encode()) or word.search(content):
            matches.append(path)
    return matches


def _frozen_files(root: Path) -> dict[str, str]:
    """Return the hashes of the stimuli of a study's frozen plan, by their names."""
    path = root / FROZEN
    if not path.is_file():
        return {}
    files: dict[str, str] = json.loads(path.read_text("utf-8")).get("files", {})
    return files


def _removed(folder: Path) -> int:
    """Delete a folder; return its number of files."""
    files = sum(p.is_file() for p in folder.rglob("*")) if folder.is_dir() else 0
    shutil.rmtree(folder, ignore_errors=True)
    return files


def _replace(path: Path, text: str) -> None:
    """Replace the text of a file atomically."""
    new = path.with_name(f".{path.name}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        flush_to_disk(file.fileno())
    new.replace(path)
