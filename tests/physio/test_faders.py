"""Faders: monotone features, knowledge of direction, nothing from empty labels."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from experiments.faders.fader_network import (  # noqa: E402
    FaderConfig,
    FaderNetwork,
    Rows,
    probability,
    train,
)
from experiments.shared import rank_auc  # noqa: E402

TIED = [[0, 1], [2]]
QUICK = FaderConfig(steps=120)


def people(n: int, seed: int, *, empty: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose first two features rise with the class, and an unrelated third."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    z = rng.normal(0, 1, (n, 3))
    z[:, :2] += 0 if empty else 1.2 * y[:, None]
    return z, y


@pytest.fixture(scope="module")
def network() -> FaderNetwork:
    z, y = people(600, 1)
    known = np.where(np.arange(600) < 60, y, -1)
    return train(Rows(z, known, np.ones(600)), TIED, QUICK, 3)


def test_a_fader_raises_the_features_tied_to_it_alone(network: FaderNetwork) -> None:
    h = torch.zeros(50, 4)
    h[:, 0] = torch.linspace(-3, 3, 50)
    with torch.no_grad():
        raised = network.decode(h).numpy()
    assert (np.diff(raised[:, :2], axis=0) > 0).all()
    np.testing.assert_allclose(np.ptp(raised[:, 2]), 0, atol=1e-5)


def test_the_encoder_orders_rows_as_their_features(network: FaderNetwork) -> None:
    z, _ = people(400, 2)
    with torch.no_grad():
        mean, _ = network.encode(torch.tensor(z, dtype=torch.float32))
    assert np.corrcoef(mean[:, 0], z[:, :2].mean(axis=1))[0, 1] > 0.8
    assert np.corrcoef(mean[:, 1], z[:, 2])[0, 1] > 0.8


def test_few_labels_are_enough_where_the_body_answers(network: FaderNetwork) -> None:
    z, y = people(400, 5)
    assert rank_auc(y, probability(network, z)) > 0.8


def test_missing_features_are_read_as_missing(network: FaderNetwork) -> None:
    z, y = people(400, 5)
    z[:, 0] = np.nan
    assert rank_auc(y, probability(network, z)) > 0.65


def test_labels_that_carry_nothing_give_nothing() -> None:
    aucs = []
    for seed in range(4):
        z, y = people(400, 10 + seed, empty=True)
        known = np.where(np.arange(400) < 200, y, -1)
        net = train(Rows(z, known, np.ones(400)), TIED, QUICK, seed)
        test, truth = people(2000, 50 + seed, empty=True)
        aucs.append(rank_auc(truth, probability(net, test)))
    assert abs(np.mean(aucs) - 0.5) < 0.03
