"""Tables of numbers as recordings: by a map, a preset, or the names of columns."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from physio.core.input_file import existing_file
from physio.core.recording import Recording
from physio.io.tables.column_map import ColumnMap, from_tables, read_map
from physio.io.tables.column_proposal import NO_RATE, Proposal, propose
from physio.io.tables.table_presets import match_preset
from physio.io.tables.table_recording import from_table as convert
from physio.io.tables.text_table import TextTable, read_text_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

MAP_SUFFIX: Final = ".columns.toml"
"""Suffix of the map beside a table: ``walk.csv`` has ``walk.columns.toml``."""

_PARTICIPANT: Final = re.compile(
    r"(?:participant|subject|subj|person|patient|proband|vp|pid)"
    r"(?:[ _-]?(?:id|nr?|no|code))?"
)
"""Names of a column that states whose row it is."""


def read(
    path: str | Path,
    columns: ColumnMap | str | Path | None = None,
    *,
    participant: str = "",
) -> Recording:
    """Read a table of one's own: a text file with a signal in each column.

    The meaning of the columns is that of ``columns``, else of the map beside the file
    (`MAP_SUFFIX`), else of the program whose header the file has, else of the names of
    the columns, if these leave no doubt.

    Parameters
    ----------
    path
        The file: text with any separator.
    columns
        The map, or its TOML file.
    participant
        Code of the participant.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no table, or the meaning of its columns is in doubt; the message
        names ``physio columns``, which writes a map.
    """
    path = Path(path)
    beside = map_path(path)
    if columns is None and beside.is_file():
        columns = beside
    table = load_table(path)
    meaning = read_map(columns) if isinstance(columns, str | Path) else columns
    if meaning is None:
        meaning = match_preset(table)
    if meaning is None:
        meaning = _certain(path, propose(table))
    try:
        recording = convert(table.frame, meaning, participant=participant)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return _with_notes(recording, table)


def from_table(
    frame: "pd.DataFrame",
    columns: "ColumnMap | Mapping[str, Any] | str | Path | None" = None,
    *,
    participant: str = "",
) -> Recording:
    """Convert a data frame to a recording.

    Parameters
    ----------
    frame
        A signal in each column, with a column of times, or rows at a fixed rate.
    columns
        Meaning of the columns: a map, the tables of one (`from_tables`), or its TOML
        file. By default that of the names of the columns.
    participant
        Code of the participant.

    Returns
    -------
    Recording
        As of `physio.read`; ``metadata["warnings"]`` states what was assumed.

    Raises
    ------
    ValueError
        If a column is missing, or the meaning of the columns is in doubt.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"t": [0.0, 0.25, 0.5], "GSR": [2.0, 2.1, 2.2]})
    >>> columns = {"time": "t", "signals": {"GSR": {"kind": "eda", "unit": "uS"}}}
    >>> from_table(frame, columns).streams["table.eda"][0].info.rate
    Fraction(4, 1)
    """
    frame = frame if isinstance(frame.columns[0], str) else frame.rename(columns=str)
    table = TextTable(frame, {}, {})
    if columns is None:
        meaning = match_preset(table) or _certain(Path("the table"), propose(table))
    elif isinstance(columns, ColumnMap):
        meaning = columns
    elif isinstance(columns, str | Path):
        meaning = read_map(columns)
    else:
        meaning = from_tables(columns)
    return convert(frame, meaning, participant=participant)


def load_table(path: Path) -> TextTable:
    """Return the table in a file of text or Parquet.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no table, or holds the rows of several participants.
    """
    if path.suffix.lower() != ".parquet":
        table = read_text_table(path)
        _refuse_several(path, table)
        return table._replace(about={**table.about, "file": path.stem})
    import pandas as pd

    try:
        frame = pd.read_parquet(existing_file(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as Parquet: {error}") from None
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    table = TextTable(frame.rename(columns=str), {}, {"file": path.stem})
    _refuse_several(path, table)
    return table


def map_path(path: Path) -> Path:
    """Return the path of the map beside a table."""
    return path.with_name(path.stem + MAP_SUFFIX)


def _refuse_several(path: Path, table: TextTable) -> None:
    """Refuse a table that holds the recordings of several participants."""
    for name in table.names:
        if not _PARTICIPANT.fullmatch(name.strip().lower()):
            continue
        codes = [str(c) for c in table.frame[name].dropna().unique()[:1000]]
        if 1 < len(codes) < len(table.frame) / 2:
            more = ", ..." if len(codes) > 3 else ""
            raise ValueError(
                f"{path} holds {len(codes)} participants (column {name!r}: "
                f"{', '.join(codes[:3])}{more}), and a recording is that of one: write "
                "a file for each"
            )


def _certain(path: Path, proposal: Proposal) -> ColumnMap:
    """Return a proposed map that leaves no doubt."""
    hint = f"`physio columns {path}` proposes a map of its columns; correct it"
    if proposal.columns is None:
        why = "".join(f" ({d})" for d in proposal.doubts if d != NO_RATE)
        raise ValueError(
            f"{path} is a table, but no column is named like a signal{why}; {hint}"
        )
    if proposal.doubts:
        raise ValueError(f"{path}: {proposal.doubts[0]}; {hint}")
    return proposal.columns


def _with_notes(recording: Recording, table: TextTable) -> Recording:
    notes = [*table.notes, *filter(None, [recording.metadata.get("warnings", "")])]
    if not notes:
        return recording
    about = {**recording.metadata, "warnings": "; ".join(notes)}
    return Recording(recording.streams, recording.events, (), about)
