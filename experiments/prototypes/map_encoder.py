"""The encoder behind a map: a small network with a plain head for its training."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from experiments.prototypes.affect_map import CENTRES, bins
from physio.core.block import Array


@dataclass(frozen=True)
class EncoderSettings:
    """Settings of the encoder and its training.

    Parameters
    ----------
    width, size
        Units of the hidden layer and of the embedding.
    dropout
        Proportion of hidden units that are dropped in training.
    steps, batch
        Steps of descent, and rows of a batch.
    rate, decay
        Learning rate and weight decay of AdamW.
    geometry
        Weight of the regularisers of geometry; 0 for none.
    cap
        Variance of unit embeddings of a bin of high valence that costs nothing.
    likeness
        Cosine between the means of two bins that costs nothing.
    """

    width: int = 64
    size: int = 32
    dropout: float = 0.2
    steps: int = 100
    batch: int = 256
    rate: float = 3e-3
    decay: float = 1e-2
    geometry: float = 0.0
    cap: float = 0.3
    likeness: float = 0.5


@dataclass(frozen=True, eq=False)
class MapEncoder:
    """A trained encoder with its plain head.

    Parameters
    ----------
    body, head
        The layers.
    scale
        Scale of the inputs, shape (f,).
    """

    body: nn.Module
    head: nn.Module
    scale: Array

    def embed(self, x: Array) -> Array:
        """Return embeddings, shape (n, d)."""
        with torch.no_grad():
            return np.asarray(self.body(self._input(x)).double().numpy())

    def plain(self, x: Array) -> Array:
        """Return valence and arousal of the plain head, shape (n, 2)."""
        with torch.no_grad():
            return np.asarray(self.head(self.body(self._input(x))).double().numpy())

    def _input(self, x: Array) -> Tensor:
        return inputs(x, self.scale)


def inputs(x: Array, scale: Array) -> Tensor:
    """Return inputs in units of their scale; missing ones are as at the beginning."""
    return torch.from_numpy(np.clip(np.nan_to_num(x / scale), -5, 5)).float()


def train(x: Array, affect: Array, settings: EncoderSettings, seed: int) -> MapEncoder:
    """Train the encoder and its plain head by squared error.

    Parameters
    ----------
    x
        Inputs relative to the person's beginning; NaN where missing, shape (n, f).
    affect
        Rated valence and arousal on [-1, 1], shape (n, 2).
    settings
        Settings.
    seed
        Seed of weights and batches.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    known = np.where(np.isfinite(x), x, 0.0)
    scale = np.maximum(known.std(axis=0), 1e-9)
    body = nn.Sequential(
        nn.Linear(x.shape[1], settings.width),
        nn.GELU(),
        nn.Dropout(settings.dropout),
        nn.Linear(settings.width, settings.size),
    )
    head = nn.Linear(settings.size, 2)
    descent = torch.optim.AdamW(
        [*body.parameters(), *head.parameters()],
        lr=settings.rate,
        weight_decay=settings.decay,
    )
    rows, wanted = inputs(x, scale), torch.from_numpy(affect).float()
    at_bin = torch.from_numpy(bins(affect))
    for step in range(settings.steps):
        at = torch.from_numpy(rng.integers(0, len(x), settings.batch))
        embedded = body(rows[at])
        loss = ((head(embedded) - wanted[at]) ** 2).mean()
        if settings.geometry:
            share = ramp((step + 1) / settings.steps)
            cost = geometry_loss(embedded, at_bin[at], settings.cap, settings.likeness)
            loss = loss + settings.geometry * share * cost
        descent.zero_grad()
        loss.backward()
        descent.step()
    return MapEncoder(body.eval(), head.eval(), scale)


def ramp(done: float) -> float:
    """Return the weight of the regularisers: a cosine from 20 to 60 % of the steps."""
    share = min(max((done - 0.2) / 0.4, 0.0), 1.0)
    return float(0.5 - 0.5 * np.cos(np.pi * share))


def geometry_loss(embedded: Tensor, at: Tensor, cap: float, likeness: float) -> Tensor:
    """Return the cost of wide bins of high valence and of bins that are alike."""
    directions = nn.functional.normalize(embedded, dim=1)
    members = nn.functional.one_hot(at, len(CENTRES) ** 2).float()
    counts = members.sum(dim=0)
    full = torch.nonzero(counts > 1)[:, 0]
    if len(full) < 2:
        return torch.zeros(())
    means = (members.T @ directions) / counts.clamp(min=1)[:, None]
    # The mean squared distance of unit vectors from their mean.
    spread = 1 - (means[full] ** 2).sum(dim=1)
    high = full // len(CENTRES) >= len(CENTRES) - 2
    wide = torch.relu(spread - cap)[high].sum() / high.sum().clamp(min=1)
    centres = nn.functional.normalize(means[full], dim=1)
    pairs = torch.triu_indices(len(full), len(full), 1)
    alike = (centres @ centres.T)[pairs[0], pairs[1]]
    return wide + torch.relu(alike - likeness).mean()
