"""Without a folder for compiled kernels they are compiled in memory."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NO_FOLDER = """
import tempfile
def refuse(*_, **__):
    raise PermissionError(13, "Permission denied")
tempfile.TemporaryFile = refuse  # with it Numba tries whether it can write a folder
"""
KERNEL = """
import numpy as np
from physio.dsp import jit
from physio.features.event_gaps import missing_reasons
print(jit.cache_folder(missing_reasons) is None, sorted(jit.IN_MEMORY))
print(missing_reasons(np.array([[1.0], [np.nan], [2.0]])).tobytes().hex())
"""
DOCTOR = """
import sys
from physio.__main__ import main
sys.argv = ["physio", "doctor"]
main()
"""


def python(code: str, *prefix: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "HOME": "/dev/null/none"}
    for key in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
        environ.pop(key, None)
    return subprocess.run(
        [*prefix, sys.executable, "-c", code],
        env=environ,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def test_kernels_in_memory_give_the_same_bits() -> None:
    stored, in_memory = python(KERNEL), python(NO_FOLDER + KERNEL)
    assert in_memory.returncode == stored.returncode == 0, in_memory.stderr
    assert in_memory.stdout.startswith("True ['physio.features.event_gaps']")
    assert stored.stdout.splitlines()[1] == in_memory.stdout.splitlines()[1]


def test_doctor_names_the_missing_folder() -> None:
    done = python(NO_FOLDER + DOCTOR)
    assert done.returncode == 1
    assert "BAD  no folder for compiled kernels can be written" in done.stdout
    assert "Set NUMBA_CACHE_DIR to a folder" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_a_session_runs_on_a_read_only_disk(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    mounts = (
        f"mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind / && "
        f'export TMPDIR={tmp_path} && exec "$@"'
    )
    prefix = (str(unshare), "-m", "sh", "-c", mounts, "sh")
    probe = "open('x', 'w')"
    if unshare is None or "Read-only" not in python(probe, *prefix).stderr:
        pytest.skip("this machine lets no process make its disk read-only")
    code = DOCTOR.replace(
        '"doctor"', f'"demo", "--fast", "--seconds", "3", "--out", "{tmp_path}/s"'
    )
    done = python(code, *prefix)
    assert done.returncode == 0, done.stderr
    assert "no plot" not in done.stdout
    assert (tmp_path / "s" / "recording.xdf").is_file()
