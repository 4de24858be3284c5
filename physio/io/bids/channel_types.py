"""Types, units and status of channels, as ``channels.tsv`` of BIDS states them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from physio.core.block import Block, Channel
from physio.core.recording import Recording
from physio.io.bad_spans import BadSpan, bad_notes, mark_blocks
from physio.io.bids.eeg_files import kind_of
from physio.io.bids.entities import BidsFile
from physio.io.bids.sidecars import MISSING, Row, nearest_table
from physio.io.channel_kinds import UNITS
from physio.io.edf_labels import electrode_label
from physio.io.units import read_unit


def with_channel_table(
    recording: Recording, file: BidsFile, root: Path
) -> tuple[Recording, list[str]]:
    """Return a recording with the types, units and bad channels of its table.

    Parameters
    ----------
    recording
        Streams of a file.
    file
        The file; if no table applies to it, the recording stays.
    root
        Folder of the data set.

    Returns
    -------
    recording
        A channel whose unit the file does not state has that of the table; channels of
        another type move to the stream of that type; bad ones are missing (reason:
        marked bad).
    notes
        Sentences on bad channels.
    """
    table, rows = nearest_table(file, root, "channels")
    if not rows:
        return recording, []
    by_name = {name: row for row in rows for name in _names(row.get("name", ""))}
    streams = _retyped(recording.streams, by_name, file.extension.lower())
    streams, notes = without_bad(streams, rows, table.name)
    return replace(recording, streams=streams), notes


def without_bad(
    streams: Mapping[str, tuple[Block, ...]], rows: Sequence[Row], table: str
) -> tuple[dict[str, tuple[Block, ...]], list[str]]:
    """Return streams without the channels whose status is bad, and notes on them."""
    bad = [r["name"] for r in rows if r.get("status", "").lower() == "bad"]
    names = tuple(name for text in bad for name in _names(text))
    if not names:
        return dict(streams), []
    blocks = [b for parts in streams.values() for b in parts if len(b)]
    begin = min((float(b.times[0]) for b in blocks), default=0.0)
    end = max((b.complete_until for b in blocks), default=0.0)
    whole = BadSpan(begin - 1.0, end - begin + 2.0, "bads", names)
    return mark_blocks(streams, [whole]), bad_notes((), bad, table)


def _names(text: str) -> tuple[str, ...]:
    """Return the names that a channel of the table may have in the recording."""
    return tuple(dict.fromkeys((text, electrode_label(text))))


def _retyped(
    streams: Mapping[str, tuple[Block, ...]], rows: Mapping[str, Row], suffix: str
) -> dict[str, tuple[Block, ...]]:
    """Return streams by type, after the types and units of the table."""
    groups: dict[str, list[tuple[Channel, tuple[Block, ...], int, float]]] = {}
    is_changed = False
    for name, blocks in streams.items():
        device = name.partition(".")[0]
        for i, channel in enumerate(blocks[0].info.channels):
            row = rows.get(channel.name, {})
            corrected, factor = _corrected(channel, row, suffix)
            is_changed |= corrected != channel
            same = corrected.kind == channel.kind
            target = name if same else f"{device}.{corrected.kind}"
            groups.setdefault(target, []).append((corrected, blocks, i, factor))
    if not is_changed:
        return dict(streams)
    regrouped: dict[str, tuple[Block, ...]] = {}
    for target, members in groups.items():
        parts: dict[
            tuple[object, ...], list[tuple[Channel, tuple[Block, ...], int, float]]
        ]
        parts = {}
        for member in members:
            blocks = member[1]
            layout = (blocks[0].info.rate, *((b.start, len(b), b.t0) for b in blocks))
            parts.setdefault(layout, []).append(member)
        for number, part in enumerate(parts.values(), 1):
            free = target if number == 1 else f"{target}{number}"
            regrouped[free] = _joined(free, part)
    return regrouped


def _joined(
    name: str, members: Sequence[tuple[Channel, tuple[Block, ...], int, float]]
) -> tuple[Block, ...]:
    """Return channels with the same times as one stream."""
    first = members[0][1]
    names = [channel.name for channel, *_ in members]
    channels = tuple(
        replace(c, name=f"{c.name}-{i}") if names.count(c.name) > 1 else c
        for i, (c, *_) in enumerate(members)
    )
    info = replace(first[0].info, name=name, channels=channels)
    return tuple(
        Block(
            info, block.start, block.t0,
            np.ascontiguousarray(np.column_stack(
                [blocks[k].data[:, i] * factor for _, blocks, i, factor in members]
            )),
        )
        for k, block in enumerate(first)
    )  # fmt: skip


def _corrected(channel: Channel, row: Row, suffix: str) -> tuple[Channel, float]:
    """Return a channel after its row of the table, and the factor of its values."""
    kind = kind_of(row.get("type", "")) or channel.kind
    if kind == "misc" and channel.kind != "eeg":
        kind = channel.kind
    text = row.get("units", MISSING)
    # EEGLAB states no units, and MNE takes all values for microvolts.
    is_stated = channel.unit != "1" and (suffix != ".set" or kind == channel.kind)
    if kind == channel.kind and (is_stated or text in ("", MISSING)):
        return channel, 1.0
    if kind == "stim":
        return replace(channel, kind=kind, unit="1"), 1.0
    text = channel.unit if is_stated else text
    reading = read_unit("" if text == MISSING else text, UNITS.get(kind, "1"))
    unit = "1" if reading.assumed else reading.unit
    return replace(channel, kind=kind, unit=unit), reading.factor
