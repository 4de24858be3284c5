"""Damaged files of every format: read, or refused in one sentence."""

import json
import os
import secrets
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

if not hasattr(sys, "addaudithook") or sys.platform != "linux":  # pragma: no cover
    pytest.skip(
        "limits of memory and time are set as on Linux", allow_module_level=True
    )

from fuzz_readers import readers
from reader_seeds import SEEDS

from physio.datasets.open_recording import FORMATS

GIVEN = os.environ.get("PHYSIO_FUZZ_SEED", "")
DRAWN = int(GIVEN or secrets.randbelow(10**9))
"""Seed of the long test: drawn for each run, or repeated by the variable."""

FIXED = int(GIVEN or 564583088)
"""Seed of the short test, whose result must not depend on the run."""

WAIT = 300.0  # s without an outcome, on a busy machine


def run(count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Return the numbers of outcomes, and each fault with what repeats it."""
    outcomes, faults = Counter[str](), list[str]()
    left = dict.fromkeys(readers(), 0)
    script = str(Path(__file__).with_name("fuzz_readers.py"))
    while left:
        begun = [f"{name}={first}" for name, first in left.items()]
        command = [sys.executable, script, str(seed), str(count), *begun]
        child = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=False, timeout=9000
        )
        name, number = "", -1
        for line in map(json.loads, child.stdout.splitlines()):
            if "name" in line:
                name, number = line["name"], line["number"]
                continue
            outcomes[line["outcome"].split("\n")[0]] += 1
            if line["outcome"] not in ("read", "refused"):
                faults.append(f"{name} {number}: {line['outcome']}")
            number += 1
        if child.returncode == 0:
            break
        assert name, "the readers could not be started"
        faults.append(f"{name} {number}: the process ended ({child.returncode})")
        while left and next(iter(left)) != name:
            left.pop(next(iter(left)))
        left[name] = number + 1
    return outcomes, faults


def check(count: int, seed: int) -> None:
    sys.stdout.write(f"PHYSIO_FUZZ_SEED={seed}\n")
    outcomes, faults = run(count, seed)
    assert not faults, f"PHYSIO_FUZZ_SEED={seed}\n" + "\n".join(faults)
    assert outcomes["read"] > count
    assert outcomes["refused"] > count


def test_every_format_has_a_seed() -> None:
    lacking = {row.reader for row in FORMATS} - set(SEEDS)
    assert not lacking, "add a small whole file to tests/fuzz/reader_seeds.py"


def test_thirty_damaged_files_of_each_format() -> None:
    check(30, FIXED)


@pytest.mark.long
def test_two_thousand_damaged_files_of_each_format() -> None:
    check(2000, DRAWN)
