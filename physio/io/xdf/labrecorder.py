"""XDF files of other programs, such as LabRecorder, read through pyxdf."""

import io
import logging
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import numpy as np
import pyxdf

from physio.core.block import Array, Block, StreamInfo
from physio.core.events import Events
from physio.core.recording import Recording
from physio.core.timing.dejitter import fit
from physio.io.channel_kinds import slug
from physio.io.stream_header import (
    StreamHeader,
    clean_xml,
    decode_xml,
    parse_xml,
    read_header,
    stream_type,
)
from physio.io.triggers import has_triggers, read_triggers, trigger_stream
from physio.io.xdf.chunks import Chunk, Tag, UnreadableError, measure
from physio.io.xdf.chunks import chunk as encode
from physio.io.xdf.valid_chunks import WIDTHS

_FORMAT: Final = re.compile("<channel_format>[^<]*")
_WIDTHS: Final = {**WIDTHS, "string": 2}  # a text has at least its length


def convert(path: Path, raw: bytes, chunks: Sequence[Chunk]) -> Recording:
    """Return the recording in a file of another program.

    Clocks are synchronized by pyxdf, but its dejittering is not used: it fits straight
    lines through losses. Instead, each regular stream is placed on its own grid
    (`physio.core.timing.dejitter.fit`), which is divided where samples are missing; the
    file's own stamps are kept. No sample is omitted, even if a footer counts fewer.
    Texts and irregular numbers become events, in the order of their times; several
    texts at once are joined by tabs. A stream of type T from a device called "Name" is
    ``"name.t"``, and ``"name.t2"`` if that name is taken. A stream without samples is
    returned as an empty stream.

    Raises
    ------
    UnreadableError
        If the content of a chunk does not match its header.
    """
    count = _check(chunks)
    participant = _participant(path)
    taken: set[str] = set()
    headers = _headers(chunks, participant, taken)
    streams, raws = _load(_with_clean_headers(raw, chunks), count)
    streams_out: dict[str, tuple[Block, ...]] = {}
    events: dict[str, Events] = {}
    warnings: list[str] = []
    for stream in streams:
        header = headers[stream["info"]["stream_id"]]
        info = header.info
        warnings += header.notes
        stamps, values = stream["time_stamps"], stream["time_series"]
        if not info.rate:
            events[info.name] = _events(header, stamps, values)
            continue
        original = np.concatenate([np.empty(0), *raws[stream["info"]["stream_id"]]])
        streams_out[info.name], messages = _blocks(header, stamps, original, values)
        warnings += messages
        if has_triggers(info):
            name = _unique(trigger_stream(info), taken)
            events[name], messages = read_triggers(streams_out[info.name], name)
            warnings += messages
    about = {
        "source": path.name,
        "participant": participant,
        "warnings": "; ".join(warnings),
    }
    known = {key: text for key, text in about.items() if text}
    return Recording(streams_out, events, (), known)


def empty_block(info: StreamInfo) -> Block:
    """Return the block of a stream without samples."""
    return Block(info, 0, 0.0, np.empty((0, len(info.channels))))


def _check(chunks: Sequence[Chunk]) -> int:
    """Return the number of chunks of samples; check the declared size of each."""
    widths: dict[int, int] = {}
    count = 0
    for chunk in chunks:
        if chunk.tag == Tag.STREAM_HEADER:
            xml = parse_xml(bytes(chunk.content))
            channels = int(xml.findtext("channel_count", ""))
            kind = _format(xml)
            if channels < 0 or kind not in _WIDTHS:
                raise UnreadableError(
                    f"the stream {xml.findtext('name')!r} has {channels} channels of "
                    f"{kind!r}"
                )
            widths[chunk.stream] = 1 + channels * _WIDTHS[kind]
        elif chunk.tag == Tag.SAMPLES:
            count += 1
            n, at = measure(chunk.content, 0)
            if chunk.stream not in widths:
                raise UnreadableError(
                    f"samples at byte {chunk.at} are of no stream that it names"
                )
            if n * widths[chunk.stream] > len(chunk.content) - at:
                raise UnreadableError(
                    f"the chunk at byte {chunk.at} cannot hold the {n} samples it says"
                )
    return count


def _load(
    raw: bytes, count: int
) -> tuple[list[dict[str, Any]], Mapping[int, list[Array]]]:
    """Return the streams, and the stamps of each from the file."""
    streams, raws = _pyxdf(raw, synchronize=True)
    if sum(map(len, raws.values())) != count:
        raise UnreadableError("it is damaged: some samples cannot be read")
    whole = {stream: sum(map(len, parts)) for stream, parts in raws.items()}
    # pyxdf takes samples away that a footer does not count, where the last measurement
    # of the clocks looks wrong. They are real: stay with the stamps as they are.
    read = {s["info"]["stream_id"]: len(s["time_stamps"]) for s in streams}
    if any(n != whole.get(stream, 0) for stream, n in read.items()):
        streams, raws = _pyxdf(raw, synchronize=False)
    return streams, raws


