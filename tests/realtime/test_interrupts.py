"""Ctrl-C, SIGTERM and a closed terminal end a session, at any moment of its start."""

import json
import os
import pty
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from physio.io import xdf

COMMAND = "import physio.__main__ as m; print('begin', flush=True); m.main()"


def start(*args: object, **settings: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", COMMAND, *map(str, args)]
    return subprocess.Popen(command, **settings)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("times", [6, pytest.param(60, marks=pytest.mark.long)])
def test_an_interrupted_start_leaves_no_traceback(times: int, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print("seed", seed)  # noqa: T201
    rng = random.Random(seed)
    longest = 3.0
    for i in range(times):
        out = tmp_path / str(i)
        args = ("demo", "--seconds", "60", "--no-dashboard", "--out", out)
        child = start(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"begin\n"
        delay = rng.uniform(0, longest)
        time.sleep(delay)
        child.send_signal(signal.SIGINT)
        text, errors = child.communicate(timeout=120)
        assert child.returncode in (0, 130), (seed, delay, errors)
        assert b"Traceback" not in text + errors, (seed, delay, errors)
        assert b"Exception ignored" not in errors, (seed, delay, errors)
        if child.returncode == 0:
            about = json.loads((out / "session.json").read_text("utf-8"))
            assert about["ended"] == "interrupted by Ctrl-C", (seed, delay)


@pytest.mark.parametrize("by", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_session(by: str, tmp_path: Path) -> None:
    out = tmp_path / "s"
    args = ("demo", "--seconds", "600", "--no-dashboard", "--out", out)
    child = start(*args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_until_it_runs(out, child)
    child.send_signal(getattr(signal, by))
    text, _ = child.communicate(timeout=120)
    assert child.returncode == 0, text
    finished(out, by)


def test_a_closed_terminal_ends_a_session(tmp_path: Path) -> None:
    out = tmp_path / "s"
    pid, terminal = pty.fork()
    if pid == 0:
        args = ("demo", "--seconds", "600", "--no-dashboard", "--out", out)
        os.execv(sys.executable, [sys.executable, "-c", COMMAND, *map(str, args)])
    end = time.monotonic() + 120
    while not is_running(out) and time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            os.read(terminal, 65536)
    os.close(terminal)  # the kernel sends SIGHUP
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finished(out, "SIGHUP")
    assert status == 0


def is_running(out: Path) -> bool:
    about = out / "session.json"
    return about.is_file() and "running" in about.read_text("utf-8")


def wait_until_it_runs(out: Path, child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while not is_running(out):
        assert child.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)


def finished(out: Path, by: str) -> None:
    about = json.loads((out / "session.json").read_text("utf-8"))
    assert about["ended"] == f"interrupted by {by}"
    assert about["faults"] == []
    assert xdf.read(out / "recording.xdf").metadata["ended"] == about["ended"]
