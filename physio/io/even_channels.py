"""Recordings from evenly sampled channels, as laboratory software stores them."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.recording import Recording
from physio.io.stream_header import unique
from physio.io.tables.column_map import ColumnSignal
from physio.io.tables.column_proposal import signal_kind
from physio.io.units import convert_unit, unit_note


class EvenChannel(NamedTuple):
    """Channel with a rate (Hz) of its own, from a start (s), shape (n,)."""

    name: str
    unit: str
    rate: float
    data: Array
    start: float = 0.0


def recording_of(
    device: str,
    channels: Sequence[EvenChannel],
    marks: Sequence[tuple[float, str]] = (),
    *,
    source: str,
    participant: str = "",
) -> Recording:
    """Return a recording with a stream for each kind and rate of channels.

    Parameters
    ----------
    device
        First part of the names of the streams.
    channels
        The channels. Their names state the kind; others are ``misc``.
    marks
        Time (s) and text of each marker.
    source, participant
        For the metadata.
    """
    groups: dict[tuple[str, float, float, int], list[tuple[EvenChannel, str]]] = {}
    for channel in channels:
        kind = signal_kind(channel.name)
        kind = kind if kind and kind not in ("rr", "hr", "marker") else "misc"
        stream = kind.partition(".")[0]
        key = (stream, channel.rate, channel.start, len(channel.data))
        groups.setdefault(key, []).append((channel, kind))
    streams: dict[str, tuple[Block, ...]] = {}
    notes: list[str] = []
    for (stream, rate, start, _), parts in groups.items():
        name, number = f"{device}.{stream}", 1
        while name in streams:
            number += 1
            name = f"{device}.{stream}{number}"
        signals = [ColumnSignal(c.name, kind) for c, kind in parts]
        labels = unique(
            s.channel if len(parts) == 1 or "." in s.kind else s.column for s in signals
        )
        columns, described = [], []
        for (channel, _), signal, label in zip(parts, signals, labels, strict=True):
            usual = signal.stream.unit
            data, unit = convert_unit(channel.data, channel.unit, usual)
            notes.append(unit_note(name, channel.unit, usual, [label]))
            columns.append(data)
            described.append(Channel(label, signal.stream.kind, unit))
        exact = Fraction(rate).limit_denominator(100_000)
        info = StreamInfo(name, exact, tuple(described), participant=participant)
        values = np.ascontiguousarray(np.column_stack(columns), np.float64)
        streams[name] = (Block(info, 0, start, values),)
    about = {"source": source, "begin": "0.0"}
    if participant:
        about["participant"] = participant
    if any(notes):
        about["warnings"] = "; ".join(filter(None, notes))
    events = {}
    if marks:
        ordered = sorted(marks)
        times = np.array([t for t, _ in ordered])
        end = max([float(times[-1]), *(b[-1].complete_until for b in streams.values())])
        info = replace(event_stream(f"{device}.markers"), participant=participant)
        labels_of = tuple(text for _, text in ordered)
        empty = np.empty((len(times), 0))
        events[info.name] = Events(info, end, times, empty, labels_of)
    return Recording(streams, events, (), about)
