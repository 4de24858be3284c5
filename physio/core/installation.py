"""Installed packages that this library needs, or that hide it."""

import re
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from pathlib import Path


def install_hint(package: str) -> str:
    """Return a clause on the extra of this library that installs a package, or ""."""
    try:
        declared = requires("physio-affect") or []
    except PackageNotFoundError:
        return ""
    for line in declared:
        match = re.match(r"([\w.-]+).*\bextra == ['\"]([\w-]+)", line)
        if match and match[1].replace("-", "_") == package:
            return f": pip install 'physio-affect[{match[2]}]'"
    return ""


def other_devices() -> str | None:
    """Return a sentence on another package named ``devices`` that hides ours, or None.

    Ours lies in the folder that holds the package ``physio``.
    """
    spec = find_spec("devices")
    ours = Path(__file__).resolve().parents[2] / "devices" / "__init__.py"
    origin = spec.origin if spec is not None else None
    if origin is not None and ours.is_file() and ours.samefile(origin):
        return None
    place = f"is {origin}" if origin else "is not there"
    return (
        f"the package 'devices' that Python imports {place}, not the one of "
        f"physio-affect ({ours.parent}): uninstall or rename the other one, then run "
        "`pip install --force-reinstall --no-deps physio-affect`"
    )
