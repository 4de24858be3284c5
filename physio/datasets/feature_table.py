"""Feature tables: one row per window, stored as one Parquet file per participant.

Columns of every table, including its features:

``dataset``, ``subject``, ``session``, ``trial``
    Identifiers of the window's recording, as in the data set.
``segment``
    Number of the protocol segment that contains the window, from 0; -1 for none.
``label``
    Label of that segment in the study; empty if no segment contains the window.
``start_sample``, ``end_sample``
    Start and end of the window in samples of the source (`SOURCE` in the metadata); the
    end is excluded.
``support_start_sample``
    First sample of the source on which any feature of the window depends. It is at or
    before ``start_sample``, as the memory of a stage may exceed the window.
``start_s``, ``end_s``
    Start and end of the window on the session clock (s).
``rating.<name>``
    The participant's rating of that segment. It is a label, never a feature.
``<feature>``, ``<feature>.missing``
    Value of the feature, and the `MissingReason` of a missing value (0 if present).
``valid_fraction.<chain>``
    Fraction of the window in which the output of a chain was valid.
``quality.<chain>.<index>``
    Mean of a signal quality index over the window. It is not a feature either.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from physio.core.missing import MissingReason
from physio.datasets.base import natural_sorted

PLACE: Final = (
    *("subject", "session", "trial", "segment"),
    *("start_sample", "end_sample", "support_start_sample"),
)
"""Columns that identify the recording of a row and its samples."""

TIME: Final = ("start_s", "end_s")
"""Columns that contain time, from which the label can often be inferred."""

LABEL: Final = "label"
RATING: Final = "rating."
QUALITY: Final = "quality."
VALID_FRACTION: Final = "valid_fraction."
WHY: Final = ".missing"
SOURCE: Final = "source"
PART: Final = ".part"
"""Suffix of an unfinished file."""

_FRONT: Final = "physio."


def path_of(out: Path, subject: str) -> Path:
    """Return the file of a participant in a table: ``subject=S2/windows.parquet``.

    Raises
    ------
    ValueError
        If the participant's code cannot be the name of a folder.
    """
    if not subject or subject in (".", "..") or set(subject) & set('/\\\0="%'):
        raise ValueError(f"{subject!r} cannot be a subject's code: it names no folder")
    return out / f"subject={subject}" / "windows.parquet"


def features(table: pd.DataFrame) -> list[str]:
    """Return the names of the columns that a model may read."""
    reserved = {*PLACE, *TIME, LABEL, "dataset"}
    return [
        str(c)
        for c in table.columns
        if c not in reserved
        and not str(c).startswith((RATING, QUALITY, VALID_FRACTION))
        and not str(c).endswith(WHY)
        and pd.api.types.is_numeric_dtype(table[c])
    ]


def about(path: Path) -> dict[str, Any]:
    """Return the metadata of a participant's file: source, config, versions ...

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is absent, or is not a complete Parquet file.
    """
    from pyarrow import parquet

    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    front = _FRONT.encode()
    with _whole(path):
        raw = parquet.read_schema(path).metadata or {}
        return {
            k[len(front) :].decode(): json.loads(v)
            for k, v in raw.items()
            if k.startswith(front)
        }


def read(path: str | Path) -> pd.DataFrame:
    """Return a table: of all participants in a folder, or any one Parquet file.

    Returns
    -------
    DataFrame
        Rows of all participants in natural order, each participant's rows in the order
        of recording; ``attrs["files"]`` holds the metadata of each participant's file.

    Raises
    ------
    FileNotFoundError, ValueError
        If the path does not exist, or holds no table.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no table {path}")
    files = [path] if path.is_file() else sorted(path.glob("subject=*/windows.parquet"))
    if not files:
        raise ValueError(
            f"{path} has no subject=*/windows.parquet: it is no table of features, as "
            "`physio extract` makes them"
        )
    parts = {_subject(file): _read_file(file) for file in files}
    names = natural_sorted(parts)
    table = pd.concat([parts[name] for name in names], ignore_index=True)
    metadata = {_subject(file): about(file) for file in files}
    origins = {
        file_metadata.get("dataset", "") for file_metadata in metadata.values()
    } - {""}
    if origins and "dataset" not in table.columns:
        table = _before(table, "dataset", " + ".join(sorted(origins)))
    table.attrs["files"] = metadata
    return table


