"""Stream descriptions to and from the XML of XDF headers, without loss."""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple
from xml.etree import ElementTree as ET

from physio.core.affect import DIMENSIONS
from physio.core.block import Channel, StreamInfo
from physio.core.recording import STREAM_REJECTED, STREAM_TIMEOUT
from physio.core.stream_codec import from_dict, to_dict
from physio.io.xdf.chunks import UnreadableError

TIMELINE: Final = "session.timeline"
"""Name of the stream with the order in which the other streams were written."""

ENTRY: Final = ("stream", "start", "n", "epoch", "arrived", "beside")
"""Its channels: number of the stream in the file; the first sample or event; how many;
`Block.epoch` or `Events.until`; 1 if it came from outside, 0 if it was computed; 1 if
the block has stamps, or the events have labels."""

CHECKS: Final = "session.checks"
"""Name of the stream of checksums: see `physio.io.xdf.checksums`."""

CHECK: Final = ("at", "size", "crc32")
"""Its channels: first byte of the record in the file; its bytes; the checksum."""

_TYPES: Final = {
    "eeg": "EEG",
    "eog": "EOG",
    "emg": "EMG",
    "ecg": "ECG",
    "resp": "Respiration",
    "gsr": "GSR",
    "temperature": "Temperature",
    "bio": "PPG",
    "stim": "Stim",
}
_UNITS: Final = {
    "uV": "microvolts",
    "mV": "millivolts",
    "V": "volts",
    "uS": "-6",  # a power of ten of the SI unit: MNE-LSL has no name for it
    "1": "none",  # which it would take for a factor of ten
    "degC": "celsius",
    "s": "seconds",
    "ms": "milliseconds",
}
# Names in files of version 0.1, which can still be read.
_FIELDS_0_1: Final = {"person": "participant", "span": "memory"}
_STREAMS_0_1: Final = {
    "session.silence": STREAM_TIMEOUT,
    "session.refusal": STREAM_REJECTED,
}
_NO_XML: Final = re.compile(
    "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # XML 1.0, section 2.2
)


class Part(StrEnum):
    """Role of a stream of the file in the recording."""

    TIMELINE = "timeline"
    BLOCKS = "blocks"
    STAMPS = "stamps"  # the device's own time of each sample of another stream
    EVENTS = "events"  # the text of each event
    DATA = "data"  # the numbers of each event of another stream
    CHECKS = "checks"


class Header(NamedTuple):
    """Header of a stream written by `Writer`: its role, and the related stream."""

    part: Part
    info: StreamInfo
    of: int


def write_file_header(about: Mapping[str, str], writer: str) -> bytes:
    """Return the XML of a file header."""
    root = ET.Element("info")
    _add(root, "version", "1.0")
    if about.get("began"):
        _add(root, "datetime", about["began"])
    _add(root, "writer", writer)
    _add(ET.SubElement(root, "physio"), "about", json.dumps(dict(about)))
    return _bytes(root)


def read_file_header(xml: bytes) -> dict[str, str] | None:
    """Return the metadata of a recording, or None for a file of another program."""
    about = ET.fromstring(xml).findtext("physio/about")
    return None if about is None else _about(about)


def _about(text: str) -> dict[str, str]:
    about: dict[str, str] = json.loads(text)
    return {_FIELDS_0_1.get(key, key): value for key, value in about.items()}


def write_header(header: Header) -> bytes:
    """Return the XML of a stream header."""
    part, info, _ = header
    root = ET.Element("info")
    suffix = f".{part}" if part in {Part.STAMPS, Part.DATA} else ""
    columns = {
        Part.TIMELINE: tuple(Channel(name) for name in ENTRY),
        Part.CHECKS: tuple(Channel(name) for name in CHECK),
        Part.STAMPS: (Channel("stamp", unit="s"),),
        Part.EVENTS: (Channel("label"),),
    }.get(part, info.channels)
    text = part == Part.EVENTS
    regular = part in {Part.BLOCKS, Part.STAMPS}
    _add(root, "name", info.name + suffix)
    _add(root, "type", "Markers" if text else _type(part, info))
    _add(root, "channel_count", str(len(columns)))
    _add(root, "nominal_srate", repr(float(info.rate)) if regular else "0")
    _add(root, "channel_format", "string" if text else "double64")
    _add(root, "version", "1.0")
    _add(root, "source_id", f"physio-affect:{info.name}{suffix}")
    desc = ET.SubElement(root, "desc")
    # Lost samples are left out and every sample has its time: readers that smooth time
    # stamps must not draw one line through the gaps.
    _add(ET.SubElement(desc, "synchronization"), "can_drop_samples", "true")
    channels = ET.SubElement(desc, "channels")
    for column in columns:
        element = ET.SubElement(channels, "channel")
        _add(element, "label", column.name)
        _add(element, "type", column.kind)
        _add(element, "unit", _UNITS.get(column.unit, column.unit))
    _add(desc, "reference", info.reference)
    _add_description(ET.SubElement(desc, "physio"), header)
    return _bytes(root)


