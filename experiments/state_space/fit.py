"""Training of a network on sequences, and its causal outputs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from experiments.state_space.network import NetworkConfig, SensorNetwork, loss
from physio.core.block import Array


@dataclass(frozen=True)
class FitConfig:
    """Settings of a training run.

    Parameters
    ----------
    epochs, batch
        Number of epochs, and of sequences in a batch.
    rate, decay
        Learning rate, and weight decay.
    lost
        Probability that a sensor is missing throughout a training sequence.
    """

    epochs: int = 40
    batch: int = 16
    rate: float = 5e-3
    decay: float = 1e-2
    lost: float = 0.15


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """A trained network with the scale of its features."""

    network: SensorNetwork
    mean: Array
    sd: Array

    def outputs(self, sequences: Sequence[Array]) -> list[Array]:
        """Return the output at each moment of each sequence, from its past alone."""
        with torch.no_grad():
            return [
                np.asarray(self.network(self._scaled(x)[None])[0].double().numpy())
                for x in sequences
            ]

    def _scaled(self, x: Array) -> torch.Tensor:
        return torch.tensor((x - self.mean) / self.sd, dtype=torch.float32)


def fitted(
    config: NetworkConfig,
    sequences: Sequence[Array],
    targets: Sequence[Array],
    seed: int,
    run: FitConfig = FitConfig(),
) -> FittedNetwork:
    """Train a network.

    Parameters
    ----------
    config
        Settings of the network.
    sequences, targets
        Features of each person, (t, f), NaN where missing, and targets, (t, out), NaN
        where a moment does not train; t may differ between persons.
    seed
        Seed of all random numbers.
    run
        Settings of the training.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    everything = np.concatenate(list(sequences))
    mean = np.nan_to_num(np.nanmean(everything, axis=0))
    sd = np.nan_to_num(np.nanstd(everything, axis=0), nan=1.0)
    model = FittedNetwork(SensorNetwork(config), mean, np.where(sd > 0, sd, 1.0))
    x, y = _padded(sequences), _padded(targets)
    x = (x - torch.tensor(model.mean).float()) / torch.tensor(model.sd).float()
    network = model.network
    descent = torch.optim.AdamW(network.parameters(), run.rate, weight_decay=run.decay)
    steps = run.epochs * -(-len(x) // run.batch)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(descent, steps)
    for _ in range(run.epochs):
        order = rng.permutation(len(x))
        for k in range(0, len(x), run.batch):
            at = order[k : k + run.batch]
            part = _without_sensors(x[at], config, run.lost, rng)
            descent.zero_grad()
            torch.autograd.backward(loss(network, part, y[at]))
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            descent.step()
            rates.step()
    network.eval()
    return model


def _padded(sequences: Sequence[Array]) -> torch.Tensor:
    """Return sequences of one length, NaN at their ends, (n, t, ...)."""
    longest = max(len(s) for s in sequences)
    out = np.full((len(sequences), longest, sequences[0].shape[1]), np.nan)
    for row, s in zip(out, sequences, strict=True):
        row[: len(s)] = s
    return torch.tensor(out, dtype=torch.float32)


def _without_sensors(
    x: torch.Tensor, config: NetworkConfig, lost: float, rng: np.random.Generator
) -> torch.Tensor:
    """Return sequences of which each lacks sensors, but never all."""
    out = x.clone()
    for row in out:
        gone = rng.random(len(config.sensors)) < lost
        if gone.all():
            continue
        for sensor in np.flatnonzero(gone):
            row[:, list(config.sensors[sensor])] = float("nan")
    return out
