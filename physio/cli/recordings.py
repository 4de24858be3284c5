"""Commands that repair and export recordings."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from physio.cli.channel_option import Channels, corrected
from physio.cli.edits_option import Rater, UseEdits, chosen_edits, entities_of
from physio.cli.output import (
    Board,
    Columns,
    ExportSession,
    JsonPath,
    say,
    write_json,
)
from physio.core.counted_nouns import counted

if TYPE_CHECKING:
    from physio.core.edits import Edits
    from physio.core.recording import Recording


ANONYMISED: Final = ".anonymised"
"""Empty file in the folder of an anonymised export."""


def repair(
    path: Annotated[Path, typer.Argument(help="A truncated or damaged XDF file.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The new file; default: FILE_repaired.xdf beside it."),
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Repair a recording that a crash truncated, or that is damaged.

    All intact chunks are written to a new file; the damaged file is not changed. XDF
    files of other programs are repaired too.

    Example: `physio repair sessions/p07-20260412-101500/recording.xdf`
    """
    from physio.io import xdf

    done = xdf.repair(path, out)
    for text in done.damage:
        say(f"dropped: {text}")
    if done.cut:
        say(f"dropped: {counted(done.cut, 'byte')} at the end, of an incomplete chunk")
    if done.samples is not None:
        say(
            f"recovered: {counted(done.samples, 'sample')} and "
            f"{counted(done.events or 0, 'event')} over "
            f"{done.seconds:.1f} s; the session: {done.ended}"
        )
    say(f"{done.path} is written; {path} is unchanged")
    write_json(json_path, {**asdict(done), "path": str(done.path)})


def export(
    path: Annotated[
        Path, typer.Argument(help="A recording in any format that replay reads.")
    ],
    out: Annotated[Path, typer.Argument(help="Output folder; created if missing.")],
    kind: Annotated[
        str, typer.Option("--format", help="Format: bids, parquet, csv or edf.")
    ] = "bids",
    anonymise: Annotated[
        bool,
        typer.Option(
            "--anonymise",
            help="Remove participant, place, date and serial numbers of devices.",
        ),
    ] = False,
    keep_labels: Annotated[
        bool,
        typer.Option(
            "--keep-labels", help="Keep the texts of markers when anonymising."
        ),
    ] = False,
    participant: Annotated[
        str, typer.Option(help="BIDS participant; default: that of the recording.")
    ] = "",
    session: Annotated[str, typer.Option(help="BIDS session.")] = "",
    e4_session: ExportSession = "",
    task: Annotated[str, typer.Option(help="BIDS task.")] = "rest",
    eeg_format: Annotated[
        str,
        typer.Option(
            help="EEG in BIDS: BrainVision, EEGLAB, EDF, BDF, or auto: BrainVision if "
            "it holds each sample to the bit, else EEGLAB."
        ),
    ] = "auto",
    board: Board = None,
    columns: Columns = None,
    channels: Channels = None,
    edits: UseEdits = True,
    rater: Rater = "",
    json_path: JsonPath = None,
) -> None:
    """Export a recording as BIDS, or as tables or EDF with a file per stream.

    Further recordings go into the same BIDS folder by their participant, session or
    task; files are never overwritten. Of a BIDS folder, these options also select the
    recording that is exported.

    Example: `physio export sessions/p07/recording.xdf bids --task films --anonymise`
    """
    from physio.datasets.open_recording import read
    from physio.io.anonymize import anonymize as without_identity

    if kind not in ("bids", *_WRITERS):
        raise ValueError(
            f"cannot export as {kind!r}: formats are bids, {', '.join(_WRITERS)}"
        )
    entities = {"participant": participant, "session": session, "task": task}
    chosen = _chosen(path, e4_session, entities)
    whole = corrected(read(path, board=board, columns=columns, **chosen), channels)
    recording = without_identity(whole, keep_labels=keep_labels) if anonymise else whole
    _prepare(out, anonymise=anonymise)
    if kind == "bids":
        used = _edits(path, (whole, recording), edits, rater, chosen)
        is_whole = not anonymise
        _to_bids(recording, path, out, entities, eeg_format, used, whole=is_whole)
    else:
        _WRITERS[kind](recording, out)
    _say_written(out, json_path)


def _say_written(out: Path, json_path: Path | None) -> None:
    """Name the files of an output folder."""
    files = (p for p in out.rglob("*") if p.is_file())
    written = sorted(p for p in files if p.name != ANONYMISED)
    for file in written:
        say(str(file))
    write_json(json_path, {"files": [str(file.relative_to(out)) for file in written]})


