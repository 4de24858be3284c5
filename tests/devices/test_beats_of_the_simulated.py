"""Beats found on the simulated participant, against the truth, by level of noise."""

from typing import NamedTuple

import numpy as np
import pytest
from scipy.ndimage import median_filter

from devices.simulated import Chest, Wristband
from physio.core.block import Array, Block
from physio.core.events import Events, events_from_grid
from physio.core.protocols import FastClock
from physio.core.stage import apply
from physio.features.cardiac.heart_rate import BeatDetection

SECONDS = 120.0


class Lived(NamedTuple):
    block: Block
    true: Array


def lived(make: type[Chest] | type[Wristband], stream: str, seed: int) -> Lived:
    clock = FastClock()
    blocks: list[Block] = []
    true: list[Array] = []
    with make(clock=clock, seed=seed, seconds=SECONDS) as device:
        clock.wait(SECONDS)
        for item in device.read():
            if isinstance(item, Block) and item.info.name.endswith(f".{stream}"):
                blocks.append(item)
            if isinstance(item, Events) and item.info.name.endswith(".beats"):
                true.append(item.times)
    data = np.ascontiguousarray(np.concatenate([b.data for b in blocks]))
    first = blocks[0]
    return Lived(Block(first.info, 0, first.t0, data), np.concatenate(true))


def noisy(block: Block, size: float) -> Block:
    noise = np.random.default_rng(1).standard_normal(block.data.shape)
    data = block.data + size * block.data.std() * noise
    return Block(block.info, 0, block.t0, np.ascontiguousarray(data))


@pytest.mark.parametrize(
    ("make", "stream", "sd", "noise"),
    [
        (Chest, "ecg", 0.005, 0.0),
        (Chest, "ecg", 0.005, 0.5),
        (Wristband, "bvp", 0.010, 0.0),
        (Wristband, "bvp", 0.015, 0.2),
    ],
)
def test_beats_scatter_little_about_the_truth(
    make: type[Chest] | type[Wristband], stream: str, sd: float, noise: float
) -> None:
    arrival = 0.35 if stream == "bvp" else 0.0  # s, from the R wave to the peak
    for seed in (31, 33):
        block, true = lived(make, stream, seed)
        source = noisy(block, noise)
        found = events_from_grid(apply(BeatDetection(), source))
        inside = found.times > block.t0 + 8
        sure = found.times[inside & (found.data[:, 1] >= 0.7)]
        apart = sure[:, None] - arrival - true
        off = apart[np.arange(len(sure)), np.abs(apart).argmin(axis=1)]
        middle = np.median(off)
        close = off[np.abs(off - middle) < 0.05]
        assert len(close) > 0.97 * len(sure)  # precision of sure beats
        # How long a pulse takes to arrive changes over many beats, with the vessels:
        # the truth tells the R wave alone.
        assert (close - median_filter(close, 21)).std() <= sd
        # Recall: beats of which a sure one was found; the arm moves now and then.
        told = true[(true > block.t0 + 8) & (true < block.t0 + SECONDS - 3)]
        hit = np.abs(told[:, None] + arrival + middle - sure).min(axis=1) < 0.05
        assert hit.mean() > (0.99 if stream == "ecg" else 0.85)
