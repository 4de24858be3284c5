"""Data sets by name: those of the library, of installed packages, of one's code."""

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from physio import config
from physio.core.plugins import installed
from physio.datasets.base import Dataset


def dataset_classes() -> dict[str, Callable[[Path], Dataset]]:
    """Return the data sets of the library by the names of their modules."""
    classes: dict[str, Any] = {}
    for info in iter_modules([str(Path(__file__).parent)]):
        module = import_module(f"physio.datasets.{info.name}")
        for _, cls in inspect.getmembers(module, inspect.isclass):
            defined = cls.__module__ == module.__name__ and is_dataclass(cls)
            if defined and {"trials", "load"} <= set(dir(cls)):
                classes.setdefault(info.name, cls)
    return classes


def open_dataset(name: str, root: Path, trust: tuple[str, ...] = ()) -> Dataset:
    """Return the data set of a name, as ``wesad``, or of an import path.

    Parameters
    ----------
    name
        Name of a data set of the library or of an installed package, or
        ``"package.module:Class"``.
    root
        Folder of the data set.
    trust
        Packages, beside this library, that ``name`` may belong to.

    Raises
    ------
    ValueError
        If there is no data set of that name, or its package is not trusted.
    """
    if ":" not in name:
        if (cls := dataset_classes().get(name)) is not None:
            return cls(root)
        plugins = {p.name: p.use for p in installed("physio.datasets")}
        if name not in plugins:
            raise ValueError(
                f"there is no data set {name!r}: `physio extract --list` names them; "
                "one of your own is package.module:Class with --trust package"
            )
        name = plugins[name]
    loaded: Dataset = config.build({"use": name, "root": root}, "DATASET", trust)
    return loaded
