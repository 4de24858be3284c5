"""A live session reads and records while its engine starts, and catches up."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pytest

from devices.simulated import Wristband
from physio.core.block import Array, Block, StreamInfo
from physio.core.events import Item
from physio.core.protocols import Clock, Device, View, WallClock
from physio.core.stage import Stage
from physio.io import xdf
from physio.online import computation
from physio.online.chain_runner import ChainConfig
from physio.online.engine import PipelineConfig, run
from physio.online.engine_start import described, description
from physio.online.open_devices import OpenDevices
from physio.online.session import Session
from physio.online.session_config import SessionConfig
from physio.online.stream_health import StreamHealth
from physio.sinks.xdf import Xdf
from physio.view.stream_stats import StreamStats
from physio.view.threaded_view import ThreadedView

SPEED = 10.0


@dataclass(frozen=True)
class SlowWeights(Stage):
    """A stage that takes a while to start, as one with large weights."""

    seconds: float = 1.0
    fails: bool = False

    def output_info(self, info: StreamInfo) -> StreamInfo:
        return info

    def initial_state(self, info: StreamInfo) -> Any:  # noqa: ARG002
        time.sleep(self.seconds)
        return ()

    def process(self, state: Any, x: Array) -> Array:  # noqa: ARG002
        return 2 * x


def slow_plan(seconds: float = 1.0) -> PipelineConfig:
    chain = ChainConfig("band.acc", (SlowWeights(seconds),))
    return PipelineConfig({"acc": chain, "eda": ChainConfig("band.eda")})


def wristband(clock: Clock) -> Wristband:
    return Wristband(name="band", clock=clock, seed=3, ground_truth=False)


def features(items: Sequence[Item]) -> Array:
    blocks = [i for i in items if isinstance(i, Block) and i.info.name == "features"]
    assert blocks[0].start == 0
    return np.concatenate([b.data for b in blocks])


def test_a_late_engine_computes_what_a_replay_does(tmp_path: Path) -> None:
    clock = WallClock(SPEED)
    about: dict[str, str] = {}

    def plan(_: Sequence[StreamInfo]) -> PipelineConfig:
        about["begin"] = repr(session.begin)
        return slow_plan()

    session = Session(
        plan, [wristband(clock)], [Xdf(tmp_path, about)], clock, seconds=30.0
    )
    with session:
        session.mark("film")
        lines, items = set(), list[Item]()
        for item in session:
            items.append(item)
            lines.add(session.computation.progress.partition(":")[0])
    first = next(k for k, i in enumerate(items) if i.info.name == "features")
    raw = [i for i in items[:first] if i.info.name == "band.bvp"]
    assert sum(map(len, raw)) > 64 * 5  # it was read and recorded meanwhile
    assert any(line.startswith(("loading", "estimates follow")) for line in lines)
    live = features(items)
    recording = xdf.read(tmp_path / "recording.xdf")
    again = features(list(run(recording, slow_plan(0.0))))
    assert len(live) >= 4 * 29
    assert live.tobytes() == again.tobytes()
    stored = np.concatenate([b.data for b in recording.streams["features"]])
    assert stored.tobytes() == live.tobytes()


def test_an_interrupt_does_not_wait_for_the_engine(tmp_path: Path) -> None:
    clock = WallClock()
    band = wristband(clock)
    with Session(slow_plan(4.0), [band], [Xdf(tmp_path)], clock) as session:
        began = time.monotonic()
        for item in session:
            if item.info.name == "band.bvp" and time.monotonic() - began > 0.5:
                session.stop("interrupted by Ctrl-C")
        assert time.monotonic() - began < 3.0
    (note,) = session.notes
    assert "were recorded and not computed" in note
    recording = xdf.read(tmp_path / "recording.xdf")
    assert recording.metadata["ended"] == "interrupted by Ctrl-C"
    assert "features" not in recording.streams


def test_too_much_that_waits_ends_the_computation_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computation, "MOST_BYTES", 10_000)
    clock = WallClock(SPEED)
    with Session(
        slow_plan(), [wristband(clock)], [Xdf(tmp_path)], clock, seconds=20.0
    ) as session:
        for _ in session:
            pass
    (fault,) = session.faults
    assert fault.startswith("the computation stopped: it was ")
    recording = xdf.read(tmp_path / "recording.xdf")
    assert sum(map(len, recording.streams["band.bvp"])) > 64 * 19
    assert fault in recording.events["session.status"].labels


@dataclass
class Slow(Device):
    """A device that opens after a while, or not at all."""

    seconds: float
    error: str = ""
    clock: Clock = field(default_factory=WallClock)
    name: str = "slow"
    closed: int = 0

    def __enter__(self) -> "Slow":
        time.sleep(self.seconds)
        if self.error:
            raise OSError(self.error)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closed += 1

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        return ()

    def read(self) -> Sequence[Item]:
        return ()


def test_a_device_is_read_while_another_is_searched_for(tmp_path: Path) -> None:
    clock = WallClock()
    waited: list[Sequence[str]] = []
    session = Session(
        PipelineConfig(), [Slow(2.0, clock=clock), wristband(clock)],
        [Xdf(tmp_path)], clock, seconds=0.5,
    )  # fmt: skip
    session.on_waiting = waited.append
    began = clock.now()
    with session:
        for _ in session:
            pass
    assert waited == [["slow"]]
    bvp = xdf.read(tmp_path / "recording.xdf").streams["band.bvp"]
    assert bvp[0].times[0] < began + 1.0
    assert sum(map(len, bvp)) > 64 * 2.3


def test_a_device_that_cannot_open_closes_the_others() -> None:
    clock = WallClock()
    good, late = Slow(0.0, clock=clock), Slow(0.6, clock=clock)
    bad = Slow(0.2, "there is no such port", clock)
    session = Session(PipelineConfig(), [good, bad, late], (), clock)
    with pytest.raises(OSError, match="there is no such port"):
        session.__enter__()
    assert (good.closed, bad.closed) == (1, 0)
    time.sleep(0.8)
    assert late.closed == 1


def test_devices_of_another_clock_open_in_order() -> None:
    from physio.core.protocols import FastClock

    clock = FastClock()
    with OpenDevices([wristband(clock), Slow(0.0, clock=clock)], clock) as opened:
        assert opened.is_complete
        assert opened.waiting == []
        assert opened.begins == dict.fromkeys(
            ("band.eda", "band.bvp", "band.acc", "band.temp"), 0.0
        )


def test_a_plan_is_the_same_in_the_process_that_compiles_it() -> None:
    clock = WallClock()
    with wristband(clock) as band:
        plan = SessionConfig().plan(band.streams)
        again, streams = described(description(plan, band.streams))
    assert again == plan
    assert tuple(streams) == tuple(band.streams)


class SlowView(View):
    """A view whose terminal does not take its text."""

    def __init__(self) -> None:
        self.taken, self.shown, self.skipped = 0, 0, 0
        self.lines: list[str] = []

    def take(self, item: Item, now: float | None = None) -> None:  # noqa: ARG002
        self.taken += 1

    def due(self) -> bool:
        return True

    def show(self, now: float, latency_ms: Sequence[float] = ()) -> None:  # noqa: ARG002
        self.shown += 1
        time.sleep(0.3)

    def tell(self, line: str) -> None:
        self.lines.append(line)

    def skip(self) -> None:
        self.skipped += 1


def test_a_slow_view_delays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from physio.view import threaded_view

    monkeypatch.setattr(threaded_view, "CAPACITY", 20)
    clock = WallClock()
    slow = SlowView()
    gaps, last = [], time.monotonic()
    with (
        Session(
            PipelineConfig(), [wristband(clock)], (), clock, seconds=2.0
        ) as session,
        ThreadedView(slow, clock, list, str) as view,
    ):
        session.attach(view)
        view.tell("an address")
        for item in session:
            view.take(item)
            if item.info.name == "band.bvp":
                gaps.append(time.monotonic() - last)
                last = time.monotonic()
    assert slow.lines == ["an address"]
    assert slow.shown >= 3
    assert slow.skipped >= 1
    assert np.percentile(gaps, 90) < 0.1


def test_a_view_that_fails_is_remembered() -> None:
    clock = WallClock()
    slow = SlowView()
    slow.due = lambda: 1 / 0 > 1  # type: ignore[method-assign]
    with ThreadedView(slow, clock, list, str) as view:
        time.sleep(0.2)
        assert isinstance(view.error, ZeroDivisionError)
        assert view.commands() == ()


@pytest.mark.parametrize(
    ("ages", "notice"),
    [
        ([1.4] * 30, "clock: the samples of band.bvp are 1.4 s old when they arrive"),
        ([-7.0] * 30, "clock: the samples of band.bvp carry times 7.0 s in the future"),
        ([0.02] * 14 + [3.0] + [0.02] * 15, ""),
        ([-0.01] * 30, ""),
    ],
)
def test_a_wrong_age_is_reported_once(ages: list[float], notice: str) -> None:
    with wristband(WallClock()) as band:
        health = StreamHealth(band.streams[1])
    told = [t for i, a in enumerate(ages) for t in health.check_age(a, 0.1 * i)]
    told += [t for i, a in enumerate(ages) for t in health.check_age(a, 9 + 0.1 * i)]
    assert [t.partition(":")[0] for t in told] == ["clock"] * bool(notice)
    assert all(t.startswith(notice) for t in told)


def test_a_backlog_is_no_rate() -> None:
    with wristband(WallClock()) as band:
        stats = StreamStats(band.streams[1])
    for start, stop, now in [
        (0, 64, 20.0), (64, 128, 20.0), (128, 1280, 20.001),
        *((1280 + 6 * i, 1286 + 6 * i, 20.1 + 6 * i / 64) for i in range(60)),
    ]:  # fmt: skip
        stats.take(Block(stats.info, start, 0.0, np.ones((stop - start, 1))), now)
    assert stats.rate(20.1 + 60 * 6 / 64) == pytest.approx(64, rel=0.05)
