"""Clocks, rates and packets of real outlets: no false loss, and times within 5 ms."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pylsl
import pytest

from devices.lsl import Inlet
from physio.core.block import Array, Block
from physio.core.events import Events, Item
from physio.core.protocols import Sink, WallClock
from physio.core.recording import STREAM_REJECTED
from physio.online.engine import PipelineConfig
from physio.online.session import Session

SENDER = Path(__file__).with_name("clock_sender.py")
QUICK = (
    *("slow", "tenth", "single", "bursts", "muse12", "irregular", "int16", "unix"),
    *("milliseconds", "jump", "back", "dropping", "late", "rated-markers"),
    "unix-markers",
)


@dataclass
class Store(Sink):
    """A sink that keeps all items."""

    items: list[Item] = field(default_factory=list)

    def write(self, item: Item) -> None:
        self.items.append(item)


@contextmanager
def sending(prefix: str, seconds: float, modes: Sequence[str]) -> Iterator[None]:
    command = [sys.executable, str(SENDER), prefix, str(seconds), *modes]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.kill()


def record(prefix: str, seconds: float, modes: Sequence[str]) -> "Recorded":
    """Record outlets for some seconds, all of them at once."""
    clock, store = WallClock(), Store()
    inlets = [
        Inlet(source_id=f"{prefix}-{m}", name=m, clock=clock, timeout=20) for m in modes
    ]
    session = Session(PipelineConfig(), inlets, [store], clock, seconds=seconds)
    with sending(prefix, seconds + 20, modes), session:
        for _ in session:
            pass
    return Recorded(store.items, session)


@dataclass
class Recorded:
    """Items of a session, by stream."""

    items: list[Item]
    session: Session

    def blocks(self, mode: str) -> list[Block]:
        return [
            i for i in self.items
            if isinstance(i, Block) and i.info.name.startswith(f"{mode}.") and len(i)
        ]  # fmt: skip

    def events(self, name: str) -> list[Events]:
        return [i for i in self.items if isinstance(i, Events) and i.info.name == name]

    def status(self) -> list[str]:
        return [x for e in self.events("session.status") for x in e.labels]

    def lost(self, mode: str) -> tuple[int, int]:
        """Return samples counted as lost, and those that the sender's count lacks."""
        parts = self.blocks(mode)
        count = np.concatenate([b.data[:, 0] for b in parts])
        numbers = np.concatenate([np.arange(b.start, b.stop) for b in parts])
        counted = numbers[-1] - numbers[0] + 1 - len(numbers)
        return int(counted), int(count[-1] - count[0] + 1 - len(count))

    def errors(self, mode: str) -> Array:
        """Return the error of the time of each sample (s)."""
        parts = self.blocks(mode)
        times = np.concatenate([b.times for b in parts])
        assert (np.diff(times) > 0).all()
        return times - np.concatenate([b.data[:, 1] for b in parts])


@pytest.fixture(scope="module")
def quick() -> Recorded:
    return record("clocks", 8.0, QUICK)


@pytest.mark.parametrize(
    "mode", ["slow", "bursts", "muse12", "irregular", "unix", "milliseconds", "jump",
             "back", "dropping", "late"]
)  # fmt: skip
def test_times_and_losses_are_true(quick: Recorded, mode: str) -> None:
    counted, missing = quick.lost(mode)
    assert counted == missing
    error = quick.errors(mode)
    assert abs(np.median(error)) < 0.005
    # The least delayed packet of the first ones is known after a second.
    assert np.abs(error[300:]).max() < 0.05
    assert quick.blocks(mode)[0].info.rate == {
        "bursts": 300, "muse12": 256, "irregular": 128,
    }.get(mode, 250)  # fmt: skip


def test_single_samples_two_per_cent_slow_lose_hardly_any(quick: Recorded) -> None:
    """Their stamps stray by more than a period while this machine is busy."""
    counted, missing = quick.lost("single")
    assert missing == 0
    assert counted <= 8  # of 40 that the nominal rate would miss
    assert abs(np.median(quick.errors("single"))) < 0.01


def test_packets_of_one_stamp_lose_nothing(quick: Recorded) -> None:
    assert quick.lost("int16") == (0, 0)


def test_markers_with_a_rate_are_events(quick: Recorded) -> None:
    events = quick.events("rated-markers.markers")
    assert 8 <= sum(map(len, events)) <= 14
    assert not quick.blocks("rated-markers")
    assert any("its markers come irregularly" in x for x in quick.status())


def test_markers_with_the_date_are_placed_by_arrival(quick: Recorded) -> None:
    events = quick.events("unix-markers.markers")
    true = [float(x) for e in events for x in e.labels]
    times = np.concatenate([e.times for e in events])
    assert len(true) > 15
    np.testing.assert_allclose(times, true, rtol=0, atol=0.005)
    notice = "the time stamps of unix-markers.markers cannot be of LSL's clock"
    assert sum(notice in x for x in quick.status()) == 1


@pytest.mark.parametrize("mode", ["unix", "milliseconds"])
def test_another_clock_is_reported_once(quick: Recorded, mode: str) -> None:
    notice = f"the time stamps of {mode}.eeg cannot be of LSL's clock"
    assert sum(notice in x for x in quick.status()) == 1


@pytest.mark.parametrize(
    ("source", "channels"),
    [
        pytest.param("again-1", 3, id="columns"),
        pytest.param("again-2", 2, id="source", marks=pytest.mark.long),
    ],
)
def test_a_stream_that_comes_back_as_another_is_reported(
    source: str, channels: int
) -> None:
    def outlet(source: str, channels: int) -> pylsl.StreamOutlet:
        form = pylsl.cf_double64
        info = pylsl.StreamInfo("Again", "EEG", channels, 250, form, source)
        return pylsl.StreamOutlet(info)

    first = outlet("again-1", 2)
    with Inlet(source_id="again-1", name="again") as inlet:
        first.push_chunk([[1.0, 2.0]] * 50)
        time.sleep(0.3)
        items = inlet.read()
        del first
        second = outlet(source, channels)
        notices: list[str] = []
        end = time.monotonic() + 12
        while not notices and time.monotonic() < end:
            second.push_chunk([[7.0] * channels] * 50)
            time.sleep(0.2)
            items += inlet.read()
            notices = [n for n in inlet.notices() if "is gone" in n]
    assert len(notices) == 1
    assert "restart the session" in notices[0]
    assert all(7.0 not in i.data for i in items if isinstance(i, Block))


@pytest.mark.long
def test_a_rate_that_is_wrong_is_refused_within_25_s() -> None:
    recorded = record("rates", 25.0, ["half", "tenth", "dropping", "slow", "big"])
    rejected = {x for e in recorded.events(STREAM_REJECTED) for x in e.labels}
    assert rejected == {"half.eeg", "tenth.eeg"}
    assert recorded.lost("big") == (0, 0)
