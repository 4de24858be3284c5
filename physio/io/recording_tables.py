"""Recordings as a folder of tables: a file for each stream, and a description."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from physio.core.block import Array, Block
from physio.core.events import Events
from physio.core.input_file import existing_file
from physio.core.missing import MissingReason
from physio.core.recording import Arrival, Recording
from physio.core.stream_codec import from_dict, to_dict
from physio.core.stream_layout import describe_stream, restore_stream

if TYPE_CHECKING:
    import pandas as pd

DESCRIPTION: Final = "recording.json"
"""File that describes the tables of a folder."""

FORMAT: Final = "physio-affect tables"
"""Value of ``format`` in `DESCRIPTION`."""

_LARGEST: Final = 256 * 2**20  # bytes


def is_export(path: Path) -> bool:
    """Return whether a folder holds the tables of a recording."""
    file = path / DESCRIPTION
    if not file.is_file():
        return False
    with file.open("rb") as content:
        return FORMAT.encode() in content.read(256)


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the description and the tables of a folder of tables, by name."""
    table = json.loads((path / DESCRIPTION).read_text("utf-8"))
    tables = (*table["streams"].values(), *table["events"].values())
    return tuple(sorted({path / DESCRIPTION, *(path / t["file"] for t in tables)}))


def describe(
    path: Path, recording: Recording, files: Mapping[str, str], suffix: str
) -> None:
    """Write the description of a folder of tables.

    Parameters
    ----------
    path
        The folder.
    recording
        The recording.
    files
        Name of the table of each stream, without suffix.
    suffix
        ``csv`` or ``parquet``.
    """
    streams = {
        name: {
            "file": f"{files[name]}.{suffix}",
            **describe_stream(blocks),
        }
        for name, blocks in recording.streams.items()
    }
    events = {
        name: {
            "file": f"{files[name]}.{suffix}",
            "info": to_dict(e.info),
            "complete_until": e.complete_until,
            "labels": bool(e.labels),
        }
        for name, e in recording.events.items()
    }
    table = {
        "format": FORMAT,
        "streams": streams,
        "events": events,
        "timeline": [list(arrival) for arrival in recording.timeline],
        "metadata": dict(recording.metadata),
    }
    (path / DESCRIPTION).write_text(json.dumps(table, indent=1) + "\n", "utf-8")


def read(path: str | Path, *, participant: str = "") -> Recording:
    """Read the folder that ``physio export --format csv`` or ``parquet`` wrote.

    Streams, gaps, times, events, metadata and the reasons of missing values are those
    of the recording, to the bit; time stamps of devices are not stored.

    Parameters
    ----------
    path
        The folder.
    participant
        Code of the participant, if the description has none.

    Raises
    ------
    FileNotFoundError
        If a table is absent.
    ValueError
        If a table does not match its description.
    """
    path = Path(path)
    file = existing_file(path / DESCRIPTION)
    if file.stat().st_size > _LARGEST:
        raise ValueError(f"{file} is larger than 256 MB")
    try:
        table = json.loads(file.read_text("utf-8"))
        streams = {n: _blocks(path, t) for n, t in table["streams"].items()}
        events = {n: _events(path, t) for n, t in table["events"].items()}
        timeline = tuple(Arrival(*arrival) for arrival in table["timeline"])
        about = {str(k): str(v) for k, v in table["metadata"].items()}
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{file} is no description of tables: {error!r}") from None
    if participant:
        about.setdefault("participant", participant)
    return Recording(streams, events, timeline, about)


def _blocks(path: Path, table: Mapping[str, Any]) -> tuple[Block, ...]:
    names = from_dict(table["info"]).names
    frame = _frame(path, table["file"])
    values = _values(path, table["file"], frame, names)
    try:
        return restore_stream(table, values)
    except ValueError as error:
        raise ValueError(f"{path / table['file']} {error}") from None


def _events(path: Path, table: Mapping[str, Any]) -> Events:
    info = from_dict(table["info"])
    frame = _frame(path, table["file"])
    values = _values(path, table["file"], frame, info.names)
    labels: tuple[str, ...] = ()
    if table["labels"]:
        labels = tuple(frame["label"].fillna("").astype(str))
    times = frame.index.to_numpy(np.float64, copy=True)
    return Events(info, float(table["complete_until"]), times, values, labels)


def _values(
    path: Path, name: str, frame: "pd.DataFrame", columns: tuple[str, ...]
) -> Array:
    if lacking := [c for c in columns if c not in frame.columns]:
        raise ValueError(f"{path / name} has no column {lacking[0]!r}")
    chosen = frame[list(columns)]
    words = [c for c in columns if c.endswith(".missing")]
    chosen = chosen.assign(**{c: _codes(chosen[c]) for c in words})
    try:
        values = chosen.to_numpy(np.float64, copy=True)
    except ValueError as error:
        raise ValueError(f"{path / name}: {error}") from None
    return np.ascontiguousarray(values).reshape(len(frame), len(columns))


def _codes(reasons: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return reasons in words as codes; anything else stays."""
    codes = {reason.words: float(reason) for reason in MissingReason}
    return reasons.astype(object).map(lambda word: codes.get(word, word))


def _frame(path: Path, name: str) -> "pd.DataFrame":
    import pandas as pd

    if Path(name).name != name:
        raise ValueError(f"{path / DESCRIPTION} names {name!r}, which leads out of it")
    file = existing_file(path / name)
    if file.suffix == ".parquet":
        return pd.read_parquet(file)
    missing: Any = {column: {""} for column in _numeric(file)}
    return pd.read_csv(
        file, index_col=0, float_precision="round_trip", dtype={"label": str},
        keep_default_na=False, na_values=missing,
    )  # fmt: skip


def _numeric(file: Path) -> list[str]:
    """Return the columns of numbers; texts such as ``NA`` remain."""
    with file.open(encoding="utf-8", newline="") as lines:
        names = next(csv.reader(lines), [])
    return [name for name in names if name != "label" and not name.endswith(".missing")]
