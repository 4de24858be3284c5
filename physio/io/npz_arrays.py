"""Arrays of a NumPy archive (.npz), read without running anything in it."""

import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from physio.core.input_file import existing_file

_DAMAGE: Final = (
    *(ValueError, KeyError, OSError, EOFError, TypeError, zipfile.BadZipFile),
    *(NotImplementedError, RuntimeError, SyntaxError, OverflowError, MemoryError),
    *(TokenError, AttributeError, zlib.error),
)
"""Errors that NumPy and `zipfile` raise on damaged files."""


def names(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays of an archive; reads no array.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it is no archive.
    """
    existing_file(path)
    try:
        with zipfile.ZipFile(path) as file:
            return tuple(name.removesuffix(".npy") for name in file.namelist())
    except _DAMAGE as error:
        raise ValueError(f"{path} cannot be read: {error}") from None


def load(path: Path, *wanted: str) -> tuple[npt.NDArray[Any], ...]:
    """Return arrays of an archive by their names.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is damaged, or it lacks an array; arrays of
        objects, which only a pickle could hold, are refused.
    """
    existing_file(path)
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in wanted}
    except _DAMAGE as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} cannot be read: {text}") from None
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # bytes of what is no .npy
            raise ValueError(f"{path}: {name} is no array")
    return tuple(arrays.values())
