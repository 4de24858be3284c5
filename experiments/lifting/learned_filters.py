"""Learning of lifting taps by the loss of the logistic regression that reads them."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  as everybody calls it

from experiments.lifting.lifting_filters import powers, wavelet
from physio.core.block import Array
from physio.models.rbtransformer import single_thread

PENALTY: Final = 0.01
"""Inverse strength of the penalty (``C``) of logistic regression."""

_HEAD_RATE: Final = 0.03
_LEAST: Final = 1e-12


@dataclass(frozen=True)
class Learning:
    """Settings of the learning of lifting taps.

    Parameters
    ----------
    steps
        Lifting steps of a level.
    epochs
        Gradient steps, each on a random half of the training participants.
    rate
        Learning rate of the taps (Adam, with a cosine schedule).
    pull
        Strength of the penalty on the squared distance from the wavelet.
    """

    steps: int = 2
    epochs: int = 150
    rate: float = 0.01
    pull: float = 0.0


def entropies(taps: Tensor, spectra: Tensor, frequencies: Tensor) -> Tensor:
    """Return entropies up to a constant, shape (n, electrodes, levels).

    Parameters
    ----------
    taps
        Taps, shape (levels, steps, taps).
    spectra
        Power of windows at ``frequencies``, shape (n, electrodes, frequencies).
    frequencies
        Frequencies in cycles per sample.
    """
    response = powers(taps, frequencies).to(spectra.dtype)
    return 0.5 * torch.log2(spectra @ response.T + _LEAST)


def learned(
    settings: Learning,
    spectra: Array,
    y: Any,
    people: Any,
    baseline: Any,
    seed: int,
) -> Array:
    """Return learned taps, shape (levels, steps, taps).

    Taps and weights of a logistic regression on entropies relative to the
    participant's baseline minimise its balanced loss together. The sum of the taps of
    a step does not change: a constant signal has no energy in any sub-band.

    Parameters
    ----------
    settings
        Settings.
    spectra
        Power of windows, shape (n, electrodes, frequencies from 0 to half the rate).
    y, people, baseline
        Class (0 or 1), participant and whether it is of the baseline, for each window;
        the class of baseline windows is not used.
    seed
        Seed of the participants of each step.
    """
    start = torch.as_tensor(wavelet(settings.steps))
    offsets = torch.zeros_like(start, requires_grad=True)
    _, who = np.unique(np.asarray(people), return_inverse=True)
    x = torch.as_tensor(spectra, dtype=torch.float32)
    frequencies = torch.linspace(0, 0.5, x.shape[2], dtype=torch.float64)
    rows = torch.as_tensor(who)
    target = torch.as_tensor(np.asarray(y), dtype=torch.float32)
    resting = torch.as_tensor(np.asarray(baseline, np.bool_))
    width = x.shape[1] * start.shape[0]
    head = torch.zeros(width + 1, requires_grad=True)
    groups = [
        {"params": [offsets], "lr": settings.rate},
        {"params": [head], "lr": _HEAD_RATE},
    ]
    rng = np.random.default_rng(seed)
    n = int(who.max()) + 1
    with single_thread():
        optimizer = torch.optim.Adam(groups)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs)
        for _ in range(settings.epochs):
            drawn = np.isin(who, rng.permutation(n)[: max(n // 2, 2)])
            part = torch.as_tensor(np.flatnonzero(drawn))
            taps = start + offsets - offsets.mean(dim=2, keepdim=True)
            z = entropies(taps, x[part], frequencies).flatten(1)
            z, used = _relative(z, rows[part], resting[part], n)
            loss = _loss(z[used], target[part][used], head)
            loss = loss + settings.pull * offsets.square().sum()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            cosine.step()
    taps = start + offsets - offsets.mean(dim=2, keepdim=True)
    return np.asarray(taps.detach().numpy(), np.float64)


def _relative(
    z: Tensor, people: Tensor, resting: Tensor, n: int
) -> tuple[Tensor, Tensor]:
    """Return features less the mean of the participant's baseline, and usable rows."""
    count = torch.zeros(n).index_add(0, people[resting], torch.ones(int(resting.sum())))
    sums = torch.zeros(n, z.shape[1]).index_add(0, people[resting], z[resting])
    return z - (sums / count.clamp(min=1)[:, None])[people], ~resting


def _loss(z: Tensor, y: Tensor, head: Tensor) -> Tensor:
    """Return the balanced loss of logistic regression on standardized features."""
    z = (z - z.mean(dim=0)) / (z.std(dim=0) + 1e-6)
    share = y.mean().clamp(0.01, 0.99)
    weights = torch.where(y > 0, 0.5 / share, 0.5 / (1 - share))
    logits = z @ head[:-1] + head[-1]
    loss = F.binary_cross_entropy_with_logits(logits, y, weights)
    return loss + head[:-1].square().sum() / (2 * PENALTY * len(y))
