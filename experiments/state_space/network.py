"""Networks of sequences of features, with and without memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  as everybody calls it

from experiments.state_space.layer import DiagonalStateSpace

Memory = Literal["state space", "none", "LSTM"]
Fusion = Literal["entropy", "mean", "joint"]
Task = Literal["ratings", "class"]

_SMALLEST: Final = -5.0  # log variance
_LARGEST: Final = 3.0


@dataclass(frozen=True)
class NetworkConfig:
    """Settings of a network of sequences.

    Parameters
    ----------
    sensors
        Features of each sensor.
    task
        Ratings (mean and variance of three), or one probability.
    memory
        How the past enters.
    fusion
        Fusion of the sensors' predictions: weights that fall with their entropy, equal
        weights, or none: ``joint`` reads all sensors at once.
    width
        Number of channels of each sensor.
    """

    sensors: tuple[tuple[int, ...], ...]
    task: Task = "ratings"
    memory: Memory = "state space"
    fusion: Fusion = "entropy"
    width: int = 16


class StateSpaceMemory(nn.Module):
    """A state-space layer, and a mixture of its channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = DiagonalStateSpace(width)
        self.mix = nn.Linear(width, width)

    def forward(self, u: Tensor) -> Tensor:
        """Return the output for whole sequences, shape (batch, time, width)."""
        return torch.as_tensor(self.mix(self.layer(u)))


class SensorNetwork(nn.Module):
    """Prediction of each moment from the present and past features.

    Each sensor has its own encoder, memory and head; a feature that is missing is 0
    with a mark beside it, and a sensor without any feature has no vote.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.groups = config.sensors
        if config.fusion == "joint":
            self.groups = (tuple(i for s in config.sensors for i in s),)
        width, out = config.width, 6 if config.task == "ratings" else 1
        self.encoders = nn.ModuleList(nn.Linear(2 * len(g), width) for g in self.groups)
        self.memories = nn.ModuleList(self._memory() for _ in self.groups)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.GELU(), nn.Dropout(0.1), nn.Linear(width, out))
            for _ in self.groups
        )
        self.sharpness = nn.Parameter(torch.tensor(0.0))

    def _memory(self) -> nn.Module:
        width = self.config.width
        if self.config.memory == "state space":
            return StateSpaceMemory(width)
        if self.config.memory == "LSTM":
            return nn.LSTM(width, width, batch_first=True)
        return nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return fused predictions, shape (batch, time, out): see `fused`."""
        return self.fused(x, self.by_sensor(x))

    def by_sensor(self, x: Tensor) -> Tensor:
        """Return the prediction of each sensor, shape (batch, time, sensors, out)."""
        outs = []
        for g, encode, memory, head in zip(
            self.groups, self.encoders, self.memories, self.heads, strict=True
        ):
            past = memory(F.gelu(encode(_marked(x[..., g]))))
            outs.append(head(past[0] if isinstance(past, tuple) else past))
        return _limited(torch.stack(outs, dim=-2), self.config.task)

    def begin(self, batch: int) -> list[Tensor]:
        """Return the states before the first moment, of state-space memory."""
        return [m.layer.begin(batch) for m in self._streaming()]

    def step(self, states: Sequence[Tensor], x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return states and fused predictions after one moment, shape (batch, f)."""
        outs, after = [], []
        for g, encode, memory, head, state in zip(
            self.groups, self.encoders, self._streaming(), self.heads, states,
            strict=True,
        ):  # fmt: skip
            new, y = memory.layer.step(state, F.gelu(encode(_marked(x[..., g]))))
            after.append(new)
            outs.append(head(memory.mix(y)))
        alone = _limited(torch.stack(outs, dim=-2), self.config.task)
        return after, self.fused(x, alone)

    def _streaming(self) -> list[StateSpaceMemory]:
        """Return the memories, all of which must be state spaces."""
        memories = [m for m in self.memories if isinstance(m, StateSpaceMemory)]
        if len(memories) != len(self.groups):
            raise TypeError("only state-space memory streams step by step")
        return memories

    def fused(self, x: Tensor, alone: Tensor) -> Tensor:
        """Return the mixture of the sensors' predictions.

        Ratings: means and log variances of the mixture, (..., 6). Class: the logit of
        the mean probability, (..., 1).
        """
        there = [torch.isfinite(x[..., g]).any(-1) for g in self.groups]
        present = torch.stack(there, dim=-1)[..., None]
        if self.config.task == "ratings":
            mean, log_var = alone[..., :3], alone[..., 3:]
            weight = self._weights(log_var / 2, present)
            middle = (weight * mean).sum(-2)
            spread = log_var.exp() + (mean - middle[..., None, :]) ** 2
            return torch.cat([middle, (weight * spread).sum(-2).log()], dim=-1)
        p = torch.sigmoid(alone)
        entropy = F.binary_cross_entropy_with_logits(alone, p, reduction="none")
        mixed = (self._weights(entropy, present) * p).sum(-2)
        return torch.logit(mixed.clamp(1e-6, 1 - 1e-6))

    def _weights(self, entropy: Tensor, present: Tensor) -> Tensor:
        """Return the weight of each sensor; equal without any."""
        score = torch.zeros_like(entropy)
        if self.config.fusion == "entropy":
            score = -entropy * self.sharpness.exp() * 2
        score = torch.where(present, score, score.new_tensor(-30.0))
        return torch.softmax(score, dim=-2)


def loss(network: SensorNetwork, x: Tensor, y: Tensor) -> Tensor:
    """Return the negative log likelihood of the mixture and of each sensor alone.

    Moments without a target (NaN) do not count; ``y`` has shape (batch, time, 3) or
    (batch, time, 1).
    """
    alone = network.by_sensor(x)
    known = torch.isfinite(y).all(-1)
    fused = network.fused(x, alone)[known]
    alone = alone[known]
    target = y[known]
    if network.config.task == "ratings":
        return _density(fused, target) + _density(alone, target[:, None, :])
    many = target[:, None, :].expand_as(alone)
    return F.binary_cross_entropy_with_logits(
        fused, target
    ) + F.binary_cross_entropy_with_logits(alone, many)


def _density(out: Tensor, y: Tensor) -> Tensor:
    mean, log_var = out[..., :3], out[..., 3:]
    return (log_var + (y - mean) ** 2 / log_var.exp()).mean() / 2


def _marked(x: Tensor) -> Tensor:
    """Return features with 0 for missing ones, and marks of presence beside them."""
    there = torch.isfinite(x)
    return torch.cat([torch.where(there, x, torch.zeros_like(x)), there.to(x)], dim=-1)


def _limited(out: Tensor, task: Task) -> Tensor:
    if task == "class":
        return out
    return torch.cat([out[..., :3], out[..., 3:].clamp(_SMALLEST, _LARGEST)], dim=-1)
