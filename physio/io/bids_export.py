"""Export of recordings to BIDS: EEG through mne-bids, other signals as physio files."""

import gzip
import io
import json
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from physio.core.block import Array, Block, Origin, StreamInfo
from physio.core.event_durations import RULE, event_ends
from physio.core.events import Events
from physio.core.missing import MissingReason
from physio.core.recording import STREAM_TIMEOUT, Recording, computed

FORMATS: Final = ("BrainVision", "EDF")
_PIPELINE: Final = "physio-affect"


@dataclass(frozen=True)
class Names:
    """BIDS entities in the file names of one participant's recording.

    Parameters
    ----------
    subject, session, task
        BIDS entities, of letters and digits; an empty session is left out.
    """

    subject: str
    session: str = ""
    task: str = "rest"

    @property
    def folder(self) -> Path:
        """Folder of the participant within the dataset."""
        parts = [f"sub-{self.subject}"]
        return Path(*parts, *([f"ses-{self.session}"] if self.session else []))

    @property
    def stem(self) -> str:
        """Beginning of each file's name."""
        ses = f"_ses-{self.session}" if self.session else ""
        return f"sub-{self.subject}{ses}_task-{self.task}"


def label(text: str) -> str:
    """Return a text as a BIDS label: its letters and digits."""
    return re.sub("[^A-Za-z0-9]", "", text)


def labels(names: Iterable[str], default: str) -> dict[str, str]:
    """Return a distinct label for each name, short enough for a file name."""
    chosen: dict[str, str] = {}
    for name in names:
        text, number = label(name)[:40] or default, 1
        taken = {other.casefold() for other in chosen.values()}
        while f"{text}{number if number > 1 else ''}".casefold() in taken:
            number += 1
        chosen[name] = f"{text}{number if number > 1 else ''}"
    return chosen


def export(
    recording: Recording,
    root: Path,
    to_raw: Callable[[Recording, str], Any],
    *,
    participant: str = "",
    session: str = "",
    task: str = "rest",
    eeg_format: str = "BrainVision",
) -> list[Names]:
    """Write a recording into a new or existing BIDS dataset.

    Each participant is a subject, and recordings of others in the dataset remain. A
    stream with EEG channels goes through mne-bids, with the labelled events as its
    ``events.tsv``, except those of the ground truth of a simulation; every other
    measured stream is written to a separate ``physio.tsv.gz`` with its rate, start and
    units; features and estimates are written as a derivative. Lost samples are ``n/a``,
    or NaN in the EEG (BrainVision).

    Parameters
    ----------
    recording
        The recording.
    root
        The dataset's folder.
    to_raw
        Function that converts a stream to MNE's raw object:
        `physio.view.convert.to_mne`.
    participant
        Code of the participant, for a recording of one; by default its own code, or
        ``01`` without one.
    session, task
        BIDS entities.
    eeg_format
        ``"BrainVision"``, which keeps missing samples as NaN, or ``"EDF"``, in which
        lost samples are 0 and annotated ``BAD_ACQ_SKIP``.

    Returns
    -------
    list of Names
        Names of each participant in the recording.

    Raises
    ------
    ValueError
        If the recording has no samples, or a format is unknown, or the dataset has
        files of this participant, session and task: nothing is overwritten.
    """
    if eeg_format not in FORMATS:
        raise ValueError(f"EEG goes into BIDS as {' or '.join(FORMATS)}")
    filled = {n: b for n, b in recording.streams.items() if any(map(len, b))}
    if all(map(computed, filled)):
        raise ValueError("there is nothing to export: no stream has samples")
    subjects = _subjects(filled, participant)
    every = {c: Names(s, label(session), label(task)) for c, s in subjects.items()}
    for names in every.values():
        _refuse_overwriting(root, names)
    root.mkdir(parents=True, exist_ok=True)
    _describe(root, "raw")
    recording = replace(recording, events=_without_truth(recording.events))
    return [
        _export_participant(recording, filled, root, to_raw, code, names, eeg_format)
        for code, names in every.items()
    ]


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


