"""Latency of an estimate: computing time, and the delay of each stage."""

import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from os import cpu_count
from pathlib import Path
from typing import Any, Final

import numpy as np

from devices.simulated import Headset, Wristband
from physio.core.block import Block
from physio.core.events import Item
from physio.core.protocols import FastClock
from physio.core.stage import Chain
from physio.inference.estimator import Estimator, Expert
from physio.models import model_card
from physio.online.engine import Engine, PipelineConfig
from physio.online.scheduling import realtime_priority
from physio.online.session_config import SessionConfig

SECONDS: Final = 45.0
POLL: Final = 1 / 32  # s between polls of the devices
CHANNELS: Final = (
    *("Fp1", "Fp2", "AF3", "AF4", "F7", "F3", "Fz", "F4", "F8", "FC5", "FC1", "FC2"),
    *("FC6", "T7", "C3", "Cz", "C4", "T8", "CP5", "CP1", "CP2", "CP6", "P7", "P3"),
    *("Pz", "P4", "P8", "PO3", "PO4", "O1", "Oz", "O2"),
)
PEOPLE: Final = (1, 2, 4, 8)


def rows(data: Path | None) -> list[dict[str, Any]]:  # noqa: ARG001 needs no data
    """Return the latency on an idle and on a busy machine, the budget, and capacity."""
    streams, plan, begin = _session()
    alone = _times(streams, plan, begin)
    busy = f"{cpu_count()} cores busy"
    with _busy():
        loaded = _times(streams, plan, begin)
        with realtime_priority() as refused:
            urgent = [] if refused else _times(streams, plan, begin)
    results = [_row("alone", alone), _row(busy, loaded)]
    if "published-track" in model_card.shipped_names():
        reads = ("eeg", "eda", "prv", "motion", "temperature")
        whole = Estimator((Expert("published-track", reads),))
        past = _times(streams, replace(plan, estimator=whole), begin)
        results.append(_row("alone, from the last minutes", past))
    if urgent:
        results.append(_row(f"{busy}, realtime = true", urgent))
    results += _budget(plan, streams, float(np.percentile(alone, 99)))
    return results + _capacity(streams, plan, begin)


def _session() -> tuple[list[list[Item]], PipelineConfig, float]:
    """Return the items of each poll, the pipeline on them, and its start time."""
    clock = FastClock()
    headset = Headset(
        name="head", clock=clock, channels=CHANNELS, rate=Fraction(512),
        seconds=SECONDS, ground_truth=False,
    )  # fmt: skip
    band = Wristband(name="band", clock=clock, seconds=SECONDS, ground_truth=False)
    looks: list[list[Item]] = []
    with headset, band:
        streams = [*headset.streams, *band.streams]
        plan = SessionConfig().plan(streams)
        while not (headset.ended and band.ended):
            clock.wait(POLL)
            looks.append([*headset.read(), *band.read()])
    if names := [n for n in model_card.shipped_names() if n.startswith("published-")]:
        kinds = ("eeg", "eda", "motion")  # sensors that these devices have completely
        experts = tuple(Expert(n) for n in names if n.rpartition("-")[2] in kinds)
        heart = Expert("published-heart", ("prv",))
        whole = (*experts, heart) if "published-heart" in names else experts
        plan = PipelineConfig(
            plan.chains, plan.join, Estimator(whole), plan.stall_timeout
        )
    return looks, plan, 0.0


def _times(
    looks: Sequence[Sequence[Item]], plan: PipelineConfig, begin: float
) -> list[float]:
    """Return the time from the newest sample to the estimate (ms).

    In real time, the process sleeps between polls, as a session does, and competes with
    other processes when it wakes up.
    """
    engine = _engine(looks, plan, begin)
    taken = []
    first = time.perf_counter()
    for k, look in enumerate(looks):
        due = first + k * POLL
        while (remaining := due - time.perf_counter()) > 0:
            time.sleep(remaining)
        names = [out.info.name for item in look for out in engine.push(item)]
        if "estimates" in names:  # since the due time: a late wake-up counts
            taken.append(1e3 * (time.perf_counter() - due))
    return taken


def _engine(
    looks: Sequence[Sequence[Item]], plan: PipelineConfig, begin: float
) -> Engine:
    infos = {
        i.info.name: i.info for look in looks for i in look if isinstance(i, Block)
    }
    return Engine(plan, infos.values(), begin)


def _row(work: str, taken: Sequence[float]) -> dict[str, Any]:
    p50, p99 = np.percentile(taken, [50, 99])
    return {
        "work": f"32 channels x 512 Hz and a wristband, to an estimate: {work}",
        "peer": "",
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "most_ms": round(float(max(taken)), 3),
        "estimates": len(taken),
    }


def _budget(
    plan: PipelineConfig, looks: Sequence[Sequence[Item]], p99: float
) -> list[dict[str, Any]]:
    """Return the declared delay and memory of each stage."""
    infos = {
        i.info.name: i.info for look in looks for i in look if isinstance(i, Block)
    }
    results = []
    for name, reader in plan.chains.items():
        info, before = infos[reader.stream], 0.0
        whole = Chain(reader.stages).output_info(info)
        for stage in reader.stages:
            info = stage.output_info(info)
            delay = max((c.delay for c in info.channels), default=0.0)
            results.append(
                {
                    "work": f"delay, {name}: {type(stage).__name__}",
                    "peer": "",
                    "delay_ms": round(1e3 * (delay - before), 1),
                    "window_s": round(info.memory, 2),
                }
            )
            before = delay
        every = 1e3 / float(whole.rate)
        results.append(
            {
                "work": f"delay, {name}: until its next row",
                "peer": "",
                "delay_ms": every,
            }
        )
    tick = 1e3 / float(plan.join.rate)
    for part, delay in (
        ("the join: until the next tick", tick),
        ("between two looks at the devices", 1e3 * POLL),
        ("computing, 99 of 100", p99),
    ):
        results.append(
            {"work": f"delay, {part}", "peer": "", "delay_ms": round(delay, 1)}
        )
    return results


def _capacity(
    looks: Sequence[Sequence[Item]], plan: PipelineConfig, begin: float
) -> list[dict[str, Any]]:
    """Return growth of time and memory with participants, and participants per core."""
    some = looks[: int(20 / POLL)]
    results = []
    for n in PEOPLE:
        before = _resident()
        engines = [_engine(looks, plan, begin) for _ in range(n)]
        started = time.process_time()
        for look in some:
            for engine in engines:
                for item in look:
                    engine.push(item)
        share = (time.process_time() - started) / (len(some) * POLL)
        results.append(
            {
                "work": f"capacity: {n} participants on one core",
                "peer": "",
                "share_of_core": round(share, 4),
                "participants_a_core": int(n / share),
                "memory_mb": round(_resident() - before, 1),
            }
        )
    return results


def _resident() -> float:
    """Return the resident memory of this process (MB)."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:  # not Linux: peak memory
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return pages * resource.getpagesize() / 1e6


@contextmanager
def _busy() -> Iterator[None]:
    """Keep every core busy."""
    code = "while True: pass"
    running = [
        subprocess.Popen([sys.executable, "-c", code]) for _ in range(cpu_count() or 1)
    ]
    try:
        time.sleep(0.5)
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()
