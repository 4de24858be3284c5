"""Times of two ways to the same thing, taken in turn, and what the machine can do."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numba import njit

from physio.core.block import Array

Row = dict[str, Any]

ROUNDS: Final = 5
PEERS: Final = Path(".venv-peers/bin/python")


def seconds(work: Callable[[], object]) -> float:
    """Return how long ``work()`` takes (s)."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def interleaved(
    ours: Callable[[], object], peer: Callable[[], object], rounds: int = ROUNDS
) -> tuple[float, float]:
    """Return the shortest times (s) of both, taken in turn so that load hits both."""
    ours()
    pairs = [(seconds(ours), seconds(peer)) for _ in range(rounds)]
    return min(a for a, _ in pairs), min(b for _, b in pairs)


def row(
    work: str,
    peer: str,
    ours_s: float,
    peer_s: float | None,
    flops: float = 0.0,
    **more: object,
) -> Row:
    """Return a row of the table; ``flops`` is what ours computes, where counted."""
    return {
        "work": work,
        "peer": peer,
        "ours_s": ours_s,
        "peer_s": peer_s,
        "ratio": None if peer_s is None else peer_s / ours_s,
        "share_of_peak": flops / ours_s / peak() if flops else None,
        **more,
    }


@njit(fastmath={"contract"})
def _multiply_add(x: Array, rounds: int) -> None:
    """Multiply and add eight times to each number, ``rounds`` times."""
    for _ in range(rounds):
        for c in range(len(x)):
            v = x[c]
            v = v * 0.999999 + 1e-6
            v = v * 0.999998 + 2e-6
            v = v * 0.999997 + 3e-6
            v = v * 0.999996 + 4e-6
            v = v * 0.999995 + 5e-6
            v = v * 0.999994 + 6e-6
            v = v * 0.999993 + 7e-6
            v = v * 0.999992 + 8e-6
            x[c] = v


_PEAK: list[float] = []


def peak() -> float:
    """Return the most fused multiply-adds that one core was seen to do, times 2 (1/s).

    A kernel of Numba on 512 numbers that stay in the nearest cache; the best of ten.
    """
    if not _PEAK:
        x = np.ones(512)
        _multiply_add(x, 1)
        rounds = 20000
        best = min(seconds(lambda: _multiply_add(x, rounds)) for _ in range(10))
        _PEAK.append(2.0 * 8 * len(x) * rounds / best)
    return _PEAK[0]


def compiling(module: str, code: str) -> Row:
    """Return how long ``code`` takes in a new process that must compile everything.

    Less the time of the same process once all is compiled: the compiler's own share.
    """
    with tempfile.TemporaryDirectory() as cache:
        env = {"NUMBA_CACHE_DIR": cache, "PATH": "", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", code]

        def start() -> None:
            subprocess.run(command, check=True, env=env)

        first, second = seconds(start), seconds(start)
    return row(f"compile {module}", "the same, compiled before", first, second)
