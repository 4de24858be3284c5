"""Descriptions of LSL streams from a network or an XDF file."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple
from xml.etree import ElementTree

from physio.core.block import Channel, Origin, StreamInfo
from physio.core.stream_codec import from_dict
from physio.io.channel_kinds import ChannelKind, channel_kind, stream_kind
from physio.io.montage import with_references
from physio.io.units import LONGEST, NEUTRAL, read_unit, unit_note

MOST_CHANNELS: Final = 100_000
"""Maximum number of channels of a stream."""

_NO_XML: Final = re.compile(
    "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # XML 1.0, section 2.2
)
_REFERENCE: Final = re.compile(r"&#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}));")
_AMPERSAND: Final = re.compile(
    r"&(?!(?:amp|lt|gt|quot|apos|#x[0-9a-fA-F]{1,6}|#[0-9]{1,7});)"
)
_AXIS: Final = r"(?:{0})?[ _.\-]*([xyz])"
_AXES: Final = {
    "acc": _AXIS.format("acc(?:el(?:erometer|eration)?)?"),
    "gyro": _AXIS.format("gyro?(?:scope)?"),
}

_PREFIXED: Final = re.compile(
    r"(acc|gyro?)(?:el(?:erometer|eration)?|scope)?[ _.\-]*([xyz])"
)
"""Labels of the axes of a stream of movement, ``ACCX``, which name their sensor."""

_COMPUTED: Final = re.compile(
    r"(?:contact|eeg)[ _-]?quality|band[ _-]?power|performance[ _-]?metrics"
)
"""Streams of values that a program computed of each electrode, as EmotivPRO's."""

_MOVEMENT_SENDERS: Final = re.compile(r"EmotivDataStream|Muse_ACCGYRO")
"""Senders of acceleration in g and rotation in deg/s that may state no unit."""

_UNICORN_SERIAL: Final = re.compile(r"UN-\d{4}\.\d\d\.\d\d")
_UNICORN_CAP: Final = ("Fz", "C3", "Cz", "C4", "Pz", "PO7", "Oz", "PO8")
_UNICORN: Final = (
    *((name, "uV", "EEG") for name in _UNICORN_CAP),
    *((f"ACC {axis}", "g", "ACC") for axis in "XYZ"),
    *((f"GYR {axis}", "deg/s", "GYRO") for axis in "XYZ"),
    *(("Battery", "%", "MISC"), ("Counter", "", "MISC"), ("Validation", "", "MISC")),
)
"""Label, unit and type of the columns of a Unicorn, as g.tec's manual lists them."""


@dataclass(frozen=True)
class StreamHeader:
    """Description of a stream.

    Parameters
    ----------
    info
        The stream in the session; events have rate 0.
    factors
        Factor that converts each channel to its unit; empty for texts.
    text
        True if the samples are texts, as in marker streams.
    notes
        Notes on properties that the description does not state.
    unitless
        Names of the EEG channels without a unit.
    """

    info: StreamInfo
    factors: tuple[float, ...]
    text: bool
    notes: tuple[str, ...] = ()
    unitless: tuple[str, ...] = ()


def clean_xml(text: str) -> str:
    """Return XML without characters that a parser refuses.

    Some programs write labels without escaping them. Control characters are removed,
    and an ``&`` that begins no reference is escaped.
    """
    text = _REFERENCE.sub(_resolved, text[max(text.find("<"), 0) :])
    return _AMPERSAND.sub("&amp;", _NO_XML.sub("", text))


def decode_xml(xml: bytes) -> str:
    """Return the text of a description in UTF-8 or, from some programs, Latin-1."""
    try:
        return xml.decode("utf-8")
    except UnicodeDecodeError:
        return xml.decode("latin-1")


def parse_xml(xml: str | bytes) -> ElementTree.Element:
    """Return the root of a description.

    Raises
    ------
    ValueError
        If the text is not XML.
    """
    text = xml if isinstance(xml, str) else decode_xml(xml)
    try:
        return ElementTree.fromstring(clean_xml(text))
    except ElementTree.ParseError as error:
        raise ValueError(f"the description of a stream is no XML: {error}") from None


def stream_type(root: ElementTree.Element) -> str:
    """Return the last part of a stream's name, by its type: ``eeg``, ``acc``."""
    return stream_kind(_text(root, "type")).name


