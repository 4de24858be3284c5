"""Files that are dropped into the workbench, written in parts without overwriting."""

import base64
import binascii
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

from physio.core.filename import to_filename

LARGEST: Final = 4 * 2**30
"""Maximum size of a file (bytes)."""

PART: Final = 2**20
"""Maximum size of a part (bytes)."""

_OPEN: Final = 8  # files that are being written at the same time
_IDLE: Final = 120.0  # s without a part after which a file is given up
_SPARE: Final = 2**28  # bytes that stay free on the disk


@dataclass
class _Upload:
    """A file that is being written."""

    part: Path
    name: str
    size: int
    written: int = 0
    at: float = 0.0


class Uploads:
    """Files that a page sends into a folder, part by part.

    Parameters
    ----------
    folder
        The folder.
    largest
        Maximum size of a file (bytes).
    """

    def __init__(self, folder: Path, largest: int = LARGEST) -> None:
        self.folder, self.largest = folder, largest
        self._uploads: dict[str, _Upload] = {}
        self._lock = Lock()

    def begin(self, name: Any, size: Any) -> str:
        """Begin a file; return the key of its parts.

        Raises
        ------
        ValueError
            If the name is none, the file is too large, or too many are being written.
        """
        if not isinstance(name, str) or not name.strip():
            raise ValueError("a file needs a name")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"{name[:80]}: its size must be a number of bytes")
        if size > self.largest:
            raise ValueError(
                f"{name[:80]} has {size / 1e6:.0f} MB: at most "
                f"{self.largest / 1e6:.0f} MB are accepted; copy it into the folder"
            )
        if shutil.disk_usage(self.folder).free < size + _SPARE:
            raise ValueError(f"{name[:80]}: the disk has too little space for it")
        with self._lock:
            self._expire()
            if len(self._uploads) >= _OPEN:
                raise ValueError(f"{_OPEN} files are being written: wait for them")
            key = secrets.token_urlsafe(12)
            part = self.folder / f".upload-{key}.part"
            part.touch(mode=0o600, exist_ok=False)
            file = name.replace("\\", "/").rpartition("/")[2]
            self._uploads[key] = _Upload(
                part, to_filename(file), size, at=time.monotonic()
            )
        return key

    def add(self, key: Any, offset: Any, data: Any) -> dict[str, Any]:
        """Add a part in base64; return the file's name once it is complete.

        Raises
        ------
        ValueError
            If the part does not continue the file; the file is then given up.
        """
        with self._lock:
            upload = self._uploads.get(key) if isinstance(key, str) else None
            if upload is None:
                raise ValueError("this file is not being written: drop it again")
            try:
                content = _decoded(data)
                if offset != upload.written or isinstance(offset, bool):
                    raise ValueError("a part is missing: drop the file again")
                if upload.written + len(content) > upload.size:
                    raise ValueError("the file is larger than stated: drop it again")
                with upload.part.open("ab") as file:
                    file.write(content)
            except (ValueError, OSError):
                self._give_up(str(key))
                raise
            upload.written += len(content)
            upload.at = time.monotonic()
            if upload.written < upload.size:
                return {"written": upload.written}
            del self._uploads[str(key)]
            return {"written": upload.written, "name": self._complete(upload)}

    def close(self) -> None:
        """Remove files that are not complete."""
        with self._lock:
            for key in tuple(self._uploads):
                self._give_up(key)

    def _complete(self, upload: _Upload) -> str:
        """Give a file its name, or the next free one; return it."""
        name = Path(upload.name)
        for number in range(1, 10_000):
            ending = f"-{number}" if number > 1 else ""
            target = self.folder / f"{name.stem}{ending}{name.suffix}"
            try:
                target.touch(exist_ok=False)
            except FileExistsError:
                continue
            upload.part.replace(target)
            return target.name
        raise ValueError(f"{upload.name}: there are too many files of this name")

    def _expire(self) -> None:
        limit = time.monotonic() - _IDLE
        for key in [k for k, u in self._uploads.items() if u.at < limit]:
            self._give_up(key)

    def _give_up(self, key: str) -> None:
        upload = self._uploads.pop(key)
        upload.part.unlink(missing_ok=True)


def part_of(content: Mapping[str, Any], uploads: Uploads) -> dict[str, Any]:
    """Process a message of the page: the beginning of a file, or a part of it."""
    if "key" not in content:
        return {"key": uploads.begin(content.get("name"), content.get("size"))}
    return uploads.add(content["key"], content.get("offset"), content.get("data"))


def _decoded(data: Any) -> bytes:
    try:
        content = base64.b64decode(data, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise ValueError("a part of the file is not in base64") from None
    if len(content) > PART:
        raise ValueError(f"a part has more than {PART} bytes")
    return content
