"""The command that writes tables of measures by participant and condition."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from physio.cli.baseline_option import Baseline, chosen
from physio.cli.channel_option import Channels
from physio.cli.edits_option import Rater, UseEdits
from physio.cli.output import Board, Columns, ExportSession, JsonPath, say, write_json

if TYPE_CHECKING:
    from physio.core.recording import Recording
    from physio.offline.condition_table import RecordingRows, Tables, TableSettings
    from physio.offline.table_files import Sheet

Recordings = Annotated[
    list[Path],
    typer.Argument(
        help="Recordings, in any format that replay reads; BIDS folders with several."
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", help="The table: .csv, .tsv, .parquet, .xlsx or .sav."
    ),
]
Conditions = Annotated[
    Path | None,
    typer.Option(
        help="Sheet (CSV, TSV, XLSX) with participant, condition, begin and end or "
        "markers; default: the conditions that the recordings state."
    ),
]
EventPrefixes = Annotated[
    list[str],
    typer.Option(
        "--events", help="Prefix of markers: adds a table of responses to them."
    ),
]
Rules = Annotated[
    Path | None,
    typer.Option(help="Rules that exclude values (TOML): tables [[exclusions]]."),
]
MinCoverage = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Least valid share of a condition.")
]
MinBeats = Annotated[
    int, typer.Option(min=0, help="Least number of beats, for the heart.")
]
MaxCorrected = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Largest share of corrected beats.")
]
LiveFeatures = Annotated[
    bool, typer.Option("--live-features", help="Add means of the live features.")
]
Estimates = Annotated[
    bool,
    typer.Option(
        "--estimates/--no-estimates",
        help="Add means of the live estimates, where weights fit.",
    ),
]
Threshold = Annotated[float, typer.Option(help="Least amplitude of a response (uS).")]
EventWindow = Annotated[
    tuple[float, float],
    typer.Option("--window", help="Begin and end of responses after an event (s)."),
]
Plots = Annotated[
    Path | None, typer.Option(help="Folder for a figure of each measure.")
]
TableParticipant = Annotated[
    str, typer.Option(help="Participant of the recordings; default: of each file.")
]
Zone = Annotated[
    str, typer.Option(help="Time zone of clock times without one: Europe/Dublin.")
]
TableBackend = Annotated[
    str,
    typer.Option(
        help="Parallel backend: serial, loky:N, dask:local:N or dask:tcp://HOST:PORT; "
        "default: a process for each processor."
    ),
]


def table(
    recordings: Recordings,
    output: Output,
    conditions: Conditions = None,
    baseline: Baseline = "",
    events: EventPrefixes = [],  # noqa: B006 typer wants a list
    exclusions: Rules = None,
    min_coverage: MinCoverage = 0.0,
    min_beats: MinBeats = 0,
    max_corrected: MaxCorrected = 1.0,
    live_features: LiveFeatures = False,
    estimates: Estimates = True,
    scr_threshold: Threshold = 0.02,
    window: EventWindow = (1.0, 4.0),
    plots: Plots = None,
    participant: TableParticipant = "",
    zone: Zone = "",
    backend: TableBackend = "",
    board: Board = None,
    columns: Columns = None,
    session: ExportSession = "",
    channels: Channels = None,
    edits: UseEdits = True,
    rater: Rater = "",
    json_path: JsonPath = None,
) -> None:
    """Write a table of measures: a row per participant, condition and measure.

    Beside the table: a wide table with a row per participant, exclusions and coverage
    by condition, a methods text, and a description (JSON). The whole record is
    analysed; a recording that fails costs only its own rows.

    Example: `physio table raw/*.zip --conditions sheet.csv --baseline rest -o t.csv`
    """
    from physio.offline import condition_table, table_files
    from physio.offline.condition_measures import MeasureSettings
    from physio.offline.conditions import ConditionSheet, time_zone
    from physio.offline.edits_file import EditsChoice
    from physio.offline.exclusions import read_rules
    from physio.offline.table_methods import rules_of

    rules = read_rules(exclusions) if exclusions is not None else ()
    settings = condition_table.TableSettings(
        ConditionSheet.read(conditions) if conditions is not None else None,
        chosen(baseline),
        (*rules, *rules_of(min_coverage, min_beats, max_corrected)),
        MeasureSettings(scr_threshold, window, live_features, estimates),
        tuple(events),
        participant,
        time_zone(zone),
        EditsChoice(edits, rater),
    )
    names = ("", "wide", "coverage", *(["events"] if events else []))
    table_files.targets(output, names)
    reader = partial(
        read_recording, board=board, columns=columns, session=session, channels=channels
    )
    paths = list(dict.fromkeys(p for path in recordings for p in expanded(path)))
    processes = min(os.cpu_count() or 1, len(paths))
    engine = backend or (f"loky:{processes}" if processes > 1 else "serial")
    tables = condition_table.make_tables(paths, reader, settings, engine, _report)
    _write(tables, settings, output, plots, json_path)


def _write(
    tables: "Tables",
    settings: "TableSettings",
    output: Path,
    plots: Path | None,
    json_path: Path | None,
) -> None:
    """Write the tables, methods and figures; exit with 1 if anything is missing."""
    from physio.offline.table_files import write_tables
    from physio.offline.table_methods import table_methods

    failed = [r for r in tables.recordings if r.error]
    if len(failed) == len(tables.recordings):
        raise ValueError(
            f"no recording could be analysed: {failed[0].path}: {failed[0].error}"
        )
    methods = table_methods(tables, settings)
    about = _about(tables, settings, methods)
    for file in write_tables(output, _sheets(tables), methods, about):
        say(f"table: {file}")
    if plots is not None:
        from physio.view.plots.condition_lines import plot_measures

        say(f"plots: {len(plot_measures(tables.long, plots))} in {plots}")
    write_json(json_path, about)
    if failed or any(r.problems for r in tables.recordings):
        raise typer.Exit(1)


def read_recording(
    path: Path,
    *,
    board: str | None,
    columns: Path | None,
    session: str,
    channels: Path | None,
) -> "Recording":
    """Return a recording with its channels corrected; other processes import this."""
    from physio.cli.channel_option import corrected
    from physio.datasets.open_recording import read

    entities = {}
    if not path.exists() and _is_bids(path.parent):
        names = dict(part.split("-", 1) for part in path.name.split("_", 2))
        entities = {"participant": names["sub"], "task": names["task"]}
        session, path = names["ses"], path.parent
    recording = read(path, board=board, columns=columns, session=session, **entities)
    return corrected(recording, channels)


def expanded(path: Path) -> list[Path]:
    """Return the recordings of a path: each one of a BIDS folder, else the path itself.

    A recording of a BIDS folder is named by its entities, ``bids/sub-01_ses-_task-a``.
    """
    if not _is_bids(path):
        return [path]
    from physio.datasets.bids import Bids

    names = []
    for subject, session, trial in Bids(path).trials():
        task, _, run = trial.partition(" ")
        entity = f"{task}_run-{run}" if run else task
        names.append(path / f"sub-{subject}_ses-{session}_task-{entity}")
    return names


def _is_bids(path: Path) -> bool:
    return (path / "dataset_description.json").is_file()


def _report(result: "RecordingRows") -> None:
    if result.error:
        say(f"{result.path}: no rows: {result.error}", err=True)
        return
    values = result.rows["value"].notna().sum() if len(result.rows) else 0
    say(f"{result.path}: {result.participant}, {values} values", err=True)
    for note in (*result.problems, *result.notes):
        say(f"  {note}", err=True)


def _sheets(tables: "Tables") -> tuple["Sheet", ...]:
    from physio.offline.condition_table import LONG, wide_table
    from physio.offline.exclusions import by_condition
    from physio.offline.table_files import Sheet
    from physio.offline.table_methods import describe_measures

    wide = wide_table(tables.long)
    about = describe_measures(sorted(set(tables.long["measure"]) - {""}))
    words = dict(zip(about["measure"], about["definition"], strict=True))
    labels = {}
    for column in map(str, wide.columns):
        measure = next((m for m in words if column.startswith(f"{m}.")), "")
        labels[column] = f"{column}: {words[measure]}" if measure else column
    sheets = [
        Sheet("", tables.long, LONG),
        Sheet("wide", wide, labels),
        Sheet("coverage", by_condition(tables.long), {}),
    ]
    if len(tables.events.columns):
        sheets.append(Sheet("events", tables.events, {}))
    return tuple(sheets)


def _about(tables: "Tables", settings: "TableSettings", methods: str) -> dict[str, Any]:
    """Return the content of the sidecar."""
    from importlib.metadata import version

    from physio.offline.table_methods import describe_measures

    long = tables.long
    keys = ["recording", "baseline_role", "baseline", "baseline_begin_s"]
    used = long[long["baseline_role"] != ""].drop_duplicates(keys)
    measures = sorted(set(long["measure"]) - {""})
    about = describe_measures(measures)
    return {
        "source": f"physio table {version('physio-affect')}",
        "recordings": [
            {
                "file": str(r.path),
                "participant": r.participant,
                "rows": len(r.rows),
                "error": r.error,
                "problems": list(r.problems),
                "notes": list(r.notes),
            }
            for r in tables.recordings
        ],
        "baseline": None if settings.baseline is None else settings.baseline.words,
        "baselines": used[[*keys, "baseline_end_s"]].to_dict("records"),
        "exclusions": [rule.words for rule in settings.exclusions],
        "analyses": sorted(set(long["analysis"]) - {""}),
        "measures": dict(zip(measures, about["definition"], strict=True)),
        "methods": methods.strip(),
    }
