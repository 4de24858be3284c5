"""Fuzzing led by coverage: nothing but the reader's own error may escape."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


def fuzzed(folder: Path, seconds: int) -> int:
    """Run the fuzzer; return how many inputs it tried."""
    command = [
        *(
            sys.executable,
            str(Path(__file__).with_name("fuzz_safe_pickle.py")),
            str(folder),
        ),
        # Not by its peak memory: a process begins with the peak of the one that
        # started it. The fuzzer limits its own address space instead.
        *(f"-max_total_time={seconds}", "-rss_limit_mb=0", "-malloc_limit_mb=512"),
        *("-timeout=10", "-seed=1"),
        f"-artifact_prefix={folder}/",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-3000:]
    runs = re.search(r"Done (\d+) runs", told)
    assert runs, told[-3000:]
    return int(runs[1])


def test_no_pickle_escapes_the_reader(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris has no wheel for this system")
    # Thousands a second on a quiet machine; this shows that it ran at all.
    assert fuzzed(tmp_path, 20) > 1500


@pytest.mark.long
def test_no_pickle_escapes_the_reader_for_ten_minutes(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris has no wheel for this system")
    assert fuzzed(tmp_path, 600) > 100_000
