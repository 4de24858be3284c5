"""Overview of many recordings: a report of each, in parallel, and one of all."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from physio.cli.output import say
from physio.core.filename import distinct_filenames
from physio.core.missing import MissingReason
from physio.core.private_file import write_private
from physio.datasets.recording_folder import RecordingPlace, find_recordings, is_single

if TYPE_CHECKING:
    from physio.core.block import StreamInfo
    from physio.core.recording import Recording
    from physio.view.reports.html_report import HtmlReport

_KINDS: Final = {"eeg": "EEG", "gsr": "EDA", "ecg": "ECG", "bio": "PPG",
                 "resp": "respiration", "temperature": "temperature"}  # fmt: skip
_MOVEMENT: Final = ("g", "mg", "m/s^2")
_NOTE: Final = 300  # characters of a note or an error


def recordings_of(path: Path, options: Mapping[str, Any]) -> list[RecordingPlace]:
    """Return the recordings of a folder; none if it is a single recording itself."""
    from physio.datasets.bids import Bids, is_bids
    from physio.io.bids.entities import Selection

    if not path.is_dir():
        return []
    chosen = {key: str(options[key]) for key in ("participant", "session", "task")}
    if is_bids(path):
        if Bids(path, Selection(**chosen)).is_single_session():
            return []
    elif is_single(path):
        return []
    places = find_recordings(path, **chosen)
    return places if len(places) > 1 else []


def overview(
    places: Sequence[RecordingPlace],
    title: str,
    into: Path,
    backend: str,
    options: Mapping[str, Any],
) -> "HtmlReport":
    """Write a report of each recording, and return the one of all.

    Reports whose recording, edits by eye, options, files of options and code are
    unchanged are not written again. A
    recording that cannot be read costs only its row.

    Parameters
    ----------
    places
        The recordings.
    title
        Name of the data set.
    into
        The HTML file of the overview; the reports are in a folder beside it.
    backend
        Backend: see `physio.offline.parallel.run_jobs`.
    options
        Options of reading: board, columns, channels.
    """
    from physio.offline.extract import source_fingerprint
    from physio.offline.parallel import run_jobs
    from physio.view.reports.overview import overview_report

    folder = into.with_name(f"{into.stem}_recordings")
    folder.mkdir(parents=True, exist_ok=True)
    files = _files([place.name for place in places])
    settings = {k: str(v) for k, v in options.items()}
    given = _content(v for v in options.values() if isinstance(v, Path))
    code = f"{version('physio-affect')} {source_fingerprint()} {settings} {given}"
    jobs = [(place, folder / files[place.name]) for place in places]
    rows: dict[str, dict[str, Any]] = {}
    work = partial(_report_recording, code, dict(options))
    for name, status, row in run_jobs(work, jobs, backend):
        rows[name] = {**row, "page": f"{folder.name}/{files[name]}.html"}
        say(f"{len(rows)} of {len(jobs)}: {name}: {row.get('error', status)}")
    return overview_report(title, [rows[place.name] for place in places])


def _files(names: Sequence[str]) -> dict[str, str]:
    """Return the name of the report of each recording, without suffix."""
    plain = [name.replace("/", "_") for name in names]
    if len({name.casefold() for name in plain}) < len(names):
        return distinct_filenames(names)
    files = distinct_filenames(plain)
    return {name: files[text] for name, text in zip(names, plain, strict=True)}


def _report_recording(
    code: str, options: dict[str, Any], job: tuple[RecordingPlace, Path]
) -> tuple[str, str, dict[str, Any]]:
    """Write the report of a recording; return its name, its status and its row."""
    from physio.offline.parallel import single_thread

    place, stem = job
    page, state = (stem.with_name(f"{stem.name}.{kind}") for kind in ("html", "json"))
    try:
        content = f"{code} {place.fingerprint()} {_content(_edits(place))}"
        mark = sha256(content.encode()).hexdigest()
        if page.is_file() and (row := _stored(state, mark)) is not None:
            return place.name, "unchanged", row
        with single_thread():
            row, report = _row(place, options)
        write_private(page, str(report))
        write_private(state, json.dumps({"mark": mark, "row": row}) + "\n")
    except Exception as error:  # of any file: the other recordings are still reported
        text = " ".join(str(error).split()) or type(error).__name__
        return place.name, "", {"name": place.name, "error": text[:_NOTE]}
    return place.name, "done", row


def _edits(place: RecordingPlace) -> list[Path]:
    """Return the files of edits by eye of a recording."""
    from physio.cli.edits_option import entities_of
    from physio.offline.edits_file import EditedRecording

    names = (place.options.get(n, "") for n in ("participant", "session", "task"))
    try:
        edited = EditedRecording.of(place.path, entities_of(place.path, *names))
    except ValueError:  # several recordings match: no edits are used
        return []
    return [edited.path(rater) for rater in edited.raters()]


def _content(paths: Iterable[Path]) -> list[tuple[str, str]]:
    """Return name and hash of the content of files, of those that there are."""
    return [
        (path.name, sha256(path.read_bytes()).hexdigest())
        for path in paths
        if path.is_file()
    ]


def _stored(state: Path, mark: str) -> dict[str, Any] | None:
    """Return the row of a report that is up to date."""
    try:
        table = json.loads(state.read_text("utf-8"))
        row = table["row"] if table["mark"] == mark else None
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return row if isinstance(row, dict) else None


def _row(
    place: RecordingPlace, options: dict[str, Any]
) -> "tuple[dict[str, Any], HtmlReport]":
    """Return the entry of a recording in the overview, and its report."""
    from physio.cli.report import session_page
    from physio.cli.summary import reader_notes

    page, recording, streams = session_page(place.path, {**options, **place.options})
    date = recording.date
    origins = {info.origin.value for info in recording.inputs}
    row = {
        "name": place.name,
        "participant": _participant(recording),
        "began": "" if date is None else f"{date:%Y-%m-%d %H:%M}",
        "seconds": recording.seconds,
        "origin": next((o for o in sorted(origins) if o != "measured"), "measured"),
        "sensors": _sensors(recording, streams),
        "notes": [text[:_NOTE] for text in reader_notes(recording)],
    }
    return row, page


def _participant(recording: "Recording") -> str:
    codes = dict.fromkeys(i.participant for i in recording.inputs if i.participant)
    return ", ".join(codes) or recording.metadata.get("participant", "")


def _sensors(
    recording: "Recording", streams: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the share of time with a value of each sensor, and why not more."""
    infos = {info.name: info for info in recording.infos}
    sensors: dict[str, dict[str, Any]] = {}
    for stream in streams:
        info = infos[stream["name"]]
        sensor = _sensor(info)
        if not sensor or not info.rate or info.name.endswith(".truth"):
            continue
        share, reason = _share(stream)
        if sensor not in sensors or share > sensors[sensor]["share"]:
            sensors[sensor] = {"share": share, "reason": reason, "stream": info.name}
    return sensors


def _sensor(info: "StreamInfo") -> str:
    """Return the name of the sensor of a stream; empty for helpers."""
    kinds = [c.kind for c in info.channels]
    known = next((_KINDS[kind] for kind in kinds if kind in _KINDS), "")
    is_moving = any(c.unit in _MOVEMENT for c in info.channels)
    return known or ("movement" if is_moving else "")


def _share(stream: Mapping[str, Any]) -> tuple[float, str]:
    """Return the share of time with a value, and the reasons for the rest."""
    chains = stream["computed"]
    expected = stream["samples"] + stream["lost"]
    present = stream["samples"] / expected if expected else 0.0
    faults = "; ".join(stream["faults"])
    if not chains:
        reason = "; ".join(stream["notes"]) or MissingReason.NO_SIGNAL.words
        return present, faults or reason
    best = max(chains, key=lambda chain: float(chain["share"]))
    lacks = sorted(best["missing"].items(), key=lambda item: -item[1])
    reasons = ", ".join(
        f"{text} {share:.0%}" for text, share in lacks if share >= 0.005
    )
    return float(best["share"]), "; ".join(filter(None, (faults, reasons)))
