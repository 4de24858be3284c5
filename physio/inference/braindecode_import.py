"""Import of braindecode, also where torchaudio cannot be loaded."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, Final

_FUNCTIONS: Final = ("fftconvolve", "filtfilt", "lfilter")
_MODULES: Final = ("Resample", "Spectrogram")


def braindecode_models() -> Any:
    """Return the module ``braindecode.models``.

    braindecode imports torchaudio for a few networks, and the wheels of torchaudio on
    PyPI cannot be loaded beside torch for the CPU. Where it cannot be loaded, its names
    are supplied during the import; a network that uses one says so.

    Raises
    ------
    ValueError
        If braindecode is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own dependencies
        try:
            with _torchaudio():
                return import_module("braindecode.models")
        except ImportError as error:
            raise ValueError(
                "networks of braindecode need the package 'braindecode': pip install "
                f"'physio-affect[train]' ({error})"
            ) from None


@contextmanager
def _torchaudio() -> Iterator[None]:
    """Supply the names of torchaudio that braindecode imports, if it has none."""
    if "braindecode.models" in sys.modules or _loads_torchaudio():
        yield
        return
    for name in [n for n in sys.modules if n.partition(".")[0] == "braindecode"]:
        del sys.modules[name]  # left by an import that failed without this
    absent = _substitutes()
    sys.modules.update(absent)
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


def _loads_torchaudio() -> bool:
    """Return whether torchaudio can be loaded; forget it if it cannot."""
    try:
        for name in ("torchaudio", "torchaudio.functional", "torchaudio.transforms"):
            import_module(name)
    except (ImportError, OSError, RuntimeError, AttributeError):
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        return False
    return True


def _substitutes() -> dict[str, ModuleType]:
    """Return modules with names that only refuse to work."""
    from torch import nn

    def refuse(*_args: Any, **_settings: Any) -> Any:
        raise ValueError(
            "this network of braindecode needs torchaudio, which cannot be loaded "
            "here: install the build of torchaudio that belongs to your torch"
        )

    main = ModuleType("torchaudio")
    functional = ModuleType("torchaudio.functional")
    transforms = ModuleType("torchaudio.transforms")
    for name in _FUNCTIONS:
        setattr(functional, name, refuse)
    for name in _MODULES:
        setattr(transforms, name, type(name, (nn.Module,), {"__init__": refuse}))
    main.functional, main.transforms = functional, transforms  # type: ignore[attr-defined]
    return {m.__name__: m for m in (main, functional, transforms)}
