"""Compilation of kernels, which are stored if a folder for them is writable."""

from collections.abc import Callable
from typing import Any, Final

import numba

IN_MEMORY: Final[set[str]] = set()
"""Modules whose kernels cannot be stored: each process compiles them anew."""


def njit(*, cache: bool = True, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function, as `numba.njit` does.

    Where no folder for compiled kernels can be written (without a home folder, on a
    read-only disk), the kernel is compiled in memory, with the same results.

    Parameters
    ----------
    cache
        Store the compiled kernel.
    options
        Further options of `numba.njit`.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=cache, **options)(function)
        except RuntimeError:
            if not cache:
                raise
            IN_MEMORY.add(function.__module__)
            return numba.njit(cache=False, **options)(function)

    return compiled


def cache_folder(kernel: Any) -> str | None:
    """Return the folder of a stored kernel; None if it is in memory only."""
    path: str | None = kernel.stats.cache_path
    return path
