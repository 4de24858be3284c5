"""Export of recordings to BIDS: EEG, movement, other signals, events, answers."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from physio.core.block import Array, Block, Channel, StreamInfo
from physio.core.edits import MARKS, Edits
from physio.core.missing import MissingReason
from physio.core.recording import Recording, computed
from physio.core.stream_layout import describe_stream
from physio.io.bids import eeg_files
from physio.io.bids.eeg_files import FORMATS, unit_text
from physio.io.bids.entities import PIPELINE, RecordingKey, label, labels
from physio.io.bids.event_tables import (
    HED_VERSION,
    hidden_events,
    is_public,
    write_events,
)
from physio.io.bids.sidecars import (
    HARDWARE,
    KEY,
    MISSING,
    read_json,
    read_table,
    task_metadata,
    write_json,
    write_table,
    write_values,
)

PEOPLE: Final = "bids.participant"
"""Key of a recording's metadata: its row of ``participants.tsv``, as JSON."""

ANSWERS: Final = "bids.phenotype"
"""Key of a recording's metadata: answers of the participant by instrument, as JSON."""

_MOTION: Final = (
    (r"acc(el\w*)?", "ACCEL", ("g", "mg", "m/s^2", "m/s2")),
    (r"gyr\w*", "GYRO", ("deg/s", "rad/s", "dps")),
    (r"mag\w*", "MAGN", ("uT", "T", "G", "mG")),
)
"""Pattern of a label, BIDS type and units of channels of movement."""

_COUNTED: Final = ("ACCEL", "ANGACCEL", "GYRO", "JNTANG", "LATENCY", "MAGN", "MISC",
                   "ORNT", "POS", "VEL")  # fmt: skip
"""Types of channels of motion that a sidecar counts."""

_MOTION_UNITS: Final = {"m/s2": "m/s^2", "dps": "deg/s"}


@dataclass(frozen=True)
class _Target:
    """A participant's part of a recording, and the place where it is written."""

    recording: Recording
    root: Path
    key: RecordingKey
    participant: str
    zero: float
    kind: str

    @property
    def folder(self) -> Path:
        return self.root / self.key.folder / self.kind

    def begin(self, blocks: Sequence[Block]) -> datetime | None:
        """Return the date of the first sample of a stream, if it is known."""
        if (date := self.recording.date) is None:
            return None
        first = next(b for b in blocks if len(b))
        date = date.astimezone(UTC)
        return date + timedelta(seconds=float(first.times[0]) - self.recording.begin)

    def date(self, blocks: Sequence[Block]) -> str:
        """Return the date of the first sample of a stream, as BIDS writes it."""
        begin = self.begin(blocks)
        return MISSING if begin is None else begin.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def export(
    recording: Recording,
    root: Path,
    *,
    participant: str = "",
    session: str = "",
    task: str = "rest",
    eeg_format: str = "auto",
    answers: Mapping[str, Mapping[str, float]] | None = None,
    edits: Edits | None = None,
) -> list[RecordingKey]:
    """Write a recording into a new or existing BIDS dataset.

    Each participant is a subject, and recordings of others in the dataset remain. A
    stream with EEG is written in a format of EEG, one of movement as BIDS motion, every
    other one as ``physio.tsv.gz``; labelled events as ``events.tsv``, values at
    irregular times as ``physioevents.tsv.gz``; features and estimates as a derivative.
    Lost samples are ``n/a``, or NaN in the EEG. Sidecars hold what BIDS has no place
    for, so that `physio.read` returns the same recording to the bit.

    Parameters
    ----------
    recording
        The recording.
    root
        The dataset's folder.
    participant
        Code of the participant, for a recording of one; by default its own code, or
        ``01`` without one.
    session, task
        BIDS entities.
    eeg_format
        Format of EEG: ``"BrainVision"`` (single precision), ``"EEGLAB"`` (double
        precision), ``"EDF"`` or ``"BDF"`` (16 and 24 bits; lost samples are 0 and
        annotated), or ``"auto"``: BrainVision if it holds each sample to the bit, else
        EEGLAB.
    answers
        Scores of the participant for ``phenotype/``, by instrument and measure.
    edits
        Edits by eye, on the session clock: a table among the derivatives, which changes
        no sample.

    Returns
    -------
    list of RecordingKey
        Entities of each participant in the recording.

    Raises
    ------
    ValueError
        If the recording has no samples, or a format is unknown, or the dataset has
        files of this participant, session and task: nothing is overwritten.

    Notes
    -----
    Time stamps of devices (`Block.stamps`) are not stored.
    """
    if eeg_format not in FORMATS:
        raise ValueError(
            f"EEG goes into BIDS as {', '.join(FORMATS)}, not as {eeg_format!r}"
        )
    filled = {n: b for n, b in recording.streams.items() if any(map(len, b))}
    if all(map(computed, filled)):
        raise ValueError("there is nothing to export: no stream has samples")
    subjects = _subjects(filled, participant)
    every = {c: RecordingKey(s, label(session), label(task))
             for c, s in subjects.items()}  # fmt: skip
    for key in every.values():
        _refuse_overwriting(root, key)
    root.mkdir(parents=True, exist_ok=True)
    _describe(root, "raw")
    recording = replace(recording, streams=dict(recording.streams))
    for code, key in every.items():
        measured = {n: b for n, b in filled.items()
               if not computed(n) and b[0].info.participant == code}  # fmt: skip
        eeg = [n for n, b in measured.items() if _is_eeg(b[0].info)]
        first = measured[eeg[0] if eeg else next(iter(measured))]
        kind = "eeg" if eeg else "beh"
        target = _Target(recording, root, key, code, _begin(first), kind)
        _write_streams(target, measured, eeg_format)
        _write_all_events(target, measured, sorted(subjects))
        _write_derived(target, filled)
        if edits is not None:
            _write_edits(target, edits)
        _write_people(target, answers or {})
    return list(every.values())


