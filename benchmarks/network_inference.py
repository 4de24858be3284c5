"""Inference time of one window through RBTransformer."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch

from benchmarks.timing import Row
from physio.inference.onnx import to_onnx_model
from physio.models.rbtransformer import RBTransformer, RBTransformerConfig

CALLS: Final = 3000


def rows(data: Path | None) -> list[Row]:  # noqa: ARG001 every bench is called alike
    """Return latencies of the published size with the affect head, on one thread."""
    torch.manual_seed(0)
    model = RBTransformer(RBTransformerConfig(head="affect")).eval()
    z = np.random.default_rng(0).standard_normal(128)
    torch.set_num_threads(1)
    ways = {
        "ONNX Runtime, as live": to_onnx_model(model).predict,
        "torch, eager": model.predict,
    }
    taken = _latencies({k: _call(f, z) for k, f in ways.items()})
    eager = taken["torch, eager"]
    return [
        {
            "work": "one window, 32 electrodes, to valence, arousal, dominance",
            "peer": name,
            "p50_ms": _at(seconds_of, 50),
            "p99_ms": _at(seconds_of, 99),
            "ratio": _at(eager, 50) / _at(seconds_of, 50),
        }
        for name, seconds_of in taken.items()
    ]


def _call(predict: Callable[..., object], z: np.ndarray) -> Callable[[], object]:
    return lambda: predict(z, z)


def _latencies(ways: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Return the times of the calls of each variant (s), in turn by the hundred."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for run in ways.values():
        for _ in range(50):
            run()
    for _ in range(CALLS // 100):
        for name, run in ways.items():
            for _ in range(100):
                begin = time.perf_counter()
                run()
                taken[name].append(time.perf_counter() - begin)
    return taken


def _at(seconds: list[float], share: float) -> float:
    return 1e3 * float(np.percentile(seconds, share))
