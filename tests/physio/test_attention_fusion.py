"""Attention over sensors: what masks hide, and what the triplet loss asks for."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from experiments.attention_fusion.sensor_attention import (
    FusionConfig,
    SensorAttention,
    fit,
    predicted,
    triplet_loss,
)
from experiments.attention_fusion.simulated_masks import View, areas, sensors
from experiments.attention_fusion.wrist_masks import (
    cut,
    equal_patterns,
    hidden,
)
from experiments.literature import people
from experiments.shared import rank_auc
from physio.core.block import Array
from physio.models.model_card import load

GROUPS = [[0, 1], [2], [3]]
QUICK = FusionConfig(
    epochs=5, batch=64, rate=1e-2, dropout=0.0, decay=0.01, triplet=0.1
)


def squared(out: Tensor, y: Tensor) -> Tensor:
    return ((out - y) ** 2).mean(dim=1)


def hide(rows: Array, rng: np.random.Generator) -> Array:
    return hidden(rows, GROUPS, rng)


def fitted(z: Array, y: Array, config: FusionConfig = QUICK) -> torch.nn.Module:
    torch.manual_seed(1)
    net = SensorAttention(GROUPS, y.shape[1], config)
    return fit(net, z, y, squared, hide, config, 1)


@pytest.fixture(scope="module")
def state() -> tuple[Array, Array]:
    """Rows of three sensors of a state: the last sensor is noise."""
    rng = np.random.default_rng(3)
    y = rng.normal(size=(2000, 1))
    noise = rng.normal(size=(2000, 4)) * (0.5, 0.5, 0.7, 1.0)
    return noise + y * (1, 1, 1, 0), y


@pytest.fixture(scope="module")
def net(state: tuple[Array, Array]) -> torch.nn.Module:
    return fitted(state[0][:1000], state[1][:1000])


def test_a_missing_sensor_is_replaced_by_the_others(
    state: tuple[Array, Array], net: torch.nn.Module
) -> None:
    test, truth = state[0][1000:].copy(), state[1][1000:]
    whole = np.mean((predicted(net, test) - truth) ** 2)
    test[:, :2] = np.nan
    part = np.mean((predicted(net, test) - truth) ** 2)
    assert whole < 0.2  # best possible: 0.09
    assert part < 0.45  # best possible: 0.33; the mean of the ratings: 1.0


def test_a_sensor_of_noise_is_no_answer(
    state: tuple[Array, Array], net: torch.nn.Module
) -> None:
    test = state[0][1000:].copy()
    test[:, :3] = np.nan
    assert np.std(predicted(net, test)) < 0.25


def test_ratings_that_carry_nothing_are_not_learned(
    state: tuple[Array, Array],
) -> None:
    y = np.random.default_rng(5).permutation(state[1][:1000])
    out = predicted(fitted(state[0][:1000], y), state[0][1000:])
    assert np.std(out) < 0.4
    assert abs(np.corrcoef(out[:, 0], state[1][1000:, 0])[0, 1]) < 0.5


def test_an_absent_sensor_is_not_read(state: tuple[Array, Array]) -> None:
    rows = torch.tensor(state[0][:5], dtype=torch.float32)
    rows[:, 2] = torch.nan
    net = SensorAttention(GROUPS, 1, QUICK).eval()
    with torch.no_grad():
        before = net(rows)
        net.names[1] += 3.0
        net.tokens[1].weight += 1.0
        torch.testing.assert_close(net(rows), before)
        net.names[0] += torch.linspace(-3, 3, QUICK.width)
        assert (net(rows) - before).abs().max() > 1e-3


def test_a_row_without_any_sensor_has_no_output() -> None:
    net = SensorAttention(GROUPS, 2, QUICK).eval()
    out = predicted(net, np.array([[np.nan] * 4, [1.0, 0, 0, 0]]))
    assert np.isnan(out[0]).all()
    assert np.isfinite(out[1]).all()


def test_the_margin_of_a_triplet_is_that_of_the_ratings() -> None:
    rng = np.random.default_rng(0)
    y = torch.tensor(rng.normal(size=(50, 2)))
    order = torch.from_numpy(np.stack([rng.permutation(50) for _ in range(2)]))
    assert float(triplet_loss(y, y, order)) == pytest.approx(0, abs=1e-4)
    near, far = (torch.linalg.vector_norm(y - y[o], dim=1) for o in order)
    same = triplet_loss(torch.zeros(50, 3, dtype=y.dtype), y, order)
    assert float(same) == pytest.approx(float((near - far).abs().mean()), abs=1e-6)
    assert float(triplet_loss(-2 * y, y, order)) <= 1e-4  # further apart: no loss


def test_the_absence_of_a_sensor_tells_nothing_of_the_class() -> None:
    """A sensor that is missing in stress is the protocol's, not the body's."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 600)
    z = rng.normal(size=(600, 4))
    z[rng.random(600) < np.where(y, 0.8, 0.2), 2] = np.nan
    laboratory = np.repeat(["a", "b"], 300)
    weight = equal_patterns(laboratory, z, y, GROUPS)
    absent = np.isnan(z[:, 2])
    for name in ("a", "b"):
        rows = laboratory == name
        assert weight[rows].sum() == pytest.approx(300, rel=1e-6)
        for state in (True, False):
            some = rows & (absent == state)
            assert weight[some] @ y[some] == pytest.approx(weight[some].sum() / 2)
    rated = y[:, None].astype(np.float64)
    learned = {}
    for name, weights in (("all alike", None), ("equal", weight)):
        torch.manual_seed(0)
        net = SensorAttention(GROUPS, 1, QUICK)
        fit(net, z, rated, squared, hide, QUICK, 1, weights)
        masks = np.where(np.isnan(z), np.nan, 0.0)
        learned[name] = np.ptp(predicted(net, masks))
    assert learned["all alike"] > 2 * learned["equal"]


