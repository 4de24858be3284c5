"""Recordings of a BIDS data set: EEG, physio, motion, events, answers, derivatives."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from physio.core.block import Array, Block, Channel, Origin, StreamInfo
from physio.core.events import Events, event_stream
from physio.core.recording import Arrival, Recording
from physio.core.stream_codec import from_dict
from physio.core.stream_layout import restore_stream
from physio.io import edf
from physio.io.bad_spans import BadSpan, bad_notes, is_bad, mark_blocks
from physio.io.bids import eeg_files
from physio.io.bids.bids_export import ANSWERS, PEOPLE
from physio.io.bids.channel_types import with_channel_table, without_bad
from physio.io.bids.eeg_files import channel_rows, kind_of, unit_text
from physio.io.bids.entities import BidsFile, BidsFolder, RecordingKey, beside
from physio.io.bids.event_tables import (
    HED,
    read_events,
    read_exact,
    read_hed,
    restore_hidden,
    rows_of,
    values_of,
    without_gaps,
)
from physio.io.bids.sidecars import (
    KEY,
    MISSING,
    Row,
    nearest_table,
    read_json,
    read_number,
    read_table,
    read_text,
    read_values,
    sidecar,
)
from physio.io.channel_kinds import UNITS, ChannelKind, channel_kind
from physio.io.units import read_unit

_COLUMNS: Final = {
    "cardiac": ChannelKind("bio", "1"),
    "respiratory": ChannelKind("resp", "1"),
    "respiration": ChannelKind("resp", "1"),
    "trigger": ChannelKind("stim", "1"),
    "scr": ChannelKind("gsr", "uS"),
    "skin_conductance": ChannelKind("gsr", "uS"),
    "pulse": ChannelKind("bio", "1"),
}
"""Kinds of the columns that BIDS names for physiological recordings."""

_DAMAGES: Final = (ValueError, OSError, EOFError, LookupError, TypeError, zlib.error)
"""Errors of damaged files."""

_ORDER: Final = ("eeg", "physio", "motion", "physioevents", "events")


@dataclass
class _Parts:
    """Parts of a recording while its files are read.

    Parameters
    ----------
    root
        Folder of the data set.
    participant
        Code of the participant for files that state none.
    zero
        Time of onset 0 (s, session clock).
    dates
        Unix time of each file's first sample, by name within the participant's folder.
    """

    root: Path
    participant: str = ""
    zero: float = 0.0
    dates: Mapping[str, float] = field(default_factory=dict)
    streams: dict[str, tuple[Block, ...]] = field(default_factory=dict)
    events: dict[str, Events] = field(default_factory=dict)
    exact: set[str] = field(default_factory=set)
    eeg: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shared: dict[str, Any] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)

    def add(self, blocks: tuple[Block, ...], *, is_exact: bool = False) -> str:
        """Add a stream; return its name, or the next free one under which it is."""
        name, number = blocks[0].info.name, 1
        while name in self.streams:
            number += 1
            name = f"{blocks[0].info.name}{number}"
        if name != blocks[0].info.name:
            info = replace(blocks[0].info, name=name)
            blocks = tuple(replace(b, info=info) for b in blocks)
        elif is_exact:
            self.exact.add(name)
        self.streams[name] = blocks
        return name


def read_recording(
    folder: BidsFolder, keys: Sequence[RecordingKey], *, participant: str = ""
) -> Recording:
    """Return the recording with some entities; several keys are one session.

    Streams of this package are the same as exported, to the bit, as long as their files
    are unchanged. Any other file is read by its standard metadata: second 0 of the
    session clock is the first sample of the EEG, or that to which ``StartTime`` refers.

    Parameters
    ----------
    folder
        The data set.
    keys
        Entities of the recording: one, or one for each participant of one session.
    participant
        Code of the participant instead of the one in the files' names.

    Raises
    ------
    ValueError
        If no file with samples can be read.
    """
    parts: list[_Parts] = []
    for key in keys:
        files = sorted(
            (*folder.recordings[key], *folder.derivatives(key)),
            key=lambda f: _ORDER.index(f.suffix),
        )
        parts.append(_read(folder.root, key, files, participant))
    return _assembled(parts)


def read_file(file: BidsFile, root: Path, *, participant: str = "") -> Recording:
    """Return the recording in one file, with the events that apply to it.

    Raises
    ------
    ValueError
        If the file is damaged, or its sidecar lacks a required key.
    """
    key = RecordingKey(
        *(file.entities.get(k, "") for k in ("sub", "ses", "task", "run"))
    )
    tables = [] if file.suffix == "events" else beside(file, root, "events", ".tsv")
    files = [file, *filter(None, map(BidsFile.of, tables[-1:]))]
    return _assembled([_read(root, key, files, participant)])


def shared_session(folder: BidsFolder, key: RecordingKey) -> str:
    """Return what participants of one session have in common; empty for one alone."""
    for file in folder.recordings[key]:
        if file.suffix == "events":
            ours = sidecar(file, folder.root).get(KEY)
            return str(ours.get("together", "")) if isinstance(ours, dict) else ""
    return ""


def _read(
    root: Path, key: RecordingKey, files: Sequence[BidsFile], participant: str
) -> _Parts:
    """Read the files of a recording; what cannot be read is told in its notes."""
    parts = _Parts(root, participant or key.subject, dates=_dates(root, key))
    readers = {
        "eeg": _read_eeg, "physio": _read_physio, "motion": _read_motion,
        "physioevents": _read_physio_events, "events": _read_events,
    }  # fmt: skip
    error: ValueError | None = None
    events = _main_events(root, files, parts)
    for file in files:
        if file.suffix == "events" and file != events:
            continue
        try:
            readers[file.suffix](file, parts)
        except _DAMAGES as reason:
            text = " ".join(str(reason).split())[:300]
            text = text if file.path.name in text else f"{file.path}: {text}"
            error = error or ValueError(text)
            parts.notes.append(f"{text}: left out")
    if error is not None and not parts.streams:
        raise error
    _add_people(parts, root, key)
    return parts


def _main_events(
    root: Path, files: Sequence[BidsFile], parts: _Parts
) -> BidsFile | None:
    """Return the file with the events of a recording, and take over its clock.

    Several files hold the same events, each after the first sample of its data.
    """
    events = [file for file in files if file.suffix == "events"]
    for file in events:
        ours = sidecar(file, root).get(KEY)
        if isinstance(ours, dict) and "zero" in ours:
            parts.shared, parts.zero = ours, float(ours["zero"])
            return file
    kinds = [f.path.parent.name for f in files if f.suffix in ("eeg", "physio")]
    beside_data = [file for file in events if file.path.parent.name in kinds[:1]]
    return next(iter(beside_data or events), None)


def _assembled(parts: Sequence[_Parts]) -> Recording:
    """Return the parts of one session as a recording."""
    streams: dict[str, tuple[Block, ...]] = {}
    events: dict[str, Events] = {}
    about: dict[str, str] = {}
    exact: set[str] = set()
    for part in parts:
        streams |= part.streams
        events |= part.events
        about |= part.about
        exact |= part.exact
    shared = parts[0].shared
    if shared:
        about = {**_texts(shared.get("metadata")), **about}
        for name, table in dict(shared.get("empty", {})).items():
            info = from_dict(table["info"])
            streams[name] = restore_stream(table, np.empty((0, len(info.channels))))
            exact.add(name)
        for part in parts:
            for name, table in dict(part.shared.get("hidden", {})).items():
                events[name] = restore_hidden(table)
                exact.add(name)
        streams = _ordered(streams, shared.get("streams", ()))
        events = _ordered(events, shared.get("event_streams", ()))
    else:
        about = {"source": "BIDS", "begin": "0.0", **about}
        about["participant"] = parts[0].participant
    if notes := [note for part in parts for note in part.notes]:
        about["warnings"] = "; ".join([*filter(None, [about.get("warnings")]), *notes])
    timeline = tuple(
        Arrival(str(entry[0]), int(entry[1]), int(entry[2]), float(entry[3]))
        for entry in shared.get("timeline", ())
        if entry[0] in streams or entry[0] in events
    )
    if not exact >= {arrival.stream for arrival in timeline}:
        timeline = ()
    return Recording(streams, events, timeline, about)


def _ordered(items: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return items in an order, others last."""
    places = {name: i for i, name in enumerate(names)}
    return dict(sorted(items.items(), key=lambda p: places.get(p[0], len(places))))


