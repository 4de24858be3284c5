"""XDF files of other programs, such as LabRecorder, read through pyxdf."""

import io
import logging
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import numpy as np
import pyxdf

from physio.core.block import Array, Block, StreamInfo
from physio.core.events import Events
from physio.core.recording import Recording
from physio.core.timing.dejitter import SampleGrid, fit
from physio.core.timing.measured_rate import kind_note, measured_rate
from physio.core.timing.timestamps import clock_unit
from physio.io.amplitude import unit_note_by_amplitude
from physio.io.bad_spans import unbounded_note
from physio.io.channel_kinds import STREAM_TYPES, slug
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
from physio.io.xdf.clock_offsets import (
    ClockOffset,
    clock_offsets,
    clocks,
    corrected,
    plausible,
    session_span,
)
from physio.io.xdf.common_clock import common_clock
from physio.io.xdf.valid_chunks import WIDTHS

_FORMAT: Final = re.compile("<channel_format>[^<]*")
_MARKERS: Final = STREAM_TYPES["markers"]
_EXACT: Final = 2**53  # largest whole number below which each has its own float
_NONE: Final[frozenset[int]] = frozenset()
_NO_RATE: Final = "<nominal_srate>0</nominal_srate>"
_RATE: Final = re.compile(r"<nominal_srate>([^<]*)</nominal_srate>|<nominal_srate ?/>")
_WIDTHS: Final = {**WIDTHS, "string": 2}  # a text has at least its length


def convert(path: Path, raw: bytes, chunks: Sequence[Chunk]) -> Recording:
    """Return the recording in a file of another program.

    Clocks are synchronized by pyxdf, from those measurements that can be right
    (`physio.io.xdf.clock_offsets`); a stream of a clock that no measurement relates to
    the others is placed by the order of its chunks in the file. pyxdf's dejittering is
    not used: it fits straight lines through losses. Instead, each regular stream is
    placed on its own grid (`physio.core.timing.dejitter.fit`), which is divided where
    samples are missing; the file's own stamps are kept. No sample is omitted, even if a
    footer counts fewer. Texts and irregular numbers become events, in the order of
    their times; several texts at once are joined by tabs. Whether numbers are irregular
    is measured: a nominal rate of 0 may belong to a signal, and one above 0 to a few
    markers. A stream of type T from a device called "Name" is ``"name.t"``, and
    ``"name.t2"`` if that name is taken. A stream without samples is returned as an
    empty stream.

    Raises
    ------
    UnreadableError
        If the content of a chunk does not match its header.
    """
    count = _check(chunks)
    participant = _participant(path)
    taken: set[str] = set()
    headers = _headers(chunks, participant, taken)
    file = _load(raw, chunks, headers, count)
    warnings = file.notes
    streams_out: dict[str, tuple[Block, ...]] = {}
    events: dict[str, Events] = {}
    for number, stream in file.streams.items():
        header = headers[number]
        rate = (
            header.info.rate
            if header.text
            else measured_rate(stream.times, header.info)
        )
        warnings += [*header.notes, *kind_note(header.info, rate), *_text_note(header)]
        info = replace(header.info, rate=rate)
        header = replace(header, info=info)
        if not rate:
            events[info.name] = _events(header, stream.times, stream.values)
            if text := unbounded_note(events[info.name]):
                warnings.append(text)
            continue
        session = session_span(file.offsets, file.regular(headers), number)
        streams_out[info.name], messages = _blocks(header, stream, session)
        warnings += messages
        if text := _amplitude_note(header, streams_out[info.name]):
            warnings.append(text)
        if has_triggers(info):
            name = _unique(trigger_stream(info), taken)
            events[name], messages = read_triggers(streams_out[info.name], name)
            warnings += messages
    about = {
        "source": path.name,
        "participant": participant,
        "began": _date(chunks),
        "warnings": "; ".join(warnings),
    }
    known = {key: text for key, text in about.items() if text}
    return Recording(streams_out, events, (), known)


def _date(chunks: Sequence[Chunk]) -> str:
    """Return the date in the header of the file, or an empty text."""
    for chunk in chunks:
        if chunk.tag is Tag.FILE_HEADER:
            match = re.search(rb"<datetime>([^<]{1,40})</datetime>", chunk.content)
            return match[1].decode("utf-8", "replace").strip() if match else ""
    return ""


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


@dataclass
class _Stream:
    """Samples of a stream: their values, stamps in the file, and times (s)."""

    values: Any
    stamps: Array
    times: Array


