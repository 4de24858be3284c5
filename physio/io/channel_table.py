"""Corrections of the channels of streams, from a table of a session file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, NamedTuple, Self

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events, concatenate
from physio.core.json_table import json_table
from physio.core.recording import Arrival, Recording, computed
from physio.io.channel_kinds import UNITS
from physio.io.montage import cap, cap_numbers, with_references
from physio.io.triggers import (
    TriggerDecoder,
    has_triggers,
    trigger_stream,
)
from physio.io.units import NEUTRAL, quantity, read_unit

KINDS: Final = ("eeg", "eog", "emg", "ecg", "resp", "gsr", "temperature", "bio", "misc",
                "stim")  # fmt: skip
"""Kinds that a channel can be given: see `physio.core.block.Channel`."""


@dataclass(frozen=True)
class StreamCorrection:
    """Corrections of one stream: a table ``[channels.DEVICE.STREAM]``.

    All names are those of the stream before the corrections.

    Parameters
    ----------
    rename
        New names of channels, as ``{EEG1 = "Fz"}``.
    type
        Kinds of channels: one of `KINDS`.
    unit
        Units of the values as they are read. Multiples of the usual unit of the kind
        are converted to it, as ``mV`` to ``uV``.
    drop
        Channels to leave out.
    montage
        Name of MNE's montage whose electrodes the EEG channels are, in its order or by
        BioSemi's names ``A1`` to ``H32``: ``"biosemi64"``.
    reference
        Reference of the stream, ``"M2"``.
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    type: Mapping[str, str] = field(default_factory=dict)
    unit: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    montage: str = ""
    reference: str = ""

    def corrected(self, info: StreamInfo, at: str) -> "CorrectedStream":
        """Return a stream with its corrections.

        Raises
        ------
        ValueError
            If a channel, a kind, a unit or the montage is not known, or two channels
            would have one name; ``at`` is named.
        """
        known = ", ".join(info.names)
        for key in ("rename", "type", "unit", "drop"):
            for name in getattr(self, key):
                if name not in info.names:
                    raise ValueError(
                        f"{at}.{key}: {info.name} has no channel {name!r}; it has "
                        f"{known}"
                    )
        columns = [i for i, name in enumerate(info.names) if name not in self.drop]
        if not columns:
            raise ValueError(f"{at}.drop leaves no channel of {info.name}")
        described = [self._described(info.channels[i], at) for i in columns]
        channels = self._renamed([channel for channel, _ in described], at)
        names = [channel.name for channel in channels]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{at}: two channels would be called {twice[0]!r}")
        corrected = replace(info, channels=tuple(channels))
        if self.reference:
            plain = tuple(replace(c, reference="") for c in channels)
            corrected = replace(corrected, channels=plain, reference=self.reference)
        else:
            corrected = with_references(corrected)
        factors = np.array([factor for _, factor in described])
        return CorrectedStream(corrected, np.array(columns), factors, info)

    def _described(self, channel: Channel, at: str) -> tuple[Channel, float]:
        """Return a channel with its kind and unit, and the factor of its values."""
        kind = self.type.get(channel.name, channel.kind)
        if channel.name in self.type and kind not in KINDS:
            raise ValueError(
                f"{at}.type: {channel.name} cannot be {kind!r}; a channel is one of "
                f"{', '.join(KINDS)}"
            )
        text = self.unit.get(channel.name, channel.unit)
        if kind == channel.kind and channel.name not in self.unit:
            return channel, 1.0
        if channel.name in self.unit and not quantity(text):
            raise ValueError(
                f"{at}.unit: the unit {text!r} of {channel.name} is not known; it can "
                "be uV, mV, V, uS, kOhm, g, degC, counts, 1 or another usual one"
            )
        if kind == "stim":
            return replace(channel, kind=kind, unit="1"), 1.0
        reading = read_unit(text, UNITS.get(kind, "1"))
        unit = text if text in NEUTRAL else reading.unit
        return replace(channel, kind=kind, unit=unit), reading.factor

    def _renamed(self, channels: Sequence[Channel], at: str) -> list[Channel]:
        names = {**self._electrodes(channels, at), **self.rename}
        return [replace(c, name=names.get(c.name, c.name)) for c in channels]

    def _electrodes(self, channels: Sequence[Channel], at: str) -> dict[str, str]:
        """Return the electrode of each EEG channel in the montage."""
        if not self.montage:
            return {}
        try:
            electrodes = cap(self.montage)
        except ValueError as error:
            raise ValueError(f"{at}.montage: {error}") from None
        names = [c.name for c in channels if c.kind == "eeg"]
        numbers = cap_numbers(names)
        if not any(number is not None for number in numbers):
            if len(names) != len(electrodes):
                raise ValueError(
                    f"{at}.montage: {self.montage} has {len(electrodes)} electrodes, "
                    f"but the stream has {len(names)} EEG channels; drop the others or "
                    "give them another type"
                )
            numbers = list(range(len(names)))
        if beyond := [n for n, i in zip(names, numbers, strict=True)
                      if i is not None and i >= len(electrodes)]:  # fmt: skip
            raise ValueError(
                f"{at}.montage: {self.montage} has {len(electrodes)} electrodes, and "
                f"none for {beyond[0]}"
            )
        pairs = zip(names, numbers, strict=True)
        return {name: electrodes[i] for name, i in pairs if i is not None}


