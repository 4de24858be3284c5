"""State-space memory: recurrence, recovery of a hidden past, fusion by entropy."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.literature.judgement import fixed
from experiments.state_space.fit import FitConfig, fitted
from experiments.state_space.layer import DiagonalStateSpace
from experiments.state_space.network import (
    Memory,
    NetworkConfig,
    SensorNetwork,
    Task,
)
from physio.core.block import Array

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "state_space"
SENSORS = ((0, 1), (2,))


def test_recurrence_and_convolution_agree() -> None:
    torch.manual_seed(0)
    layer = DiagonalStateSpace(3, states=5, longest=100.0).double()
    u = torch.randn(2, 400, 3, dtype=torch.float64)
    state, outputs = layer.begin(2), []
    for t in range(u.shape[1]):
        state, y = layer.step(state, u[:, t])
        outputs.append(y)
    whole = layer(u)
    off = (torch.stack(outputs, dim=1) - whole).detach()
    assert float(off.abs().max()) < 1e-6
    assert float(whole.detach().std()) > 0.1


@pytest.mark.parametrize("task", ["ratings", "class"])
def test_a_network_streams_what_it_learned(task: Task) -> None:
    torch.manual_seed(1)
    network = SensorNetwork(NetworkConfig(SENSORS, task)).double().eval()
    x = torch.randn(1, 60, 3, dtype=torch.float64)
    x[0, 20:30, 2] = float("nan")
    state, outputs = network.begin(1), []
    with torch.no_grad():
        for t in range(x.shape[1]):
            state, y = network.step(state, x[:, t])
            outputs.append(y)
        whole = network(x)
    assert float((torch.stack(outputs, dim=1) - whole).abs().max()) < 1e-6


def test_memory_does_not_see_the_future() -> None:
    torch.manual_seed(2)
    network = SensorNetwork(NetworkConfig(SENSORS)).double().eval()
    x = torch.randn(1, 50, 3, dtype=torch.float64)
    later = x.clone()
    later[0, 30:] += 5.0
    with torch.no_grad():
        before, after = network(x), network(later)
    assert float((before - after)[0, :30].abs().max()) < 1e-9
    assert float((before - after)[0, 30:].abs().max()) > 1e-3


FAST = FitConfig(epochs=6, batch=4, rate=3e-2)


def people(
    noise: tuple[float, float], *, lasting: bool
) -> tuple[list[Array], list[Array]]:
    """Return features and targets: hidden affect, and sensors with their noise."""
    rng = np.random.default_rng(3)
    x, y = [], []
    for _ in range(18):
        felt = rng.standard_normal(80)
        if lasting:
            felt = np.convolve(felt, np.exp(-np.arange(40) / 12), "full")[:80] / 2.4
        first = felt[:, None] + noise[0] * rng.standard_normal((80, 2))
        second = felt[:, None] + noise[1] * rng.standard_normal((80, 1))
        x.append(np.hstack([first, second]))
        y.append(np.repeat(felt[:, None], 3, axis=1))
    return x, y


def error(memory: Memory, x: list[Array], y: list[Array]) -> float:
    config = NetworkConfig(SENSORS, "ratings", memory, width=8)
    outputs = fitted(config, x[:12], y[:12], 1, FAST).outputs(x[12:])
    off = [o[20:, 1] - t[20:, 1] for o, t in zip(outputs, y[12:], strict=True)]
    return float(np.mean(np.square(off)))


def test_memory_helps_where_affect_lasts_and_not_where_it_does_not() -> None:
    slow = people((2.0, 2.0), lasting=True)
    fast = people((2.0, 2.0), lasting=False)
    assert error("state space", *slow) < 0.88 * error("none", *slow)
    assert error("state space", *fast) > 0.93 * error("none", *fast)


def test_the_surer_sensor_has_the_larger_weight() -> None:
    x, y = people((0.1, 3.0), lasting=False)
    config = NetworkConfig(SENSORS, "ratings", "none", width=8)
    model = fitted(config, x, y, 1, FAST)
    rows = torch.tensor((x[0] - model.mean) / model.sd, dtype=torch.float32)
    with torch.no_grad():
        each = model.network.by_sensor(rows)
    spread = each[..., 4].exp().mean(0)
    assert float(spread[0]) < 0.5 * float(spread[1])
    lost = rows.clone()
    lost[:, :2] = float("nan")
    with torch.no_grad():
        alone = model.network(lost)
        second = model.network.by_sensor(lost)[:, 1]
    assert torch.allclose(alone[..., :3], second[..., :3], atol=1e-5)


def test_the_primary_comparison_is_as_before_the_run() -> None:
    stored = json.loads((FOLDER / "results" / "figures.json").read_text("utf-8"))
    assert stored["details"]["judgement"]["sha256"] == fixed(FOLDER)