def _texts(table: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in table.items()} if isinstance(table, dict) else {}


def _read_eeg(file: BidsFile, parts: _Parts) -> None:
    ours = sidecar(file, parts.root).get(KEY)
    table, rows = nearest_table(file, parts.root, "channels")
    blocks = _exact_eeg(file, ours, rows)
    if blocks is not None:
        info = blocks[0].info
        streams, notes = without_bad({info.name: blocks}, rows, table.name)
        parts.notes += notes
        parts.add(_with_kinds(streams[info.name], rows), is_exact=True)
        return
    recording = edf.read(file.path, participant=parts.participant)
    corrected, notes = with_channel_table(recording, file, parts.root)
    parts.notes += notes
    if corrected.streams.keys() ^ recording.streams.keys():
        corrected = edf.with_triggers(corrected, "eeg")
    recording = corrected
    late = parts.zero + (0.0 if parts.streams == {} else _lateness(file, parts))
    for stream in recording.streams.values():
        parts.eeg.append(parts.add(tuple(replace(b, t0=b.t0 + late) for b in stream)))
    for name, events in recording.events.items():
        parts.events.setdefault(name, _shifted(events, late))
    parts.notes += filter(None, [recording.metadata.get("warnings", "")])
    if "begin_unix" in recording.metadata:
        parts.about.setdefault("begin_unix", recording.metadata["begin_unix"])


