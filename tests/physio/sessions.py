"""A short session for the tests of recordings, and ways to compare and damage them."""

import random
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from physio.core.block import Block, Channel, Origin, StreamInfo
from physio.core.events import Item, event_stream, single_event
from physio.core.missing import MissingReason
from physio.core.recording import stream_timeout
from physio.io.xdf import Writer, read
from physio.io.xdf.chunks import walk

EEG = StreamInfo(
    "headset.eeg",
    Fraction(250),
    (Channel("F3", "eeg", "uV"), Channel("F4", "eeg", "uV", 0.1, 0.5)),
    Origin.SIMULATED,
    "p07",
    "scalp",
    "gel",
    "A2",
)
BEATS = event_stream("skin.beats", Channel("rr", "misc", "s"))


def bits(value: Any) -> bytes | None:
    return None if value is None else (str(value.shape).encode() + value.tobytes())


def facts(item: Item) -> tuple[object, ...]:
    """Return all there is in an item, every bit of it, to compare."""
    if isinstance(item, Block):
        exact = np.array([item.t0])
        return item.info, item.start, bits(exact), bits(item.data), bits(item.stamps)
    exact = np.array([item.complete_until])
    return item.info, bits(exact), bits(item.times), bits(item.data), item.labels


def items(seed: int = 5, n: int = 12) -> Iterator[Item]:
    """Yield what arrives in a short session: losses, silence, markers, a drift."""
    rng = np.random.default_rng(seed)
    start = 0
    for i in range(n):
        data = rng.normal(0, 20, (10, 2))
        data[3] = MissingReason.NO_SIGNAL.nan
        stamps = 1e6 + np.arange(10) / 250
        yield Block(EEG, start, 3.0 + i * 1e-4, data, stamps if i % 3 else None)
        start += 10 + i % 4
        yield single_event(BEATS, 3.0 + i, f"beat \N{HEAVY BLACK HEART} {i}", 0.8 + i)
        yield stream_timeout("band.eda", 3.0 + i)


def session(path: Path) -> Path:
    with Writer(path, {"participant": "p07", "begin": "3.0"}) as writer:
        for item in items():
            writer.write(item)
    return path


def cuts(raw: bytes) -> list[int]:
    return [chunk.at for chunk in walk(memoryview(raw))]


def whole_or_told(path: Path, raw: bytes, whole: list[int]) -> None:
    path.write_bytes(raw)
    if len(raw) in whole:
        read(path)
        return
    if not raw:
        with pytest.raises(ValueError, match=r"is empty \(0 bytes\)"):
            read(path)
        return
    with pytest.raises(ValueError, match="cannot read ") as error:
        read(path)
    assert str(error.value).startswith(f"cannot read {path} as XDF: it ")
    assert "damaged (" not in str(error.value)


def spoilt(raw: bytes, seed: int) -> bytes:
    """Return a file with a few bytes changed, most of them early on."""
    rng = random.Random(seed)
    bad = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        bad[int(len(bad) * rng.random() ** 3)] = rng.randrange(256)
    return bytes(bad)


def survives(path: Path, raw: bytes, seeds: range) -> int:
    """Return how many spoilt files were refused; nothing but ValueError may come."""
    told = 0
    for seed in seeds:
        path.write_bytes(spoilt(raw, seed))
        try:
            read(path)
        except ValueError as error:
            told += str(error).startswith(f"cannot read {path} as XDF: ")
    return told
