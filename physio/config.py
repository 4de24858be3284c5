"""Settings from TOML files: a table with a ``use`` key becomes an object."""

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from fractions import Fraction
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

TRUSTED: Final = ("physio", "devices")
"""Packages that a file may name without being asked."""

RESEARCH: Final = ("experiments", "benchmarks")
"""Packages of the source repository that are not installed with the library."""


def read(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not TOML.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from None


def build(
    value: Any, at: str, trust: tuple[str, ...] = (), given: Mapping[str, Any] = {}
) -> Any:
    """Build what a value describes, its parts first.

    ``{use = "physio.dsp.iir:Bandpass", low = 1.0}`` becomes ``Bandpass(low=1.0)``, and
    a list becomes a tuple.

    Parameters
    ----------
    value
        As `tomllib` gives it.
    at
        Where it stands, for messages: ``"eeg.toml: chains.eeg"``.
    trust
        Packages that ``use`` may name beside ``physio`` and ``devices``.
    given
        Values for fields of these names, where the outermost object has them.

    Raises
    ------
    ValueError
        If an import path, a key or a value is not what it must be; the message names
        the place, the value and what would be right.
    """
    if isinstance(value, list):
        return tuple(build(v, f"{at}[{i}]", trust) for i, v in enumerate(value))
    if not isinstance(value, Mapping):
        return value
    parts = {k: build(v, f"{at}.{k}", trust) for k, v in value.items() if k != "use"}
    if "use" not in value:
        return parts
    cls = _settings_class(value["use"], at, trust)
    known = [f.name for f in fields(cls) if _is_setting(f)]
    filled = {k: v for k, v in given.items() if k in known and k not in parts}
    return make(cls, parts, at, filled)


def make(
    cls: type, parts: Mapping[str, Any], at: str, given: Mapping[str, Any] = {}
) -> Any:
    """Return ``cls(**parts, **given)``, each part checked against its field."""
    known = {f.name: f for f in fields(cls) if _is_setting(f)}
    allow(parts, tuple(known), at, cls.__name__)
    hints = get_type_hints(cls)
    for name, field in known.items():
        bare = field.default is MISSING and field.default_factory is MISSING
        if bare and name not in parts and name not in given:
            raise ValueError(f"{at}: {cls.__name__} needs a value for {name!r}")
    values = {k: _checked(v, hints[k], f"{at}.{k}") for k, v in parts.items()}
    try:
        return cls(**values, **given)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{at}: {error}") from error


def describe(value: Any) -> Any:
    """Return the tables that `build` makes ``value`` from, every setting named.

    Settings that are None are left out: TOML has no word for them.
    """
    if is_dataclass(value) and not isinstance(value, type):
        cls = type(value)
        named = (
            (f.name, getattr(value, f.name)) for f in fields(cls) if _is_setting(f)
        )
        parts = {k: describe(v) for k, v in named if v is not None}
        return {"use": f"{cls.__module__}:{cls.__qualname__}", **parts}
    if isinstance(value, Mapping):
        return {k: describe(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [describe(v) for v in value]
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else str(value)
    return str(value) if isinstance(value, Path) else value


def allow(parts: Mapping[str, Any], known: tuple[str, ...], at: str, what: str) -> None:
    """Refuse keys that are not ``known``, naming those that are."""
    if unknown := [k for k in parts if k not in known]:
        raise ValueError(
            f"{at}: {what} has no setting {', '.join(map(repr, unknown))}; "
            f"it has {', '.join(known) or 'none'}"
        )


def load_module(name: str, at: str, trust: tuple[str, ...] = ()) -> ModuleType:
    """Import a module of the library, of its checkout or of a trusted package.

    ``experiments`` and ``benchmarks`` are loaded by path from the checkout that this
    library runs from. Packages in ``trust`` are also looked for in the current folder,
    after the installed ones.

    Parameters
    ----------
    name
        Import path: ``"experiments.weights.wrist"``.
    at
        Place of the name in a file or a command, for messages.
    trust
        Packages allowed beside the library and its checkout.

    Raises
    ------
    ValueError
        If the package is not trusted, or the module is missing or cannot be imported.
    """
    package = name.split(".")[0]
    if package in trust:
        if str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))
    elif package in RESEARCH:
        _load_research(package, at)
    elif package not in TRUSTED:
        raise ValueError(
            f"{at}: {package!r} is outside {', '.join((*TRUSTED, *trust))}; "
            f"--trust {package} would allow it"
        )
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name != missing and not name.startswith(f"{missing}."):
            problem = f"{name!r} needs {missing!r}, which is not installed"
        elif package in trust:
            problem = f"no module {name!r} is installed or in {Path.cwd()}"
        else:
            problem = f"there is no module {name!r}"
        raise ValueError(f"{at}: {problem}") from None
    except ImportError as error:
        raise ValueError(f"{at}: {name!r} cannot be imported: {error}") from None


def load_object(use: Any, at: str, trust: tuple[str, ...] = ()) -> Any:
    """Return what an import path ``"package.module:Name"`` names.

    Parameters and errors as of `load_module`.
    """
    if not isinstance(use, str) or use.count(":") != 1:
        raise ValueError(f"{at}: use = {use!r} must be 'package.module:Name'")
    name, _, attribute = use.partition(":")
    module = load_module(name, at, trust)
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise ValueError(f"{at}: {name!r} defines no {attribute!r}") from None


def checkout() -> Path | None:
    """Return the root of the source repository this library runs from, if it does."""
    root = Path(__file__).resolve().parents[1]
    packages = all((root / name / "__init__.py").is_file() for name in RESEARCH)
    return root if packages and (root / "pyproject.toml").is_file() else None


def _load_research(package: str, at: str) -> None:
    """Load a package of the checkout by its path, whatever else has its name."""
    root = checkout()
    if root is None:
        raise ValueError(
            f"{at}: {package!r} is part of the source repository and not of the "
            "installed package: clone the repository and run `pip install -e .` in it"
        )
    file = root / package / "__init__.py"
    if (loaded := sys.modules.get(package)) is not None:
        if Path(loaded.__file__ or "").resolve() != file:
            raise ValueError(f"{at}: another {package!r} is loaded: {loaded.__file__}")
        return
    spec = spec_from_file_location(package, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{at}: {file} cannot be loaded")
    sys.modules[package] = module = module_from_spec(spec)
    spec.loader.exec_module(module)


def _settings_class(use: Any, at: str, trust: tuple[str, ...]) -> type:
    """Return the dataclass that an import path names."""
    cls = load_object(use, at, trust)
    if not (isinstance(cls, type) and is_dataclass(cls)):
        raise ValueError(f"{at}: {use!r} is not a class of settings")
    return cls


def _is_setting(field: Field[Any]) -> bool:
    """Tell whether a field is a setting, which a file may give."""
    return field.init and not field.name.startswith("_")


def _checked(value: Any, hint: Any, at: str) -> Any:
    """Return ``value`` if it is of the type a field declares, nothing converted."""
    if isinstance(hint, type) and is_dataclass(hint):
        if isinstance(value, Mapping):
            return make(hint, value, at)
        if isinstance(value, hint):
            return value
        raise ValueError(f"{at}: {value!r} should be a table of {hint.__name__}")
    inner = get_args(hint)
    if get_origin(hint) is tuple and inner[1:] == (...,) and is_dataclass(inner[0]):
        if not isinstance(value, tuple):
            raise ValueError(f"{at} = {value!r} should be a list of tables")
        checked = (_checked(v, inner[0], f"{at}[{i}]") for i, v in enumerate(value))
        return tuple(checked)
    if hint is Fraction and not isinstance(value, Fraction | bool):
        try:
            return Fraction(str(value))
        except ValueError:
            raise ValueError(f"{at} = {value!r}: input should be a number") from None
    rules = ConfigDict(strict=True, arbitrary_types_allowed=True)
    try:
        return TypeAdapter(hint, config=rules).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"[{p}]" for p in first["loc"] if isinstance(p, int))
        said = first["msg"][0].lower() + first["msg"][1:]
        raise ValueError(f"{at}{where} = {first['input']!r}: {said}") from None
