"""Attention over the sensors that are present, and its training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from physio.core.block import Array

Hide = Callable[[Array, np.random.Generator], Array]
"""Return rows, shape (n, f), with further features missing."""


@dataclass(frozen=True)
class FusionConfig:
    """Settings of a network of attention over sensors.

    Parameters
    ----------
    width, heads, layers, dropout
        Size of a token, number of heads and of layers, and dropout.
    epochs, batch, rate, decay
        Training by AdamW: epochs, rows of a step, learning rate, weight decay.
    triplet
        Weight of the triplet loss; 0 for none.
    """

    width: int = 16
    heads: int = 2
    layers: int = 1
    dropout: float = 0.4
    epochs: int = 10
    batch: int = 256
    rate: float = 3e-3
    decay: float = 1.0
    triplet: float = 0.1


class SensorAttention(nn.Module):
    """Self-attention between a token per sensor; absent sensors are masked.

    A sensor's token is a linear map of its features and of whether each is present,
    plus a vector of the sensor. A further token, always present, collects the others.

    Parameters
    ----------
    sensors
        Columns of each sensor.
    outputs
        Number of outputs.
    config
        Sizes.
    """

    def __init__(
        self, sensors: Sequence[Sequence[int]], outputs: int, config: FusionConfig
    ) -> None:
        super().__init__()
        width = config.width
        self.sensors = [list(s) for s in sensors]
        self.tokens = nn.ModuleList(nn.Linear(2 * len(s), width) for s in sensors)
        self.names = nn.Parameter(0.1 * torch.randn(len(self.sensors), width))
        self.collector = nn.Parameter(0.1 * torch.randn(width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                config.heads,
                2 * width,
                config.dropout,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs, shape (n, k), of features, (n, f), NaN where missing."""
        out: Tensor = self.head(self.embedding(x))
        return out

    def embedding(self, x: Tensor) -> Tensor:
        """Return the collecting token after the last layer, shape (n, width)."""
        present = torch.isfinite(x)
        filled = torch.nan_to_num(x)
        tokens, absent = (
            [self.collector.expand(len(x), -1)],
            [torch.zeros(len(x), dtype=torch.bool)],
        )
        for columns, token, name in zip(
            self.sensors, self.tokens, self.names, strict=True
        ):
            available = present[:, columns]
            both = torch.cat([filled[:, columns], available.to(x.dtype)], dim=1)
            tokens.append(token(both) + name)
            absent.append(~available.any(dim=1))
        h, mask = torch.stack(tokens, dim=1), torch.stack(absent, dim=1)
        for layer in self.layers:
            h = layer(h, src_key_padding_mask=mask)
        out: Tensor = self.norm(h[:, 0])
        return out


def triplet_loss(embedding: Tensor, y: Tensor, order: Tensor) -> Tensor:
    """Return the triplet loss whose margin is the difference of distances of ratings.

    Parameters
    ----------
    embedding
        Embeddings, shape (n, w).
    y
        Ratings, shape (n, k).
    order
        Two permutations of the rows, shape (2, n): the two others of each row. The one
        with the nearer ratings is the positive one.
    """
    rated = [torch.linalg.vector_norm(y - y[o], dim=1) for o in order]
    apart = [
        torch.sqrt(((embedding - embedding[o]) ** 2).sum(dim=1) + 1e-6) for o in order
    ]
    margin = rated[1] - rated[0]  # negative where the second one is nearer
    sign = torch.sign(margin)
    off = sign * (apart[0] - apart[1]) + margin.abs()
    return torch.relu(off * sign.abs()).mean()


def fit(
    net: nn.Module,
    z: Array,
    y: Array,
    loss: Callable[[Tensor, Tensor], Tensor],
    hide: Hide,
    config: FusionConfig,
    seed: int,
    weight: Array | None = None,
) -> nn.Module:
    """Train on whole and on masked rows, and return the network.

    Parameters
    ----------
    net
        Network; with a triplet loss it has an ``embedding``.
    z, y
        Scaled features, shape (n, f), NaN where missing; ratings, shape (n, k).
    loss
        Loss of each row, shape (n,), of outputs and ratings.
    hide
        Function that hides features of the masked rows.
    config
        Settings.
    seed
        Seed of batches, masks and triplets.
    weight
        Weight of each row, shape (n,); by default all alike.
    """
    rng = np.random.default_rng(seed)
    descent = torch.optim.AdamW(
        net.parameters(), lr=config.rate, weight_decay=config.decay
    )
    steps = config.epochs * max(len(z) // config.batch, 1)
    pace = torch.optim.lr_scheduler.OneCycleLR(descent, config.rate, total_steps=steps)
    of_row = np.ones(len(z)) if weight is None else weight
    for _ in range(config.epochs):
        order = rng.permutation(len(z))
        for k in range(max(len(z) // config.batch, 1)):
            at = order[k * config.batch : (k + 1) * config.batch]
            both = np.concatenate([z[at], hide(z[at], rng)])
            rated, weights = (
                _tensor(np.concatenate([v, v])) for v in (y[at], of_row[at])
            )
            x, apart = _tensor(both), torch.zeros(())
            if config.triplet and isinstance(net, SensorAttention):
                embedding = net.embedding(x)
                out = net.head(embedding)
                others = np.stack([rng.permutation(len(both)) for _ in range(2)])
                apart = triplet_loss(embedding, rated, torch.from_numpy(others))
            else:
                out = net(x)
            total = (weights * loss(out, rated)).mean() + config.triplet * apart
            descent.zero_grad()
            torch.autograd.backward(total)
            descent.step()
            pace.step()
    return net.eval()


def predicted(net: nn.Module, z: Array) -> Array:
    """Return the outputs of scaled rows, shape (n, k); NaN where all is missing."""
    some = np.flatnonzero(np.isfinite(z).any(axis=1))
    with torch.inference_mode():
        parts = [
            net(_tensor(z[some[k : k + 8192]])).double().numpy()
            for k in range(0, max(len(some), 1), 8192)
        ]
    values = np.concatenate(parts)
    out: Array = np.full((len(z), values.shape[1]), np.nan)
    out[some] = values
    return out


def _tensor(x: Array) -> Tensor:
    return torch.tensor(x, dtype=torch.float32)
