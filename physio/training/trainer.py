"""Training of a network by gradient descent, deterministic for a given seed.

All windows are held in memory as one tensor; a step uses a subset of its rows. A run
that is stopped resumes from its last checkpoint, and gives the same bits.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from math import cos, pi
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from physio.core.block import Array
from physio.models.rbtransformer import (
    Dropout,
    RBTransformer,
    RBTransformerConfig,
    single_thread,
)
from physio.training import checkpoint
from physio.training.checkpoint import Checkpoints

ProgressCallback = Callable[[int, float], None]
"""Callback after each epoch: its number, and the mean loss of its steps."""


@dataclass(frozen=True)
class TrainingConfig:
    """Training settings of a network; the defaults are RBTransformer's published ones.

    The optimiser is AdamW, with a cosine schedule from ``rate`` down to ``floor`` over
    the epochs. There is no early stopping: the weights of the last epoch are used.

    Parameters
    ----------
    epochs
        Passes over all windows.
    batches
        Batch sizes, each used for an equal part of the epochs.
    rate, decay, floor
        Initial learning rate, weight decay and final learning rate of AdamW.
    clip
        Maximum norm of the gradient; 0 for no clipping.
    missing
        Maximum proportion of electrodes that are dropped at random, drawn for each
        window, so that the network tolerates missing electrodes. At least one remains.
    jitter
        Standard deviation of the noise added to the features: one part common to a band
        of all electrodes of a window, one of equal size for each electrode. It stands
        for the uncertainty of participants' baselines.
    precision
        ``bfloat16`` computes products in 16 bits.
    compile
        True to compile the network first, which takes half a minute and requires a C++
        compiler.
    device
        Device of torch: ``cpu``, ``cuda``.
    threads
        1, so that sums are in the same order on any machine; 0: the default of torch.
    """

    epochs: int = 300
    batches: tuple[int, ...] = (256, 64)
    rate: float = 1e-3
    decay: float = 1e-3
    floor: float = 1e-6
    clip: float = 0.0
    missing: float = 0.0
    jitter: float = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    device: str = "cpu"
    threads: Literal[0, 1] = 1

    def __post_init__(self) -> None:
        if self.epochs < 1 or not self.batches or min(self.batches) < 1:
            raise ValueError(
                f"a schedule has an epoch and a window in a step at least, not "
                f"{self.epochs} and {self.batches}"
            )
        if not 0 <= self.missing < 1:
            raise ValueError(f"missing must be from 0 to below 1, not {self.missing}")

    def batch(self, epoch: int) -> int:
        """Return the batch size of an epoch."""
        return self.batches[epoch * len(self.batches) // self.epochs]

    def rate_of(self, epoch: int) -> float:
        """Return the learning rate of an epoch."""
        falling = 0.5 * (1 + cos(pi * epoch / self.epochs))
        return self.floor + (self.rate - self.floor) * falling


class Fit(NamedTuple):
    """Trained network, and the mean loss over the steps of each epoch."""

    model: RBTransformer
    losses: tuple[float, ...]


def fit(
    config: RBTransformerConfig,
    x: Array,
    y: Array,
    schedule: TrainingConfig,
    seed: int,
    *,
    begin: RBTransformer | None = None,
    checkpoints: Checkpoints | None = None,
    on_progress: ProgressCallback | None = None,
) -> Fit:
    """Fit an RBTransformer.

    Parameters
    ----------
    config
        Size and kind of the network.
    x
        Features, shape (n, E, bands); an electrode with a NaN is left out.
    y
        Class numbers, shape (n,); or ratings, shape (n, 3), NaN where missing.
    schedule
        Training settings.
    seed
        Seed of the initial weights, the order of windows, dropout and all other random
        numbers.
    begin
        Network of the same config that provides the initial weights.
    checkpoints
        Folder and interval of checkpoints; by default none are written.
    on_progress
        Called after each epoch.

    Raises
    ------
    ValueError
        If the folder contains a checkpoint of other settings or data.
    """
    threads = single_thread() if schedule.threads == 1 else nullcontext()
    with threads, torch.random.fork_rng(_cards(schedule)):
        torch.manual_seed(seed)
        model = RBTransformer(config)
        if begin is not None:
            model.load_state_dict(begin.state_dict())
        whole = config.head == "classes"
        tensors = (
            torch.as_tensor(x, dtype=torch.float32),
            torch.as_tensor(y, dtype=torch.int64 if whole else torch.float32),
        )
        run = Run(model, tensors, schedule)
        mark = checkpoint.mark(
            asdict(config), asdict(schedule), seed, *tensors, *model.parameters()
        )
        losses = [] if checkpoints is None else run.resumed(checkpoints.folder, mark)
        for epoch in range(len(losses), schedule.epochs):
            losses.append(run.epoch(epoch))
            if checkpoints is not None and (
                (epoch + 1) % checkpoints.every == 0 or epoch + 1 == schedule.epochs
            ):
                run.store(checkpoints.folder, mark, losses)
            if on_progress is not None:
                on_progress(epoch, losses[-1])
    for layer in model.modules():
        if isinstance(layer, Dropout):
            layer.bits = None
    return Fit(model.cpu().eval(), tuple(losses))


class Run:
    """State of a training run: network, optimiser, windows and random bits.

    Parameters
    ----------
    model
        Network, which is moved to the schedule's device.
    tensors
        Features, (n, E, bands), and targets, (n,) or (n, 3).
    schedule
        Training settings.
    """

    def __init__(
        self,
        model: RBTransformer,
        tensors: tuple[Tensor, Tensor],
        schedule: TrainingConfig,
    ) -> None:
        self.schedule = schedule
        self.model = model.to(schedule.device).train()
        present = tensors[0].isfinite().all(dim=2)
        x = torch.where(present[..., None], tensors[0], 0.0)
        self.x, self.y = x.to(schedule.device), tensors[1].to(schedule.device)
        self.present = None if present.all() else present.to(schedule.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=schedule.rate,
            weight_decay=schedule.decay,
            fused=True,
        )
        self.noise = None
        if schedule.device == "cpu":
            most = self.x[:1].expand(max(schedule.batches), -1, -1)
            self.noise = RandomBits(self.model, most)
        self.compiled = None
        if schedule.compile:
            self.compiled = torch.compile(self._terms, dynamic=False)

    def epoch(self, epoch: int) -> float:
        """Train on each window once; return the mean loss of the steps."""
        n, batch = len(self.x), self.schedule.batch(epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate_of(epoch)
        order = torch.randperm(n).to(self.x.device)
        total = torch.zeros((), device=self.x.device)
        steps = range(0, n, batch)
        for i in steps:
            total += self.step(order[i : i + batch])
        return float(total) / len(steps)

    def step(self, rows: Tensor) -> Tensor:
        """Take one step on some windows; return the loss."""
        x, mask = self._varied(rows)
        if self.noise is not None:
            self.noise.draw()
        # A smaller last batch would require a separate compilation.
        whole = len(rows) == self.schedule.batches[0]
        terms = self.compiled if self.compiled is not None and whole else self._terms
        self.optimizer.zero_grad()
        loss = terms(x, self.y[rows], mask)
        torch.autograd.backward(loss)
        if self.schedule.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.schedule.clip)
        self.optimizer.step()
        return loss.detach()

    def _terms(self, x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
        kind, low = self.schedule.device, self.schedule.precision == "bfloat16"
        with torch.autocast(kind.split(":")[0], torch.bfloat16, enabled=low):
            terms = self.model.loss(x, y, mask)
        return torch.stack(list(terms.values())).sum()

    def _varied(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return windows with added noise, and the mask of remaining electrodes."""
        jitter, missing = self.schedule.jitter, self.schedule.missing
        x, mask = self.x[rows], None if self.present is None else self.present[rows]
        b, e, _ = x.shape
        if jitter:
            both = torch.randn(b, 1, x.shape[2]) + torch.randn(x.shape)
            x = x + jitter * both.to(x.device)
        if not missing:
            return x, mask
        selected = (torch.rand(b, e) >= missing * torch.rand(b, 1)).to(x.device)
        if mask is not None:
            selected &= mask
        none = ~selected.any(dim=1, keepdim=True)
        first = torch.zeros_like(selected)
        at = 0 if mask is None else mask.int().argmax(dim=1)
        first[torch.arange(b, device=x.device), at] = True
        return x, selected | (none & first)

    def store(self, folder: Path, mark: str, losses: Sequence[float]) -> None:
        """Write a checkpoint with the complete state before the next epoch."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        states = self.optimizer.state_dict()["state"]
        for i, state in states.items():
            tensors |= {f"adam.{i}.{k}": v for k, v in state.items()}
        tensors["random"] = torch.get_rng_state()
        if self.schedule.device.startswith("cuda"):
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        checkpoint.write(folder, mark, tensors, losses)

    def resumed(self, folder: Path, mark: str) -> list[float]:
        """Load the checkpoint of the folder, if any; return the losses so far."""
        stored = checkpoint.read(folder, mark)
        if stored is None:
            return []
        tensors, losses = stored
        self.model.load_state_dict(part(tensors, "model"))
        states = self.optimizer.state_dict()
        count = len(list(self.model.parameters()))
        states["state"] = {i: part(tensors, f"adam.{i}") for i in range(count)}
        self.optimizer.load_state_dict(states)
        torch.set_rng_state(tensors["random"])
        if "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"])
        return losses


class RandomBits:
    """Random bits of all dropout layers, drawn together and in place.

    The bits are drawn outside of the network and are an input to it. The same seed
    therefore drops the same units in a compiled and in an uncompiled network.
    """

    def __init__(self, model: torch.nn.Module, like: Tensor) -> None:
        """Assign bits to each layer; a forward pass of ``like`` gives their numbers."""
        layers = [m for m in model.modules() if isinstance(m, Dropout)]
        state = torch.get_rng_state()
        with torch.no_grad():
            model(like)
        torch.set_rng_state(state)
        sizes = [-(-layer.size // 4) for layer in layers]
        self._bits = torch.empty(sum(sizes), dtype=torch.int64)
        parts = torch.split(self._bits, sizes)
        for layer, part in zip(layers, parts, strict=True):
            layer.bits = part.view(torch.int16)

    def draw(self) -> None:
        """Draw new bits for the next step."""
        self._bits.random_(-(2**63), None)


def part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint whose names begin with one, without it."""
    front = f"{name}."
    return {k[len(front) :]: v for k, v in tensors.items() if k.startswith(front)}


def _cards(schedule: TrainingConfig) -> list[torch.device]:
    """Return the devices whose random state is restored afterwards."""
    device = torch.device(schedule.device)
    return [] if device.type == "cpu" else [device]
