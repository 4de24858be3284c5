"""Settings from TOML files: a table with a ``use`` key becomes an object."""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

TRUSTED = ("physio", "devices")


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
    cls = _named(value["use"], at, trust)
    known = [f.name for f in fields(cls) if _told(f)]
    filled = {k: v for k, v in given.items() if k in known and k not in parts}
    return make(cls, parts, at, filled)


def make(
    cls: type, parts: Mapping[str, Any], at: str, given: Mapping[str, Any] = {}
) -> Any:
    """Return ``cls(**parts, **given)``, each part checked against its field."""
    known = {f.name: f for f in fields(cls) if _told(f)}
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
        named = ((f.name, getattr(value, f.name)) for f in fields(cls) if _told(f))
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


def _named(use: Any, at: str, trust: tuple[str, ...]) -> type:
    """Return the dataclass that an import path names, from a trusted package alone."""
    if not isinstance(use, str) or use.count(":") != 1:
        raise ValueError(f"{at}: use = {use!r} must be 'package.module:Name'")
    module, _, name = use.partition(":")
    if module.split(".")[0] not in (*TRUSTED, *trust):
        raise ValueError(
            f"{at}: use = {use!r} is outside {', '.join((*TRUSTED, *trust))}; "
            f"--trust {module.split('.')[0]} would allow it"
        )
    try:
        cls = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{at}: there is no {use!r}: {error}") from None
    if not (isinstance(cls, type) and is_dataclass(cls)):
        raise ValueError(f"{at}: {use!r} is not a class of settings")
    return cls


def _told(field: Field[Any]) -> bool:
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
