"""A day of a whole participant through the shipped chains: memory stays as it was."""

import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.dsp_full_pipeline import signals
from physio.core.block import Block
from physio.core.events import Events
from physio.core.stage import Chain
from physio.online.engine import Engine
from physio.online.session_config import SessionConfig

HOURS = 24


def resident() -> float:
    """Return the memory in use now (MiB)."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


@pytest.mark.long
def test_memory_is_flat_over_a_day() -> None:
    found = signals()
    plan = replace(SessionConfig().plan(tuple(found)), estimator=Chain())
    engine = Engine(plan, found, 0.0)
    used, ticks = [], 0
    for second in range(HOURS * 3600):
        for info, x in found.items():
            n = int(info.rate)
            at = second % (len(x) // n) * n
            block = Block(info, second * n, 0.0, x[at : at + n])
            for out in engine.push(block):
                if not isinstance(out, Events) and out.info.name == "features":
                    ticks += len(out)
        if second % 3600 == 600:
            used.append(resident())
    # The last tick of each rate but one is due with the next second.
    assert 4 * HOURS * 3600 - 4 <= ticks <= 4 * HOURS * 3600
    # The allocator's own give and take is a few MiB; a day of features alone, kept,
    # would be 86400 * 4 * 150 * 8 bytes = 400 MiB.
    assert max(used) - used[0] < 16
    assert np.mean(used[-6:]) - np.mean(used[:6]) < 8
