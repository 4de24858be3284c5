"""Processor time of recording many channels beside a wristband."""

import resource
import tempfile
import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from devices.simulated import Wristband
from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.protocols import Clock, Device, WallClock
from physio.online.engine import PipelineConfig
from physio.online.session import Session
from physio.sinks.xdf import Xdf

SECONDS: Final = 20.0
POLL: Final = 0.02
RATE: Final = 2000
CHANNELS: Final = 64
SETTLED: Final = 1.0  # s at the start, excluded: modules are loaded for the first time


@dataclass
class Wide(Device):
    """64 channels of noise, 2000 a second, each with the device's own stamp."""

    clock: Clock = field(default_factory=WallClock)
    name: str = "amplifier"

    def __enter__(self) -> Self:
        channels = tuple(Channel(f"e{i + 1}", "eeg", "uV") for i in range(CHANNELS))
        self._streams = (StreamInfo(f"{self.name}.eeg", Fraction(RATE), channels),)
        rng = np.random.default_rng(1)
        self._noise: Array = rng.normal(0, 20, (2 * RATE, CHANNELS))
        self._begin, self._sent, self._ended = self.clock.now(), 0, False
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """The amplifier's stream."""
        return self._streams

    @property
    def ended(self) -> bool:
        """True once it is closed."""
        return self._ended

    def read(self) -> list[Block]:
        """Return the samples that are due."""
        stop = int((self.clock.now() - self._begin) * RATE)
        start, self._sent = self._sent, max(stop, self._sent)
        if self._ended or start == self._sent:
            return []
        rows = np.arange(start, self._sent)
        stamps = rows / RATE
        data = self._noise[rows % len(self._noise)]
        return [Block(self.streams[0], start, self._begin, data, stamps)]


@dataclass
class Timed(WallClock):
    """A clock that records the duration of each loop, from one wait to the next."""

    def __post_init__(self) -> None:
        self.took: list[float] = []
        self._woke = time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep."""
        began = time.monotonic()
        super().wait(seconds)
        woke = time.monotonic()
        # The duration of the work, plus the delay of waking up.
        self.took.append(began - self._woke + woke - began - seconds)
        self._woke = woke


def rows(data: Path | None) -> list[dict[str, Any]]:  # noqa: ARG001 needs no data
    """Return the cost of a session that records both: share of a core, loop times."""
    with tempfile.TemporaryDirectory() as folder:
        clock = Timed()
        devices: list[Device] = [
            Wide(clock),
            Wristband(name="band", clock=clock, ground_truth=False),
        ]
        session = Session(
            PipelineConfig(),
            devices,
            [Xdf(Path(folder))],
            clock,
            POLL,
            SECONDS + SETTLED,
        )
        used, since = 0.0, 0.0
        with session:
            for _ in session:
                if not since and clock.now() - session.begin >= SETTLED:
                    used, since = _used(), time.monotonic()
                    clock.took.clear()
            share = (_used() - used) / (time.monotonic() - since)
        size = (Path(folder) / "recording.xdf").stat().st_size
    p50, p99 = np.percentile(1e3 * np.array(clock.took), [50, 99])
    return [
        {
            "work": f"{CHANNELS} channels x {RATE} Hz recorded beside a wristband",
            "peer": "",
            "of_a_core": share,
            "p50_ms": float(p50),
            "p99_ms": float(p99),
            "samples": session.health["amplifier.eeg"].samples,
            "lost": session.health["amplifier.eeg"].lost,
            "mb": size / 1e6,
        }
    ]


def _used() -> float:
    """Return the processor time of this process with all its threads (s)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
