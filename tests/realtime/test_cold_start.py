"""A session that begins before its kernels are compiled, on one busy core."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from devices.empatica import MockServer
from devices.empatica.mock_server import OFFSET, STEP
from devices.simulated import Wristband
from physio.core.block import Array, Block
from physio.core.recording import MARKERS, Recording
from physio.io import xdf
from physio.online import remote_control
from physio.online.engine import run
from physio.online.session_config import recorded
from test_lsl_live import SENDER

CLOSE = 0.010
"""Largest error of a time (s)."""

SMALL = """
[chains.eda]
stream = "band.eda"
stages = [{ use = "physio.dsp.iir:Lowpass", high = 1.0 }]

[chains.eeg]
stream = "headset.eeg"
stages = [{ use = "physio.dsp.iir:Lowpass", high = 40.0 }]
"""
"""Chains whose kernels compile within seconds."""


@dataclass(frozen=True)
class Case:
    """A session: chains, seconds, and seconds until the sender is switched on."""

    chains: str
    seconds: float
    late: float


@contextmanager
def busy(core: int) -> Iterator[None]:
    """Keep a core busy."""
    with subprocess.Popen(
        [sys.executable, "-c", "while True: pass"],
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    ) as process:
        try:
            yield
        finally:
            process.kill()


def config(folder: Path, chains: str, prefix: str, port: int) -> Path:
    path = folder / "session.toml"
    path.write_text(
        f"""
[devices.headset]
use = "devices.lsl:Inlet"
source_id = "{prefix}-EEG"
timeout = 60.0

[devices.stimuli]
use = "devices.lsl:Inlet"
source_id = "{prefix}-Markers"
timeout = 60.0

[devices.band]
use = "devices.empatica:E4"
serial = "9ff167"
port = {port}
simulated = true
{chains}
""",
        encoding="utf-8",
    )
    return path


def mark(folder: Path, label: str) -> tuple[float, float]:
    """Set a marker from this process; return the times before and after sending (s)."""
    before = time.monotonic()
    remote_control.send(folder, label)
    return before, time.monotonic()


@contextmanager
def sender(prefix: str) -> Iterator[None]:
    with subprocess.Popen([sys.executable, str(SENDER), prefix]) as process:
        try:
            yield
        finally:
            process.kill()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Case(SMALL, 6.0, 2.0), id="small"),
        pytest.param(Case("", 60.0, 20.0), id="default", marks=pytest.mark.long),
    ],
)
def test_times_are_right_while_kernels_are_compiled(tmp_path: Path, case: Case) -> None:
    core = max(os.sched_getaffinity(0))
    prefix, out = f"cold{case.late:.0f}", tmp_path / "out"
    band = Wristband(name="9ff167", seed=1, ground_truth=False)
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    with MockServer({"9ff167": band}) as twin, busy(core):
        file = config(tmp_path, case.chains, prefix, twin.port)
        started = time.monotonic()
        command = ["live", file, "--seconds", case.seconds, "--out", out]
        session = subprocess.Popen(
            [sys.executable, "-m", "physio", *map(str, command), "--consent", "x"],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
        time.sleep(case.late)
        with sender(prefix):
            wait_until_it_runs(out, session)
            sent = {}
            for i in range(4):
                sent[f"film {i}"] = mark(out, f"film {i}")
                time.sleep(0.25)
            text, _ = session.communicate(timeout=100 + 5 * case.seconds)
    assert session.returncode == 0, text
    assert "compiling kernels" in text
    recording = xdf.read(out / "recording.xdf")
    first = min(b[0].times[0] for b in recording.streams.values() if len(b[0]))
    print(text, f"first sample after {first - started:.2f} s")  # noqa: T201
    is_long = case.late > 10
    check_eeg(recording)
    check_wristband(recording, CLOSE if is_long else 3 * CLOSE)
    check_markers(recording, sent)
    check_replay(recording)
    assert first - started < (3.0 if is_long else 8.0)


def wait_until_it_runs(out: Path, session: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 60
    while not (out / "session.json").is_file():
        assert session.poll() is None, session.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.05)


def parts(recording: Recording, name: str) -> list[Block]:
    return [b for b in recording.streams[name] if len(b)]


def joined(arrays: list[Array]) -> Array:
    return np.concatenate(arrays)


def check_eeg(recording: Recording) -> None:
    blocks = parts(recording, "headset.eeg")
    n, truth = joined([b.data for b in blocks]).T
    assert len(n) > 500
    np.testing.assert_array_equal(np.diff(n), 1)
    errors = joined([b.times for b in blocks]) - truth
    assert np.abs(errors).max() < CLOSE


def check_wristband(recording: Recording, close: float) -> None:
    """Check times of arrival; the server sends samples half a step late on average."""
    for kind in ("bvp", "acc", "eda", "temp"):
        blocks = parts(recording, f"band.{kind}")
        truth = joined([b.stamps for b in blocks if b.stamps is not None]) - OFFSET
        errors = joined([b.times for b in blocks]) - truth - STEP / 2
        assert abs(np.median(errors)) < close, kind


def check_markers(recording: Recording, sent: dict[str, tuple[float, float]]) -> None:
    events = recording.events[MARKERS]
    times = dict(zip(events.labels, events.times.tolist(), strict=True))
    assert set(times) == set(sent)
    for label, (before, after) in sent.items():
        assert before - CLOSE <= times[label] <= after, label
    stimuli = recording.events["stimuli.markers"]
    assert len(stimuli) >= 3
    said = [float(label) for label in stimuli.labels]
    assert np.abs(stimuli.times - said).max() < CLOSE


def check_replay(recording: Recording) -> None:
    """Check that features begin with the recording, and a replay gives their bits."""
    live = parts(recording, "features")
    file = recorded(recording)
    assert file is not None
    plan = file.plan(recording.inputs)
    assert live[0].start == 0
    assert live[0].t0 == recording.begin
    begins = [parts(recording, i.name)[0].times[0] for i in recording.inputs if i.rate]
    assert recording.begin <= min(begins)
    again = [i for i in run(recording, plan) if i.info.name == "features" and len(i)]
    assert (
        joined([b.data for b in live]).tobytes()
        == joined([b.data for b in again]).tobytes()
    )
    assert len(joined([b.data for b in live])) > 4 * (recording.seconds - 3)
