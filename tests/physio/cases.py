"""Table of the checks of real-world inputs, in PHYSIO_DATA/../cases.

Each input is marked as read, with the right values, or as refused, with the message.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from physio.core.block import Array
from physio.core.recording import Recording
from physio.datasets.open_recording import read

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("PHYSIO_DATA", ROOT.parent / "shared" / "data"))
CASES = DATA.parent / "cases"

Check = Callable[[Recording], None]


class Expected(NamedTuple):
    """Check of a recording or message of its refusal, and options of `read`."""

    check: Check | None
    message: str
    options: dict[str, Any]


EXPECTED: dict[str, Expected] = {}
"""What is right, by input: ``"eeg/02-edf-units/UV.edf"``."""


def reads(folder: str, *names: str, **options: Any) -> Callable[[Check], Check]:
    """Register a function as the check of some files of a folder."""

    def register(check: Check) -> Check:
        for name in names:
            EXPECTED[f"{folder}/{name}"] = Expected(check, "", options)
        return check

    return register


def refuses(folder: str, name: str, message: str, **options: Any) -> None:
    """Register the regular expression of the message with which a file is refused."""
    EXPECTED[f"{folder}/{name}"] = Expected(None, message, options)


def run(name: str) -> None:
    """Read an input, and check its values or its refusal; skip if it is absent."""
    path = CASES / name
    if not path.exists():
        pytest.skip(f"no inputs beside the recordings: there is no {path}")
    expected = EXPECTED[name]
    if expected.check is None:
        with pytest.raises(ValueError, match=expected.message) as error:
            read(path, **expected.options)
        assert "\n" not in str(error.value)
        assert path.name in str(error.value)
        return
    expected.check(read(path, **expected.options))


def inputs(kind: str) -> list[str]:
    """Return every input of a kind, ``"eeg"``: files, and folders of several files."""
    if not (CASES / kind).is_dir():
        return []
    return [
        f"{kind}/{folder.name}/{path.name}"
        for folder in sorted((CASES / kind).iterdir())
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.name != "README.txt" and path.suffix not in _BESIDE
    ]


_BESIDE = {".py", ".cfg", ".toml", ".eeg", ".vmrk"}
"""Suffixes of scripts and of files that belong to another one."""


def samples(recording: Recording, stream: str) -> Array:
    """Return the samples of a stream, without the missing ones between its blocks."""
    return np.concatenate([block.data for block in recording.streams[stream]])


def warned(recording: Recording, pattern: str) -> bool:
    """Return whether the warnings of a recording match a regular expression."""
    return re.search(pattern, recording.metadata.get("warnings", "")) is not None