def _pyxdf(
    raw: bytes, *, synchronize: bool
) -> tuple[list[dict[str, Any]], Mapping[int, list[Array]]]:
    raws: dict[int, list[Array]] = defaultdict(list)

    def keep(values: Any, stamps: Array, info: Any, stream: int) -> Any:
        raws[stream].append(stamps.copy())
        return values, stamps, info

    # Problems that pyxdf logs are corrected or raised here.
    logger = logging.getLogger(pyxdf.pyxdf.__name__)
    disabled, logger.disabled = logger.disabled, True
    try:
        streams, _ = pyxdf.load_xdf(
            io.BytesIO(raw),
            on_chunk=keep,
            synchronize_clocks=synchronize,
            dejitter_timestamps=False,
        )
    finally:
        logger.disabled = disabled
    return streams, raws


def _blocks(
    header: StreamHeader, stamps: Array, original: Array, values: Array
) -> tuple[tuple[Block, ...], list[str]]:
    """Return the blocks of a stream, and warnings about its time."""
    info = header.info
    grid = fit(stamps, info.rate)
    rows = _scaled(header, values)
    on_grid = info.with_channels(grid.rate, *info.channels)
    blocks = tuple(
        Block(on_grid, run.start, run.epoch, rows[a:b], original[a:b])
        for run in grid.runs
        for a, b in [run[:2]]
    )
    messages = [f"time went back in {info.name} before sample {i}" for i in grid.back]
    if grid.rate != info.rate:
        measured = f"{float(grid.rate):.2f} Hz, not {float(info.rate):g} Hz"
        messages.append(f"{info.name} measures {measured}")
    return blocks or (empty_block(info),), messages


def _scaled(header: StreamHeader, values: Any) -> Array:
    """Return samples in the units of their channels, shape (n, channels)."""
    rows = np.asarray(values, np.float64).reshape(-1, len(header.info.channels))
    return np.ascontiguousarray(rows * np.array(header.factors))


def _events(header: StreamHeader, stamps: Array, values: Any) -> Events:
    info = header.info
    order = np.argsort(stamps, kind="stable")
    times = np.ascontiguousarray(stamps[order], np.float64)
    labels: tuple[str, ...] = ()
    data = np.empty((len(times), 0))
    if header.text:
        labels = tuple("\t".join(values[i]) for i in order)
    elif info.channels:
        data = np.ascontiguousarray(_scaled(header, values)[order])
    until = float(times[-1]) if len(times) else -np.inf
    return Events(info, until, times, data, labels)


def _headers(
    chunks: Sequence[Chunk], participant: str, taken: set[str]
) -> dict[int, StreamHeader]:
    """Return the description of each stream; add its name to ``taken``."""
    headers: dict[int, StreamHeader] = {}
    for chunk in chunks:
        if chunk.tag != Tag.STREAM_HEADER or chunk.stream in headers:
            continue
        try:
            root = parse_xml(bytes(chunk.content))
            device = slug(root.findtext("name") or "") or "device"
            name = _unique(f"{device}.{stream_type(root)}", taken)
            headers[chunk.stream] = read_header(root, name, participant)
        except UnreadableError:
            raise
        except ValueError as error:
            raise UnreadableError(str(error)) from None
    return headers


def _with_clean_headers(raw: bytes, chunks: Sequence[Chunk]) -> bytes:
    """Return the file with descriptions that pyxdf's parser of XML accepts."""
    parts, done = [], 0
    for current, following in zip(chunks, [*chunks[1:], None], strict=True):
        if current.tag != Tag.STREAM_HEADER:
            continue
        text = decode_xml(bytes(current.content))
        cleaned = _FORMAT.sub(lambda match: match[0].lower(), clean_xml(text))
        if cleaned.encode() != bytes(current.content):
            parts += [
                raw[done : current.at],
                encode(Tag.STREAM_HEADER, cleaned.encode(), current.stream),
            ]
            done = following.at if following else len(raw)
    return b"".join([*parts, raw[done:]]) if parts else raw


def _format(xml: ElementTree.Element) -> str:
    """Return the format of the samples; some programs write ``Float32``."""
    return xml.findtext("channel_format", "").strip().lower()


def _unique(name: str, taken: set[str]) -> str:
    """Return ``name``, followed by the first free number if it is taken."""
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}{number}"
    taken.add(candidate)
    return candidate


def _participant(path: Path) -> str:
    """Return the participant's code from a BIDS file name."""
    match = re.match("sub-([A-Za-z0-9]+)_", path.name)
    return match[1] if match else ""
