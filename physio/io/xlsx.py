"""Spreadsheets (.xlsx): the values of the cells only."""

import re
import zipfile
import zlib
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from physio.core.input_file import existing_file

LARGEST: Final = 64 * 2**20
"""Maximum unpacked size of a part of a file (bytes)."""

_MAIN: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_CELL: Final = re.compile(r"[A-Z]{1,3}[1-9][0-9]{0,6}")


def read(path: str | Path, number: int = 1) -> dict[str, str]:
    """Read a sheet of a file.

    Parameters
    ----------
    path
        The file.
    number
        Number of the sheet, from 1, in the order of creation.

    Returns
    -------
    dict of str
        Content of each cell that is not empty, by its name, ``"AB12"``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file has another format, is damaged, or is too large.
    """
    path = existing_file(path)
    try:
        with zipfile.ZipFile(path) as file:
            sheet = _part(file, f"xl/worksheets/sheet{number}.xml")
            texts: list[str] = []
            if "xl/sharedStrings.xml" in file.namelist():
                shared = _part(file, "xl/sharedStrings.xml")
                texts = ["".join(item.itertext()) for item in shared.iter(f"{_MAIN}si")]
        return _cells(sheet, texts)
    except _DAMAGE as error:
        text = " ".join(str(error).split())[:100] or type(error).__name__
        raise ValueError(f"{path} is no .xlsx file that can be read: {text}") from None


_DAMAGE: Final = (
    *(zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ET.ParseError),
    *(KeyError, IndexError, ValueError, NotImplementedError),
)
"""Errors that the standard library raises on a damaged file."""


def _part(file: zipfile.ZipFile, name: str) -> ET.Element:
    size = file.getinfo(name).file_size
    if size > LARGEST:
        raise ValueError(f"{name} has {size} bytes; at most {LARGEST} are read")
    return ET.fromstring(file.read(name))


def _cells(sheet: ET.Element, texts: list[str]) -> dict[str, str]:
    cells = {}
    for cell in sheet.iter(f"{_MAIN}c"):
        name, kind = cell.get("r", ""), cell.get("t", "n")
        value = cell.findtext(f"{_MAIN}v")
        if value is None or not _CELL.fullmatch(name):
            continue
        cells[name] = texts[int(value)] if kind == "s" else value
    return cells