def _shifted(events: Events, late: float) -> Events:
    return replace(
        events, times=events.times + late, complete_until=events.complete_until + late
    )


def _exact_eeg(
    file: BidsFile, ours: Any, rows: Sequence[Row]
) -> tuple[Block, ...] | None:
    """Return the stream that this package wrote; None for any other file."""
    if not isinstance(ours, dict) or "info" not in ours:
        return None
    info = from_dict(ours["info"])
    if [row.get("name") for row in rows] != list(info.names):
        return None
    data = eeg_files.read_samples(file.path, len(info.channels))
    if data is None:
        data = _by_edf(file, info)
    if data is None:
        return None
    n = sum(int(n) for _, n, _ in ours["blocks"])
    spans = [(int(s), int(s) + int(k)) for s, k, _ in ours["blocks"] if k]
    rows_stored = spans[-1][1] - spans[0][0] if n else 0
    if not 0 <= len(data) - rows_stored <= float(info.rate):  # EDF fills its record
        return None
    return restore_stream(ours, data[:rows_stored])


def _by_edf(file: BidsFile, info: StreamInfo) -> Array | None:
    """Return the samples of a file in the order of a stream's channels."""
    if file.extension.lower() not in (".edf", ".bdf"):
        return None
    recording = edf.read(file.path)
    columns: dict[str, Array] = {}
    for blocks in recording.streams.values():
        first, last = blocks[0].start, blocks[-1].stop
        for i, channel in enumerate(blocks[0].info.channels):
            column = np.full(last - first, np.nan)
            for block in blocks:
                column[block.start - first : block.stop - first] = block.data[:, i]
            columns[channel.name] = column
    named = [columns.get(name) for name in info.names]
    lengths = {len(c) for c in named if c is not None}
    if any(c is None for c in named) or len(lengths) != 1:
        return None
    return np.column_stack([c for c in named if c is not None])


def _with_kinds(blocks: tuple[Block, ...], rows: Sequence[Row]) -> tuple[Block, ...]:
    """Return a stream whose channels have other types where the table was changed."""
    info = blocks[0].info
    _, written = channel_rows(info, np.empty((0, len(info.channels))))
    channels = tuple(
        replace(c, kind=kind_of(row["type"]) or c.kind)
        if row.get("type", w[1]) != w[1] else c
        for c, row, w in zip(info.channels, rows, written, strict=True)
    )  # fmt: skip
    if channels == info.channels:
        return blocks
    info = replace(info, channels=channels)
    return tuple(replace(b, info=info) for b in blocks)


