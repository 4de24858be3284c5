"""Checksums in a recording, so that damage is detected and limited to one record.

A record is a unit that `Writer` appends at once: a header, a block, the footers. Each
record is followed by a sample of the stream ``session.checks``: the first byte of the
record in the file, its number of bytes, and the CRC32 of the bytes, these two numbers
and the time of the sample. Other programs read it as a stream of three numbers without
a rate.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from physio.io.xdf.chunks import numbers

NUMBER: Final = 2
"""Number of the stream in the file; that of the timeline is 1."""

_BODY: Final = struct.Struct("<dddd")  # time, and the entry


class Record(NamedTuple):
    """A complete record: begin and end of its bytes and of its check."""

    begin: int
    end: int
    stop: int


def check(at: int, raw: bytes, time: float) -> bytes:
    """Return the chunk that follows the record ``raw``, which begins at ``at``."""
    entry = (float(at), float(len(raw)), float(_crc(raw, at, time)))
    return numbers(NUMBER, np.array([time]), np.array([entry]))


def records(raw: bytes) -> Iterator[Record]:
    """Yield the records of a file with a valid checksum, in order.

    Records are located by their checksums alone, so that neither damaged chunks nor
    lost or inserted bytes affect later records.
    """
    done, at = 0, raw.find(_PREFIX)
    while at >= 0:
        stop = at + len(_PREFIX) + _BODY.size
        if stop > len(raw):
            return
        time, began, size, crc = _BODY.unpack_from(raw, at + len(_PREFIX))
        if _is_count(began) and _is_count(size) and size <= at - done:
            begin = at - int(size)
            if _crc(memoryview(raw)[begin:at], int(began), time) == crc:
                yield Record(begin, at, stop)
                done, at = stop, stop - 1
        at = raw.find(_PREFIX, at + 1)


def claimed(raw: bytes, begin: int) -> int:
    """Return the end of the check of a record that begins at ``begin``, or -1."""
    at = raw.find(_PREFIX, begin)
    while 0 <= at <= len(raw) - len(_PREFIX) - _BODY.size:
        _, _, size, _ = _BODY.unpack_from(raw, at + len(_PREFIX))
        if size == at - begin:
            return at + len(_PREFIX) + _BODY.size
        at = raw.find(_PREFIX, at + 1)
    return -1


def _is_count(value: float) -> bool:
    return 0 <= value < 2.0**53 and value.is_integer()


def _crc(raw: bytes | memoryview, at: int, time: float) -> int:
    return zlib.crc32(struct.pack("<QQd", at, len(raw), time), zlib.crc32(raw))


_PREFIX: Final = numbers(NUMBER, np.zeros(1), np.zeros((1, 3)))[: -_BODY.size]
"""First bytes of the chunk of every check."""
