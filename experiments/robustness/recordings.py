"""Recordings of wristbands and of simulated participants for the matrix."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

import physio
from devices.simulated import Headset, Wristband
from physio.core.block import Block
from physio.core.protocols import Device, FastClock
from physio.core.recording import Recording

SECONDS: Final = 900.0
"""Duration of each recording of a wristband (s)."""

HEADSET: Final = "headset", partial(Headset, preset="exaggerated")
BAND: Final = "band", partial(Wristband, preset="exaggerated")
"""Name and device, with the effects that demonstration weights are trained on."""


def wristbands(data: Path, seconds: float = SECONDS) -> Iterator[Recording]:
    """Yield the first 15 minutes of the wristbands of Stress-Predict.

    Parameters
    ----------
    data
        Folder with ``stress_predict``: Iqbal et al. 2022, MIT licence.
    seconds
        Duration of each recording (s).
    """
    for path in sorted(data.glob("stress_predict/raw/*.zip")):
        recording = physio.read(path)
        about = {"begin": str(recording.begin), "participant": path.stem}
        yield Recording(
            {
                name: tuple(_until(b, recording.begin + seconds) for b in blocks)
                for name, blocks in recording.streams.items()
                if blocks[0].info.rate > 1  # not the heart rate of the manufacturer
            },
            metadata=about,
        )


def _until(block: Block, end: float) -> Block:
    n = int(np.searchsorted(block.times, end))
    return replace(block, data=block.data[:n].copy(), stamps=None)


def headsets(participants: int, seconds: float = 180.0) -> Iterator[Recording]:
    """Yield simulated participants with a headset alone."""
    for number in range(participants):
        yield simulated(9000 + number, (HEADSET,), seconds)


def simulated(
    seed: int,
    devices: Sequence[tuple[str, Any]],
    seconds: float,
    *,
    truth: bool = False,
) -> Recording:
    """Return the recording of a simulated participant.

    Parameters
    ----------
    seed
        Seed of the participant.
    devices
        Name and maker of each device.
    seconds
        Duration (s).
    truth
        Whether the streams ``<device>.truth`` of true affect are included.
    """
    clock, code = FastClock(0.0), f"simulated-{seed}"
    opened: list[Device] = [
        kind(name=name, participant=code, clock=clock, seed=seed, seconds=seconds)
        for name, kind in devices
    ]
    streams: dict[str, list[Block]] = {}
    with ExitStack() as stack:
        for device in opened:
            stack.enter_context(device)
        while not all(device.ended for device in opened):
            clock.wait(4.0)
            for device in opened:
                for item in device.read():
                    if not isinstance(item, Block):
                        continue
                    if truth or not item.info.name.endswith("truth"):
                        streams.setdefault(item.info.name, []).append(item)
    return Recording(
        {name: (_joined(blocks),) for name, blocks in streams.items()},
        metadata={"begin": "0.0", "participant": code},
    )


def _joined(blocks: list[Block]) -> Block:
    info = replace(blocks[0].info, participant="")
    return Block(info, 0, blocks[0].t0, np.vstack([b.data for b in blocks]))
