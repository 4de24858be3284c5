"""How long it takes to compile what the shipped chains need, with no cache at all."""

from pathlib import Path
from typing import Final

from physio.bench.measure import Row, compiling

_ALL: Final = """
from dataclasses import replace
from physio.bench.chain_person import signals
from physio.core.stage import Chain
from physio.online.engine import Engine
from physio.online.plan import SessionFile
found = signals()
plan = SessionFile().plan(tuple(found))
Engine(replace(plan, estimator=Chain()), found, 0.0)
"""


def rows(data: Path | None) -> list[Row]:  # noqa: ARG001 every bench is called alike
    """Return one row: all chains of a headset and a wristband."""
    return [compiling("the shipped chains of a headset and a wristband", _ALL)]
