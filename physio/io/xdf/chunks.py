"""Chunks of an XDF file, to and from bytes."""

import struct
from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from typing import Final, NamedTuple

import numpy as np

from physio.core.block import Array

MAGIC: Final = b"XDF:"
BOUNDARY: Final = bytes.fromhex("0112050043A546DCCBF5410FB30ED5467383CBE4")
"""Boundary chunk, at which reading of damaged files resumes."""


class Tag(IntEnum):
    """Kind of a chunk."""

    FILE_HEADER = 1
    STREAM_HEADER = 2
    SAMPLES = 3
    CLOCK_OFFSET = 4
    BOUNDARY = 5
    STREAM_FOOTER = 6


_TAGS: Final = frozenset(map(int, Tag))
_OF_STREAM: Final = frozenset(Tag) - {Tag.FILE_HEADER, Tag.BOUNDARY}


class Chunk(NamedTuple):
    """A chunk: first byte in the file, kind, stream and content."""

    at: int
    tag: Tag
    stream: int
    content: memoryview


class UnreadableError(ValueError):
    """Error for a file that cannot be read; the message follows its name."""


class CutOffError(UnreadableError):
    """Error for a file that ends inside a chunk, which begins at byte ``at``."""

    def __init__(self, at: int) -> None:
        super().__init__(f"it is cut off inside the chunk at byte {at}")
        self.at = at


def chunk(tag: Tag, content: bytes, stream: int | None = None) -> bytes:
    """Return a chunk as bytes of the file."""
    head = struct.pack("<H", tag)
    if stream is not None:
        head += struct.pack("<I", stream)
    return _length(len(head) + len(content)) + head + content


def numbers(stream: int, times: Array, rows: Array) -> bytes:
    """Return a chunk of numeric samples with their times, without loss.

    Parameters
    ----------
    stream
        Number of the stream in the file.
    times
        Time of each sample (s), shape (n,).
    rows
        Samples, shape (n, channels).
    """
    samples = np.empty(len(rows), _sample(rows.shape[1]))
    samples["form"], samples["time"], samples["row"] = 8, times, rows
    return chunk(Tag.SAMPLES, _length(len(rows)) + samples.tobytes(), stream)


def same_clock(stream: int, time: float) -> bytes:
    """Return a clock offset of 0 at ``time`` (s): the stream has the clock of the file.

    Readers that synchronize clocks then apply no correction.
    """
    return chunk(Tag.CLOCK_OFFSET, struct.pack("<dd", time, 0.0), stream)


def texts(stream: int, times: Array, labels: tuple[str, ...]) -> bytes:
    """Return a chunk of samples with one text each."""
    parts = [_length(len(labels))]
    for time, label in zip(times, labels, strict=True):
        text = label.encode("utf-8", "surrogatepass")
        parts += [b"\x08", struct.pack("<d", time), _length(len(text)), text]
    return chunk(Tag.SAMPLES, b"".join(parts), stream)


def walk(raw: memoryview) -> Iterator[Chunk]:
    """Yield the chunks of a file, without parsing their content.

    Raises
    ------
    CutOffError
        If the file ends inside a chunk; all complete chunks have been yielded.
    UnreadableError
        If there is no chunk.
    """
    if bytes(raw[:4]) != MAGIC:
        raise UnreadableError("it does not begin with 'XDF:'")
    yield from within(raw, len(MAGIC), len(raw))


def within(raw: memoryview, at: int, stop: int) -> Iterator[Chunk]:
    """Yield the chunks from byte ``at`` to ``stop`` of a file: see `walk`."""
    raw = raw[:stop]
    while at < len(raw):
        try:
            length, begin = measure(raw, at)
            (tag,) = struct.unpack_from("<H", raw, begin)
        except struct.error:
            raise CutOffError(at) from None
        if tag not in _TAGS:
            raise UnreadableError(f"no chunk begins with what is at byte {at}")
        head = 6 if tag in _OF_STREAM else 2
        if length < head:
            raise UnreadableError(f"the chunk at byte {at} is too short for its kind")
        if begin + length > len(raw):
            raise CutOffError(at)
        stream = struct.unpack_from("<I", raw, begin + 2)[0] if head == 6 else 0
        yield Chunk(at, Tag(tag), stream, raw[begin + head : begin + length])
        at = begin + length


def measure(raw: memoryview, at: int) -> tuple[int, int]:
    """Return the length field at byte ``at``, and its end.

    Raises
    ------
    struct.error
        If the bytes end within the field.
    UnreadableError
        If there is no length.
    """
    form = {1: "<B", 4: "<I", 8: "<Q"}.get(struct.unpack_from("<B", raw, at)[0])
    if form is None:
        raise UnreadableError(f"no length stands at byte {at}")
    return struct.unpack_from(form, raw, at + 1)[0], at + 1 + struct.calcsize(form)


def read_numbers(content: memoryview, channels: int) -> tuple[Array, Array]:
    """Return times (s), shape (n,), and rows, shape (n, channels), from `numbers`.

    Raises
    ------
    UnreadableError, struct.error
        If the chunk has another layout.
    """
    n, at = measure(content, 0)
    kind = _sample(channels)
    if len(content) - at != n * kind.itemsize:
        raise UnreadableError(
            f"{n} samples of {channels} channels do not fill their chunk"
        )
    samples = np.frombuffer(content[at:], kind)
    if (samples["form"] != 8).any():
        raise UnreadableError("a sample has no time")
    return samples["time"], samples["row"]


def read_texts(content: memoryview) -> tuple[list[float], list[str]]:
    """Return the times (s) and the texts in a chunk from `texts`.

    Raises
    ------
    UnreadableError, struct.error
        If the chunk has another layout.
    """
    n, at = measure(content, 0)
    times, labels = [], []
    for _ in range(n):
        form, time = struct.unpack_from("<Bd", content, at)
        length, begin = measure(content, at + 9)
        at = begin + length
        if form != 8:
            raise UnreadableError("a text has no time")
        times.append(time)
        labels.append(str(content[begin:at], "utf-8", "surrogatepass"))
    if at != len(content):
        raise UnreadableError(f"{n} texts do not fill their chunk")
    return times, labels


def _length(n: int) -> bytes:
    """Return a length in the shortest XDF encoding."""
    if n < 1 << 8:
        return struct.pack("<BB", 1, n)
    return struct.pack("<BI", 4, n) if n < 1 << 32 else struct.pack("<BQ", 8, n)


@cache
def _sample(channels: int) -> np.dtype[np.void]:
    return np.dtype([("form", "u1"), ("time", "<f8"), ("row", "<f8", (channels,))])
