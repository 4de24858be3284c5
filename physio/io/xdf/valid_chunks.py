"""Valid chunks of any XDF file, damaged or truncated."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.etree import ElementTree as ET

import numpy as np

from physio.io.xdf.chunks import (
    BOUNDARY,
    MAGIC,
    Chunk,
    Tag,
    UnreadableError,
    measure,
    within,
)

WIDTHS: Final = {
    "double64": 8,
    "int64": 8,
    "float32": 4,
    "int32": 4,
    "int16": 2,
    "int8": 1,
}
"""Size of a value (bytes) by channel format."""


@dataclass
class ValidChunks:
    """Valid chunks, and the invalid bytes between them: begin and end of each."""

    chunks: list[Chunk] = field(default_factory=list)
    bad: list[tuple[int, int]] = field(default_factory=list)
    _streams: dict[int, tuple[int, int]] = field(default_factory=dict)

    def take(self, raw: bytes) -> None:
        """Read a file; after damage, resume at the next boundary."""
        view = memoryview(raw)
        at = len(MAGIC) if raw.startswith(MAGIC) else self._skip(raw, 0)
        while at < len(raw):
            chunk = _next(view, at)
            if chunk is not None and self._is_valid(chunk):
                self.chunks.append(chunk)
                at = _end(view, chunk)
            elif (
                chunk is not None and _next(view, end := _end(view, chunk)) is not None
            ):
                self.bad.append((at, end))  # its frame is right
                at = end
            else:
                at = self._skip(raw, at)

    def _skip(self, raw: bytes, at: int) -> int:
        """Skip the bytes from ``at`` to the next boundary."""
        to = raw.find(BOUNDARY, at + 1)
        to = len(raw) if to < 0 else to
        self.bad.append((at, to))
        return to

    def _is_valid(self, chunk: Chunk) -> bool:
        try:
            return self._check_content(chunk)
        except (ValueError, TypeError, struct.error, ET.ParseError):
            return False

    def _check_content(self, chunk: Chunk) -> bool:
        if chunk.tag == Tag.BOUNDARY:
            return bytes(chunk.content) == BOUNDARY[-16:]
        if chunk.tag == Tag.FILE_HEADER:
            ET.fromstring(bytes(chunk.content))
            return not self.chunks
        if chunk.tag == Tag.STREAM_HEADER:
            return chunk.stream not in self._streams and self._open(chunk)
        if chunk.stream not in self._streams:
            return False
        if chunk.tag == Tag.CLOCK_OFFSET:
            return bool(np.isfinite(struct.unpack("<dd", chunk.content)).all())
        if chunk.tag == Tag.STREAM_FOOTER:
            ET.fromstring(bytes(chunk.content))
            return True
        return _fills(chunk.content, *self._streams[chunk.stream])

    def _open(self, chunk: Chunk) -> bool:
        xml = ET.fromstring(bytes(chunk.content))
        kind = xml.findtext("channel_format", "")
        channels = int(xml.findtext("channel_count", ""))
        float(xml.findtext("nominal_srate", ""))
        named = xml.findtext("name") is not None and xml.findtext("type") is not None
        if channels < 0 or not named or kind not in {*WIDTHS, "string"}:
            return False
        self._streams[chunk.stream] = (channels, WIDTHS.get(kind, 0))
        return True


def _next(raw: memoryview, at: int) -> Chunk | None:
    """Return the chunk that begins at byte ``at``, or None if it is incomplete."""
    try:
        return next(within(raw, at, len(raw)), None)
    except UnreadableError:
        return None


def _end(raw: memoryview, chunk: Chunk) -> int:
    length, begin = measure(raw, chunk.at)
    return begin + length


def _fills(content: memoryview, channels: int, width: int) -> bool:
    """Return whether the declared number of samples fills the chunk exactly."""
    n, at = measure(content, 0)
    size = 9 + channels * width
    if width and len(content) - at == n * size:
        kind = np.dtype([("form", "u1"), ("rest", f"V{size - 1}")])
        if (np.frombuffer(content[at:], kind)["form"] == 8).all():
            return True
    for _ in range(n):
        (form,) = struct.unpack_from("<B", content, at)
        if form not in {0, 8}:
            return False
        at += 1 + form + channels * width
        for _ in range(0 if width else channels):
            length, begin = measure(content, at)
            at = begin + length
        if at > len(content):
            return False
    return at == len(content)


def verbatim(raw: memoryview, chunks: list[Chunk]) -> Iterator[memoryview]:
    """Yield the bytes of chunks, unchanged."""
    for chunk in chunks:
        yield raw[chunk.at : _end(raw, chunk)]
