"""First-order MAML over participants, after DSAML."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import torch
from torch import Tensor, nn

from physio.core.block import Array

_STEPS: Final = 16  # gradient steps on a participant's labels
_RATE: Final = 0.02  # learning rate of these steps
_ROUNDS: Final = 300
_WIDTH: Final = 16


@dataclass(frozen=True)
class FirstOrderMAML:
    """A small network that adapts to a participant in a few gradient steps.

    Its inputs are the features of a condition and the estimate of the expert; its
    output is a correction of valence and arousal.

    Notes
    -----
    After Zhang et al. 2025 (DSAML, arXiv 2412.19200): tasks are participants, the
    support is one or two of their conditions, the query the others; gradients of the
    query are taken at the adapted weights and applied to the initial weights (first
    order). Deviations: their network reads music and has another loss; this one has a
    hundred weights and a squared error, to suit a dozen participants.
    """

    net: Any
    scale: Array
    sd: Array

    @classmethod
    def learn(cls, participants: Sequence[Any], seed: int) -> Self:
        """Learn initial weights from held-out estimates and ratings of participants."""
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        scale = np.nanstd(np.concatenate([p.z for p in participants]), axis=0)
        tasks = [_task(p, scale) for p in participants]
        net = _network(tasks[0][0].shape[1])
        outer = torch.optim.Adam(net.parameters(), lr=2e-3, weight_decay=1e-3)
        for _ in range(_ROUNDS):
            outer.zero_grad()
            for x, y in (tasks[i] for i in rng.choice(len(tasks), 4, replace=False)):
                order = rng.permutation(len(x))
                k = int(rng.integers(1, 3))
                adapted = _adapt(net, x[order[:k]], y[order[:k]])
                loss = _loss(adapted(x[order[k:]]), y[order[k:]])
                grads = torch.autograd.grad(loss, list(adapted.parameters()))
                for parameter, grad in zip(net.parameters(), grads, strict=True):
                    parameter.grad = (
                        grad if parameter.grad is None else parameter.grad + grad
                    )
            outer.step()
        off = []
        for x, y in tasks:
            for i in range(len(x)):
                others = [j for j in range(len(x)) if j != i]
                error = y[others] - _adapt(net, x[[i]], y[[i]])(x[others]).detach()
                off.append(error.numpy())
        sd = np.sqrt(np.nanmean(np.concatenate(off) ** 2, axis=0))
        return cls(net, scale, sd)

    def adapted(self, participant: Any, labelled: list[int]) -> tuple[Array, Array]:
        """Return means and SDs of a participant's conditions, (units, 3) each."""
        x, y = _task(participant, self.scale)
        net = _adapt(self.net, x[labelled], y[labelled]) if labelled else self.net
        mean, sd = participant.mean.copy(), participant.sd.copy()
        mean[:, :2] += net(x).detach().double().numpy()
        sd[:, :2] = self.sd
        return mean, sd


def _network(width: int) -> nn.Module:
    last = nn.Linear(_WIDTH, 2)
    nn.init.zeros_(last.weight)  # the initial correction is 0
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(width, _WIDTH), nn.Tanh(), last)


def _task(participant: Any, scale: Array) -> tuple[Tensor, Tensor]:
    z = np.where(np.isfinite(participant.z), participant.z, 0.0) / scale
    x = np.column_stack([z, np.nan_to_num(participant.mean[:, :2])])
    y = (participant.ratings - participant.mean)[:, :2]
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)


def _adapt(net: Any, x: Tensor, y: Tensor) -> nn.Module:
    """Return a copy of the network after a few steps on a participant's labels."""
    adapted = _network(x.shape[1])
    adapted.load_state_dict(net.state_dict())
    inner = torch.optim.SGD(adapted.parameters(), lr=_RATE)
    for _ in range(_STEPS):
        inner.zero_grad()
        _loss(adapted(x), y).backward()  # type: ignore[no-untyped-call]
        inner.step()
    return adapted


def _loss(predicted: Tensor, rated: Tensor) -> Tensor:
    known = ~rated.isnan()
    off = torch.where(known, rated, predicted) - predicted
    return (off**2).sum() / known.sum().clamp(min=1)
