"""Marks of code and files that stored features and fits depend on."""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import physio
from physio import config
from physio.offline.extract import source_fingerprint
from physio.training.learner import Learner

_LIBRARIES: Final = (
    *("numpy", "scikit-learn", "skl2onnx", "onnxruntime", "torch", "braindecode"),
    "xgboost",
)


def learner_mark(learner: Learner, trust: Sequence[str] = ()) -> str:
    """Return a text that changes with all that a fit of a learner depends on.

    These are its settings, the files that its ``files`` names, the code of this library
    and of the trusted packages, and the versions of the libraries that fit.
    """
    paths = [Path(p) for name in getattr(learner, "files", ())
             if (p := getattr(learner, name))]  # fmt: skip
    training = sorted((Path(physio.__file__).parent / "training").rglob("*.py"))
    return repr((
        config.describe(learner), _digest(p for p in paths if p.is_file()),
        source_fingerprint(), _digest(training), trusted_code(trust),
        [_version(name) for name in _LIBRARIES],
    ))  # fmt: skip


def trusted_code(packages: Sequence[str]) -> str:
    """Return a hash of the source files of packages or modules."""
    return _digest(path for name in packages for path in _sources(name))


def _sources(package: str) -> Iterator[Path]:
    """Yield the source files of a package or module, as `config.load_module` finds it.

    That is among the installed ones, and then in the current folder.
    """
    spec = _spec(package)
    if spec is None:
        return
    folders = list(spec.submodule_search_locations or ())
    for folder in folders:
        yield from sorted(Path(folder).rglob("*.py"))
    if not folders and spec.origin and Path(spec.origin).is_file():
        yield Path(spec.origin)


def _spec(package: str) -> ModuleSpec | None:
    try:
        spec = find_spec(package)
    except (ValueError, ImportError):  # made without a specification; a dotted name
        return None
    return spec or PathFinder.find_spec(package, [*sys.path, str(Path.cwd())])


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
