"""A trunk with a head for each label, and its joint training with teachers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from experiments.unified_labels.label_sets import LabelSet, Target, scaled
from physio.core.block import Array


@dataclass(frozen=True)
class NetworkSettings:
    """Settings of the network and its training.

    Parameters
    ----------
    width
        Units of the two layers of the trunk.
    dropout
        Proportion of units that are dropped in training.
    steps
        Steps of descent; each has a batch of every data set.
    batch
        Rows of a batch of one data set.
    rate, decay
        Learning rate and weight decay of AdamW.
    taught
        Share of the teacher in the loss, where there is one.
    """

    width: int = 32
    dropout: float = 0.2
    steps: int = 100
    batch: int = 64
    rate: float = 3e-3
    decay: float = 1e-2
    taught: float = 0.8


class UnifiedNetwork(nn.Module):
    """A shared trunk, and a linear head for each data set.

    Parameters
    ----------
    inputs
        Number of inputs.
    outputs
        Number of outputs of each data set.
    settings
        Settings.
    """

    def __init__(
        self, inputs: int, outputs: Sequence[int], settings: NetworkSettings
    ) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Linear(inputs, settings.width),
            nn.GELU(),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.width, settings.width),
            nn.GELU(),
        )
        self.heads = nn.ModuleList(nn.Linear(settings.width, n) for n in outputs)

    def forward(self, x: Tensor, head: int) -> Tensor:
        """Return the outputs of a data set's head, shape (n, outputs)."""
        return self.heads[head](self.trunk(x))


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained network.

    Parameters
    ----------
    network
        The network.
    scale
        Scale of each input, shape (f,).
    targets
        Labels of each head, by data set.
    """

    network: UnifiedNetwork
    scale: Array
    targets: Mapping[str, tuple[Target, ...]]

    def raw(self, x: Array, name: str) -> Tensor:
        """Return the outputs of a data set's head before any softmax."""
        head = list(self.targets).index(name)
        with torch.no_grad():
            return self.network(_tensor(scaled(x, self.scale)), head)

    def outputs(self, x: Array, name: str) -> list[Array]:
        """Return the outputs of each label: probabilities of classes, or a number."""
        parts = _split(self.raw(x, name), self.targets[name])
        return [
            (p.softmax(dim=1) if t.classes else p).double().numpy()
            for p, t in zip(parts, self.targets[name], strict=True)
        ]


def train(
    sets: Sequence[LabelSet],
    scale: Array,
    settings: NetworkSettings,
    seed: int,
    teachers: Mapping[str, Fitted] | None = None,
) -> Fitted:
    """Train a trunk on one or several data sets.

    Each step draws a batch of every data set. A label that a row lacks has no loss.
    Where teachers are given, the loss of a data set is ``taught`` times its distance
    from its teacher's outputs plus the rest times that from its labels.

    Parameters
    ----------
    sets
        Rows of the data sets.
    scale
        Scale of each input: see `experiments.unified_labels.label_sets.common_scale`.
    settings
        Settings.
    seed
        Seed of the initial weights and of the batches.
    teachers
        A trained network for each data set, by name.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = UnifiedNetwork(len(scale), [s.outputs for s in sets], settings)
    descent = torch.optim.AdamW(
        network.parameters(), lr=settings.rate, weight_decay=settings.decay
    )
    x = [_tensor(scaled(s.x, scale)) for s in sets]
    y = [_labels(s) for s in sets]
    shown = [teachers[s.name].raw(s.x, s.name) if teachers else None for s in sets]
    for _ in range(settings.steps):
        loss = torch.zeros(())
        for k, rows in enumerate(sets):
            at = torch.from_numpy(rng.integers(0, len(rows.x), settings.batch))
            out = network(x[k][at], k)
            task = task_loss(out, y[k][at], rows.targets)
            teacher = shown[k]
            if teacher is not None:
                learned = taught_loss(out, teacher[at], rows.targets)
                task = settings.taught * learned + (1 - settings.taught) * task
            loss = loss + task
        descent.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        descent.step()
    targets = {s.name: s.targets for s in sets}
    return Fitted(network.eval(), scale, targets)


def task_loss(out: Tensor, y: Tensor, targets: Sequence[Target]) -> Tensor:
    """Return the mean loss over labels; rows without a label do not count.

    Cross-entropy for classes, squared error for numbers.
    """
    total = torch.zeros(())
    parts = _split(out, targets)
    for k, (part, target) in enumerate(zip(parts, targets, strict=True)):
        known = torch.isfinite(y[:, k])
        if not known.any():
            continue
        wanted = y[known, k]
        if target.classes:
            total = total + functional.cross_entropy(part[known], wanted.long())
        else:
            total = total + functional.mse_loss(part[known, 0], wanted)
    return total / len(targets)


def taught_loss(out: Tensor, teacher: Tensor, targets: Sequence[Target]) -> Tensor:
    """Return the mean distance from a teacher over labels.

    Kullback-Leibler divergence for classes, squared error for numbers.
    """
    total = torch.zeros(())
    pairs = zip(_split(out, targets), _split(teacher, targets), strict=True)
    for (part, wanted), target in zip(pairs, targets, strict=True):
        if target.classes:
            total = total + functional.kl_div(
                part.log_softmax(dim=1),
                wanted.log_softmax(dim=1),
                reduction="batchmean",
                log_target=True,
            )
        else:
            total = total + functional.mse_loss(part, wanted)
    return total / len(targets)


def _split(out: Tensor, targets: Sequence[Target]) -> tuple[Tensor, ...]:
    return torch.split(out, [t.outputs for t in targets], dim=1)


def _labels(rows: LabelSet) -> Tensor:
    """Return labels with numbers in units of their deviation, shape (n, labels)."""
    columns = [
        t.y if t.classes else (t.y - np.nanmean(t.y)) / max(float(np.nanstd(t.y)), 1e-9)
        for t in rows.targets
    ]
    return _tensor(np.stack(columns, axis=1))


def _tensor(x: Array) -> Tensor:
    return torch.from_numpy(np.asarray(x)).float()
