"""An epoch of the published recipe on windows of DEAP's number and shape."""

import statistics
import time
from pathlib import Path
from typing import Final

import torch

from benchmarks.timing import Row
from physio.models.rbtransformer import RBTransformer, single_thread
from physio.training.trainer import Run, TrainingConfig

WINDOWS: Final = 79_360  # 32 participants, 40 videos, 62 windows each
KEPT: Final = 0.9
FOLDS: Final = 5
HIGH: Final = 0.566  # proportion of the class high, balanced by SMOTE
TIMED: Final = 0.1
"""Proportion of an epoch's steps that are timed; all have the same size."""


def rows(data: Path | None) -> list[Row]:  # noqa: ARG001 every bench is called alike
    """Return the time of an epoch at each batch size, and of five folds of 300 epochs.

    The windows are noise: time depends on their number, not on their content. SMOTE
    itself, once per fold, is not timed.
    """
    train = round(WINDOWS * KEPT * (1 - 1 / FOLDS))
    n = 2 * round(train * HIGH)  # SMOTE balances the classes
    torch.manual_seed(23)
    tensors = torch.randn(n, 32, 4), torch.randint(2, (n,))
    with single_thread():
        steps = {b: _step(tensors, b) for b in TrainingConfig().batches}
    taken = {b: step_seconds * -(-n // b) for b, step_seconds in steps.items()}
    whole = TrainingConfig().epochs
    share = whole // len(taken)
    hours = FOLDS * share * sum(taken.values()) / 3600
    return [
        {
            "work": f"an epoch of {n} x 32 x 4, batches of {batch}",
            "peer": "",
            "ours_s": step_seconds,
            "peer_s": None,
            "ratio": None,
            "share_of_peak": None,
            "step_ms": 1e3 * steps[batch],
            "timed": TIMED,
            "hours_of_the_protocol": hours,
            "threads": 1,
        }
        for batch, step_seconds in taken.items()
    ]


def _step(tensors: tuple[torch.Tensor, torch.Tensor], batch: int) -> float:
    """Return the median processor time of a step (s), over a part of an epoch.

    With one thread it equals the duration of a step on an idle machine.
    """
    run = Run(RBTransformer(), tensors, TrainingConfig(batches=(batch,)))
    order = torch.randperm(len(tensors[0]))[: round(TIMED * len(tensors[0]))]
    parts = torch.split(order, batch)
    run.step(parts[0])
    taken = []
    for part in parts:
        begin = time.process_time()
        run.step(part)
        taken.append(time.process_time() - begin)
    return statistics.median(taken)