class CorrectedStream(NamedTuple):
    """A corrected stream: its columns in the original one, and their factors."""

    info: StreamInfo
    columns: Any
    factors: Array
    original: StreamInfo

    def block(self, block: Block) -> Block:
        """Return the corrected samples of a block."""
        data = np.ascontiguousarray(block.data[:, self.columns] * self.factors)
        return Block(self.info, block.start, block.t0, data, block.stamps)

    def new_triggers(self) -> StreamInfo | None:
        """Return the stream with the trigger columns that corrections add, or None."""
        before = {i for i, c in enumerate(self.original.channels) if c.kind == "stim"}
        channels = [
            c if c.kind == "stim" and i not in before else replace(c, kind="misc")
            for i, c in zip(self.columns.tolist(), self.info.channels, strict=True)
        ]
        info = replace(self.info, channels=tuple(channels))
        return info if has_triggers(info) else None


@dataclass(frozen=True)
class ChannelTable:
    """Corrections by stream, as in the table ``[channels]`` of a session file.

    Parameters
    ----------
    streams
        Corrections by name of the stream, ``"headset.eeg"``.
    at
        Name of the file, for messages.
    """

    streams: Mapping[str, StreamCorrection] = field(default_factory=dict)
    at: str = "channels"

    def __bool__(self) -> bool:
        return bool(self.streams)

    @classmethod
    def parse(cls, table: Any, at: str) -> Self:
        """Return the corrections in a table; ``at`` is its place for messages.

        Raises
        ------
        ValueError
            If a key or a value is not of the right kind.
        """
        flat = dict(_flat(table, "", at))
        streams = {name: _correction(t, f"{at}.{name}") for name, t in flat.items()}
        return cls(streams, at)

    def of(self, device: str) -> Self:
        """Return the corrections of the streams of a device."""
        parts = {n: c for n, c in self.streams.items() if n.startswith(f"{device}.")}
        return replace(self, streams=parts)

    def corrected(self, infos: Sequence[StreamInfo]) -> dict[str, CorrectedStream]:
        """Return the corrected streams by name.

        Raises
        ------
        ValueError
            If a stream is not among the regular ones of ``infos``, or a correction is
            not valid for it.
        """
        regular = {info.name: info for info in infos if info.rate}
        for name in self.streams:
            if name not in regular:
                raise ValueError(
                    f"{self.at}: there is no stream {name!r}; there is "
                    f"{', '.join(regular) or 'none'}"
                )
        return {
            name: correction.corrected(regular[name], f"{self.at}.{name}")
            for name, correction in self.streams.items()
        }

    def correct(self, recording: Recording) -> Recording:
        """Return a recording with the corrections; the table is in its metadata.

        Streams that were computed from the original ones are left out. A recording that
        the same table has corrected stays as it is.
        """
        if not self or applied(recording) == self.to_table():
            return recording
        corrected = self.corrected(recording.infos)
        streams = {n: b for n, b in recording.streams.items() if not computed(n)}
        events, timeline = dict(recording.events), recording.timeline
        warnings = [recording.metadata.get("warnings", "")]
        for name, stream in corrected.items():
            streams[name] = tuple(stream.block(b) for b in recording.streams[name])
            if (decoder := trigger_decoder(stream, events)) is not None:
                parts = [decoder.decode(block) for block in streams[name]]
                events[decoder.name] = concatenate(parts)
                timeline = tuple(_with_codes(timeline, name, parts))
                warnings += decoder.notices()
        about = {**recording.metadata, "channels": json.dumps(self.to_table())}
        if text := "; ".join(filter(None, warnings)):
            about["warnings"] = text
        return Recording(streams, events, timeline, about)

    def to_table(self) -> dict[str, Any]:
        """Return the table that `parse` makes these corrections from."""
        return {
            name: {
                f.name: list(value) if isinstance(value, tuple) else value
                for f in fields(correction)
                if (value := getattr(correction, f.name))
            }
            for name, correction in self.streams.items()
        }


