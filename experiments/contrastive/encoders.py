"""Encoders of sensors, and their training on pairs of sensors without labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from experiments.contrastive.minutes import CHANNELS, RATES, Minutes
from physio.core.block import Array
from physio.models.rbtransformer import single_thread

_PATCH: Final = 8  # s
_LEAST: Final = 4  # minutes with both sensors that a pair needs


@dataclass(frozen=True)
class Pretraining:
    """Settings of the encoders and of their pre-training.

    Parameters
    ----------
    steps
        Number of steps; 0 leaves the initial parameters.
    batch
        Minutes of a step, of one laboratory, each of another trial.
    temperature
        Divisor of the cosine similarities.
    rate, decay
        Learning rate, and decay of the weights.
    width
        Number of features of each sensor.
    """

    steps: int = 300
    batch: int = 32
    temperature: float = 0.07
    rate: float = 1e-3
    decay: float = 1e-3
    width: int = 32


class SensorEncoder(nn.Module):
    """Two layers over overlapping patches of a minute, then mean and maximum over time.

    Parameters
    ----------
    sensor
        Name of the sensor.
    width
        Number of features.
    """

    def __init__(self, sensor: str, width: int) -> None:
        super().__init__()
        self.patch = _PATCH * RATES[sensor]
        self.layers = nn.Sequential(
            nn.Linear(CHANNELS[sensor] * self.patch, width), nn.GELU(),
            nn.Linear(width, width), nn.GELU(),
        )  # fmt: skip
        self.out = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features, (B, width), of minutes, (B, channels, samples)."""
        patches = x.unfold(-1, self.patch, self.patch // 2).transpose(1, 2)
        y = self.layers(patches.flatten(2))
        pooled = torch.cat([y.mean(dim=1), y.amax(dim=1)], dim=-1)
        out: Tensor = self.out(pooled)
        return out


class Encoders(nn.Module):
    """One encoder per sensor, with a projection that only the pre-training reads.

    Parameters
    ----------
    width
        Number of features of each sensor.
    sensors
        Names of the sensors.
    """

    def __init__(self, width: int, sensors: Sequence[str] = tuple(RATES)) -> None:
        super().__init__()
        self.width = width
        self.encoders = nn.ModuleDict({s: SensorEncoder(s, width) for s in sensors})
        self.projections = nn.ModuleDict(
            {
                s: nn.Sequential(
                    nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)
                )
                for s in sensors
            }
        )

    def projected(self, sensor: str, x: Tensor) -> Tensor:
        """Return the projections of minutes of a sensor, of length 1."""
        z = self.projections[sensor](self.encoders[sensor](x))
        return nn.functional.normalize(z, dim=-1)

    def features(self, sensor: str, x: Tensor) -> Tensor:
        """Return the features of minutes of a sensor, 0 where it is absent."""
        absent = x[:, 0, 0].isnan()
        z = self.encoders[sensor](torch.nan_to_num(x))
        return torch.where(absent[:, None], torch.zeros_like(z), z)

    def embed(self, minutes: Minutes, sensors: Sequence[str]) -> Array:
        """Return the features of some sensors, (n, k), NaN where one is absent."""
        parts = []
        with single_thread(), torch.no_grad():
            for sensor in sensors:
                x = torch.from_numpy(np.asarray(minutes.signals[sensor], np.float32))
                z = self.features(sensor, x).numpy().astype(np.float64)
                parts.append(np.where(minutes.present(sensor)[:, None], z, np.nan))
        return np.hstack(parts)


