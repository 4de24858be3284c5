"""Age of samples received through LSL and filtered."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import pylsl

from devices.lsl import Inlet
from physio.core.block import Block
from physio.core.stage import StageRunner
from physio.dsp.iir import Bandpass

SECONDS: Final = 6.0
POLL: Final = 0.001
SENDER: Final = """
import sys, time, numpy, pylsl
rate, n = float(sys.argv[1]), int(sys.argv[2])
info = pylsl.StreamInfo("bench", "EEG", 32, rate, pylsl.cf_float32, sys.argv[3])
out, begin, k = pylsl.StreamOutlet(info), pylsl.local_clock(), 0
while True:
    k += n
    time.sleep(max(0.0, begin + k / rate - pylsl.local_clock()))
    out.push_chunk(numpy.full((n, 32), k, numpy.float32), begin + k / rate)
"""


def rows(data: Path | None) -> list[dict[str, Any]]:  # noqa: ARG001 needs no data
    """Return the latency in excess of a chunk's duration, and the lost samples."""
    return [_through(512, 8), _through(2048, 32)]


def _through(rate: int, chunk: int) -> dict[str, Any]:
    """Send 32 channels from another process; read, filter, and measure their age."""
    which = f"physio-bench-{rate}"
    line = [sys.executable, "-c", SENDER, str(rate), str(chunk), which]
    late: list[float] = []
    blocks: list[Block] = []
    with subprocess.Popen(line) as sender:
        try:
            with Inlet(source_id=which, timeout=10.0) as inlet:
                flow = StageRunner(Bandpass(1.0, 40.0), inlet.streams[0])
                inlet.read()
                end = time.monotonic() + SECONDS
                while time.monotonic() < end:
                    for item in inlet.read():
                        if isinstance(item, Block) and item.stamps is not None:
                            flow.push(item)
                            blocks.append(item)
                            late.append(pylsl.local_clock() - float(item.stamps[-1]))
                    time.sleep(POLL)
        finally:
            sender.kill()
    came = sum(map(len, blocks))
    p50, p99 = np.percentile(1e3 * np.array(late), [50, 99])
    return {
        "work": f"LSL, 32 channels x {rate} Hz, to a filter",
        "peer": "",
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "samples": came,
        "lost": blocks[-1].stop - blocks[0].start - came,
    }
