"""The command that writes HTML reports."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from physio.cli.baseline_option import Baseline
from physio.cli.channel_option import Channels
from physio.cli.edits_option import Rater, UseEdits
from physio.cli.output import (
    Board,
    Columns,
    ExportSession,
    Subject,
    Task,
    say,
    working,
)
from physio.core.counted_nouns import counted
from physio.core.input_file import refuse_endless
from physio.core.private_file import write_private

if TYPE_CHECKING:
    import pandas as pd

    from physio.core.edits import Edits
    from physio.core.recording import Recording
    from physio.datasets.recording_folder import RecordingPlace
    from physio.offline.edits_file import EditsChoice
    from physio.view.plots.time_axes import ConditionInterval
    from physio.view.reports.html_report import HtmlReport
    from physio.view.reports.session import WholeRecordTables


Conditions = Annotated[
    Path | None,
    typer.Option(
        help="Sheet of conditions (CSV, TSV, XLSX): see `physio table`; default: the "
        "conditions that the recording states."
    ),
]
Zone = Annotated[
    str, typer.Option(help="Zone of clock times in the sheet, as Europe/Dublin.")
]


def report(
    path: Annotated[
        Path,
        typer.Argument(
            help="Folder of a session, evaluation or training run; recording, or a "
            "folder of recordings; results of an evaluation or audit (JSON); or a "
            "table of features."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The HTML file; default: PATH/report.html, of a folder of recordings "
            "PATH_report.html."
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="Protocol of the audited split of a table; `none` for no audit."
        ),
    ] = "loso",
    figures: Annotated[
        Path | None,
        typer.Option(help="Folder for the figures as PNG, SVG and PDF."),
    ] = None,
    board: Board = None,
    columns: Columns = None,
    session: ExportSession = "",
    participant: Subject = "",
    task: Task = "",
    channels: Channels = None,
    baseline: Baseline = "",
    conditions: Conditions = None,
    zone: Zone = "",
    edits: UseEdits = True,
    rater: Rater = "",
    workers: Annotated[
        int, typer.Option(min=1, help="Processes for the recordings of a folder.")
    ] = 1,
    backend: Annotated[
        str,
        typer.Option(
            help="Parallel backend in place of --workers: dask:tcp://HOST:PORT ..."
        ),
    ] = "",
) -> None:
    """Write a self-contained HTML report.

    Of a session: streams and signal quality, estimates by condition, a data sheet and a
    methods text. Of a folder of recordings: who, for how long, which sensors are
    usable, what is excluded and why, and a report of each recording, which the same
    command does not write again. Of an evaluation: audit, tables and figures. Of a
    table of features: usable data per participant and the reasons for missing values.

    Example: `physio report sessions/p07-20260412-101500 --figures figures`

    Example: `physio report films-bids --workers 2`

    Example: `physio report S02.zip --conditions conditions.csv`
    """
    options = {
        "board": board, "columns": columns, "session": session, "channels": channels,
        "baseline": baseline, "participant": participant, "task": task,
        "conditions": conditions, "zone": zone, "edits": edits, "rater": rater,
    }  # fmt: skip
    engine = backend or (f"loky:{workers}" if workers > 1 else "serial")
    with working(f"report of {path.name}: reading and computing"):
        page, into = _written(path, out, protocol, engine, options)
        write_private(into, str(page))
    say(f"report: {into}")
    for file in page.save_figures(figures) if figures else ():
        say(f"  {file}")


def _written(
    path: Path,
    out: Path | None,
    protocol: str,
    engine: str,
    options: Mapping[str, Any],
) -> "tuple[HtmlReport, Path]":
    """Return the report of a path, and the file that it is written to."""
    if places := _recordings(path, options):
        whole = path.resolve()  # nothing is written into a data set
        into = out or whole.with_name(f"{whole.name}_report.html")
        return _overview(places, whole.name, into, engine, options), into
    beside = path / "report.html" if path.is_dir() else path.with_suffix(".html")
    return _page(path, protocol, options), out or beside


_STIMULUS_CHANNELS: Final = ("photodiode", "microphone")


def _page(path: Path, protocol: str, options: Mapping[str, Any]) -> "HtmlReport":
    """Return the report of the content of a path."""
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    if any(path.glob("subject=*/windows.parquet")) or path.suffix == ".parquet":
        return _of_table(path, protocol)
    result = path / "evaluation.json" if path.is_dir() else path
    if result.suffix == ".json" and result.is_file():
        page = _of_result(result)
        return _of_run(page, path) if path.is_dir() else page
    if path.is_dir() and not any(path.iterdir()):
        raise ValueError(f"{path} is empty: there is nothing to report")
    return _of_session(path, options)


def _of_run(page: "HtmlReport", run: Path) -> "HtmlReport":
    """Add the training results in the folder to the report of an evaluation."""
    from physio.view.reports.training_run import add_run_figures

    return add_run_figures(page, run)


def _of_result(path: Path) -> "HtmlReport":
    """Return the report of an evaluation or an audit."""
    from physio.view.reports.evaluation import audit_report, evaluation_report

    refuse_endless(path)
    try:
        result = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        result = None
    result = result if isinstance(result, dict) else {}
    rows = result.get("rows")
    try:
        if isinstance(rows, list) and all(
            {"model", "metric"} <= r.keys() for r in rows
        ):
            return evaluation_report(result)
        if rows is None and {"protocol", "findings", "ok"} <= result.keys():
            return audit_report(result)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise ValueError(
            f"{path} is a damaged result ({type(error).__name__}: {error}): write it "
            "again with --json"
        ) from None
    raise ValueError(
        f"{path} is neither an evaluation (dataset, protocol, rows) nor an audit "
        "(protocol, ok, findings)"
    )


def _overview(*given: Any) -> "HtmlReport":
    """Return the overview of many recordings; its module is imported when needed."""
    from physio.cli.report_overview import overview

    return overview(*given)


def _recordings(path: Path, options: Mapping[str, Any]) -> "list[RecordingPlace]":
    """Return the recordings of a folder that is none, no run and no table itself."""
    is_other = any(path.glob("subject=*/windows.parquet"))
    is_other |= (path / "evaluation.json").is_file()
    if is_other:
        return []
    from physio.cli.report_overview import recordings_of

    return recordings_of(path, options)


def _of_session(path: Path, options: Mapping[str, Any]) -> "HtmlReport":
    """Return the report of a session, or of a recording, which is computed now."""
    from physio.view.stream_table import stream_lines

    page, _, rows = session_page(path, options)
    for line in stream_lines(rows):
        say(line)
    return page


def session_page(
    path: Path, options: Mapping[str, Any]
) -> "tuple[HtmlReport, Recording, list[dict[str, Any]]]":
    """Return the report of a recording, the recording, and its table of streams."""
    from physio.cli.dashboard import session_or_computed
    from physio.offline.edits_file import EditsChoice
    from physio.online.session_table import recording_rows
    from physio.view.reports.session import session_report

    given = dict(options)
    sheet, zone = given.pop("conditions", None), given.pop("zone", "")
    use, rater = bool(given.pop("edits", True)), str(given.pop("rater", ""))
    recording, features, estimates = session_or_computed(path, **given)
    parts = _conditions(recording, path, sheet, zone, given.get("participant", ""))
    rows = recording_rows(recording, features)
    edits, words = _edits(path, recording, given, EditsChoice(use, rater))
    page = session_report(
        recording,
        features,
        estimates,
        parts,
        _timing(recording),
        rows,
        name=path.name,
        analysis=_whole_record(recording, edits),
    )
    if words:
        say(words)
        _add_edits(page, recording, edits, words, parts)
    return page, recording, rows


def _edits(
    path: Path,
    recording: "Recording",
    options: Mapping[str, Any],
    choice: "EditsChoice",
) -> "tuple[Edits | None, str]":
    """Return the edits by eye of a recording, and a sentence on them."""
    from physio.cli.edits_option import entities_of
    from physio.offline.edits_file import edits_of

    names = (str(options.get(n) or "") for n in ("participant", "session", "task"))
    try:
        entities = entities_of(path, *names)
        return edits_of(path, recording.begin, choice, entities)
    except ValueError as error:  # of several raters, or of another recording
        return None, f"no edits by eye are used: {error}"


def _add_edits(
    page: "HtmlReport",
    recording: "Recording",
    edits: "Edits | None",
    words: str,
    parts: "list[ConditionInterval]",
) -> None:
    """Add the edits by eye of a recording: measures with and without, by condition."""
    from physio.offline.edits_summary import edits_summary

    page.heading("Correction by eye")
    page.text(f"{words[0].upper()}{words[1:]}.")
    if edits is None:
        return
    page.table(edits_summary(recording, edits, parts))
    page.text(
        "Measures of the whole record. Live features and estimates are computed "
        "without edits: they are what a live session has.",
        small=True,
    )


def _conditions(
    recording: "Recording", path: Path, sheet: Path | None, zone: str, participant: str
) -> "list[ConditionInterval]":
    """Return the conditions of a sheet, or those that the recording states."""
    from physio.offline.conditions import (
        read_conditions,
        recorded_conditions,
        time_zone,
    )
    from physio.view.plots.time_axes import ConditionInterval

    spans = (
        recorded_conditions(recording)
        if sheet is None
        else read_conditions(
            sheet, recording, participant=participant, file=path, zone=time_zone(zone)
        )
    )
    return [ConditionInterval(span.name, span.begin, span.end) for span in spans]


def _whole_record(
    recording: "Recording", edits: "Edits | None"
) -> "WholeRecordTables | None":
    """Return the analysis of a whole recording; None if nothing can be analysed."""
    from physio.offline.analysis import analyze
    from physio.view.reports.session import WholeRecordTables

    try:
        analysis = analyze(recording, edits=edits)
    except ValueError:
        return None
    tables = {"beats": analysis.beats, "scrs": analysis.scrs}
    return WholeRecordTables(analysis.signals, tables, analysis.notes)


def _timing(recording: "Recording") -> dict[str, str]:
    """Return the latency of markers to each photodiode or microphone channel."""
    from physio.study.marker_latency import marker_latency

    latencies = {}
    for info in recording.infos:
        for name in info.names:
            if not any(word in name.lower() for word in _STIMULUS_CHANNELS):
                continue
            try:
                latency = marker_latency(recording, name)
            except ValueError as error:  # no marker, or none with a flank
                latencies[name] = str(error)
                continue
            latencies[name] = (
                f"{1e3 * latency.median:+.1f} ms, jitter {1e3 * latency.jitter:.1f} "
                f"ms, worst {1e3 * latency.worst:.1f} ms "
                f"({latency.n} of {counted(latency.markers, 'marker')})"
            )
    return latencies


def _of_table(path: Path, protocol: str) -> "HtmlReport":
    from physio.datasets import feature_table
    from physio.view.reports.dataset import dataset_report

    table = feature_table.read(path)
    audits = [] if protocol == "none" else _audits(table, protocol)
    return dataset_report(table, audits)


def _audits(table: "pd.DataFrame", protocol: str) -> list[dict[str, Any]]:
    """Return the audit of the labelled windows under a protocol that divides them."""
    from physio.datasets.feature_table import LABEL
    from physio.evaluation import splits
    from physio.evaluation.leakage.audit import audit

    rows = table[table[LABEL].astype(str) != ""].reset_index(drop=True)
    by = splits.protocol(protocol)
    if rows[LABEL].nunique() < 2:
        return []
    try:
        folds = splits.divide(rows, by, inner=False)
    except ValueError as error:
        say(f"no audit: {error}", err=True)
        return []
    return [audit(rows, folds).to_dict()]