def pairs_loss(z: Tensor, present: Tensor, temperature: float) -> Tensor:
    """Return the symmetric cross-entropy of pairing sensors, mean over their pairs.

    A minute of one sensor is paired with the minutes of the other in which both are
    present. A pair with fewer than four such minutes does not count.

    Parameters
    ----------
    z
        Projections of length 1, shape (sensors, B, width).
    present
        Whether each sensor is present, bool, shape (sensors, B).
    temperature
        Divisor of the cosine similarities.

    Returns
    -------
    Tensor
        The loss; NaN without a pair.
    """
    ordered = torch.tensor(list(permutations(range(len(z)), 2)))
    first, other = z[ordered[:, 0]], z[ordered[:, 1]]
    both = present[ordered[:, 0]] & present[ordered[:, 1]]
    similar = first @ other.transpose(1, 2) / temperature
    similar = similar.masked_fill(~both[:, None], -torch.inf)
    similar = similar.masked_fill(~both[:, :, None], 0.0)
    right = similar.log_softmax(dim=-1).diagonal(dim1=1, dim2=2)
    count = both.sum(dim=1)
    loss = -(right * both).sum(dim=1) / count.clamp(min=1)
    return loss[count >= _LEAST].mean()


def batches(
    minutes: Minutes, size: int, steps: int, rng: np.random.Generator
) -> Iterator[Array]:
    """Yield rows of a batch: one laboratory, one minute of each trial.

    Laboratories are drawn by their number of minutes.
    """
    trials = np.unique(minutes.trial, return_inverse=True)[1]
    labs, lab = np.unique(minutes.laboratory, return_inverse=True)
    share = np.bincount(lab) / len(lab)
    rows_by_lab = []
    for k in range(len(labs)):
        rows = np.flatnonzero(lab == k)
        order = np.argsort(trials[rows], kind="stable")
        ends = np.unique(trials[rows][order], return_index=True)[1][1:]
        rows_by_lab.append(np.split(rows[order], ends))
    for k in rng.choice(len(labs), steps, p=share):
        groups = rows_by_lab[k]
        drawn = rng.permutation(len(groups))[:size]
        yield np.array([rng.choice(groups[g]) for g in drawn])


def pretrained(minutes: Minutes, settings: Pretraining, seed: int) -> Encoders:
    """Return encoders that were trained to pair the sensors of the same minute.

    The loss is `pairs_loss` of the sensors that are present.

    Parameters
    ----------
    minutes
        Minutes without labels.
    settings
        Steps, batch, temperature, size.
    seed
        Seed of parameters and batches.
    """
    with single_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Encoders(settings.width)
        if not settings.steps:
            return model.eval()
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.rate, weight_decay=settings.decay,
            fused=True,
        )  # fmt: skip
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
        rng = np.random.default_rng(seed)
        x = {
            s: torch.nan_to_num(torch.from_numpy(v)) for s, v in minutes.signals.items()
        }
        present = {s: torch.from_numpy(minutes.present(s)) for s in RATES}
        for rows in batches(minutes, settings.batch, settings.steps, rng):
            sensors = [s for s in RATES if present[s][rows].any()]
            z = torch.stack([model.projected(s, x[s][rows]) for s in sensors])
            where = torch.stack([present[s][rows] for s in sensors])
            loss = pairs_loss(z, where, settings.temperature)
            if loss.isfinite():
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
            schedule.step()
    return model.eval()


def retrieval(
    model: Encoders,
    minutes: Minutes,
    pair: tuple[str, str],
    seed: int,
    *,
    size: int = 16,
    draws: int = 50,
) -> float:
    """Return how often a sensor's nearest minute of another is the same minute.

    Among minutes of ``size`` different people, by chance 1 / size.
    """
    rng = np.random.default_rng(seed)
    known = np.flatnonzero(minutes.present(pair[0]) & minutes.present(pair[1]))
    people = minutes.person[known]
    names = np.unique(people)
    right = []
    with single_thread(), torch.no_grad():
        for _ in range(draws):
            drawn = rng.permutation(names)[:size]
            rows = [int(rng.choice(known[people == n])) for n in drawn]
            a, b = (
                model.projected(s, torch.from_numpy(minutes.signals[s][rows]))
                for s in pair
            )
            nearest = (a @ b.T).argmax(dim=1).numpy()
            right.append(np.mean(nearest == np.arange(len(rows))))
    return float(np.mean(right))
