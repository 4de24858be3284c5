"""Anonymization of recordings: removal of identity, place and date."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events
from physio.core.recording import MARKERS, RATINGS, Recording, base_name, computed

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

    Streams are named by their signal (``device1.eeg``), participants ``anon1``,
    ``anon2`` ... in the order of their streams. Time begins at 0. The metadata of the
    recording, sites and placements, the devices' own stamps (they may be dates) and the
    events of the session are removed. The texts of events are replaced by numbers,
    because a marker may hold a name, unless ``keep_labels`` is True. Names of channels,
    values and intervals of time are unchanged. Physiological signals can identify a
    participant by themselves: such data remain personal.
    """
    begin = recording.begin
    participants: dict[str, str] = {}
    names: dict[str, str] = {}
    devices: dict[str, str] = {}
    streams, events = {}, {}
    for blocks in recording.streams.values():
        info = _anonymous_info(blocks[0].info, names, devices, participants)
        streams[info.name] = tuple(
            Block(_like(info, b.info), b.start, b.t0 - begin, b.data) for b in blocks
        )
    for name, happened in recording.events.items():
        if name.startswith("session.") and base_name(name) not in (MARKERS, RATINGS):
            continue
        info = _anonymous_info(happened.info, names, devices, participants)
        labels = happened.labels if keep_labels else _numbered(happened.labels)
        events[info.name] = Events(
            info,
            happened.complete_until - begin,
            np.asarray(happened.times) - begin,
            _shifted(happened, begin),
            labels,
        )
    return Recording(streams, events, (), {"begin": "0.0"})


def _anonymous_info(
    info: StreamInfo,
    names: dict[str, str],
    devices: dict[str, str],
    participants: dict[str, str],
) -> StreamInfo:
    participant = participants.setdefault(
        info.participant, f"anon{len(participants) + 1}"
    )
    if info.name not in names:
        names[info.name] = _name(info, devices, participants, set(names.values()))
    reference = info.reference if info.reference in info.names else ""
    return replace(
        info,
        name=names[info.name],
        participant=participant,
        site="",
        placement="",
        reference=reference,
    )


def _like(info: StreamInfo, block: StreamInfo) -> StreamInfo:
    """Return ``info`` with the channels and the rate of one block."""
    return info.with_channels(block.rate, *block.channels)


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
    kind = _kind(info.channels) if info.rate != Fraction(0) else "events"
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


def _shifted(events: Events, begin: float) -> Array:
    """Return the numbers of events, with times moved to the new clock."""
    data = np.array(events.data)
    for i, name in enumerate(events.info.names):
        if name in ("end", "from", "to"):
            data[:, i] -= begin
    return data