def _subjects(filled: dict[str, tuple[Block, ...]], participant: str) -> dict[str, str]:
    """Return the BIDS subject of each participant of a recording."""
    measured = (b[0].info for n, b in filled.items() if not computed(n))
    codes = list(dict.fromkeys(info.participant for info in measured))
    if not participant:
        return labels(codes, "01")
    if len(codes) > 1:
        raise ValueError(
            f"the recording has {len(codes)} participants ({', '.join(codes)}), and "
            f"{participant!r} names one: leave the option out"
        )
    if not label(participant):
        raise ValueError(f"participant {participant!r} has no letter and no digit")
    return {codes[0]: label(participant)}


def _refuse_overwriting(root: Path, key: RecordingKey) -> None:
    """Raise an error if a dataset has files of a participant, session and task."""
    bases = (root, root / "derivatives" / PIPELINE, root / "sourcedata")
    for base in bases:
        present = sorted((base / key.folder).rglob(f"{key.stem}_*"))
        present += sorted((base / key.folder).glob(f"{key.stem}.*"))
        if present:
            raise ValueError(
                f"{root} has {key.stem} already ({present[0].relative_to(root)}): "
                "give another participant, session or task, or a new folder; nothing "
                "is overwritten"
            )


def _is_eeg(info: StreamInfo) -> bool:
    return any(c.kind == "eeg" for c in info.channels)


def _write_streams(
    target: _Target,
    measured: Mapping[str, tuple[Block, ...]],
    eeg_format: str,
) -> None:
    """Write the measured streams of a participant, and list them in ``scans.tsv``."""
    known = labels(measured, "stream")
    eeg = [n for n, b in measured.items() if _is_eeg(b[0].info)]
    target.folder.mkdir(parents=True, exist_ok=True)
    stem = target.key.stem
    for name, blocks in measured.items():
        if name in eeg:
            acquisition = f"_acq-{known[name]}" if len(eeg) > 1 else ""
            file = _write_eeg(target, blocks, f"{stem}{acquisition}", eeg_format)
        elif _motion_types(blocks[0].info):
            file = _write_motion(target, blocks, f"{stem}_tracksys-{known[name]}")
        else:
            path = target.folder / f"{stem}_recording-{known[name]}_physio"
            file = _write_physio(blocks, path, target.zero, target.key.task)
        place = file.relative_to(target.root / target.key.folder)
        _scan(target, place.as_posix(), target.date(blocks))


def _write_eeg(
    target: _Target, blocks: Sequence[Block], stem: str, eeg_format: str
) -> Path:
    info, (_, data) = blocks[0].info, _whole(blocks)
    path = target.folder / f"{stem}_eeg"
    chosen = eeg_files.eeg_format(eeg_format, data)
    no_nan = chosen in ("EDF", "BDF")
    about = {"zero": target.zero, **describe_stream(blocks, every_value=no_nan)}
    sidecar = eeg_files.eeg_sidecar(info, len(data), target.key.task)
    write_json(Path(f"{path}.json"), {**sidecar, KEY: about})
    eeg_files.write_channels(target.folder / f"{stem}_channels.tsv", info, data)
    return eeg_files.write_samples(path, blocks, data, chosen, target.begin(blocks))


