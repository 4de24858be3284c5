"""Map of prototypes as a network of the library: as the experiment's, and live."""

from pathlib import Path

import numpy as np
import pytest

from experiments.prototypes.affect_map import AffectMap
from labelled_people import People
from physio.core.recording import Recording
from physio.datasets.base import Trial
from physio.offline.compute import estimate
from test_train_file import DATA, TRUST, session, trained

torch = pytest.importorskip("torch")

FILE = (
    DATA
    + """
[target]
ratings = ["valence", "arousal"]
[features]
columns = [["temperature.level", "raw"], ["motion.activity", "log"]]
baseline_seconds = 20
every = 2
[model]
use = "physio.training.torch_learner:TorchLearner"
network = "physio.models.prototype_network:PrototypeNetwork"
epochs = 20
[protocol]
held_out = ["P6"]
[output]
name = "map"
"""
)


def test_the_map_is_that_of_the_experiment() -> None:
    from physio.models.prototype_network import PrototypeNetwork

    torch.manual_seed(3)
    network = PrototypeNetwork(4, tau=0.2).eval()
    rng = np.random.default_rng(4)
    y = np.clip(rng.normal(0, 0.25, (200, 2)), -1, 1)
    x = np.column_stack([y, rng.normal(0, 1, (200, 2))])
    x, y = (torch.tensor(a, dtype=torch.float32) for a in (x, y))
    plain = network(x)
    network.complete(x, y)
    with torch.no_grad():
        embedded = network.encoder(x).double().numpy()
        out, place = network(x).numpy(), network.place(x).numpy()
    drawn = AffectMap.draw(embedded, y.double().numpy(), 0.2)
    assert 0 in drawn.counts  # an empty bin takes its neighbours'
    np.testing.assert_allclose(out, drawn.read(embedded), atol=1e-4)
    np.testing.assert_allclose(
        place.reshape(-1, 25), drawn.weights(embedded), atol=1e-4
    )
    assert not np.allclose(out, plain.detach().numpy(), atol=0.05)
    assert network.train()(x).shape == (200, 2)


def test_a_map_needs_valence_and_arousal() -> None:
    from physio.models.prototype_network import PrototypeNetwork

    with pytest.raises(ValueError, match="two targets, not 1"):
        PrototypeNetwork(4, n_outputs=1)


def test_it_is_trained_by_one_command_and_runs_live(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    prepared, _, stored = trained(tmp_path, FILE, "map.toml")
    network = stored.model().network
    assert float(network.rows.sum()) > 50
    recording: Recording = People(tmp_path).load(Trial("P6", "1"))
    out = estimate(recording, session(prepared.out), trust=TRUST)
    arousal = out.column("arousal")
    assert np.isfinite(arousal).sum() > 100
    assert np.nanstd(arousal) > 0.02
