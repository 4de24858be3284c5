"""The reader of pickled arrays: what it reads, what it refuses, and how fast."""

import pickle
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physio.io import safe_pickle
from python2 import dumped, global_

VALUE = {"data": np.arange(24.0).reshape(2, 3, 4), "labels": [1, 2.5, "a", None, True],
         "who": {"S": (np.float32(1.5), np.int64(3))}}  # fmt: skip


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("protocol", range(6))
def test_what_python_3_writes_is_read(protocol: int) -> None:
    text = pickle.dumps(VALUE, protocol)
    assert same(safe_pickle.loads(text), VALUE)


@pytest.mark.parametrize("dtype", ["?", "i1", "<i4", ">i4", "u2", "<f4", ">f8", "c16"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_plain_numbers_of_either_order(dtype: str, protocol: int) -> None:
    values = np.random.default_rng(1).normal(0, 50, (3, 5)).astype(dtype)
    for one in (values, np.asfortranarray(values), values[:0]):
        assert same(safe_pickle.loads(pickle.dumps(one, protocol)), one)


@pytest.mark.parametrize("protocol", [0, 2])
def test_what_python_2_writes_is_read_as_pickle_reads_it(protocol: int) -> None:
    value = {"data": np.random.default_rng(2).normal(size=(2, 3)), "subject": "S2",
             "n": 3, "x": 0.5, "label": np.arange(4, dtype="<i4")}  # fmt: skip
    text = dumped(value, protocol)
    assert same(safe_pickle.loads(text), value)
    # That the assembly by hand is a pickle of Python 2: the standard reader agrees.
    assert same(pickle.loads(text, encoding="latin-1"), value)


def attack(state: bytes, code: bytes = b"f8") -> bytes:
    """Return an array whose dtype has a state of the attacker's choice."""
    dtype = global_("numpy", "dtype") + b"U" + bytes([len(code)]) + code
    dtype += b"K\x00K\x01\x87R" + state + b"b"
    shell = global_("numpy.core.multiarray", "_reconstruct")
    shell += global_("numpy", "ndarray") + b"K\x00\x85U\x01b\x87R"
    return (
        b"\x80\x02"
        + shell
        + b"(K\x01K\x01\x85"
        + dtype
        + b"\x89U\x08"
        + b"A" * 8
        + b"tb."
    )


STATE = b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK%ct"
ODD = struct.pack("<I", 2**31 - 1)
WHOLE = attack(STATE % b"\x00")
LAUGHS = b"".join(
    b"0(" + bytes([104, i]) * 10 + b"lq" + bytes([i + 1]) for i in range(30)
)
HOSTILE = {
    "os.system": b"cos\nsystem\n(S'touch OWNED'\ntR.",
    "posix.system": b"\x80\x02cposix\nsystem\nU\x05touch\x85R.",
    "eval": b"\x80\x02c__builtin__\neval\nU\x031+1\x85R.",
    "stacked eval": b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
    "getattr": b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.",
    "dotted": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
    "numpy.load": b"\x80\x02cnumpy\nload\nU\x01x\x85R.",
    "numpy.memmap": b"\x80\x02cnumpy\nmemmap\nU\x01x\x85R.",
    "runstring": b"\x80\x02cnumpy.testing._private.utils\nrunstring\n.",
    "inst": b"(S'x'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'x'\no.",
    "newobj": b"\x80\x02cnumpy\nndarray\n)\x81.",
    "newobj_ex": b"\x80\x04cnumpy\nndarray\n)}\x92.",
    "ext1": b"\x80\x02\x82\x01.",
    "ext2": b"\x80\x02\x83\x01\x00.",
    "ext4": b"\x80\x02\x84\x01\x00\x00\x00.",
    "persid": b"Psome\n.",
    "binpersid": b"\x80\x02U\x01x\x51.",
    "next_buffer": b"\x80\x05\x97.",
    "set": b"\x80\x04\x8f.",
    "object dtype": attack(STATE % b"\x3f", b"O8"),
    "void dtype": attack(STATE % b"\x00", b"V8"),
    "flags": attack(STATE % b"\x3f"),
    "fields": attack(
        b"(K\x03U\x01|NU\x01a\x85}U\x01aNK\x00\x86sK\x08K\x01K\x00t", b"f8"
    ),
    "call ndarray": b"\x80\x02cnumpy\nndarray\nJ" + ODD + b"\x85\x85R.",
    "build a dict": b"\x80\x02}}U\x09__class__Nsb.",
    "build a token": b"\x80\x02cnumpy\nndarray\n}b.",
    "unfilled array": WHOLE[: WHOLE.index(b"(K\x01K")] + b".",
    "huge shape": WHOLE.replace(b"K\x01\x85", b"J" + ODD + b"\x85", 1),
    "negative shape": WHOLE.replace(b"K\x01\x85", b"J\xff\xff\xff\xff\x85", 1),
    "huge string": b"\x80\x02T\xff\xff\xff\x7fabc.",
    "huge bytes": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
    "huge frame": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f",
    "huge long": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "memo bomb": b"\x80\x02" + b"(" * 300_000 + b".",
    "list bomb": b"\x80\x02" + b"]" * 300_000 + b".",
    "cycle": b"\x80\x02]q\x00h\x00a.",
    "laughs": b"\x80\x02]q\x00" + LAUGHS + b".",
    "deep": b"\x80\x02" + b")" + b"\x85" * 100 + b".",
    "page": b"<!DOCTYPE html><html>404</html>",
    "empty": b"",
    "zip": b"PK\x03\x04" + bytes(26),
    "version": b"\x80\x09N.",
    "digits": b"I" + b"9" * 100_000 + b"\n.",
    "unhashable key": b"\x80\x02}]Ns.",
    "two values": b"\x80\x02NN.",
    "encode bomb": b"\x80\x02c_codecs\nencode\nq\x000X\x10\x00\x00\x00" + b"a" * 16
    + b"q\x01X\x06\x00\x00\x00latin1q\x0200" + b"h\x00h\x01h\x02\x86R" * 1000 + b".",
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_in_one_sentence(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "s01.dat"
    path.write_bytes(HOSTILE[kind])
    tracemalloc.start()
    try:
        with pytest.raises(safe_pickle.RefusedError) as refused:
            safe_pickle.load(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = str(refused.value)
    assert message.startswith(f"{path}, byte ")
    assert "\n" not in message
    # 200,000 operations of one object of about 64 bytes and its place each.
    assert peak < 32e6
    assert not list(Path.cwd().glob("OWNED"))


def test_the_attacks_differ_from_a_whole_array_by_one_thing() -> None:
    assert same(safe_pickle.loads(WHOLE), np.frombuffer(b"A" * 8))


def test_a_refusal_names_file_byte_and_what_was_asked_for() -> None:
    with pytest.raises(safe_pickle.RefusedError) as refused:
        safe_pickle.loads(HOSTILE["posix.system"], "s01.dat")
    assert str(refused.value) == (
        "s01.dat, byte 2: asks for posix.system, which no recording needs; nothing "
        "was run"
    )


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_file_cut_at_any_byte_is_refused(protocol: int) -> None:
    text = (
        pickle.dumps(VALUE, 5) if protocol == 5 else dumped({"a": np.ones(3)}, protocol)
    )
    for n in range(len(text)):
        with pytest.raises(safe_pickle.RefusedError):
            safe_pickle.loads(text[:n])


def test_arrays_cannot_be_written_to() -> None:
    found = safe_pickle.loads(pickle.dumps(np.ones(3), 2))
    with pytest.raises(ValueError, match=r"^assignment destination is read-only$"):
        found[0] = 2


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 5), st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255))))
def test_only_its_own_error_escapes(
    protocol: int, changes: list[tuple[int, int]]
) -> None:
    text = bytearray(pickle.dumps(VALUE, protocol))
    for place, value in changes:
        text[place % len(text)] = value
    try:
        safe_pickle.loads(bytes(text))
    except safe_pickle.RefusedError:
        return


def test_memory_and_time_of_a_file_of_deaps_size(tmp_path: Path) -> None:
    path = tmp_path / "s01.dat"
    data = np.random.default_rng(3).normal(size=(40, 40, 8064))
    path.write_bytes(dumped({"data": data, "labels": np.ones((40, 4))}, 2))
    size = path.stat().st_size
    del data
    ours, theirs = [], []
    for _ in range(3):
        begin = time.perf_counter()
        safe_pickle.load(path)
        ours.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        with path.open("rb") as file:
            pickle.load(file, encoding="latin-1")
        theirs.append(time.perf_counter() - begin)
    assert min(ours) < 4 * min(theirs)
    tracemalloc.start()
    try:
        safe_pickle.load(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * size


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        safe_pickle.load(tmp_path / "s01.dat")
    assert str(missing.value) == f"there is no file {tmp_path / 's01.dat'}"