@dataclass
class _Streams:
    """Streams of a file by number, their plausible clock offsets, and notes."""

    streams: dict[int, _Stream]
    offsets: Mapping[int, Sequence[ClockOffset]]
    notes: list[str]

    def regular(self, headers: Mapping[int, StreamHeader]) -> dict[int, Array]:
        """Return the times of each stream with a nominal rate."""
        return {i: s.times for i, s in self.streams.items() if headers[i].info.rate}


def _load(
    raw: bytes,
    chunks: Sequence[Chunk],
    headers: Mapping[int, StreamHeader],
    count: int,
) -> _Streams:
    """Return the streams on one clock, as far as the file relates their clocks."""
    offsets = clock_offsets(chunks)
    streams, parts = _pyxdf(_readable(raw, chunks), synchronize=_are_steady(offsets))
    if sum(map(len, parts.values())) != count:
        raise UnreadableError("it is damaged: some samples cannot be read")
    stamps = {i: np.concatenate([np.empty(0), *parts.get(i, [])]) for i in streams}
    groups = {i: plausible(o, stamps.get(i, np.empty(0))) for i, o in offsets.items()}
    if not _are_steady(offsets):
        # pyxdf is for a single clock of each stream, without outliers.
        single = {o.chunk for g in groups.values() if len(g) == 1 for o in g[0]}
        without = {o.chunk for measured in offsets.values() for o in measured} - single
        streams, _ = _pyxdf(_readable(raw, chunks, without), synchronize=True)
    # pyxdf takes samples away that a footer does not count, where the last measurement
    # of the clocks looks wrong. They are real: stay with the stamps as they are.
    times = _times(streams)
    if any(len(times[i]) != len(stamps[i]) for i in times):
        streams, _ = _pyxdf(_readable(raw, chunks), synchronize=False)
        times = _times(streams)
    times |= {i: corrected(stamps[i], g) for i, g in groups.items() if len(g) > 1}
    units = _units(stamps, headers)
    times |= {i: stamps[i] * unit for i, unit in units.items()}
    sizes = {i: [len(part) for part in parts.get(i, [])] for i in streams}
    order = [chunk.stream for chunk in chunks if chunk.tag == Tag.SAMPLES]
    times, moved = common_clock(order, sizes, times)
    loaded = {
        i: _Stream(s["time_series"], stamps[i], times[i]) for i, s in streams.items()
    }
    usable = {i: [o for group in g for o in group] for i, g in groups.items()}
    notes = _time_notes(headers, offsets, usable, units, moved)
    return _Streams(loaded, usable, notes)


def _times(streams: Mapping[int, dict[str, Any]]) -> dict[int, Array]:
    """Return the stamps of pyxdf's streams."""
    return {i: np.asarray(s["time_stamps"], np.float64) for i, s in streams.items()}


def _are_steady(offsets: Mapping[int, Sequence[ClockOffset]]) -> bool:
    """Return whether all measurements are finite, and of a single clock each."""
    measurements = (m for measured in offsets.values() for m in measured)
    single = all(len(clocks(measured)) == 1 for measured in offsets.values())
    return single and all(m.is_finite for m in measurements)


def _time_notes(
    headers: Mapping[int, StreamHeader],
    offsets: Mapping[int, Sequence[ClockOffset]],
    usable: Mapping[int, Sequence[ClockOffset]],
    units: Mapping[int, float],
    moved: Mapping[int, str],
) -> list[str]:
    """Return sentences on the corrections of the clocks."""
    names = {i: header.info.name for i, header in headers.items()}
    notes = [
        *(_offsets_note(names[i], offsets[i], usable[i]) for i in offsets),
        *(_unit_note(names[i], unit) for i, unit in units.items()),
        *(f"{names[i]} {text}" for i, text in moved.items()),
    ]
    return [note for note in notes if note]


def _offsets_note(
    name: str, measured: Sequence[ClockOffset], usable: Sequence[ClockOffset]
) -> str:
    """Return a sentence on measurements that are not used, empty if all are."""
    wrong = len(measured) - len(usable)
    if not wrong:
        return ""
    return (
        f"{wrong} of {len(measured)} measurements of the clock of {name} cannot be "
        "right and are not used"
    )


def _unit_note(name: str, unit: float) -> str:
    return f"the stamps of {name} are in units of {unit:g} s: they are read so"


def _units(
    stamps: Mapping[int, Array], headers: Mapping[int, StreamHeader]
) -> dict[int, float]:
    """Return the unit (s) for streams that are not stamped in seconds."""
    rates = {i: float(headers[i].info.rate) for i in stamps}
    units = {i: clock_unit(t, rates[i]) for i, t in stamps.items() if rates[i]}
    return {i: unit for i, unit in units.items() if unit != 1}


