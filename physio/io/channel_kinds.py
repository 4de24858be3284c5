"""Kinds of channels and streams, by declared type, label and unit."""

import re
import unicodedata
from typing import Final, NamedTuple

from physio.io.units import NEUTRAL, quantity


class StreamKind(NamedTuple):
    """Name of a stream of a type, and the kind and usual unit of its channels."""

    name: str
    kind: str
    unit: str


class ChannelKind(NamedTuple):
    """Kind of a channel as in `physio.core.block.Channel`, and its usual unit."""

    kind: str
    unit: str


_EEG: Final = StreamKind("eeg", "eeg", "uV")
_ECG: Final = StreamKind("ecg", "ecg", "uV")
_EDA: Final = StreamKind("eda", "gsr", "uS")
_ACC: Final = StreamKind("acc", "misc", "g")
_GYRO: Final = StreamKind("gyro", "misc", "deg/s")
_MOTION: Final = StreamKind("motion", "misc", "1")
_RESP: Final = StreamKind("resp", "resp", "1")
_TEMP: Final = StreamKind("temp", "temperature", "degC")
_MARKERS: Final = StreamKind("markers", "stim", "1")

STREAM_TYPES: Final = {
    "eeg": _EEG,
    "exg": _EEG,
    "ecg": _ECG,
    "ekg": _ECG,
    "emg": StreamKind("emg", "emg", "uV"),
    "eog": StreamKind("eog", "eog", "uV"),
    "gsr": _EDA,
    "eda": _EDA,
    "ppg": StreamKind("ppg", "bio", "1"),
    "bvp": StreamKind("bvp", "bio", "1"),
    "bio": StreamKind("bio", "bio", "1"),
    "acc": _ACC,
    "accel": _ACC,
    "accelerometer": _ACC,
    "gyr": _GYRO,
    "gyro": _GYRO,
    "gyroscope": _GYRO,
    **dict.fromkeys(("motion", "orn", "orientation", "accgyro", "imu"), _MOTION),
    "optics": StreamKind("ppg", "bio", "1"),
    "resp": _RESP,
    "respiration": _RESP,
    "rsp": _RESP,
    "temp": _TEMP,
    "temperature": _TEMP,
    "skt": _TEMP,
    "markers": _MARKERS,
    "stim": _MARKERS,
    "event": _MARKERS,
    "events": _MARKERS,
}
"""Types of streams and channels that LSL's documentation and devices use."""

UNITS: Final = {
    "eeg": "uV",
    "ecg": "uV",
    "emg": "uV",
    "eog": "uV",
    "gsr": "uS",
    "temperature": "degC",
}
"""Usual unit of a kind, if any."""

_CHANNEL_TYPES: Final = {
    **{key: ChannelKind(*kind[1:]) for key, kind in STREAM_TYPES.items()},
    **dict.fromkeys(("trigger", "trig", "marker", "status"), ChannelKind("stim", "1")),
    **dict.fromkeys(
        ("misc", "ref", "reference", "gnd", "ground", "aux", "counter", "battery"),
        ChannelKind("misc", "1"),
    ),
    **dict.fromkeys(
        ("timestamp", "time", "quality", "validation", "other", "syst"),
        ChannelKind("misc", "1"),
    ),
    "heog": ChannelKind("eog", "uV"),
    "veog": ChannelKind("eog", "uV"),
    "pulse": ChannelKind("bio", "1"),
}
"""Types that a description declares for single channels."""

_HELPERS: Final = (
    (
        "stim",
        r"status( ?word)?|trig(ger)?s?( ?in| ?codes?)?( ?\d+)?|trg|sti ?\d+"
        r"|stim(ul(us|i|ation))?s?( ?(channel|code|type|begin))?( ?\d+)?"
        r"|(hardware|software)? ?markers?( ?(hardware|software|value( ?int)?|\d+))?"
        r"|events?( ?(codes?|ids?|markers?))?|(ttl|din|lpt|digital ?in(put)?) ?\d*"
        r"|parallel ?port",
    ),
    (
        "misc",
        r"counter|cnt|(sample|packet) ?(counter|count|number|index|id)|interpolated?"
        r"|(raw ?|chan ?)?cq( .*)?|(eq|pow) .*|high ?bit ?flex|saturation ?flag"
        r"|marker ?(index|type)"
        r"|.*time ?stamp.*|bat(t|tery)?( ?percent| .*)?|val(idation)?( .*)?|sync"
        r"|annotations?",
    ),
)
"""Labels of helper columns, also among electrodes."""

_MOVEMENT: Final = (
    "misc",
    r"(gyro?|acc|accel|mag)(eleration|erometer|netometer|scope)? ?[xyz1-3]"
    r"|q[0-3]|mot .*",
)
"""Labels of movement channels, also among electrodes."""

_MOVEMENT_UNITS: Final = {"a": "g", "g": "deg/s"}
"""Usual unit of a movement channel by the first letter of its label."""

