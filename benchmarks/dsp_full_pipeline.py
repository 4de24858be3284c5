"""One participant with the shipped chains: 32 electrodes at 512 Hz, a wristband."""

from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.timing import Row, seconds
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.stage import Chain
from physio.online.engine import Engine, PipelineConfig
from physio.online.session_config import SessionConfig

LENGTH: Final = 120  # s
EVERY: Final = Fraction(1, 16)  # s, length of a block
NAMES: Final = (
    "Fp1 AF3 F3 F7 FC5 FC1 C3 T7 CP5 CP1 P3 P7 PO3 O1 Oz Pz "
    "Fp2 AF4 Fz F4 F8 FC6 FC2 Cz C4 T8 CP6 CP2 P4 P8 PO4 O2"
)


def rows(data: Path | None) -> list[Row]:  # noqa: ARG001 every bench is called alike
    """Return speed relative to real time, and the duration of a push."""
    streams = signals()
    plan = SessionConfig().plan(tuple(streams))
    blocks = sorted(
        (b for info, x in streams.items() for b in _cut(info, x)),
        key=lambda b: b.complete_until,
    )
    work = f"whole participant, 32 ch at 512 Hz and wristband, {LENGTH} s, 4 Hz: "
    return [
        _row(work + "features", replace(plan, estimator=Chain()), blocks),
        _row(work + "features and estimates", plan, blocks),
    ]


def signals() -> dict[StreamInfo, Array]:
    """Return the signals of all devices of a participant."""
    return {info: _signal(info) for info in _streams()}


def _row(work: str, plan: PipelineConfig, blocks: list[Block]) -> Row:
    engine = Engine(plan, dict.fromkeys(b.info for b in blocks), 0.0)
    pushes = np.array([seconds(partial(engine.push, b)) for b in blocks])
    late = pushes[len(pushes) // 10 :]  # caches are cold at first
    total = float(late.sum()) / 0.9
    return {
        "work": work,
        "peer": "real time",
        "ours_s": total,
        "peer_s": float(LENGTH),
        "ratio": LENGTH / total,
        "share_of_peak": None,
        "p50_ms": 1e3 * float(np.quantile(late, 0.5)),
        "p99_ms": 1e3 * float(np.quantile(late, 0.99)),
    }


def _streams() -> list[StreamInfo]:
    electrodes = tuple(Channel(n, "eeg", "uV") for n in NAMES.split())
    axes = tuple(Channel(f"acc.{a}", "misc", "g") for a in "xyz")
    return [
        StreamInfo("headset.eeg", Fraction(512), electrodes),
        StreamInfo("band.eda", Fraction(4), (Channel("eda", "gsr", "uS"),)),
        StreamInfo("band.bvp", Fraction(64), (Channel("bvp", "bio", "1"),)),
        StreamInfo("band.acc", Fraction(32), axes),
        StreamInfo("band.temp", Fraction(4), (Channel("temp", "temperature", "degC"),)),
    ]


def _signal(info: StreamInfo) -> Array:
    rng = np.random.default_rng(1)
    n = int(LENGTH * info.rate)
    t = np.arange(n)[:, None] / float(info.rate)
    noise = rng.standard_normal((n, len(info.channels)))
    match info.channels[0].kind:
        case "eeg":
            return 20 * noise
        case "gsr":
            return 3 + 0.2 * np.sin(t) ** 4 + 0.002 * noise
        case "bio":
            return 50 * np.sin(2 * np.pi * 1.2 * t) ** 3 + noise
        case "temperature":
            return 33 + 0.01 * noise
    return 0.05 * noise + np.array([0.0, 0.0, 1.0])


def _cut(info: StreamInfo, x: Array) -> list[Block]:
    size = max(int(info.rate * EVERY), 1)
    return [
        Block(info, a, 0.0, np.ascontiguousarray(x[a : a + size]))
        for a in range(0, len(x), size)
    ]
