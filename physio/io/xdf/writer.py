"""Crash-safe writer of XDF recordings."""

import math
import os
from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn, Self

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events, Item
from physio.core.output_file import copy_to, flush_to_disk, has_name, write_all
from physio.io.xdf.checksums import check
from physio.io.xdf.chunks import BOUNDARY, MAGIC, Tag, chunk, numbers, same_clock, texts
from physio.io.xdf.create_file import create
from physio.io.xdf.header import (
    CHECKS,
    TIMELINE,
    Footer,
    Header,
    Part,
    write_file_header,
    write_footer,
    write_header,
)

_SECONDS: Final = 10.0  # longest time between two boundaries (s, session clock) ...
_BYTES: Final = 1 << 20  # ... and largest number of bytes between them
_ENTRIES: Final = 1  # number of the timeline in the file
OWN: Final = (
    Header(Part.TIMELINE, StreamInfo(TIMELINE, Fraction(0), (Channel("entry"),)), 0),
    Header(Part.CHECKS, StreamInfo(CHECKS, Fraction(0), (Channel("entry"),)), 0),
)
"""First two streams of each file, number 1 and 2."""


@dataclass
class _Stream:
    """A stream of the file: its number, and the content of its footer."""

    number: int
    header: Header
    count: int = 0
    first: float = 0.0
    last: float = 0.0

    def clock(self, times: Array) -> bytes:
        """Return the clock offset that precedes the first samples."""
        return b"" if self.count else same_clock(self.number, float(times[0]))

    def footer(self, content: Footer | None = None) -> bytes:
        """Return the footer, after the last samples."""
        xml = write_footer(self.count, self.first, self.last, self.header, content)
        return chunk(Tag.STREAM_FOOTER, xml, self.number)

    def add(self, times: Array) -> None:
        """Count samples."""
        self.first = self.first if self.count else float(times[0])
        self.last = float(times[-1])
        self.count += len(times)


_Parts = list[tuple[_Stream, Array, bytes]]  # samples that are to be written


