"""Provenance of tables: values that depend on later samples train no live weights."""

import csv
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

NON_CAUSAL: Final = "whole record, non-causal"
"""Provenance, in a column of each table, of values that depend on later samples."""

COLUMNS: Final = ("provenance", "analysis")
"""Columns that hold the provenance of a row."""

_ROWS: Final = 1000  # of a text file that are read
_LARGEST: Final = 4 * 2**20  # bytes of a description


def refuse_non_causal(path: str | Path) -> None:
    """Refuse a table of a whole-record analysis as training data of live weights.

    Parameters
    ----------
    path
        A table or description, or a folder with some; others are no matter.

    Raises
    ------
    ValueError
        If a file states that its values depend on later samples.
    """
    path = Path(path)
    for file in _tables(path):
        if _is_non_causal(file):
            raise ValueError(
                f"{file} is a whole-record analysis, whose values depend on later "
                "samples: live weights must not be trained on it; extract causal "
                "features of the recordings with `physio extract`"
            )


def _tables(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        for pattern in ("*.csv", "*.parquet", "*.json", "*/windows.parquet"):
            yield from sorted(p for p in path.glob(pattern) if p.is_file())


def _is_non_causal(file: Path) -> bool:
    if file.suffix == ".parquet":
        return _parquet_states(file)
    try:
        if file.suffix == ".json":
            if file.stat().st_size > _LARGEST:
                return False
            content = json.loads(file.read_text("utf-8"))
            return isinstance(content, dict) and content.get("causal") is False
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(islice(lines, _ROWS))
            return any(row.get(c) == NON_CAUSAL for row in rows for c in COLUMNS)
    except (OSError, ValueError, csv.Error, RecursionError):
        return False  # no table of an analysis; its reader names the fault


def _parquet_states(file: Path) -> bool:
    from pyarrow import ArrowException, compute, parquet

    try:
        names = set(parquet.read_schema(file).names) & set(COLUMNS)
        table = parquet.read_table(file, columns=sorted(names)) if names else None
    except (ArrowException, OSError, ValueError):
        return False
    if table is None:
        return False
    return any(
        NON_CAUSAL in compute.unique(table[name]).to_pylist()
        for name in table.column_names
    )
