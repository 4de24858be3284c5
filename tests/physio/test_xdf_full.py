"""A full disk, a lost file: all is written wherever it fits, or counted as lost."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter, namedtuple
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from physio.core.block import Block, Channel, StreamInfo
from physio.core.events import Item, single_event
from physio.io.xdf import read
from physio.sinks.disk_space import Backlog, ClosingSpace, DiskSpace
from physio.sinks.xdf import Xdf
from sessions import BEATS, EEG, facts, items
from small_disk import run_on_small_disk

Usage = namedtuple("Usage", "total used free")

FULL_DISK = """
import json, os, random, shutil
from pathlib import Path
from test_xdf_full import ENDS, full_disk_run
disk, other, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)
for run in range(10):
    end = ENDS[run % len(ENDS)]
    print(json.dumps(full_disk_run(disk / str(run), other / str(run), end, rng)))
    shutil.rmtree(disk / str(run))
"""

ENDS = ("room comes back", "it never does", "the fallback is full", "fallback")

LARGEST = """
import resource, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from sessions import items
from physio.sinks.xdf import Xdf
resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))
with Xdf(Path(sys.argv[1]), reserve_mb=0.0) as sink:
    for item in items():
        sink.write(item)
print(*sink.faults(), *sink.notices(), sink.unwritten(), sep="\\n")
"""


def long_session(blocks: int = 600) -> list[Item]:
    """Return blocks of 4 kB, and events among them."""
    rng, made = np.random.default_rng(3), list[Item]()
    for i in range(blocks):
        made.append(Block(EEG, 250 * i, 3.0, rng.normal(0, 20, (250, 2))))
        if i % 7 == 0:
            made.append(single_event(BEATS, 3.0 + i, str(i), 0.8))
    return made


def full_disk_run(
    folder: Path, other: Path, end: str, rng: "object"
) -> dict[str, object]:
    """Fill the disk while a session is recorded; return what became of its samples."""
    folder.mkdir()
    fallback = {"fallback": other, "the fallback is full": folder.parent / "b"}.get(end)
    session = long_session()
    full, room = sorted(rng.sample(range(len(session)), 2))  # type: ignore[attr-defined]
    filler, piece = folder.parent / "filler", os.urandom(4096)
    with Xdf(folder, fallback=str(fallback or ""), reserve_mb=64.0) as sink:
        for i, item in enumerate(session):
            sink.write(item)
            if i == full:
                _written(sink)
                with filler.open("wb", buffering=0) as file:
                    try:
                        while file.write(piece) == len(piece):
                            pass
                    except OSError:
                        pass
            if i == room and end == "room comes back":
                filler.unlink()
    filler.unlink(missing_ok=True)
    files = [p for f in (folder, fallback) if f for p in sorted(Path(f).glob("*.xdf"))]
    recordings = [read(path) for path in files]
    kept = Counter[str]()
    for recording in recordings:
        kept.update({n: sum(map(len, b)) for n, b in recording.streams.items()})
        kept.update({n: len(e) for n, e in recording.events.items()})
    return {
        "end": end,
        "kept": kept,
        "lost": sink.unwritten(),
        "faults": sink.faults(),
        "files": [path.stat().st_size for path in files],
        "ended": [recording.metadata["ended"] for recording in recordings],
        "warnings": recordings[-1].metadata.get("warnings", ""),
    }


def _written(sink: Xdf) -> None:
    deadline = time.monotonic() + 10
    backlog = sink._backlog
    while len(backlog) and not backlog.stalled and time.monotonic() < deadline:
        time.sleep(0.001)


def test_ten_full_disks_keep_what_fits_and_count_the_rest(tmp_path: Path) -> None:
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    sys.stdout.write(f"seed {seed}\n")
    disk, other = tmp_path / "disk", tmp_path / "other"
    done = run_on_small_disk(FULL_DISK, disk, "5m", other, seed)
    assert done.returncode == 0, done.stderr
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(runs) == 10
    produced = {EEG.name: 600 * 250, BEATS.name: 86}
    for run in runs:
        lost = Counter(run["lost"])
        assert Counter(run["kept"]) + lost == produced, run
        assert min(run["files"]) > 1000
        if run["end"] in {"room comes back", "fallback"}:
            assert not lost
            assert run["ended"][-1] == "completed"
        if lost:
            names = [f"{n} of {name}" for name, n in run["lost"].items()]
            for text in (run["warnings"], run["faults"][-1]):
                assert all(name in text for name in names), run
            assert run["ended"][-1] == "completed"
        if len(run["files"]) > 1 or lost:
            assert any("the disk is full" in fault for fault in run["faults"]), run


def test_the_largest_file_of_a_disk_is_continued_in_another(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LARGEST, tmp_path, Path(__file__).parent]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    paths = [tmp_path / "recording.xdf", *sorted(tmp_path.glob("*_part?.xdf"))]
    assert len(paths) > 1
    recordings = list(map(read, paths))
    assert recordings[1].metadata["continues"] == "recording.xdf"
    got = [facts(item) for r in recordings for item in r.arrivals()]
    assert got == list(map(facts, items()))
    lines = done.stdout.splitlines()
    assert lines[0] == f"the recording {paths[0]} stopped: file too large"
    assert f"the recording goes on in {paths[1]}" in lines
    assert lines[-1] == "Counter()"


def test_a_disk_that_is_nearly_full_is_left_for_the_fallback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    usage = shutil.disk_usage

    def nearly(folder: Path) -> object:
        return Usage(1, 1, 5_000_000) if folder == tmp_path / "a" else usage(folder)

    session = list(items())
    monkeypatch.setattr(shutil, "disk_usage", nearly)
    with Xdf(tmp_path / "a", fallback=str(tmp_path / "b")) as sink:
        for item in session[:20]:
            sink.write(item)
        _written(sink)
        sink._check()
        for item in session[20:]:
            sink.write(item)
    path = tmp_path / "b" / "recording_part2.xdf"
    assert sink.notices() == [
        f"the disk of {tmp_path / 'a'} is nearly full: the recording goes on in {path}"
    ]
    assert sink.faults() == []
    first = read(tmp_path / "a" / "recording.xdf")
    assert first.metadata["ended"] == f"continued in {path}"
    got = [facts(i) for r in (first, read(path)) for i in r.arrivals()]
    assert got == list(map(facts, session))


@pytest.mark.parametrize("loss", ["file", "folder", "moved", "replaced", "at the end"])
def test_a_recording_that_is_deleted_or_moved_goes_on_with_all_of_it(
    tmp_path: Path, loss: str
) -> None:
    folder, session = tmp_path / "s", list(items())
    folder.mkdir()
    path = folder / "recording.xdf"
    with Xdf(folder) as sink:
        for item in session[:20]:
            sink.write(item)
        _written(sink)
        if loss == "moved":
            folder.rename(tmp_path / "t")
        elif loss == "folder":
            shutil.rmtree(folder)
        else:
            path.unlink()
        if loss == "replaced":
            path.write_text("mine")
        deadline = time.monotonic() + 2.0
        notices: Sequence[str] = []
        while loss != "at the end" and time.monotonic() < deadline and len(notices) < 2:
            time.sleep(0.02)
            notices = [*notices, *sink.notices()]
        assert loss == "at the end" or len(notices) == 2
        for item in session[20:]:
            sink.write(item)
    new = path.with_stem("recording_part2") if loss == "replaced" else path
    assert sink.faults() == [f"the recording {path} stopped: it was deleted or moved"]
    assert sink.file == new
    assert notices in ([], [*sink.faults(), f"the recording goes on in {new}"])
    got = read(new)
    assert got.metadata["ended"] == "completed"
    assert list(map(facts, got.arrivals())) == list(map(facts, session))
    assert not sink.unwritten()
    assert new.stat().st_mode & 0o777 == 0o600
    if loss == "replaced":
        assert path.read_text() == "mine"
    if loss == "moved":
        old = read(tmp_path / "t" / "recording.xdf")
        assert old.metadata["ended"] == f"moved: it goes on in {path}"
        assert len(list(old.arrivals())) == 20


def test_a_deleted_file_that_no_place_takes_is_counted_as_lost(tmp_path: Path) -> None:
    folder, session = tmp_path / "s", list(items())
    folder.mkdir()
    with Xdf(folder) as sink:
        for item in session:
            sink.write(item)
        _written(sink)
        shutil.rmtree(folder)
        folder.write_text("a file, where the folder was")
    assert sink.unwritten()[EEG.name] == sum(
        len(i) for i in session if i.info.name == EEG.name
    )
    assert f"120 of {EEG.name}" in sink.faults()[-1]


def test_no_room_for_the_first_bytes_leaves_no_file(tmp_path: Path) -> None:
    program = """
