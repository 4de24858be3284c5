"""Waiting for commands: start, first output, first recorded sample, memory."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.latency_estimate import CHANNELS
from benchmarks.timing import untimed_row
from physio.io import xdf

TRIES: Final = 5
PHYSIO: Final = (sys.executable, "-m", "physio")
BAND: Final = Path("wesad") / "S10" / "S10_E4_Data.zip"
_HIGHEST_MEMORY: Final = "VmHWM:"
_TIMEOUT: Final = 120.0  # s
_CAP: Final = """
[devices.cap]
use = "devices.simulated:Headset"
channels = [{channels}]
rate = 512
seed = 1

[devices.band]
use = "devices.simulated:Wristband"
seed = 1
"""


def rows(data: Path | None) -> list[dict[str, Any]]:
    """Return the shortest of five waits for each command, and memory.

    Parameters
    ----------
    data
        The folder of real recordings, with `BAND`; None for the rows that need none.
    """
    parts = [
        untimed_row("physio --help", "aim 0.15 s", seconds=ended([*PHYSIO, "--help"])),
        untimed_row(
            "import physio",
            "aim 0.1 s",
            seconds=ended([sys.executable, "-c", "import physio"])
            - ended([sys.executable, "-c", "pass"]),
            python_seconds=ended([sys.executable, "-c", "pass"]),
        ),
        live(),
    ]
    if data is not None and (data / BAND).is_file():
        parts += commands(data)
    return parts


def ended(command: Sequence[str]) -> float:
    """Return the shortest duration of a command (s)."""
    return min(_duration(command) for _ in range(TRIES))


def _duration(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def commands(data: Path) -> list[dict[str, Any]]:
    """Return the time to the first output of commands on a wristband of 92 minutes."""
    file = str(data / BAND)
    with TemporaryDirectory() as folder:
        report = str(Path(folder) / "report.html")
        by_name = {
            "view": ["view", file, "--no-open"],
            "report": ["report", file, "--out", report],
            "check": ["check", file],
            "replay": ["replay", file, "--fast", "--out", f"{folder}/replay"],
            "extract": [
                *("extract", "wesad", str(data / "wesad"), f"{folder}/features"),
            ],
        }
        parts = []
        for name, words in by_name.items():
            waits = []
            for k in range(3):
                numbered = [w.replace(folder, f"{folder}/{k}") for w in words]
                Path(f"{folder}/{k}").mkdir(exist_ok=True)
                waits.append(first_output([*PHYSIO, *numbered]))
            work = f"physio {name}, a wristband of 92 min: first output"
            aim = "aim 1 s" if name == "extract" else "aim 2 s"
            parts.append(untimed_row(work, aim, seconds=min(waits)))
        base = highest_memory([sys.executable, "-c", "import physio.cli.__main__"])
        used = highest_memory([*PHYSIO, "report", file, "--out", report])
    work = "physio report, a wristband of 92 min: memory"
    return [*parts, untimed_row(work, "aim 500 MB above", mb=used, start_mb=base)]


def first_output(command: Sequence[str]) -> float:
    """Return the time from a command to its first line in a terminal (s).

    The command is ended afterwards.

    Raises
    ------
    TimeoutError
        If it puts out nothing within two minutes.
    """
    began = time.perf_counter()
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], list(command))
    try:
        text = b""
        while not text.strip():
            rest = _TIMEOUT - (time.perf_counter() - began)
            if rest <= 0 or not select.select([terminal], [], [], rest)[0]:
                raise TimeoutError(f"no output within {_TIMEOUT:g} s: {command}")
            text += os.read(terminal, 4096)
        return time.perf_counter() - began
    finally:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)


def live() -> dict[str, Any]:
    """Return the time to the first recorded sample of a session, and its memory.

    32 channels at 512 Hz and a wristband, simulated, compiled kernels.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        electrodes = ", ".join(f'"{c}"' for c in CHANNELS)
        (folder / "session.toml").write_text(
            _CAP.format(channels=electrodes), encoding="utf-8"
        )
        waits, peak = [], 0.0
        for k in range(3):
            out = folder / str(k)
            command = [*PHYSIO, "live", str(folder / "session.toml")]
            command += ["--seconds", "20", "--out", str(out), "--consent", "x"]
            began = time.monotonic()
            peak = max(peak, highest_memory(command))
            recording = xdf.read(out / "recording.xdf")
            first = min(b[0].times[0] for b in recording.streams.values() if len(b[0]))
            waits.append(float(first) - began)
    work = "physio live, 32 ch at 512 Hz and a wristband: first recorded sample"
    return untimed_row(work, "aim 1.5 s, 350 MB", seconds=min(waits), mb=peak)


def highest_memory(command: Sequence[str]) -> float:
    """Return the largest resident memory of a command, without its children (MB)."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, _resident_peak(process.pid))
            time.sleep(0.02)
    return round(peak, 1)


def _resident_peak(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    except OSError:
        return 0.0
    sizes = [line.split()[1] for line in lines if line.startswith(_HIGHEST_MEMORY)]
    return int(sizes[0]) / 1e3 if sizes else 0.0
