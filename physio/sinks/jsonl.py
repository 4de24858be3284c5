"""Estimates as lines of JSON, for other programs to follow."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from physio.core.block import Block, StreamInfo
from physio.core.events import Item
from physio.core.output_file import FileWatch
from physio.core.private_file import open_private
from physio.core.protocols import Sink
from physio.core.recording import computed


@dataclass
class JsonLines(Sink):
    """Sink that writes ``estimates.jsonl``: one object a tick, null for missing.

    Parameters
    ----------
    folder
        Folder to write to; set by the session.
    streams
        Names of the computed streams to write.
    """

    folder: Path
    streams: tuple[str, ...] = ("estimates",)
    _file: TextIOWrapper = field(init=False, repr=False)
    _watch: FileWatch = field(
        default_factory=FileWatch, init=False, repr=False, compare=False
    )

    def __enter__(self) -> Self:
        self._path = self.folder / "estimates.jsonl"
        self._file = open_private(self._path, "x+")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._watch.restore([(self._file, self._path)], at_once=True)
        finally:
            self._file.close()

    def notices(self) -> Sequence[str]:
        """Return a sentence once the file was deleted or moved."""
        return self._watch.notices()

    def faults(self) -> Sequence[str]:
        """Return a sentence if the file was deleted or moved."""
        return self._watch.faults

    def open_streams(self, streams: Sequence[StreamInfo]) -> None:
        """Ignore the streams: blocks carry their description."""

    def end(self, outcome: str) -> None:
        """Ignore the outcome."""

    def write(self, item: Item) -> None:
        """Write the rows of a block of estimates; ignore other items."""
        self._watch.restore([(self._file, self._path)])
        if not isinstance(item, Block) or computed(item.info.name) not in self.streams:
            return
        whose = {"participant": item.info.participant} if item.info.participant else {}
        for time, row in zip(item.times.tolist(), item.data.tolist(), strict=True):
            values = (None if np.isnan(v) else v for v in row)
            line = {"stream": item.info.name, "origin": item.info.origin, "time": time}
            line |= whose | dict(zip(item.info.names, values, strict=True))
            self._file.write(json.dumps(line) + "\n")
        self._file.flush()
