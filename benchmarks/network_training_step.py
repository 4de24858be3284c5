"""Time of a training step of RBTransformer beside a plain implementation."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.timing import Row, seconds
from physio.models.rbtransformer import RBTransformer, RBTransformerConfig
from physio.training.trainer import Run, TrainingConfig

BATCH: Final = 256
STEPS: Final = 4
ROUNDS: Final = 4


class Plain(nn.Module):
    """The published network from standard modules such as `torch.nn.Dropout`."""

    def __init__(self, width: int = 128, heads: int = 6, head: int = 32) -> None:
        super().__init__()
        self.heads, self.scale = heads, head**-0.5
        self.project = nn.Linear(4, width)
        self.identity = nn.Parameter(torch.randn(1, 32, width))
        self.drop = nn.Dropout(0.1)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm1": nn.LayerNorm(width),
                    "qkv": nn.Linear(width, 3 * heads * head, bias=False),
                    "out": nn.Sequential(
                        nn.Linear(heads * head, width), nn.Dropout(0.1)
                    ),
                    "norm2": nn.LayerNorm(width),
                    "mlp": nn.Sequential(
                        nn.Linear(width, width), nn.GELU(), nn.Dropout(0.1),
                        nn.Linear(width, width), nn.Dropout(0.1),
                    ),
                }
            )
            for _ in range(4)
        )  # fmt: skip
        self.head = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 256), nn.GELU(), nn.Dropout(0.1),
            nn.Linear(256, 256), nn.GELU(), nn.Dropout(0.1),
            nn.Linear(256, width), nn.GELU(), nn.Dropout(0.1),
            nn.Linear(width, 2),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (B, 2), of windows, (B, 32, 4)."""
        x = self.drop(self.project(x) + self.identity)
        for block in self.blocks:
            parts: Any = block
            qkv = parts["qkv"](parts["norm1"](x)).chunk(3, dim=-1)
            q, k, v = (
                t.view(*t.shape[:2], self.heads, -1).transpose(1, 2) for t in qkv
            )
            maps = self.drop((q @ k.transpose(-1, -2) * self.scale).softmax(dim=-1))
            mixed = (maps @ v).transpose(1, 2).flatten(2)
            x = x + parts["out"](mixed)
            x = x + parts["mlp"](parts["norm2"](x))
        logits: Tensor = self.head(x.mean(dim=1))
        return logits


def rows(data: Path | None) -> list[Row]:  # noqa: ARG001 every bench is called alike
    """Return seconds per step on two threads, all variants in turn."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        return _rows()
    finally:
        torch.set_num_threads(threads)


def _rows() -> list[Row]:
    torch.manual_seed(0)
    x = torch.randn(BATCH * STEPS, 32, 4)
    y = (x[:, :8].sum(dim=(1, 2)) > 0).long()  # something to learn: losses must agree
    ways = {
        "plain eager, DataLoader": _plain(x, y),
        "ours": _ours(x, y),
        "ours, compiled": _ours(x, y, compile=True),
        "ours, bfloat16": _ours(x, y, precision="bfloat16"),
    }
    losses: dict[str, list[float]] = {
        name: [epoch_of()] for name, epoch_of in ways.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    peaks = []
    for _ in range(ROUNDS):
        peaks.append(_peak())
        for name, epoch_of in ways.items():
            begin = time.perf_counter()
            losses[name].append(epoch_of())
            taken[name].append((time.perf_counter() - begin) / STEPS)
    best = {name: min(times) for name, times in taken.items()}
    flops, peak = _flops(x[:BATCH]), max(peaks)
    plain = best["plain eager, DataLoader"]
    return [
        {
            "work": f"training step, {BATCH} x 32 x 4, {name}",
            "peer": "plain eager, DataLoader",
            "ours_s": figures,
            "peer_s": plain,
            "ratio": plain / figures,
            "share_of_peak": flops / figures / peak,
            "gflop": flops / 1e9,
            "peak_gflop_s": peak / 1e9,
            "products_alone_s": _products(),
            "losses": " ".join(f"{loss:.3f}" for loss in losses[name]),
            **_spent(ways[name]),
        }
        for name, figures in best.items()
    ]


def _plain(x: Tensor, y: Tensor) -> Callable[[], float]:
    model = Plain().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-3)
    loader = DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.12)

    def epoch() -> float:
        total = 0.0
        for windows, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(windows), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total / len(loader)

    return epoch


def _ours(x: Tensor, y: Tensor, **settings: Any) -> Callable[[], float]:
    schedule = TrainingConfig(300, (BATCH,), **settings)
    run = Run(RBTransformer(RBTransformerConfig()), (x, y), schedule)
    return lambda: run.epoch(0)


_KINDS: Final = {
    "products": ("aten::mm", "aten::bmm", "aten::addmm"),
    "copies": ("aten::copy_", "aten::cat"),
    "dropout": (
        "aten::random_", "aten::bernoulli_", "aten::ge", "aten::mul", "aten::mul_",
        "aten::div_",
    ),
    "norms": (
        "aten::native_layer_norm", "aten::native_layer_norm_backward", "aten::_softmax",
        "aten::_softmax_backward_data", "aten::gelu", "aten::gelu_backward",
    ),
}  # fmt: skip
"""Parts of a training step, by torch's names."""


def _spent(epoch: Callable[[], float]) -> dict[str, float]:
    """Return the time of each kind of work in a step (ms), by torch's profiler.

    ``norms_ms`` includes softmax and GELU; ``else_ms`` is all other work, compiled
    kernels included.
    """
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        epoch()
    times = {
        e.key: e.self_cpu_time_total / 1e3 / STEPS for e in profiler.key_averages()
    }
    by_kind = {
        f"{kind}_ms": sum(times.get(name, 0.0) for name in names)
        for kind, names in _KINDS.items()
    }
    return {**by_kind, "else_ms": sum(times.values()) - sum(by_kind.values())}


def _peak() -> float:
    """Return the highest measured speed of a large float32 product (1/s)."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    return 2 * 2048**3 / min(seconds(lambda: a @ b) for _ in range(3))


def _flops(x: Tensor) -> float:
    """Return the operations of a step's matrix products, counted by torch."""
    from torch.utils.flop_counter import FlopCounterMode

    model = Plain()
    with FlopCounterMode(display=False) as counted:
        torch.autograd.backward(model(x).sum())
    return float(counted.get_total_flops())


def _shapes() -> Iterator[tuple[tuple[int, ...], tuple[int, ...], int]]:
    """Yield the matrix products of a step: shapes of both factors, and their number."""
    rows = BATCH * 32
    for n, k, times in ((576, 128, 4), (128, 192, 4), (128, 128, 8)):
        yield (rows, k), (k, n), times
        yield (rows, n), (n, k), times
        yield (k, rows), (rows, n), times
    pairs = BATCH * 6
    yield (pairs, 32, 32), (pairs, 32, 32), 24


def _products() -> float:
    """Return the time of a step's matrix products alone, in sequence (s)."""
    total = 0.0
    for a, b, times in _shapes():
        first, other = torch.randn(a), torch.randn(b)
        work = _product(first, other)
        work()
        total += times * min(seconds(work) for _ in range(5))
    return total


def _product(a: Tensor, b: Tensor) -> Callable[[], Tensor]:
    return lambda: a @ b