def _read_physio(file: BidsFile, parts: _Parts) -> None:
    table = sidecar(file, parts.root)
    for name, meaning in (
        ("SamplingFrequency", "a number of Hz"),
        ("Columns", "a list of names"),
    ):
        if name not in table:
            raise ValueError(
                f"the sidecar of {file.path} lacks {name!r}, which BIDS requires: add "
                f"it, {meaning}"
            )
    columns = [str(c) for c in table["Columns"]]
    values = read_values(file.path, columns)
    begin = read_number(str(table.get("StartTime", "")))
    if begin != begin:
        parts.notes.append(f"{file.path.name} states no StartTime: taken as 0 s")
        begin = 0.0
    if (blocks := _exact(table, columns, values, begin)) is not None:
        parts.add(blocks, is_exact=True)
        return
    rate = _rate(table["SamplingFrequency"], file)
    device = file.entities.get("recording") or file.entities.get("desc") or "physio"
    origin = str(table.get("Origin", Origin.MEASURED))
    described = [_column(table, name, parts) for name in columns]
    info = StreamInfo(
        device, rate, (),
        Origin(origin) if origin in set(Origin) else Origin.MEASURED,
        parts.participant,
    )  # fmt: skip
    _add_by_kind(parts, info, described, values, parts.zero + begin)


def _rate(value: Any, file: BidsFile) -> Fraction:
    rate = read_number(str(value))
    if not 0 < rate < 1e9:
        raise ValueError(
            f"the SamplingFrequency of {file.path} is {value!r}: it must be a number "
            "of Hz above 0"
        )
    return Fraction(rate).limit_denominator(10_000)


def _add_by_kind(
    parts: _Parts,
    info: StreamInfo,
    described: Sequence[tuple[Channel, float]],
    values: Array,
    t0: float,
) -> None:
    """Add the columns of a table, a stream for each kind."""
    kinds = dict.fromkeys(channel.kind for channel, _ in described)
    for kind in kinds:
        at = [i for i, (c, _) in enumerate(described) if c.kind == kind]
        factors = np.array([described[i][1] for i in at])
        stream = replace(
            info,
            name=f"{info.name}.{kind}",
            channels=tuple(described[i][0] for i in at),
        )
        data = np.ascontiguousarray(values[:, at] * factors)
        parts.add((Block(stream, 0, t0, data),))


def _column(
    table: Mapping[str, Any], name: str, parts: _Parts
) -> tuple[Channel, float]:
    """Return the channel of a column, and the factor of its values."""
    about = table.get(name)
    about = about if isinstance(about, dict) else {}
    text = str(about.get("Units", ""))
    kind = _COLUMNS.get(name.lower()) or channel_kind(
        name, text, default=ChannelKind("misc", "1")
    )
    if name.lower() == "cardiac" and text.lower().endswith("v"):
        kind = ChannelKind("ecg", "uV")
    if (stated := str(about.get("Type", ""))) in UNITS or stated in ("misc", "bio"):
        kind = ChannelKind(stated, UNITS.get(stated, "1"))
    reading = read_unit("" if text == MISSING else text, kind.unit)
    if reading.assumed:
        parts.notes.append(
            f"the sidecar states no unit of {name}: values stay as they are (if they "
            f"are {kind.unit}, state it as Units)"
        )
        return Channel(name, kind.kind, "1"), 1.0
    return Channel(name, kind.kind, reading.unit), reading.factor


def _exact(
    table: Mapping[str, Any], columns: Sequence[str], values: Array, begin: float
) -> tuple[Block, ...] | None:
    """Return the stream of this package; None if the standard metadata was changed."""
    ours = table.get(KEY)
    if not isinstance(ours, dict) or "info" not in ours:
        return None
    info = from_dict(ours["info"])
    units = [str(_about(table, c.name).get("Units", "")) for c in info.channels]
    is_same = (
        list(info.names) == list(columns)
        and float(info.rate) == read_number(str(table.get("SamplingFrequency")))
        and units == [unit_text(c) for c in info.channels]
    )
    if not is_same:
        return None
    blocks = restore_stream(ours, values)
    first = next((float(b.times[0]) for b in blocks if len(b)), begin)
    return blocks if abs(first - float(ours["zero"]) - begin) < 1e-6 else None


