"""A day of a session, on a clock that only waiting moves."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from devices.fault_injection import Fault, FaultInjector
from devices.simulated import Wristband
from physio.core.block import Block, Channel, StreamInfo
from physio.core.protocols import Clock, Device, FastClock
from physio.online.chain_runner import ChainConfig
from physio.online.engine import PipelineConfig
from physio.online.session import Session
from physio.online.session_config import SessionConfig

DAY = 86_400


@dataclass
class Steady(Device):
    """Sends 16 samples a second."""

    name: str = "it"
    clock: Clock = field(default_factory=FastClock)

    def __enter__(self) -> "Steady":
        channel = Channel("eda", "gsr", "uS")
        self._streams = (StreamInfo(f"{self.name}.eda", Fraction(16), (channel,)),)
        self.begin, self.sent, self._ended = self.clock.now(), 0, False
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        return self._streams

    @property
    def ended(self) -> bool:
        return self._ended

    def read(self) -> list[Block]:
        stop = int((self.clock.now() - self.begin) * 16)
        start, self.sent = self.sent, max(stop, self.sent)
        if self._ended or start == self.sent:
            return []
        data = np.arange(start, self.sent, dtype=np.float64)[:, None] % 100
        return [Block(self.streams[0], start, self.begin, data)]


def resident() -> float:
    """Return how much memory this process has (MB)."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * 4096 / 1e6


@pytest.mark.long
def test_a_day_loses_count_of_nothing_and_memory_stays_flat() -> None:
    clock = FastClock(1000.0)
    faults = (Fault("drop", amount=0.01), Fault("duplicate", amount=0.01),
              Fault("unplug", 40_000.0, 7.0))  # fmt: skip
    device = FaultInjector(Steady(), faults, name="it", clock=clock)
    plan = PipelineConfig({"skin": ChainConfig("it.eda")})
    used: dict[int, float] = {}
    ticks = 0
    with Session(plan, [device], (), clock, poll=0.5, seconds=float(DAY)) as session:
        for item in session:
            ticks += len(item) if item.info.name == "features" else 0
            hour = int((clock.now() - 1000.0) // 3600)
            if hour not in used:
                used[hour] = resident()
        (tally,) = device.accounting.values()
    assert tally.produced == pytest.approx(16 * DAY, abs=16)
    assert 0 <= tally.balance <= 1  # the very last may be lost, which no other shows
    assert tally.lost == pytest.approx(0.01 * 16 * DAY + 112, rel=0.03)
    assert ticks == pytest.approx(4 * DAY, abs=8)
    # `Session.compute` keeps 100 000 times, 3 MB, of the first 7 hours; from then on
    # 1 MB an hour is what a soak may take. Measured: 0.1 MB an hour.
    assert (used[23] - used[8]) / 15 < 0.5


@pytest.mark.long
def test_a_day_of_estimates_misses_no_tick_and_memory_stays_flat() -> None:
    clock = FastClock(1000.0)
    band = Wristband(name="band", clock=clock, seed=3, ground_truth=False, loss=0.001)
    used: dict[int, float] = {}
    ticks, finite, last = 0, 0, None
    with Session(
        SessionConfig().plan, [band], (), clock, poll=1.0, seconds=float(DAY)
    ) as session:
        for item in session:
            if item.info.name == "estimates":
                assert isinstance(item, Block)
                assert item.start == ticks
                assert item.t0 == 1000.0  # no drift: tick k is at epoch + k / 4
                ticks += len(item)
                finite += int(np.isfinite(item.column("arousal")).sum())
                last = item
            hour = int((clock.now() - 1000.0) // 3600)
            if hour not in used:
                used[hour] = resident()
    assert last is not None
    assert ticks == pytest.approx(4 * DAY, abs=12)
    assert last.complete_until == pytest.approx(1000.0 + DAY, abs=3.0)
    assert finite > 0.95 * ticks
    assert (used[23] - used[8]) / 15 < 0.5  # MB an hour, as above
