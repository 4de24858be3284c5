"""Recordings of wristbands and of simulated participants for the matrix."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

import physio
from devices.simulated import Headset, Wristband
from physio.core.block import Block
from physio.core.protocols import Device, FastClock
from physio.core.recording import Recording

SECONDS: Final = 900.0
"""Duration of each recording (s)."""


def wristbands(data: Path) -> Iterator[Recording]:
    """Yield the first 15 minutes of the wristbands of Stress-Predict.

    Parameters
    ----------
    data
        Folder with ``stress_predict``: Iqbal et al. 2022, MIT licence.
    """
    for path in sorted(data.glob("stress_predict/raw/*.zip")):
        recording = physio.read(path)
        about = {"begin": str(recording.begin), "participant": path.stem}
        yield Recording(
            {
                name: tuple(_until(b, recording.begin + SECONDS) for b in blocks)
                for name, blocks in recording.streams.items()
                if blocks[0].info.rate > 1  # not the heart rate of the manufacturer
            },
            metadata=about,
        )


def _until(block: Block, end: float) -> Block:
    n = int(np.searchsorted(block.times, end))
    return replace(block, data=block.data[:n].copy(), stamps=None)


def simulated(participants: int) -> Iterator[Recording]:
    """Yield simulated participants with a headset and a wristband.

    Parameters
    ----------
    participants
        Number of participants.
    """
    for number in range(participants):
        clock = FastClock(0.0)
        code, seed = f"simulated-{number}", 9000 + number
        devices: list[Device] = [
            kind(name=name, participant=code, clock=clock, seed=seed, seconds=SECONDS)
            for name, kind in (("headset", Headset), ("band", Wristband))
        ]
        yield _recorded(devices, clock, code)


def _recorded(devices: list[Device], clock: FastClock, code: str) -> Recording:
    streams: dict[str, list[Block]] = {}
    with ExitStack() as stack:
        for device in devices:
            stack.enter_context(device)
        while not all(device.ended for device in devices):
            clock.wait(4.0)
            for device in devices:
                for item in device.read():
                    if isinstance(item, Block) and not item.info.name.endswith("truth"):
                        streams.setdefault(item.info.name, []).append(item)
    return Recording(
        {name: (_joined(blocks),) for name, blocks in streams.items()},
        metadata={"begin": "0.0", "participant": code},
    )


def _joined(blocks: list[Block]) -> Block:
    info = replace(blocks[0].info, participant="")
    return Block(info, 0, blocks[0].t0, np.vstack([b.data for b in blocks]))