def _about(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    about = table.get(name)
    return about if isinstance(about, dict) else {}


def _read_motion(file: BidsFile, parts: _Parts) -> None:
    table, rows = nearest_table(file, parts.root, "channels")
    about = sidecar(file, parts.root)
    if not rows:
        raise ValueError(
            f"{file.path} has no channels.tsv, which BIDS requires: it names the "
            "columns"
        )
    names = [row.get("name", "") for row in rows]
    values = read_values(file.path, names)
    ours = about.get(KEY)
    if isinstance(ours, dict) and "info" in ours:
        info = from_dict(ours["info"])
        stated = read_number(str(about.get("SamplingFrequency")))
        if list(info.names) == names and float(info.rate) == stated:
            blocks = restore_stream(ours, values)
            streams, notes = without_bad({info.name: blocks}, rows, table.name)
            parts.notes += notes
            parts.add(streams[info.name], is_exact=True)
            return
    rate = _rate(about.get("SamplingFrequency"), file)
    device = file.entities.get("tracksys", "motion")
    info = StreamInfo(device, rate, (), participant=parts.participant)
    late = parts.zero + _lateness(file, parts)
    groups: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        if row.get("type", "").upper() == "LATENCY":
            if len(values) and values[0, i] == values[0, i]:
                late = parts.zero + float(values[0, i])
            continue
        groups.setdefault(_movement(row), []).append(i)
    for name, at in groups.items():
        channels = tuple(_axis(rows[i], names[i]) for i in at)
        stream = replace(info, name=f"{device}.{name}", channels=channels)
        data = np.ascontiguousarray(values[:, at])
        streams, notes = without_bad(
            {name: (Block(stream, 0, late, data),)}, rows, table.name
        )
        parts.notes += [n for n in notes if n not in parts.notes]
        parts.add(streams[name])


_MOVEMENTS: Final = {"ACCEL": "acc", "GYRO": "gyro", "MAGN": "mag", "POS": "pos",
                     "ORNT": "orientation", "VEL": "vel"}  # fmt: skip


def _movement(row: Row) -> str:
    """Return the name of the stream of a column, by its type and tracked point."""
    kind = _MOVEMENTS.get(row.get("type", "").upper(), "motion")
    point = row.get("tracked_point", "")
    return kind if point in ("", MISSING) else f"{kind}.{point}"


def _axis(row: Row, name: str) -> Channel:
    unit = row.get("units", "")
    reading = read_unit("" if unit == MISSING else unit, "1")
    return Channel(name, "misc", reading.unit)


def _read_physio_events(file: BidsFile, parts: _Parts) -> None:
    table = sidecar(file, parts.root)
    columns = [str(c) for c in table.get("Columns", ())]
    if "onset" not in columns:
        raise ValueError(
            f"Columns in the sidecar of {file.path} lack 'onset', which BIDS requires"
        )
    rows = values_of(columns, read_text(file.path).split("\n"))
    numbers = [c for c in columns if c not in ("onset", "trial_type", "message")]
    device = file.entities.get("recording", "physio")
    info = event_stream(f"{device}.events", *map(Channel, numbers))
    info = replace(info, participant=parts.participant)
    order = sorted(rows, key=lambda row: read_number(row.get("onset", "")))
    times = np.array([parts.zero + read_number(r.get("onset", "")) for r in order])
    data = np.array([[read_number(r.get(c, "")) for c in numbers] for r in order])
    texts = (r.get("trial_type") or r.get("message") or "" for r in order)
    labels = tuple("" if text == MISSING else text for text in texts)
    parts.events[info.name] = Events(
        info, float(times[-1]) if len(times) else parts.zero, times,
        data.reshape(len(times), len(numbers)), labels if any(labels) else (),
    )  # fmt: skip


def _read_events(file: BidsFile, parts: _Parts) -> None:
    about = sidecar(file, parts.root)
    rows = read_table(file.path)
    if hed := read_hed(rows, about):
        parts.about[HED] = hed
    described = about[KEY].get("events") if isinstance(about.get(KEY), dict) else None
    if isinstance(described, dict) and _is_same(described, without_gaps(rows)):
        titles = tuple(rows[0]) if rows else ()
        for name, table in described.items():
            parts.events[name] = read_exact(
                rows_of(rows, name), table, parts.zero, titles
            )
            parts.exact.add(name)
        return
    events, notes = read_events(file.path, parts.zero, parts.participant)
    parts.notes += notes
    spans = [
        BadSpan(float(at), float(np.nan_to_num(values[0])), text)
        for at, values, text in zip(
            events.times, events.data, events.labels, strict=True
        )
        if is_bad(text, float(at) - parts.zero)
    ]
    if spans:
        eeg = {n: parts.streams[n] for n in parts.eeg}
        parts.streams |= mark_blocks(eeg, spans)
        parts.notes += bad_notes(spans, (), file.path.name)
    if len(events):
        parts.events = {n: e for n, e in parts.events.items()
                        if not n.endswith(".annotations")}  # fmt: skip
        parts.events.setdefault(events.info.name, events)


def _is_same(described: Mapping[str, Any], rows: Sequence[Row]) -> bool:
    """Return whether each event is of a stream that the description has, and counts."""
    counts = {name: len(rows_of(rows, name)) for name in described}
    return sum(counts.values()) == len(rows) and all(
        count == described[name].get("n") for name, count in counts.items()
    )


def _dates(root: Path, key: RecordingKey) -> dict[str, float]:
    """Return the Unix time of the first sample of each file in ``scans.tsv``."""
    path = root / key.folder / f"{'_'.join(key.folder.parts)}_scans.tsv"
    if not path.is_file():
        return {}
    dates = {}
    for row in read_table(path):
        try:
            date = datetime.fromisoformat(row.get("acq_time", ""))
        except ValueError:
            continue
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        dates[Path(row.get("filename", "")).name] = date.timestamp()
    return dates


def _lateness(file: BidsFile, parts: _Parts) -> float:
    """Return the time from the first sample of the first file to that of another."""
    at = parts.dates.get(file.path.name)
    eeg = [t for name, t in parts.dates.items() if "_eeg." in name]
    first = min(eeg or parts.dates.values(), default=0.0)
    return 0.0 if at is None else at - first


def _add_people(parts: _Parts, root: Path, key: RecordingKey) -> None:
    """Add the participant's rows of ``participants.tsv`` and ``phenotype/``."""
    subject = f"sub-{key.subject}"
    table = root / "participants.tsv"
    rows = read_table(table) if table.is_file() else []
    row = next((r for r in rows if r.get("participant_id") == subject), {})
    person = {c: v for c, v in row.items() if c != "participant_id" and v != MISSING}
    if person:
        parts.about[PEOPLE] = json.dumps(person)
    answers = {}
    for path in sorted((root / "phenotype").glob("*.tsv")):
        for row in read_table(path):
            session = row.get("session_id", "")
            if row.get("participant_id") != subject or (
                session and key.session and session != f"ses-{key.session}"
            ):
                continue
            answers[path.stem] = {
                c: v for c, v in row.items()
                if c not in ("participant_id", "session_id") and v != MISSING
            }  # fmt: skip
    if answers:
        parts.about[ANSWERS] = json.dumps(answers)
    begins = [t for name, t in parts.dates.items() if f"{key.stem}_" in name]
    if begins and not parts.shared:
        parts.about.setdefault("begin_unix", repr(min(begins)))


def dataset_description(path: Path) -> dict[str, Any]:
    """Return ``dataset_description.json`` of a data set; empty if it is damaged."""
    try:
        return read_json(path / "dataset_description.json")
    except (OSError, ValueError):
        return {}
