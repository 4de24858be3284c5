"""The command that analyses whole recordings."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from physio.cli.channel_option import Channels, corrected
from physio.cli.edits_option import Rater, UseEdits, chosen_edits, entities_of
from physio.cli.output import (
    Board,
    Columns,
    ExportSession,
    JsonPath,
    Task,
    say,
    working,
    write_json,
)
from physio.core.counted_nouns import counted
from physio.core.private_file import refuse_link

if TYPE_CHECKING:
    import pandas as pd

    from physio.core.recording import Recording
    from physio.datasets.base import ConditionSpan
    from physio.offline.analysis import Analysis


Sheet = Annotated[
    Path | None,
    typer.Option(
        help="Sheet of conditions (CSV): condition, begin, end; default: those of the "
        "markers, or else the whole recording."
    ),
]
Prefix = Annotated[
    str, typer.Option(help="Prefix of the markers that are events; default: all.")
]
EventWindow = Annotated[
    tuple[float, float],
    typer.Option(help="Window after an event in which its SCR begins (s)."),
]
Output = Annotated[
    Path | None,
    typer.Option(help="Folder of the tables; default: FILE_analysis beside it."),
]
Plot = Annotated[
    Path | None,
    typer.Option(help="Figure of the signals with beats and SCRs marked."),
]


def analyze(
    path: Annotated[
        Path, typer.Argument(help="A recording in any format that replay reads.")
    ],
    conditions: Sheet = None,
    events: Prefix = "",
    window: EventWindow = (1.0, 4.0),
    threshold: Annotated[
        float, typer.Option(help="Least amplitude of an SCR (uS).")
    ] = 0.02,
    output: Output = None,
    plot: Plot = None,
    participant: Annotated[
        str,
        typer.Option(help="Participant in the sheet or the BIDS folder of several."),
    ] = "",
    board: Board = None,
    columns: Columns = None,
    session: ExportSession = "",
    task: Task = "",
    channels: Channels = None,
    edits: UseEdits = True,
    rater: Rater = "",
    json_path: JsonPath = None,
) -> None:
    """Analyse a whole recording: beats, SCRs, conditions and events as tables.

    Unlike the features of sessions and replays, these values depend on later samples:
    they are for files, and no training data of live weights. Writes beats.csv,
    scrs.csv, spans.csv, events.csv and analysis.json, and overwrites none.

    Example: `physio analyze p07.zip --conditions conditions.csv --plot p07.png`
    """
    with working(f"analysis of {path.name}: reading and computing"):
        from physio.datasets.open_recording import read
        from physio.offline.analysis import AnalysisSettings
        from physio.offline.analysis import analyze as run
        from physio.offline.analysis_files import analysis_paths, write_analysis
        from physio.offline.edits_summary import spans_beside

        folder = output or path.with_name(f"{path.name.partition('.')[0]}_analysis")
        analysis_paths(folder)
        if plot is not None:
            _refuse_present(plot)
        settings = AnalysisSettings(scr_threshold=threshold)
        at = path / "recording.xdf"
        chosen = {"participant": participant, "session": session, "task": task}
        at = at if at.is_file() else path
        recording = read(at, board=board, columns=columns, **chosen)
        recording = corrected(recording, channels)
        spans = _conditions(conditions, recording, participant, path)
        marks = _markers(recording, events)
        entities = entities_of(path, participant, session, task)
        applied = chosen_edits(path, recording, edits, rater, entities)
        analysis = run(recording, settings=settings, edits=applied)
        table = analysis.spans(spans)
        if applied is not None:
            table = spans_beside(analysis, run(recording, settings=settings), spans)
        responses = analysis.events(
            [t for t, _ in marks], window, [label for _, label in marks]
        )
    about = {"file": path.name, "window": list(window)}
    files = write_analysis(analysis, table, responses, folder, about)
    _summarize(analysis, table, responses)
    for file in files:
        say(str(file))
    if plot is not None:
        _draw(plot, recording, analysis, spans)
    write_json(json_path, _results(analysis, table, responses, files))


def _refuse_present(plot: Path) -> None:
    refuse_link(plot)
    if plot.exists():
        raise ValueError(f"{plot} exists, and is not overwritten: give a new name")


def _conditions(
    sheet: Path | None, recording: "Recording", participant: str, file: Path
) -> "tuple[ConditionSpan, ...]":
    from physio.offline.conditions import read_conditions, recorded_conditions

    if sheet is not None:
        return read_conditions(sheet, recording, participant=participant, file=file)
    return recorded_conditions(recording)


def _markers(recording: "Recording", prefix: str) -> list[tuple[float, str]]:
    """Return the markers of a recording that begin with a prefix."""
    from physio.study.outcomes import iter_markers

    known = list(iter_markers(recording))
    chosen = [(t, label) for t, label in known if label.startswith(prefix)]
    if prefix and not chosen:
        labels = ", ".join(dict.fromkeys(repr(label) for _, label in known[:8]))
        raise ValueError(
            f"no marker begins with {prefix!r}: the recording has {labels or 'none'}"
        )
    return chosen


def _summarize(
    analysis: "Analysis", table: "pd.DataFrame", responses: "pd.DataFrame"
) -> None:
    """Print a line for each stream, and the heart rate and SCL of each condition."""
    from physio.offline.whole_record import PROVENANCE

    say(f"analysis of {analysis.end - analysis.begin:.1f} s ({PROVENANCE})")
    for frame in analysis.signals.values():
        say(_line(analysis, frame))
    for condition, part in table.groupby("condition", sort=False):
        shown = part[part["measure"].isin(_SHOWN) & part["value"].notna()]
        rows = shown[["measure", "value", "unit"]].to_numpy().tolist()
        values = [f"{measure} {value:.4g} {unit}" for measure, value, unit in rows]
        say(f"{condition!s}: {', '.join(values) or 'no value'}")
    if len(responses):
        responder = responses["responder"].dropna().to_numpy(float)
        say(
            f"events: {len(responses)}, of which {len(responder)} can be judged and "
            f"{int(responder.sum())} have an SCR"
        )
    for note in analysis.notes:
        say(f"note: {note}")


_SHOWN: Final = {
    "scl", "scr_per_minute", "mean_heart_rate", "hrv_rmssd", "prv_rmssd",
    "breathing_rate", "skin_temperature", "mean_activity",
}  # fmt: skip


def _line(analysis: "Analysis", frame: "pd.DataFrame") -> str:
    about = frame.attrs
    name = f"{about['stream']} {about['channel']}"
    first = next(iter(about["units"]))
    share = 100 * float(frame[first].notna().mean())
    if about["kind"] == "skin":
        mine = analysis.scrs["stream"] == about["stream"]
        number = counted(int(mine.sum()), "SCR")
        return f"{name}: {number}, {share:.0f} % of the time valid"
    if about["kind"] == "heart":
        beats = analysis.beats[analysis.beats["stream"] == about["stream"]]
        fixed = int(beats["corrected"].sum())
        return (
            f"{name}: {counted(len(beats), 'beat')}, {counted(fixed, 'interval')} "
            f"corrected, accepted ones in {share:.0f} % of the time"
        )
    return f"{name}: {about['kind']}, {share:.0f} % of the time valid"


def _draw(
    plot: Path,
    recording: "Recording",
    analysis: "Analysis",
    spans: "Sequence[ConditionSpan]",
) -> None:
    from physio.view.plots.session import recording_title
    from physio.view.plots.time_axes import ConditionInterval
    from physio.view.plots.whole_record_plot import whole_record_figure

    tables = {"beats": analysis.beats, "scrs": analysis.scrs}
    parts = [ConditionInterval(s.name, s.begin, s.end) for s in spans]
    title = recording_title(recording)
    figure = whole_record_figure(recording, analysis.signals, tables, parts, title)
    figure.savefig(plot, dpi=110)
    say(f"figure: {plot}")


def _results(
    analysis: "Analysis",
    table: "pd.DataFrame",
    responses: "pd.DataFrame",
    files: Sequence[Path],
) -> dict[str, Any]:
    import json

    rows = {"spans": table, "events": responses}
    return {
        "files": [str(file) for file in files],
        "beats": len(analysis.beats),
        "scrs": len(analysis.scrs),
        "notes": list(analysis.notes),
        **{n: json.loads(f.to_json(orient="records")) for n, f in rows.items()},
    }
