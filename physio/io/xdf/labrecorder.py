"""XDF files of other programs, such as LabRecorder, read through pyxdf."""

import io
import logging
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import numpy as np
import pyxdf

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events
from physio.core.recording import Recording
from physio.io.xdf.chunks import Chunk, Tag, UnreadableError, measure
from physio.io.xdf.dejitter import fit
from physio.io.xdf.valid_chunks import WIDTHS

_STREAMS: Final = {  # of the types that LSL knows, and that programs write
    "accelerometer": "acc",
    "eda": "eda",
    "gsr": "eda",
    "respiration": "resp",
    "temperature": "temp",
    "gyroscope": "gyro",
}
_KINDS: Final = {
    "eeg": "eeg",
    "eog": "eog",
    "emg": "emg",
    "ecg": "ecg",
    "eda": "gsr",
    "gsr": "gsr",
    "ppg": "bio",
    "bvp": "bio",
    "bio": "bio",
    "resp": "resp",
    "respiration": "resp",
    "temp": "temperature",
    "temperature": "temperature",
    "stim": "stim",
}
_UNITS: Final = {
    "microvolts": "uV",
    "microvolt": "uV",
    "uv": "uV",
    "millivolts": "mV",
    "volts": "V",
    "microsiemens": "uS",
    "us": "uS",
    "celsius": "degC",
    "c": "degC",
    "": "1",
}
_WIDTHS: Final = {**WIDTHS, "string": 2}  # a text has at least its length


def convert(path: Path, raw: bytes, chunks: Sequence[Chunk]) -> Recording:
    """Return the recording in a file of another program.

    Clocks are synchronized by pyxdf, but its dejittering is not used: it draws straight
    lines through losses. Instead each regular stream is put on its own grid
    (`physio.io.xdf.dejitter.fit`), cut where samples are missing, with the file's own
    stamps kept. No sample is left out, also where a footer counts fewer. Texts and
    irregular numbers become events, in the order of their times; several texts at once
    are joined by tabs. A stream of type T from a device called "Name" is ``"name.t"``,
    and ``"name.t2"`` if there is another. A stream without samples is there, empty.

    Raises
    ------
    UnreadableError
        If the content of a chunk does not match its header.
    """
    count = _check(chunks)
    streams, raws = _load(raw, count)
    streams_out: dict[str, tuple[Block, ...]] = {}
    events: dict[str, Events] = {}
    participant = _participant(path)
    warnings = []
    taken: set[str] = set()
    for stream in streams:
        info = _info(stream["info"], participant, taken)
        stamps, values = stream["time_stamps"], stream["time_series"]
        if _is_text(stream) or not info.rate:
            events[info.name] = _events(info, stamps, values, text=_is_text(stream))
            continue
        original = np.concatenate([np.empty(0), *raws[stream["info"]["stream_id"]]])
        streams_out[info.name], messages = _blocks(info, stamps, original, values)
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
    """Return how many chunks of samples there are, none claiming more than it holds."""
    widths: dict[int, int] = {}
    count = 0
    for chunk in chunks:
        if chunk.tag == Tag.STREAM_HEADER:
            xml = ET.fromstring(bytes(chunk.content).decode("utf-8", "replace"))
            channels = int(xml.findtext("channel_count", ""))
            kind = xml.findtext("channel_format", "")
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
    """Return the streams, and the stamps of each as they are in the file."""
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

    # What it logs, we either mend or raise.
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
    info: StreamInfo, stamps: Array, original: Array, values: Array
) -> tuple[tuple[Block, ...], list[str]]:
    """Return the blocks of a stream, and warnings about its time."""
    grid = fit(stamps, info.rate)
    rows = np.ascontiguousarray(values, np.float64).reshape(-1, len(info.channels))
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


def _events(info: StreamInfo, stamps: Array, values: Any, *, text: bool) -> Events:
    order = np.argsort(stamps, kind="stable")
    times = np.ascontiguousarray(stamps[order], np.float64)
    labels: tuple[str, ...] = ()
    data = np.empty((len(times), 0))
    if text:
        labels = tuple("\t".join(values[i]) for i in order)
    elif info.channels:
        rows = np.asarray(values, np.float64).reshape(-1, len(info.channels))
        data = np.ascontiguousarray(rows[order])
    until = float(times[-1]) if len(times) else -np.inf
    return Events(info, until, times, data, labels)


def _is_text(stream: Mapping[str, Any]) -> bool:
    return bool(stream["info"]["channel_format"][0] == "string")


def _info(header: Mapping[str, Any], participant: str, taken: set[str]) -> StreamInfo:
    """Return the description of a stream from its header; add its name to ``taken``."""
    kind = _first(header, "type").lower()
    device = _slug(_first(header, "name")) or "device"
    stream = _STREAMS.get(kind, _slug(kind)) or "stream"
    name = _unique(f"{device}.{stream}", taken)
    text = header["channel_format"][0] == "string"
    try:
        rate = Fraction(_first(header, "nominal_srate") or "0")
    except ValueError:
        raise UnreadableError(f"the rate of {name} is no number") from None
    if text or rate < 0:
        rate = Fraction(0)
    channels = () if text else tuple(_channels(header, stream))
    return StreamInfo(name, rate, channels, participant=participant)


def _channels(header: Mapping[str, Any], stream: str) -> Iterator[Channel]:
    described = list(_described(header))
    usual = _KINDS.get(_first(header, "type").lower(), "misc")
    taken: set[str] = set()
    for i in range(int(header["channel_count"][0])):
        description = described[i] if i < len(described) else {}
        label = _first(description, "label") or f"{stream}{i + 1}"
        if stream == "acc":  # "ACC_X", "x", "AccelX": one way of writing it
            label = re.sub(r"^.*([xyz])$", r"acc.\1", label.lower())
        unit = _first(description, "unit").replace("\N{MICRO SIGN}", "u").strip()
        unit = unit.replace("\N{GREEK SMALL LETTER MU}", "u")
        channel_type = _first(description, "type").lower()
        yield Channel(
            _unique(label, taken),
            _KINDS.get(channel_type, usual if not channel_type else "misc"),
            _UNITS.get(unit.lower(), unit),
        )


def _described(header: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the header's description of each channel, if it follows the convention."""
    for desc in header.get("desc", []):
        for channels in desc.get("channels", []) if isinstance(desc, Mapping) else []:
            entries = (
                channels.get("channel", []) if isinstance(channels, Mapping) else []
            )
            yield from (c if isinstance(c, Mapping) else {} for c in entries)


def _first(table: Mapping[str, Any], key: str) -> str:
    """Return the text of the first element of a name, or no text at all."""
    values = table.get(key) or [""]
    return values[0] if isinstance(values[0], str) else ""


def _unique(name: str, taken: set[str]) -> str:
    """Return ``name``, or it with the first number that is free."""
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}{number}"
    taken.add(candidate)
    return candidate


def _slug(text: str) -> str:
    """Return a text in small ASCII letters and digits, joined by ``_``."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return "_".join(re.findall("[a-z0-9]+", plain.lower()))


def _participant(path: Path) -> str:
    """Return the participant's code, where the file is named as BIDS wants it."""
    match = re.match("sub-([A-Za-z0-9]+)_", path.name)
    return match[1] if match else ""