def _chosen(path: Path, e4_session: str, entities: dict[str, str]) -> dict[str, str]:
    """Return the options that select the recording to read."""
    from physio.datasets.bids import is_bids

    if not is_bids(path):
        return {"session": e4_session}
    task = "" if entities["task"] == "rest" else entities["task"]
    return {**entities, "session": e4_session or entities["session"], "task": task}


def _edits(
    path: Path,
    recordings: "tuple[Recording, Recording]",
    use: bool,
    rater: str,
    selected: dict[str, str],
) -> "Edits | None":
    """Return the edits by eye of a recording, and state them.

    The second recording is the exported one, which may be anonymised.
    """
    from physio.io.anonymize import anonymize_edits

    whole, exported = recordings
    names = (selected.get(n, "") for n in ("participant", "session", "task"))
    edits = chosen_edits(path, exported, use, rater, entities_of(path, *names))
    if edits is None:
        return None
    say(edits.sentence)
    return edits if exported is whole else anonymize_edits(edits, whole, exported)


def _prepare(out: Path, *, anonymise: bool) -> None:
    """Create an output folder; refuse to mix anonymised and other exports in one."""
    mark = out / ANONYMISED
    if out.is_dir() and any(out.iterdir()) and mark.exists() != anonymise:
        content = "files that are not anonymised" if anonymise else "anonymised files"
        raise ValueError(
            f"{out} holds {content}, which must not be mixed with this export: give a "
            "new folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    if anonymise:
        mark.touch()


def _to_bids(
    recording: "Recording",
    path: Path,
    out: Path,
    entities: dict[str, str],
    eeg_format: str,
    edits: "Edits | None",
    *,
    whole: bool,
) -> None:
    """Write a BIDS dataset; put the recording, or a copy, under ``sourcedata``."""
    from physio.io import xdf
    from physio.io.bids import bids_export
    from physio.study.bids import answers

    exported = bids_export.export(
        recording,
        out,
        eeg_format=eeg_format,
        answers=answers(recording) if whole else {},
        edits=edits,
        **entities,
    )
    for names in exported[:1]:
        folder = out / "sourcedata" / names.folder
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{names.stem}.xdf"
        if whole and path.suffix == ".xdf":
            shutil.copyfile(path, target)
        else:
            xdf.write(target, recording)


def _refuse_overwriting(targets: Iterable[Path]) -> None:
    """Raise an error if a file that is to be written exists."""
    if present := [path for path in targets if path.exists()]:
        raise ValueError(
            f"{present[0]} exists, and is not overwritten: give a new folder"
        )


def _to_tables(recording: "Recording", out: Path, suffix: str) -> None:
    from physio.core.filename import distinct_filenames
    from physio.io import recording_tables
    from physio.view import convert

    frames = convert.to_pandas(recording)
    files = distinct_filenames(frames)
    _refuse_overwriting(out / f"{files[name]}.{suffix}" for name in frames)
    for name, frame in frames.items():
        target = out / f"{files[name]}.{suffix}"
        if suffix == "csv":
            frame.to_csv(target)
        else:
            frame.to_parquet(target)
    recording_tables.describe(out, recording, files, suffix)


def _to_edf(recording: "Recording", out: Path) -> None:
    """Write each regular stream with samples; lost samples are 0 and annotated."""
    from physio.core.filename import distinct_filenames
    from physio.core.recording import computed
    from physio.io.edf_export import write_edf
    from physio.view import convert

    files = distinct_filenames(recording.streams)
    _refuse_overwriting(out / f"{file}.edf" for file in files.values())
    for name, blocks in recording.streams.items():
        if not any(map(len, blocks)) or computed(name):
            continue
        raw = convert.to_mne(recording, name)
        notes = [(float(a["onset"]), float(a["duration"]), str(a["description"]))
                 for a in raw.annotations
                 if a["description"] not in ("BAD_ACQ_SKIP", "BAD_NAN")]  # fmt: skip
        began = raw.info["meas_date"]
        if text := convert.excluded_events(recording, name):
            say(text)
        write_edf(out / f"{files[name]}.edf", blocks, notes, began)


_WRITERS: Final[dict[str, Callable[["Recording", Path], None]]] = {
    "parquet": lambda recording, out: _to_tables(recording, out, "parquet"),
    "csv": lambda recording, out: _to_tables(recording, out, "csv"),
    "edf": _to_edf,
}
