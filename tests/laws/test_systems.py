"""No part of Python that Windows or macOS lack is used without an alternative."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

GUARDED = {
    "physio/core/operating_system.py": "asks whether the clocks exist",
    "physio/io/matlab/worker.py": "limits memory only where `resource` is",
    "physio/online/scheduling.py": "asks whether the scheduling exists",
    "physio/online/unix_control.py": "imported, and used only with AF_UNIX",
}


@pytest.mark.long
@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_types_hold_on_other_systems(platform: str, tmp_path: Path) -> None:
    """The type checker knows which functions each system has."""
    command = [sys.executable, "-m", "mypy", "--platform", platform]
    done = subprocess.run(
        [*command, "--cache-dir", str(tmp_path), "physio", "devices"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    assert [e for e in errors if e.partition(":")[0] not in GUARDED] == []
