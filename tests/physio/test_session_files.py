"""A session whose disk fills, whose files vanish, or that is killed, as a command."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from physio.core.recording import Recording
from physio.io import xdf
from small_disk import run_on_small_disk

CONFIG = """
[session]
participant = "p07"
consent = "consent text 1"
[devices.band]
use = "devices.simulated:Wristband"
seed = 3
"""

FULL = """
import subprocess
out, figures = sys.argv[1] + "/s", sys.argv[2]
command = [*(sys.executable, "-m", "physio", "replay", sys.argv[3], "--fast"),
           *("--out", out, "--json", figures)]
done = subprocess.run(command, capture_output=True, text=True)
print(done.returncode)
print(done.stdout + done.stderr)
subprocess.run(["cp", "-r", out, sys.argv[4]], check=True)
"""


def physio(*args: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "physio", *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def record(
    folder: Path, seconds: float = 60.0, **options: object
) -> "subprocess.Popen[str]":
    """Begin to record a simulated wristband into ``<folder>/s``."""
    folder.mkdir(exist_ok=True)
    (folder / "band.toml").write_text(CONFIG)
    more = [f"--{key}={value}" for key, value in options.items()]
    out = folder / "s"
    return physio(
        "record", folder / "band.toml", "--seconds", seconds, "--out", out, *more
    )


def wait_for(path: Path, size: int) -> None:
    """Wait until a file has this size."""
    deadline = time.monotonic() + 120.0
    while not (path.exists() and path.stat().st_size >= size):
        assert time.monotonic() < deadline, f"{path} does not grow"
        time.sleep(0.01)


def samples(recording: Recording) -> dict[str, int]:
    """Return the number of samples or events of each stream of the wristband."""
    numbers = {name: sum(map(len, b)) for name, b in recording.streams.items()}
    numbers |= {name: len(events) for name, events in recording.events.items()}
    return {n: count for n, count in numbers.items() if n.startswith("band.")}


def test_a_full_disk_is_in_the_figures_the_status_and_the_file(tmp_path: Path) -> None:
    with record(tmp_path, 3.0) as child:
        assert child.wait() == 0, child.stdout and child.stdout.read()
    source = tmp_path / "s" / "recording.xdf"
    size = f"{128 + 8 + source.stat().st_size // 2048}k"
    figures, copy = tmp_path / "figures.json", tmp_path / "copy"
    done = run_on_small_disk(FULL, tmp_path / "d", size, figures, source, copy)
    assert done.returncode == 0, done.stderr
    status, text = done.stdout.split("\n", 1)
    assert status == "1"
    assert "Traceback" not in text
    told = json.loads(figures.read_text())
    recording = xdf.read(copy / "recording.xdf")
    kept = samples(recording)
    lost = 0
    for stream in told["streams"]:
        name = stream["name"]
        if not name.startswith("band."):
            continue
        assert kept.get(name, 0) + stream["not_recorded"] == stream["samples"]
        lost += stream["not_recorded"]
        if stream["not_recorded"]:
            assert (
                f"{stream['not_recorded']} of {name}" in recording.metadata["warnings"]
            )
            assert f"{stream['not_recorded']} of {stream['samples']} samples" in text
    assert lost > 0
    assert any("the disk is full" in fault for fault in told["faults"])
    assert all(path.stat().st_size for path in copy.glob("*.xdf"))
    assert json.loads((copy / "session.json").read_text())["state"]


LOSSES: dict[str, Callable[[Path], object]] = {
    "unlinked": lambda s: (s / "recording.xdf").unlink(),
    "deleted": shutil.rmtree,
    "renamed": lambda s: s.rename(s.with_name("t")),
}


@pytest.mark.parametrize(
    "loss",
    [
        "deleted",
        pytest.param("renamed", marks=pytest.mark.long),
        pytest.param("unlinked", marks=pytest.mark.long),
    ],
)
def test_a_session_whose_files_vanish_goes_on_and_says_so(
    tmp_path: Path, loss: str
) -> None:
    figures, out = tmp_path / "figures.json", tmp_path / "s"
    with record(tmp_path, 6.0, json=figures) as child:
        wait_for(out / "recording.xdf", 30_000)
        LOSSES[loss](out)
        at = time.monotonic()
        text = child.communicate(timeout=120)[0]
    assert child.returncode == 1, text
    told = json.loads(figures.read_text())
    path = out / "recording.xdf"
    fault = f"the recording {path} stopped: it was deleted or moved"
    assert told["faults"] == [fault]
    recording = xdf.read(path)
    streams = told["streams"]
    assert samples(recording) == {
        s["name"]: s["samples"] for s in streams if s["name"].startswith("band.")
    }
    assert recording.metadata["ended"].startswith("completed")
    status = recording.events["session.status"]
    when = dict(zip(status.labels, status.times, strict=True))
    assert 0.0 <= when[fault] - at < 2.0
    assert (out / "session.json").is_file()


def test_tables_that_vanish_are_written_anew(tmp_path: Path) -> None:
    from physio.sinks.background import BackgroundSink
    from physio.sinks.jsonl import JsonLines
    from physio.sinks.parquet import ParquetTables
    from physio.testing.sink_laws import session_items

    _, items = session_items()
    folder = tmp_path / "s"
    folder.mkdir()
    sinks = [
        BackgroundSink(JsonLines(folder)),
        BackgroundSink(ParquetTables(folder, rows=4)),
    ]
    for sink in sinks:
        sink.__enter__()
    for item in items[:20]:
        for sink in sinks:
            sink.write(item)
    deadline = time.monotonic() + 10.0
    while not list(folder.glob("features*.part")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(1.05)  # the interval between two looks at the names
    shutil.rmtree(folder)
    for item in items[20:]:
        for sink in sinks:
            sink.write(item)
    for sink in sinks:
        sink.__exit__(None, None, None)
    rows = sum(len(i) for i in items if i.info.name == "estimates")
    for name in ("features", "estimates"):
        assert pq.read_table(folder / f"{name}.parquet").num_rows == rows
    assert len((folder / "estimates.jsonl").read_text().splitlines()) == rows
    for sink in sinks:
        assert sink.faults()
        assert all("was deleted or moved while" in f for f in sink.faults())
        assert list(sink.notices()) == list(sink.faults())


@pytest.mark.parametrize("runs", [3, pytest.param(15, marks=pytest.mark.long)])
def test_a_session_killed_at_any_moment_lacks_a_second_at_most(
    tmp_path: Path, runs: int
) -> None:
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    sys.stdout.write(f"seed {seed}\n")
    rng = random.Random(seed)
    for first in range(0, runs, 3):
        numbers = range(first, first + 3)
        children = [record(tmp_path / str(i)) for i in numbers]
        for i, child in zip(numbers, children, strict=True):
            file = tmp_path / str(i) / "s" / "recording.xdf"
            wait_for(file, rng.randrange(1, 60_000))
            time.sleep(rng.uniform(0.0, 0.3))
            child.send_signal(signal.SIGKILL)
            at = time.monotonic()
            child.communicate()
            recording = xdf.read(xdf.repair(file).path)
            assert recording.metadata["ended"] == "interrupted"
            begin = float(recording.metadata["begin"])
            newest = max(
                (b[-1].times[-1] for b in recording.streams.values() if len(b[-1])),
                default=begin,
            )
            assert at - newest < 1.0, f"run {i} of seed {seed}"
