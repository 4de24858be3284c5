"""Latent variables that raise the features tied to them, and a mixture of classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from physio.core.block import Array

_LOG_2PI = float(np.log(2 * np.pi))
CLASSES = 2


@dataclass(frozen=True)
class FaderConfig:
    """Settings of the latent model.

    Parameters
    ----------
    rest, hidden
        Number of latent variables beside the faders, and hidden units of the encoder.
    steps, batch, rate, decay
        Training by AdamW: steps, unlabelled rows of a step (as many labelled ones),
        learning rate, weight decay.
    divergence, labels, order
        Weight of the divergence from the prior, of the labels, and of the order of
        rows on a fader.
    faders
        False: nothing is tied, all latent variables are free; for the ablation.
    """

    rest: int = 2
    hidden: int = 32
    steps: int = 250
    batch: int = 128
    rate: float = 3e-3
    decay: float = 1e-2
    divergence: float = 0.3
    labels: float = 1.0
    order: float = 1.0
    faders: bool = True


class Rows(NamedTuple):
    """Rows that train: features (n, f), NaN where missing; classes; weights (n,).

    ``y`` is -1 where the class is unknown; ``weight`` is that of a labelled row.
    """

    z: Array
    y: Array
    weight: Array


class FaderNetwork(nn.Module):
    """A variational autoencoder with monotone faders and a mixture of classes.

    A fader never lowers the decoded features that are tied to it. The classes are
    Gaussians over all latent variables, with means and variances that are trained. A
    missing feature enters as no change, and is not decoded.

    Parameters
    ----------
    features
        Number of features.
    tied
        Columns of the features tied to each fader.
    config
        Sizes.
    """

    mask: Tensor

    def __init__(
        self, features: int, tied: Sequence[Sequence[int]], config: FaderConfig
    ) -> None:
        super().__init__()
        size, hidden = len(tied) + config.rest, config.hidden
        self.tied = [list(t) for t in tied] if config.faders else []
        mask = torch.zeros(len(tied), features)
        for k, columns in enumerate(self.tied):
            mask[k, columns] = 1.0
        self.register_buffer("mask", mask)
        self.encoder = nn.Sequential(
            nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, 2 * size)
        )
        self.straight = nn.Parameter(torch.zeros(len(tied), features))
        self.bent = nn.Parameter(torch.full((len(tied), features), -2.0))
        free = config.rest if config.faders else size
        self.free = nn.Sequential(
            nn.Linear(free, hidden), nn.GELU(), nn.Linear(hidden, features)
        )
        self.noise = nn.Parameter(torch.zeros(features))
        self.mean = nn.Parameter(0.1 * torch.randn(CLASSES, size))
        self.spread = nn.Parameter(torch.zeros(CLASSES, size))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the latent variables, shape (n, k) each."""
        mean, spread = self.encoder(torch.nan_to_num(x)).chunk(2, dim=1)
        return mean, spread.clamp(-6, 2)

    def decode(self, h: Tensor) -> Tensor:
        """Return features, shape (n, f), of latent variables, (n, k)."""
        if not self.tied:
            out: Tensor = self.free(h)
            return out
        faders = h[:, : len(self.tied)]
        rise = nn.functional.softplus(self.straight) * self.mask
        bend = nn.functional.softplus(self.bent) * self.mask
        raised: Tensor = faders @ rise + torch.tanh(faders) @ bend
        return raised + self.free(h[:, len(self.tied) :])

    def log_classes(self, h: Tensor) -> Tensor:
        """Return the log probability of each class, shape (n, 2)."""
        off = h[:, None, :] - self.mean
        spread = self.spread.clamp(-3, 3)
        log_density = -0.5 * (off**2 * torch.exp(-spread) + spread).sum(dim=2)
        return torch.log_softmax(log_density, dim=1)

    def divergence(self, mean: Tensor, spread: Tensor) -> Tensor:
        """Return the divergence of rows from each class, shape (n, 2)."""
        prior = self.spread.clamp(-3, 3)
        off = (mean[:, None, :] - self.mean) ** 2 + torch.exp(spread)[:, None, :]
        parts = prior - spread[:, None, :] + off * torch.exp(-prior) - 1
        return 0.5 * parts.sum(dim=2)

    def loss(self, x: Tensor, y: Tensor, weight: Tensor, config: FaderConfig) -> Tensor:
        """Return the loss of rows with classes ``y``, -1 where unknown."""
        mean, spread = self.encode(x)
        h = mean + torch.exp(0.5 * spread) * torch.randn_like(mean)
        present = torch.isfinite(x)
        off = torch.where(present, torch.nan_to_num(x) - self.decode(h), 0.0)
        noise = self.noise.clamp(-4, 4)
        fit = 0.5 * (off**2 * torch.exp(-noise) + noise + _LOG_2PI) * present
        log_p = self.log_classes(h)
        known = y >= 0
        classes = torch.where(
            known[:, None],
            nn.functional.one_hot(y.clamp(min=0), CLASSES).to(x.dtype),
            log_p.exp(),
        )
        apart = (classes * self.divergence(mean, spread)).sum(dim=1)
        even = (log_p.exp() * (log_p + float(np.log(CLASSES)))).sum(dim=1)
        total = fit.sum(dim=1) + config.divergence * (apart + ~known * even)
        out = total.mean()
        if known.any():
            wrong = -self.log_classes(mean)[known, y[known]]
            out = out + config.labels * (weight[known] * wrong).mean()
        if self.tied:
            out = out + config.order * self.disorder(mean, x)
        return out

    def disorder(self, mean: Tensor, x: Tensor) -> Tensor:
        """Return how far the order of rows on the faders is from that of features.

        The error, over pairs of rows, between the squashed difference on a fader and
        the sign of the difference of the mean tied feature (after Pati and Lerch 2021).
        """
        total, other = torch.zeros(()), torch.randperm(len(x))
        for k, columns in enumerate(self.tied):
            level = torch.nanmean(x[:, columns], dim=1)
            known = torch.isfinite(level) & torch.isfinite(level[other])
            if known.any():
                steps = torch.tanh(mean[:, k] - mean[other, k])
                signs = torch.sign(level - level[other])
                total = total + ((steps - torch.nan_to_num(signs))[known] ** 2).mean()
        return total


