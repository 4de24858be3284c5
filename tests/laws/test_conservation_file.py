"""Nothing is lost unaccounted in the file either: on a full disk, or when killed."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from devices.fault_injection import Fault, FaultInjector, SampleAccounting
from devices.simulated import Wristband
from physio.core.block import Block
from physio.core.events import Item
from physio.core.protocols import FastClock
from physio.core.recording import Recording
from physio.io import xdf
from physio.online.engine import PipelineConfig
from physio.online.session import Session
from physio.sinks.xdf import Xdf

SEED = 3
FAULTS = (
    Fault("drop", amount=0.02), Fault("duplicate", amount=0.05),
    Fault("reorder", amount=0.02), Fault("unplug", 5.0, 2.0), Fault("stall", 9.0, 1.5),
)  # fmt: skip

CHILD = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_conservation_file import session
most = int(sys.argv[3])
if most:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
print("begun", flush=True)
made, _, _ = session(Path(sys.argv[2]), float(sys.argv[5]), sys.argv[4])
print(*(f for sink in made._sinks for f in sink.faults()), sep=chr(10))
"""


def session(
    folder: Path, seconds: float, fallback: str = ""
) -> tuple[Session, list[Item], dict[str, SampleAccounting]]:
    """Run a wristband on a bad line, recorded; return what it yielded."""
    clock = FastClock(1000.0)
    band = Wristband(clock=clock, seconds=seconds, ground_truth=False)
    device = FaultInjector(band, FAULTS, SEED, name="band", clock=clock)
    sink = Xdf(folder, fallback=fallback, reserve_mb=0.0, wait=True)
    with Session(PipelineConfig(), [device], [sink], clock, poll=0.05) as made:
        items = list(made)
        tally = device.accounting
    return made, items, tally


def started(folder: Path, most: int, fallback: Path | str, seconds: float) -> Any:
    arguments = [str(Path(__file__).parent), str(folder), str(most), str(fallback)]
    command = [sys.executable, "-c", CHILD, *arguments, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def blocks(recording: Recording) -> list[tuple[str, int, bytes]]:
    """Return what came, in the order in which it came."""
    return _facts(list(recording.arrivals()))


def _facts(items: list[Item]) -> list[tuple[str, int, bytes]]:
    found = [i for i in items if isinstance(i, Block)]
    return [(b.info.name, b.start, b.data.tobytes()) for b in found]


def accounted(
    recording: Recording, tally: dict[str, SampleAccounting] | None = None
) -> None:
    """Check that samples and gaps of each stream make up its numbers."""
    for name, parts in recording.streams.items():
        kept = sum(map(len, parts))
        stop, gaps = 0, 0
        for block in parts:
            assert block.start >= stop
            gaps += block.start - stop
            stop = block.stop
        assert kept + gaps == stop
        if tally is not None:
            each = tally[name]
            assert (kept, gaps) == (each.recorded, each.lost)
            came = each.produced + each.duplicated
            assert 0 <= came - kept - each.repeated - gaps <= 1


def test_the_whole_file(tmp_path: Path) -> None:
    _, items, tally = session(tmp_path, 15.0)
    recording = xdf.read(tmp_path / "recording.xdf")
    accounted(recording, tally)
    assert blocks(recording) == _facts(items)


def test_files_that_may_not_grow_hold_all_of_it_together(tmp_path: Path) -> None:
    _, items, _ = session(_made(tmp_path, "w"), 15.0)
    with started(tmp_path, 60_000, "", 15.0) as child:
        said = child.communicate(timeout=120)[0].splitlines()
    assert child.returncode == 0
    assert said[1].endswith("recording.xdf stopped: file too large")
    more = sorted(tmp_path.glob("*_part*.xdf"), key=lambda p: (len(p.name), p.name))
    parts = [xdf.read(path) for path in (tmp_path / "recording.xdf", *more)]
    assert len(parts) > 1
    came = [fact for part in parts for fact in blocks(part)]
    assert came == _facts(items)


def test_killed_at_any_moment_the_file_has_all_up_to_there(tmp_path: Path) -> None:
    rng = random.Random(5)
    _, items, _ = session(_made(tmp_path, "whole"), 40.0)
    want = _facts(items)
    sizes = set()
    for i in range(2):
        folder = _made(tmp_path, str(i))
        with started(folder, 0, "", 40.0) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "begun\n"
            file, least = folder / "recording.xdf", rng.uniform(1e4, 6e4)
            end = time.monotonic() + 60.0
            while not (file.exists() and file.stat().st_size > least):
                assert time.monotonic() < end, "it records nothing"
                time.sleep(0.002)
            child.send_signal(signal.SIGKILL)
        done = xdf.repair(file)
        recording = xdf.read(done.path)
        assert recording.metadata["ended"] == "interrupted"
        accounted(recording)
        came = blocks(recording)
        assert came == want[: len(came)]
        sizes.add(len(came))
        assert len(came) > 20
    assert len(sizes) > 1


def _made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name