def read_header(
    root: ElementTree.Element, name: str, participant: str = ""
) -> StreamHeader:
    """Return the description of a stream, live and from a file alike.

    Names of channels come from ``label`` or ``name``, kind and unit from ``type``,
    label and ``unit``, if present; otherwise from the stream's type. Without a unit,
    the usual one of the kind is assumed, and `StreamHeader.notes` reports it. An
    unknown unit is unchanged, and values are not scaled.

    Parameters
    ----------
    root
        Root of the XML: see `parse_xml`.
    name, participant
        Name of the stream in the session, and code of the participant.

    Raises
    ------
    ValueError
        If the rate or the number of channels is invalid.
    """
    text = _text(root, "channel_format").lower() == "string"
    rate = _rate(_text(root, "nominal_srate"), name)
    n = _count(_text(root, "channel_count"), name)
    part, *usual = stream_kind(_text(root, "type"))
    default = ChannelKind(*usual)
    elements = [*root.findall("desc/channels/channel"), *root.findall("desc/channel")]
    layout_note = ""
    if _is_computed(root):
        default = ChannelKind("misc", "1")
        elements = [_described(_channel_label(e), "1", "MISC") for e in elements]
    elif _MOVEMENT_SENDERS.match(_text(root, "name")):
        elements = [_with_movement_unit(e) for e in elements]
    layout = {17: _UNICORN, 8: _UNICORN[:8] if part == "eeg" else ()}.get(n, ())
    if not elements and layout and _is_unicorn(root):
        elements = [_described(*row) for row in layout]
        layout_note = (
            f"{name} describes no channels: as its sender is a Unicorn, they are taken "
            f"as {', '.join(label for label, *_ in layout)} (if electrodes are "
            "elsewhere, rename them in a table [channels])"
        )
    described = _read_channels(elements, _names(elements, part, n), default)
    info = StreamInfo(
        name,
        Fraction(0) if text else rate,
        () if text else tuple(described.channels),
        _origin(_text(root, "desc/origin")),
        participant,
        reference=_label(_text(root, "desc/reference/label")),
    )
    info = with_references(info)
    if (exact := _exact(root, info)) is not None:
        return StreamHeader(exact, (1.0,) * len(exact.channels), text)
    if text:
        return StreamHeader(info, (), text)
    notes = [unit_note(name, *key, names) for key, names in described.units.items()]
    return StreamHeader(
        info,
        tuple(described.factors),
        text,
        tuple(filter(None, [layout_note, *notes])),
        tuple(described.unitless),
    )


class _Channels(NamedTuple):
    """Channels, their factors, labels by unit and usual unit, and EEG without one."""

    channels: list[Channel]
    factors: list[float]
    units: dict[tuple[str, str], list[str]]
    unitless: list[str]


def _read_channels(
    elements: Sequence[ElementTree.Element], labels: Sequence[str], default: ChannelKind
) -> _Channels:
    """Return the channels that the elements of a description describe."""
    read = _Channels([], [], {}, [])
    for i, label in enumerate(labels):
        element = elements[i] if i < len(elements) else ElementTree.Element("channel")
        unit_text = _text(element, "unit")
        kind = channel_kind(label, unit_text, _text(element, "type"), default)
        unit, factor, assumed = read_unit(unit_text, kind.unit)
        if kind.kind == "stim":
            unit, factor = "1", 1.0
        read.channels.append(Channel(label, kind.kind, unit))
        read.factors.append(factor)
        read.units.setdefault((unit_text, kind.unit), []).append(label)
        if assumed and kind.kind == "eeg":
            read.unitless.append(label)
    return read


def unique(names: Iterable[str]) -> list[str]:
    """Return distinct names: a second ``Fz`` is ``Fz#2``."""
    taken: set[str] = set()
    last: dict[str, int] = {}
    result = []
    for name in names:
        candidate, number = name, last.get(name, 1)
        while candidate in taken:
            number += 1
            candidate = f"{name}#{number}"
        last[name] = number
        taken.add(candidate)
        result.append(candidate)
    return result


def _exact(root: ElementTree.Element, info: StreamInfo) -> StreamInfo | None:
    """Return the description that an outlet of this package sends, or None.

    Name, participant and rate are set by the receiver: the sender's stream name and
    participant code are not used, and its ticks can be late.
    """
    try:
        table = json.loads(_text(root, "desc/physio/stream"))
        table |= {"name": info.name, "rate": str(info.rate)}
        exact = from_dict(table | {"participant": info.participant})
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return exact if len(exact.channels) == len(info.channels) else None


