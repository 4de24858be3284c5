"""Text files of numbers in columns: separator, header, units and decimal comma."""

import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from physio.core.block import Array
from physio.core.input_file import existing_file
from physio.io.stream_header import unique
from physio.io.units import plain, quantity

if TYPE_CHECKING:
    import pandas as pd

_LARGEST: Final = 2 * 2**30  # bytes
_SAMPLE: Final = 300  # lines from which the layout is derived
_MISSING: Final = [
    *("", "-", "--", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "None"),
    *("#N/A", "#NUM!", "#VALUE!", "#DIV/0!", "-nan", "1.#QNAN", "-1.#IND", "."),
]
_NUMBER: Final = re.compile(r"[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?|[-+]?inf|nan")
_TIME: Final = re.compile(
    r"(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ]+\d.*)?|\d{1,2}:\d{2}(:\d{2})?([.,:]\d+)?)"
)
_DECIMAL_COMMA: Final = re.compile(r"[-+]?\d+,\d+([eE][-+]?\d+)?")
_FIELD: Final = re.compile(r"^[%#\s\"]*([A-Za-z][\w ()/]*?)\s*[:=]+\s*(.+?)[\s\"]*$")


class NoTableError(ValueError):
    """A file is no table of numbers in columns."""


class TextTable(NamedTuple):
    """A table of named columns.

    Parameters
    ----------
    frame
        The columns; those that hold texts have the type ``object``.
    units
        Unit of each column in a row below the header, or ``""``.
    about
        Statements before the header, ``sampling rate: 128``, by name in lower case.
    first_line
        Line of the first row of values; 0 if it is unknown.
    notes
        Rows and values that could not be used.
    """

    frame: "pd.DataFrame"
    units: dict[str, str]
    about: dict[str, str]
    first_line: int = 0
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.frame.columns)


class TextLayout(NamedTuple):
    """Arrangement of a text file.

    ``header`` and ``units`` are lines counted from 0, or -1; ``first`` is the first
    line of values.
    """

    separator: str
    decimal: str
    header: int
    units: int
    first: int
    width: int


def read_text_table(path: str | Path) -> TextTable:
    """Read a text file of numbers in columns.

    Separator (tab, semicolon, comma, bar, blanks), decimal comma, lines before the
    header, a row of units and a byte-order mark are detected. Empty fields, and texts
    for missing values, become NaN.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    NoTableError
        If the file is no table.
    ValueError
        If it is larger than 2 GB, or a row has too many columns; the message names the
        line.
    """
    path = existing_file(path)
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than 2 GB: cut it into parts")
    text = decode(path.read_bytes())
    lines = text[: 400 * 2**10].splitlines()[: _SAMPLE + 60]
    layout = find_layout(lines)
    if layout is None:
        raise NoTableError(f"{path} is no table of numbers in columns")
    about = _about(lines[: max(layout.first, 0)], layout.separator)
    names = _names(lines, layout, about)
    frame, notes = _frame(path, text, layout, names)
    units = _row(lines, layout, layout.units)
    units += [""] * (len(names) - len(units))
    by_name = {n: plain(u) for n, u in zip(names, units, strict=True)}
    for column in [c for c in frame.columns if frame[c].isna().all()]:
        if column.startswith("column "):  # a separator at the end of all lines
            frame = frame.drop(columns=column)
    return TextTable(frame, by_name, about, layout.first + 1, notes)