def _motion_types(info: StreamInfo) -> tuple[tuple[str, str], ...]:
    """Return the BIDS type and axis of each channel of movement; none for others."""
    axes: list[tuple[str, str]] = []
    for channel in info.channels:
        text = f"{info.name.rpartition('.')[2]} {channel.name}".lower()
        axis = re.search(r"(?:^|[^a-z])?([xyz])$", channel.name.lower())
        types = [t for pattern, t, units in _MOTION
                 if channel.unit in units and re.search(pattern, text)]  # fmt: skip
        if not types or axis is None:
            return ()
        axes.append((types[0], axis[1]))
    return tuple(axes)


def _write_motion(target: _Target, blocks: Sequence[Block], stem: str) -> Path:
    """Write a stream of accelerometers, gyroscopes or magnetometers as BIDS motion."""
    info, (_, data) = blocks[0].info, _whole(blocks)
    folder = target.root / target.key.folder / "motion"
    folder.mkdir(parents=True, exist_ok=True)
    types = _motion_types(info)
    counts = {f"{t}ChannelCount": [k for k, _ in types].count(t) for t in _COUNTED}
    filled = [b for b in blocks if len(b)]
    seconds = filled[-1].complete_until - float(filled[0].times[0])
    site = info.site or MISSING
    system = stem.rpartition("_tracksys-")[2]
    table = {
        **task_metadata(target.key.task),
        "SamplingFrequency": float(info.rate),
        "TrackingSystemName": system,
        "MotionChannelCount": len(types),
        "TrackedPointsCount": 1,
        **counts,
        "SamplingFrequencyEffective": (len(data) - 1) / seconds if seconds else MISSING,
        "RecordingType": "continuous",
        "RecordingDuration": len(data) / float(info.rate),
        "MissingValues": MISSING,
        "SpatialAxes": MISSING,
        "SubjectArtefactDescription": "not described",
        **HARDWARE,
        KEY: {"zero": target.zero, **describe_stream(blocks)},
    }
    write_json(folder / f"{stem}_motion.json", table)
    header = ("name", "component", "type", "tracked_point", "units", "placement",
              "sampling_frequency", "status", "status_description")  # fmt: skip
    _, rows = eeg_files.channel_rows(info, data)
    write_table(
        folder / f"{stem}_channels.tsv",
        header,
        (
            (c.name, axis, kind, site, _MOTION_UNITS.get(c.unit, c.unit),
             info.placement or MISSING, f"{float(info.rate):.10g}", *row[-2:])
            for c, (kind, axis), row in zip(info.channels, types, rows, strict=True)
        ),
    )  # fmt: skip
    path = folder / f"{stem}_motion.tsv"
    write_values(path, data)
    return path


def _write_physio(blocks: Sequence[Block], stem: Path, zero: float, task: str) -> Path:
    info = blocks[0].info
    times, data = _whole(blocks)
    table: dict[str, Any] = {
        "SamplingFrequency": float(info.rate),
        "StartTime": float(times[0]) - zero,
        "Columns": list(info.names),
        **HARDWARE,
        "TaskName": task,
        "Description": f"{', '.join(info.names[:8])} of {info.name}",
        "PhysioType": "generic",
        "Origin": str(info.origin),
        "MeasurementSite": info.site or MISSING,
    }
    for channel in info.channels:
        table[channel.name] = _column(channel, info)
    table[KEY] = {"zero": zero, **describe_stream(blocks)}
    write_json(Path(f"{stem}.json"), table)
    path = Path(f"{stem}.tsv.gz")
    write_values(path, data)
    return path


def _column(channel: Channel, info: StreamInfo) -> dict[str, str]:
    return {
        "Description": f"{channel.name} of {info.name}",
        "Units": unit_text(channel),
        "Type": channel.kind,
    }


def _whole(blocks: Sequence[Block]) -> tuple[Array, Array]:
    """Return the times (s) and rows of a stream, with NaN for lost rows."""
    filled = [b for b in blocks if len(b)]
    first, last = filled[0], filled[-1]
    data = np.full(
        (last.stop - first.start, len(first.info.channels)), MissingReason.NO_SIGNAL.nan
    )
    for block in filled:
        data[block.start - first.start : block.stop - first.start] = block.data
    return first.times, data


