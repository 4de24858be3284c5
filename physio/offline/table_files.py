"""Files of a table: CSV, Parquet, XLSX or SPSS, with a sidecar; nothing overwritten."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd

from physio.core.printable import printable

SUFFIXES: Final = (".csv", ".tsv", ".parquet", ".xlsx", ".sav")
"""Formats of a table, by the suffix of the file."""

_CELL: Final = 32_767  # characters in a cell of Excel
_NAME: Final = 64  # bytes of a name in SPSS
_LABEL: Final = 255  # bytes of a label in SPSS
_NOMINAL: Final = frozenset(("responder",))


class Sheet(NamedTuple):
    """A table of the output, and the descriptions of its columns.

    Parameters
    ----------
    name
        Ending of the file name, or name of the sheet; empty for the main table.
    frame
        The table.
    labels
        Description of each column.
    """

    name: str
    frame: pd.DataFrame
    labels: Mapping[str, str]


def targets(path: Path, names: tuple[str, ...]) -> dict[str, Path]:
    """Return the file of each table, and those of ``methods`` and ``json``.

    Parameters
    ----------
    path
        The main table.
    names
        Names of the further tables, which lie beside it: ``table_wide.csv``; sheets of
        the same file in XLSX.

    Raises
    ------
    ValueError
        If the suffix is no format of a table, its package is missing, or a file exists.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(
            f"{path}: a table ends with {', '.join(SUFFIXES)}, not "
            f"{suffix or 'nothing'}"
        )
    for kind, package in ((".xlsx", "openpyxl"), (".sav", "pyreadstat")):
        if suffix == kind:
            _needs(package, path)
    files = {
        name: path if suffix == ".xlsx" or not name else _beside(path, name, suffix)
        for name in names
    }
    files |= {"methods": _beside(path, "methods", ".txt"),
              "json": path.with_suffix(".json")}  # fmt: skip
    if present := [file for file in files.values() if os.path.lexists(file)]:
        raise ValueError(
            f"{present[0]} exists, and is not overwritten: give another name to "
            "--output"
        )
    return files


def write_tables(
    path: Path, sheets: tuple[Sheet, ...], methods: str, about: Mapping[str, Any]
) -> list[Path]:
    """Write tables with a methods text and a sidecar; all of them, or nothing.

    Parameters
    ----------
    path
        The main table; its suffix decides the format.
    sheets
        The tables, the main one first.
    methods
        Methods text.
    about
        Content of the sidecar (JSON), to which descriptions of columns are added.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ValueError
        As of `targets`.
    """
    files = targets(path, tuple(sheet.name for sheet in sheets))
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        sheet.name or "table": {
            c: sheet.labels.get(c, "") for c in map(str, sheet.frame.columns)
        }
        for sheet in sheets
    }
    folder = Path(tempfile.mkdtemp(prefix=".table-", dir=path.parent))
    try:
        parts = {name: folder / file.name for name, file in files.items()}
        _WRITERS[path.suffix.lower()](sheets, parts)
        parts["methods"].write_text(methods, "utf-8")
        text = json.dumps({**about, "columns": columns}, indent=1, default=str)
        parts["json"].write_text(text + "\n", "utf-8")
        _move_all({file: parts[name] for name, file in files.items()})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return list(dict.fromkeys(files.values()))


