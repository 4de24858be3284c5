"""Interleaved timing of two implementations, and peak speed of the machine."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from physio.core.block import Array
from physio.dsp.simd_codegen import LANES, KernelBuilder, data, number

Row = dict[str, Any]

ROUNDS: Final = 5
_VECTORS: Final = 12
PEERS: Final = Path(".venv-peers/bin/python")


def seconds(work: Callable[[], object]) -> float:
    """Return the duration of ``work()`` (s)."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def interleaved(
    ours: Callable[[], object], peer: Callable[[], object], rounds: int = ROUNDS
) -> tuple[float, float]:
    """Return the shortest times of both (s), in turn so that load affects both."""
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
    """Return a row of the table; ``flops``: operations of this package, if counted."""
    return {
        "work": work,
        "peer": peer,
        "ours_s": ours_s,
        "peer_s": peer_s,
        "ratio": None if peer_s is None else peer_s / ours_s,
        "share_of_peak": flops / ours_s / peak() if flops else None,
        **more,
    }


def untimed_row(work: str, peer: str, **figures: object) -> Row:
    """Return a row with figures and without times."""
    times = dict.fromkeys(("ours_s", "peer_s", "ratio", "share_of_peak"))
    return {"work": work, "peer": peer, **times, **figures}


@intrinsic
def _multiply_add(_: Any, x: Any, rounds: Any) -> Any:
    """Multiply and add to 12 vectors of eight numbers, ``rounds`` times.

    With 12 independent vectors no operation waits for another; all stay in registers.
    """
    del rounds
    sig = types.void(x, types.int64)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w = KernelBuilder(builder)
        base = data(context, builder, signature.args[0], args[0])
        v = [w.register(w.load(base, number(LANES * k))) for k in range(_VECTORS)]
        factor, more = (w.load(base, number(LANES * (_VECTORS + k))) for k in range(2))
        with cgutils.for_range(builder, args[1]):
            for vector in v:
                builder.store(
                    w.fused_multiply_add(builder.load(vector), factor, more), vector
                )
        for k, vector in enumerate(v):
            w.store(builder.load(vector), base, number(LANES * k))
        return context.get_dummy_value()

    return sig, write


@njit
def _burn(x: Array, rounds: int) -> None:
    _multiply_add(x, rounds)


_PEAK: list[float] = []


def peak() -> float:
    """Return the peak rate of one core: twice its fused multiply-adds (1/s).

    Measured on vectors of eight that stay in registers; the best of ten.
    """
    if not _PEAK:
        x = np.full(LANES * (_VECTORS + 2), 0.5)
        _burn(x, 1)
        rounds = 1_000_000
        best = min(seconds(lambda: _burn(x, rounds)) for _ in range(10))
        _PEAK.append(2.0 * LANES * _VECTORS * rounds / best)
    return _PEAK[0]


def compiling(module: str, code: str) -> Row:
    """Return the compile time of ``code`` in a new process.

    It is the duration with compilation less that of the same process with compiled
    kernels.
    """
    with tempfile.TemporaryDirectory() as cache:
        env = {"NUMBA_CACHE_DIR": cache, "PATH": "", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", code]

        def start() -> None:
            subprocess.run(command, check=True, env=env)

        first, second = seconds(start), seconds(start)
    return row(f"compile {module}", "the same, compiled before", first, second)
