"""A small disk of its own for a child process, which then really is full."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def run_on_small_disk(
    program: str, disk: Path, size: str, *args: object
) -> "subprocess.CompletedProcess[str]":
    """Run a program with a disk of ``size`` at ``disk``, which vanishes with it.

    ``sys.argv`` of the program is the disk, then ``args``.
    """
    if not shutil.which("unshare") or not shutil.which("mount"):
        pytest.skip("no small disk: this system has no unshare and mount")
    disk.mkdir(exist_ok=True)
    isolated = ["unshare", "--map-root-user", "--mount"]
    mount = f'mount -t tmpfs -o size={size} tmpfs "$0"'
    probe = [*isolated, "sh", "-c", mount, str(disk)]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no small disk: this user may not mount one")
    folders = [str(TESTS), str(TESTS / "physio"), str(TESTS / "laws")]
    paths = f"import sys; sys.path[:0] = {folders!r}\n"
    return subprocess.run(
        [
            *(*isolated, "sh", "-c", f'{mount} && exec "$@"', str(disk)),
            *(sys.executable, "-c", paths + program, str(disk), *map(str, args)),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
