"""Features and estimates as Parquet tables."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from physio.core.block import Block, StreamInfo
from physio.core.filename import Files
from physio.core.missing import MissingReason, missing_reason
from physio.core.recording import COMPUTED, Item, computed


def columns(block: Block) -> dict[str, Any]:
    """Return a block as columns: ``time``, each channel, and why it is missing.

    Beside each column of numbers stands ``<column>.missing``, the `MissingReason` as an
    integer, except where a stage gives one itself, and except for ``.from`` and
    ``.to``.
    """
    names = block.info.names
    found: dict[str, Any] = {"time": block.times}
    for i, name in enumerate(names):
        values = np.ascontiguousarray(block.data[:, i])
        if name.endswith(".missing"):
            found[name] = np.nan_to_num(values).astype(np.int8)
            continue
        found[name] = values
        if f"{name}.missing" not in names and not name.endswith(
            (".window_start", ".window_end")
        ):
            found[f"{name}.missing"] = missing_reason(values)
    return found


@dataclass
class ParquetTables:
    """``features.parquet`` and ``estimates.parquet`` in a session's folder.

    In a session of several participants each has their own, as
    ``estimates.p1.parquet``; a code that can be no file's name is written otherwise:
    see `physio.core.filename`. Each row has its ``time`` (s, session clock), the
    values, why one is missing, and from when to when the samples came that it rests on.
    The file's metadata holds where the numbers come from (measured, simulated, demo)
    and the units.

    Parameters
    ----------
    folder
        Where to write; filled in by the session.
    about
        What is known of the session; goes into the metadata.
    streams
        Which computed streams to keep.
    rows
        How many rows are written at once.
    """

    folder: Path
    about: Mapping[str, str] = field(default_factory=dict)
    streams: tuple[str, ...] = COMPUTED
    rows: int = 2400
    _waiting: dict[str, list[Block]] = field(default_factory=dict, init=False)
    _files: dict[str, Any] = field(default_factory=dict, init=False)
    _names: Files = field(default_factory=Files, init=False, repr=False, compare=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in list(self._waiting):
            self._flush(name)
        for name, file in self._files.items():
            file.close()
            path = self.folder / f"{self._names[name]}.parquet"
            path.with_name(f"{path.name}.part").rename(path)

    def open_streams(self, streams: Sequence[StreamInfo]) -> None:
        """Need nothing of the streams that come in."""

    def end(self, how: str) -> None:
        """Need nothing of how it ended."""

    def write(self, item: Item) -> None:
        """Take a block of features or estimates; leave the rest."""
        if not isinstance(item, Block) or computed(item.info.name) not in self.streams:
            return
        waiting = self._waiting.setdefault(item.info.name, [])
        waiting.append(item)
        if sum(map(len, waiting)) >= self.rows:
            self._flush(item.info.name)

    def _flush(self, name: str) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        waiting, self._waiting[name] = self._waiting[name], []
        if not waiting:
            return
        parts = [columns(block) for block in waiting]
        table = pa.table({k: np.concatenate([p[k] for p in parts]) for k in parts[0]})
        if name not in self._files:
            schema = table.schema.with_metadata(_metadata(waiting[0].info, self.about))
            path = self.folder / f"{self._names[name]}.parquet.part"
            self._files[name] = parquet.ParquetWriter(path, schema)
        self._files[name].write_table(table.cast(self._files[name].schema))


def _metadata(info: StreamInfo, about: Mapping[str, str]) -> dict[str, str]:
    units = {c.name: c.unit for c in info.channels}
    return {
        "physio.origin": info.origin.value,
        "physio.participant": info.participant,
        "physio.rate": str(info.rate),
        "physio.units": json.dumps(units),
        "physio.missing": json.dumps(
            {int(reason): reason.words for reason in MissingReason}
        ),
        "physio.about": json.dumps(dict(about)),
    }
