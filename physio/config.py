"""Settings from TOML files: a table with a ``use`` key becomes an object."""

import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from fractions import Fraction
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import (
    Any,
    Final,
    Protocol,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

from pydantic import ConfigDict, TypeAdapter, ValidationError

from physio.core.filename import invalid_reason
from physio.core.input_file import refuse_endless
from physio.core.installation import install_hint, other_devices
from physio.core.json_table import DEEPEST, is_nested_too_deep

TRUSTED: Final = ("physio", "devices")
"""Packages that a file may name without being asked."""

RESEARCH: Final = ("experiments", "benchmarks")
"""Packages of the source repository that are not installed with the library."""

LARGEST: Final = 4_000_000
"""Largest file of settings that is read (bytes)."""

_LONGEST_NUMBER: Final = 400  # characters of a fraction

RENAMED: Final[Mapping[str, tuple[str, ...]]] = {
    "asked": ("on_demand",),
    "beside": ("comparisons",),
    "by_part": ("per_segment",),
    "dropped": ("drop_fraction",),
    "every": ("test_spacing",),
    "fused": ("in_fusion",),
    "gap": ("embargo",),
    "hop": ("step",),
    "lasts": ("state_duration",),
    "measures": ("metrics", "outcomes"),
    "only": ("streams_used",),
    "order": ("order_labels",),
    "patience": ("stall_timeout",),
    "person": ("participant",),
    "reads": ("features",),
    "recall": ("rating_lookback",),
    "reopen": ("reconnect_after",),
    "rest": ("baseline_seconds",),
    "rest_label": ("baseline_label",),
    "ring": ("buffer_seconds",),
    "scales": ("transforms",),
    "share": ("min_valid",),
    "tells": ("target",),
    "tests": ("test_labels",),
    "truth": ("ground_truth",),
    "width": ("window",),
}
"""Settings of version 0.1 and their present names, for messages alone."""


class Adapter(Protocol):
    """Builder of objects whose classes are no dataclasses, for one other package."""

    def build(self, cls: Any, parts: Mapping[str, Any], at: str) -> Any:
        """Return the object that a table with ``use`` describes."""

    def combine(self, parts: Sequence[Any], at: str) -> Any:
        """Return one object from a list whose items all are built by this adapter."""


@runtime_checkable
class Described(Protocol):
    """Object whose settings are not fields: it writes its tables itself."""

    def to_config(self) -> Any:
        """Return the tables that it is built from."""


def read(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file, with those of the file that it includes.

    A file whose first key is ``include = "defaults.toml"`` takes over the tables of
    another file of its folder, which may include a further one. Tables are merged at
    every depth; where both files have a value or a list, the including file's stands.
    A table whose ``use`` names another class than the included one replaces it whole.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    dict
        The merged tables, without the key ``include``; included keys come first.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or none of the included name.
    ValueError
        If a file is not TOML, if ``include`` is not the name of a file in the same
        folder, or if a file includes itself.
    """
    return _with_included(path, ())


def _with_included(path: Path, including: tuple[str, ...]) -> dict[str, Any]:
    tables = _parse(path)
    if "include" not in tables:
        return tables
    name = tables.pop("include")
    if not isinstance(name, str) or not name.endswith(".toml") or invalid_reason(name):
        raise ValueError(
            f"{path.name}: include = {name!r} must be the name of a TOML file in the "
            'same folder, such as "defaults.toml"'
        )
    chain = (*including, path.name)
    if name in chain:
        cycle = " > ".join((*chain, name))
        raise ValueError(f"{path.name}: it includes itself: {cycle}")
    if not (path.parent / name).is_file():
        raise FileNotFoundError(
            f"{path.name}: include = {name!r}: there is no such file in {path.parent}"
        )
    return _merge(_with_included(path.parent / name, chain), tables)


def _parse(path: Path) -> dict[str, Any]:
    refuse_endless(path)
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}") from None
    if len(raw) > LARGEST:
        raise ValueError(
            f"{path} is no file of settings: it is larger than {LARGEST / 1e6:.0f} MB"
        )
    try:
        tables = tomllib.loads(raw.decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    except RecursionError:
        tables = None
    if tables is None or is_nested_too_deep(tables):
        raise ValueError(
            f"{path}: tables and lists are nested deeper than {DEEPEST} levels"
        )
    return tables


def _merge(included: Mapping[str, Any], tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return included tables, with those of the including file put over them."""
    merged = dict(included)
    for key, value in tables.items():
        below = merged.get(key)
        if (
            isinstance(below, Mapping)
            and isinstance(value, Mapping)
            and ("use" not in value or value["use"] == below.get("use", value["use"]))
        ):
            merged[key] = _merge(below, value)
        else:
            merged[key] = value
    return merged


def build(
    value: Any,
    at: str,
    trust: tuple[str, ...] = (),
    given: Mapping[str, Any] = {},
    adapters: Mapping[str, Adapter] = {},
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
    adapters
        Builders for the classes of further packages, by the name of the package: such a
        package is trusted as far as its adapter builds its classes.

    Raises
    ------
    ValueError
        If an import path, a key or a value is not what it must be; the message names
        the place, the value and what would be right.
    """
    if isinstance(value, list):
        items = tuple(
            build(v, f"{at}[{i}]", trust, adapters=adapters)
            for i, v in enumerate(value)
        )
        adapter = _common_adapter(value, adapters)
        return items if adapter is None else adapter.combine(items, at)
    if not isinstance(value, Mapping):
        return value
    parts = {
        k: build(v, f"{at}.{k}", trust, adapters=adapters)
        for k, v in value.items()
        if k != "use"
    }
    if "use" not in value:
        return parts
    adapter = _adapter(value, adapters)
    if adapter is not None:
        cls = load_object(value["use"], at, (*trust, *adapters))
        return adapter.build(cls, parts, at)
    cls = _settings_class(value["use"], at, trust)
    known = [f.name for f in fields(cls) if _is_setting(f)]
    filled = {k: v for k, v in given.items() if k in known and k not in parts}
    built = make(cls, parts, at, filled)
    return built.trusting(trust) if trust and hasattr(built, "trusting") else built


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
    except (ValueError, TypeError, ArithmeticError) as error:
        raise ValueError(f"{at}: {error}") from error


def describe(value: Any) -> Any:
    """Return the tables that `build` makes ``value`` from, every setting named.

    Settings that are None are left out: TOML has no word for them.
    """
    if isinstance(value, Described):
        return describe(value.to_config())
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


def allow(parts: Mapping[str, Any], known: tuple[str, ...], at: str, kind: str) -> None:
    """Refuse keys that are not ``known``, naming those that are."""
    if unknown := [k for k in parts if k not in known]:
        renamed = (
            f"; {k!r} is now called {name!r}"
            for k in unknown
            for name in RENAMED.get(k, ())
            if name in known
        )
        raise ValueError(
            f"{at}: {kind} has no setting {', '.join(map(repr, unknown))}; "
            f"it has {', '.join(known) or 'none'}{''.join(renamed)}"
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
            problem += install_hint(missing)
        elif package in trust:
            problem = f"no module {name!r} is installed or in {Path.cwd()}"
        else:
            problem = f"there is no module {name!r}"
            if package == "devices" and (other := other_devices()) is not None:
                problem += f": {other}"
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


def shipped(name: str) -> Path | None:
    """Return a configuration file that comes with the library, or None.

    ``"dyad"``, ``"dyad.toml"`` and ``"configs/dyad.toml"`` name the same file.
    """
    folder, root = Path(__file__).parent / "configs", checkout()
    if not folder.is_dir() and root is not None:
        folder = root / "configs"
    path = Path(name.removeprefix("configs/")).with_suffix(".toml")
    is_name = path.name == str(path)
    return folder / path if is_name and (folder / path).is_file() else None


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


def _adapter(value: Any, adapters: Mapping[str, Adapter]) -> Adapter | None:
    """Return the adapter of the package that a table's ``use`` names, if any."""
    use = value.get("use") if isinstance(value, Mapping) else None
    if not isinstance(use, str):
        return None
    return adapters.get(use.partition(":")[0].partition(".")[0])


def _common_adapter(
    values: Sequence[Any], adapters: Mapping[str, Adapter]
) -> Adapter | None:
    """Return the adapter that builds all items of a list, if there is one."""
    every = [_adapter(value, adapters) for value in values]
    same = bool(every) and all(adapter is every[0] for adapter in every)
    return every[0] if same else None


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
        return _fraction(value, at)
    rules = ConfigDict(strict=True, arbitrary_types_allowed=True)
    try:
        return TypeAdapter(hint, config=rules).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"[{p}]" for p in first["loc"] if isinstance(p, int))
        message = first["msg"][0].lower() + first["msg"][1:]
        raise ValueError(f"{at}{where} = {first['input']!r}: {message}") from None


def _fraction(value: Any, at: str) -> Fraction:
    """Return the number that a setting holds: 250, 0.5 or ``"1000/3"``."""
    text = str(value) if isinstance(value, int | float | str) else ""
    exponent = text.lower().partition("e")[2]
    is_short = len(text) <= _LONGEST_NUMBER and len(exponent.lstrip("+-")) <= 3
    try:
        if is_short:  # else it could take the whole memory
            return Fraction(text)
    except (ValueError, ZeroDivisionError):
        pass
    raise ValueError(f"{at} = {value!r}: input should be a number")