_LABELS: Final = (
    (
        "misc",
        r"s[pa] ?o ?2.*|o(x )?(sat|stat)|hr|heart ?rate.*|pr|pulse ?rate.*|et ?co2.*"
        r"|co2|pos(ition)?|body( ?pos.*)?|lights?( .*)?|snor.*|mic(rophone)?|dc ?\d+"
        r"|[cb]i?pap.*|ibi|rr",
    ),
    (
        "gsr",
        r"gsr.*|eda( ?\d| .*)?|sc[lr]?( ?\d| .*)?|skin ?(cond|res|pot).*"
        r"|electrodermal.*",
    ),
    ("bio", r"pleth.*|ppg.*|bvp.*|blood volume.*|pulse( wave.*)?"),
    ("ecg", r"(.* )?e[ck]g.*"),
    ("eog", r"(.* )?[lrvh]?eog.*|[lr]oc( .*)?|e[12] [ma][12]"),
    ("emg", r"(.* )?[lr]?emg.*|chin.*|sub ?ment.*|[lr]at"),
    (
        "emg",
        r"((left|right|[lr]) )?leg( .*)?|tib.*|masseter.*|corrug.*|zygo.*|trapez.*",
    ),
    ("temperature", r"temp(erature)?( ?\d+| .*)?|skt.*|skin ?temp.*|t ?skin"),
    ("resp", r"resp.*|rsp.*|rip( .*)?|thor.*|abd.*|chest|air ?flow.*|flow.*|nasal.*"),
    ("resp", r"cannula.*|breath.*|effort.*|rib ?cage"),
)
"""Labels of signals other than EEG on polysomnographs and biofeedback devices."""

_AUX: Final = r"(left|right) ?aux|aux ?(left|right)( ?\d)?"
"""Labels of the extra inputs of a Muse."""

_BY_QUANTITY: Final = {
    "S": "gsr",
    "degC": "temperature",
    "degF": "temperature",
    "K": "temperature",
}
_VOLTAGES: Final = frozenset({"eeg", "ecg", "emg", "eog"})


def stream_kind(stream_type: str) -> StreamKind:
    """Return name, kind and usual unit of a stream by its LSL type."""
    known = STREAM_TYPES.get(stream_type.strip().lower())
    return known or StreamKind(slug(stream_type) or "signal", "misc", "1")


def channel_kind(
    label: str, unit: str, declared: str = "", default: ChannelKind | None = None
) -> ChannelKind:
    """Return kind and usual unit of a channel.

    Parameters
    ----------
    label, unit
        As in the description.
    declared
        Type that the description declares for this channel, if any.
    default
        Kind from the type of the stream; EEG for formats that declare all channels EEG.

    Notes
    -----
    Columns of counters, times, triggers and batteries are never electrodes, even if a
    device declares them as such, nor are channels whose unit is not a voltage. A
    declared type has the next priority. Otherwise labels, and then units, identify
    other signals among EEG channels. The extra input of a Muse is no electrode of the
    montage, whatever is declared.
    """
    default = default or ChannelKind("misc", "1")
    key = _key(label)
    type_kind = _CHANNEL_TYPES.get(declared.strip().lower())
    if (type_kind or default).kind in ("eeg", "misc"):
        stated = type_kind or default
        for kind, pattern in _HELPERS:
            if re.fullmatch(pattern, key):
                return stated if kind == stated.kind else ChannelKind(kind, "1")
        kind, pattern = _MOVEMENT
        if re.fullmatch(pattern, key):
            usual = _MOVEMENT_UNITS.get(key[0], "")
            if usual and quantity(unit) == usual:
                return ChannelKind(kind, usual)
            return stated if kind == stated.kind else ChannelKind(kind, "1")
        if stated.kind == "eeg" and re.fullmatch(_AUX, key):
            return ChannelKind("misc", "uV")
    measured = quantity(unit)
    contradicted = measured not in ("", "V", *NEUTRAL)
    if type_kind is not None:
        if type_kind.kind != "eeg" or not contradicted:
            return type_kind
        kind = _BY_QUANTITY.get(measured, "misc")
        return ChannelKind(kind, UNITS.get(kind, "1"))
    kind = default.kind
    if kind == "eeg" or default == ChannelKind("misc", "1"):
        kind = next((k for k, p in _LABELS if re.fullmatch(p, key)), kind)
    if kind in _VOLTAGES and contradicted:
        kind = _BY_QUANTITY.get(measured, "misc") if kind == "eeg" else "misc"
    if kind == default.kind:
        return default
    return ChannelKind(kind, UNITS.get(kind, "1"))


def is_helper(label: str) -> bool:
    """Return whether a label is that of a helper column, as a counter or battery."""
    return any(re.fullmatch(pattern, _key(label)) for _, pattern in _HELPERS)


def slug(text: str) -> str:
    """Return a text in lower-case ASCII letters and digits, joined by ``_``."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return "_".join(re.findall("[a-z0-9]+", ascii_text.lower()))[:64]


def _key(label: str) -> str:
    """Return a label for comparison: lower case, single blanks, no reference.

    A prefix ``EEG`` is removed, as of ``EEG.Counter``, and that of an analog input.
    """
    key = " ".join(re.split(r"[\s_.\-/:]+", label[:200].lower())).strip()
    return re.sub(rf"^eeg |^a[1-6] (?={_SENSORS})| (ref|le|ar|avg)$", "", key)


_SENSORS: Final = r"(?:ecg|eda|gsr|emg|eog|eeg|ppg|bvp|rsp|pzt|resp|temp|acc)\b"
"""Sensors on the analog inputs of a BITalino, ``A3_EDA``."""