def _is_unicorn(root: ElementTree.Element) -> bool:
    """Return whether a stream without a description is that of g.tec's Unicorn.

    Its stream is named freely, or like its serial number, ``UN-2019.05.51``, which is
    the source_id in any case.
    """
    if _text(root, "channel_format").lower() == "string":
        return False
    named = "unicorn" in _text(root, "name").lower()
    names = (_text(root, "name"), _text(root, "source_id"))
    return named or any(map(_UNICORN_SERIAL.match, names))


def _is_computed(root: ElementTree.Element) -> bool:
    """Return whether a stream holds computed values, whatever its channels declare."""
    names = (_text(root, "name").lower(), _text(root, "type").lower())
    return any(map(_COMPUTED.search, names))


def _with_movement_unit(element: ElementTree.Element) -> ElementTree.Element:
    """Return the description of a channel; if it has no unit, with its sensor's."""
    label = _channel_label(element)
    match = _PREFIXED.fullmatch(label.lower())
    stated = read_unit(_text(element, "unit"), "1")
    if match is None or stated.unit not in NEUTRAL:
        return element
    unit = "g" if match[1] == "acc" else "deg/s"
    return _described(label, unit, _text(element, "type"))


def _channel_label(element: ElementTree.Element) -> str:
    return _label(_text(element, "label") or _text(element, "name"))


def _described(label: str, unit: str, kind: str) -> ElementTree.Element:
    element = ElementTree.Element("channel")
    for key, text in (("label", label), ("unit", unit), ("type", kind)):
        ElementTree.SubElement(element, key).text = text
    return element


def _names(elements: Sequence[ElementTree.Element], part: str, n: int) -> list[str]:
    """Return the name of each channel; generic where the description has none."""
    labels = [_channel_label(e) for e in elements[:n]]
    labels += [""] * (n - len(labels))
    names = [
        label or d for label, d in zip(labels, _default_names(part, n), strict=True)
    ]
    if (pattern := _AXES.get(part)) is not None:  # "ACC_X", "x", "AccelX"
        names = [
            f"{part}.{match[1]}" if (match := re.fullmatch(pattern, x.lower())) else x
            for x in names
        ]
    elif part == "motion":
        names = [_axis(name) for name in names]
    return unique(names)


def _axis(name: str) -> str:
    """Return ``acc.x`` for ``ACCX``; other names unchanged."""
    if match := _PREFIXED.fullmatch(name.lower()):
        return f"{'acc' if match[1] == 'acc' else 'gyro'}.{match[2]}"
    return name


def _default_names(part: str, n: int) -> Sequence[str]:
    if n == 1:
        return [part]
    if part in _AXES and n == 3:
        return [f"{part}.{axis}" for axis in "xyz"]
    return [f"{part}{i + 1}" for i in range(n)]


def _rate(text: str, name: str) -> Fraction:
    """Return a nominal rate (Hz), 0 for none."""
    try:
        value = float(text or "0")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"the rate of {name} is no number: {text[:LONGEST]!r}")
    return max(Fraction(0), Fraction(value).limit_denominator(10**6))


def _count(text: str, name: str) -> int:
    """Return the number of channels."""
    number = int(text) if re.fullmatch(r"\d{1,9}", text) else 1 if not text else -1
    if not 0 <= number <= MOST_CHANNELS:
        raise ValueError(
            f"{name} declares {text[:LONGEST]!r} channels; a stream has at most "
            f"{MOST_CHANNELS}"
        )
    return number


def _origin(text: str) -> Origin:
    return Origin(text) if text in set(Origin) else Origin.MEASURED


def _label(text: str) -> str:
    """Return a label on one line, shortened for tables."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return (
        text
        if len(text) <= LONGEST
        else f"{text[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
    )


def _resolved(reference: re.Match[str]) -> str:
    """Return a numeric reference, or an empty text if XML forbids its character."""
    code = int(reference[1], 16) if reference[1] else int(reference[2])
    allowed = code <= 0x10FFFF and not _NO_XML.fullmatch(chr(code))
    return reference[0] if allowed else ""


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()
