"""Conversion of the final stack of a pickle to plain values."""

from typing import Any, Final

from physio.io.safe_pickle.allowed_globals import Token
from physio.io.safe_pickle.ndarray_parts import Array, Dtype, Raw, UnfitError

VALUES: Final = 200_000
"""Maximum number of values of a file, including repeated ones; an array counts once."""

DEPTH: Final = 32
"""Deepest nesting of a value."""


class ValueBuilder:
    """Builder of plain values; a value with several references is built once."""

    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, int]] = {}
        self._open: set[int] = set()

    def plain(self, value: Any, depth: int = 0) -> tuple[Any, int]:
        """Return a plain value, and the number of values in it."""
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
        values, size = [], 1
        for part in parts:
            result, n = self.plain(part, depth + 1)
            values.append(result)
            size += n
            if size > VALUES:
                raise UnfitError(f"more than {VALUES} values, counting repeated ones")
        if isinstance(value, dict):
            return dict(zip(value, values, strict=True)), size
        return (tuple(values) if isinstance(value, tuple) else values), size