def test_a_pattern_of_a_single_class_does_not_train() -> None:
    z = np.zeros((6, 4))
    z[:2, 2] = np.nan
    weight = equal_patterns(np.repeat("a", 6), z, np.array([1, 1, 0, 1, 0, 0]), GROUPS)
    assert weight.tolist()[:2] == [0, 0]
    assert weight[2:].sum() == pytest.approx(4)


def test_a_rate_hides_that_proportion() -> None:
    z = np.zeros((400, 4))
    rng = np.random.default_rng(1)
    for mode in ("features", "blocks", "sensors"):
        assert np.isfinite(cut(z, GROUPS, 0.0, mode, rng)).all()
        assert np.isnan(cut(z, GROUPS, 1.0, mode, rng)).all()
    assert np.isnan(cut(z, GROUPS, 0.3, "features", rng)).mean() == pytest.approx(
        0.3, abs=0.04
    )
    block = np.isnan(cut(z, GROUPS, 0.3, "blocks", rng))
    assert block.mean(axis=0).tolist() == [0.3] * 4
    assert (np.diff(block[:, 3].astype(int)) != 0).sum() <= 2


def test_the_fast_area_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    y, p = rng.integers(0, 2, 90), np.round(rng.random(90), 1)
    assert rank_auc(y, p) == pytest.approx(roc_auc_score(y, p))
    assert np.isnan(rank_auc(np.ones(3), p[:3]))


def test_simulated_areas_are_those_of_the_skill() -> None:
    recipe = people.recipe()
    rng = np.random.default_rng(6)
    felt = rng.normal(size=(40, 3)) * 0.3
    z = np.repeat(felt[:, 1:2], len(recipe.affect.joint), axis=1)
    person = View(1, z, felt, felt)
    prior = load("published-all").arrays["prior.mean"]

    def knows(rows: Array) -> Array:
        with np.errstate(all="ignore"):
            arousal = np.nanmax(np.where(np.isnan(rows), -9, rows), axis=1)
        out = np.full((len(rows), 3), np.nan)
        out[:, 1] = np.where(arousal > -9, arousal, np.nan)
        return out

    models = {
        "knows": knows,
        "prior": lambda rows: np.tile(prior, (len(rows), 1)),
    }
    by_mode = areas([person], models, recipe)
    assert by_mode["features"]["prior"]["1"] == pytest.approx(0)
    assert by_mode["features"]["knows"]["1"] == pytest.approx(0.95, abs=0.02)
    assert by_mode["blocks"]["knows"]["1"] < by_mode["features"]["knows"]["1"]
    columns = [i for some in sensors(recipe) for i in some]
    assert sorted(columns) == list(range(len(recipe.affect.joint)))
