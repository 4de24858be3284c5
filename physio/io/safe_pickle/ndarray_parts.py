"""Values on the stack of the pickle machine: bytes of the file, dtypes and arrays."""

import codecs
import math
from dataclasses import dataclass
from typing import Final, Literal, Never

import numpy as np
import numpy.typing as npt

TEXT: Final = 2**20
"""The longest text (bytes) that may be a value or a key; arrays may be larger."""

_CODES: Final = frozenset(
    ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8",
     "c16")
)  # fmt: skip
_PLAIN: Final = (None, None, None, -1, -1, 0)
"""Remaining state of a plain dtype: no subarray, names or fields; no flags."""

_ORDERS: Final[dict[str, Literal["<", ">", "="]]] = {
    "<": "<",
    ">": ">",
    "=": "=",
    "|": "=",  # one byte has no order
}

_PIECE: Final = 2**20


class UnfitError(ValueError):
    """Error in a part of a pickle; the machine adds file and offset."""


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """Bytes of the file that represent a text, or bytes.

    Parameters
    ----------
    data
        Bytes as stored in the file.
    codec
        Encoding of the text; ``""`` for bytes.
    """

    data: bytes | memoryview
    codec: str = "latin-1"

    def text(self) -> str:
        """Return the text."""
        if len(self.data) > TEXT:
            raise UnfitError(
                f"a text of {len(self.data)} bytes; at most {TEXT} are read"
            )
        if not self.codec:
            raise UnfitError("bytes where a text belongs")
        return _decoded(self.data, self.codec)

    def value(self) -> str | bytes:
        """Return the text, or the bytes."""
        if self.codec:
            return self.text()
        if len(self.data) > TEXT:
            raise UnfitError(f"{len(self.data)} bytes outside of an array")
        return bytes(self.data)

    def binary(self) -> bytes | memoryview:
        """Return the bytes; a text of Python 2 represents bytes as well."""
        if self.codec not in ("", "latin-1"):
            raise UnfitError("a text where the bytes of an array belong")
        return self.data

    def encoded(self) -> "Raw":
        """Return a text encoded in Latin-1, as by ``_codecs.encode``.

        The text is encoded piece by piece, because one character beyond Latin-1 makes a
        whole text four times as large in memory.
        """
        if self.codec not in ("utf-8", "raw-unicode-escape"):
            raise UnfitError("asks to encode what is no text")
        if self.codec == "raw-unicode-escape":
            return Raw(_escaped(bytes(self.data)), "")
        decoder, encoded = codecs.getincrementaldecoder("utf-8")(), bytearray()
        try:
            for i in range(0, len(self.data), _PIECE):
                encoded += decoder.decode(self.data[i : i + _PIECE]).encode("latin-1")
            decoder.decode(b"", final=True)
        except UnicodeError:
            raise UnfitError(
                "a text that is not Latin-1 for the bytes of an array"
            ) from None
        return Raw(memoryview(encoded).toreadonly(), "")


class Dtype:
    """A dtype under construction: its code, then its byte order."""

    def __init__(self, args: object) -> None:
        args = args if isinstance(args, tuple) and len(args) == 3 else (None,) * 3
        name = args[0].text() if isinstance(args[0], Raw) else "unknown"
        if name not in _CODES or args[1:] != (0, 1):
            raise UnfitError(
                f"numbers of type {name[:20]!r}; only plain numbers are read"
            )
        self.type = np.dtype(name)

    def build(self, state: object) -> None:
        """Take the state that numpy writes: version 3, byte order, nothing else."""
        if not isinstance(state, tuple) or len(state) != 8 or state[0] != 3:
            raise UnfitError("a numpy dtype with a state of another version")
        order = state[1].text() if isinstance(state[1], Raw) else ""
        known = _ORDERS.get(order)
        if known is None or not _same(state[2:], _PLAIN):
            raise UnfitError("a numpy dtype with fields, objects or flags")
        self.type = self.type.newbyteorder(known)


class Array:
    """An array under construction."""

    def __init__(self, values: npt.NDArray[np.generic] | None = None) -> None:
        self.values = values

    def build(self, state: object) -> None:
        """Take the state that numpy writes: version 1, shape, type, order, bytes."""
        if not isinstance(state, tuple) or len(state) != 5 or state[0] != 1:
            raise UnfitError("a numpy array with a state of another version")
        _, shape, dtype, fortran, raw = state
        if fortran not in (0, 1):
            raise UnfitError("a numpy array with a state of another version")
        self.values = filled(shape, dtype, raw, "F" if fortran else "C")


def filled(
    shape: object, dtype: object, raw: object, order: str
) -> npt.NDArray[np.generic]:
    """Return an array that views bytes of the file, without a copy.

    The state in the file is never passed to numpy: with a dtype from an untrusted
    state, numpy could interpret any bytes as pointers.
    """
    if not isinstance(dtype, Dtype) or not isinstance(raw, Raw):
        raise UnfitError("a numpy array without a type of numbers, or without bytes")
    if not isinstance(shape, tuple) or len(shape) > 8 or not all(map(_size, shape)):
        raise UnfitError("a numpy array whose shape is no tuple of sizes")
    data = raw.binary()
    need = math.prod(shape) * dtype.type.itemsize
    if need != len(data):
        raise UnfitError(
            f"an array of shape {shape} needs {need} bytes, but {len(data)} are there"
        )
    values: npt.NDArray[np.generic] = np.frombuffer(data, dtype.type)
    values.flags.writeable = False
    return values.reshape(shape, order="F" if order == "F" else "C")


def scalar(args: object) -> object:
    """Return the value of a numpy scalar."""
    if not isinstance(args, tuple) or len(args) != 2:
        raise UnfitError("a numpy number without its bytes")
    return filled((), *args, "C").item()


def _size(n: object) -> bool:
    return isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**40


def _same(a: tuple[object, ...], b: tuple[object, ...]) -> bool:
    # Types are compared too: True equals 1, and arrays compare with numbers.
    return len(a) == len(b) and all(
        type(x) is type(y) and x == y for x, y in zip(a, b, strict=True)
    )


def _decoded(data: bytes | memoryview, codec: str) -> str:
    try:
        return bytes(data).decode(codec)
    except UnicodeError:
        return _bad(codec)


def _escaped(data: bytes) -> bytes:
    try:
        return data.decode("raw-unicode-escape").encode("latin-1")
    except UnicodeError:
        raise UnfitError(
            "a text that is not Latin-1 for the bytes of an array"
        ) from None


def _bad(codec: str) -> Never:
    raise UnfitError(f"a text that is not {codec}")
