"""Weights that bring the chains of their training, on devices unlike that of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from physio.core.block import Array, Block, Channel, Origin, StreamInfo
from physio.core.recording import Recording
from physio.features.newest_samples import NewestSamples, window_columns
from physio.models import model_card
from physio.models.base import Arrays, Model, WindowSpec
from physio.models.baseline import BaselinePrior
from physio.offline.compute import estimate
from physio.online.chain_runner import ChainConfig
from physio.online.engine import PipelineConfig
from physio.online.session_config import SessionConfig
from physio.online.weights_chains import trained_chains
from physio.training.save_weights import minimal_card, store

NAMES = ("Fz", "Cz", "Pz")
RATE, STEP = 64, 16
TRUST = ("test_weights_chains",)


@dataclass(frozen=True)
class Settings:
    """Channels of `Level`."""

    channels: tuple[str, ...] = NAMES


class Level(Model):
    """A rating that is the mean of the first channel, less half of the others."""

    def __init__(self, config: Settings = Settings()) -> None:
        self.config = config

    @property
    def window(self) -> WindowSpec:
        return WindowSpec(tuple(self.config.channels), float(RATE), RATE)

    def predict(self, z: Array, spread: Array) -> tuple[Array, Array]:  # noqa: ARG002
        mean = np.full(3, np.nan)
        mean[1] = (z.mean(axis=1) * [1, -0.5, -0.5]).sum() / 100
        return mean, np.full(3, 0.2)

    def arrays(self) -> Arrays:
        return {"one": np.ones(1)}

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:  # noqa: ARG003
        return cls(Settings(tuple(config["channels"])))


def stream(names: tuple[str, ...] = NAMES, rate: int = RATE, unit: str = "uV") -> Any:
    channels = tuple(Channel(n, "eeg", unit) for n in names)
    return StreamInfo("cap.eeg", Fraction(rate), channels, origin=Origin.MEASURED)


def recorded(info: StreamInfo, seconds: int = 12) -> Recording:
    """Return a slow wave in each channel, the same in continuous time at any rate."""
    t = np.arange(seconds * int(info.rate)) / float(info.rate)
    size = {"Fz": 60.0, "Cz": -20.0, "Pz": 10.0}
    waves = [
        size.get(c.name, 500.0) * (1 + 0.3 * np.sin(t + k))
        for k, c in enumerate(sorted(info.channels, key=lambda c: c.name))
    ]
    at = {c.name: w for c, w in zip(
        sorted(info.channels, key=lambda c: c.name), waves, strict=True
    )}  # fmt: skip
    data = np.column_stack([at[n] for n in info.names])
    return Recording({info.name: (Block(info, 0, 0.0, data),)})


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a session file that names the weights and nothing else."""
    folder = tmp_path_factory.mktemp("weights")
    columns = window_columns("raw", NAMES, STEP)
    ones = np.ones(len(columns))
    rest = BaselinePrior(0 * ones, ones, ones, ones, 0 * ones)
    card = minimal_card(
        "test_weights_chains:Level", columns, 0.0, Origin.MEASURED, ("arousal",)
    )
    prior = np.zeros(3), np.full(3, 0.5)
    store(folder / "mine", card, Level(), rest, prior)
    plan = PipelineConfig({"raw": ChainConfig("cap.eeg", (NewestSamples(0.25),))})
    chains = trained_chains(plan, [stream()], [c for c, _ in columns])
    model_card.save_chains(folder / "mine", chains)
    path = folder / "session.toml"
    path.write_text(
        '[estimator]\nuse = "physio.inference.estimator:Estimator"\n'
        f'experts = [{{ weights = "{(folder / "mine").as_posix()}" }}]\n'
    )
    return path


def arousal(session: Path, info: StreamInfo) -> Array:
    out = estimate(recorded(info), session, trust=TRUST)
    return out.column("arousal")