from pathlib import Path
from physio.sinks.xdf import Xdf
disk = Path(sys.argv[1])
try:
    (disk / "filler").write_bytes(bytes(1 << 20))
except OSError:
    pass
try:
    Xdf(disk).__enter__()
except OSError as error:
    print(error)
print([p.name for p in disk.iterdir()])
"""
    disk = tmp_path / "disk"
    done = run_on_small_disk(program, disk, "64k")
    assert done.stdout.splitlines() == [
        f"the recording {disk / 'recording.xdf'} stopped: No space left on device; "
        "what came before is in the file",
        "['filler']",
    ], done.stderr


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


def test_memory_keeps_the_newest_and_counts_the_others() -> None:
    backlog = Backlog(10_000)
    made = list(items())
    for item in made:
        backlog.put(item)
    kept = list(iter(backlog.take, None))
    assert kept == made[-len(kept) :]
    assert 5 < len(kept) < len(made)
    lost = Counter[str]()
    for item in made[: -len(kept)]:
        lost[item.info.name] += len(item)
    assert backlog.discarded == lost


def test_a_slow_disk_makes_nobody_wait_and_the_loss_is_counted(tmp_path: Path) -> None:
    wide = StreamInfo("wide.eeg", EEG.rate, (Channel("x"),))
    n = 100_000
    with Xdf(tmp_path, ring_mb=2.0) as sink:
        for i in range(200):
            sink.write(Block(wide, i * n, 0.0, np.zeros((n, 1))))
    got = read(tmp_path / "recording.xdf")
    kept = sum(map(len, got.streams["wide.eeg"]))
    assert 0 < kept < 200 * n
    assert kept + sink.unwritten()["wide.eeg"] == 200 * n
    lost = f"samples or events ({200 * n - kept} of wide.eeg)"
    assert got.metadata["warnings"] == f"not recorded: {lost}"
    assert sink.faults()[-1] == f"the recording {sink.file} lacks {lost}"


def test_space_for_the_end_is_held_and_released(tmp_path: Path) -> None:
    space = ClosingSpace(tmp_path, 1 << 16)
    assert list(tmp_path.iterdir()) == []
    space.release()
    space.release()
    ClosingSpace(tmp_path / "missing", 10).release()
