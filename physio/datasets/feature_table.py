"""Tables of features: one row a window, on disk as Parquet, a file a participant.

What every table has, beside its features:

``dataset``, ``subject``, ``session``, ``trial``
    Which recording the window is of, as the data set names it.
``segment``
    Which segment of the protocol of that recording it lies in, from 0; -1 for none.
``label``
    What the study calls that segment; empty where the window lies in none.
``start_sample``, ``end_sample``
    The window, in samples of the source (`SOURCE` in the metadata); the end excluded.
``support_start_sample``
    The first sample of the source that any of its features depends on: at or before
    ``start_sample``, as a stage may remember longer than a window lasts.
``start_s``, ``end_s``
    The window on the session clock (s).
``rating.<name>``
    What the participant answered about that segment; an answer, never a feature.
``<feature>``, ``<feature>.missing``
    The value, and the `MissingReason` for which it is missing (0 where it is not).
``valid_fraction.<chain>``
    The fraction of the window for which a chain had a valid value.
``quality.<chain>.<index>``
    A signal quality index, its mean over the window; no feature either.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
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
"""The columns that say which samples of which recording a row is of."""

TIME: Final = ("start_s", "end_s")
"""The columns that tell the time, and so often the label."""

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
        If it is not there, or not a whole Parquet file.
    """
    from pyarrow import ArrowInvalid, parquet

    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        raw = parquet.read_schema(path).metadata or {}
    except (ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is no whole Parquet file: {error}") from None
    metadata = {k.decode(): v.decode() for k, v in raw.items()}
    front = len(_FRONT)
    return {
        k[front:]: json.loads(v) for k, v in metadata.items() if k.startswith(_FRONT)
    }


def read(path: str | Path) -> pd.DataFrame:
    """Return a table: of all participants in a folder, or any one Parquet file.

    Returns
    -------
    DataFrame
        The rows of one participant after those of another, in natural order, as they
        were recorded; ``attrs["files"]`` holds what each participant's file says of
        itself.

    Raises
    ------
    FileNotFoundError, ValueError
        If nothing is there, or no table.
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
    """Write the rows of a participant, all or nothing; return how many there are.

    Parameters
    ----------
    path
        The file. It appears whole, or stays as it was.
    tables
        Columns of some rows each, as those of a trial: written as they come, so that
        only one of them is in memory. All have the columns of the first one; what
        another lacks is missing (why: no signal).
    told
        What the file says of itself.
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
    """Return the valid fraction of each sensor's windows, participant by participant.

    One row a participant, one column a chain (the mean of ``valid_fraction.<chain>``),
    and the number of ``windows``.
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
    from pyarrow import ArrowInvalid, parquet

    try:
        table = parquet.ParquetFile(file).read().to_pandas()
    except (ArrowInvalid, OSError) as error:
        raise ValueError(f"{file} is no whole Parquet file: {error}") from None
    if file.parent.name.startswith("subject="):
        table = _before(table, "subject", _subject(file))
    return table


def _before(table: pd.DataFrame, name: str, text: str) -> pd.DataFrame:
    """Return a table with one more column in front, the same in each row."""
    front = pd.Series(text, table.index, dtype=object, name=name)
    return pd.concat([front, table], axis=1)
