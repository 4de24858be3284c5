"""A disk that fills up is told in time, and what was recorded stays readable."""

import shutil
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from physio.io.xdf import read
from physio.sinks.disk_space import DiskSpace, RetryBuffer
from physio.sinks.xdf import Xdf
from sessions import facts, items

Usage = namedtuple("Usage", "total used free")

FULL = """
import resource, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from sessions import items
from physio.sinks.xdf import Xdf
resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))
folder = Path(sys.argv[1])
with Xdf(folder, fallback=sys.argv[3], reserve_mb=0.0) as sink:
    for item in items():
        sink.write(item)
print(sink.fault)
print(*sink.notices(), sep="\\n")
"""


def child(folder: Path, fallback: str) -> list[str]:
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", FULL, str(folder), here, fallback]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_full_disk_closes_the_file_and_the_rest_is_told(tmp_path: Path) -> None:
    said = child(tmp_path, "")
    path = tmp_path / "recording.xdf"
    got = list(map(facts, read_cut(path)))
    want = list(map(facts, items()))
    assert 0 < len(got) < len(want)
    assert got == want[: len(got)]
    stopped = f"the recording {path} stopped: the disk is full"
    lost = len(want) - len(got)
    assert said == [
        f"{stopped}; {lost} items after that are lost",
        f"{stopped}; the newest 64 MB are kept in memory and written once there is room"
        f"; another folder can be given as fallback",
    ]


def read_cut(path: Path) -> list[object]:
    return list(read(path).arrivals())


def test_a_recording_goes_on_in_another_folder_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").mkdir()
    said = child(tmp_path / "a", str(tmp_path / "b"))
    first = read(tmp_path / "a" / "recording.xdf")
    parts = sorted((tmp_path / "b").iterdir())
    second = read(parts[0])
    assert second.metadata["continues"] == "recording.xdf"
    got = [facts(i) for r in (first, second) for i in r.arrivals()]
    assert got == list(map(facts, items()))
    assert 0 < len(list(first.arrivals())) < len(got)
    assert said[1] == f"the recording goes on in {parts[0]}"


def test_what_is_in_memory_is_written_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [0]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1, 1, free[0]))
    with Xdf(tmp_path, reserve_mb=1.0) as sink:
        sink._check_disk()
        assert sink.fault.endswith("stopped: the disk is full")
        for item in items():
            sink.write(item)
        deadline = time.monotonic() + 10
        while not sink._queue.empty() and time.monotonic() < deadline:
            time.sleep(0.01)
        free[0] = 10_000_000
        while sink._stopped and time.monotonic() < deadline:
            time.sleep(0.01)
    assert list(read(tmp_path / "recording.xdf").arrivals()) == []
    got = read(tmp_path / "recording_part2.xdf")
    assert list(map(facts, got.arrivals())) == list(map(facts, items()))


def test_ten_and_two_minutes_left_are_told_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 21_000_000
    room = DiskSpace(tmp_path, 1_000_000)
    said = []
    for second in range(1200):  # 1 MB a minute: 20 minutes
        left = free - second * 1_000_000 // 60
        monkeypatch.setattr(shutil, "disk_usage", lambda _, n=left: Usage(1, 1, n))
        if text := room.warning(float(second), second * 1_000_000 // 60):
            said.append((second, text))
    # The rate is measured over 60 s of whole bytes: right to a second.
    assert [round(second, -1) for second, _ in said] == [600, 1080]
    assert said[0][1] == (
        f"the disk of {tmp_path} is nearly full: room for 10.0 minutes of recording is "
        f"left"
    )


def test_memory_keeps_the_newest() -> None:
    ring = RetryBuffer(10_000)
    made = list(items())
    for item in made:
        ring.add(item)
    kept, lost = ring.take()
    assert kept == made[lost:]
    assert 5 < len(kept) < len(made)
    assert ring.take() == ([], 0)