def _write_all_events(
    target: _Target, measured: Mapping[str, tuple[Block, ...]], codes: Sequence[str]
) -> None:
    """Write the events of a participant and of the session, and what they share."""
    recording, stem = target.recording, target.folder / target.key.stem
    others = set(codes) - {target.participant, ""}
    concerned = {n: e for n, e in recording.events.items()
                 if e.info.participant not in others}  # fmt: skip
    public = [name for name, events in concerned.items() if is_public(events)]
    empty = {n: describe_stream(b) for n, b in recording.streams.items()
             if not any(map(len, b))}  # fmt: skip
    about: dict[str, Any] = {
        "zero": target.zero,
        "participant": target.participant,
        "metadata": dict(recording.metadata),
        "streams": list(recording.streams),
        "event_streams": list(recording.events),
        "empty": empty,
        "timeline": [list(arrival) for arrival in recording.timeline],
        "hidden": {n: hidden_events(e) for n, e in concerned.items()
                   if n not in public},
    }  # fmt: skip
    if len(codes) > 1:
        about["together"] = _identity(recording)
    gaps = [gap for blocks in measured.values() if _is_eeg(blocks[0].info)
            for gap in _gaps(blocks)]  # fmt: skip
    path = Path(f"{stem}_events")
    task = target.key.task
    write_events(recording, public, path, target.zero, task, about=about, gaps=gaps)
    folder = target.root / target.key.folder / "motion"
    known = labels(measured, "stream")
    for name, blocks in measured.items():
        if _motion_types(blocks[0].info):
            path = folder / f"{target.key.stem}_tracksys-{known[name]}_events"
            write_events(recording, public, path, _begin(blocks), task)


def _begin(blocks: Sequence[Block]) -> float:
    return next(float(b.times[0]) for b in blocks if len(b))


def _gaps(blocks: Sequence[Block]) -> list[tuple[float, float]]:
    """Return begin and end of the lost samples of a stream (s, session clock)."""
    filled = [b for b in blocks if len(b)]
    return [
        (b.t0 + a.stop / float(a.info.rate), float(b.times[0]))
        for a, b in pairwise(filled)
        if b.start > a.stop
    ]


def _identity(recording: Recording) -> str:
    """Return what tells the participants of one recording from those of others."""
    infos = repr([(i.name, i.participant) for i in recording.infos])
    about = repr((sorted(recording.metadata.items()), recording.begin, recording.end))
    return hashlib.sha256((infos + about).encode()).hexdigest()[:16]


def _write_derived(target: _Target, filled: Mapping[str, tuple[Block, ...]]) -> None:
    """Write features and estimates as a derivative data set."""
    streams = [
        name
        for name, blocks in filled.items()
        if computed(name) and blocks[0].info.participant == target.participant
    ]
    if not streams:
        return
    root = target.root / "derivatives" / PIPELINE
    folder = root / target.key.folder / target.kind
    folder.mkdir(parents=True, exist_ok=True)
    _describe(root, "derivative")
    kinds = [computed(name) for name in streams]
    several = labels(streams, "stream")
    for name, kind in zip(streams, kinds, strict=True):
        text = kind if kinds.count(kind) == 1 else several[name]
        stem = f"{target.key.stem}_recording-{text}_physio"
        _write_physio(filled[name], folder / stem, target.zero, target.key.task)


def _write_edits(target: _Target, edits: Edits) -> None:
    """Write the edits by eye as a table of events among the derivatives."""
    root = target.root / "derivatives" / PIPELINE
    folder = root / target.key.folder / target.kind
    folder.mkdir(parents=True, exist_ok=True)
    _describe(root, "derivative")
    stem = f"{target.key.stem}_desc-edits_events"
    others = {i.name for i in target.recording.infos
              if i.participant not in ("", target.participant)}  # fmt: skip
    write_table(
        folder / f"{stem}.tsv",
        tuple(_EDIT_COLUMNS),
        (
            (
                f"{e.begin - target.zero:.6f}",
                f"{e.end - e.begin:.6f}" if e.kind in MARKS else MISSING,
                e.kind,
                e.stream or MISSING,
                ", ".join(e.channels) or MISSING,
                f"{e.end - target.zero:.6f}" if "move" in e.kind else MISSING,
                e.rater,
                e.why or MISSING,
                e.at or MISSING,
            )
            for e in sorted(edits.active, key=lambda e: e.begin)
            if e.stream not in others
        ),
    )
    table = {c: {"Description": text} for c, text in _EDIT_COLUMNS.items()}
    write_json(folder / f"{stem}.json", {**table, KEY: {"edits": edits.sentence}})


