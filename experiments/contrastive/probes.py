"""Stress from encoders: a linear read-out of frozen ones, and training as a whole."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from experiments.contrastive.encoders import Encoders
from experiments.contrastive.minutes import Minutes
from physio.core.block import Array
from physio.models.rbtransformer import single_thread

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Labelled:
    """Labelled minutes of training participants and of those tested.

    Parameters
    ----------
    minutes
        The minutes.
    y
        Whether each is of stress, 0 or 1, shape (n,).
    rest
        Mask of the first rest of each person, which neither trains nor tests.
    used
        Mask of the minutes that train or test.
    """

    minutes: Minutes
    y: Any
    rest: Any
    used: Any


@dataclass(frozen=True)
class Reading:
    """Settings of the read-out.

    Parameters
    ----------
    sensors
        Sensors that are read.
    c
        Inverse of the penalty of the linear read-out.
    steps, rate, decay
        Steps, learning rate and decay of the weights of the training as a whole.
    people
        Training participants of a step.
    """

    sensors: tuple[str, ...] = ("skin", "heart")
    c: float = 0.01
    steps: int = 40
    rate: float = 1e-3
    decay: float = 1e-2
    people: int = 4


def weights(data: Labelled, train: Rows) -> Array:
    """Return weights of training rows: each laboratory and class counts alike."""
    groups = np.char.add(data.minutes.laboratory[train], data.y[train].astype(str))
    _, at, count = np.unique(groups, return_inverse=True, return_counts=True)
    raw: Array = 1 / count[at]
    return raw / raw.mean()


def changes(z: Array, person: Any, rest: Any) -> Array:
    """Return features less their mean over the person's first rest; 0 if unknown."""
    out = np.zeros_like(z)
    for name in np.unique(person):
        rows = person == name
        first = z[rows & rest]
        known = np.isfinite(first)
        count = known.sum(axis=0)
        total = np.where(known, first, 0).sum(axis=0)
        level = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        out[rows] = z[rows] - level
    return np.nan_to_num(out)


def linear(
    z: Array, data: Labelled, train: Rows, test: Rows, settings: Reading
) -> Array:
    """Return the probability of stress of test rows, read from frozen features.

    Parameters
    ----------
    z
        Changes of the features from the person's first rest, shape (n, k).
    data
        The minutes and their labels.
    train, test
        Rows.
    settings
        Penalty.
    """
    scale = z[train].std(axis=0) + 1e-6
    model = LogisticRegression(C=settings.c, max_iter=500)
    model.fit(z[train] / scale, data.y[train], sample_weight=weights(data, train))
    return np.asarray(model.predict_proba(z[test] / scale)[:, 1])


def whole(
    start: Encoders, data: Labelled, train: Rows, settings: Reading, seed: int
) -> tuple[Encoders, nn.Linear]:
    """Return encoders and a linear layer, trained together on labelled minutes.

    Features are changes from the person's first rest, as those of `linear`.

    Parameters
    ----------
    start
        Encoders whose parameters are the initial ones; they are not changed.
    data
        The minutes and their labels.
    train
        Training rows.
    settings
        Steps, learning rate, sensors.
    seed
        Seed of the linear layer and the batches.
    """
    rng = np.random.default_rng(seed)
    weight = np.zeros(len(data.y))
    weight[train] = weights(data, train)
    people = np.unique(data.minutes.person[train])
    rows_by_person = {
        name: (
            train[data.minutes.person[train] == name],
            np.flatnonzero((data.minutes.person == name) & data.rest),
        )
        for name in people
    }
    with single_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = deepcopy(start).train()
        head = nn.Linear(len(settings.sensors) * start.width, 1)
        nn.init.zeros_(head.weight)
        optimizer = torch.optim.AdamW(
            [*model.encoders.parameters(), *head.parameters()],
            lr=settings.rate,
            weight_decay=settings.decay,
            fused=True,
        )
        x = {s: torch.from_numpy(data.minutes.signals[s]) for s in settings.sensors}
        y = torch.from_numpy(np.asarray(data.y, np.float32))
        importance = torch.from_numpy(weight.astype(np.float32))
        for _ in range(settings.steps):
            drawn = rng.permutation(people)[: settings.people]
            rows = np.concatenate([rows_by_person[name][0] for name in drawn])
            rest = np.concatenate([rows_by_person[name][1] for name in drawn])
            whose = [
                torch.from_numpy(np.searchsorted(people, data.minutes.person[r]))
                for r in (rows, rest)
            ]
            parts = [_moved(model, s, x[s][rows], x[s][rest], *whose) for s in x]
            loss = nn.functional.binary_cross_entropy_with_logits(
                head(torch.cat(parts, dim=-1))[:, 0], y[rows], importance[rows]
            )
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    return model.eval(), head


def _moved(
    model: Encoders,
    sensor: str,
    x: Tensor,
    rest: Tensor,
    whose: Tensor,
    resting: Tensor,
) -> Tensor:
    """Return features of minutes less their mean over the person's first rest.

    ``whose`` and ``resting`` are the numbers of the people of ``x`` and ``rest``.
    """
    z, first = model.features(sensor, x), model.features(sensor, rest)
    known = (~rest[:, 0, 0].isnan()).float()
    people = int(torch.cat([whose, resting]).max()) + 1
    count = torch.zeros(people).index_add(0, resting, known)
    total = torch.zeros(people, z.shape[1]).index_add(0, resting, first)
    level = total / count.clamp(min=1)[:, None]
    present = (~x[:, 0, 0].isnan()) & (count[whose] > 0)
    return torch.where(present[:, None], z - level[whose], torch.zeros_like(z))


def read_whole(
    trained: tuple[Encoders, nn.Linear], data: Labelled, test: Rows, settings: Reading
) -> Array:
    """Return the probability of stress of test rows by a network of `whole`."""
    model, head = trained
    z = changes(
        model.embed(data.minutes, settings.sensors), data.minutes.person, data.rest
    )
    w = head.weight.detach().numpy()[0].astype(np.float64)
    return np.asarray(expit(z[test] @ w + float(head.bias.detach()[0])))
