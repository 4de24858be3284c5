"""Features and estimates as Parquet tables."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from physio.core.block import Block, StreamInfo
from physio.core.events import Item
from physio.core.filename import UniqueFilenames
from physio.core.missing import MissingReason, has_reason, missing_reason
from physio.core.output_file import FileWatch
from physio.core.private_file import open_private
from physio.core.protocols import Sink
from physio.core.recording import COMPUTED, computed
from physio.core.stream_codec import to_dict


def columns(block: Block) -> dict[str, Any]:
    """Return a block as columns: ``time``, each channel, and its missing reasons.

    ``<column>.missing`` is the `MissingReason` of a column as an integer. A column of
    that name that a stage computes is not changed. `physio.core.missing.has_reason`
    states which columns have one.
    """
    names = block.info.names
    table: dict[str, Any] = {"time": block.times}
    for i, name in enumerate(names):
        values = np.ascontiguousarray(block.data[:, i])
        if name.endswith(".missing"):
            table[name] = np.nan_to_num(values).astype(np.int8)
            continue
        table[name] = values
        if f"{name}.missing" not in names and has_reason(name, names):
            table[f"{name}.missing"] = missing_reason(values)
    return table


@dataclass
class ParquetTables(Sink):
    """Sink that writes ``features.parquet`` and ``estimates.parquet``.

    With several participants each has a file, as ``estimates.p1.parquet``; characters
    that no file name can hold are replaced (`physio.core.filename`). Each row has its
    ``time`` (s, session clock), the values, their missing reasons, and the first and
    last time of the samples that they are computed from.
    The file's metadata holds JSON texts: ``physio.stream``, the description of the
    stream with its origin (measured, simulated, demo) and units
    (`physio.core.stream_codec`); ``physio.missing``, the reason of each integer in the
    ``.missing`` columns; ``physio.about``, the properties of the session.

    Parameters
    ----------
    folder
        Folder to write to; set by the session.
    about
        Properties of the session, written to the metadata.
    streams
        Names of the computed streams to write.
    rows
        Number of rows that are written at once.
    """

    folder: Path
    about: Mapping[str, str] = field(default_factory=dict)
    streams: tuple[str, ...] = COMPUTED
    rows: int = 2400
    _waiting: dict[str, list[Block]] = field(default_factory=dict, init=False)
    _files: dict[str, Any] = field(default_factory=dict, init=False)
    _targets: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _watch: FileWatch = field(
        default_factory=FileWatch, init=False, repr=False, compare=False
    )
    _names: UniqueFilenames = field(
        default_factory=UniqueFilenames, init=False, repr=False, compare=False
    )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in list(self._waiting):
            self._flush(name)
        self._watch.restore(self._open_files(), at_once=True)
        for name, file in self._files.items():
            file.close()
            self._targets[name].close()
            path = self._part(name)
            path.rename(path.with_suffix(""))

    def notices(self) -> Sequence[str]:
        """Return a sentence on each file that was deleted or moved."""
        return self._watch.notices()

    def faults(self) -> Sequence[str]:
        """Return a sentence on each file that was deleted or moved."""
        return self._watch.faults

    def open_streams(self, streams: Sequence[StreamInfo]) -> None:
        """Ignore the streams: blocks carry their description."""

    def end(self, outcome: str) -> None:
        """Ignore the outcome."""

    def write(self, item: Item) -> None:
        """Write a block of features or estimates; ignore other items."""
        self._watch.restore(self._open_files())
        if not isinstance(item, Block) or computed(item.info.name) not in self.streams:
            return
        waiting = self._waiting.setdefault(item.info.name, [])
        waiting.append(item)
        if sum(map(len, waiting)) >= self.rows:
            self._flush(item.info.name)

    def _open_files(self) -> Iterator[tuple[Any, Path]]:
        return ((file, self._part(name)) for name, file in self._targets.items())

    def _part(self, name: str) -> Path:
        """Return the path of a stream's file while it is written."""
        return self.folder / f"{self._names[name]}.parquet.part"

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
            target = self._targets[name] = open_private(self._part(name), "wb+")
            self._files[name] = parquet.ParquetWriter(target, schema)
        self._files[name].write_table(table.cast(self._files[name].schema))


def _metadata(info: StreamInfo, about: Mapping[str, str]) -> dict[str, str]:
    reasons = {int(reason): reason.words for reason in MissingReason}
    return {
        "physio.stream": json.dumps(to_dict(info)),
        "physio.missing": json.dumps(reasons),
        "physio.about": json.dumps(dict(about)),
    }
