"""Pickles as Python 2 wrote them, assembled by hand from their operations."""

import struct
from typing import Any

import numpy as np


def global_(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def dumped(value: Any, protocol: int = 2) -> bytes:
    """Return what ``cPickle.dump`` of Python 2 with numpy 1.x would have written."""
    head = b"\x80\x02" if protocol == 2 else b""
    return head + _piece(value, protocol) + b"."


def _text(data: bytes, protocol: int) -> bytes:
    if protocol == 0:
        return b"S" + repr(data)[1:].encode("ascii") + b"\n"
    if len(data) < 256:
        return b"U" + bytes([len(data)]) + data
    return b"T" + struct.pack("<I", len(data)) + data


def _int(value: int, protocol: int) -> bytes:
    if protocol == 0:
        return b"I%d\n" % value
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if 0 <= value < 2**16:
        return b"M" + struct.pack("<H", value)
    return b"J" + struct.pack("<i", value)


def _tuple(parts: list[bytes], protocol: int) -> bytes:
    short = {1: b"\x85", 2: b"\x86", 3: b"\x87"}
    if protocol == 2 and len(parts) in short:
        return b"".join(parts) + short[len(parts)]
    return b"(" + b"".join(parts) + b"t"


def _array(value: np.ndarray[Any, Any], protocol: int) -> bytes:
    code = value.dtype.str
    order, kind = code[0], code[1:]
    dtype = (
        global_("numpy", "dtype")
        + _tuple([_text(kind.encode(), protocol), _int(0, protocol), _int(1, protocol)],
                 protocol)
        + b"R"
        + _tuple([_int(3, protocol), _text(order.encode(), protocol), b"N", b"N", b"N",
                  _int(-1, protocol), _int(-1, protocol), _int(0, protocol)], protocol)
        + b"b"
    )  # fmt: skip
    shell = (
        global_("numpy.core.multiarray", "_reconstruct")
        + _tuple([global_("numpy", "ndarray"), _tuple([_int(0, protocol)], protocol),
                  _text(b"b", protocol)], protocol)
        + b"R"
    )  # fmt: skip
    shape = _tuple([_int(n, protocol) for n in value.shape], protocol)
    false = b"I00\n" if protocol == 0 else b"\x89"
    state = [_int(1, protocol), shape, dtype, false, _text(value.tobytes(), protocol)]
    return shell + _tuple(state, protocol) + b"b"


def _piece(value: Any, protocol: int) -> bytes:
    if isinstance(value, np.ndarray):
        return _array(value, protocol)
    if isinstance(value, str):
        return _text(value.encode("latin-1"), protocol)
    if isinstance(value, int):
        return _int(value, protocol)
    if isinstance(value, float):
        if protocol == 0:
            return b"F%r\n" % value
        return b"G" + struct.pack(">d", value)
    if isinstance(value, dict):
        pairs = [_piece(k, protocol) + _piece(v, protocol) for k, v in value.items()]
        if protocol == 0:
            return b"(d" + b"".join(p + b"s" for p in pairs)
        return b"}(" + b"".join(pairs) + b"u"
    raise TypeError(f"no way to write a {type(value).__name__}")
