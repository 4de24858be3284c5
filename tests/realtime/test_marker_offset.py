"""A stimulus program on this machine: how late its markers are, and how evenly."""

import subprocess
import sys
from pathlib import Path

from devices.lsl import Inlet
from physio.core.protocols import WallClock
from physio.datasets.open_recording import read
from physio.online.engine import PipelineConfig
from physio.online.session import Session
from physio.sinks.xdf import Xdf
from physio.study.marker_latency import marker_latency

SENDER = Path(__file__).with_name("stimulus.py")


def test_the_light_is_found_where_it_was_behind_the_markers(tmp_path: Path) -> None:
    clock = WallClock()
    devices = [
        Inlet(source_id="flip-light", name="diode", clock=clock),
        Inlet(source_id="flip-flips", name="films", clock=clock),
    ]
    sink = Xdf(folder=tmp_path)
    with subprocess.Popen([sys.executable, str(SENDER), "flip"]) as process:
        try:
            with Session(
                PipelineConfig(), devices, [sink], clock, seconds=9.0
            ) as session:
                for _ in session:
                    pass
        finally:
            process.kill()
    recording = read(tmp_path / "recording.xdf")
    names = [n for b in recording.streams.values() for n in b[0].info.names]
    found = marker_latency(recording, names[0], "flip", within=(-0.05, 0.2))
    assert found.n >= 12
    # A sample is 2 ms; the inlet's own clock, learned while it runs, adds some.
    assert abs(found.median - 0.020) < 0.005
    assert found.jitter < 0.005
