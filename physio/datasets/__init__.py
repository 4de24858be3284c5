"""Data sets and tables of features; `scikit` and `torch` give them to learners.

Both are imported at their first use, so that importing the package loads nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from physio.datasets.table_loaders import scikit, torch

__all__ = ["scikit", "torch"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module("physio.datasets.table_loaders"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