def _pyxdf(
    raw: bytes, *, synchronize: bool
) -> tuple[dict[int, dict[str, Any]], Mapping[int, list[Array]]]:
    """Return the streams by number, and the stamps in each of their chunks."""
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
    return {s["info"]["stream_id"]: s for s in streams}, raws


def _text_note(header: StreamHeader) -> list[str]:
    """Return a sentence if a signal comes as texts."""
    name = header.info.name
    part = name.rpartition(".")[2]
    if header.text and STREAM_TYPES.get(part, _MARKERS).kind != _MARKERS.kind:
        return [f"{name} sends its values as texts: they are events, not samples"]
    return []


def _blocks(
    header: StreamHeader, stream: _Stream, session: tuple[float, float] | None
) -> tuple[tuple[Block, ...], list[str]]:
    """Return the blocks of a stream, and warnings about its time."""
    info = header.info
    grid = fit(stream.times, info.rate, session)
    rows, stamps = _scaled(header, stream.values), stream.stamps
    if grid.order is not None:
        rows, stamps = np.ascontiguousarray(rows[grid.order]), stamps[grid.order]
    on_grid = info.with_channels(grid.rate, *info.channels)
    blocks = tuple(
        Block(on_grid, run.start, run.epoch, rows[a:b], stamps[a:b])
        for run in grid.runs
        for a, b in [run[:2]]
    )
    messages = [*_clock_notes(info.name, grid), *_rate_notes(info, grid)]
    if np.issubdtype(stream.values.dtype, np.integer) and len(stream.values):
        largest = max(abs(int(stream.values.max())), abs(int(stream.values.min())))
        if largest > _EXACT:
            messages.append(
                f"{info.name} has whole numbers up to {largest}, which are rounded: "
                f"those above {_EXACT} have no exact value here"
            )
    return blocks or (empty_block(info),), messages


def _amplitude_note(header: StreamHeader, blocks: Sequence[Block]) -> str:
    """Return a sentence on the unit of EEG without one, by its amplitude."""
    names, info = header.unitless, blocks[0].info
    columns = [i for i, name in enumerate(info.names) if name in set(names)]
    data = np.vstack([block.data[:, columns] for block in blocks])
    return unit_note_by_amplitude(info.name, names, data, float(info.rate), "uV")


def _clock_notes(name: str, grid: SampleGrid) -> list[str]:
    """Return sentences on a clock that was set, and on samples out of order."""
    notes = []
    if grid.order is not None:
        n = int((np.diff(grid.order) < 0).sum())
        notes.append(f"the samples of {name} are out of order in {n} places: sorted")
    if grid.steps:
        first = grid.steps[0]
        several = f" ({len(grid.steps)} times)" if len(grid.steps) > 1 else ""
        notes.append(
            f"the clock of {name} was set by {first.seconds:+.3f} s before sample "
            f"{first.sample}{several}: the samples after it follow directly"
        )
    return notes


def _rate_notes(info: StreamInfo, grid: SampleGrid) -> list[str]:
    if grid.rate == info.rate:
        return []
    measured = f"{float(grid.rate):.2f} Hz, not {float(info.rate):g} Hz"
    return [f"{info.name} measures {measured}"]


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


def _readable(raw: bytes, chunks: Sequence[Chunk], without: Set[int] = _NONE) -> bytes:
    """Return the file as pyxdf accepts it, without some of its chunks.

    Parameters
    ----------
    raw, chunks
        The file, and all its chunks.
    without
        Indices of the chunks that are left out.
    """
    parts, done = [], 0
    for i, current in enumerate(chunks):
        if current.tag != Tag.STREAM_HEADER and i not in without:
            continue
        parts.append(raw[done : current.at])
        done = chunks[i + 1].at if i + 1 < len(chunks) else len(raw)
        if i in without:
            continue
        text = decode_xml(bytes(current.content))
        cleaned = _RATE.sub(_rate, clean_xml(text))
        cleaned = _FORMAT.sub(lambda match: match[0].lower(), cleaned)
        if cleaned.encode() == bytes(current.content):
            parts.append(raw[current.at : done])
        else:
            parts.append(encode(Tag.STREAM_HEADER, cleaned.encode(), current.stream))
    return b"".join([*parts, raw[done:]])


def _rate(element: re.Match[str]) -> str:
    """Return a nominal rate that pyxdf can read: 0 for none."""
    return element[0] if (element[1] or "").strip() else _NO_RATE


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