_EDIT_COLUMNS: Final = {
    "onset": "begin of a span, or time of a beat or of the onset of a response (s)",
    "duration": "length of a span (s)",
    "trial_type": "kind of the edit: bad, exclude, or what was added, deleted or moved",
    "stream": "stream",
    "channels": "channels; n/a for all of the stream",
    "new_onset": "new time of what was moved (s)",
    "rater": "code of the rater",
    "why": "reason",
    "date": "date and time of the edit",
}


def _write_people(target: _Target, answers: Mapping[str, Mapping[str, float]]) -> None:
    """Write the rows of a participant in ``participants.tsv`` and ``phenotype/``."""
    about = target.recording.metadata
    person = {str(k): str(v) for k, v in _stored(about, PEOPLE).items()}
    _add_row(target.root / "participants.tsv", {
        **person, "participant_id": f"sub-{target.key.subject}",
    }, ("participant_id",))  # fmt: skip
    _describe_columns(target.root / "participants.json",
                      {c: c.replace("_", " ") for c in person})  # fmt: skip
    instruments = {str(k): dict(v) for k, v in _stored(about, ANSWERS).items()}
    for name, scores in answers.items():
        instruments[name] = {m: _score(value) for m, value in scores.items()}
    session = {"session_id": f"ses-{target.key.session}"} if target.key.session else {}
    for name, row in instruments.items():
        folder = target.root / "phenotype"
        folder.mkdir(exist_ok=True)
        text = label(name) or "answers"
        _add_row(
            folder / f"{text}.tsv",
            {
                "participant_id": f"sub-{target.key.subject}",
                **session,
                **{str(k): str(v) for k, v in row.items()},
            },
            ("participant_id", "session_id"),
        )
        described = dict.fromkeys(session, "session of the answers") | {
            str(c): f"{c} of {name}" for c in row
        }
        _describe_columns(folder / f"{text}.json", described, name)


def _score(value: float) -> str:
    return MISSING if value != value else f"{value:.10g}"


def _stored(about: Mapping[str, str], key: str) -> dict[str, Any]:
    try:
        table = json.loads(about.get(key, "{}"))
    except ValueError:
        return {}
    return table if isinstance(table, dict) else {}


def _add_row(path: Path, row: Mapping[str, str], keys: Sequence[str]) -> None:
    """Add a row to a table, or complete the row with the same keys."""
    rows = read_table(path) if path.exists() else []
    same = [r for r in rows if all(r.get(k) == row.get(k) for k in keys)]
    header = list(dict.fromkeys([*keys[:1], *(c for r in (*rows, row) for c in r)]))
    if same:
        same[0] |= {c: v for c, v in row.items() if same[0].get(c, MISSING) == MISSING}
    else:
        rows.append(dict(row))
    write_table(path, header, ([r.get(c, MISSING) for c in header] for r in rows))


def _describe_columns(
    path: Path, columns: Mapping[str, str], instrument: str = ""
) -> None:
    """Describe columns of a table in its sidecar; what is described stays."""
    table = read_json(path) if path.exists() else {}
    if instrument and "MeasurementToolMetadata" not in table:
        table["MeasurementToolMetadata"] = {"Description": instrument}
    for name, text in {"participant_id": "code of the participant", **columns}.items():
        table.setdefault(name, {"Description": text})
    write_json(path, table)


def _scan(target: _Target, filename: str, date: str) -> None:
    """Append a file to the list of a participant's or a session's recordings."""
    folder = target.key.folder
    path = target.root / folder / f"{'_'.join(folder.parts)}_scans.tsv"
    _add_row(path, {"filename": filename, "acq_time": date}, ("filename",))


def _describe(root: Path, kind: str) -> None:
    path = root / "dataset_description.json"
    if path.exists():
        return
    generator = {"Name": PIPELINE, "Version": version("physio-affect")}
    table: dict[str, Any] = {
        "Name": "Recorded with physio-affect",
        "BIDSVersion": "1.10.1",
        "License": MISSING,
        "SourceDatasets": [],
        "HEDVersion": HED_VERSION,
        "DatasetType": kind,
        "GeneratedBy": [generator],
    }
    write_json(path, table)
    readme = root / "README"
    if not readme.exists():
        readme.write_text(
            "Recorded with physio-affect. Samples that were lost are n/a. Raw "
            "recordings, where\ngiven, are in sourcedata, features and estimates in "
            "derivatives. The key PhysioAffect\nof the sidecars holds what BIDS has no "
            "place for: exact times, reasons of missing\nvalues. Add authors and "
            "licence to dataset_description.json.\n",
            "utf-8",
        )
