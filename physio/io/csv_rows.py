"""Rows of a small text table by the names in its first line."""

import csv
from pathlib import Path

from physio.core.input_file import existing_file


def read(path: Path, *columns: str, separator: str = ",") -> list[dict[str, str]]:
    """Return the rows of a table; a cell that a short row lacks is empty.

    Parameters
    ----------
    path
        The file, in UTF-8.
    columns
        Names that the first line must have.
    separator
        Character between cells.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is no such table, or it lacks a column.
    """
    existing_file(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=separator, restval="")
            rows = list(reader)
            header = [str(name).strip() for name in reader.fieldnames or ()]
    except (UnicodeError, csv.Error) as error:
        raise ValueError(f"{path} is no table in UTF-8: {error}") from None
    if lacking := [name for name in columns if name not in header]:
        raise ValueError(f"{path} has no column {lacking[0]!r}; it has {header}")
    return [
        {str(k).strip(): v.strip() for k, v in row.items() if isinstance(v, str)}
        for row in rows
    ]
