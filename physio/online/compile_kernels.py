"""Compilation of the kernels of a session before it needs them.

``python -m physio.online.compile_kernels`` does it in a process of its own: it reads a
description of the computation (`physio.online.engine_start.description`) from its
standard input.
"""

import json
import sys
from collections.abc import Callable, Sequence

from physio.core.block import StreamInfo
from physio.online.chain_runner import ChainRunner
from physio.online.engine import Engine, PipelineConfig
from physio.online.engine_start import described

Progress = Callable[[str, int, int], None]
"""Receiver of a part's name, its number from 1, and the number of parts."""


def compile_kernels(
    plan: PipelineConfig,
    streams: Sequence[StreamInfo],
    progress: Progress = lambda _part, _number, _of: None,
) -> None:
    """Compile the kernels of a computation and store them where a folder is writable.

    Kernels that are stored already are loaded. A part that cannot be built is left to
    the engine, which says so.

    Parameters
    ----------
    plan
        The computation.
    streams
        The streams that it reads.
    progress
        Called before each part: each chain, then the estimator.
    """
    known = {info.name: info for info in streams if info.rate}
    parts = len(plan.chains) + 1
    for number, (name, chain) in enumerate(plan.chains.items(), 1):
        progress(name, number, parts)
        if known.keys() >= set(chain.streams):
            try:
                ChainRunner(chain, known, 0.0)
            except Exception:  # the engine stops the chain and reports it
                continue
    progress("estimator", parts, parts)
    Engine(plan, streams, 0.0)


def main() -> None:
    """Compile the kernels of the computation that standard input describes."""
    compile_kernels(*described(json.load(sys.stdin)))


if __name__ == "__main__":
    main()
