"""Law 12: what was computed live is what is computed from the recording."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from devices.replay import Replay
from devices.simulated import Headset, Wristband
from physio.core.block import Block
from physio.core.events import Item
from physio.core.missing import missing_reason
from physio.core.protocols import FastClock
from physio.io import xdf
from physio.online.engine import PipelineConfig, run
from physio.online.session import Session
from physio.online.session_config import SessionConfig
from physio.sinks.xdf import Xdf

SECONDS = 90.0
BEGIN = 1000.0
COMPUTED = ("features", "estimates")


@dataclass
class Drifting(Wristband):
    """A wristband whose clock drifts: its epoch slews, and it hangs for a while."""

    held: list[Item] = field(default_factory=list, init=False)

    def read(self) -> list[Item]:
        found = [*self.held, *super().read()]
        passed = self.clock.now() - BEGIN
        if 40 < passed < 44:  # everything of four seconds comes late, in one go
            self.held = found
            return []
        self.held = []
        return [self._slewed(item) for item in found]

    def _slewed(self, item: Item) -> Item:
        if not isinstance(item, Block):
            return item
        return replace(item, t0=item.t0 + 1e-4 * item.start / float(item.info.rate))


def session(folder: Path) -> Session:
    """Return a session with all that can befall one, recorded."""
    clock = FastClock(BEGIN)
    headset = Headset(
        name="headset",
        clock=clock,
        seed=3,
        seconds=SECONDS,
        loss=0.01,
        ground_truth=False,
    )
    band = Drifting(
        name="band", clock=clock, seed=3, seconds=SECONDS, loss=0.01,
        gaps=((20.0, 23.5),), dies={"temp": 60.0}, ground_truth=False,
    )  # fmt: skip
    file = SessionConfig({"session": {"participant": "p1", "rate": 4}}, "test.toml")
    sink = Xdf(folder, about={"begin": repr(clock.now())}, wait=True)
    # A step that is no part of any stream's period, so that blocks are cut anywhere.
    return Session(file.plan, [headset, band], [sink], clock, poll=0.17)


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[Item], PipelineConfig]:
    folder = tmp_path_factory.mktemp("session")
    with session(folder) as running:
        items = list(running)
    return folder / "recording.xdf", items, running.plan


def stacked(items: Iterator[Item] | list[Item], name: str) -> Block:
    blocks = [i for i in items if isinstance(i, Block) and i.info.name == name]
    data = np.concatenate([b.data for b in blocks])
    return Block(blocks[0].info, blocks[0].start, blocks[0].t0, data)


def equal(a: Block, b: Block) -> None:
    assert a.info == b.info
    assert (a.start, a.t0) == (b.start, b.t0)
    np.testing.assert_array_equal(a.data, b.data)
    np.testing.assert_array_equal(missing_reason(a.data), missing_reason(b.data))


def test_the_session_had_what_makes_it_hard(
    live: tuple[Path, list[Item], PipelineConfig],
) -> None:
    _, items, _ = live
    told = [x for i in items if i.info.name == "session.status" for x in i.labels]
    silent = {
        x for i in items if i.info.name == "session.stream_timeout" for x in i.labels
    }
    assert any(x.startswith("late: ") for x in told)
    assert silent >= {"band.eda", "band.temp"}
    eda = [i for i in items if isinstance(i, Block) and i.info.name == "band.eda"]
    assert len({b.t0 for b in eda}) > 100
    features = stacked(items, "features")
    assert len(features) > 4 * SECONDS - 20
    assert np.isfinite(features.data).mean() > 0.3


@pytest.mark.parametrize("name", COMPUTED)
def test_offline_equals_live(
    live: tuple[Path, list[Item], PipelineConfig], name: str
) -> None:
    path, items, plan = live
    recording = xdf.read(path)
    equal(stacked(list(run(recording, plan)), name), stacked(items, name))


@pytest.mark.parametrize("name", COMPUTED)
def test_a_replay_equals_live(
    live: tuple[Path, list[Item], PipelineConfig], name: str
) -> None:
    path, items, plan = live
    recording = xdf.read(path)
    clock = FastClock(recording.begin)
    with Session(plan, [Replay(recording, clock)], (), clock, poll=1.3) as again:
        equal(stacked(list(again), name), stacked(items, name))


@pytest.mark.parametrize("name", COMPUTED)
def test_the_file_holds_what_was_computed(
    live: tuple[Path, list[Item], PipelineConfig], name: str
) -> None:
    path, items, _ = live
    kept = xdf.read(path).streams[name]
    equal(stacked(list(kept), name), stacked(items, name))
