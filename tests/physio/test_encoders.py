"""Foundation models as frozen encoders: a head on labels, the same embeddings live."""

from dataclasses import replace
from fractions import Fraction
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from physio.core.block import Array, Block, Channel, Origin, StreamInfo
from physio.core.recording import Recording
from physio.features.newest_samples import NewestSamples, window_columns
from physio.inference.encoder_network import ENCODERS, EncoderNetwork
from physio.inference.estimator import Estimator, Expert
from physio.models.baseline import BaselinePrior
from physio.online.chain_runner import ChainConfig
from physio.online.engine import PipelineConfig, run
from physio.training.encoder_learner import EncoderLearner
from physio.training.learner import Samples, silent
from physio.training.save_weights import minimal_card, store

CAP = ("Fz", "Cz", "Pz")
RATE, STEP = 200, 50
pytestmark = [
    pytest.mark.skipif(
        find_spec("braindecode") is None or version("braindecode") < "1",
        reason="braindecode 1 is not installed",
    )
]


def windows(n: int = 24) -> Samples:
    """Return windows of a second with and without a rhythm at 10 Hz."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    x = 10 * rng.normal(size=(n, len(CAP), RATE))
    x[y == 1] += 60 * np.sin(2 * np.pi * 10 * np.arange(RATE) / RATE)
    return Samples(
        x, y, np.repeat([f"P{i}" for i in range(6)], n // 6), np.arange(n),
        np.full(n, ""), np.arange(float(n)), tuple((c, "raw") for c in CAP),
        classes=("rest", "task"), rate=float(RATE),
    )  # fmt: skip


@pytest.fixture(scope="module", params=tuple(ENCODERS))
def trained(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Any:
    """Return name, weights of the encoder, and the model with its head."""
    path = tmp_path_factory.mktemp(request.param) / "published.safetensors"
    torch.manual_seed(5)
    given = EncoderNetwork(request.param, len(CAP), RATE, 2, {"n_layer": 1}).encoder
    state = {k: v.contiguous().clone() for k, v in given.state_dict().items()}
    save_file(state, path)  # random, in the place of a download
    learner = EncoderLearner(request.param, str(path), {"n_layer": 1}, rate=3e-2)
    return learner, state, learner.fit(windows(), silent), path.parent


def test_the_head_alone_is_trained(trained: Any) -> None:
    learner, state, model, _ = trained
    fitted = model.network.encoder.state_dict()
    assert all(torch.equal(fitted[name], value) for name, value in state.items())
    data = windows()
    odds = np.array([model.condition_odds(row, row[0]) for row in data.x])
    assert (odds.argmax(axis=1) == data.y).mean() > 0.8
    assert "are those of published.safetensors" in learner.trained_on(data)
    unknown = replace(learner, weights="").trained_on(data)
    assert "are random: they saw no EEG" in unknown


def test_embeddings_are_equal_live_and_offline(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, model, folder = trained
    columns = window_columns("raw", CAP, STEP)
    ones = np.ones(len(columns))
    rest = BaselinePrior(0 * ones, ones, ones, ones, ones)
    use = f"{type(model).__module__}:{type(model).__name__}"
    card = minimal_card(use, columns, 0.0, Origin.MEASURED, ())
    nothing = np.full(3, np.nan)
    path = folder / "mine"
    store(path, card, model, rest, (nothing, nothing))
    embeddings: list[Array] = []
    encode = EncoderNetwork.encode

    def noted(network: EncoderNetwork, x: Tensor) -> Tensor:
        out = encode(network, x)
        embeddings.append(out.numpy().copy())
        return out

    data = np.ascontiguousarray(np.concatenate(windows(6).x, axis=1).T)
    channels = tuple(Channel(c, "eeg", "uV") for c in CAP)
    info = StreamInfo("cap.eeg", Fraction(RATE), channels, origin=Origin.MEASURED)
    chain = ChainConfig("cap.eeg", (NewestSamples(STEP / RATE),))
    plan = PipelineConfig({"raw": chain}, estimator=Estimator((Expert(str(path)),)))
    block = Block(info, 0, 0.0, data)
    list(run(Recording({"cap.eeg": (block,)}), plan))  # loads, and repeats its example
    monkeypatch.setattr(EncoderNetwork, "encode", noted)
    live = []
    for cuts in ([500], [7, 133, 134, 640, 999]):
        embeddings.clear()
        list(run(Recording({"cap.eeg": tuple(block.split(cuts))}), plan))
        live.append(np.vstack(embeddings))
    assert len(live[0]) > 15
    np.testing.assert_array_equal(live[0], live[1])
    embeddings.clear()
    for k in range(len(live[0])):
        part = data[k * STEP : k * STEP + RATE].T
        model.condition_odds(part, np.zeros(1))
    np.testing.assert_array_equal(np.vstack(embeddings), live[0])


def test_windows_that_it_does_not_read_are_refused(trained: Any) -> None:
    learner, _, _, folder = trained
    data = windows()
    with pytest.raises(ValueError, match="whole seconds at 200 Hz, not 200 samples"):
        learner.fit(replace(data, rate=128.0), silent)
    with pytest.raises(ValueError, match="whole seconds at 200 Hz, not 150 samples"):
        learner.fit(replace(data, x=data.x[:, :, :150]), silent)
    with pytest.raises(ValueError, match="give window in"):
        learner.fit(replace(data, x=data.x[:, 0]), silent)
    if learner.encoder == "eegdino":
        many = replace(data, x=np.repeat(data.x, 7, axis=1))
        with pytest.raises(ValueError, match="reads 19 channels at most, not 21"):
            learner.fit(many, silent)
    other = Path(folder) / "other.safetensors"
    save_file({"layer.weight": torch.zeros(2)}, other)
    with pytest.raises(ValueError, match="has other parameters than the network"):
        replace(learner, weights=str(other)).fit(data, silent)
