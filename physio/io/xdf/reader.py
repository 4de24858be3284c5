"""Reader of XDF files, from `Writer` (bit for bit) and from other programs."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from physio.core.block import Array, Block
from physio.core.counted_nouns import counted
from physio.core.events import Events
from physio.core.missing import MissingReason
from physio.core.recording import Arrival, Recording
from physio.io.xdf.checksums import NUMBER
from physio.io.xdf.chunks import (
    MAGIC,
    Chunk,
    CutOffError,
    Tag,
    UnreadableError,
    read_numbers,
    read_texts,
    walk,
    within,
)
from physio.io.xdf.compressed import read_xdf_bytes
from physio.io.xdf.header import (
    CHECK,
    ENTRY,
    Header,
    Part,
    read_file_header,
    read_footer,
    read_header,
)
from physio.io.xdf.labrecorder import convert, empty_block
from physio.io.xdf.recovery import Damage, RecoveredFile, recover
from physio.io.xdf.writer import OWN


def read(path: Path | str) -> Recording:
    """Return the recording in an XDF file.

    A file of `Writer` is restored bit for bit, and ``about["ended"]`` states the end of
    the recording: ``"completed"``, ``"interrupted"`` if it was never closed, or the
    text with which it was closed. Records with damaged bytes are omitted and named in
    ``about["warnings"]``; all others are read. For files of other programs see
    `physio.io.xdf.labrecorder`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is cut off, damaged beyond what its checksums can isolate, or not an
        XDF file. A part of a recording is never returned as the whole: for a file that
        is cut off, the message states the recoverable part, and `repair` writes it to a
        new file.
    """
    path = Path(path)
    raw = read_xdf_bytes(path)
    try:
        saved = recover(raw) or _walk_chunks(raw)
        about = recording_metadata(saved.chunks)
        if saved.cut >= 0:
            remaining = "" if about is None else _extent(assemble(about, saved.chunks))
            raise UnreadableError(
                f"{CutOffError(saved.cut)} and has {len(raw)} bytes; before that, "
                f"{len(saved.chunks)} chunks are whole{remaining}: physio repair keeps "
                f"them"
            )
        if about is None:
            return convert(path, raw, saved.chunks)
        return assemble(about, saved.chunks, saved.damage)
    except Exception as error:
        # Any error of a parser, here or in pyxdf, is caused by the bytes of the file.
        ours = isinstance(error, UnreadableError)
        problem = f"{error}" if ours else f"it is damaged ({error!r})"
        raise ValueError(f"cannot read {path} as XDF: {problem}") from error


@dataclass
class _Stream:
    """Content of the chunks of one stream, assembled by `join`."""

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
        if self.header.part == Part.CHECKS:
            return len(CHECK)
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


def assemble(
    about: dict[str, str],
    chunks: Sequence[Chunk],
    damage: Sequence[Damage] = (),
    *,
    tail: bool = False,
) -> Recording:
    """Return the recording in the chunks of a file of `Writer`.

    Samples without an entry in the timeline were not completely written. They are
    omitted unless ``tail`` is true, as are samples of streams whose headers are lost.
    """
    streams = {n: _Stream(header) for n, header in headers(chunks).items()}
    ended, warnings = "interrupted", [str(d) for d in damage]
    for chunk in chunks:
        if chunk.tag == Tag.SAMPLES and (stream := streams.get(chunk.stream)):
            stream.add(chunk.content)
        elif chunk.tag == Tag.STREAM_FOOTER and (
            footer := read_footer(bytes(chunk.content))
        ):
            ended = footer.ended
            warnings += [footer.warnings] if footer.warnings else []
    numbers = {(s.header.info.name, s.header.part): n for n, s in streams.items()}
    entries = defaultdict(list)
    timeline = []
    counts: Counter[int] = Counter()
    rows = _timeline(streams)
    if tail:
        rows = np.vstack([rows, *_without_entry(streams, numbers, rows)])
    for row in rows:
        number, n = int(row[0]), int(row[2])
        if number not in streams:
            continue
        entries[number].append(row)
        info = streams[number].header.info
        # Events are counted anew, because some may have been lost to damage.
        start = int(row[1]) if info.rate else counts[number]
        counts[number] += n
        if row[4]:
            timeline.append(Arrival(info.name, start, n, float(row[3])))
    about = {**about, **({"warnings": "; ".join(warnings)} if warnings else {})}
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


def _without_entry(
    streams: dict[int, _Stream], numbers: dict[tuple[str, Part], int], entries: Array
) -> Iterator[Array]:
    """Yield entries for complete samples whose own entry was cut off."""
    for number, stream in streams.items():
        header = stream.header
        if header.part not in {Part.BLOCKS, Part.EVENTS}:
            continue
        info = header.info
        previous = entries[entries[:, 0] == number]
        times = stream.join()[0][int(previous[:, 2].sum()) :]
        if not len(times):
            continue
        arrived = previous[-1, 4] if len(previous) else 1.0
        if header.part == Part.EVENTS:
            start, epoch, beside = previous[:, 2].sum(), times[-1], 1.0
        else:
            _, at, n, epoch, *_ = previous[-1] if len(previous) else (0, 0, 0, times[0])
            start = max(at + n, round((times[0] - epoch) * float(info.rate)))
            epoch = times[0] - start / float(info.rate)
            stamps = streams.get(numbers.get((info.name, Part.STAMPS), 0))
            taken = previous[previous[:, 5] > 0, 2].sum()
            remaining = 0 if stamps is None else len(stamps.join()[0]) - taken
            beside = float(remaining == len(times))
        yield np.array([[number, start, len(times), epoch, arrived, beside]])


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
        has_stamps = has_stamps and (beside is not None or not n)  # its header is lost
        if len(data) < n or (has_stamps and len(stamps) - stamped < n):
            raise UnreadableError(f"samples of {info.name!r} are missing")
        block_stamps = stamps[stamped : stamped + n].copy() if has_stamps else None
        blocks.append(Block(info, int(start), float(epoch), data, block_stamps))
        at, stamped = at + n, stamped + (n if has_stamps else 0)
    return tuple(blocks) or (empty_block(info),)


def _events(stream: _Stream, beside: _Stream | None, entries: list[Array]) -> Events:
    info = stream.header.info
    n = sum(int(entry[2]) for entry in entries)
    until = float(entries[-1][3]) if entries else -np.inf
    times = stream.join()[0][:n]
    # Without numbers there is no stream of numbers; or its header is lost.
    missing = np.full((n, len(info.channels)), MissingReason.NO_SIGNAL.nan)
    data = np.vstack([beside.join()[1][:n], missing])[:n] if beside else missing
    labels = tuple(stream.labels[:n]) if any(e[5] for e in entries) else ()
    return Events(info, until, times, data, labels)


def headers(chunks: Sequence[Chunk]) -> dict[int, Header]:
    """Return the header of each stream of a file of `Writer`, or that in its footer.

    The timeline is always included.
    """
    result = {1: OWN[0]}
    for tag in (Tag.STREAM_FOOTER, Tag.STREAM_HEADER):
        for chunk in chunks:
            if chunk.tag == tag:
                result[chunk.stream] = read_header(bytes(chunk.content))
    return dict(sorted(result.items()))


def recording_metadata(chunks: Sequence[Chunk]) -> dict[str, str] | None:
    """Return the metadata of a recording, or None for a file of another program.

    Raises
    ------
    UnreadableError
        If the file has no file header, and no copy of it elsewhere.
    """
    for chunk in chunks:
        if chunk.tag == Tag.FILE_HEADER:
            return read_file_header(bytes(chunk.content))
    for chunk in chunks:
        footer = chunk.tag == Tag.STREAM_FOOTER
        if footer and (content := read_footer(bytes(chunk.content))):
            return content.about
    if any(c.tag == Tag.SAMPLES and c.stream == NUMBER for c in chunks):
        return {}
    raise UnreadableError("it has no file header")


def _walk_chunks(raw: bytes) -> RecoveredFile:
    """Return the chunks of a file without checksums."""
    recovered = RecoveredFile()
    try:
        recovered.chunks.extend(walk(memoryview(raw)))
    except CutOffError as error:
        recovered.cut = error.at
        recovered.chunks.extend(within(memoryview(raw), len(MAGIC), error.at))
    return recovered


def _extent(recording: Recording) -> str:
    """Return the extent of a recording, for a message."""
    n = sum(len(b) for blocks in recording.streams.values() for b in blocks)
    e = sum(len(events) for events in recording.events.values())
    return (
        f", with {counted(n, 'sample')} and {counted(e, 'event')} over "
        f"{recording.seconds:.1f} s"
    )


def _all(parts: list[Array], shape: tuple[int, ...]) -> Array:
    return np.ascontiguousarray(np.concatenate([np.empty(shape), *parts]))
