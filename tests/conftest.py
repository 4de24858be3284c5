"""What tests share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of real recordings, or skip."""
    folder = Path(os.environ.get("PHYSIO_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real recordings: PHYSIO_DATA names no folder ({folder})")
    return folder