def applied(recording: Recording) -> dict[str, Any] | None:
    """Return the corrections that a recording has had, or None."""
    if "channels" in recording.metadata:
        return json_table(recording.metadata["channels"])
    config = json_table(recording.metadata.get("config", "{}")) or {}
    table = config.get("channels")
    return table if isinstance(table, dict) else None


def free_name(name: str, taken: Mapping[str, Any]) -> str:
    """Return a name, with the first free number if it is taken."""
    numbered = (f"{name}{i or ''}" for i in (0, *range(2, len(taken) + 3)))
    return next(n for n in numbered if n not in taken)


def trigger_decoder(
    stream: CorrectedStream, taken: Mapping[str, Any]
) -> TriggerDecoder | None:
    """Return a decoder of the trigger columns that corrections add, or None."""
    info = stream.new_triggers()
    if info is None:
        return None
    return TriggerDecoder(info, free_name(trigger_stream(info), taken))


def _with_codes(
    timeline: Sequence[Arrival], stream: str, parts: Sequence[Events]
) -> Iterator[Arrival]:
    """Yield a timeline in which the codes of a stream arrive with their blocks."""
    remaining, count = iter(parts), 0
    for arrival in timeline:
        yield arrival
        if arrival.stream == stream and len(codes := next(remaining)):
            yield Arrival(codes.info.name, count, len(codes), codes.complete_until)
            count += len(codes)


def _flat(table: Any, name: str, at: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the tables of streams by name; ``[channels.a.b]`` is of ``a.b``."""
    place = f"{at}.{name}" if name else at
    if not isinstance(table, Mapping):
        raise ValueError(f"{place} = {table!r} must be a table")
    settings = {f.name for f in fields(StreamCorrection)}
    tables = {k: v for k, v in table.items() if k not in settings}
    entries = [
        entry
        for key, value in tables.items()
        for entry in _flat(value, f"{name}.{key}".lstrip("."), at)
    ]
    if len(tables) == len(table):
        return entries
    if tables:
        raise ValueError(
            f"{place} has no setting {next(iter(tables))!r}; it has "
            f"{', '.join(f.name for f in fields(StreamCorrection))}"
        )
    return [(name, table)]


def _correction(table: Mapping[str, Any], at: str) -> StreamCorrection:
    """Return the corrections of one stream, each of the right type."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key in ("rename", "type", "unit"):
            right = isinstance(value, Mapping) and _are_texts(value.values())
            form = 'a table of texts, as {EEG1 = "Fz"}'
        elif key == "drop":
            right = isinstance(value, list | tuple) and _are_texts(value)
            form = 'a list of names, as ["AUX1"]'
        else:
            right, form = isinstance(value, str), "a text"
        if not right:
            raise ValueError(f"{at}.{key} = {value!r} must be {form}")
        values[key] = tuple(value) if key == "drop" else value
    return StreamCorrection(**values)


def _are_texts(values: Any) -> bool:
    return all(isinstance(value, str) and value for value in values)