class Writer:
    """An XDF file that grows by complete items, which `read` restores bit for bit.

    Each item, a block or events, is written at once and ends with its entry in the
    stream ``session.timeline``: an item without an entry was not completely written. A
    checksum follows in the stream ``session.checks``. Samples are stamped with their
    times on the session clock, each with its own; the device's own stamps are the
    stream ``<name>.stamps``. The labels of events form the marker stream ``<name>``
    (with an empty text for an event without a label), their numbers the stream
    ``<name>.data``. The footer of the timeline states the end of the recording; a file
    without it was interrupted.

    Parameters
    ----------
    path
        The file; only its owner may read it. An existing file is renamed to
        ``<stem>_old1.xdf``, as by LabRecorder.
    about
        Metadata of the recording: ``participant``, ``consent``, ``begin``,
        ``config``.

    Raises
    ------
    OSError
        If the file cannot be created.
    """

    def __init__(self, path: Path | str, about: Mapping[str, str] = {}) -> None:
        self.path = Path(path)
        self.size = 0
        self._about = dict(about)
        self._streams: dict[tuple[str, Part], _Stream] = {}
        self._marked, self._latest, self._next = 0, 0.0, 0.0
        self._file: int | None = create(self.path)
        try:
            writer = f"physio-affect {version('physio-affect')}"
            xml = write_file_header(about, writer)
            head = MAGIC + chunk(Tag.FILE_HEADER, xml)
            self._open(*OWN, before=head)
        except BaseException:
            self.discard()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError) if error is not None else nullcontext():
            self.close(outcome(error))

    def open_streams(self, infos: Iterable[StreamInfo]) -> None:
        """Add streams to the file that may have no samples."""
        for info in infos:
            self._main(info)

    def write(self, item: Item, *, arrived: bool = True) -> None:
        """Append a block or events.

        Parameters
        ----------
        item
            The block or events.
        arrived
            True for inputs, false for computed items, as recorded in the timeline.

        Raises
        ------
        OSError
            If the item cannot be written; the file then ends with the previous item.
        ValueError
            If the file has a stream of this name with a different description.
        """
        main = self._main(item.info)
        start, epoch, beside, parts = (
            self._block(main, item)
            if isinstance(item, Block)
            else self._events(main, item)
        )
        until = item.complete_until
        if math.isfinite(until) and (len(item) or isinstance(item, Events)):
            self._latest = max(self._latest, until)
        now = np.array([self._latest])
        entry = (main.number, start, len(item), epoch, float(arrived), float(beside))
        entries = self._streams[TIMELINE, Part.TIMELINE]
        done = numbers(_ENTRIES, now, np.array([entry], np.float64))
        parts.append((entries, now, done))
        mark = self._boundary()
        self._record(mark + b"".join(s.clock(t) + raw for s, t, raw in parts))
        for stream, times, _ in parts:
            stream.add(times)
        if mark:
            self._marked, self._next = self.size, self._latest + _SECONDS

    @property
    def counts(self) -> dict[str, int]:
        """Number of samples or events that the file has of each stream."""
        main = (Part.BLOCKS, Part.EVENTS)
        return {n: s.count for (n, part), s in self._streams.items() if part in main}

    @property
    def has_name(self) -> bool:
        """True while the file has its name: see `physio.core.output_file`."""
        return self._file is not None and has_name(self._file, self.path)

    def move(self, path: Path) -> None:
        """Copy all that is written to a new file, and continue there.

        A previous file that still exists, under another name, is closed; its footer
        names the new one.

        Parameters
        ----------
        path
            The new file, which does not exist; missing folders are created.

        Raises
        ------
        OSError
            If that fails; the recording then stays in the previous file.
        """
        if self._file is None:
            raise ValueError(f"{self.path} is closed")
        previous = os.dup(self._file)
        try:
            copy_to(self._file, path, self.size)
            self.path = path
            if os.fstat(previous).st_nlink:
                os.lseek(previous, self.size, os.SEEK_SET)
                with suppress(OSError):
                    write_all(previous, self._footers(f"moved: it goes on in {path}"))
        finally:
            os.close(previous)

    def sync(self) -> None:
        """Flush all written data to the disk, so that they survive a power failure."""
        if self._file is None:
            return
        try:
            flush_to_disk(self._file)
        except OSError as error:
            self._fail(error)

    def close(self, ended: str = "completed", warnings: str = "") -> None:
        """Write the footers, which state how the recording ended, and close the file.

        The footer of the timeline states the end, and is written before that of the
        checks. The footers are attempted even after a failed write, because space may
        be free again.

        Parameters
        ----------
        ended
            How the recording ended.
        warnings
            Samples that it lacks; readers add this to their warnings.

        Raises
        ------
        OSError
            If the footers cannot be written; the file is closed all the same.
        """
        if self._file is None:
            return
        try:
            self._put(self._footers(ended or "completed", warnings))
            self.sync()
        finally:
            self._release()

    def discard(self) -> None:
        """Close the file and delete it, as nothing was recorded in it."""
        self._release()
        self.path.unlink(missing_ok=True)

    def _main(self, info: StreamInfo) -> _Stream:
        """Return the stream that an item goes to, opened if it is new."""
        part = Part.BLOCKS if info.rate else Part.EVENTS
        other = Part.EVENTS if info.rate else Part.BLOCKS
        if (stream := self._streams.get((info.name, part))) is None:
            if info.name == TIMELINE or (info.name, other) in self._streams:
                raise ValueError(
                    f"{self.path} has a stream {info.name!r} of another kind already"
                )
            number = len(self._streams) + 1
            numbered = part == Part.EVENTS and bool(info.channels)
            beside = [Header(Part.DATA, info, number)] * numbered
            stream = self._open(Header(part, info, 0), *beside)
        if stream.header.info != info:
            raise ValueError(
                f"{info.name!r} in {self.path} is {stream.header.info}, and cannot "
                f"go on as {info}"
            )
        return stream

    def _open(self, *headers: Header, before: bytes = b"") -> _Stream:
        """Open streams, each with the next number; return the first."""
        first = len(self._streams) + 1
        new = [_Stream(first + i, header) for i, header in enumerate(headers)]
        chunks = [
            chunk(Tag.STREAM_HEADER, write_header(s.header), s.number) for s in new
        ]
        known = dict(self._streams)
        self._streams |= {(s.header.info.name, s.header.part): s for s in new}
        try:
            self._record(before + b"".join(chunks))
        except BaseException:
            self._streams = known
            raise
        return new[0]

    def _block(self, main: _Stream, block: Block) -> tuple[int, float, bool, _Parts]:
        name = block.info.name
        parts: _Parts = []
        if len(block):
            raw = numbers(main.number, block.times, block.data)
            parts.append((main, block.times, raw))
        if len(block) and block.stamps is not None:
            beside = self._streams.get((name, Part.STAMPS)) or self._open(
                Header(Part.STAMPS, block.info, main.number)
            )
            raw = numbers(beside.number, block.times, block.stamps[:, np.newaxis])
            parts.append((beside, block.times, raw))
        return block.start, block.t0, block.stamps is not None, parts

    def _events(self, main: _Stream, events: Events) -> tuple[int, float, bool, _Parts]:
        parts: _Parts = []
        if len(events):
            labels = events.labels or ("",) * len(events)
            parts.append((main, events.times, texts(main.number, events.times, labels)))
        if len(events) and events.info.channels:
            beside = self._streams[events.info.name, Part.DATA]
            raw = numbers(beside.number, events.times, events.data)
            parts.append((beside, events.times, raw))
        return main.count, events.complete_until, bool(events.labels), parts

    def _boundary(self) -> bytes:
        due = self._latest >= self._next or self.size - self._marked >= _BYTES
        return BOUNDARY if due else b""

    def _record(self, raw: bytes) -> None:
        """Append ``raw`` and its check, or nothing."""
        self._put(self._checked(raw))
        self._streams[CHECKS, Part.CHECKS].add(np.array([self._latest]))

    def _checked(self, raw: bytes) -> bytes:
        """Return ``raw`` with its check."""
        raw += self._streams[CHECKS, Part.CHECKS].clock(np.array([self._latest]))
        return raw + check(self.size, raw, self._latest)

    def _footers(self, ended: str, warnings: str = "") -> bytes:
        """Return the footers of all streams, that of the checks last."""
        checks = self._streams[CHECKS, Part.CHECKS]
        content = Footer(ended, self._about, warnings)
        raw = b"".join(
            s.footer(content if s.header.part == Part.TIMELINE else None)
            for s in reversed(self._streams.values())
            if s is not checks
        )
        last = replace(checks)
        last.add(np.array([self._latest]))
        return self._checked(raw) + last.footer()

    def _put(self, raw: bytes) -> None:
        """Append all of ``raw``, or nothing."""
        if self._file is None:
            raise ValueError(f"{self.path} is closed")
        try:
            os.lseek(self._file, self.size, os.SEEK_SET)
            write_all(self._file, raw)
        except BaseException as error:
            # Remove the partly written chunk, so that complete chunks can follow.
            os.ftruncate(self._file, self.size)
            if isinstance(error, OSError):
                self._fail(error)
            raise
        self.size += len(raw)

    def _fail(self, error: OSError) -> NoReturn:
        problem = OSError(
            f"the recording {self.path} stopped: {error.strerror or error}; what came "
            f"before is in the file"
        )
        problem.errno = error.errno
        raise problem from error

    def _release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def outcome(error: BaseException | None) -> str:
    """Return the description of a recording's end by this error, if any."""
    if error is None:
        return "completed"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted by Ctrl-C"
    return f"failed: {type(error).__name__}: {error}"