def test_the_chain_of_the_training_is_that_of_the_session(session: Path) -> None:
    x = recorded(stream()).streams["cap.eeg"][0].data
    given = arousal(session, stream())
    for tick in (8, 20, 40):  # a tick holds the samples before it
        end = tick * STEP
        window = np.ascontiguousarray(x[end - RATE : end].T)
        assert given[tick] == Level().predict(window, np.zeros(1))[0][1]


def test_another_order_and_further_channels_give_the_same_bits(session: Path) -> None:
    names = ("Oz", "Pz", "Fz", "T7", "Cz")
    first = arousal(session, stream())
    x = recorded(stream()).streams["cap.eeg"][0].data
    info = stream(names)
    data = np.full((len(x), 5), 777.0)
    for k, name in enumerate(NAMES):
        data[:, names.index(name)] = x[:, k]
    moved = Recording({"cap.eeg": (Block(info, 0, 0.0, data),)})
    again = estimate(moved, session, trust=TRUST).column("arousal")
    np.testing.assert_array_equal(again.view(np.int64), first.view(np.int64))


@pytest.mark.parametrize("rate", [128, 250, 32])
def test_another_rate_is_resampled(session: Path, rate: int) -> None:
    """Of a slow wave, the window at another rate is nearly that of the training."""
    usual, other = arousal(session, stream()), arousal(session, stream(rate=rate))
    both = np.isfinite(other[:40]) & np.isfinite(usual[:40])
    assert both.sum() > 20
    assert np.abs(other[:40] - usual[:40])[both].max() < 0.06  # delay of the filter
    plan = SessionConfig.plan(
        SessionConfig(_tables(session), trust=TRUST), recorded(stream(rate=rate)).inputs
    )
    assert [type(s).__name__ for s in plan.chains["raw"].stages] == [
        "Resample", "NewestSamples",
    ]  # fmt: skip


def _tables(path: Path) -> Any:
    from physio import config

    return config.read(path)


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (
            stream(("Fz", "Oz")),
            r"the weights '.*mine' read 3 channels \(eeg, uV\), and cap.eeg lacks "
            r"Cz, Pz: train with the channels of this device",
        ),
        (stream(("A", "B")), r"Fz, Cz, Pz, and no stream has any of them: connect"),
        (stream(unit="V"), r"read uV, and Fz of cap.eeg is in V: state its unit"),
    ],
)
def test_an_unlike_device_is_refused_by_name(
    session: Path, info: StreamInfo, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        arousal(session, info)


def test_a_chain_of_the_file_at_another_rate_is_refused(
    session: Path, tmp_path: Path
) -> None:
    """A chain without a resampler would give every second sample only."""
    path = tmp_path / "own.toml"
    path.write_text(
        session.read_text("utf-8") + '[chains.raw]\nstream = "cap.eeg"\nstages = '
        '[{ use = "physio.features.newest_samples:NewestSamples" }]\n'
    )
    np.testing.assert_array_equal(arousal(path, stream()), arousal(session, stream()))
    with pytest.raises(
        ValueError,
        match=r"read 16 samples a tick, 64 Hz, and raw has more: put \{ use = "
        r'"physio.dsp.resample:Resample", rate = 64 \} before the newest samples',
    ):
        arousal(path, stream(rate=128))


def test_chains_of_weights_name_only_stages(session: Path) -> None:
    folder = session.parent / "mine"
    path = folder / model_card.CHAINS
    before = path.read_text("utf-8")
    chains = json.loads(before)
    for stages, message in (
        ([{"use": "physio.sinks.xdf:Xdf", "path": "x"}], "is no stage"),
        ([{"use": "os:system"}], "is no stage"),
    ):
        chains["raw"]["stages"] = stages
        path.write_text(json.dumps(chains), "utf-8")
        model_card._load.cache_clear()
        with pytest.raises(ValueError, match=message):
            arousal(session, stream())
    path.write_text("[]", "utf-8")
    model_card._load.cache_clear()
    with pytest.raises(ValueError, match=r"chains.json holds no chains"):
        arousal(session, stream())
    path.write_text(before, "utf-8")
    model_card._load.cache_clear()
    assert np.isfinite(arousal(session, replace(stream()))).any()