def decode(content: bytes) -> str:
    """Return the text of a file in UTF-8, UTF-16 or Latin-1, without the mark."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def find_layout(lines: Sequence[str]) -> TextLayout | None:
    """Return the arrangement of a text file from its first lines; None for no table."""
    begin = 1 if lines and re.fullmatch(r"\s*\"?sep=.?\"?\s*", lines[0]) else 0
    for separator in (*"\t;|,", " ", ""):
        rows = [split(line, separator) for line in lines]
        counts = Counter(len(r) for r in rows[len(rows) // 3 :] if any(r))
        if not counts:
            return None
        width, n = counts.most_common(1)[0]
        if separator and (width < 2 or n < 0.8 * counts.total()):
            continue
        data = [_is_data(row) and len(row) >= min(width, 2) for row in rows]
        first = next(
            (
                i
                for i in range(begin, len(rows))
                if data[i] and (i + 1 >= len(rows) or data[i + 1])
            ),
            -1,
        )
        if first < 0:
            continue
        used = [row for row in rows[first:] if any(row)]
        width = max(len(row) for row in used)
        commas = sum(bool(_DECIMAL_COMMA.fullmatch(f)) for row in used for f in row)
        points = sum("." in f and bool(_NUMBER.fullmatch(f)) for r in used for f in r)
        decimal = "," if separator != "," and commas > points else "."
        header, units = _header(rows, first, begin)
        return TextLayout(separator, decimal, header, units, first, width)
    return None


def split(line: str, separator: str) -> list[str]:
    """Return the fields of a line, without blanks and quotes around them."""
    if not separator:
        return [line.strip().strip('"')] if line.strip() else []
    if separator == " ":
        return line.split()
    if '"' in line:
        try:
            fields = next(csv.reader([line], delimiter=separator), [])
        except csv.Error:
            fields = line.split(separator)
    else:
        fields = line.split(separator)
    return [field.strip() for field in fields]


def to_numbers(texts: "pd.Series[Any]") -> Array:
    """Return texts as numbers, shape (n,); NaN for others.

    `pandas.to_numeric` crashes on some texts.
    """
    numbers = np.full(len(texts), np.nan)
    for i, text in enumerate(texts):
        try:
            numbers[i] = float(text)
        except (TypeError, ValueError):
            continue
    return numbers


def _is_data(row: Sequence[str]) -> bool:
    filled = [f for f in row if f and f not in _MISSING]
    numbers = sum(bool(_NUMBER.fullmatch(f) or _TIME.fullmatch(f)) for f in filled)
    return bool(filled) and numbers >= len(filled) / 2 and not row[0].startswith("%")


def _header(rows: Sequence[list[str]], first: int, begin: int) -> tuple[int, int]:
    """Return the lines of the names and of the units above the first row of values."""
    above = [i for i in range(begin, first) if any(rows[i])]
    if not above:
        return -1, -1
    last = above[-1]
    filled = [plain(f) for f in rows[last] if f]
    known = sum(bool(quantity(f)) or f in _UNIT_WORDS for f in filled)
    if len(above) > 1 and known and known >= len(filled) / 2:
        return above[-2], last
    return last, -1


_UNIT_WORDS: Final = frozenset(
    ("no_units", "no units", "unitless", "n/a", "s", "-", "yyyy/mm/dd hh:mm:ss.000")
)


def _row(lines: Sequence[str], layout: TextLayout, line: int) -> list[str]:
    return split(lines[line], layout.separator)[: layout.width] if line >= 0 else []


def _names(
    lines: Sequence[str], layout: TextLayout, about: dict[str, str]
) -> list[str]:
    """Return the names of the columns; ``column 3`` where the header has none."""
    names = [n.strip("#%\" '") for n in _row(lines, layout, layout.header)]
    labels = re.split(r"[\t,;]\s*", about.get("labels", about.get("columns", "")))
    if labels != [""] and len(labels) == layout.width:
        names = labels
    names += [""] * (layout.width - len(names))
    return unique(name or f"column {i + 1}" for i, name in enumerate(names))


def _frame(
    path: Path, text: str, layout: TextLayout, names: list[str]
) -> tuple["pd.DataFrame", tuple[str, ...]]:
    """Return the values, and notes on an incomplete last line."""
    import pandas as pd

    separator = {" ": r"\s+", "": "\x1f"}.get(layout.separator, layout.separator)
    body, notes = text, []
    ended, _, last = body.rstrip(" ").rpartition("\n")
    if last.strip() and len(split(last, layout.separator)) < layout.width > 1:
        typical = len(split(ended[ended.rfind("\n") + 1 :], layout.separator))
        if len(split(last, layout.separator)) < typical:
            body = ended
            notes.append("the last line is incomplete and is left out")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = pd.read_csv(
                io.StringIO(body), sep=separator, header=None, names=names,
                skiprows=layout.first, index_col=False, decimal=layout.decimal,
                na_values=_MISSING, keep_default_na=False, skip_blank_lines=False,
                skipinitialspace=True, low_memory=False, float_precision="round_trip",
                quotechar='"',
            )  # fmt: skip
    except (pd.errors.ParserError, ValueError, OverflowError) as error:
        reason = re.sub(r"^.*?C error: ", "", str(error)).strip()[:200]
        raise ValueError(f"{path} cannot be read as a table: {reason}") from None
    while len(frame) and frame.iloc[-1].isna().all():
        filled = frame.notna().any(axis=1).to_numpy().nonzero()[0]
        frame = frame.iloc[: filled[-1] + 1 if len(filled) else 0]
    return frame, tuple(notes)


def _about(lines: Sequence[str], separator: str) -> dict[str, str]:
    """Return the statements ``name: value`` or ``name = value`` before the header."""
    about: dict[str, str] = {}
    for line in lines:
        for field in [line, *split(line, separator)] if separator else [line]:
            if match := _FIELD.match(field):
                about.setdefault(match[1].strip().lower(), match[2].strip())
        parts = [p for p in split(line, separator) if p]
        for name, value in pairwise(parts if len(parts) == 2 else ()):
            about.setdefault(name.strip(" :%#").lower(), value)
    return about
