"""Virtual machine for the pickle operations that recordings need."""

import codecs
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from physio.core.input_file import existing_file
from physio.io.safe_pickle.allowed_globals import Token, construct
from physio.io.safe_pickle.build_values import ValueBuilder
from physio.io.safe_pickle.ndarray_parts import Array, Dtype, Raw, UnfitError

OPERATIONS: Final = 200_000
"""Maximum number of operations; DEAP's files need fewer than a hundred."""

_LINE: Final = 80
"""Maximum length of a number written as text (bytes)."""

_KEY: Final = 256
"""The longest name of a value (bytes)."""

_NEEDLESS: Final = {
    ord(op.code): f"asks for {op.name}, which no recording needs"
    for op in pickletools.opcodes
}
_MARK: Final = object()


class RefusedError(ValueError):
    """A pickle that is damaged, or has operations that no recording needs."""


def load(path: str | Path) -> Any:
    """Read a pickle of numbers, texts and arrays, without unpickling it.

    Parameters
    ----------
    path
        The file, of any protocol from 0 to 5; texts of Python 2 are read as Latin-1.

    Returns
    -------
    dict, list, tuple, str, bytes, number, None or ndarray
        Arrays are of plain numbers, read-only, and share the memory of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    RefusedError
        If the file is damaged or requires other operations; the message names the file,
        the byte and the required operation.

    Notes
    -----
    No name in the file is looked up or called. Names are compared with the few that
    numpy writes and become tokens, whose functions are implemented here. The state of
    an array is checked and its bytes are viewed; it is not passed to numpy, which does
    not check it.
    """
    path = existing_file(path)
    return loads(path.read_bytes(), str(path))


def loads(data: bytes, name: str = "the pickle") -> Any:
    """Read a pickle from memory: see `load`; ``name`` is for messages."""
    machine = _Machine(data)
    try:
        return machine.run()
    except UnfitError as error:
        raise RefusedError(f"{name}, byte {machine.at}: {error}") from None


class _Machine:
    """Interpreter of a pickle, one operation at a time."""

    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)
        self.bytes = data
        self.place = 0
        self.at = 0  # first byte of the present operation
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.encoded = 0

    def run(self) -> Any:
        if self.bytes[:4] == b"PK\3\4":
            raise UnfitError("this is a zip file, and no pickle")
        for _ in range(OPERATIONS):
            self.at = self.place
            code = self.take(1)[0]
            if code == ord("."):
                return self.result()
            if code not in _OPERATIONS:
                raise UnfitError(_NEEDLESS.get(code, "this is no pickle"))
            _OPERATIONS[code](self)
        raise UnfitError(f"more than {OPERATIONS} operations; no recording needs them")

    # -- the file

    def take(self, n: int) -> memoryview:
        if n > len(self.data) - self.place:
            raise UnfitError("the file ends too early: it was truncated")
        self.place += n
        return self.data[self.place - n : self.place]

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def line(self, longest: int | None = _LINE) -> memoryview:
        end = self.bytes.find(b"\n", self.place)
        if end < 0:
            raise UnfitError("the file ends too early: it was truncated")
        if longest is not None and end - self.place > longest:
            raise UnfitError(f"a number or name of {end - self.place} characters")
        text = self.take(end - self.place)
        self.take(1)
        return text

    def written(self, kind: Callable[[str], Any]) -> Any:
        text = bytes(self.line())
        try:
            return kind(text.decode("ascii"))
        except ValueError:
            raise UnfitError(f"{text[:20]!r} is no number") from None

    # -- the stack

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise UnfitError("the pickle is damaged: a value is missing")
        return self.stack.pop()

    def top(self, kind: type) -> Any:
        value = self.pop()
        if type(value) is not kind:
            raise UnfitError(
                f"the pickle is damaged: there is no {kind.__name__} to fill"
            )
        self.stack.append(value)
        return value

    def marked(self) -> list[Any]:
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i] is _MARK:
                values = self.stack[i + 1 :]
                del self.stack[i:]
                return values
        raise UnfitError("the pickle is damaged: a mark is missing")

    # -- operations

    def group(self, n: int) -> None:
        self.stack.append(tuple([self.pop() for _ in range(n)][::-1]))

    def extend(self, values: list[Any]) -> None:
        self.top(list).extend(values)

    def update(self, pairs: list[Any]) -> None:
        if len(pairs) % 2:
            raise UnfitError("the pickle is damaged: a value is missing")
        target = self.top(dict)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[_key(key)] = value

    def dictionary(self) -> None:
        pairs = self.marked()
        self.stack.append({})
        self.update(pairs)

    def text(self, n: int, codec: str) -> None:
        self.stack.append(Raw(self.take(n), codec))

    def quoted(self) -> None:
        """Take a string as Python 2 writes it out, in quotes and with escapes."""
        line = self.line(None)
        if len(line) < 2 or line[0] != line[-1] or line[0] not in b"'\"":
            raise UnfitError("the pickle is damaged: a string without its quotes")
        try:
            raw, _ = codecs.escape_decode(line[1:-1])
        except ValueError:
            raise UnfitError(
                "the pickle is damaged: a string with a bad escape"
            ) from None
        self.stack.append(Raw(raw))

    def integer(self) -> None:
        text = self.written(str)
        if text in ("00", "01"):
            self.stack.append(text == "01")
        else:
            self.stack.append(_whole(text))

    def long(self, size: int) -> None:
        if size > 16:
            raise UnfitError(f"a number of {size} bytes")
        self.stack.append(int.from_bytes(self.take(size), "little", signed=True))

    def put(self, i: int) -> None:
        value = self.pop()
        self.stack.append(value)
        self.memo[i] = value

    def get(self, i: int) -> None:
        if i not in self.memo:
            raise UnfitError(f"the pickle is damaged: nothing was kept as {i}")
        self.stack.append(self.memo[i])

    def named(self, module: str, name: str) -> None:
        self.stack.append(Token(module, name))

    def name_written(self) -> None:
        module, name = (bytes(self.line()).decode("latin-1") for _ in range(2))
        self.named(module, name)

    def name_stacked(self) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, Raw) or not isinstance(module, Raw):
            raise UnfitError("asks for something whose name is no text")
        self.named(module.text(), name.text())

    def call(self) -> None:
        args, token = self.pop(), self.pop()
        if not isinstance(token, Token) or not isinstance(args, tuple):
            raise UnfitError("asks to call what is no function")
        value = construct(token, args)
        if token.name == "encode":
            self.encoded += len(value.data)
            if self.encoded > len(self.data):
                raise UnfitError("asks to encode the same text again and again")
        self.stack.append(value)

    def build(self) -> None:
        state, target = self.pop(), self.pop()
        if not isinstance(target, Array | Dtype):
            raise UnfitError("asks to change the insides of what is no array")
        target.build(state)
        self.stack.append(target)

    def result(self) -> Any:
        value = self.pop()
        if self.stack:
            raise UnfitError("the pickle is damaged: values are left over")
        return ValueBuilder().plain(value)[0]


