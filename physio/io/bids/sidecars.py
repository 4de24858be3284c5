"""Sidecars of BIDS: JSON and TSV beside the data, and the key of this package."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from physio.core.block import Array
from physio.core.missing import MissingReason
from physio.io.bids.entities import BidsFile, beside

KEY: Final = "PhysioAffect"
"""Key of a sidecar with what BIDS has no place for: exact times, reasons, streams."""

MISSING: Final = "n/a"

HARDWARE: Final = dict.fromkeys(
    ("Manufacturer", "ManufacturersModelName", "SoftwareVersions",
     "DeviceSerialNumber"), MISSING
)  # fmt: skip
"""Recommended metadata on a device, which a recording does not state."""

_INSTITUTION: Final = ("InstitutionName", "InstitutionAddress",
                       "InstitutionalDepartmentName")  # fmt: skip

_LARGEST: Final = 256 * 2**20  # bytes of a sidecar
_LONGEST: Final = 2**31  # bytes of a table
_PIECE: Final = 2**20

Row = dict[str, str]


def write_json(path: Path, table: Mapping[str, Any]) -> None:
    """Write a sidecar, with the key of this package on one line at the end."""
    standard = {key: value for key, value in table.items() if key != KEY}
    text = json.dumps(standard, indent=1, ensure_ascii=False, allow_nan=False)
    if KEY in table:
        special = json.dumps(_finite(table[KEY]), allow_nan=False)
        text = f'{text[:-2]},\n "{KEY}": {special}\n}}'
    path.write_text(text + "\n", "utf-8")


def task_metadata(task: str) -> dict[str, Any]:
    """Return the required and recommended metadata on a task and its place."""
    about = {"TaskName": task, "TaskDescription": f"the task {task}"}
    return {**about, "Instructions": MISSING, **dict.fromkeys(_INSTITUTION, MISSING)}


def _finite(value: Any) -> Any:
    """Return a value for JSON, with ``"inf"`` and ``"nan"`` as texts."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and value - value != 0 else value


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a sidecar.

    Raises
    ------
    ValueError
        If it is no JSON object.
    """
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than 256 MB")
    try:
        table = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {str(error)[:80]}") from None
    if not isinstance(table, dict):
        raise ValueError(f"{path} is no JSON object: a sidecar has keys and values")
    return table


def sidecar(file: BidsFile, root: Path) -> dict[str, Any]:
    """Return the metadata of a file, the nearest sidecar first: see `beside`."""
    table: dict[str, Any] = {}
    for path in beside(file, root, file.suffix, ".json"):
        table |= read_json(path)
    return table


def nearest_table(file: BidsFile, root: Path, suffix: str) -> tuple[Path, list[Row]]:
    """Return the table with a suffix that applies to a file; empty without one."""
    paths = beside(file, root, suffix, ".tsv")
    return (paths[-1], read_table(paths[-1])) if paths else (Path(), [])


def read_table(path: Path) -> list[Row]:
    """Return the rows of a table with a header, each value as text."""
    with io.StringIO(read_text(path), newline="") as lines:
        reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [
            {str(k).strip(): (v or "").strip() for k, v in row.items() if k is not None}
            for row in reader
            if any((v or "").strip() for v in row.values() if isinstance(v, str))
        ]


def write_table(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    """Write a table with a header."""
    lines = ("\t".join(row) for row in (header, *rows))
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def write_values(path: Path, values: Array) -> None:
    """Write numbers without a header, to the bit; packed if the name ends in ``gz``."""
    text = io.StringIO()
    for row in values.tolist():
        text.write("\t".join(map(number_text, row)) + "\n")
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Write text, packed if the name ends in ``gz``."""
    with path.open("wb") as file:
        if path.suffix != ".gz":
            file.write(text.encode())
            return
        # Neither a name nor the time of writing is stored in the file.
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
            packed.write(text.encode())


def read_values(path: Path, columns: Sequence[str]) -> Array:
    """Return the numbers of a table without a header, shape (n, columns).

    A missing one is NaN (reason: no signal).

    Raises
    ------
    ValueError
        If a row has another number of columns, or a value is no number.
    """
    import pandas as pd

    text = read_text(path)
    if not text.strip():
        return np.empty((0, len(columns)))
    first = text.split("\n", 1)[0].rstrip("\r").split("\t")
    if len(first) != len(columns):
        raise ValueError(
            f"{path} has {len(first)} columns, and Columns of its sidecar names "
            f"{len(columns)}: {', '.join(columns)[:80]}"
        )
    header = 0 if [cell.strip() for cell in first] == list(columns) else None
    frame = pd.read_csv(
        io.StringIO(text), sep="\t", header=header, na_values=["n/a", "N/A", "NaN", ""],
        keep_default_na=False, float_precision="round_trip", skip_blank_lines=False,
        low_memory=False,
    )  # fmt: skip
    try:
        values: Array = frame.to_numpy("float64", copy=True)
    except ValueError as error:
        raise ValueError(f"{path} has a value that is no number: {error}") from None
    values[np.isnan(values)] = MissingReason.NO_SIGNAL.nan
    return values


def number_text(value: float) -> str:
    """Return a number as text, to the bit; ``n/a`` for a missing one."""
    return MISSING if value != value else repr(value)


def read_number(text: str) -> float:
    """Return the number of a cell; NaN if it is missing or none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def read_text(path: Path) -> str:
    """Return the text of a plain or packed file of bounded size."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    pieces, size = [], 0
    with gzip.open(path) if packed else path.open("rb") as file:
        while piece := file.read(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > _LONGEST:
                raise ValueError(f"{path} is larger than 2 GB")
    try:
        return b"".join(pieces).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error.reason}") from None
