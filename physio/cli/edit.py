"""The command for correction by eye, and for the agreement of two raters."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from physio.cli.browser_page import page_announcer
from physio.cli.channel_option import Channels, corrected
from physio.cli.edits_option import entities_of
from physio.cli.output import Board, Columns, ExportSession, JsonPath, Task, say

if TYPE_CHECKING:
    from physio.core.recording import Recording
    from physio.datasets.base import ConditionSpan
    from physio.offline.rater_agreement import RatedRecording

Recordings = Annotated[
    list[Path],
    typer.Argument(help="A recording; with --compare, one or several."),
]
RaterCode = Annotated[
    str, typer.Option(help="Code of the rater, whose edits have a file of their own.")
]
Sheet = Annotated[
    Path | None,
    typer.Option(
        help="Sheet of conditions (CSV); default: those that the recording states."
    ),
]
Raters = Annotated[
    tuple[str, str],
    typer.Option(
        "--compare", help="Compare the edits of two raters: ICC and kappa, no page."
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Table of the agreement (CSV).")
]

_NO_RATERS: Final = ("", "")


def edit(
    recordings: Recordings,
    rater: RaterCode = "r1",
    conditions: Sheet = None,
    compare: Raters = _NO_RATERS,
    output: Output = None,
    participant: Annotated[
        str,
        typer.Option(help="Participant in the sheet or the BIDS folder of several."),
    ] = "",
    board: Board = None,
    columns: Columns = None,
    session: ExportSession = "",
    task: Task = "",
    channels: Channels = None,
    json_path: JsonPath = None,
    open_it: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Correct a recording by eye in the browser: bad spans, beats, SCRs, conditions.

    Conditions, markers and estimates are hidden, and segments shown in an order of
    their own, until you unblind yourself, which every output states. Edits are kept
    beside the recording, which is never changed.

    Example: `physio edit p07.zip --conditions conditions.csv`
    """
    from physio.datasets.open_recording import read

    options = {"participant": participant, "session": session, "task": task}
    if len(recordings) > 1 and compare == _NO_RATERS:
        raise ValueError(
            f"{len(recordings)} recordings are given: a page is of one, and --compare "
            "takes several"
        )
    rated = []
    for path in recordings:
        at = path / "recording.xdf"
        recording = read(
            at if at.is_file() else path, board=board, columns=columns, **options
        )
        recording = corrected(recording, channels)
        spans = _spans(conditions, recording, participant, path)
        entities = entities_of(path, **options)
        if compare == _NO_RATERS:
            _serve(path, recording, spans, rater, entities, open_it=open_it)
            return
        rated.append(_rated(path, recording, spans, compare, entities))
    _compare(rated, compare, output, json_path)


def _spans(
    sheet: Path | None, recording: "Recording", participant: str, path: Path
) -> "tuple[ConditionSpan, ...]":
    from physio.offline.conditions import read_conditions, recorded_conditions

    if sheet is None:
        return recorded_conditions(recording)
    return read_conditions(sheet, recording, participant=participant, file=path)


def _serve(
    path: Path,
    recording: "Recording",
    spans: "tuple[ConditionSpan, ...]",
    rater: str,
    entities: str,
    *,
    open_it: bool,
) -> None:
    """Serve the page of a recording until Ctrl-C."""
    from functools import partial

    from physio.offline.edit_marks import EditMarks
    from physio.offline.edits_file import EditedRecording, now, write_history
    from physio.view.editor.edit_session import EditorSource, EditSession
    from physio.view.editor.editor_site import editor_site
    from physio.view.web.page_server import serve

    if not recording.seconds > 0:
        raise ValueError(f"{path} has no samples: there is nothing to correct")
    place = EditedRecording.of(path, entities)
    file = place.path(rater)
    history = place.begin(rater)
    source = EditorSource(
        recording, spans, EditMarks(recording), partial(write_history, file), now
    )
    session = EditSession(source, history, history if file.exists() else None)
    subject = f"{path}, edits in {file.name}"
    serve(editor_site(session), page_announcer(subject, open_it=open_it, role="edit"))
    if session.history.entries:
        say(session.history.sentence(file.name))


def _rated(
    path: Path,
    recording: "Recording",
    spans: "tuple[ConditionSpan, ...]",
    raters: tuple[str, str],
    entities: str,
) -> "RatedRecording":
    from physio.offline.rater_agreement import rated

    compared = rated(path, recording, spans, raters, entities)
    for edits in compared.edits:
        say(f"{path}: {edits.sentence}")
    return compared


def _compare(
    recordings: "list[RatedRecording]",
    raters: tuple[str, str],
    output: Path | None,
    json_path: Path | None,
) -> None:
    """Print and write the agreement of two raters."""
    import json

    from physio.cli.output import write_json
    from physio.core.private_file import write_private
    from physio.offline.rater_agreement import agreement_table

    if output is not None and (output.exists() or output.is_symlink()):
        raise ValueError(f"{output} exists, and is not overwritten: give a new name")
    table = agreement_table(recordings)
    for row in table.to_dict("records"):
        value = row["reason"] or f"{row['value']:.3f}"
        say(f"{row['quantity']}: {row['statistic']} {value} (n = {row['n']})")
    if output is not None:
        write_private(output, table.to_csv(index=False))
        say(f"table: {output}")
    rows = json.loads(table.to_json(orient="records"))
    write_json(json_path, {"raters": list(raters), "agreement": rows})
