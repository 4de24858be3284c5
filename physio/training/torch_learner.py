"""Learner of torch modules: networks of one's own, of braindecode, frozen encoders."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  as everybody calls it
from torch.optim.lr_scheduler import CosineAnnealingLR

from physio.core.block import Array
from physio.inference.encoder_network import EncoderNetwork
from physio.inference.torch_model import TorchConfig, TorchModel, build, standardized
from physio.models.base import Numbers
from physio.models.rbtransformer import single_thread
from physio.training import checkpoint, trainer
from physio.training.code_marks import trusted_code
from physio.training.learner import (
    Progress,
    ProgressOf,
    Rows,
    Samples,
    error_of,
    in_batches,
    residual_sd,
)
from physio.training.linear_learner import refuse_classes, refuse_ratings

STORED_EVERY: Final = 5.0
"""Time between two stored epochs of a fit that can be resumed (s)."""

_SHOWN: Final = 64  # rows in a batch of inference


@dataclass(frozen=True)
class TorchLearner:
    """Learner of a torch module on features or windows of a signal.

    One group of participants does not train: its error is the figure of the progress,
    and the standard deviation of the ratings. There is no early stopping.

    Parameters
    ----------
    network
        Import path of the class: ``"braindecode.models:EEGNet"`` or, with ``--trust``,
        ``"my_net:Net"``. It is built with ``settings`` and, as far as it takes them,
        ``n_chans``, ``n_times`` and ``sfreq`` of windows, ``n_features`` of features,
        and ``n_outputs``; it maps (batch, channels, samples), or (batch, features), to
        (batch, outputs): logits of classes, or ratings. If it has a method
        ``complete(x, y)``, that is called once with the training rows after the last
        epoch, as for a map of prototypes.
    settings
        Further arguments of the class.
    epochs, batch, rate, decay
        Number of epochs, batch size, initial learning rate and weight decay of AdamW,
        with a cosine schedule down to 0.
    frozen
        Whether only the last layer, named by ``head``, is trained: the rest is an
        encoder, as of a foundation model.
    head
        Name of the last layer; by default ``final_layer``, or the last one.
    begin
        Safetensors file with parameters from which the network begins; those of the
        head may be absent, or of another size.
    unit
        Divisor of the input (in its unit, uV of EEG), as published weights expect it;
        0: the input is standardized by its mean and deviation in training.
    device
        Device of torch; by default the GPU where there is one.
    """

    files: ClassVar[tuple[str, ...]] = ("begin",)

    network: str = "braindecode.models:EEGNet"
    settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 30
    batch: int = 64
    rate: float = 1e-3
    decay: float = 1e-2
    frozen: bool = False
    head: str = ""
    begin: str = ""
    unit: float = 0.0
    device: str = ""
    _trust: tuple[str, ...] = field(default=(), repr=False, compare=False)
    _store: Path | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1:
            raise ValueError(
                f"epochs and batch must be 1 at least, not {self.epochs} and "
                f"{self.batch}"
            )

    def trusting(self, packages: Sequence[str]) -> Self:
        """Return a copy that trusts ``packages`` for its network."""
        return replace(self, _trust=tuple(packages))

    def resuming(self, folder: Path) -> Self:
        """Return a copy that stores its epochs in a folder, and resumes from them.

        A fit that was stopped gives the same bits when it is called again.
        """
        return replace(self, _store=folder)

    def stored_in(self, mark: str) -> Path | None:
        """Return the folder of the epochs of a fit with a mark; None without one."""
        if self._store is None:
            return None
        code = repr((mark, trusted_code(self._trust)))
        name = hashlib.sha256(code.encode()).hexdigest()[:24]
        return self._store / f"fit-{name}"

    def trained_on(self, samples: Samples) -> str:
        """Return which rows train: see `physio.training.learner.Learner`."""
        total, samples = len(samples), _present(samples)
        folds = samples.held_out()
        if not folds:
            return f"{len(samples)} of {total} moments train the stored weights."
        train, test = folds[0]
        people = np.unique(samples.participants[test])
        if np.isin(people, samples.participants[train]).any():
            people = np.unique(samples.sessions[test])
        return (
            f"{len(train)} of {total} moments train the stored weights; {len(test)}, "
            f"of {', '.join(map(str, people))}, do not: they measure the errors."
        )

    def fit(self, samples: Samples, progress: ProgressOf) -> TorchModel:
        """Return the fitted model: see `physio.training.learner.Learner`."""
        name = self.network.rpartition(":")[2]
        (refuse_ratings if samples.classes else refuse_classes)(samples, name)
        samples = _present(samples)
        with single_thread(), torch.random.fork_rng():
            torch.manual_seed(samples.seed)
            settings = {**self.settings, **_described(samples)}
            network = build(self.network, settings, self._trust)
            if self.begin:
                _begin(network, Path(self.begin), self.head)
            center, scale = _usual(samples.take(_first_fold(samples)[0]))
            if self.unit > 0:
                center, scale = np.zeros_like(center), np.full_like(scale, self.unit)
            x = standardized(samples.x, center, scale).astype(np.float32)
            run = _Run(self, network, x, samples)
            mean = run.train(progress)
        width = samples.x.shape[1]
        config = TorchConfig(
            self.network,
            json.dumps(settings, sort_keys=True),
            width,
            samples.targets,
            samples.classes,
            tuple(c for c, _ in samples.columns) if samples.x.ndim == 3 else (),
            samples.rate if samples.x.ndim == 3 else 0.0,
            samples.x.shape[2] if samples.x.ndim == 3 else 0,
        )
        sd = residual_sd(samples, mean) if samples.targets else np.empty(0)
        return TorchModel(config, network.cpu(), center, scale, sd)


def _present(samples: Samples) -> Samples:
    """Return the rows with an input."""
    known = ~np.isnan(samples.x).reshape(len(samples), -1).all(axis=1)
    return samples.take(np.flatnonzero(known))


def _first_fold(samples: Samples) -> tuple[Rows, Rows]:
    """Return the rows that train and those that do not; all twice without groups."""
    every = np.arange(len(samples))
    return (samples.held_out() or [(every, every)])[0]


class _Run:
    """Training of a network on the rows of all groups but one."""

    def __init__(
        self, learner: TorchLearner, network: nn.Module, x: Numbers, samples: Samples
    ) -> None:
        self.learner, self.samples = learner, samples
        self.device = learner.device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.network = network.to(self.device)
        self.train_rows, self.test_rows = _first_fold(samples)
        self.module: nn.Module = self.network
        self.x = torch.from_numpy(x)
        if learner.frozen:
            head = head_of(self.network, learner.head)
            self.x, self.module = self._encoded(head), head
        kind = torch.int64 if samples.classes else torch.float32
        self.y = torch.as_tensor(np.asarray(samples.y), dtype=kind)
        weights = np.zeros(len(samples))
        weights[self.train_rows] = samples.take(self.train_rows).row_weights
        self.weights = torch.as_tensor(weights, dtype=torch.float32)

    def train(self, progress: ProgressOf) -> Array:
        """Train all epochs; return the outputs of the group that did not train."""
        learner, rows = self.learner, torch.as_tensor(self.train_rows)
        steps = learner.epochs * -(-len(rows) // learner.batch)
        trained = [p for p in self.module.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            trained, lr=learner.rate, weight_decay=learner.decay
        )
        cosine = CosineAnnealingLR(optimizer, steps)
        output = self._held_out()
        stored = self._stored(optimizer, cosine)
        begin = stored.resumed() if stored is not None else 0
        for epoch in range(begin, learner.epochs):
            self.module.train()
            for part in torch.split(rows[torch.randperm(len(rows))], learner.batch):
                if len(part) == 1 and len(rows) > 1:
                    continue  # batch normalization needs two rows
                optimizer.zero_grad()
                torch.autograd.backward(self._loss(part))
                optimizer.step()
                cosine.step()
            output = self._held_out()
            error = error_of(self.samples, output, self.test_rows)
            if stored is not None:
                stored.write(epoch + 1)
            progress(Progress(epoch + 1, learner.epochs, error, "held-out error"))
        if begin == learner.epochs:
            output = self._held_out()
        complete = getattr(self.network, "complete", None)
        if complete is not None:
            self.network.eval()
            complete(self.x[rows].to(self.device), self.y[rows].to(self.device))
            output = self._held_out()
        if stored is not None:
            shutil.rmtree(stored.folder, ignore_errors=True)
        self.network.eval()
        return output

    def _stored(
        self, optimizer: torch.optim.Optimizer, cosine: CosineAnnealingLR
    ) -> "_StoredEpochs | None":
        """Return the place of the epochs of this fit; None where none is wanted."""
        mark = checkpoint.mark(
            repr(self.learner), self.device, sorted(self.network.state_dict()),
            *self.network.state_dict().values(), self.x, self.y, self.weights,
            self.train_rows.tolist(), self.samples.seed,
        )  # fmt: skip
        folder = self.learner.stored_in(mark)
        if folder is None:
            return None
        return _StoredEpochs(folder, mark, self.module, optimizer, cosine)

    def _loss(self, rows: Tensor) -> Tensor:
        out = _first(self.module(self.x[rows].to(self.device)))
        y, weights = self.y[rows].to(self.device), self.weights[rows].to(self.device)
        if self.samples.classes:
            losses = F.cross_entropy(out, y, reduction="none")
            return (weights * losses).sum() / weights.sum()
        known = y.isfinite()
        square = (out - torch.where(known, y, out.detach())).square() * known
        return (weights[:, None] * square).sum() / weights.sum()

    def _held_out(self) -> Array:
        """Return odds or ratings of the rows that do not train, NaN elsewhere."""
        self.module.eval()
        width = len(self.samples.targets or self.samples.classes)
        output = np.full((len(self.samples), width), np.nan)
        with torch.no_grad():
            for part in in_batches(len(self.test_rows), _SHOWN):
                rows = self.test_rows[part]
                out = _first(self.module(self.x[rows].to(self.device)))
                if self.samples.classes:
                    out = out.softmax(dim=1)
                output[rows] = out.double().cpu().numpy()
        return output

    def _encoded(self, head: nn.Module) -> Tensor:
        """Return the input of the head for all rows, computed once."""
        caught: list[Tensor] = []

        def catch(_module: nn.Module, given: tuple[Any, ...]) -> None:
            caught.append(given[0].detach().cpu())

        hook = head.register_forward_pre_hook(catch)
        self.network.eval()
        with torch.no_grad():
            for part in in_batches(len(self.x), _SHOWN):
                self.network(self.x[part].to(self.device))
        hook.remove()
        return torch.cat(caught)


@dataclass
class _StoredEpochs:
    """State of a fit after its epochs, in a folder.

    The scheduler multiplies the rate step by step, so that its present value is stored.
    """

    folder: Path
    mark: str
    module: nn.Module
    optimizer: torch.optim.Optimizer
    cosine: CosineAnnealingLR
    _at: float = field(default_factory=time.monotonic)

    def write(self, epochs: int) -> None:
        """Store the state after some epochs, if the last one is a while ago."""
        if time.monotonic() - self._at < STORED_EVERY:
            return
        self._at = time.monotonic()
        tensors = {f"model.{k}": v for k, v in self.module.state_dict().items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{i}.{k}": v for k, v in state.items()}
        rate = self.optimizer.param_groups[0]["lr"]
        tensors["rate"] = torch.tensor(float(rate), dtype=torch.float64)
        tensors["steps"] = torch.tensor([epochs, self.cosine.last_epoch])
        tensors["random"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        copies = {k: v.detach().cpu().clone() for k, v in tensors.items()}
        checkpoint.write(self.folder, self.mark, copies, ())

    def resumed(self) -> int:
        """Load the stored state, if any; return the number of epochs so far."""
        stored = checkpoint.read(self.folder, self.mark)
        if stored is None:
            return 0
        tensors = stored[0]
        self.module.load_state_dict(trainer.part(tensors, "model"))
        states = self.optimizer.state_dict()
        count = len(self.optimizer.param_groups[0]["params"])
        states["state"] = {i: trainer.part(tensors, f"adam.{i}") for i in range(count)}
        self.optimizer.load_state_dict(states)
        epochs, steps = tensors["steps"].tolist()
        for group in self.optimizer.param_groups:
            group["lr"] = float(tensors["rate"])
        place = {"last_epoch": steps, "_step_count": steps + 1}
        self.cosine.load_state_dict(place)
        torch.set_rng_state(tensors["random"])
        if "random.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random.cuda"])
        return int(epochs)


def head_of(network: nn.Module, name: str = "") -> nn.Module:
    """Return the last layer of a network.

    Raises
    ------
    ValueError
        If it has no layer of this name.
    """
    children = dict(network.named_modules())
    if name and name not in children:
        known = ", ".join(k for k, _ in network.named_children())
        raise ValueError(f"the network has no layer {name!r}; it has {known}")
    if name or "final_layer" in children:
        return children[name or "final_layer"]
    last: nn.Module = list(network.children())[-1]
    return last


def _begin(network: nn.Module, path: Path, head: str) -> None:
    """Load parameters; those of the head may be absent or of another size."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ValueError(f"there is no file {path} of parameters")
    try:
        given = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from None
    if isinstance(network, EncoderNetwork):
        given = network.loaded(given)
    last = {id(p) for p in head_of(network, head).parameters()}
    state = dict(network.state_dict(keep_vars=True))
    wanted = {k for k, v in state.items() if id(v) not in last}
    absent = [k for k in wanted if k not in given or given[k].shape != state[k].shape]
    if absent:
        raise ValueError(
            f"{path} has other parameters than the network: {sorted(absent)[0]} and "
            f"{len(absent) - 1} more are absent, or have another size"
        )
    network.load_state_dict({k: given[k] for k in wanted}, strict=False)


def _described(samples: Samples) -> dict[str, Any]:
    """Return the settings of a network that describe its input and output."""
    outputs = {"n_outputs": len(samples.targets or samples.classes)}
    if samples.x.ndim == 2:
        return {"n_features": samples.x.shape[1], **outputs}
    channels, times = samples.x.shape[1:]
    return {"n_chans": channels, "n_times": times, "sfreq": samples.rate, **outputs}


def _usual(samples: Samples) -> tuple[Array, Array]:
    """Return mean and standard deviation of each feature, or of each channel."""
    axes = 0 if samples.x.ndim == 2 else (0, 2)
    center, scale = np.nanmean(samples.x, axis=axes), np.nanstd(samples.x, axis=axes)
    scale = np.where(scale > 1e-9, scale, 1.0)
    if samples.x.ndim == 3:
        return center[:, None], scale[:, None]
    return center, scale


def _first(out: Any) -> Tensor:
    """Return the output of a network, the first of several."""
    first: Tensor = out[0] if isinstance(out, tuple) else out
    return first