def _refuse_overwriting(root: Path, names: Names) -> None:
    """Raise an error if a dataset has files of a participant, session and task."""
    bases = (root, root / "derivatives" / _PIPELINE, root / "sourcedata")
    for base in bases:
        present = sorted((base / names.folder).rglob(f"{names.stem}_*"))
        present += sorted((base / names.folder).glob(f"{names.stem}.*"))
        if present:
            raise ValueError(
                f"{root} has {names.stem} already ({present[0].relative_to(root)}): "
                "give another participant, session or task, or a new folder; nothing "
                "is overwritten"
            )


def _without_truth(events: Mapping[str, Events]) -> dict[str, Events]:
    """Return the events without the ground truth of a simulation, but conditions."""
    return {
        name: e
        for name, e in events.items()
        if e.info.origin is not Origin.SIMULATED or name.endswith(".conditions")
    }


def _export_participant(
    recording: Recording,
    filled: dict[str, tuple[Block, ...]],
    root: Path,
    to_raw: Callable[[Recording, str], Any],
    participant: str,
    names: Names,
    eeg_format: str,
) -> Names:
    measured = {n: b for n, b in filled.items()
           if not computed(n) and b[0].info.participant == participant}  # fmt: skip
    eeg = [n for n, b in measured.items() if _is_eeg(b[0].info)]
    known = labels(measured, "stream")
    zero = float(measured[eeg[0] if eeg else next(iter(measured))][0].times[0])
    for name in eeg:
        acquisition = known[name] if len(eeg) > 1 else None
        _write_eeg(to_raw(recording, name), root, names, acquisition, eeg_format)
    kind = "eeg" if eeg else "beh"
    folder = root / names.folder / kind
    folder.mkdir(parents=True, exist_ok=True)
    if eeg:
        for path in folder.glob(f"{names.stem}*_events.json"):
            _describe_durations(path)
    else:
        _write_events(recording, folder / f"{names.stem}_events", zero)
        _participants(root, names.subject)
    for name in [n for n in measured if n not in eeg]:
        stem = f"{names.stem}_recording-{known[name]}_physio"
        _write_physio(measured[name], folder / stem, zero)
        if not eeg:
            _scan(
                root, names, f"{kind}/{stem}.tsv.gz", _date(recording, measured[name])
            )
    derived_streams = [n for n, b in filled.items()
            if computed(n) and b[0].info.participant == participant]  # fmt: skip
    if derived_streams:
        derived = root / "derivatives" / _PIPELINE
        (derived / names.folder / kind).mkdir(parents=True, exist_ok=True)
        _describe(derived, "derivative")
        kinds = [computed(name) for name in derived_streams]
        several = labels(derived_streams, "stream")
        for name, stream_kind in zip(derived_streams, kinds, strict=True):
            described = stream_kind if kinds.count(stream_kind) == 1 else several[name]
            stem = f"{names.stem}_desc-{described}_physio"
            _write_physio(filled[name], derived / names.folder / kind / stem, zero)
    return names


def _is_eeg(info: StreamInfo) -> bool:
    return any(c.kind == "eeg" for c in info.channels)


def _write_eeg(
    raw: Any, root: Path, names: Names, acquisition: str | None, eeg_format: str
) -> None:
    try:
        import mne_bids
    except ImportError:
        raise ValueError(
            "EEG goes into BIDS through mne-bids: pip install 'physio-affect[bids]'"
        ) from None
    if eeg_format == "EDF":  # which has no value for missing samples
        raw.apply_function(lambda x: np.nan_to_num(x), picks="all", verbose="error")
    path = mne_bids.BIDSPath(
        root=root,
        subject=names.subject,
        session=names.session or None,
        task=names.task,
        acquisition=acquisition,
        datatype="eeg",
    )
    with warnings.catch_warnings():
        # It warns of conversions, and of events in annotations.
        warnings.simplefilter("ignore")
        mne_bids.write_raw_bids(
            raw,
            path,
            format=eeg_format,
            allow_preload=True,
            overwrite=True,
            verbose="error",
        )


