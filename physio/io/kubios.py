"""Reports of Kubios HRV with the intervals that were analysed (text or CSV)."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from physio.core.block import Array, Channel, StreamInfo
from physio.core.events import Events
from physio.core.input_file import existing_file
from physio.core.recording import Recording
from physio.io.tables.text_table import decode

HEAD: Final = rb"(?:\xef\xbb\xbf)?\s*HRV ANALYSIS RESULTS|(?s:.{0,400}?)Kubios HRV"

_LARGEST: Final = 64 * 2**20  # bytes
_LONGEST: Final = 10.0  # s, no interval between two beats is longer
_SECTION: Final = "RR INTERVAL DATA"
_INTERVAL: Final = "rr interval"
_TIME: Final = "time"


def read(path: str | Path, *, participant: str = "") -> Recording:
    """Read a report of Kubios HRV: events ``kubios.ibi`` (s), at the end of each.

    The intervals are those that Kubios analysed, after its correction of artifacts.
    Columns may be separated by commas, semicolons or tabs; several samples of one
    recording are joined in the order of their times.

    Parameters
    ----------
    path
        The report, ``.txt`` or ``.csv``.
    participant
        Code of the participant.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it has no intervals.
    """
    path = existing_file(path)
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than 64 MB; no file of this format is")
    text = decode(path.read_bytes())
    beats = _beats(text)
    if not len(beats):
        raise ValueError(
            f"{path} is a report of Kubios HRV without intervals: save it with the "
            f"section {_SECTION!r}, which has the columns Time and RR interval"
        )
    beats = beats[np.argsort(beats[:, 0], kind="stable")]
    new = np.diff(beats[:, 0], prepend=-np.inf) > 0
    notes = ["intervals as Kubios analysed them, artifacts corrected by its settings"]
    if not new.all():
        notes.append(f"{(~new).sum()} intervals of overlapping samples were left out")
    beats = beats[new]
    about = {"source": "Kubios HRV", "begin": "0.0", "warnings": "; ".join(notes)}
    if participant:
        about["participant"] = participant
    interval = Channel("interval", "misc", "s")
    info = StreamInfo("kubios.ibi", Fraction(0), (interval,), participant=participant)
    events = Events(info, float(beats[-1, 0]), beats[:, 0].copy(), beats[:, 1:].copy())
    return Recording({}, {info.name: events}, (), about)


def _beats(text: str) -> Array:
    """Return the end and the duration of each interval (s), shape (n, 2)."""
    section = text.partition(_SECTION)[2].splitlines()
    for i, line in enumerate(section):
        separator = next((s for s in "\t;," if s in line), ",")
        names = [cell.strip().lower() for cell in line.split(separator)]
        columns = [
            k for k in range(1, len(names))
            if names[k].startswith(_INTERVAL) and names[k - 1].startswith(_TIME)
        ]  # fmt: skip
        if columns:
            rows = [_cells(row, separator) for row in section[i + 1 :]]
            scales = _scales(rows[0] if rows else [], columns)
            return _pairs(rows, columns, scales)
    return np.empty((0, 2))


def _cells(line: str, separator: str) -> list[str]:
    cells = [cell.strip() for cell in line.split(separator)]
    return cells if separator == "," else [cell.replace(",", ".") for cell in cells]


def _scales(units: list[str], columns: list[int]) -> list[float]:
    """Return the factor to seconds of each column of intervals, from the units."""
    stated = [units[k] if k < len(units) else "" for k in columns]
    return [1e-3 if re.fullmatch(r"\(?ms(?:ec)?\)?", unit) else 1.0 for unit in stated]


def _pairs(rows: list[list[str]], columns: list[int], scales: list[float]) -> Array:
    """Return the numbers of the columns of times and of intervals."""
    beats = []
    for column, scale in zip(columns, scales, strict=True):
        for row in rows:
            try:
                time, interval = float(row[column - 1]), scale * float(row[column])
            except (ValueError, IndexError):
                continue  # units, or the end of a shorter column
            if np.isfinite(time) and 0 < interval < _LONGEST:
                beats.append((time, interval))
    return np.array(beats).reshape(-1, 2)
