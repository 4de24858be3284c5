"""Compile time of the kernels of each module, without a cache."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.timing import Row, compiling, untimed_row

_ALL: Final = """
from dataclasses import replace
from benchmarks.dsp_full_pipeline import signals
from physio.core.stage import Chain
from physio.online.engine import Engine
from physio.online.session_config import SessionConfig
found = signals()
plan = SessionConfig().plan(tuple(found))
Engine(replace(plan, estimator=Chain()), found, 0.0)
"""

_EACH: Final = """
import json
from collections import defaultdict
from fractions import Fraction
from time import perf_counter
from numba.core import event

class Watch(event.Listener):
    def __init__(self):
        self.open, self.took = [], defaultdict(float)

    def on_start(self, event):
        self.open.append([perf_counter(), 0.0])

    def on_end(self, event):
        begin, inside = self.open.pop()
        whole = perf_counter() - begin
        self.took[event.data["dispatcher"].py_func.__module__] += whole - inside
        if self.open:
            self.open[-1][1] += whole

watch = Watch()
event.register("numba:compile", watch)
import numpy as np
from benchmarks.dsp_full_pipeline import signals
from physio.core.block import Block, Channel, Info
from physio.core.stage import Chain, Flow
from physio.dsp.comb_notch import Comb
from physio.dsp.fir import Fir
from physio.dsp.spectrum import Spectrum
from physio.features.cardiac.rr_correction import Correction
from physio.features.eeg.differential_entropy import DifferentialEntropy
from physio.features.cardiac.heart_rate import Beats
from physio.features.respiration.respiration_belt import Respiration
from physio.features.cardiac.hrv import HeartVariability
from physio.online.engine import Engine
from physio.online.session_config import SessionConfig

found = signals()
engine = Engine(SessionConfig().plan(tuple(found)), found, 0.0)
by_kind = {info.channels[0].kind: info for info in found}
belt = Info("belt.resp", Fraction(25), (Channel("resp", "resp", "1"),))
for stage, info in (
    (Chain((Beats(), Correction(), HeartVariability())), by_kind["bio"]),
    (DifferentialEntropy(mode="paper"), by_kind["eeg"]),
    (Fir(), by_kind["eeg"]), (Comb(), by_kind["eeg"]), (Spectrum(), by_kind["eeg"]),
    (Respiration(), belt),
):
    x = np.ones((int(5 * info.rate), len(info.channels)))
    Flow(stage, info).push(Block(info, 0, 0.0, x))
print(json.dumps(watch.took))
"""


def rows(data: Path | None) -> list[Row]:  # noqa: ARG001 every bench is called alike
    """Return a row for all chains of headset and wristband, and a row per module."""
    whole = compiling("the shipped chains of a headset and a wristband", _ALL)
    return [whole, *_modules()]


def _modules() -> list[Row]:
    """Return the compile time of each module's kernels, without their callees."""
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "NUMBA_CACHE_DIR": cache, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", _EACH], check=True, env=env, capture_output=True
        )
    took: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return [
        {**untimed_row(f"compile the kernels of {module}", ""), "ours_s": seconds}
        for module, seconds in sorted(took.items(), key=lambda t: -t[1])
        if module.startswith("physio.")
    ]