def _write_physio(blocks: Sequence[Block], stem: Path, zero: float) -> None:
    info = blocks[0].info
    times, data = _whole(blocks)
    table: dict[str, Any] = {
        "SamplingFrequency": float(info.rate),
        "StartTime": float(times[0]) - zero,
        "Columns": list(info.names),
        "Origin": str(info.origin),
    }
    for channel in info.channels:
        description = f"{channel.name} of {info.name}"
        table[channel.name] = {
            "Description": description,
            "Units": channel.unit,
            "Type": channel.kind,
        }
    Path(f"{stem}.json").write_text(json.dumps(table, indent=1) + "\n", "utf-8")
    text = io.StringIO()
    for row in data.tolist():
        text.write("\t".join("n/a" if v != v else repr(v) for v in row) + "\n")
    with (
        Path(f"{stem}.tsv.gz").open("wb") as file,
        # Neither a name nor the time of writing is stored in the file.
        gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
    ):
        packed.write(text.getvalue().encode())


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


def _write_events(recording: Recording, stem: Path, zero: float) -> None:
    rows = sorted(
        (float(time) - zero, float(end - time), text or name)
        for name, events in recording.events.items()
        if events.labels and name != STREAM_TIMEOUT
        for time, end, text in zip(
            events.times, event_ends(recording, name), _labels(events), strict=True
        )
    )
    lines = ["onset\tduration\ttrial_type"]
    lines += [f"{onset!r}\t{_seconds(length)}\t{text}" for onset, length, text in rows]
    Path(f"{stem}.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    description = {"trial_type": {"Description": "the marker's text, or its stream"}}
    Path(f"{stem}.json").write_text(json.dumps(description, indent=1) + "\n", "utf-8")
    _describe_durations(Path(f"{stem}.json"))


def _seconds(length: float) -> str:
    return f"{round(length, 6):g}" if length < 1e4 else repr(round(length, 6))


def _describe_durations(path: Path) -> None:
    """Write the rule of the durations into the description of the events."""
    about = json.loads(path.read_text("utf-8"))
    known = about.get("duration")
    about["duration"] = {
        **(known if isinstance(known, dict) else {"Units": "s"}),
        "Description": RULE,
    }
    path.write_text(json.dumps(about, indent=1) + "\n", "utf-8")


def _date(recording: Recording, blocks: Sequence[Block]) -> str:
    """Return the date of the first sample of a stream, as BIDS writes it."""
    if (date := recording.date) is None:
        return "n/a"
    first = next(b for b in blocks if len(b))
    date = date.astimezone(UTC)
    date += timedelta(seconds=float(first.times[0]) - recording.begin)
    return date.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _scan(root: Path, names: Names, filename: str, date: str) -> None:
    """Append a file to the list of a participant's or a session's recordings."""
    stem = "_".join(names.folder.parts)
    path = root / names.folder / f"{stem}_scans.tsv"
    text = path.read_text("utf-8") if path.exists() else "filename\tacq_time\n"
    path.write_text(f"{text}{filename}\t{date}\n", "utf-8")


def _labels(events: Events) -> list[str]:
    return [" ".join(text.split()) or "n/a" for text in events.labels]


def _participants(root: Path, subject: str) -> None:
    path = root / "participants.tsv"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    header = lines[0] if lines else "participant_id"
    if any(line.split("\t")[0] == f"sub-{subject}" for line in lines[1:]):
        return
    row = "\t".join([f"sub-{subject}"] + ["n/a"] * header.count("\t"))
    path.write_text("\n".join([header, *lines[1:], row]) + "\n", "utf-8")


def _describe(root: Path, kind: str) -> None:
    path = root / "dataset_description.json"
    if path.exists():
        return
    generator = {"Name": _PIPELINE, "Version": version("physio-affect")}
    table = {
        "Name": "Recorded with physio-affect",
        "BIDSVersion": "1.9.0",
        "DatasetType": kind,
        "GeneratedBy": [generator],
    }
    path.write_text(json.dumps(table, indent=1) + "\n", "utf-8")
    readme = root / "README"
    if not readme.exists():
        readme.write_text(
            "Recorded with physio-affect. Samples that were lost are n/a.\n"
            "Raw recordings, where given, are in sourcedata.\n",
            "utf-8",
        )