def write(
    path: Path, tables: Iterable[Mapping[str, Any]], metadata: Mapping[str, Any]
) -> int:
    """Write the rows of a participant, all or nothing; return their number.

    Parameters
    ----------
    path
        The file. It is replaced completely, or remains unchanged.
    tables
        Tables of some rows each, such as those of a trial. They are written one after
        another, so that only one of them is in memory. All have the columns of the
        first table; a column that a later table lacks is missing (reason: no signal).
    metadata
        Metadata of the file.
    """
    import pyarrow as pa
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    file, rows = None, 0
    try:
        for columns in tables:
            if file is None:
                table = pa.table(dict(columns))
                encoded = {f"{_FRONT}{k}": json.dumps(v) for k, v in metadata.items()}
                schema = table.schema.with_metadata(encoded)
                file = parquet.ParquetWriter(part, schema)
            else:
                table = pa.table(_like(columns, schema.names, path))
            file.write_table(table.cast(schema))
            rows += len(table)
        if file is None:
            raise ValueError(f"{path}: there are no rows to write")
        file.close()
        part.replace(path)
    finally:
        if file is not None:
            file.close()
        part.unlink(missing_ok=True)
    return rows


def usable(table: pd.DataFrame) -> pd.DataFrame:
    """Return the valid fraction of each sensor's windows for each participant.

    One row per participant and one column per chain (the mean of
    ``valid_fraction.<chain>``), and the number of ``windows``.
    """
    chains = [c for c in map(str, table.columns) if c.startswith(VALID_FRACTION)]
    participants = natural_sorted(table["subject"].unique())
    groups = table.groupby("subject")
    shares = groups[chains].mean().reindex(participants)
    shares.columns = [c[len(VALID_FRACTION) :] for c in chains]
    return shares.assign(windows=groups.size().reindex(participants))


def _like(
    columns: Mapping[str, Any], names: Sequence[str], path: Path
) -> dict[str, Any]:
    if new := [c for c in columns if c not in names]:
        raise ValueError(
            f"{path}: one recording of this participant has the column {new[0]!r}, and "
            "an earlier one has not; name the chains in a session file to fix what is "
            "computed"
        )
    n = len(next(iter(columns.values())))
    lost = np.full(n, MissingReason.NO_SIGNAL.nan)
    why = np.full(n, int(MissingReason.NO_SIGNAL), np.int8)
    return {k: columns.get(k, why if k.endswith(WHY) else lost) for k in names}


def _subject(file: Path) -> str:
    return file.parent.name.removeprefix("subject=")


def _read_file(file: Path) -> pd.DataFrame:
    from pyarrow import parquet

    with _whole(file):
        table = parquet.ParquetFile(file).read().to_pandas()
    if file.parent.name.startswith("subject="):
        table = _before(table, "subject", _subject(file))
    return table


def _before(table: pd.DataFrame, name: str, text: str) -> pd.DataFrame:
    """Return a table with one more column in front, the same in each row."""
    front = pd.Series(text, table.index, dtype=object, name=name)
    return pd.concat([front, table], axis=1)


@contextmanager
def _whole(file: Path) -> Iterator[None]:
    """Name a file whose reading fails, in one line, in a ValueError."""
    try:
        yield
    except (ValueError, OSError, LookupError, TypeError) as error:
        text = " ".join(str(error).split())
        raise ValueError(f"{file} is no whole Parquet file: {text}") from None
