"""XDF files: those that `Writer` wrote, bit for bit, and everybody else's."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from physio.core.block import Array, Block
from physio.core.events import Events
from physio.core.recording import Arrival, Recording
from physio.formats.xdf.chunks import (
    Chunk,
    CutOffError,
    Tag,
    UnreadableError,
    read_numbers,
    read_texts,
    walk,
)
from physio.formats.xdf.foreign import convert, nothing
from physio.formats.xdf.header import (
    ENTRY,
    Header,
    Part,
    read_file_header,
    read_footer,
    read_header,
)


def read(path: Path | str) -> Recording:
    """Return the recording that an XDF file holds.

    A file that `Writer` wrote comes back bit for bit, and ``about["ended"]`` says how
    the recording ended: ``"completed"``, ``"interrupted"`` where it was never closed,
    or in the words it was closed with. How any other file is taken is told in
    `physio.formats.xdf.foreign`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is cut off, damaged or no XDF at all. What a file cut off can still
        give is said, not given: no part passes for the whole.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder, not an XDF file") from None
    chunks: list[Chunk] = []
    cut: CutOffError | None = None
    try:
        try:
            chunks.extend(walk(memoryview(raw)))
        except CutOffError as error:
            cut = error
            chunks = _whole(raw[: error.at])
        about = _about(chunks)
        if cut is not None:
            left = "" if about is None else _left(assemble(about, chunks))
            raise UnreadableError(
                f"{cut} and has {len(raw)} bytes; before that, {len(chunks)} chunks "
                f"are whole{left}"
            )
        return convert(path, raw, chunks) if about is None else assemble(about, chunks)
    except Exception as error:
        # Whatever the bytes do to a parser, here or in pyxdf, they are the cause.
        ours = isinstance(error, UnreadableError)
        what = f"{error}" if ours else f"it is damaged ({error!r})"
        raise ValueError(f"cannot read {path} as XDF: {what}") from error


@dataclass
class _Stream:
    """What the chunks of one stream hold, whole once `join` is called."""

    header: Header
    times: list[Array] = field(default_factory=list)
    rows: list[Array] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        if self.header.part == Part.TIMELINE:
            return len(ENTRY)
        if self.header.part == Part.STAMPS:
            return 1
        return len(self.header.info.channels)

    def add(self, content: memoryview) -> None:
        if self.header.part == Part.EVENTS:
            times, labels = read_texts(content)
            self.times.append(np.array(times))
            self.labels += labels
        else:
            stamps, rows = read_numbers(content, self.width)
            self.times.append(stamps)
            self.rows.append(rows)

    def join(self) -> tuple[Array, Array]:
        """Return times (s) and rows, in the layout of blocks."""
        return _all(self.times, (0,)), _all(self.rows, (0, self.width))


def assemble(about: dict[str, str], chunks: Sequence[Chunk]) -> Recording:
    """Return the recording that the chunks of a file of ours hold.

    Samples that no entry of the timeline speaks of were not wholly written, and are
    left out.
    """
    streams: dict[int, _Stream] = {}
    ended = "interrupted"
    for chunk in chunks:
        if chunk.tag == Tag.STREAM_HEADER:
            streams[chunk.stream] = _Stream(read_header(bytes(chunk.content)))
        elif chunk.tag == Tag.SAMPLES:
            streams[chunk.stream].add(chunk.content)
        elif chunk.tag == Tag.STREAM_FOOTER:
            ended = read_footer(bytes(chunk.content)) or ended
    numbers = {(s.header.info.name, s.header.part): n for n, s in streams.items()}
    entries = defaultdict(list)
    timeline = []
    for row in _timeline(streams):
        entries[int(row[0])].append(row)
        if row[4]:
            name = streams[int(row[0])].header.info.name
            arrival = Arrival(name, int(row[1]), int(row[2]), float(row[3]))
            timeline.append(arrival)
    blocks, events = {}, {}
    for number, stream in streams.items():
        part, info, _ = stream.header
        if part == Part.BLOCKS:
            beside = streams.get(numbers.get((info.name, Part.STAMPS), 0))
            blocks[info.name] = _blocks(stream, beside, entries[number])
        elif part == Part.EVENTS:
            beside = streams.get(numbers.get((info.name, Part.DATA), 0))
            events[info.name] = _events(stream, beside, entries[number])
    return Recording(blocks, events, tuple(timeline), {**about, "ended": ended})


def _timeline(streams: dict[int, _Stream]) -> Array:
    for stream in streams.values():
        if stream.header.part == Part.TIMELINE:
            return stream.join()[1]
    return np.empty((0, len(ENTRY)))


def _blocks(
    stream: _Stream, beside: _Stream | None, entries: list[Array]
) -> tuple[Block, ...]:
    info = stream.header.info
    rows = stream.join()[1]
    stamps = np.empty(0) if beside is None else beside.join()[1][:, 0]
    blocks, at, stamped = [], 0, 0
    for _, start, size, epoch, _, has_stamps in entries:
        n = int(size)
        data = rows[at : at + n]
        if len(data) < n or (has_stamps and len(stamps) - stamped < n):
            raise UnreadableError(f"samples of {info.name!r} are missing")
        own = stamps[stamped : stamped + n].copy() if has_stamps else None
        blocks.append(Block(info, int(start), float(epoch), data, own))
        at, stamped = at + n, stamped + (n if has_stamps else 0)
    return tuple(blocks) or (nothing(info),)


def _events(stream: _Stream, beside: _Stream | None, entries: list[Array]) -> Events:
    info = stream.header.info
    n = sum(int(entry[2]) for entry in entries)
    until = float(entries[-1][3]) if entries else -np.inf
    times = stream.join()[0][:n]
    # Without numbers there is no stream of numbers, nor before the first of them.
    width = len(info.channels)
    data = beside.join()[1][:n] if beside and width else np.empty((n, width))
    labels = tuple(stream.labels[:n]) if any(e[5] for e in entries) else ()
    return Events(info, until, times, data, labels)


def _about(chunks: Sequence[Chunk]) -> dict[str, str] | None:
    for chunk in chunks:
        if chunk.tag == Tag.FILE_HEADER:
            return read_file_header(bytes(chunk.content))
    raise UnreadableError("it has no file header")


def _whole(raw: bytes) -> list[Chunk]:
    return list(walk(memoryview(raw)))


def _left(recording: Recording) -> str:
    """Return how much of a recording there is, in words."""
    n = sum(len(b) for blocks in recording.streams.values() for b in blocks)
    e = sum(len(events) for events in recording.events.values())
    return f", with {n} samples and {e} events over {recording.seconds:.1f} s"


def _all(parts: list[Array], shape: tuple[int, ...]) -> Array:
    return np.ascontiguousarray(np.concatenate([np.empty(shape), *parts]))