def train(
    rows: Rows, tied: Sequence[Sequence[int]], config: FaderConfig, seed: int
) -> FaderNetwork:
    """Train on labelled and unlabelled rows, features scaled."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = FaderNetwork(rows.z.shape[1], tied, config)
    descent = torch.optim.AdamW(
        net.parameters(), lr=config.rate, weight_decay=config.decay
    )
    labelled = np.flatnonzero((rows.y >= 0) & (rows.weight > 0))
    for _ in range(config.steps):
        at = rng.integers(0, len(rows.z), config.batch)
        classes = np.full(config.batch, -1)
        if len(labelled):
            some = rng.choice(labelled, config.batch)
            at, classes = np.concatenate([at, some]), np.append(classes, rows.y[some])
        x = torch.tensor(rows.z[at], dtype=torch.float32)
        weight = torch.tensor(rows.weight[at], dtype=torch.float32)
        loss = net.loss(x, torch.tensor(classes), weight, config)
        descent.zero_grad()
        torch.autograd.backward(loss)
        descent.step()
    return net.eval()


def probability(net: FaderNetwork, z: Array) -> Array:
    """Return the probability of class 1 of scaled rows, shape (n,)."""
    with torch.inference_mode():
        mean, _ = net.encode(torch.tensor(z, dtype=torch.float32))
        out: Array = net.log_classes(mean).exp()[:, 1].double().numpy()
    return out


def columns_of(
    names: Sequence[str], tied: Mapping[str, Sequence[str]]
) -> list[list[int]]:
    """Return the columns of the features tied to each fader."""
    return [[names.index(c) for c in some] for some in tied.values()]
