"""Data sets by name: those of the library, of installed packages, of one's code."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any, Final

from physio import config
from physio.core.plugins import installed
from physio.core.recording import Recording
from physio.datasets.base import Dataset, Trial

_LISTED: Final = 6  # names in a message


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


def open_dataset(
    name: str,
    root: Path,
    trust: tuple[str, ...] = (),
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Dataset:
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
    options
        Further settings of the data set, as the columns of `BidsRatings`.

    Raises
    ------
    ValueError
        If there is no data set of that name, or its package is not trusted.
    """
    if ":" not in name:
        cls: Any = dataset_classes().get(name)
        if cls is not None:
            built: Dataset = config.make(cls, {"root": root, **options}, name)
            return built
        plugins = {p.name: p.use for p in installed("physio.datasets")}
        if name not in plugins:
            raise ValueError(
                f"there is no data set {name!r}: `physio extract --list` names them; "
                "one of your own is package.module:Class with --trust package"
            )
        name = plugins[name]
    loaded: Dataset = config.build(
        {"use": name, "root": root, **options}, "DATASET", trust
    )
    return loaded


def recognized(root: Path) -> tuple[str, Dataset] | None:
    """Return the data set of the library in a folder, with its name; None for none.

    Its reader lists trials, and no signal is read.
    """
    for name, cls in dataset_classes().items():
        try:
            dataset = cls(root)
            if dataset.trials():
                return name, dataset
        except (ValueError, OSError, KeyError):
            continue
    return None


def load_trial(
    dataset: Dataset, root: Path, participant: str, session: str, task: str
) -> Recording:
    """Return a recording of a data set.

    Parameters
    ----------
    dataset, root
        The data set, and its folder for messages.
    participant, session, task
        Names in the data set, the task that of a trial; empty where there is one only.

    Raises
    ------
    ValueError
        If no recording has these names, or several have.
    """
    chosen = dataset.trials()
    given = {"participant": participant, "session": session, "task": task}
    for field, (option, wish) in zip(Trial._fields, given.items(), strict=True):
        known = list(dict.fromkeys(str(getattr(t, field)) for t in chosen))
        if wish and wish not in known:
            raise ValueError(
                f"{root} ({dataset.name}) has no {option} {wish!r}; it has "
                f"{_listed(known)}"
            )
        if not wish and len(known) > 1:
            raise ValueError(
                f"{root} ({dataset.name}) holds {len(chosen)} recordings: give the "
                f"{option}, one of {_listed(known)}"
            )
        chosen = tuple(t for t in chosen if not wish or getattr(t, field) == wish)
    return dataset.load(chosen[0])


def _listed(names: list[str]) -> str:
    """Return the first names, and the number of the others."""
    more = len(names) - _LISTED
    text = ", ".join(filter(None, names[:_LISTED])) or "none"
    return f"{text} and {more} more" if more > 0 else text
