"""XDF files as other recorders write them."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from physio.core.block import Array
from physio.io.xdf.chunks import MAGIC, Tag, chunk, numbers, texts


@dataclass
class Stream:
    """A stream of a file: stamps of its samples, and clock offsets (time, offset).

    The first channel counts samples. A stream of the format ``string`` has that count
    as text.
    """

    name: str
    times: Array
    rate: str = "250"
    type: str = "EEG"
    form: str = "double64"
    offsets: Sequence[tuple[float, float]] = ()
    size: int = 32
    written: Array = field(default_factory=lambda: np.empty(0))
    """Time at which each sample reached the recorder (s); by default its stamp."""

    def __post_init__(self) -> None:
        if not len(self.written):
            self.written = self.times

    def header(self) -> bytes:
        return (
            f"<info><name>{self.name}</name><type>{self.type}</type>"
            f"<channel_count>1</channel_count><nominal_srate>{self.rate}"
            f"</nominal_srate><channel_format>{self.form}</channel_format></info>"
        ).encode()

    def samples(self, number: int) -> list[tuple[float, bytes]]:
        """Return the chunks of samples, with the time at which each was written."""
        parts = []
        for a in range(0, len(self.times), self.size):
            rows = slice(a, a + self.size)
            times, k = self.times[rows], np.arange(len(self.times), dtype=float)[rows]
            content = (
                texts(number, times, tuple(f"{v:g}" for v in k))
                if self.form == "string"
                else numbers(number, times, k[:, None])
            )
            parts.append((float(self.written[rows][-1]), content))
        return parts


def write(path: Path, *streams: Stream) -> Path:
    """Write a file whose chunks are in the order in which they arrived."""
    head = [chunk(Tag.FILE_HEADER, b"<info><version>1.0</version></info>")]
    body: list[tuple[float, bytes]] = []
    tail = []
    for i, stream in enumerate(streams, start=1):
        head.append(chunk(Tag.STREAM_HEADER, stream.header(), i))
        body += stream.samples(i)
        tail += [
            chunk(Tag.CLOCK_OFFSET, struct.pack("<dd", *pair), i)
            for pair in stream.offsets
        ]
    ordered = [content for _, content in sorted(body, key=lambda part: part[0])]
    path.write_bytes(MAGIC + b"".join([*head, *ordered, *tail]))
    return path
