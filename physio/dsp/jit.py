"""Compilation of kernels, which are stored if a folder for them is writable."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any, Final

import numba
from numba.core.event import Event, Listener, install_listener

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


class ColdKernelError(BaseException):
    """A kernel would have to be compiled where that is refused.

    It is no `Exception`, so that a stage which needs the kernel is not given up.
    """


class _BeforeCompilation(Listener):
    """Listener that calls a function before the compilations of its thread."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call, self._thread = call, get_ident()

    def on_start(self, event: Event) -> None:  # noqa: ARG002
        if get_ident() == self._thread:
            self._call()

    def on_end(self, event: Event) -> None: ...


@contextmanager
def refused_compilation(refuse: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Refuse to compile kernels in this thread; stored kernels are loaded.

    Parameters
    ----------
    refuse
        Function that is asked before each compilation.

    Raises
    ------
    ColdKernelError
        If a kernel is not stored.
    """

    def call() -> None:
        if refuse():
            raise ColdKernelError

    with before_compilation(call):
        yield


@contextmanager
def before_compilation(call: Callable[[], object]) -> Iterator[None]:
    """Call a function before each kernel that is compiled in this thread."""
    with install_listener("numba:compile", _BeforeCompilation(call)):
        yield
