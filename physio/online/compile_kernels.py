"""Compilation of the kernels of a session, in a process of its own.

``python -m physio.online.compile_kernels`` reads a description of the computation
(`physio.online.engine_start.description`) from its standard input, starts an engine for
it once, and thereby compiles and stores all kernels that are not stored yet.
"""

import json
import sys

from physio.online.engine import Engine
from physio.online.engine_start import described


def main() -> None:
    """Compile the kernels of the computation that standard input describes."""
    plan, streams = described(json.load(sys.stdin))
    Engine(plan, streams, 0.0)


if __name__ == "__main__":
    main()
