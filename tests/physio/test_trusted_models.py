"""A model of one's own, outside the package, runs in a session where it is trusted."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import physio
from devices.replay import Replay
from devices.simulated import Wristband
from experiments.weights.demo import record
from physio import config
from physio.core.block import Block, Origin
from physio.core.protocols import FastClock
from physio.core.recording import Recording
from physio.models import model_card
from physio.online import session_config
from physio.online.default_pipeline import unused_chains
from physio.online.engine import run
from physio.online.session import Session
from physio.training.save_weights import renew_example

MODULE = '''
from dataclasses import dataclass
import numpy as np
from physio.models.base import Model
from physio.core.stage import Stage
from physio.core.block import Channel

@dataclass(frozen=True)
class Settings:
    slope: float = 0.01

class Slope(Model):
    def __init__(self, settings=Settings(), offset=np.zeros(1)):
        self.config, self.offset = settings, offset
    def predict(self, z, spread):
        mean = np.clip(self.config.slope * z[0] + self.offset[0], -1, 1)
        return np.full(3, mean), np.full(3, 0.5)
    def arrays(self):
        return {"offset": self.offset}
    @classmethod
    def restore(cls, config, arrays):
        return cls(Settings(**config), arrays["offset"])

class NoModel:
    pass

@dataclass(frozen=True)
class Arousal(Stage):
    """Only arousal, from the heart rate alone."""
    def output_info(self, info):
        return info.with_channels(None, Channel("arousal"), Channel("arousal.sd"))
    def initial_state(self, info):
        return info.names.index("heart.rate")
    def process(self, state, x):
        y = np.clip((x[:, state] - 70) / 50, -1, 1)
        return np.column_stack([y, np.where(np.isnan(y), y, 0.5)])
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "mymodel.py").write_text(MODULE, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("mymodel", None)


def weights(folder: Path, use: str = "mymodel:Slope") -> Path:
    """Store weights whose card names a model outside the package."""
    card = model_card.ModelCard(
        use, {"slope": 0.02}, (("heart.rate", "raw"),), 10.0, Origin.SIMULATED,
        ("arousal",), "none", "nobody", "CC0", "none", {}, ("tests only",), "pytest",
    )  # fmt: skip
    ones = np.ones(1)
    rest = dict.fromkeys(("between", "within", "memory"), ones)
    arrays = {f"rest.{k}": v for k, v in rest.items()}
    arrays |= {"rest.mean": 70 * ones, "rest.seconds": 10 * ones}
    arrays |= {"model.offset": 0.25 * ones}
    arrays |= {"prior.mean": np.zeros(3), "prior.sd": np.full(3, 0.6)}
    model_card.save(folder / "slope", card, arrays)
    if use == "mymodel:Slope":
        renew_example(folder / "slope", ("mymodel",))
    return folder / "slope"


def session_file(folder: Path, estimator: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(f"[estimator]\n{estimator}", "utf-8")
    return path


def estimates(items: list[object]) -> Block:
    blocks = [i for i in items if isinstance(i, Block) and i.info.name == "estimates"]
    return Block(blocks[0].info, 0, 0.0, np.concatenate([b.data for b in blocks]))


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(Wristband(seed=5, ground_truth=False), 40.0)


EXPERT = (
    'use = "physio.inference.estimator:Estimator"\n'
    'experts = [{weights = "./slope", features = ["heart"]}]\n'
)


def test_it_gives_the_same_live_and_offline(folder: Path, recording: Recording) -> None:
    weights(folder)
    file = session_config.read(session_file(folder, EXPERT), ("mymodel",))
    plan = file.plan(recording.inputs)
    clock = FastClock(recording.begin)
    with Session(plan, [Replay(recording, clock)], (), clock, poll=0.37) as session:
        live = estimates(list(session))
    offline = estimates(list(run(recording, plan)))
    arousal = offline.column("arousal")
    assert np.isfinite(arousal).sum() > 40
    assert np.isnan(offline.column("valence")).all()
    np.testing.assert_array_equal(live.data[: len(offline)], offline.data)


def test_the_trust_is_not_written_into_a_file(
    folder: Path, recording: Recording
) -> None:
    weights(folder)
    file = session_config.read(session_file(folder, EXPERT), ("mymodel",))
    plan = file.plan(recording.inputs)
    written = config.describe(plan.estimator)
    assert "trust" not in str(written)
    again = session_config.SessionConfig({"estimator": written})
    with pytest.raises(ValueError, match="--trust mymodel would allow it"):
        again.plan(recording.inputs).estimator.output_info(features(plan, recording))


def features(plan: object, recording: Recording) -> object:
    from physio.online.default_pipeline import feature_info

    return feature_info(plan, recording.inputs)  # type: ignore[arg-type]


def test_without_trust_the_message_names_the_option(
    folder: Path, recording: Recording
) -> None:
    weights(folder)
    plan = session_config.read(session_file(folder, EXPERT)).plan(recording.inputs)
    with pytest.raises(
        ValueError, match=r"^the weights 'slope': 'mymodel' is outside "
    ):
        plan.estimator.output_info(features(plan, recording))  # type: ignore[arg-type]


def test_a_class_that_is_no_model_is_refused(folder: Path) -> None:
    stored = model_card.load(str(weights(folder, "mymodel:NoModel")))
    with pytest.raises(ValueError, match=r"'mymodel:NoModel' is no model: its class "):
        stored.model(("mymodel",))


def test_an_estimator_with_arousal_alone_is_planned_without_false_notes(
    folder: Path, recording: Recording
) -> None:
    path = session_file(folder, 'use = "mymodel:Arousal"\n')
    plan = session_config.read(path, ("mymodel",)).plan(recording.inputs)
    assert unused_chains(plan, Origin.SIMULATED) == []
    out = estimates(list(run(recording, plan)))
    assert out.info.names == ("arousal", "arousal.sd")
    assert np.isfinite(out.column("arousal")).any()


def test_of_a_file_it_is_computed_where_it_is_trusted(
    folder: Path, recording: Recording
) -> None:
    weights(folder)
    path = session_file(folder, EXPERT)
    out = physio.estimate(recording, path, trust=("mymodel",))
    assert np.isfinite(out.column("arousal")).any()
    with pytest.raises(ValueError, match="--trust mymodel would allow it"):
        physio.estimate(recording, path)