def spss_names(columns: list[str]) -> dict[str, str]:
    """Return a valid, distinct name in SPSS for each column.

    A name has letters, digits, ``_`` and ``.``, begins with a letter, and has at most
    64 bytes; SPSS does not distinguish case.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for column in columns:
        name = re.sub(r"[^A-Za-z0-9_.]", "_", column).rstrip("._") or "column"
        name = name if name[0].isalpha() else f"v{name}"
        base, number = name[:_NAME], 2
        name = base
        while name.lower() in taken:
            name, number = f"{base[: _NAME - 6]}_{number}", number + 1
        taken.add(name.lower())
        names[column] = name
    return names


def _beside(path: Path, name: str, suffix: str) -> Path:
    return path.with_name(f"{path.stem}_{name}{suffix}")


def _needs(package: str, path: Path) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise ValueError(
            f"{path}: {path.suffix} needs {package}: "
            "pip install 'physio-affect[formats]'"
        )


def _move_all(parts: Mapping[Path, Path]) -> None:
    """Move files to their names, which do not exist yet; all of them, or none."""
    moved: list[Path] = []
    try:
        for file, part in parts.items():
            part.chmod(0o600)
            try:
                os.link(part, file)
            except FileExistsError:
                raise ValueError(
                    f"{file} exists, and is not overwritten: give another name to "
                    "--output"
                ) from None
            except OSError:  # a file system without links
                if file.exists():
                    raise
                part.rename(file)
            moved.append(file)
    except BaseException:
        for file in moved:
            file.unlink(missing_ok=True)
        raise


def _csv(sheets: tuple[Sheet, ...], files: Mapping[str, Path]) -> None:
    for sheet in sheets:
        sheet.frame.to_csv(files[sheet.name], index=False)


def _tsv(sheets: tuple[Sheet, ...], files: Mapping[str, Path]) -> None:
    for sheet in sheets:
        sheet.frame.to_csv(files[sheet.name], index=False, sep="\t")


def _parquet(sheets: tuple[Sheet, ...], files: Mapping[str, Path]) -> None:
    for sheet in sheets:
        sheet.frame.to_parquet(files[sheet.name], index=False)


def _xlsx(sheets: tuple[Sheet, ...], files: Mapping[str, Path]) -> None:
    """Write a sheet per table, and one with the descriptions of the columns.

    No text is a formula, also if it begins with ``=``.
    """
    from openpyxl import Workbook

    book = Workbook(write_only=False)
    book.remove(book.worksheets[0])
    about = pd.DataFrame(
        [
            (sheet.name or "long", str(c), sheet.labels.get(str(c), ""))
            for sheet in sheets
            for c in sheet.frame.columns
        ],
        columns=["sheet", "column", "description"],
    )
    for name, frame in [(s.name or "long", s.frame) for s in sheets] + [
        ("columns", about)
    ]:
        page = book.create_sheet(name[:31])
        page.append([printable(str(c)) for c in frame.columns])
        for row in frame.itertuples(index=False):
            page.append([_cell(value) for value in row])
        for line in page.iter_rows():
            for cell in line:
                if cell.data_type == "f":
                    cell.data_type = "s"
        page.freeze_panes = "A2"
    book.save(files[sheets[0].name])


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)[:_CELL]
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value


def _sav(sheets: tuple[Sheet, ...], files: Mapping[str, Path]) -> None:
    """Write a file of SPSS per table, with labels and levels of measurement."""
    import pyreadstat

    for sheet in sheets:
        frame = sheet.frame.copy()
        names = spss_names([str(c) for c in frame.columns])
        texts = [c for c in frame.columns if frame[c].dtype == object]
        for column in texts:
            frame[column] = frame[column].fillna("").astype(str)
        labels = [_label(sheet.labels.get(str(c)) or str(c)) for c in frame.columns]
        nominal = {*map(str, texts), *_NOMINAL}
        frame.columns = [names[str(c)] for c in frame.columns]
        levels = {
            names[str(c)]: "nominal" if str(c) in nominal else "scale"
            for c in sheet.frame.columns
        }
        pyreadstat.write_sav(
            frame, str(files[sheet.name]), column_labels=labels, variable_measure=levels
        )


def _label(text: str) -> str:
    return text.encode("utf-8")[:_LABEL].decode("utf-8", "ignore")


_WRITERS: Final[dict[str, Callable[[tuple[Sheet, ...], Mapping[str, Path]], None]]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
    ".xlsx": _xlsx,
    ".sav": _sav,
}