def _protocol(version: int) -> None:
    if version > 5:
        raise UnfitError(f"a pickle of version {version}; the newest known is 5")


def _key(key: Any) -> Any:
    if isinstance(key, Raw) and len(key.data) <= _KEY:
        return key.text()
    if not isinstance(key, int):
        raise UnfitError("a key that is neither a short text nor a whole number")
    return key


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UnfitError(f"{text[:20]!r} is no number") from None


def _pushes(value: Callable[["_Machine"], Any]) -> Callable[["_Machine"], None]:
    return lambda m: m.stack.append(value(m))


_OPERATIONS: Final[dict[int, Callable[[_Machine], object]]] = {
    ord(code): operation
    for code, operation in {
        "\x80": lambda m: _protocol(m.number("<B")),
        "\x95": lambda m: m.take(8),
        "(": _pushes(lambda _: _MARK),
        "0": lambda m: m.pop(),
        "1": lambda m: m.marked(),
        "N": _pushes(lambda _: None),
        "\x88": _pushes(lambda _: True),
        "\x89": _pushes(lambda _: False),
        "I": lambda m: m.integer(),
        "L": _pushes(lambda m: _whole(m.written(str).removesuffix("L"))),
        "J": _pushes(lambda m: m.number("<i")),
        "K": _pushes(lambda m: m.number("<B")),
        "M": _pushes(lambda m: m.number("<H")),
        "\x8a": lambda m: m.long(m.number("<B")),
        "F": _pushes(lambda m: m.written(float)),
        "G": _pushes(lambda m: struct.unpack(">d", m.take(8))[0]),
        "S": lambda m: m.quoted(),
        "T": lambda m: m.text(m.number("<I"), "latin-1"),
        "U": lambda m: m.text(m.number("<B"), "latin-1"),
        "B": lambda m: m.text(m.number("<I"), ""),
        "C": lambda m: m.text(m.number("<B"), ""),
        "\x8e": lambda m: m.text(m.number("<Q"), ""),
        "\x96": lambda m: m.text(m.number("<Q"), ""),
        "V": _pushes(lambda m: Raw(m.line(None), "raw-unicode-escape")),
        "X": lambda m: m.text(m.number("<I"), "utf-8"),
        "\x8c": lambda m: m.text(m.number("<B"), "utf-8"),
        "\x8d": lambda m: m.text(m.number("<Q"), "utf-8"),
        "t": lambda m: m.stack.append(tuple(m.marked())),
        ")": lambda m: m.group(0),
        "\x85": lambda m: m.group(1),
        "\x86": lambda m: m.group(2),
        "\x87": lambda m: m.group(3),
        "]": _pushes(lambda _: []),
        "l": lambda m: m.stack.append(m.marked()),
        "a": lambda m: m.extend([m.pop()]),
        "e": lambda m: m.extend(m.marked()),
        "}": _pushes(lambda _: {}),
        "d": lambda m: m.dictionary(),
        "s": lambda m: m.update([m.pop(), m.pop()][::-1]),
        "u": lambda m: m.update(m.marked()),
        "p": lambda m: m.put(_whole(m.written(str))),
        "q": lambda m: m.put(m.number("<B")),
        "r": lambda m: m.put(m.number("<I")),
        "g": lambda m: m.get(_whole(m.written(str))),
        "h": lambda m: m.get(m.number("<B")),
        "j": lambda m: m.get(m.number("<I")),
        "\x94": lambda m: m.put(len(m.memo)),
        "c": lambda m: m.name_written(),
        "\x93": lambda m: m.name_stacked(),
        "R": lambda m: m.call(),
        "b": lambda m: m.build(),
    }.items()
}