def read_header(xml: bytes) -> Header:
    """Return the content of a header from `write_header`.

    Raises
    ------
    ValueError, KeyError, TypeError, xml.etree.ElementTree.ParseError
        If the text is not such a header.
    """
    root = ET.fromstring(xml)
    ours = root.find("desc/physio")
    if ours is None:  # a footer has it too
        ours = root.find("physio")
    if ours is None:
        raise UnreadableError("the header of a stream does not say what it is")
    table = json.loads(ours.findtext("stream", ""))
    part = Part(ours.findtext("part", ""))
    return Header(part, from_dict(_from_0_1(table)), int(ours.findtext("of", "")))


class Footer(NamedTuple):
    """Footer of the timeline: how the recording ended, and its metadata.

    ``warnings`` names the data that a repair could not recover.
    """

    ended: str
    about: dict[str, str]
    warnings: str = ""


def write_footer(
    count: int, first: float, last: float, header: Header, footer: Footer | None = None
) -> bytes:
    """Return the XML of a stream footer.

    It repeats the headers of the stream and of the file, in case these are damaged.
    """
    root = ET.Element("info")
    _add(root, "first_timestamp", repr(first))
    _add(root, "last_timestamp", repr(last))
    _add(root, "sample_count", str(count))
    ours = ET.SubElement(root, "physio")
    _add_description(ours, header)
    for key, value in (footer._asdict() if footer else {}).items():
        _add(ours, key, json.dumps(value))
    return _bytes(root)


def read_footer(xml: bytes) -> Footer | None:
    """Return the footer's content, or None if it is not that of the timeline."""
    ours = ET.fromstring(xml).find("physio")
    if ours is None or (ended := ours.findtext("ended")) is None:
        return None
    about = _about(ours.findtext("about", "{}"))
    return Footer(json.loads(ended), about, json.loads(ours.findtext("warnings", '""')))


def _type(part: Part, info: StreamInfo) -> str:
    """Return the content type of a stream, in the vocabulary of LSL."""
    if part != Part.BLOCKS:
        capitalized = {Part.TIMELINE, Part.STAMPS, Part.CHECKS}
        return part.capitalize() if part in capitalized else "Misc"
    kinds = {channel.kind for channel in info.channels}
    if len(kinds) == 1 and (known := _TYPES.get(min(kinds))):
        return known
    if set(DIMENSIONS) & {n.split(".")[0] for n in info.names}:
        return "Affect"
    return (
        "Accelerometer" if all(n.startswith("acc.") for n in info.names) else "Features"
    )


def _from_0_1(table: dict[str, Any]) -> dict[str, Any]:
    """Return a stream's description with the present names of fields and streams."""
    fields = {_FIELDS_0_1.get(key, key): value for key, value in table.items()}
    fields["name"] = _STREAMS_0_1.get(fields["name"], fields["name"])
    fields["channels"] = [
        {_FIELDS_0_1.get(key, key): value for key, value in channel.items()}
        for channel in fields["channels"]
    ]
    return fields


def _add_description(parent: ET.Element, header: Header) -> None:
    """Add the exact description of a stream."""
    _add(parent, "part", header.part)
    _add(parent, "of", str(header.of))
    _add(parent, "stream", json.dumps(to_dict(header.info)))


def _add(parent: ET.Element, tag: str, text: str) -> None:
    """Add an element; characters that XML cannot hold are replaced."""
    ET.SubElement(parent, tag).text = _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _bytes(root: ET.Element) -> bytes:
    return b'<?xml version="1.0"?>' + ET.tostring(root, "utf-8", xml_declaration=False)
