"""Parser of the XML description of an LSL stream."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from unicodedata import normalize
from xml.etree import ElementTree

from physio.core.block import Channel, Origin, StreamInfo
from physio.core.stream_codec import from_dict

# LSL's types of streams and channels: name of the stream, kind and unit.
_TYPES: dict[str, tuple[str, str, str]] = {
    "eeg": ("eeg", "eeg", "uV"),
    "ecg": ("ecg", "ecg", "uV"),
    "ekg": ("ecg", "ecg", "uV"),
    "emg": ("emg", "emg", "uV"),
    "eog": ("eog", "eog", "uV"),
    "exg": ("eeg", "eeg", "uV"),
    "gsr": ("eda", "gsr", "uS"),
    "eda": ("eda", "gsr", "uS"),
    "ppg": ("ppg", "bio", "1"),
    "bvp": ("bvp", "bio", "1"),
    "bio": ("bio", "bio", "1"),
    "acc": ("acc", "misc", "g"),
    "accelerometer": ("acc", "misc", "g"),
    "gyro": ("gyro", "misc", "deg/s"),
    "gyroscope": ("gyro", "misc", "deg/s"),
    "resp": ("resp", "resp", "1"),
    "respiration": ("resp", "resp", "1"),
    "rsp": ("resp", "resp", "1"),
    "temp": ("temp", "temperature", "degC"),
    "temperature": ("temp", "temperature", "degC"),
    "skt": ("temp", "temperature", "degC"),
    "markers": ("markers", "stim", "1"),
    "stim": ("markers", "stim", "1"),
    "event": ("markers", "stim", "1"),
    "events": ("markers", "stim", "1"),
}

# Spellings of units: unit and factor of values. A bare power of ten, as "-6", refers to
# the SI unit of the channel's kind.
_UNITS: dict[str, tuple[str, float]] = {
    "uv": ("uV", 1.0),
    "microvolt": ("uV", 1.0),
    "mv": ("uV", 1e3),
    "millivolt": ("uV", 1e3),
    "v": ("uV", 1e6),
    "volt": ("uV", 1e6),
    "us": ("uS", 1.0),
    "microsiemen": ("uS", 1.0),
    "s": ("uS", 1e6),
    "siemen": ("uS", 1e6),
    "c": ("degC", 1.0),
    "degc": ("degC", 1.0),
    "celsiu": ("degC", 1.0),
    "g": ("g", 1.0),
    "none": ("1", 1.0),
}
_SI = {"eeg", "ecg", "emg", "eog", "gsr"}  # kinds whose unit is 1e-6 of the SI unit


@dataclass(frozen=True)
class StreamDescription:
    """Description of a stream on the network.

    Parameters
    ----------
    info
        The stream in the session; events have rate 0.
    factors
        Factor that converts each channel to its unit; empty for texts.
    text
        Whether the samples are texts, as in marker streams.
    """

    info: StreamInfo
    factors: tuple[float, ...]
    text: bool


def read_description(xml: str, name: str, participant: str = "") -> StreamDescription:
    """Return the description of a stream, from its XML.

    Names of channels come from ``label``, kind and unit from ``type`` and ``unit``, if
    present; otherwise from the stream's type.

    Parameters
    ----------
    xml
        Text of pylsl's ``StreamInfo.as_xml``.
    name, participant
        Name of the device, and code of the participant who wears it.
    """
    root = ElementTree.fromstring(xml)
    stream_type = _text(root, "type")
    part, kind, unit = _TYPES.get(
        stream_type.lower(), (_plain(stream_type), "misc", "1")
    )
    text = _text(root, "channel_format") == "string"
    rate = Fraction(_text(root, "nominal_srate") or "0").limit_denominator(10**6)
    n = int(_text(root, "channel_count") or 1)
    parts = root.findall("desc/channels/channel")
    rows = [
        _channel(parts[i] if i < len(parts) else None, kind, unit) for i in range(n)
    ]
    default = _default_names(part, n)
    labels = _unique([r[0] or d for r, d in zip(rows, default, strict=True)])
    channels = tuple(
        Channel(label, r[1], r[2]) for label, r in zip(labels, rows, strict=True)
    )
    info = StreamInfo(
        f"{name}.{part}",
        Fraction(0) if text else rate,
        () if text else channels,
        _origin(_text(root, "desc/origin")),
        participant,
        reference=_text(root, "desc/reference/label"),
    )
    factors = () if text else tuple(r[3] for r in rows)
    if (exact := _exact(root, info)) is not None:
        return StreamDescription(exact, (1.0,) * len(exact.channels), text)
    return StreamDescription(info, factors, text)


def _exact(root: ElementTree.Element, info: StreamInfo) -> StreamInfo | None:
    """Return the description that an outlet of this package sends, or None.

    Name, participant and rate are the receiver's: the sender's name of the stream and
    its participant's code stay with the sender, and its ticks can come late.
    """
    try:
        table = json.loads(_text(root, "desc/physio/stream"))
        table |= {"name": info.name, "rate": str(info.rate)}
        exact = from_dict(table | {"participant": info.participant})
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return exact if len(exact.channels) == len(info.channels) else None


def _channel(
    element: ElementTree.Element | None, kind: str, unit: str
) -> tuple[str, str, str, float]:
    """Return label, kind, unit and factor of a channel."""
    if element is None:
        return "", kind, unit, 1.0
    label = _text(element, "label") or _text(element, "name")
    if (channel_type := _text(element, "type").lower()) in _TYPES:
        _, kind, unit = _TYPES[channel_type]
    unit, factor = _unit(_text(element, "unit"), kind, unit)
    return label, kind, unit, factor


def _unit(text: str, kind: str, usual: str) -> tuple[str, float]:
    """Return unit and factor of a channel; an unknown unit stays."""
    if not text:
        return usual, 1.0
    if re.fullmatch(r"[+-]?\d+", text):
        return usual, float(f"1e{int(text) + 6}") if kind in _SI else 1.0
    plain = normalize("NFKC", text).replace("\N{GREEK SMALL LETTER MU}", "u")
    key = plain.lower().replace("\N{DEGREE SIGN}", "")
    ours = _UNITS.get(key.rstrip("s") if len(key) > 2 else key, ("", 1.0))
    return ours if ours[0] == usual else (plain, 1.0)


def _default_names(part: str, n: int) -> Sequence[str]:
    if n == 1:
        return [part]
    if part in {"acc", "gyro"} and n == 3:
        return [f"{part}.{axis}" for axis in "xyz"]
    return [f"{part}{i + 1}" for i in range(n)]


def _unique(names: Sequence[str]) -> list[str]:
    """Return distinct names."""
    counts: Counter[str] = Counter()
    unique = []
    for name in names:
        counts[name] += 1
        unique.append(name if counts[name] == 1 else f"{name}#{counts[name]}")
    return unique


def _origin(text: str) -> Origin:
    return Origin(text) if text in set(Origin) else Origin.MEASURED


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "signal"


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()
