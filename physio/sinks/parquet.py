"""Features and estimates as Parquet tables."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from physio.core.block import Block, StreamInfo
from physio.core.events import Item
from physio.core.filename import Files
from physio.core.missing import MissingReason, missing_reason
from physio.core.protocols import Sink
from physio.core.recording import COMPUTED, computed
from physio.core.stream_codec import to_dict


def columns(block: Block) -> dict[str, Any]:
    """Return a block as columns: ``time``, each channel, and why it is missing.

    Beside each column of numbers stands ``<column>.missing``, the `MissingReason` as an
    integer, except where a stage gives one itself, and except for ``.from`` and
    ``.to``.
    """
    names = block.info.names
    table: dict[str, Any] = {"time": block.times}
    for i, name in enumerate(names):
        values = np.ascontiguousarray(block.data[:, i])
        if name.endswith(".missing"):
            table[name] = np.nan_to_num(values).astype(np.int8)
            continue
        table[name] = values
        if f"{name}.missing" not in names and not name.endswith(
            (".window_start", ".window_end")
        ):
            table[f"{name}.missing"] = missing_reason(values)
    return table


@dataclass
class ParquetTables(Sink):
    """``features.parquet`` and ``estimates.parquet`` in a session's folder.

    In a session of several participants each has their own, as
    ``estimates.p1.parquet``; a code that can be no file's name is written otherwise:
    see `physio.core.filename`. Each row has its ``time`` (s, session clock), the
    values, why one is missing, and from when to when the samples came that it rests on.
    The file's metadata holds JSON texts: ``physio.stream``, the description of the
    stream with its origin (measured, simulated, demo) and units
    (`physio.core.stream_codec`); ``physio.missing``, the reason of each integer in the
    ``.missing`` columns; ``physio.about``, what is known of the session.

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

    def end(self, outcome: str) -> None:
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
    reasons = {int(reason): reason.words for reason in MissingReason}
    return {
        "physio.stream": json.dumps(to_dict(info)),
        "physio.missing": json.dumps(reasons),
        "physio.about": json.dumps(dict(about)),
    }
