"""Untrusted JSON texts and tables, of limited depth."""

import json
from collections.abc import Mapping
from typing import Any, Final

DEEPEST: Final = 24
"""Largest depth of tables and lists in settings."""


def is_nested_too_deep(value: Any) -> bool:
    """Return whether tables and lists are nested deeper than `DEEPEST`."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [part for item in level for part in _parts(item)]
        if not level:
            return False
    return True


def json_table(text: str) -> dict[str, Any] | None:
    """Return the table that a JSON text holds.

    None for any other text, and for one that is nested deeper than `DEEPEST`.
    """
    try:
        table = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None
    if not isinstance(table, dict) or is_nested_too_deep(table):
        return None
    return table


def stored_config(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that a recording holds, as far as they have the right types.

    For displays and reports: parts of another type are left out. To compute with these
    settings, see `physio.online.session_config.recorded`.

    Parameters
    ----------
    metadata
        Metadata of the recording.
    """
    table = json_table(metadata.get("config", "{}")) or {}
    config = {key: part for key, part in table.items() if isinstance(part, dict)}
    for key in ("chains", "sinks"):
        parts = config.get(key, {})
        config[key] = {k: v for k, v in parts.items() if isinstance(v, dict)}
    estimator = dict(config.get("estimator", {}))
    experts = estimator.get("experts", [])
    are_tables = isinstance(experts, list) and all(
        isinstance(e, dict) and isinstance(e.get("weights"), str) for e in experts
    )
    if not are_tables:
        del estimator["experts"]
    if not isinstance(estimator.get("baseline_seconds", 0.0), int | float):
        del estimator["baseline_seconds"]
    config["estimator"] = estimator
    return config


def _parts(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []
