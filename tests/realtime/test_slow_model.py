"""A slow model beside a live session: the loop goes on, a replay misses the same."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from devices.replay import Replay
from devices.simulated import Wristband
from physio.core.block import Array, Block, Origin
from physio.core.events import Item
from physio.core.missing import MissingReason, missing_reason
from physio.core.protocols import FastClock, WallClock
from physio.features.newest_samples import NewestSamples
from physio.inference.estimator import Estimator, Expert
from physio.io import xdf
from physio.models.baseline import BaselinePrior
from physio.online.chain_runner import ChainConfig
from physio.online.engine import PipelineConfig, run
from physio.online.session import Session
from physio.sinks.xdf import Xdf
from physio.training.save_weights import minimal_card, store

MODULE = """
import time
from dataclasses import dataclass
import numpy as np
from physio.models.base import Model

@dataclass(frozen=True)
class Settings:
    seconds: float = 0.6
    every: int = 3

class Slow(Model):
    '''Takes 600 ms, and every third time a second and a half.'''
    calls = 0
    def __init__(self, config=Settings()):
        self.config = config
    def predict(self, z, spread):
        if Slow.awake:
            Slow.calls += 1
            late = Slow.calls % self.config.every == 0
            time.sleep(2.5 * self.config.seconds if late else self.config.seconds)
        mean = np.tanh(np.nansum(z) * 0.01)
        return np.full(3, mean), np.full(3, 0.5)
    def arrays(self):
        return {"nothing": np.zeros(1)}
    @classmethod
    def restore(cls, config, arrays):
        return cls(Settings(**config))
Slow.awake = False
"""


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Path]:
    """Return weights of a slow model outside the package."""
    (tmp_path / "slow_net.py").write_text(MODULE, "utf-8")
    sys.path.insert(0, str(tmp_path))
    from slow_net import Slow  # type: ignore[import-not-found]

    ones = np.ones(1)
    rest = BaselinePrior(3 * ones, ones, ones, ones, 10 * ones)
    columns = (("eda.eda.0", "raw"),)
    card = minimal_card("slow_net:Slow", columns, 10.0, Origin.SIMULATED, ("arousal",))
    prior = np.zeros(3), np.full(3, 0.6)
    store(tmp_path / "slow", card, Slow(), rest, prior)
    yield tmp_path / "slow"
    Slow.awake = False
    sys.path.remove(str(tmp_path))
    sys.modules.pop("slow_net")


def arousal(items: list[Item]) -> Array:
    """Return the estimates of the slow model."""
    blocks = [i for i in items if isinstance(i, Block) and i.info.name == "estimates"]
    return np.concatenate([b.column("slow.arousal") for b in blocks])


def test_the_loop_goes_on_and_a_replay_misses_the_same(
    slow: Path, tmp_path: Path
) -> None:
    expert = Expert(str(slow), delay=3).trusting(("slow_net",))
    chain = ChainConfig("band.eda", (NewestSamples(0.25),))
    plan = PipelineConfig({"eda": chain}, estimator=Estimator((expert,)))
    clock = WallClock()
    band = Wristband(name="band", clock=clock, ground_truth=False, seed=3)
    items: list[Item] = []
    with Session(plan, [band], [Xdf(tmp_path)], clock, seconds=12.0) as session:
        for item in session:
            items.append(item)
            if item.info.name == "estimates":
                sys.modules["slow_net"].Slow.awake = True  # not while it is loaded
    assert session.faults == []
    # On an idle computer it is 1 ms; a model of 600 ms in the loop would stop it.
    milliseconds = 1e3 * np.array(session.compute)
    assert np.percentile(milliseconds, 80) <= 10.0
    assert milliseconds.max() < 300.0
    live = arousal(items)
    codes = missing_reason(live)
    assert set(codes[:3].tolist()) == {MissingReason.WARMING_UP}
    info = next(i.info for i in items if i.info.name == "estimates")
    delays = {c.name: c.delay for c in info.channels}
    fused = {n for n in delays if n.startswith("arousal")}
    assert {delays[n] for n in fused} == {3 * 0.25}
    assert {"arousal.sd", "arousal.ci80", "arousal.contribution.other"} <= fused
    assert np.isfinite(live).sum() >= 6
    misses = [i for i in items if i.info.name == "session.misses"]
    assert len(misses) >= 2  # every third answer takes longer than three ticks
    assert (codes == MissingReason.LATE).sum() >= 3

    recording = xdf.read(tmp_path / "recording.xdf")
    sys.modules["slow_net"].Slow.awake = False
    again = arousal(list(run(recording, plan)))
    np.testing.assert_array_equal(again.view(np.int64), live.view(np.int64))
    replay = FastClock(recording.begin)
    with Session(plan, [Replay(recording, replay)], (), replay) as second:
        repeated = arousal(list(second))
    np.testing.assert_array_equal(
        repeated[: len(live)].view(np.int64), live.view(np.int64)
    )
    paced = WallClock(speed=6.0)  # the model is quick now, and nothing is late by it
    with Session(plan, [Replay(recording, paced)], (), paced) as third:
        late = missing_reason(arousal(list(third))) == MissingReason.LATE
    np.testing.assert_array_equal(late[: len(live)], codes == MissingReason.LATE)
