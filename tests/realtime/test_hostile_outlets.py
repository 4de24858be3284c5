"""LSL outlets that send what no device should: the session ends as it was told to."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from physio.cli import app
from physio.io import xdf

SENDER = """
import sys, time, pylsl
mode, source = sys.argv[1:]
labels = {"names": ["\\x1b[2J\\x1b]0;x\\x07", "../x", "$_{^", "a" * 100_000]}
names = labels.get(mode, ["n", "b", "c", "d"])
rate = 0 if mode == "silent" else 250
info = pylsl.StreamInfo("../\\x1b[31m" + source, "EEG", 4, 250, "double64", source)
channels = info.desc().append_child("channels")
for name in names:
    channel = channels.append_child("channel")
    channel.append_child_value("label", name)
    channel.append_child_value("unit", "microvolts")
outlet = pylsl.StreamOutlet(info, 8)
wild = {"nan": float("nan"), "inf": float("inf"), "big": 1e300, "tiny": 5e-324}
n, begin = 0, time.monotonic()
while True:
    while n < (time.monotonic() - begin) * rate:
        value = wild.get(mode, 1.0) if n % 7 == 0 else 1.0
        stamp = {"unix": time.time() * 1000, "zero": 0.0, "past": -1e9}.get(mode)
        stamp = pylsl.local_clock() if stamp is None else stamp
        if not (mode == "drop" and n // 100 % 3 == 2):
            outlet.push_sample([float(n), value, 2.0 + n % 5, value], stamp)
        n += 1
    time.sleep(0.01)
"""
MODES = ("names", "nan", "inf", "big", "tiny", "drop", "unix", "zero", "past")


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
def test_a_session_outlives_its_outlet(mode: str, tmp_path: Path) -> None:
    source = f"hostile-{mode}"
    config = tmp_path / "s.toml"
    config.write_text(
        '[session]\nparticipant = "p1"\nconsent = "c"\n[devices.e]\n'
        f'use = "devices.lsl:Inlet"\nsource_id = "{source}"\n',
        "utf-8",
    )
    out, figures = tmp_path / "out", tmp_path / "f.json"
    line = ["live", str(config), "--seconds", "4", "--out", str(out), "--json"]
    with subprocess.Popen([sys.executable, "-c", SENDER, mode, source]) as process:
        try:
            done = CliRunner().invoke(app, [*line, str(figures)])
        finally:
            process.kill()
    assert isinstance(done.exception, SystemExit | None), done.exception
    assert "Traceback" not in done.output
    assert not {"\x1b", "\x07"} & set(done.output)
    assert json.loads(figures.read_text("utf-8"))["state"] == "completed"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.json", "out", "s.toml"]
    recording = xdf.read(out / "recording.xdf")
    (blocks,) = (b for n, b in recording.streams.items() if n.startswith("e."))
    assert sum(map(len, blocks)) > 300
    assert recording.end - recording.begin < 60
    assert all(np.isfinite(b.t0) for b in blocks)
