"""Deleting a participant, and proving that nothing is left."""

import gzip
import json
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from physio.study.study_folder import DERIVED, LOG, SESSIONS, Study


class WithdrawalReport(NamedTuple):
    """What was deleted, and where the code still stands: nowhere, or it has failed."""

    files: int
    lines: int
    left: tuple[Path, ...]

    @property
    def sentence(self) -> str:
        """What to tell the participant who asked for it."""
        if self.left:
            places = ", ".join(map(str, self.left))
            return f"NOT all is deleted: the code still stands in {places}"
        return (
            f"deleted: {self.files} files and {self.lines} lines of the log; no file "
            "or name under the study's folder has the code any more"
        )


def forget(study: Study, code: str) -> WithdrawalReport:
    """Delete a participant from sessions, log, and all that was computed.

    What was computed of everybody (tables, reports, exports) is deleted whole: it can
    be made again without them. The log keeps that somebody withdrew, and that their
    order was used.

    Raises
    ------
    ValueError
        If nobody has this code.
    """
    number = study.participants.get(code)
    own = study.of(code)
    files = 0
    for folder in (study.root / SESSIONS).glob(f"{code}-*"):
        if folder.name.removeprefix(f"{code}-").split("-")[-1].isdigit():
            files += _removed(folder)
    files += _removed(study.root / DERIVED)
    kept = [line for line in study.log() if line.get("participant") != code]
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    kept.append({"at": at, "what": "deleted", "order": number})
    _replace(study.root / LOG, "".join(json.dumps(line) + "\n" for line in kept))
    return WithdrawalReport(files, len(own), tuple(search(study.root, code)))


def search(root: Path, code: str) -> list[Path]:
    """Return the files under a folder with a code in their name or their bytes.

    Compressed files are looked into; Parquet's tables are read. The code counts where
    no letter or digit stands beside it, so that ``p1`` is not found in ``p10``.
    """
    import pandas as pd

    word = re.compile(
        rb"(?<![A-Za-z0-9])" + re.escape(code.encode()) + rb"(?![A-Za-z0-9])"
    )
    found = []
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        elif path.suffix == ".parquet":
            content += pd.read_parquet(path).to_csv().encode()
        if word.search(str(path.relative_to(root)).encode()) or word.search(content):
            found.append(path)
    return found


def _removed(folder: Path) -> int:
    """Delete a folder; return how many files it had."""
    files = sum(p.is_file() for p in folder.rglob("*")) if folder.is_dir() else 0
    shutil.rmtree(folder, ignore_errors=True)
    return files


def _replace(path: Path, text: str) -> None:
    """Put other text in a file's place, whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
