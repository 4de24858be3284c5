"""Anonymization of recordings: removal of identity, place and date."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.edits import Edits
from physio.core.events import Events
from physio.core.recording import MARKERS, RATINGS, Recording, base_name, computed
from physio.io.channel_kinds import STREAM_TYPES
from physio.io.units import quantity, read_unit

LARGEST_CODE: Final = 255
"""Largest number without a unit that an event keeps: that of a trigger of 8 bits."""

LARGEST_VALUE: Final = 1e6
"""Largest number with a unit that an event keeps; dates of clocks are larger."""

_TIMES: Final = ("end", "from", "to")
"""Columns of events that are times on the session clock."""

_WORDS: Final = frozenset(STREAM_TYPES) | frozenset((
    "a", "b", "c", "d", "q", "x", "y", "z", "red", "green", "infrared", "ir", "value",
    "ref", "reference", "le", "ar", "avg", "average", "car", "common", "linked", "pol",
    "gnd", "ground", "aux", "dc", "ch", "chan", "channel",
    "exg", "ekg", "heog", "veog", "pulse", "pleth", "spo2", "hr", "ibi", "rr",
    "sc", "scl", "scr", "phasic", "tonic", "mag", "magnetometer", "ax", "ay", "az",
    "gx", "gy", "gz", "status", "trigger", "trig", "battery", "counter", "quality",
    "photodiode", "microphone", "mic", "light", "sound", "seconds", "duration",
    "amplitude", "on", "code", "trial", "response",
    "valence", "arousal", "dominance", "sam", *_TIMES,
))  # fmt: skip
"""Words, in lower case, of which names of channels may consist."""

_MIDLINE: Final = frozenset((
    "AF", "AFF", "AFP", "C", "CCP", "CP", "CPP", "F", "FC", "FCC", "FFC", "FP", "I",
    "N", "O", "OI", "P", "PO", "POO", "PPO",
))  # fmt: skip
"""Electrodes of the midline, in upper case, without their ``Z``."""

_KNOWN_KINDS: Final = frozenset((
    "eeg", "eog", "emg", "ecg", "resp", "gsr", "temperature", "bio", "misc", "stim",
    "quality",
))  # fmt: skip

_ROLES: Final = frozenset(("conditions", "ratings", "triggers"))
"""Last parts of names of event streams that tell their meaning, and are kept."""

_KINDS = {
    "eeg": "eeg",
    "eog": "eog",
    "emg": "emg",
    "ecg": "ecg",
    "gsr": "eda",
    "bio": "pulse",
    "resp": "resp",
    "temperature": "temp",
}


def anonymize(recording: Recording, *, keep_labels: bool = False) -> Recording:
    """Return a recording without identity, place, date and name of the device.

    Streams are named by their signal (``device1.eeg``) or the role of their events
    (``device1.conditions``), participants ``anon1``, ``anon2`` ... in the order of
    their streams. Time begins at 0. The metadata of the recording, sites and
    placements, the devices' own stamps (they may be dates) and the events of the
    session are removed. The texts of events are replaced by numbers,
    because a marker may hold a name, unless ``keep_labels`` is True. Units and names of
    channels that are not of the field, as free text, are replaced; so are numbers of
    events that may be dates or identifiers: those above 255 without a unit, and above
    1e6 with one. Equal numbers stay equal. A channel of dates begins at 0. All other
    values and intervals of time are unchanged. Physiological signals can identify a
    participant by themselves: such data remain personal.
    """
    begin = recording.begin
    names = _Names()
    for blocks in recording.streams.values():
        names.add_channels(blocks[0].info)
    streams, events = {}, {}
    for blocks in recording.streams.values():
        info = names.info(blocks[0].info)
        zeros = {} if computed(blocks[0].info.name) else _zeros(blocks)
        streams[info.name] = tuple(
            Block(
                info.with_channels(b.info.rate, *names.channels(b.info)),
                b.start,
                b.t0 - begin,
                b.data - [zeros.get(name, 0.0) for name in b.info.names],
            )
            for b in blocks
        )
    for name, happened in recording.events.items():
        if not _stays(name):
            continue
        names.add_channels(happened.info)
        info = names.info(happened.info)
        labels = happened.labels if keep_labels else _numbered(happened.labels)
        events[info.name] = Events(
            info,
            happened.complete_until - begin,
            np.asarray(happened.times) - begin,
            _numbers(happened, begin),
            labels,
        )
    return Recording(streams, events, (), {"begin": "0.0"})


def anonymize_edits(edits: Edits, recording: Recording, anonymised: Recording) -> Edits:
    """Return edits by eye under the names of the anonymised recording.

    Reasons and dates are removed, and the code of the rater is ``rater1``. Edits of
    streams or channels that the recording lacks are left out.

    Parameters
    ----------
    edits
        The edits, on the clock of the anonymised recording.
    recording
        The recording that was edited.
    anonymised
        The same after `anonymize`.
    """
    before = [b[0].info for b in recording.streams.values()]
    before += [e.info for name, e in recording.events.items() if _stays(name)]
    after = [b[0].info for b in anonymised.streams.values()]
    after += [e.info for e in anonymised.events.values()]
    names = {"": ("", dict[str, str]())}
    for old, new in zip(before, after, strict=True):
        names[old.name] = new.name, dict(zip(old.names, new.names, strict=True))
    active = []
    for edit in edits.active:
        stream, channels = names.get(edit.stream, ("", {}))
        if bool(stream) == bool(edit.stream) and channels.keys() >= set(edit.channels):
            active.append(replace(
                edit, stream=stream, channels=tuple(channels[c] for c in edit.channels),
                rater="rater1", why="", at="",
            ))  # fmt: skip
    return Edits(tuple(active), "edited by eye")


def _stays(name: str) -> bool:
    """Return whether events are kept: those of the session itself are not."""
    return not name.startswith("session.") or base_name(name) in (MARKERS, RATINGS)


@dataclass
class _Names:
    """Names in the place of those of streams, devices, participants and channels."""

    streams: dict[str, str] = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)
    participants: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    """Names of channels that are replaced."""

    def add_channels(self, info: StreamInfo) -> None:
        """Choose other names for the channels of a stream that are free text."""
        if computed(info.name):
            return
        for channel in info.channels:
            if channel.name in self.replaced or _is_usual(channel.name):
                continue
            taken = {*info.names, *self.replaced.values()}
            kind = _KINDS.get(channel.kind, "channel")
            self.replaced[channel.name] = _unused(kind, taken)

    def channels(self, info: StreamInfo) -> Iterable[Channel]:
        """Yield the channels of a stream under their new names."""
        for channel in info.channels:
            name = self.replaced.get(channel.name, channel.name)
            if computed(info.name):
                for old, new in self.replaced.items():
                    name = re.sub(rf"(?<![^.]){re.escape(old)}(?![^.])", new, name)
            kind = channel.kind if channel.kind in _KNOWN_KINDS else "misc"
            unit = channel.unit
            if not computed(info.name):
                unit = read_unit(unit).unit if quantity(unit) else "1"
            against = channel.reference if _is_usual(channel.reference) else ""
            yield replace(channel, name=name, kind=kind, unit=unit, reference=against)

    def info(self, info: StreamInfo) -> StreamInfo:
        """Return the description of a stream under its new names."""
        participant = self.participants.setdefault(
            info.participant, f"anon{len(self.participants) + 1}"
        )
        if info.name not in self.streams:
            taken = set(self.streams.values())
            self.streams[info.name] = _name(
                info, self.devices, self.participants, taken
            )
        channels = tuple(self.channels(info))
        reference = self.replaced.get(info.reference, info.reference)
        usual = reference in [c.name for c in channels] or _is_usual(reference)
        return replace(
            info,
            name=self.streams[info.name],
            channels=channels,
            participant=participant,
            site="",
            placement="",
            reference=reference if usual else "",
        )


def _is_usual(name: str) -> bool:
    """Return whether a channel's name is an electrode, a signal, an axis or a number.

    Such names are ``Fp1``, ``AFF5h``, ``B32``, ``acc.x``, ``EEG Fp1-Ref``, ``ch 12``.
    """
    parts = re.split(r"[ ._:/+-]+", name)
    return len(parts) <= 4 and all(map(_is_usual_part, parts))


def _is_usual_part(part: str) -> bool:
    match = re.fullmatch(r"([A-Za-z]*?)(\d{0,3})(h?)", part)
    if match is None:
        return False
    text, number, half = match.groups()
    if text.lower() in _WORDS:
        return True
    if number:
        return len(text) <= 3
    return not half and text[-1:].upper() == "Z" and text[:-1].upper() in _MIDLINE


def _unused(kind: str, taken: Iterable[str]) -> str:
    numbers = (f"{kind}{n}" for n in range(1, 10_000))
    return next(name for name in numbers if name not in taken)


def _zeros(blocks: Sequence[Block]) -> dict[str, float]:
    """Return the first number of each channel of dates, by its name."""
    zeros: dict[str, float] = {}
    for block in blocks:
        for i, channel in enumerate(block.info.channels):
            if channel.kind not in ("misc", "stim") or channel.name in zeros:
                continue
            column = block.data[:, i]
            finite = column[np.isfinite(column)]
            if len(finite):
                zeros[channel.name] = float(finite[0])
    return {name: x for name, x in zeros.items() if abs(x) > LARGEST_VALUE}


def _name(
    info: StreamInfo,
    devices: dict[str, str],
    participants: dict[str, str],
    taken: set[str],
) -> str:
    base = computed(info.name) or base_name(info.name)
    if computed(base) or base in (MARKERS, RATINGS):
        # With several participants, the name ends in the participant's code.
        return base if info.name == base else f"{base}.{participants[info.participant]}"
    device, _, _ = info.name.rpartition(".")
    device = devices.setdefault(device, f"device{len(devices) + 1}")
    role = info.name.rpartition(".")[2]
    role = role if role in _ROLES else "events"
    kind = _kind(info.channels) if info.rate else role
    name, number = f"{device}.{kind}", 1
    while name in taken:
        number += 1
        name = f"{device}.{kind}{number}"
    return name


def _kind(channels: tuple[Channel, ...]) -> str:
    if channels and all(c.name.startswith("acc.") for c in channels):
        return "acc"
    return _KINDS.get(channels[0].kind, "other") if channels else "other"


def _numbered(labels: tuple[str, ...]) -> tuple[str, ...]:
    numbers: dict[str, int] = {}
    return tuple(
        f"event {numbers.setdefault(text, len(numbers) + 1)}" for text in labels
    )


def _numbers(events: Events, begin: float) -> Array:
    """Return the numbers of events without dates and identifiers."""
    data = np.array(events.data)
    for i, channel in enumerate(events.info.channels):
        column = data[:, i]
        measured = quantity(channel.unit) not in ("", "1", "counts")
        limit = LARGEST_VALUE if measured else LARGEST_CODE
        if channel.name in _TIMES:
            column -= begin
        elif np.any(np.abs(column[np.isfinite(column)]) > limit):
            numbers: dict[float, float] = {}
            column[:] = [
                v if np.isnan(v) else numbers.setdefault(v, len(numbers) + 1.0)
                for v in column.tolist()
            ]
    return data
