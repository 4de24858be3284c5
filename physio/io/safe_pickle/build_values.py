"""Plain values, made of what a pickle left on the stack."""

from typing import Any, Final

from physio.io.safe_pickle.allowed_globals import Token
from physio.io.safe_pickle.ndarray_parts import Array, Dtype, Raw, UnfitError

VALUES: Final = 200_000
"""How many values a file may hold, repeated ones counted; an array is one."""

DEPTH: Final = 32
"""How deep a value may be nested."""


class Finish:
    """Makes plain values, each once, however often the pickle refers to it."""

    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, int]] = {}
        self._open: set[int] = set()

    def plain(self, value: Any, depth: int = 0) -> tuple[Any, int]:
        """Return a plain value, and how many there are in it."""
        if depth > DEPTH:
            raise UnfitError(f"values nested more than {DEPTH} deep")
        if isinstance(value, Array) and value.values is not None:
            return value.values, 1
        if isinstance(value, Array | Dtype | Token):
            raise UnfitError("a part of an array where a value belongs")
        if not isinstance(value, tuple | list | dict | Raw):
            return value, 1
        if id(value) not in self._done:
            if id(value) in self._open:
                raise UnfitError("a value that contains itself")
            self._open.add(id(value))
            self._done[id(value)] = self._inside(value, depth)
        return self._done[id(value)]

    def _inside(self, value: Any, depth: int) -> tuple[Any, int]:
        if isinstance(value, Raw):
            return value.value(), 1
        parts = list(value.values()) if isinstance(value, dict) else list(value)
        found, size = [], 1
        for part in parts:
            made, n = self.plain(part, depth + 1)
            found.append(made)
            size += n
            if size > VALUES:
                raise UnfitError(f"more than {VALUES} values, counting repeated ones")
        if isinstance(value, dict):
            return dict(zip(value, found, strict=True)), size
        return (tuple(found) if isinstance(value, tuple) else found), size
