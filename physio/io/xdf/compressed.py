"""Bytes of XDF files, also of compressed ones: ``.xdfz`` and ``.xdf.gz``."""

import zlib
from pathlib import Path
from typing import Final

from physio.core.input_file import read_bytes

LARGEST: Final = 2**28
"""Size (bytes) up to which a compressed file may grow by any factor."""

FACTOR: Final = 100
"""Largest factor by which a larger file may grow; samples shrink by less than 10."""

_GZIP: Final = b"\x1f\x8b"


def read_xdf_bytes(path: Path) -> bytes:
    """Return the content of an XDF file, decompressed if it is compressed by gzip.

    Of a compressed file that is cut off, everything before the cut is returned.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no file, is empty or damaged, or grows too much.
    """
    raw = read_bytes(path, "XDF")
    if not raw:
        raise ValueError(f"{path} is empty (0 bytes): nothing was recorded in it")
    if not raw.startswith(_GZIP):
        return raw
    limit = max(LARGEST, FACTOR * len(raw))
    parts: list[bytes] = []
    size = 0
    while raw.startswith(_GZIP):
        member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            parts.append(member.decompress(raw, limit - size + 1))
        except zlib.error as error:
            raise ValueError(
                f"{path} is compressed and damaged ({error}): copy it again from where "
                "it was recorded"
            ) from None
        size += len(parts[-1])
        if size > limit:
            raise ValueError(
                f"{path} grows from {len(raw)} to more than {limit} bytes, as no "
                "recording does: decompress it with gzip if it can be trusted"
            )
        raw = member.unused_data
    return b"".join(parts)
